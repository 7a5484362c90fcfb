// The evidence of a case: what each stretch says, under the pointer and by the arrows of the keyboard, in the line below.
(() => {
  "use strict";
  const figure = document.querySelector("[data-evidence]");
  const voice = document.querySelector("[data-evidence-voice]");
  if (!figure || !voice) return;
  const strips = [...figure.querySelectorAll("[data-evidence-line]")];
  const stretches = (strip) => [...strip.querySelectorAll("[data-said]")];
  let marked = null;

  function say(strip, stretch) {
    if (marked) marked.classList.remove("evidence-marked");
    marked = stretch;
    stretch.classList.add("evidence-marked");
    voice.textContent = `${strip.dataset.evidenceLine} · ${stretch.dataset.said}`;
  }

  function walk(strip, by) {
    const all = stretches(strip);
    if (!all.length) return;
    const at = all.indexOf(marked);
    say(strip, all[at < 0 ? (by < 0 ? all.length - 1 : 0) : Math.min(all.length - 1, Math.max(0, at + by))]);
  }

  strips.forEach((strip, place) => {
    strip.addEventListener("focus", () => { if (strip.matches(":focus-visible")) voice.textContent = voice.dataset.keys; });
    strip.addEventListener("pointerover", (event) => { if (event.target.dataset.said) say(strip, event.target); });
    strip.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const next = { ArrowUp: strips[place - 1], ArrowDown: strips[place + 1] };
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") walk(strip, event.key === "ArrowLeft" ? -1 : 1);
      else if (event.key === "Home" || event.key === "End") walk(strip, event.key === "Home" ? -Infinity : Infinity);
      else if (event.key in next) next[event.key]?.focus();
      else return;
      event.preventDefault();
    });
  });
})();
