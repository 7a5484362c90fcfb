// Runs before the first paint, so that a dark page is never white for a moment.
(() => {
  const stored = localStorage.getItem("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.setAttribute("data-bs-theme", stored || (dark ? "dark" : "light"));
})();
