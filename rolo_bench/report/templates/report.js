  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const packed = new Uint16Array(bytes(data.values).buffer);
  const S = data.sequences.length, K = data.trackers.length;
  const lengths = data.kinds.map((k) => k.thresholds.length);
  const perConvention = S * K * lengths.reduce((a, b) => a + b, 0);
  const fair = data.trackers.map((_, k) => k).filter((k) => !data.trackers[k].oracle);
  const shown = { curves: data.trackers.map(() => true), one: data.trackers.map((_, k) => fair.indexOf(k) >= 0 && fair.indexOf(k) < 3) };
  const state = { kind: 0, convention: 0, attribute: "ALL", at: 10, sequence: 0, hot: -1, reel: 0, frame: 0 };
  const overlaps = data.overlaps && bytes(data.overlaps.data);
  const DASH = "\u2013";
  let reels = null;  // parsed after the first paint: they are most of the page

  function option(value, text) {
    const made = document.createElement("option");
    made.value = value;
    made.textContent = text;
    return made;
  }
  function chosen() {
    return data.sequences.map((_, i) => i).filter((i) =>
      state.attribute === "ALL" || data.sequences[i].attributes.includes(state.attribute));
  }
  // Mean curve of each tracker over some sequences; null where the convention has no such curve.
  function means(kind, sequences) {
    const T = lengths[kind], start = state.convention * perConvention +
      S * K * lengths.slice(0, kind).reduce((a, b) => a + b, 0);
    return data.trackers.map((_, k) => {
      const sum = new Float64Array(T);
      for (const s of sequences) {
        const base = start + (s * K + k) * T;
        if (packed[base] === 65535) return null;
        for (let t = 0; t < T; t++) sum[t] += packed[base + t];
      }
      return Array.from(sum, (v) => v / sequences.length / data.scale);
    });
  }
  function scalar(kind, curve) {
    const at = data.kinds[kind].at;
    return at === null ? curve.reduce((a, b) => a + b, 0) / curve.length : curve[at];
  }
  function ranking(kind, curves) {
    const values = curves.map((c) => (c ? scalar(kind, c) : -1));
    return { values, order: values.map((_, k) => k).sort((a, b) => values[b] - values[a]) };
  }
  const three = (value) => (value === null || value < 0 ? DASH : value.toFixed(3));

  // A legend: a row for each tracker with a tick, a sample of its line and two values.
  function legend(id, of) {
    const rows = data.trackers.map((t, k) => {
      const row = document.createElement("tr"), name = document.createElement("th");
      const label = document.createElement("label"), tick = document.createElement("input");
      const line = element("svg", { width: 28, height: 10, "aria-hidden": "true" });
      line.append(sample(t, 0, 5));
      name.scope = "row";
      tick.type = "checkbox";
      tick.checked = shown[of][k];
      tick.addEventListener("change", () => { shown[of][k] = tick.checked; paint(); });
      label.append(tick, line, document.createTextNode(t.label));
      name.append(label);
      row.append(name, document.createElement("td"), document.createElement("td"));
      for (const [event, hot] of [["pointerenter", k], ["pointerleave", -1], ["focusin", k], ["focusout", -1]]) {
        row.addEventListener(event, () => { state.hot = hot; of === "curves" ? paintCurves() : paintTime(); });
      }
      return { row, tick };
    });
    return {
      rows,
      fill(order, values, second) {
        const focused = document.activeElement, body = byId(id);
        if (order.some((k, i) => body.rows[i] !== rows[k].row)) {
          body.append(...order.map((k) => rows[k].row));
          if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
        }
        rows.forEach((r, k) => {
          r.row.children[1].textContent = three(values[k]);
          r.row.children[2].textContent = second[k];
          r.row.classList.toggle("off", !shown[of][k]);
          r.row.classList.toggle("hot", k === state.hot);
        });
      },
    };
  }
  const legends = { curves: legend("legend", "curves"), one: legend("legend-one", "one") };
  function lines(order, of, values) {
    return order.filter((k) => shown[of][k] && values(k)).reverse()
      .sort((a, b) => (a === state.hot) - (b === state.hot))
      .map((k) => ({ index: k, tracker: data.trackers[k], values: values(k) }));
  }
  const size = (box) => [Math.max(box.clientWidth, 240), Math.max(box.clientHeight, 160)];

  // Curves over thresholds

  let current = [], ranked = { values: [], order: [] }, frame = null;
  function recompute() {
    current = means(state.kind, chosen());
    ranked = ranking(state.kind, current);
    const kind = data.kinds[state.kind], slider = byId("at");
    byId("legend-value").textContent = kind.value;
    byId("legend-caption").textContent = kind.title + ", ranked by " + kind.value;
    slider.max = kind.thresholds.length - 1;
    state.at = Math.min(state.at, kind.thresholds.length - 1);
    slider.value = state.at;
    const name = data.conventions[state.convention].name, count = chosen().length;
    const has = current.some((c) => c), said = data.notes[name + "/" + kind.key + "/" + state.attribute];
    byId("note").textContent = (has ? "Mean over " + count + (count === 1 ? " sequence. " : " sequences. ")
      : "This convention has no such curve. ") +
      (said !== undefined ? said : has ? "Significance is given for all sequences, and by attribute for the success of " +
        data.conventions[0].name + ": see there." : "");
    byId("rule").textContent = "Convention " + name + ": " + data.conventions[state.convention].rule + ".";
  }
  function words(kind, count) {
    return {
      x: kind.x, y: kind.y, label: kind.title + " of " + count + " trackers over the " + kind.x.toLowerCase() +
        "; the table beside it holds the values, the slider below moves the threshold",
    };
  }
  function paintCurves() {
    const kind = data.kinds[state.kind], box = byId("chart");
    const drawn = lines(ranked.order, "curves", (k) => current[k]), at = kind.thresholds[state.at];
    frame = draw(drawn, kind.thresholds, words(kind, drawn.length), ...size(box), state.hot);
    const x = frame.px(at);
    frame.svg.append(element("line", { x1: x, x2: x, y1: frame.top, y2: frame.low, stroke: INK, "stroke-dasharray": "2 3" }));
    for (const line of drawn) {
      frame.svg.append(element("circle", { cx: x, cy: frame.py(line.values[state.at]), r: 3, fill: line.tracker.colour, stroke: "#fff" }));
    }
    box.replaceChildren(frame.svg);
    byId("threshold").textContent = String(at);
    byId("at").setAttribute("aria-valuetext", kind.x.toLowerCase() + " " + at);
    byId("legend-at").textContent = "at " + at;
    legends.curves.fill(ranked.order, ranked.values, current.map((c) => three(c ? c[state.at] : null)));
  }
  function curvesAlone(kind, W, H) {
    const curves = means(kind, chosen()), { order, values } = ranking(kind, curves);
    const drawn = order.filter((k) => shown.curves[k] && curves[k]), about = data.kinds[kind];
    const { svg } = draw(drawn.slice().reverse().map((k) => ({ index: k, tracker: data.trackers[k], values: curves[k] })),
      about.thresholds, words(about, drawn.length), W, H, -1);
    const which = state.attribute === "ALL" ? "" : ", " + (data.attributes[state.attribute] || state.attribute);
    const many = chosen().length;
    return composed(svg, W, H, about.title, data.suite + which + ", " + many + (many === 1 ? " sequence" : " sequences") +
      ", convention " + data.conventions[state.convention].name + ", ranked by " + about.value,
      drawn.map((k) => ({ tracker: data.trackers[k], value: three(values[k]) })));
  }

  // One sequence: frames with boxes, and overlap over time

  function reelsHere() {
    return reels ? reels.filter((r) => r.sequence === data.sequences[state.sequence].name) : [];
  }
  const reelNow = () => reelsHere()[state.reel];
  function boxesAt(reel, frame) {
    reel.rows = reel.rows || new Float32Array(bytes(reel.boxes).buffer);
    const count = reel.rows.length / reel.frames.length / 4;
    return Array.from({ length: count }, (_, k) => reel.rows.subarray((frame * count + k) * 4, (frame * count + k) * 4 + 4));
  }
  function overlapOf(a, b) {
    if (!(b[2] > 0 && b[3] > 0)) return null;
    const w = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
    const h = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
    const both = w > 0 && h > 0 ? w * h : 0;
    return both / (a[2] * a[3] + b[2] * b[3] - both) || 0;
  }
  function boxShape(box, colour, width, dash) {
    const made = element("g", { fill: "none" });
    const at = { x: box[0], y: box[1], width: box[2], height: box[3], "vector-effect": "non-scaling-stroke" };
    made.append(element("rect", { ...at, stroke: colour === data.truth ? "#000000" : "#ffffff", "stroke-width": width + 1.6, opacity: .7 }));
    made.append(element("rect", { ...at, stroke: colour, "stroke-width": width, "stroke-dasharray": dash || "" }));
    return made;
  }
  // A frame with the boxes of the ticked trackers; boxes are drawn in pixels of the video.
  function picture(reel, index, order, thin) {
    const [W, H] = reel.sizes[index], boxes = boxesAt(reel, index), label = data.sequences[state.sequence].name + ", frame " + reel.frames[index];
    const drawn = order.filter((k) => shown.one[k] && k + 1 < boxes.length), by = drawn.map((k) => data.trackers[k].label).join(", ");
    const svg = element("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label + ", with the boxes of the truth" + (by ? ", " + by : "") });
    svg.append(element("image", { href: "data:image/jpeg;base64," + reel.images[index], width: W, height: H, preserveAspectRatio: "none" }));
    for (const k of drawn.slice().reverse()) {
      if (boxes[k + 1][2] > 0) svg.append(boxShape(boxes[k + 1], data.trackers[k].colour, thin ? 1.2 : 2.2, dashes(data.trackers[k])));
    }
    if (boxes[0][2] > 0) svg.append(boxShape(boxes[0], data.truth, thin ? .8 : 1.4));
    return svg;
  }
  function stretches(k) {
    const bins = data.overlaps.bins[state.sequence];
    const start = data.overlaps.bins.slice(0, state.sequence).reduce((a, b) => a + b, 0) * K + k * bins;
    return Array.from(overlaps.subarray(start, start + bins), (v) => (v === 255 ? null : v / 250));
  }
  function middles() {
    const one = data.sequences[state.sequence], bins = data.overlaps.bins[state.sequence];
    const xs = Array.from({ length: bins }, (_, i) => one.first + (i + .5) * one.frames / bins - .5);
    return bins > 1 ? xs : [xs[0], xs[0] + 1];
  }
  let time = null;
  function paintTime() {
    const one = data.sequences[state.sequence], reel = reelNow();
    const { values, order } = ranking(0, means(0, [state.sequence]));
    if (overlaps) {
      const drawn = lines(order, "one", stretches);
      time = draw(drawn, middles(), {
        x: "Frame of " + one.name, y: "Overlap (IoU)", label: "Overlap with the truth over the frames of " + one.name,
      }, ...size(byId("overlap")), state.hot);
      if (reel) {
        const x = time.px(reel.frames[state.frame]);
        time.svg.append(element("line", { x1: x, x2: x, y1: time.top, y2: time.low, stroke: INK, "stroke-dasharray": "2 3" }));
      }
      byId("overlap").replaceChildren(time.svg);
    }
    let here = data.trackers.map(() => "");
    if (reel) {
      const boxes = boxesAt(reel, state.frame);
      here = data.trackers.map((_, k) => {
        if (k + 1 >= boxes.length || !(boxes[0][2] > 0)) return DASH;
        return boxes[k + 1][2] > 0 ? overlapOf(boxes[k + 1], boxes[0]).toFixed(2) : "no box";
      });
    }
    byId("legend-one-caption").textContent = one.name + ": AUC under " + data.conventions[state.convention].name +
      (reel ? ", and overlap on frame " + reel.frames[state.frame] : "");
    const known = reel && boxesAt(reel, 0).length > 1;  // the boxes of segments are not drawn
    byId("legend-one-at").hidden = !known;
    byId("film-note").textContent = known ? "Boxes of the ticked trackers; the truth is white." : "The box of the truth is white.";
    legends.one.fill(order, values, here);
    legends.one.rows.forEach((r) => { r.row.children[2].hidden = !known; });
  }
  function paintOne() {
    paintTime();
    const reel = reelNow(), { order } = ranking(0, means(0, [state.sequence]));
    if (!reel) return;
    byId("screen").replaceChildren(picture(reel, state.frame, order, false));
    byId("frame").value = state.frame;
    byId("frame").setAttribute("aria-valuetext", "frame " + reel.frames[state.frame]);
    byId("frame-number").textContent = reel.frames[state.frame];
    const strip = byId("strip");
    Array.from(strip.children).forEach((button, i) => {
      const now = i === state.frame;
      button.replaceChildren(picture(reel, i, order, true), document.createTextNode(reel.frames[i]));
      button.tabIndex = now ? 0 : -1;
      now ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current");
    });
    const now = strip.children[state.frame];
    strip.scrollLeft = now.offsetLeft - (strip.clientWidth - now.offsetWidth) / 2;
  }
  function seek(index) {
    const reel = reelNow();
    state.frame = Math.min(Math.max(index, 0), reel.frames.length - 1);
    paintOne();
  }
  let playing = 0;
  function play(on) {
    clearInterval(playing);
    playing = 0;
    if (on) {
      const clip = reelNow().start !== null;
      playing = setInterval(() => seek((state.frame + 1) % reelNow().frames.length), clip ? 120 : 600);
    }
    byId("play").textContent = on ? "Pause" : "Play";
    byId("play").setAttribute("aria-pressed", String(on));
  }
  // The frames of a reel anew: its buttons, its length; where it is a clip, at the failure.
  function load(reel) {
    play(false);
    state.reel = reel;
    const now = reelNow(), here = reelsHere();
    byId("film").hidden = byId("save-frame").hidden = !now;
    byId("reel-label").hidden = here.length < 2;
    if (now) {
      byId("reel").replaceChildren(...here.map((r, i) => option(i, r.start === null ? "all along (" + r.frames.length + ")"
        : data.trackers[r.tracker].label + " fails at " + r.start)));
      byId("reel").value = reel;
      byId("frame").max = now.frames.length - 1;
      state.frame = now.start === null ? now.frames.length >> 1 : now.frames.findIndex((f) => f >= now.start);
      if (now.tracker !== null) {
        shown.one[now.tracker] = true;
        legends.one.rows[now.tracker].tick.checked = true;
      }
      byId("strip").replaceChildren(...now.frames.map((number, i) => {
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("aria-label", "Show frame " + number);
        button.addEventListener("click", () => seek(i));
        return button;
      }));
    }
    paintOne();
  }
  function overlapAlone(W, H) {
    const one = data.sequences[state.sequence], { values, order } = ranking(0, means(0, [state.sequence]));
    const drawn = order.filter((k) => shown.one[k]);
    const { svg } = draw(drawn.slice().reverse().map((k) => ({ index: k, tracker: data.trackers[k], values: stretches(k) })), middles(), {
      x: "Frame", y: "Overlap (IoU)", label: "",
    }, W, H, -1);
    return composed(svg, W, H, one.name, "Overlap with the truth; AUC under " + data.conventions[state.convention].name,
      drawn.map((k) => ({ tracker: data.trackers[k], value: three(values[k]) })));
  }
  function frameAlone() {
    const reel = reelNow(), { order } = ranking(0, means(0, [state.sequence])), one = data.sequences[state.sequence];
    const [W, H] = reel.sizes[state.frame], w = 640, h = Math.round(640 * H / W), boxes = boxesAt(reel, state.frame);
    const drawn = order.filter((k) => shown.one[k] && k + 1 < boxes.length);
    return composed(picture(reel, state.frame, order, false), w, h, one.name, "frame " + reel.frames[state.frame] + "; the truth is white; overlaps beside the names",
      drawn.map((k) => ({ tracker: data.trackers[k], value: boxes[k + 1][2] > 0 ? (overlapOf(boxes[k + 1], boxes[0]) ?? 0).toFixed(2) : "no box" })));
  }
  function go(index, focus, reel) {
    state.sequence = (index + S) % S;
    const one = data.sequences[state.sequence];
    byId("sequence").value = state.sequence;
    byId("facts").textContent = one.name + ": " + one.frames + " frames, from frame " + one.first +
      (one.attributes.length ? "; " + one.attributes.map((a) => data.attributes[a] || a).join(", ") : "") + ".";
    load(reel || 0);
    if (focus) { byId("one").scrollIntoView(); byId("one-title").focus({ preventScroll: true }); }
  }
  function indexOf(name) {
    return data.sequences.findIndex((s) => s.name === name);
  }
  function follow() {
    const match = /^#(seq|loss)=(.+)$/.exec(location.hash);
    if (!match) return;
    const loss = match[1] === "loss" ? data.losses[Number(match[2])] : null;
    const index = indexOf(loss ? loss.sequence : decodeURIComponent(match[2]));
    if (index < 0) return;
    state.sequence = index;
    go(index, true, loss ? Math.max(reelsHere().findIndex((r) => r.tracker === loss.tracker && r.start === loss.start), 0) : 0);
    if (loss && !shown.one[loss.tracker]) {
      shown.one[loss.tracker] = legends.one.rows[loss.tracker].tick.checked = true;
      paintOne();
    }
  }
  function paint() { paintCurves(); paintOne(); }

  byId("chart").addEventListener("pointermove", (event) => {
    if (!frame) return;
    const area = byId("chart").getBoundingClientRect(), last = data.kinds[state.kind].thresholds.length - 1;
    const part = (event.clientX - area.left - frame.left) / (frame.width - frame.left - frame.right);
    state.at = Math.min(Math.max(Math.round(part * last), 0), last);
    byId("at").value = state.at;
    let best = 14;
    state.hot = -1;
    ranked.order.forEach((k) => {
      if (!shown.curves[k] || !current[k]) return;
      const far = Math.abs(frame.py(current[k][state.at]) - (event.clientY - area.top));
      if (far < best) { best = far; state.hot = k; }
    });
    paintCurves();
  });
  byId("chart").addEventListener("pointerleave", () => { state.hot = -1; paintCurves(); });
  byId("at").addEventListener("input", (event) => { state.at = Number(event.target.value); paintCurves(); });
  byId("overlap").addEventListener("click", (event) => {
    const reel = reelNow();
    if (!reel || !time) return;
    const x = event.clientX - byId("overlap").getBoundingClientRect().left;
    const far = reel.frames.map((f) => Math.abs(time.px(f) - x));
    seek(far.indexOf(Math.min(...far)));
  });
  byId("frame").addEventListener("input", (event) => seek(Number(event.target.value)));
  byId("play").addEventListener("click", () => play(!playing));
  byId("reel").addEventListener("change", (event) => load(Number(event.target.value)));
  byId("strip").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    seek(state.frame + step);
    byId("strip").children[state.frame].focus();
  });

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
    const of = button.dataset.of, keep = { all: K, five: 5, three: 3, none: 0 }[button.dataset.show];
    const order = of === "curves" ? ranked.order : ranking(0, means(0, [state.sequence])).order;
    const best = keep === K ? order : order.filter((k) => !data.trackers[k].oracle).slice(0, keep);
    order.forEach((k) => { shown[of][k] = legends[of].rows[k].tick.checked = best.includes(k); });
    paint();
  }));
  const figures = {
    curves: () => [curvesAlone(state.kind, 560, 420), data.kinds[state.kind].key.replace("_", "-") + "-" + data.conventions[state.convention].name],
    overlap: () => [overlapAlone(640, 260), "overlap-" + data.sequences[state.sequence].name],
    frame: () => [frameAlone(), data.sequences[state.sequence].name + "-" + reelNow().frames[state.frame]],
  };
  document.querySelectorAll("[data-save]").forEach((button) => button.addEventListener("click", () => {
    save(...figures[button.dataset.figure](), button.dataset.save);
  }));

  // On paper all three figures stand with their legends, at a size of their own.
  addEventListener("beforeprint", () => {
    const kinds = data.kinds.map((_, i) => i).filter((i) => means(i, chosen()).some((c) => c));
    byId("paper-curves").replaceChildren(...kinds.map((i) => curvesAlone(i, 440, 300)));
    if (overlaps) byId("paper-one").replaceChildren(overlapAlone(440, 200));
  });
  addEventListener("afterprint", () => { byId("paper-curves").replaceChildren(); byId("paper-one").replaceChildren(); });

  byId("overlap").hidden = byId("overlap-note").hidden = !overlaps;
  document.querySelector(".savings .saving").hidden = !overlaps;
  if (!overlaps) byId("reel-label").hidden = true;
  recompute();
  go(0, false);
  paintCurves();
  requestAnimationFrame(() => setTimeout(() => {
    reels = JSON.parse(byId("pictures").textContent);
    load(0);
    follow();
    document.documentElement.dataset.ready = "yes";
  }, 0));
  addEventListener("hashchange", follow);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; paint(); } });
