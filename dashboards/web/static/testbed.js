// What the pages need in the browser: settings, navigation, ages that count on, and what the server tells each second.
// Charts are in charts.js' part below. Nothing here asks another host.
"use strict";

window.testbed = (() => {
  const { theme, words } = window.testbedSettings;
  let offset = 0; // server clock − browser clock, ms

  // Theme: before the first paint, and when the device changes its mind.
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const applyTheme = () => {
    document.documentElement.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  };
  applyTheme();
  dark.addEventListener("change", () => {
    if (theme === "auto") location.reload(); // charts take their colours when they are made
  });

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  // Navigation: links are answered over the socket by NiceGUI; selects and forms do the same.
  const go = (address) => emitEvent("sub_pages_navigate", address);
  let lastFocus = null;
  let scrolled = 0;
  document.addEventListener("focusin", (e) => e.target.id && (lastFocus = e.target.id));
  document.addEventListener("change", (e) => {
    if (e.target.matches("select[data-navigate]")) leave(e.target.value);
  });
  document.addEventListener("submit", (e) => {
    if (!e.target.matches("form[data-get]")) return;
    e.preventDefault();
    leave(e.target.getAttribute("action") + "?" + new URLSearchParams(new FormData(e.target)));
  });
  const leave = (address) => {
    pressed();
    go(address);
  };
  const pressed = () => {
    scrolled = window.scrollY;
    document.documentElement.classList.add("busy");
  };
  document.addEventListener(
    "click",
    (e) => {
      const link = e.target.closest("a[href]");
      if (link && link.getAttribute("href") === "") {
        e.preventDefault();
        location.reload();
      } else if (link && link.getAttribute("href").startsWith("#")) {
        e.preventDefault();
        document.querySelector(link.getAttribute("href"))?.focus();
      } else if (link && !e.metaKey && !e.ctrlKey && !e.shiftKey && link.getAttribute("href").startsWith("/")) {
        if (!link.target && !link.hasAttribute("download")) pressed();
      }
      for (const open of document.querySelectorAll("details[open]")) {
        if (!open.contains(e.target) && open.querySelector(".popover")) open.open = false;
      }
      const choice = e.target.closest("button[data-cookie]");
      if (choice) {
        const { cookie, value } = choice.dataset;
        document.cookie = `${cookie}=${value}; path=/; max-age=31536000; samesite=lax`;
        location.reload();
      }
    },
    true,
  );
  document.addEventListener("keydown", (e) => {
    if (e.key !== "Escape") return;
    const open = document.activeElement?.closest("details[open]") || document.querySelector("details[open] .popover")?.parentElement;
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  });

  // The server has put another page, or another window of the same page, on screen.
  function arrived(same) {
    document.documentElement.classList.remove("busy");
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        if (same) window.scrollTo(0, scrolled);
        const lost = !document.activeElement || document.activeElement === document.body;
        if (lost) (same && lastFocus && document.getElementById(lastFocus) ? document.getElementById(lastFocus) : document.getElementById("main"))?.focus({ preventScroll: true });
        tick();
      }),
    );
  }

  // Ages count on by themselves; the words are those of the server.
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  function duration(ms) {
    const s = Math.round(ms / 1000);
    if (s < 60) return fill(words.s, { n: s });
    const min = Math.round(ms / 60000);
    if (min < 60) return fill(words.min, { n: min });
    if (min < 48 * 60) {
      const [h, m] = [Math.floor(min / 60), min % 60];
      return m ? fill(words.hm, { h, m }) : fill(words.h, { h });
    }
    const hours = Math.round(ms / 3600000);
    const [d, h] = [Math.floor(hours / 24), hours % 24];
    return h ? fill(words.dh, { d, h }) : fill(words.d, { d });
  }
  const ago = (ms) => (ms < 2000 ? words.now : fill(words.ago, { age: duration(ms) }));
  function tick() {
    const now = Date.now() + offset;
    for (const el of document.querySelectorAll("[data-age]")) {
      const old = now - Number(el.dataset.age);
      const text = ago(old);
      if (el.textContent !== text) el.textContent = text;
      if (el.dataset.staleS) el.classList.toggle("stale", old > 1000 * Number(el.dataset.staleS));
    }
    for (const el of document.querySelectorAll("[data-clock]")) {
      el.textContent = new Intl.DateTimeFormat("sv", { hour: "2-digit", minute: "2-digit", timeZone: window.testbedSettings.zone }).format(now);
    }
  }
  setInterval(tick, 1000);

  // News from the server, once a second: only what changed.
  const listeners = [];
  function hear(news) {
    offset = news.now - Date.now();
    for (const [key, html] of Object.entries(news.html)) {
      const place = document.querySelector(`[data-live="${CSS.escape(key)}"]`);
      if (place) {
        place.innerHTML = html;
      }
    }
    for (const listener of listeners) listener(news);
    tick();
  }

  return { arrived, color, hear, onNews: (listener) => listeners.push(listener), now: () => Date.now() + offset };
})();
