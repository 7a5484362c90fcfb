// <div class="chart" data-chart-url="….json"> becomes a picture with buttons, read by mouse and keyboard, and a table of its
// values behind it. Load both scripts with {% include "common/_charts.html" %}.
//   data-chart-kind="line|bar|area"   data-chart-max="100"   data-chart-refresh="10" (seconds; stops while zoomed into the past)
//   data-chart-group="name": dragging over one picture zooms it and all others of its group: each asks its address again
//   with from=&to= (ISO 8601, UTC) in place of range=, and so does the page's own address. Without a group it does not zoom.
//   data-chart-name: title and file name of downloads (else the card's title)
// The JSON: {"unit": "%", "series": [{"name", "points": [[ms, v|null]], "unit"?, "kind"?, "look"?, "stack"?}],
//   "start"?: ms, "end"?: ms, "step_seconds"?: 60, "summed"?: true (points are sums, not means), "max"?: 100, "notes"?: [text],
//   "events"?: [{"at": ms, "kind": "xid|handover|driver|maintenance|other", "label": text}]}; looks: chart_looks.js.
// With data-chart-json="…" in place of the URL the page brings the values, and their table itself: {"unit", "labels": [text],
// "series": [{"name", "kind": "bar|line", "look", "points": [v|null]}]}; bars are stacked.
(() => {
  "use strict";
  const { options, measured, said, words, figure, moment, wallClock, span, isDark, zone } = window.chartLooks;
  const TABLE_ROWS = 240;
  const DRAG_PIXELS = 8; // less is a click

  const make = (tag, css, text) => { const node = document.createElement(tag); if (css) node.className = css; if (text) node.textContent = text; return node; };
  const titleOf = (box) => box.dataset.chartName || box.closest(".card, section")?.querySelector(".card-title, h2, h3")?.textContent.trim() || words.chart;
  const fileName = (box, ending) => `${titleOf(box).replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "")}.${ending}`;

  function save(blob, name) {
    const link = make("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    window.setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // A spreadsheet would run text that begins like this as a formula; the server's CSV does the same.
  function safe(value) {
    const text = typeof value === "string" && /^[=+\-@\t\r\n＝＋－＠]/.test(value) ? `'${value}` : String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function prepare(data) {
    if (data.labels) return { ...data, times: data.labels.map((_label, index) => index) };
    const series = data.series.map((each) => ({ ...each, at: new Map(each.points) }));
    const times = [...new Set(series.flatMap((each) => each.points.map(([time]) => time)))].sort((a, b) => a - b);
    return { ...data, series, times };
  }

  function csv(data) {
    const unit = (series) => (series.unit || data.unit ? ` (${series.unit || data.unit})` : "");
    const timed = !data.labels;
    const head = [timed ? `${words.time} (${zone(data.times[0] || Date.now())})` : "", ...data.series.map((series) => series.name + unit(series))];
    if (timed && data.events) head.push(words.events);
    const rows = data.times.map((time, index) => {
      const values = data.series.map((series) => (timed ? series.at.get(time) : series.points[index]));
      const row = [timed ? moment(time).replace(/ [^ ]+$/, "") : data.labels[index], ...values];
      return timed && data.events ? [...row, said(data, index).events.join("; ")] : row;
    });
    return `\ufeff${[head, ...rows].map((row) => row.map(safe).join(",")).join("\r\n")}\r\n`;
  }

  function png(chart, box) {
    const picture = chart.renderToCanvas({ pixelRatio: 2, backgroundColor: isDark() ? "#182433" : "#ffffff" });
    const whole = make("canvas");
    const bar = 72;
    [whole.width, whole.height] = [picture.width, picture.height + bar];
    const pen = whole.getContext("2d");
    pen.fillStyle = isDark() ? "#182433" : "#ffffff";
    pen.fillRect(0, 0, whole.width, whole.height);
    pen.fillStyle = isDark() ? "#dce1e7" : "#1d273b";
    pen.font = "600 28px Pretendard, NanumGothic, sans-serif";
    pen.fillText(`${titleOf(box)} · ${document.querySelector(".page-title")?.textContent.trim() || ""}`, 24, 46, whole.width - 48);
    pen.drawImage(picture, 0, bar);
    whole.toBlob((blob) => save(blob, fileName(box, "png")));
  }

  function fillTable(place, data) {
    const rows = data.times.map((_time, index) => index).reverse().slice(0, TABLE_ROWS);
    const table = make("table", "table table-sm");
    const head = table.createTHead().insertRow();
    const titles = [words.time, ...data.series.map((series) => `${series.name}${series.unit || data.unit ? ` (${series.unit || data.unit})` : ""}`)];
    if (data.events?.length) titles.push(words.events);
    titles.forEach((text) => { const cell = make("th", "", text); cell.scope = "col"; head.append(cell); });
    const body = table.createTBody();
    rows.forEach((index) => {
      const row = body.insertRow();
      const { when, events } = said(data, index);
      const time = row.insertCell();
      time.textContent = when;
      time.className = "text-nowrap";
      data.series.forEach((series) => { row.insertCell().textContent = figure(series.at.get(data.times[index])); });
      if (data.events?.length) row.insertCell().textContent = events.join("; ");
    });
    const notes = data.times.length > TABLE_ROWS ? [make("p", "text-secondary small mb-1", words.cut(TABLE_ROWS, data.times.length))] : [];
    place.replaceChildren(...notes, table);
  }

  // ---- what one can do with a picture ----
  class Picture {
    constructor(box) {
      this.box = box;
      this.chart = echarts.init(box);
      this.data = null;
      this.cursor = -1;
      this.frame();
      this.keys();
      if (box.dataset.chartGroup) this.dragging();
      window.addEventListener("resize", () => this.chart.resize());
      document.addEventListener("themechange", () => this.draw());
    }

    frame() {
      const { box } = this;
      this.note = make("p", "text-secondary small mb-0");
      this.note.setAttribute("role", "status");
      this.voice = make("p", "chart-voice small mb-0");
      this.voice.setAttribute("aria-live", "polite");
      this.bar = make("div", "btn-list chart-bar d-print-none");
      this.bar.hidden = true;
      this.back = this.button(words.back, () => zoom(box.dataset.chartGroup, null));
      this.back.hidden = true;
      this.button(words.csv, () => save(new Blob([csv(this.data)], { type: "text/csv;charset=utf-8" }), fileName(box, "csv")));
      this.button(words.png, () => png(this.chart, box));
      box.after(this.voice, this.note, this.bar);
      if (box.dataset.chartUrl) {
        this.details = make("details");
        this.details.append(make("summary", "text-secondary", words.table), make("div", "chart-table"));
        this.details.addEventListener("toggle", () => this.table());
        this.bar.after(this.details);
      }
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-roledescription", words.chart);
      if (!box.hasAttribute("aria-label")) box.setAttribute("aria-label", titleOf(box));
      box.setAttribute("aria-description", words.keys);
    }

    button(text, act) {
      const button = make("button", "btn btn-sm", text);
      button.type = "button";
      button.addEventListener("click", act);
      this.bar.append(button);
      return button;
    }

    show(data) {
      const moment = this.data?.times[this.cursor];
      this.data = prepare(data);
      if (this.cursor >= 0) this.cursor = this.data.times.indexOf(moment);
      if (this.cursor < 0 && moment !== undefined) this.leave(); // what was said is of a moment that is no longer drawn
      const notes = [...(data.notes || [])];
      if (!measured(this.data)) notes.unshift(words.none);
      else if (data.step_seconds) notes.push(words[data.summed ? "sum" : "mean"](span(data.step_seconds)));
      this.say(notes.join(" "));
      this.bar.hidden = false;
      this.draw();
      this.table();
    }

    say(text) { if (this.note.textContent !== text) this.note.textContent = text; }
    draw() { if (this.data) this.chart.setOption(options(this.data, this.box), true); }
    table() { if (this.data && this.details?.open) fillTable(this.details.querySelector(".chart-table"), this.data); }

    // Left and right walk over the moments; the picture shows the same tip as the mouse gets, and the line below says it.
    keys() {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
      this.box.addEventListener("keydown", (event) => {
        if (!this.data || !this.data.times.length || event.ctrlKey || event.altKey || event.metaKey) return;
        if (event.key in steps) this.walk(steps[event.key]);
        else if (event.key === "+" || event.key === "=") this.scale(0.5);
        else if (event.key === "-") this.scale(2);
        else if (event.key === "Escape") this.leave();
        else return;
        event.preventDefault();
      });
      this.box.addEventListener("focus", () => { if (this.box.matches(":focus-visible")) this.voice.textContent = words.keys; });
      // what was said stays: were it to vanish, the button that is just being pressed would move away from under the pointer
      this.box.addEventListener("blur", () => this.chart.dispatchAction({ type: "hideTip" }));
    }

    walk(by) {
      const last = this.data.times.length - 1;
      const from = this.cursor < 0 ? (by < 0 ? last + 1 : -1) : this.cursor;
      this.cursor = Math.min(last, Math.max(0, from + by));
      const { when, values, events } = said(this.data, this.cursor);
      const texts = values.slice(0, 24).map(({ name, text }) => `${name} ${text === "–" ? words.gap : text}`);
      this.voice.textContent = [`${when}: ${texts.join(", ")}`, ...events].join(" · ");
      const at = this.data.labels ? this.cursor : wallClock(this.data.times[this.cursor]);
      const [x, y] = [this.chart.convertToPixel({ xAxisIndex: 0 }, at), this.chart.getHeight() / 2];
      this.chart.dispatchAction({ type: "showTip", x, y });
      this.chart.dispatchAction({ type: "updateAxisPointer", x, y });
    }

    leave() {
      this.cursor = -1;
      this.voice.textContent = "";
      this.chart.dispatchAction({ type: "hideTip" });
    }

    scale(factor) {
      const { start, end, times } = this.data;
      if (!this.box.dataset.chartGroup || !start) return;
      const middle = this.cursor < 0 ? (start + end) / 2 : times[this.cursor];
      const half = ((end - start) * factor) / 2;
      zoom(this.box.dataset.chartGroup, [middle - half, Math.min(middle + half, Date.now())]);
    }

    dragging() {
      const { box, chart } = this;
      const shade = make("div", "chart-shade");
      let begun = null;
      box.classList.add("chart-zoomable");
      box.append(shade);
      const inside = (event) => Math.min(box.clientWidth, Math.max(0, event.clientX - box.getBoundingClientRect().left));
      const end = () => { begun = null; shade.classList.remove("chart-shade-on"); };
      box.addEventListener("pointerdown", (event) => {
        const x = inside(event);
        if (event.button === 0 && this.data?.start && chart.containPixel({ gridIndex: 0 }, [x, event.clientY - box.getBoundingClientRect().top])) begun = x;
      });
      box.addEventListener("pointermove", (event) => {
        if (begun === null) return;
        const x = inside(event);
        if (Math.abs(x - begun) < DRAG_PIXELS) return;
        shade.classList.add("chart-shade-on");
        shade.style.left = `${Math.min(x, begun)}px`;
        shade.style.width = `${Math.abs(x - begun)}px`;
      });
      box.addEventListener("pointerup", (event) => {
        const x = inside(event);
        if (begun !== null && Math.abs(x - begun) >= DRAG_PIXELS) zoom(box.dataset.chartGroup, [begun, x].sort((a, b) => a - b).map((pixel) => this.timeAt(pixel)));
        end();
      });
      ["pointercancel", "pointerleave"].forEach((name) => box.addEventListener(name, end));
    }

    // The axis is drawn in the reader's wall clock; offsets are whole quarters, so one correction finds the moment again.
    timeAt(pixel) {
      const { start, end } = this.data;
      const drawn = this.chart.convertFromPixel({ xAxisIndex: 0 }, pixel);
      const guess = drawn - (wallClock(start) - start);
      return Math.min(end, Math.max(start, drawn - (wallClock(guess) - guess)));
    }
  }

  // ---- zoom: a range for all pictures of a group, and for the page's address ----
  const MIN_SPAN = 60000;
  const groups = new Map();
  const iso = (time) => new Date(time).toISOString().replace(/\.\d+Z$/, "Z");
  function zoom(group, range) {
    if (!group) return;
    if (range && range[1] - range[0] < MIN_SPAN) range = [range[1] - MIN_SPAN, range[1]];
    groups.set(group, range);
    const address = new URL(window.location.href);
    ["from", "to"].forEach((name, place) => (range ? address.searchParams.set(name, iso(range[place])) : address.searchParams.delete(name)));
    window.history.replaceState(window.history.state, "", address);
    markRange(address.searchParams);
    document.dispatchEvent(new CustomEvent("chartzoom", { detail: { group } }));
  }
  // Of the ranges that the page offers none is the one shown while a stretch of one's own is.
  function markRange(asked) {
    document.querySelectorAll("[data-chart-ranges]").forEach((nav) => {
      const shown = asked.has("from") ? "" : asked.get("range") || nav.dataset.chartRanges;
      nav.querySelectorAll("[data-range]").forEach((link) => {
        link.classList.toggle("active", link.dataset.range === shown);
        if (link.dataset.range === shown) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      });
    });
  }
  function addressOf(box) {
    const address = new URL(box.dataset.chartUrl, window.location.href);
    const range = groups.get(box.dataset.chartGroup);
    if (groups.has(box.dataset.chartGroup)) ["from", "to"].forEach((name) => address.searchParams.delete(name));
    if (range) ["from", "to"].forEach((name, place) => address.searchParams.set(name, iso(range[place])));
    return address;
  }

  function start(box) {
    if (box.dataset.started) return;
    box.dataset.started = "1";
    const picture = new Picture(box);
    if (box.dataset.chartJson) { picture.show(JSON.parse(box.dataset.chartJson)); return; }
    const { chartGroup: group } = box.dataset;
    let timer = 0;
    let asked = 0;
    let loaded = 0;
    async function load() {
      if (!box.isConnected) { picture.chart.dispose(); window.clearInterval(timer); return; }
      const address = addressOf(box);
      const zoomed = address.searchParams.has("from");
      picture.back.hidden = !zoomed;
      const mine = (asked += 1);
      try {
        const answer = await fetch(address, { headers: { Accept: "application/json" } });
        if (!answer.ok) throw new Error(answer.status);
        const data = await answer.json();
        if (mine === asked) { loaded = Date.now(); picture.show(data); }
      } catch (error) {
        if (mine === asked) picture.say(words.failed);
      }
    }
    const seconds = Number(box.dataset.chartRefresh || 0);
    load();
    // a step that is not over brings nothing new, nobody looks at a hidden page, and the past stays as it was
    const due = () => Date.now() - loaded > 1000 * (picture.data?.step_seconds || 0) && !document.hidden && !addressOf(box).searchParams.has("from");
    if (seconds) timer = window.setInterval(() => { if (due()) load(); }, seconds * 1000);
    if (group) document.addEventListener("chartzoom", (event) => { if (event.detail.group === group) load(); });
  }

  const all = () => document.querySelectorAll(".chart[data-chart-url], .chart[data-chart-json]").forEach(start);
  all();
  document.addEventListener("htmx:afterSettle", all);
})();
