// What the pages need in the browser: settings, navigation, ages that count on, what the server tells each second,
// and (second part) the charts. Nothing here asks another host.
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
  const pressed = (link) => {
    scrolled = window.scrollY;
    document.documentElement.classList.add("busy");
    if (link?.closest(".windows, .side")) {
      for (const other of link.parentElement.closest(".windows, .side").querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
    }
  };
  window.addEventListener("popstate", () => pressed());
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
        if (!link.target && !link.hasAttribute("download")) pressed(link);
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
      for (const place of document.querySelectorAll(`[data-live="${CSS.escape(key)}"]`)) place.innerHTML = html;
    }
    for (const el of news.ages ? document.querySelectorAll("[data-age-of]") : []) {
      if (el.dataset.ageOf in news.ages) el.dataset.age = news.ages[el.dataset.ageOf];
    }
    for (const listener of listeners) listener(news);
    tick();
  }

  return { arrived, color, hear, onNews: (listener) => listeners.push(listener), now: () => Date.now() + offset };
})();

// Charts: aligned, one cursor through all of them, points added as they come.
(() => {
  const { language, zone, words } = window.testbedSettings;
  const locale = language === "sv" ? "sv-SE" : "en-GB";
  const UNKNOWN = "unknown";
  const CLOCK = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: zone });
  const DAY_CLOCK = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: zone });
  const number = (value, decimals) => new Intl.NumberFormat(locale, { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).format(value);
  const plain = new Intl.NumberFormat(locale, { maximumFractionDigits: 6 });

  testbed.labels = (labels) => (value) => labels[value] ?? "";
  testbed.dot = (row) => (row[4] ? 5 : 0); // a line cannot show a point that stands alone
  testbed.axisNumber = (value) => plain.format(value);

  // State ribbon: one rectangle per interval; no data is hatched.
  let hatch = null;
  function hatching() {
    if (hatch) return hatch;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 8;
    const ink = canvas.getContext("2d");
    ink.fillStyle = testbed.color("unknown");
    ink.fillRect(0, 0, 8, 8);
    ink.strokeStyle = testbed.color("hatch");
    ink.lineWidth = 1.2;
    for (const shift of [-8, 0, 8]) {
      ink.beginPath();
      ink.moveTo(shift, 8);
      ink.lineTo(shift + 8, 0);
      ink.stroke();
    }
    return (hatch = { image: canvas, repeat: "repeat" });
  }
  testbed.ribbonItem = (states) => (params, api) => {
    const area = params.coordSys;
    const from = Math.max(api.coord([api.value(0), 0])[0], area.x);
    const to = Math.min(api.coord([api.value(1), 0])[0], area.x + area.width);
    if (to <= from) return;
    const state = states[api.value(2)];
    const fill = state === UNKNOWN ? hatching() : testbed.color(state);
    return { type: "rect", shape: { x: from, y: area.y, width: Math.max(to - from, 0.75), height: area.height }, style: { fill } };
  };

  // The charts on screen: { about, chart, rows, axis }. They come and go by themselves (chart.js).
  let shown = [];
  function draw(chart, about) {
    forget(chart);
    const option = chart.getOption();
    const rows = (about.id === "ribbon" ? option.series[0].data : option.dataset[0].source).slice();
    const entry = { about, chart, rows, axis: { min: option.xAxis[0].min, max: option.xAxis[0].max } };
    chart.off("updateAxisPointer");
    chart.on("updateAxisPointer", (event) => point(entry, event));
    shown.push(entry);
  }
  function forget(chart) {
    shown = shown.filter((entry) => entry.chart !== chart);
  }

  // One cursor: echarts.connect() passes pixels on, which fails between charts of different height; this passes time.
  let passing = false;
  function point(entry, event) {
    const time = event.axesInfo?.find((info) => info.axisDim === "x")?.value ?? null;
    readout(entry, time);
    if (passing) return;
    passing = true;
    for (const { chart } of shown) {
      if (chart === entry.chart) continue;
      const x = time === null ? -1 : chart.convertToPixel({ xAxisIndex: 0 }, time);
      chart.dispatchAction({ type: "updateAxisPointer", currTrigger: time === null ? "leave" : "mousemove", x, y: time === null ? -1 : 16 });
    }
    passing = false;
  }

  // What the cursor stands on, in each chart's head.
  const place = (id) => document.querySelector(`[data-readout="${CSS.escape(id)}"]`);
  function readout(entry, time) {
    const where = place(entry.about.id);
    if (!where) return;
    where.closest(".chart-head").classList.toggle("reading", time !== null);
    if (time === null) return void (where.textContent = "");
    const clock = (entry.axis.max - entry.axis.min > 36 * 3600e3 ? DAY_CLOCK : CLOCK).format(time);
    where.textContent = entry.about.id === "ribbon" ? stateAt(entry, time, clock) : valueAt(entry, time, clock);
  }
  function stateAt({ about, rows }, time, clock) {
    const row = rows.find(([start, end]) => start <= time && time < end);
    if (!row) return clock;
    return `${clock} · ${about.words[row[2]]} ${CLOCK.format(row[0]).slice(0, 5)}–${CLOCK.format(row[1]).slice(0, 5)}`;
  }
  function valueAt({ about, rows }, time, clock) {
    const row = nearest(rows, time);
    if (!row || row[1] === null || Math.abs(row[0] - time) > Math.max(about.hold ?? Infinity, 1.5 * about.bucket)) return `${clock} · –`;
    const [, mean, low, spread] = row;
    const unit = about.unit ? " " + about.unit : "";
    const range = spread > 0 ? ` (${number(low, about.decimals)}–${number(low + spread, about.decimals)})` : "";
    return `${clock} · ${number(mean, about.decimals)}${unit}${range}`;
  }
  function nearest(rows, time) {
    let [first, last] = [0, rows.length - 1];
    while (last - first > 1) {
      const middle = (first + last) >> 1;
      if (rows[middle][0] <= time) first = middle;
      else last = middle;
    }
    const [a, b] = [rows[first], rows[last]];
    return a && b ? (time - a[0] <= b[0] - time ? a : b) : a;
  }

  // Points as they come: into the bucket they belong to; the axis grows only when a value leaves it.
  testbed.onNews((news) => {
    for (const entry of shown) {
      const option = {};
      if (entry.about.id === "ribbon") {
        if (!news.ribbon) continue;
        extendRibbon(entry.rows, news.ribbon, Math.min(news.now, entry.about.rolling ? Infinity : entry.axis.max));
        option.series = [{ data: entry.rows }];
      } else {
        const points = news.points?.[entry.about.id];
        if (!points?.length) continue;
        for (const [time, value] of points) addPoint(entry, time, value);
        option.dataset = { source: entry.rows };
        const y = outgrown(entry);
        if (y) option.yAxis = { min: y[0], max: y[1] };
      }
      if (entry.about.rolling && news.now > entry.axis.max) {
        const by = news.now - entry.axis.max;
        entry.axis = { min: entry.axis.min + by, max: entry.axis.max + by };
        option.xAxis = entry.axis;
      }
      entry.chart.setOption(option);
    }
  });
  function extendRibbon(rows, [since, code], now) {
    const last = rows[rows.length - 1];
    if (last && last[2] === code) last[1] = Math.max(last[1], now);
    else if (now > since) {
      if (last) last[1] = Math.min(Math.max(last[0], since), now);
      rows.push([last ? last[1] : since, now, code]);
    }
  }
  function addPoint({ about, rows, axis }, time, value) {
    if (!about.rolling && (time < axis.min || time >= axis.max)) return;
    const last = rows[rows.length - 1];
    if (value === null) {
      if (last && last[1] !== null) rows.push([time, null, null, null]);
      return;
    }
    const middle = Math.floor((time - about.start) / about.bucket) * about.bucket + about.start + about.bucket / 2;
    if (last && last[0] === middle && last[1] !== null) {
      last.n = (last.n ?? Math.max(about.bucket / 2000, 1)) + 1;
      const high = Math.max(last[2] + last[3], value);
      last[1] += (value - last[1]) / last.n;
      last[2] = Math.min(last[2], value);
      last[3] = high - last[2];
    } else if (!last || last[0] < middle) {
      if (last && last[1] !== null && about.hold !== null && middle - last[0] > Math.max(about.hold, 1.5 * about.bucket)) rows.push([middle - 1, null, null, null]);
      const before = rows[rows.length - 1];
      const alone = !before || before[1] === null;
      if (!alone) before[4] = 0;
      rows.push(Object.assign([middle, value, value, 0, alone ? 1 : 0], { n: 1 }));
    }
  }
  function outgrown({ about, rows }) {
    const last = rows[rows.length - 1];
    if (!last || last[1] === null) return null;
    const [low, high, step] = about.y;
    if (about.valid) {
      const [least, most] = about.valid;
      if (last[2] < 2 * least - most || last[2] + last[3] > 2 * most - least) return null; // absurd: leave the axis readable
    }
    const [from, to] = [Math.min(low, Math.floor(last[2] / step) * step), Math.max(high, Math.ceil((last[2] + last[3]) / step) * step)];
    if (from === low && to === high) return null;
    about.y = [from, to, step];
    return [from, to];
  }

  // Exports: what the chart shows, made in the browser.
  document.addEventListener("click", (e) => {
    const button = e.target.closest("button[data-export]");
    const entry = button && shown.find((one) => one.about.id === button.dataset.chart);
    if (!entry) return;
    const name = entry.about.id.replace(/[^\w.-]+/g, "_");
    if (button.dataset.export === "png") save(picture(entry), name + ".png");
    else save(URL.createObjectURL(new Blob(["\ufeff", table(entry)], { type: "text/csv" })), name + ".csv");
  });
  // As the reader's Excel opens it: semicolons and decimal commas in Swedish. A gap is a row with empty cells.
  function table({ about, rows }) {
    const [separator, point] = language === "sv" ? [";", ","] : [",", "."];
    const cell = (text) => (/[",;\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const figure = (value) => (value === null ? "" : String(Number(value.toPrecision(7))).replace(".", point));
    const lines = rows.map(([time, mean, low, spread]) => [localIso(time), figure(mean), figure(low), figure(low === null ? null : low + spread)]);
    return [...about.origin.map((pair) => pair.map(cell)), [], ["time", "mean", "min", "max"], ...lines].map((line) => line.join(separator)).join("\r\n");
  }
  // 2026-05-03T14:05:09.500+02:00, in the plant's zone.
  const LOCAL = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone: zone });
  const OFFSET = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeZoneName: "longOffset" });
  function localIso(time) {
    const offset = OFFSET.formatToParts(time).find((part) => part.type === "timeZoneName").value.slice(3) || "+00:00";
    return `${LOCAL.format(time).replace(" ", "T")}.${String(Math.floor(time) % 1000).padStart(3, "0")}${offset}`;
  }
  // The chart grows by a title for the picture, and shrinks again before anyone sees it.
  const TITLE = 52;
  function picture({ about, chart }) {
    const [plant, machine, , , time, ...origin] = about.origin.map((pair) => pair[1]);
    const top = chart.getOption().grid[0].top;
    const style = (size, name) => ({ fontSize: size, color: testbed.color(name), fontFamily: "Roboto, system-ui, sans-serif" });
    chart.resize({ height: chart.getHeight() + TITLE });
    chart.setOption({
      grid: { top: top + TITLE },
      title: { show: true, left: 8, top: 8, itemGap: 10, text: `${machine} · ${about.name}`, subtext: [plant, time, ...origin].join(" · "), textStyle: style(15, "ink"), subtextStyle: style(12, "ink-2") },
    });
    const address = chart.getDataURL({ pixelRatio: 2, backgroundColor: testbed.color("surface") });
    chart.setOption({ grid: { top }, title: { show: false } });
    chart.resize({ height: "auto" });
    return address;
  }
  function save(address, name) {
    const link = Object.assign(document.createElement("a"), { href: address, download: name });
    link.click();
    if (address.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  Object.assign(testbed, { draw, forget });
  window.addEventListener("load", () => setTimeout(() => import("nicegui-echart"), 1000)); // ready before the first click
})();
