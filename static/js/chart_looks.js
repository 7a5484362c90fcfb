// What a chart's values look like: colours, dashes, marks, axes, words. charts.js draws with it; no page needs it alone.
// window.chartLooks = { options(data, box), words, figure(value, unit), moment(ms), wallClock(ms), eventWords }
(() => {
  "use strict";
  // Okabe and Ito's palette: eight colours that colour-blind readers can tell apart; dashes tell the ninth from the first.
  const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7a00", "#767676"];
  const DASHES = ["solid", "dashed", "dotted", [8, 3, 2, 3]];
  const language = document.documentElement.lang || "ko";
  const zone = document.documentElement.dataset.timeZone || undefined; // the reader's, as everywhere on the page
  const words = language === "ko"
    ? {
        table: "표로 보기", time: "시각", none: "이 기간에는 측정값이 없습니다.", failed: "차트를 불러오지 못했습니다.", gap: "측정값 없음",
        events: "이벤트", csv: "CSV 내려받기", png: "PNG 내려받기", back: "확대 해제", in: "확대", chart: "차트",
        keys: "왼쪽·오른쪽 화살표로 값을 읽고, + 와 − 로 확대·축소하며, Esc로 마칩니다. 마우스로 끌면 그 구간을 확대합니다.",
        mean: (text) => `점 하나는 ${text} 평균입니다.`, sum: (text) => `점 하나는 ${text} 합계입니다.`, cut: (shown, all) => `표에는 최근 ${shown}개 시점만 보입니다. 전체 ${all}개는 CSV에 있습니다.`,
        units: [["일", 86400], ["시간", 3600], ["분", 60], ["초", 1]],
      }
    : {
        table: "Show as a table", time: "Time", none: "No figures in this range.", failed: "The chart could not be loaded.", gap: "not measured",
        events: "Events", csv: "Download CSV", png: "Download PNG", back: "Zoom out again", in: "Zoom in", chart: "Chart",
        keys: "Left and right arrows read the values, + and − zoom, Escape ends. Dragging with the mouse zooms into a stretch.",
        mean: (text) => `Each point is the mean of ${text}.`, sum: (text) => `Each point is the sum of ${text}.`, cut: (shown, all) => `The table shows the newest ${shown} moments; all ${all} are in the CSV.`,
        units: [[" d", 86400], [" h", 3600], [" min", 60], [" s", 1]],
      };
  const clock = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone: zone });
  const zoneName = new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "short" });
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
  const figure = (value, unit) => (value == null ? "–" : `${figures.format(value)}${unit ? ` ${unit}` : ""}`);
  const abbreviation = (time) => {
    const name = zoneName.formatToParts(time).find(({ type }) => type === "timeZoneName").value;
    return name === "GMT+9" ? "KST" : name;
  };
  const moment = (time) => `${clock.format(time)} ${abbreviation(time)}`;
  const isDark = () => document.documentElement.getAttribute("data-bs-theme") === "dark";
  function span(seconds) {
    const unit = words.units.find(([, length]) => seconds >= length && seconds % length === 0) || words.units[3];
    return `${figures.format(seconds / unit[1])}${unit[0]}`;
  }

  // What is over-committed, and each class of use, has stripes or dots of its own, so that it is told apart without its colour.
  const stripes = (color, rotation, gap) => ({ symbol: "rect", dashArrayX: [1, 0], dashArrayY: [3, gap], rotation, color });
  const dots = (color) => ({ symbol: "circle", dashArrayX: [[6, 6], [0, 6, 6, 0]], dashArrayY: [6, 0], symbolSize: 0.6, color });
  const LOOKS = {
    booked: { color: "#0072b2" },
    promised: { color: "#56b4e9" },
    over: { color: "#c92a2a", decal: stripes("#ffffff", -Math.PI / 4, 4) },
    physical: { color: "#767676", line: "dashed" },
    bookable: { color: "#009e73", line: "solid" },
    guaranteed: { color: "#5b3a8c", line: [2, 3, 8, 3] },
    used: { color: "#e69f00", line: "solid", symbol: true },
    before: { color: "#cc79a7", line: "dotted" },
    limit: { color: "#767676", line: "dashed" },
    // the classes of a held device-minute, by the names that the evidence gives them, in the colours of usage_classes.py
    use_used: { color: "#0072b2" },
    use_idle: { color: "#e69f00", decal: stripes("#ffffff", Math.PI / 4, 6) },
    use_parked: { color: "#f0e442", decal: dots("#7a6a00") },
    use_hung: { color: "#cc79a7", decal: stripes("#3a1030", -Math.PI / 4, 6) },
    use_no_data: { color: "#9aa0a6", decal: dots("#343a40") },
    use_fault: { color: "#d55e00", decal: stripes("#ffffff", 0, 4) },
    use_maintenance: { color: "#56b4e9", decal: stripes("#003a5c", Math.PI / 2, 6) },
  };
  const MARKS = {
    xid: { symbol: "triangle", color: "#d55e00" },
    handover: { symbol: "diamond", color: "#009e73" },
    driver: { symbol: "rect", color: "#0072b2" },
    maintenance: { symbol: "roundRect", color: "#56b4e9" },
    other: { symbol: "circle", color: "#767676" },
  };
  const MARK_LINES = 60; // more upright lines than this would be a fence

  const cell = (text, css) => { const box = document.createElement("div"); box.textContent = text; if (css) box.className = css; return box; };

  // What is said of one moment: by the mouse's tooltip and to the keyboard's reader alike.
  function said(data, index) {
    const time = data.times[index];
    const end = index + 1 < data.times.length ? data.times[index + 1] : time + 1000 * (data.step_seconds || 0) + 1;
    return {
      when: data.labels ? data.labels[index] : moment(time),
      values: data.series.map((series) => ({ name: series.name, text: figure(data.labels ? series.points[index] : series.at.get(time), series.unit || data.unit) })),
      events: data.labels ? [] : (data.events || []).filter((event) => event.at >= time && event.at < end).map((event) => event.label),
    };
  }

  function tip(data) {
    return (params) => {
      const shown = (Array.isArray(params) ? params : [params]).filter(({ seriesId }) => !String(seriesId).startsWith("events"));
      const box = document.createElement("div");
      if (!shown.length) return box;
      const first = shown[0];
      const index = data.labels ? first.dataIndex : data.times.indexOf(data.series[first.seriesIndex].points[first.dataIndex][0]);
      const { when, values, events } = said(data, index);
      box.append(cell(when, "fw-bold"));
      values.slice(0, 24).forEach(({ name, text }) => box.append(cell(`${name}: ${text}`)));
      events.slice(0, 8).forEach((label) => box.append(cell(`▲ ${label}`)));
      return box;
    };
  }

  const DAY = 86400000;
  function timeAxis(data) {
    return {
      type: "time",
      min: data.start ? wallClock(data.start) : undefined,
      max: data.end ? wallClock(data.end) : undefined,
      minInterval: data.end - data.start > 4 * DAY ? DAY : undefined,
      name: abbreviation(data.end || Date.now()),
      nameGap: 4,
    };
  }
  const TIME_LABELS = { year: "{yyyy}", month: "{yyyy}-{MM}", day: "{MM}-{dd}", hour: "{HH}:{mm}", minute: "{HH}:{mm}", second: "{HH}:{mm}:{ss}", millisecond: "{HH}:{mm}:{ss}", none: "{MM}-{dd} {HH}:{mm}" };

  function line(series, place, data, kind) {
    const look = LOOKS[series.look] || { color: PALETTE[place % PALETTE.length], line: DASHES[Math.floor(place / PALETTE.length) % DASHES.length] };
    const drawn = { id: `s${place}`, name: series.name, color: look.color, itemStyle: { color: look.color, decal: look.decal } };
    const points = data.labels ? series.points : series.points.map(([time, value]) => [wallClock(time), value]);
    const wanted = series.kind || kind;
    if (wanted === "bar") return { ...drawn, type: "bar", data: points, stack: series.stack === undefined && !data.labels ? undefined : series.stack || "promised", barCategoryGap: "20%" };
    const area = wanted === "area" ? { areaStyle: { color: look.color, decal: look.decal, opacity: 0.85 }, stack: series.stack || "area", lineStyle: { width: 0 } } : {};
    return {
      ...drawn,
      type: "line",
      data: points,
      step: data.labels && !look.symbol ? "middle" : false,
      showSymbol: (data.labels && Boolean(look.symbol)) || series.points.length < 3, // of one point there is no line
      connectNulls: false, // a gap is shown as a gap
      lineStyle: { width: 2, type: look.line || "solid", color: look.color },
      ...area,
    };
  }

  function marks(data, ink) {
    const events = data.labels ? [] : data.events || [];
    if (!events.length) return [];
    const upright = events.length <= MARK_LINES
      ? { silent: true, symbol: "none", animation: false, label: { show: false }, lineStyle: { color: ink, type: "dotted", width: 1, opacity: 0.6 }, data: events.map((event) => ({ xAxis: wallClock(event.at) })) }
      : undefined;
    return [{
      id: "events", type: "scatter", yAxisIndex: 1, silent: true, symbolSize: 10, z: 5, markLine: upright,
      data: events.map((event) => {
        const mark = MARKS[event.kind] || MARKS.other;
        return { value: [wallClock(event.at), 1], symbol: mark.symbol, itemStyle: { color: mark.color, borderColor: isDark() ? "#182433" : "#ffffff", borderWidth: 1 } };
      }),
    }];
  }

  const measured = (data) => data.series.some((series) => series.points.some((point) => (Array.isArray(point) ? point[1] : point) != null));

  // Where nothing was measured there is no scale to draw: the picture says so in its middle.
  function empty(ink) {
    const text = { text: words.none, left: "center", top: "middle", textStyle: { color: ink, fontSize: 14, fontWeight: "normal", fontFamily: "Pretendard, NanumGothic, sans-serif" } };
    return { animation: false, useUTC: true, title: text };
  }

  function options(data, box) {
    const ink = isDark() ? "#dce1e7" : "#3a4859";
    const rule = isDark() ? "#3a4859" : "#e6e7e9";
    if (!data.labels && !measured(data) && !(data.events || []).length) return empty(ink);
    const axis = { axisLabel: { color: ink, hideOverlap: true }, axisLine: { lineStyle: { color: ink } }, splitLine: { lineStyle: { color: rule } }, nameTextStyle: { color: ink } };
    const many = data.series.length > 1;
    const top = data.labels || many ? 56 : 28;
    const x = data.labels ? { type: "category", data: data.labels } : timeAxis(data);
    const limit = box.dataset.chartMax || data.max || (data.unit === "%" ? 100 : undefined);
    return {
      animation: false,
      useUTC: true,
      color: PALETTE,
      textStyle: { fontFamily: "Pretendard, NanumGothic, sans-serif", color: ink },
      grid: { left: 60, right: 36, top, bottom: 32 },
      legend: many ? { data: data.series.map((series) => series.name), textStyle: { color: ink }, type: "scroll", top: 0, pageTextStyle: { color: ink } } : undefined,
      tooltip: { trigger: "axis", confine: true, backgroundColor: isDark() ? "#182433" : "#ffffff", borderColor: rule, textStyle: { color: ink }, formatter: tip(data) },
      xAxis: { ...axis, ...x, splitLine: { show: false }, axisLabel: { ...axis.axisLabel, ...(data.labels ? {} : { formatter: TIME_LABELS }) } },
      yAxis: [
        { type: "value", name: data.unit, min: 0, max: limit ? Number(limit) : undefined, ...axis, axisLabel: { ...axis.axisLabel, formatter: (value) => figures.format(value) } },
        { type: "value", min: 0, max: 1, show: false },
      ],
      series: [...data.series.map((series, place) => line(series, place, data, box.dataset.chartKind || "line")), ...marks(data, ink)],
    };
  }

  window.chartLooks = { options, measured, said, words, figure, moment, wallClock, span, isDark, zone: abbreviation };
})();
