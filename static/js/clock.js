// A clock to the second by the server's time: the browser's own is only used to count on from what the server said.
const box = document.querySelector("[data-clock]");
if (box) {
  const closes = Date.parse(box.dataset.closes);
  const parts = (name) => box.querySelector(`[data-clock-${name}]`);
  const [shown, left, open, closed, say] = ["now", "left", "open", "closed", "say"].map(parts);
  const wall = new Intl.DateTimeFormat("sv-SE", { timeZone: box.dataset.zone, dateStyle: "short", timeStyle: "medium" });
  const zoneName = shown.textContent.trim().split(" ").pop();
  let offset = Date.parse(box.dataset.now) - Date.now();
  let wasOpen = null;

  const two = (value) => String(value).padStart(2, "0");
  const inWords = (milliseconds) => {
    const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
    const days = Math.floor(seconds / 86400);
    const clock = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60].map(two).join(":");
    return days ? `${left.dataset.days.replace("#", days)} ${clock}` : clock;
  };
  const marks = [[3600e3, "hour"], [600e3, "ten"], [60e3, "minute"], [0, "over"]];
  let before = null;

  const tick = () => {
    const now = Date.now() + offset;
    const remaining = closes - now;
    shown.textContent = `${wall.format(now)} ${zoneName}`;
    left.textContent = inWords(remaining);
    const isOpen = remaining > 0;
    if (isOpen !== wasOpen) {
      open.hidden = !isOpen;
      closed.hidden = isOpen;
      box.classList.toggle("alert-info", isOpen);
      box.classList.toggle("alert-warning", !isOpen);
      wasOpen = isOpen;
    }
    box.classList.toggle("clock-soon", isOpen && remaining < 600e3);
    for (const [mark, word] of marks) {
      if (before !== null && before > mark && remaining <= mark) say.textContent = say.dataset[word];
    }
    before = remaining;
    window.setTimeout(tick, 1000 - ((Date.now() + offset) % 1000) + 5);
  };
  tick();

  // Each page that saves by itself brings the server's time back; a laptop that slept asks for it.
  document.addEventListener("htmx:afterSwap", (event) => {
    const told = event.target.querySelector && event.target.querySelector("[data-clock-sync]");
    if (told) offset = Date.parse(told.dataset.clockSync) - Date.now();
  });
  document.addEventListener("visibilitychange", async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("/healthz", { cache: "no-store" });
      const told = Date.parse(answer.headers.get("Date"));
      if (Math.abs(told - Date.now() - offset) > 1500) offset = told - Date.now();
    } catch { /* no network: the clock runs on as it is */ }
  });
}
