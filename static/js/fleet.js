// A picture of the fleet as PNG: what is drawn with boxes on the page is drawn again on a canvas, box by box.
(() => {
  "use strict";
  const SCALE = 2;
  const MOST_PIXELS = 16000; // of a side: browsers draw nothing on a larger canvas

  const solid = (colour) => colour && colour !== "transparent" && !colour.startsWith("rgba(0, 0, 0, 0)");

  function paint(context, node, origin) {
    const box = node.getBoundingClientRect();
    const look = getComputedStyle(node);
    const [x, y] = [box.left - origin.left, box.top - origin.top];
    const fill = node instanceof SVGElement ? look.fill : look.backgroundColor;
    if ((node instanceof SVGRectElement || !(node instanceof SVGElement)) && solid(fill)) {
      context.fillStyle = fill;
      context.fillRect(x, y, box.width, box.height);
    }
    const edge = parseFloat(look.borderBottomWidth);
    if (!(node instanceof SVGElement) && edge && solid(look.borderBottomColor)) {
      context.fillStyle = look.borderBottomColor;
      context.fillRect(x, y + box.height - edge, box.width, edge);
    }
    node.childNodes.forEach((child) => {
      if (child.nodeType === Node.TEXT_NODE && child.textContent.trim() && !node.closest(".visually-hidden, title")) {
        const range = document.createRange();
        range.selectNodeContents(child);
        const place = range.getBoundingClientRect();
        context.fillStyle = look.color;
        context.font = `${look.fontWeight} ${look.fontSize} ${look.fontFamily}`;
        context.textBaseline = "middle";
        context.fillText(child.textContent.trim(), place.left - origin.left, place.top - origin.top + place.height / 2);
      } else if (child.nodeType === Node.ELEMENT_NODE) paint(context, child, origin);
    });
  }

  function save(button) {
    const source = document.querySelector(button.dataset.picture);
    if (!source) return;
    const box = source.getBoundingClientRect();
    const scale = Math.min(SCALE, MOST_PIXELS / box.height, MOST_PIXELS / box.width);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.ceil(box.width * scale), Math.ceil(box.height * scale)];
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.fillStyle = getComputedStyle(source.closest(".card")).backgroundColor;
    context.fillRect(0, 0, box.width, box.height);
    paint(context, source, box);
    canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${button.dataset.name}.png`;
      link.click();
      window.setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }

  const show = () => document.querySelectorAll(".js-picture").forEach((button) => { button.hidden = false; });
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".js-picture");
    if (button) save(button);
  });
  document.addEventListener("htmx:afterSettle", show);
  show();
})();
