// Dragging over free time leads to the booking form with that window filled in: the same checked page as by hand.
(() => {
  "use strict";
  const svg = document.querySelector("svg.occupancy");
  const chosen = document.getElementById("calendar-allocation");
  if (!svg || !chosen) return;
  document.querySelectorAll(".js-only").forEach((element) => { element.hidden = false; });

  const start = Date.parse(svg.dataset.start);
  const end = Date.parse(svg.dataset.end);
  const [label, head, line] = [svg.dataset.label, svg.dataset.head, svg.dataset.line].map(Number);
  const width = svg.viewBox.baseVal.width;
  const groups = [...svg.querySelectorAll("g[data-devices]")];
  const step = end - start > 8 * 86400e3 ? 3600e3 : 1800e3;
  let drag = null;

  const place = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const row = Math.max(0, Math.min(groups.length - 1, Math.floor((point.y - head) / line)));
    return { x: Math.max(label, Math.min(width, point.x)), y: point.y, row };
  };
  const timeAt = (x) => start + ((x - label) / (width - label)) * (end - start);
  const rows = () => [Math.min(drag.from.row, drag.to.row), Math.max(drag.from.row, drag.to.row)];

  const draw = () => {
    const [first, last] = rows();
    drag.box.setAttribute("x", Math.min(drag.from.x, drag.to.x));
    drag.box.setAttribute("width", Math.abs(drag.to.x - drag.from.x));
    drag.box.setAttribute("y", head + first * line + 2);
    drag.box.setAttribute("height", (last - first + 1) * line - 4);
  };

  // The form's fields are in the reader's zone, as the page says it, not in the browser's.
  const local = (moment) => {
    const zone = document.documentElement.dataset.timeZone;
    const parts = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "short" });
    return parts.format(new Date(moment)).replace(" ", "T");
  };

  const stop = () => {
    if (drag) drag.box.remove();
    drag = null;
  };

  svg.addEventListener("pointerdown", (event) => {
    const at = place(event);
    if (event.button || at.y < head || at.x <= label || !event.target.matches(".calendar-track, .calendar-kept")) return;
    const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    box.setAttribute("class", "calendar-drag");
    svg.append(box);
    drag = { from: at, to: at, box };
    svg.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  svg.addEventListener("pointermove", (event) => {
    if (!drag) return;
    drag.to = place(event);
    draw();
  });
  svg.addEventListener("pointercancel", stop);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
  svg.addEventListener("pointerup", () => {
    if (!drag) return;
    const [left, right] = [Math.min(drag.from.x, drag.to.x), Math.max(drag.from.x, drag.to.x)];
    const [first, last] = rows();
    stop();
    if (right - left < 4) return;
    const begin = Math.max(Math.floor(timeAt(left) / step) * step, Math.ceil(Date.now() / 60e3) * 60e3);
    const finish = Math.max(Math.ceil(timeAt(right) / step) * step, begin + step);
    // One kind at a time: the rows of the kind that the drag began on.
    const profile = groups[first].dataset.profile;
    const same = groups.slice(first, last + 1).filter((group) => group.dataset.profile === profile);
    const count = same.reduce((sum, group) => sum + Number(group.dataset.devices), 0);
    const query = new URLSearchParams({
      ...(profile ? { profile } : {}),
      device_count: count, starts_at: local(begin), length: "", ends_at: local(finish), note: "",
    });
    window.location.assign(`${chosen.value}?${query}`);
  });
})();
