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

  // How much of a field's room is taken, once there is little left of it. The server counts too and keeps all of it.
  const korean = document.documentElement.lang === "ko";
  const grouped = new Intl.NumberFormat(document.documentElement.lang || "ko");
  document.addEventListener("input", (event) => {
    const field = event.target;
    const most = Number(field.dataset ? field.dataset.most : 0);
    if (!most) return;
    const typed = [...field.value.replace(/\r\n?/g, "\n")].length;
    let count = field.nextElementSibling;
    if (!count || !count.classList.contains("typed-count")) {
      if (typed < 0.8 * most) return;
      count = document.createElement("div");
      count.setAttribute("role", "status");
      field.after(count);
    }
    const over = typed - most;
    count.className = `typed-count small ${over > 0 ? "text-danger" : "text-secondary"}`;
    const [has, may, more] = [typed, most, over].map((value) => grouped.format(value));
    if (typed < 0.8 * most) count.textContent = "";
    else if (over > 0) count.textContent = korean ? `${has} / ${may}자: ${more}자가 넘습니다. 줄여 주십시오.` : `${has} of ${may} characters: ${more} too many. Please shorten it.`;
    else count.textContent = korean ? `${has} / ${may}자` : `${has} of ${may} characters`;
  });

  // Django's CSRF token for htmx posts
  document.addEventListener("htmx:configRequest", (event) => {
    const token = document.querySelector("input[name=csrfmiddlewaretoken]");
    if (token) event.detail.headers["X-CSRFToken"] = token.value;
  });
})();
