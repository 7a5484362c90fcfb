// What was typed in the last moment before somebody leaves a page that saves by itself is sent along on the way out.
const form = document.getElementById("step-form");
const state = document.getElementById("save-state");
if (form && state) {
  let typed = 0; // counts what was typed …
  let sent = 0; // … and how much of it the page has sent
  let sending = 0;
  form.addEventListener("input", () => { typed += 1; });
  form.addEventListener("submit", () => { sent = typed; });
  document.addEventListener("htmx:beforeRequest", (event) => { if (event.target === state) sending = typed; });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.target === state && event.detail.successful) sent = Math.max(sent, sending);
  });
  window.addEventListener("pagehide", () => {
    if (sent >= typed) return;
    const fields = new FormData(form);
    for (const [name, value] of [...fields]) if (value instanceof File) fields.delete(name);
    fields.set("action", "autosave");
    if (navigator.sendBeacon(window.location.pathname, fields)) sent = typed;
  });
}
