// <div class="chart" data-chart-url="….json" data-chart-kind="line|bar" data-chart-refresh="10" data-chart-max="100">
// becomes a picture with a table of its values behind it. The JSON: {"unit": "%", "series": [{"name", "points": [[ms, v|null]]}]}.
// With data-chart-json="…" in place of the URL the page brings the values, and their table itself: {"unit", "labels": [text],
// "series": [{"name", "kind": "bar|line", "look", "points": [v|null]}]}; bars are stacked.
(() => {
  "use strict";
  // Okabe and Ito's palette: eight colours that colour-blind readers can tell apart
  const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7a00", "#767676"];
  const language = document.documentElement.lang || "ko";
  const zone = document.documentElement.dataset.timeZone || undefined; // the reader's, as everywhere on the page
  const words = language === "ko"
    ? { table: "표로 보기", time: "시각", none: "아직 측정값이 없습니다.", failed: "차트를 불러오지 못했습니다." }
    : { table: "Show as a table", time: "Time", none: "Nothing was measured yet.", failed: "The chart could not be loaded." };
  const clock = new Intl.DateTimeFormat(language, { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hour12: false, timeZone: zone });
  const parts = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" });
  const offsets = new Map();
  // The axis knows the browser's zone and UTC only: points are moved by the reader's own offset and drawn as if UTC.
  // Offsets change on a quarter of an hour at the finest, so one look a quarter is enough.
  function wallClock(time) {
    const quarter = Math.floor(time / 900000) * 900000;
    if (!offsets.has(quarter)) {
      const part = Object.fromEntries(parts.formatToParts(quarter).map(({ type, value }) => [type, Number(value)]));
      offsets.set(quarter, Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second) - quarter);
    }
    return time + offsets.get(quarter);
  }
  const figures = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  const isDark = () => document.documentElement.getAttribute("data-bs-theme") === "dark";

  // The capacity board. What is over-committed is striped, so that it is told apart without its colour.
  const LOOKS = {
    booked: { color: "#0072b2" },
    promised: { color: "#56b4e9" },
    over: { color: "#c92a2a", decal: { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [3, 4], rotation: -Math.PI / 4, color: "#ffffff" } },
    physical: { color: "#767676", line: "dashed" },
    bookable: { color: "#009e73", line: "solid" },
    guaranteed: { color: "#5b3a8c", line: [2, 3, 8, 3] },
    used: { color: "#e69f00", line: "solid", symbol: true },
    before: { color: "#cc79a7", line: "dotted" },
  };

  function labelled(data, common) {
    return {
      ...common,
      grid: { ...common.grid, top: 56 },
      xAxis: { ...common.xAxis, type: "category", data: data.labels, axisLabel: { ...common.xAxis.axisLabel, hideOverlap: true } },
      series: data.series.map((series) => {
        const look = LOOKS[series.look];
        const points = { name: series.name, data: series.points, itemStyle: { color: look.color, decal: look.decal }, color: look.color };
        return series.kind === "bar"
          ? { ...points, type: "bar", stack: "promised", barCategoryGap: "20%" }
          : { ...points, type: "line", step: look.symbol ? false : "middle", showSymbol: Boolean(look.symbol), connectNulls: false, lineStyle: { width: 2, type: look.line, color: look.color } };
      }),
    };
  }

  function options(data, box) {
    const common = timed(data, box);
    return data.labels ? labelled(data, common) : common;
  }

  function timed(data, box) {
    const ink = isDark() ? "#dce1e7" : "#3a4859";
    const axis = { axisLabel: { color: ink, hideOverlap: true }, axisLine: { lineStyle: { color: ink } }, splitLine: { lineStyle: { color: isDark() ? "#3a4859" : "#e6e7e9" } } };
    return {
      animation: false,
      useUTC: true,
      color: PALETTE,
      textStyle: { fontFamily: "Pretendard, NanumGothic, sans-serif", color: ink },
      grid: { left: 56, right: 16, top: data.series.length > 1 ? 40 : 24, bottom: 32 },
      legend: data.series.length > 1 ? { textStyle: { color: ink }, type: "scroll", top: 0 } : undefined,
      tooltip: { trigger: "axis", valueFormatter: (value) => (value == null ? "–" : `${figures.format(value)} ${data.unit}`) },
      xAxis: { type: "time", ...axis, splitLine: { show: false } },
      yAxis: { type: "value", name: data.unit, nameTextStyle: { color: ink }, min: 0, max: box.dataset.chartMax ? Number(box.dataset.chartMax) : undefined, ...axis },
      series: data.series.map((series) => ({
        name: series.name,
        type: box.dataset.chartKind === "bar" ? "bar" : "line",
        showSymbol: series.points.length < 3,
        connectNulls: false, // a gap is shown as a gap
        data: data.labels ? [] : series.points.map(([time, value]) => [wallClock(time), value]),
      })),
    };
  }

  function fillTable(details, data) {
    const times = [...new Set(data.series.flatMap((series) => series.points.map((point) => point[0])))].sort().reverse().slice(0, 240);
    const lookup = data.series.map((series) => new Map(series.points));
    const table = document.createElement("table");
    table.className = "table table-sm";
    const head = table.createTHead().insertRow();
    [words.time, ...data.series.map((series) => `${series.name} (${data.unit})`)].forEach((text) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = text;
      head.append(cell);
    });
    const body = table.createTBody();
    times.forEach((time) => {
      const row = body.insertRow();
      row.insertCell().textContent = clock.format(time);
      lookup.forEach((values) => { const value = values.get(time); row.insertCell().textContent = value == null ? "–" : figures.format(value); });
    });
    details.querySelector(".chart-table").replaceChildren(table);
  }

  function start(box) {
    if (box.dataset.started) return;
    box.dataset.started = "1";
    if (box.dataset.chartJson) {
      const picture = echarts.init(box);
      const paint = () => picture.setOption(options(JSON.parse(box.dataset.chartJson), box), true);
      paint();
      window.addEventListener("resize", () => picture.resize());
      document.addEventListener("themechange", paint);
      return;
    }
    const details = document.createElement("details");
    details.innerHTML = '<summary class="text-secondary"></summary><div class="chart-table"></div>';
    details.querySelector("summary").textContent = words.table;
    const note = document.createElement("p");
    note.className = "text-secondary mb-0";
    note.setAttribute("role", "status");
    box.after(note, details);
    const chart = echarts.init(box);
    let last = null;
    const draw = () => { if (last) chart.setOption(options(last, box), true); };
    async function load() {
      if (!box.isConnected) { chart.dispose(); window.clearInterval(timer); return; }
      try {
        const answer = await fetch(box.dataset.chartUrl, { headers: { Accept: "application/json" } });
        if (!answer.ok) throw new Error(answer.status);
        last = await answer.json();
        const empty = !last.series.some((series) => series.points.some((point) => point[1] != null));
        note.textContent = empty ? words.none : "";
        draw();
        fillTable(details, last);
      } catch (error) {
        note.textContent = words.failed;
      }
    }
    let timer = 0;
    const seconds = Number(box.dataset.chartRefresh || 0);
    load();
    if (seconds) timer = window.setInterval(load, seconds * 1000);
    window.addEventListener("resize", () => chart.resize());
    document.addEventListener("themechange", draw);
  }

  const all = () => document.querySelectorAll(".chart[data-chart-url], .chart[data-chart-json]").forEach(start);
  all();
  document.addEventListener("htmx:afterSettle", all);
})();
