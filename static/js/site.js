// Small comforts. Every page works without this file.
(() => {
  "use strict";

  document.querySelectorAll(".js-theme").forEach((button) => {
    button.addEventListener("click", () => {
      const root = document.documentElement;
      const theme = root.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
      root.setAttribute("data-bs-theme", theme);
      localStorage.setItem("theme", theme);
      document.dispatchEvent(new CustomEvent("themechange"));
    });
  });

  // A second click on a button that is already sending does nothing; the server would refuse it anyway.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.dataset.sending) {
      if (form.dataset.sending) event.preventDefault();
      return;
    }
    form.dataset.sending = "1";
    window.setTimeout(() => delete form.dataset.sending, 8000);
  });
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sending]").forEach((form) => delete form.dataset.sending);
  });

  document.querySelectorAll(".js-print").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  });

  document.addEventListener("click", (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy && navigator.clipboard) {
      const source = document.querySelector(copy.dataset.copy);
      if (source) navigator.clipboard.writeText(source.textContent.trim());
      return;
    }
    document.querySelectorAll("details.user-menu[open], details.nav-group[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.removeAttribute("open");
    });
  });

  // Django's CSRF token for htmx posts
  document.addEventListener("htmx:configRequest", (event) => {
    const token = document.querySelector("input[name=csrfmiddlewaretoken]");
    if (token) event.detail.headers["X-CSRFToken"] = token.value;
  });
})();
