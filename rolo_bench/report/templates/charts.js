  const SVG = "http://www.w3.org/2000/svg";
  const INK = "#1f2328", SOFT = "#595f66", FONT = "system-ui, 'DejaVu Sans', sans-serif";

  function element(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  function dashes(tracker) {
    return tracker.dash.map((d) => d * tracker.width).join(" ");
  }
  function sample(tracker, x, y) {
    return element("line", {
      x1: x, x2: x + 28, y1: y, y2: y, stroke: tracker.colour, "stroke-width": tracker.width + .4, "stroke-dasharray": dashes(tracker),
    });
  }

  // Lines of values 0 … 1 over xs, W by H pixels; hot is the line that stands out, -1 for none.
  // Returns the svg and where values stand in it.
  function draw(lines, xs, words, W, H, hot) {
    const left = W < 500 ? 50 : 60, right = 16, top = 10, bottom = 42;
    const svg = element("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": words.label, "font-family": FONT, "font-size": 12 });
    const first = xs[0], span = (xs[xs.length - 1] - first) || 1;
    const px = (x) => left + (x - first) / span * (W - left - right);
    const py = (y) => H - bottom - Math.min(Math.max(y, 0), 1) * (H - top - bottom);
    for (let i = 0; i <= 5; i++) {
      const y = i / 5;
      svg.append(element("line", { x1: left, x2: W - right, y1: py(y), y2: py(y), stroke: "#e1e4e8" }));
      svg.append(element("text", { x: left - 6, y: py(y) + 4, "text-anchor": "end", fill: SOFT }, y.toFixed(1)));
    }
    const rough = span / (W < 500 ? 5.5 : 8), power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= rough * .999);
    for (let x = Math.ceil(first / step - 1e-9) * step; x <= first + span + 1e-9; x += step) {
      svg.append(element("line", { x1: px(x), x2: px(x), y1: top, y2: H - bottom, stroke: "#eef0f2" }));
      svg.append(element("text", { x: px(x), y: H - bottom + 16, "text-anchor": "middle", fill: SOFT },
        span <= 1 ? String(+x.toFixed(2)) : String(+x.toFixed(1))));
    }
    const middle = (top + H - bottom) / 2;
    svg.append(element("text", { x: (left + W - right) / 2, y: H - 7, "text-anchor": "middle", fill: INK }, words.x));
    svg.append(element("text", { x: 14, y: middle, transform: `rotate(-90 14 ${middle})`, "text-anchor": "middle", fill: INK }, words.y));
    for (const line of lines) {
      let path = "", open = false;
      line.values.forEach((v, i) => {
        if (v === null) { open = false; return; }
        path += (open ? "L" : "M") + px(xs[i]).toFixed(1) + " " + py(v).toFixed(1);
        open = true;
      });
      const stands = line.index === hot;
      const made = element("path", {
        d: path, fill: "none", stroke: line.tracker.colour, "stroke-width": line.tracker.width + (stands ? 1.4 : 0),
        "stroke-dasharray": dashes(line.tracker), "stroke-linejoin": "round", opacity: hot >= 0 && !stands ? .25 : 1,
      });
      made.append(element("title", {}, line.tracker.label));
      svg.append(made);
    }
    return { svg, px, py, left, right, width: W, top, low: H - bottom };
  }

  const ruler = document.createElement("canvas").getContext("2d");
  function textWidth(text) {
    ruler.font = "12px " + FONT;
    return ruler.measureText(text).width;
  }
  // A drawing with title, subtitle and legend around it, that stands for itself: for files and for paper.
  // entries: {tracker, value} from above to below.
  function composed(svg, W, H, title, subtitle, entries) {
    const side = entries.length ? 56 + Math.max(...entries.map((e) => textWidth(e.tracker.label + "  " + e.value))) : 0;
    const head = 44, width = Math.ceil(Math.max(W + side, textWidth(subtitle) + 80)) + 8, height = Math.max(H + head, head + 18 * entries.length + 10);
    const made = element("svg", {
      xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title + ", " + subtitle,
      "font-family": FONT, "font-size": 12,
    });
    made.append(element("rect", { width, height, fill: "#ffffff" }));
    made.append(element("text", { x: 12, y: 18, "font-size": 15, "font-weight": "bold", fill: INK }, title));
    made.append(element("text", { x: 12, y: 35, fill: SOFT }, subtitle));
    const inner = element("svg", { x: 0, y: head, width: W, height: H, viewBox: svg.getAttribute("viewBox") });
    inner.append(...Array.from(svg.childNodes, (node) => node.cloneNode(true)));
    made.append(inner);
    entries.forEach((entry, i) => {
      const y = head + 18 + 18 * i;
      made.append(sample(entry.tracker, W + 4, y - 4));
      made.append(element("text", { x: W + 38, y, fill: INK }, entry.tracker.label));
      made.append(element("text", { x: width - 8, y, "text-anchor": "end", fill: INK }, entry.value));
    });
    return made;
  }
  function download(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  // A composed drawing as a file, SVG or PNG of twice its size.
  function save(svg, name, kind) {
    const text = new XMLSerializer().serializeToString(svg);
    if (kind === "svg") {
      download(new Blob([text], { type: "image/svg+xml" }), name + ".svg");
      return;
    }
    const image = new Image(), canvas = document.createElement("canvas");
    canvas.width = 2 * svg.getAttribute("width");
    canvas.height = 2 * svg.getAttribute("height");
    image.addEventListener("load", () => {
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => download(blob, name + ".png"), "image/png");
    });
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  }
