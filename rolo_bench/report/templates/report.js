"use strict";
(function () {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const packed = new Uint16Array(bytes(data.values).buffer);
  const S = data.sequences.length, K = data.trackers.length;
  const lengths = data.kinds.map((k) => k.thresholds.length);
  const perConvention = S * K * lengths.reduce((a, b) => a + b, 0);
  const shown = data.trackers.map(() => true);
  const state = { kind: 0, convention: 0, attribute: "ALL", at: 10, sequence: 0, hot: -1 };

  function element(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  function option(value, text) {
    const made = document.createElement("option");
    made.value = value;
    made.textContent = text;
    return made;
  }
  function chosen() {
    const found = [];
    data.sequences.forEach((s, i) => {
      if (state.attribute === "ALL" || s.attributes.includes(state.attribute)) found.push(i);
    });
    return found;
  }
  // Mean curve of each tracker over the chosen sequences; null where the convention has no such curve.
  function means() {
    const T = lengths[state.kind], start = state.convention * perConvention +
      S * K * lengths.slice(0, state.kind).reduce((a, b) => a + b, 0);
    const rows = chosen();
    return data.trackers.map((_, k) => {
      const sum = new Float64Array(T);
      for (const s of rows) {
        const base = start + (s * K + k) * T;
        if (packed[base] === 65535) return null;
        for (let t = 0; t < T; t++) sum[t] += packed[base + t];
      }
      return Array.from(sum, (v) => v / rows.length / data.scale);
    });
  }
  function scalar(curve) {
    const at = data.kinds[state.kind].at;
    return at === null ? curve.reduce((a, b) => a + b, 0) / curve.length : curve[at];
  }
  function dashes(t) {
    return t.dash.map((d) => d * t.width).join(" ");
  }

  // One chart of lines in a box; x runs from first to last of xs. Returns a function that maps x to a place.
  function draw(box, lines, xs, words) {
    box.textContent = "";
    const W = Math.max(box.clientWidth, 240), H = Math.max(box.clientHeight, 160);
    const left = W < 500 ? 38 : 46, right = 14, top = 10, bottom = 40;
    const svg = element("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": words.label });
    const first = xs[0], span = (xs[xs.length - 1] - first) || 1;
    const px = (x) => left + (x - first) / span * (W - left - right);
    const py = (y) => H - bottom - Math.min(Math.max(y, 0), 1) * (H - top - bottom);
    for (let i = 0; i <= 5; i++) {
      const y = i / 5;
      svg.append(element("line", { x1: left, x2: W - right, y1: py(y), y2: py(y), stroke: "#e1e4e8" }));
      svg.append(element("text", { x: left - 6, y: py(y) + 4, "text-anchor": "end", fill: "#595f66" }, y.toFixed(1)));
    }
    const rough = span / (W < 500 ? 5.5 : 8), power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= rough * .999);
    for (let x = Math.ceil(first / step - 1e-9) * step; x <= first + span + 1e-9; x += step) {
      svg.append(element("line", { x1: px(x), x2: px(x), y1: top, y2: H - bottom, stroke: "#eef0f2" }));
      svg.append(element("text", { x: px(x), y: H - bottom + 16, "text-anchor": "middle", fill: "#595f66" },
        span <= 1 ? String(+x.toFixed(2)) : String(+x.toFixed(1))));
    }
    svg.append(element("text", { x: (left + W - right) / 2, y: H - 6, "text-anchor": "middle", fill: "#1f2328" }, words.x));
    for (const line of lines) {
      let path = "", open = false;
      line.values.forEach((v, i) => {
        if (v === null) { open = false; return; }
        path += (open ? "L" : "M") + px(xs[i]).toFixed(1) + " " + py(v).toFixed(1);
        open = true;
      });
      const faint = state.hot >= 0 && line.index !== state.hot;
      const made = element("path", {
        d: path, fill: "none", stroke: line.tracker.colour, "stroke-width": line.tracker.width + (line.index === state.hot ? 1.4 : 0),
        "stroke-dasharray": dashes(line.tracker), "stroke-linejoin": "round", opacity: faint ? .25 : 1,
      });
      made.append(element("title", {}, line.tracker.label));
      svg.append(made);
    }
    box.append(svg);
    return { svg, px, py, left, right, width: W, top, low: H - bottom };
  }

  let current = [], order = [], frame = null;
  const rows = data.trackers.map((t, k) => {
    const row = document.createElement("tr"), name = document.createElement("th");
    const label = document.createElement("label"), tick = document.createElement("input");
    const sample = element("svg", { width: 28, height: 10, "aria-hidden": "true" });
    sample.append(element("line", { x1: 0, x2: 28, y1: 5, y2: 5, stroke: t.colour, "stroke-width": t.width + .4, "stroke-dasharray": dashes(t) }));
    name.scope = "row";
    tick.type = "checkbox";
    tick.checked = true;
    tick.addEventListener("change", () => { shown[k] = tick.checked; paint(); });
    label.append(tick, sample, document.createTextNode(t.label));
    name.append(label);
    row.append(name, document.createElement("td"), document.createElement("td"));
    row.addEventListener("pointerenter", () => { state.hot = k; paintChart(); });
    row.addEventListener("pointerleave", () => { state.hot = -1; paintChart(); });
    return { row, tick };
  });

  function recompute() {
    current = means();
    const values = current.map((c) => (c ? scalar(c) : -1));
    order = values.map((_, k) => k).sort((a, b) => values[b] - values[a]);
    const focused = document.activeElement;
    byId("legend").append(...order.map((k) => rows[k].row));
    if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
    order.forEach((k) => {
      rows[k].row.children[1].textContent = current[k] ? values[k].toFixed(3) : "\u2013";
    });
    const kind = data.kinds[state.kind];
    byId("legend-value").textContent = kind.value;
    byId("legend-caption").textContent = kind.title + ", ranked by " + kind.value;
    const slider = byId("at");
    slider.max = kind.thresholds.length - 1;
    state.at = Math.min(state.at, kind.thresholds.length - 1);
    slider.value = state.at;
    const name = data.conventions[state.convention].name, count = chosen().length;
    const key = name + "/" + kind.key + "/" + state.attribute;
    const has = current.some((c) => c);
    const said = data.notes[key];
    byId("note").textContent = (has ? "Mean over " + count + (count === 1 ? " sequence. " : " sequences. ")
      : "This convention has no such curve. ") +
      (said !== undefined ? said : has ? "Significance is given for all sequences, and by attribute for the success of " +
        data.conventions[0].name + ": see there." : "");
    byId("rule").textContent = "Convention " + name + ": " + data.conventions[state.convention].rule + ".";
  }
  function paintChart() {
    const kind = data.kinds[state.kind];
    const lines = order.filter((k) => shown[k] && current[k]).reverse()
      .sort((a, b) => (a === state.hot) - (b === state.hot))
      .map((k) => ({ index: k, tracker: data.trackers[k], values: current[k] }));
    frame = draw(byId("chart"), lines, kind.thresholds, {
      x: kind.x, label: kind.title + " of " + lines.length + " trackers over the " + kind.x +
        "; the table beside it holds the values, the slider below moves the threshold",
    });
    const x = frame.px(kind.thresholds[state.at]);
    frame.svg.append(element("line", { x1: x, x2: x, y1: frame.top, y2: frame.low, stroke: "#1f2328", "stroke-dasharray": "2 3" }));
    for (const line of lines) {
      frame.svg.append(element("circle", { cx: x, cy: frame.py(line.values[state.at]), r: 3, fill: line.tracker.colour, stroke: "#fff" }));
    }
    const at = kind.thresholds[state.at];
    byId("threshold").textContent = String(at);
    byId("at").setAttribute("aria-valuetext", kind.x + " " + at);
    byId("legend-at").textContent = "at " + at;
    rows.forEach((r, k) => {
      r.row.children[2].textContent = current[k] ? current[k][state.at].toFixed(3) : "\u2013";
      r.row.classList.toggle("off", !shown[k]);
      r.row.classList.toggle("hot", k === state.hot);
    });
  }
  function paint() { paintChart(); paintSequence(); }

  byId("chart").addEventListener("pointermove", (event) => {
    if (!frame) return;
    const area = byId("chart").getBoundingClientRect(), kind = data.kinds[state.kind];
    const x = event.clientX - area.left, y = event.clientY - area.top, last = kind.thresholds.length - 1;
    const part = (x - frame.left) / (frame.width - frame.left - frame.right);
    state.at = Math.min(Math.max(Math.round(part * last), 0), last);
    byId("at").value = state.at;
    let best = 14;
    state.hot = -1;
    order.forEach((k) => {
      if (!shown[k] || !current[k]) return;
      const far = Math.abs(frame.py(current[k][state.at]) - y);
      if (far < best) { best = far; state.hot = k; }
    });
    paintChart();
  });
  byId("chart").addEventListener("pointerleave", () => { state.hot = -1; paintChart(); });
  byId("at").addEventListener("input", (event) => { state.at = Number(event.target.value); paintChart(); });

  const pictures = { text: byId("pictures").textContent, parsed: null };
  const overlaps = data.overlaps && bytes(data.overlaps.data);
  function paintSequence() {
    const s = state.sequence, one = data.sequences[s];
    byId("sequence").value = s;
    byId("facts").textContent = one.name + ": " + one.frames + " frames, from frame " + one.first +
      (one.attributes.length ? "; " + one.attributes.map((a) => data.attributes[a] || a).join(", ") : "") + ".";
    if (overlaps) {
      const bins = data.overlaps.bins[s];
      let start = 0;
      for (let i = 0; i < s; i++) start += data.overlaps.bins[i] * K;
      const lines = order.filter((k) => shown[k]).reverse().map((k) => ({
        index: k, tracker: data.trackers[k],
        values: Array.from(overlaps.subarray(start + k * bins, start + (k + 1) * bins), (v) => (v === 255 ? null : v / 250)),
      }));
      const xs = Array.from({ length: bins }, (_, i) => one.first + (i + .5) * one.frames / bins - .5);
      draw(byId("overlap"), lines, bins > 1 ? xs : [xs[0], xs[0] + 1], {
        x: "frame of " + one.name, label: "Overlap with the truth over the frames of " + one.name,
      });
    } else {
      byId("overlap").hidden = byId("overlap-note").hidden = true;
    }
  }
  function paintFrames() {
    if (pictures.parsed === null) pictures.parsed = JSON.parse(pictures.text);
    const one = data.sequences[state.sequence], box = byId("frames");
    box.textContent = "";
    const found = pictures.parsed[one.name] || [];
    byId("frames-note").hidden = !found.length;
    for (const picture of found) {
      const figure = document.createElement("figure"), image = document.createElement("img");
      const words = document.createElement("figcaption");
      image.src = picture.image;
      image.alt = one.name + ", frame " + picture.frame + ", with the boxes of the truth (white) and the three best trackers";
      words.textContent = "frame " + picture.frame;
      figure.append(image, words);
      box.append(figure);
    }
  }
  function go(index, focus) {
    state.sequence = (index + S) % S;
    paintSequence();
    paintFrames();
    if (focus) { byId("one").scrollIntoView(); byId("one-title").focus({ preventScroll: true }); }
  }
  function follow() {
    const match = /^#seq=(.+)$/.exec(decodeURIComponent(location.hash));
    const index = match ? data.sequences.findIndex((s) => s.name === match[1]) : -1;
    if (index >= 0) go(index, true);
  }

  data.kinds.forEach((k, i) => byId("kind").append(option(i, k.title)));
  data.conventions.forEach((c, i) => byId("convention").append(option(i, c.name)));
  byId("attribute").append(option("ALL", "all (" + S + ")"));
  for (const flag of new Set(data.sequences.flatMap((s) => s.attributes))) {
    const count = data.sequences.filter((s) => s.attributes.includes(flag)).length;
    byId("attribute").append(option(flag, (data.attributes[flag] || flag) + " (" + count + ")"));
  }
  data.sequences.forEach((s, i) => byId("sequence").append(option(i, s.name)));
  byId("kind").addEventListener("change", (e) => {
    const middle = state.at / (lengths[state.kind] - 1);
    state.kind = Number(e.target.value);
    state.at = data.kinds[state.kind].at ?? Math.round(middle * (lengths[state.kind] - 1));
    recompute(); paint();
  });
  byId("convention").addEventListener("change", (e) => { state.convention = Number(e.target.value); recompute(); paint(); });
  byId("attribute").addEventListener("change", (e) => { state.attribute = e.target.value; recompute(); paint(); });
  byId("sequence").addEventListener("change", (e) => go(Number(e.target.value), false));
  byId("previous").addEventListener("click", () => go(state.sequence - 1, false));
  byId("next").addEventListener("click", () => go(state.sequence + 1, false));
  document.querySelectorAll("[data-show]").forEach((button) => button.addEventListener("click", () => {
    const keep = button.dataset.show === "all" ? K : button.dataset.show === "five" ? 5 : 0;
    order.forEach((k, place) => { shown[k] = place < keep; rows[k].tick.checked = shown[k]; });
    paint();
  }));

  document.querySelectorAll("table.sortable").forEach((table) => {
    const body = table.tBodies[0], heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      if ("plain" in head.dataset) return;
      const button = document.createElement("button");
      button.type = "button";
      button.innerHTML = head.innerHTML;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const rank = column === 0 || /rank/i.test(button.textContent);
        const text = head.classList.contains("name");
        const next = head.getAttribute("aria-sort") === (rank || text ? "ascending" : "descending");
        const up = (rank || text) ? !next : next;
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const read = (row) => row.cells[column].textContent.trim();
        const sorted = Array.from(body.rows).sort((a, b) => {
          if (text) return read(a).localeCompare(read(b)) * (up ? 1 : -1);
          const x = parseFloat(read(a)), y = parseFloat(read(b));
          if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
          return (x - y) * (up ? 1 : -1);
        });
        body.append(...sorted);
      });
    });
  });

  recompute();
  paint();
  requestAnimationFrame(() => setTimeout(() => { paintFrames(); follow(); document.documentElement.dataset.ready = "yes"; }, 0));
  addEventListener("hashchange", follow);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; paint(); } });
})();
