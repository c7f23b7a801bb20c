/* Line charts: a crosshair at the place of a timeline, readings in the legend, and the numbers as a table. */

const HEIGHT = { low: 190, high: 300 };
const TABLE_ROWS = 60;

const resized = new ResizeObserver((entries) => {
  for (const entry of entries) if (entry.contentRect.width > 0 && entry.target.redraw) entry.target.redraw(entry.contentRect.width);
});

/* Redraw a box whenever its width changes: its `redraw` gets the width in pixels. */
function drawByWidth(box) {
  box.setAttribute("data-drawn", "");
  resized.observe(box);
}

function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find((size) => size >= rough * 0.999) || 10 * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const times of high / low > 1000 ? [1] : [1, 2, 5]) {
      const value = times * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) found.push(Number(value.toPrecision(3)));
    }
  }
  return found;
}

function reading(series, x) {
  const place = placeOf(series.x, x);
  const ended = !series.points && place === series.x.length - 1 && x > series.x[place];
  return place < 0 || ended ? null : series.y[place];
}

function lineOf(points) {
  let path = "", drawn = false;
  for (const [x, y] of points) {
    if (y === null) { drawn = false; continue; }
    path += `${drawn ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    drawn = true;
  }
  return path;
}

const styleOf = (series) => `k${series.colour % 8} d${(series.dash ?? Math.floor(series.colour / 8)) % 4}`;

function legendOf(series) {
  const sample = (one) => draw("svg", { viewBox: "0 0 28 10", "aria-hidden": "true" },
    one.points ? draw("circle", { cx: 14, cy: 5, r: 4.5, class: `f${one.colour % 8}` }) : draw("path", { d: "M1 5H27", class: `curve ${styleOf(one)}${one.faint ? " faint" : ""}` }));
  const values = series.map(() => make("b", {}));
  const list = make("ul", { class: "legend" }, series.map((one, i) => make("li", {}, sample(one), make("span", {}, one.name), values[i])));
  return { list, values, names: series.map((one) => one.name) };
}

/* Each number's median with those before it, ten at most: noise goes, and a drop stays. */
const smooth = (values) => values.map((_, i) => middle(values.slice(Math.max(0, i - 9), i + 1)));

function middle(values) {
  const known = values.filter(isNumber).sort((a, b) => a - b), half = known.length >> 1;
  return known.length % 2 ? known[half] : known.length ? (known[half - 1] + known[half]) / 2 : null;
}

/* Whether axes are logarithmic: a switch decides it for all charts that can be. */
const axes = { logarithmic: true };

function axisSwitch() {
  const input = make("input", { type: "checkbox", id: "logarithmic", checked: true, on: { change: () => {
    axes.logarithmic = input.checked;
    for (const box of document.querySelectorAll("[data-drawn]")) box.redraw(box.clientWidth);
  } } });
  return make("label", { class: "switch" }, input, " logarithmic vertical axes");
}

/*
A chart along a timeline. `options`: title, x (rising), xLabel, series ({name, y, x, colour, dash, points, faint}), format of
readings, from (a number that a linear axis includes), logarithmic (whether the switch counts), levels ({name, y}: lines
across), kept ({x, y, name}: a point with a name), thin (for many lines: their range in place of readings).
*/
function lineChart(time, id, options) {
  const { x, format = short } = options;
  const series = options.series.map((one) => ({ x, ...one }));
  const named = series.filter((one) => one.name);
  const legend = legendOf(options.thin ? [{ ...series[0], name: "lowest, median, highest" }] : named);
  const plot = draw("svg", { class: "plot", role: "img", "aria-label": `${options.title}, by ${options.xLabel}` });
  let scales = null;
  const follow = (at) => {
    const readings = named.map((one) => reading(one, at)), known = readings.filter(isNumber).sort((a, b) => a - b);
    const shown = options.thin ? [[known[0], middle(known), known[known.length - 1]].map((value) => format(value, 3)).join(", ")] : readings.map((value) => (isNumber(value) ? format(value) : ""));
    shown.forEach((text, i) => { legend.values[i].textContent = text; });
    if (scales) scales.cross(at, options.thin ? [] : readings);
    return `${options.title}: ${legend.names.map((name, i) => `${name} ${shown[i] || "none"}`).join(", ")}`;
  };
  const box = make("div", { class: "canvas" }, plot);
  box.redraw = (width) => { scales = drawPlot(plot, Math.round(width), options, series, named); follow(time.value()); };
  const at = (event) => {
    const bounds = plot.getBoundingClientRect();
    return scales.invert((event.clientX - bounds.left) * (scales.width / bounds.width));
  };
  plot.addEventListener("pointermove", (event) => scales && time.over(at(event)));
  plot.addEventListener("pointerleave", time.leave);
  plot.addEventListener("click", (event) => scales && time.pin(at(event)));
  drawByWidth(box);
  time.follow(follow);
  return make("figure", { class: "chart" },
    make("figcaption", {}, options.title), legend.list, box,
    options.thin ? null : details(`${id}-numbers`, "Numbers", () => numbers(options, named, x, format)));
}

function numbers(options, series, x, format) {
  const every = Math.ceil(x.length / TABLE_ROWS);
  const rows = x.filter((_, i) => i % every === 0 || i === x.length - 1);
  const caption = options.title + (every > 1 ? ` (every ${every}th drawn ${options.xLabel})` : "");
  return table(caption, [options.xLabel, ...series.map((one) => one.name)],
    rows.map((at) => [short(at, 6), ...series.map((one) => { const value = reading(one, at); return isNumber(value) ? format(value) : ""; })]));
}

function drawPlot(plot, width, options, series, named) {
  const height = Math.round(Math.min(HEIGHT.high, Math.max(HEIGHT.low, width * 0.5)));
  const { levels = [], kept } = options, values = [...series.flatMap((one) => one.y), ...levels.map((level) => level.y), kept?.y].filter(isNumber);
  const logarithmic = options.logarithmic && axes.logarithmic && range(values)[0] > 0;
  let [low, high] = range(options.from === undefined || logarithmic ? values : [...values, options.from]);
  if (high === low) { high += Math.abs(high) / 10 || 1; if (!logarithmic) low -= Math.abs(low) / 10; }
  const powers = logarithmic ? logTicks(low, high) : [], marks = powers.length > 1 ? powers : ticks(low, high, height / 42);
  if (logarithmic) { const room = (high / low) ** 0.03; high *= room; low /= room; }
  else { high += (high - low) * 0.04; if (low !== options.from) low -= (high - low) * 0.04; }
  const labels = marks.map((mark) => (options.format || short)(mark, options.format === percent ? Number(mark < 0.01) : 4));
  const left = 14 + 7.2 * Math.max(2, ...labels.map((label) => label.length)), right = 14, top = 10, bottom = 38;
  const [first, last] = range(series.flatMap((one) => [one.x[0], one.x[one.x.length - 1]]));
  const span = last - first || 1;
  const toX = (value) => left + ((width - left - right) * (value - first)) / span;
  const part = logarithmic ? (value) => Math.log(value / low) / Math.log(high / low) : (value) => (value - low) / (high - low);
  const toY = (value) => (isNumber(value) && !(logarithmic && value <= 0) ? height - bottom - (height - bottom - top) * part(value) : null);
  plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const parts = marks.flatMap((mark, i) => [
    draw("line", { x1: left, x2: width - right, y1: toY(mark), y2: toY(mark), class: "grid" }),
    draw("text", { x: left - 6, y: toY(mark) + 4, "text-anchor": "end" }, labels[i])]);
  for (const mark of ticks(first, first + span, (width - left) / 75).filter((mark) => !options.whole || Number.isInteger(mark))) {
    parts.push(draw("line", { x1: toX(mark), x2: toX(mark), y1: height - bottom, y2: height - bottom + 4, class: "axis" }),
      draw("text", { x: toX(mark), y: height - bottom + 17, "text-anchor": "middle" }, short(mark, 6)));
  }
  parts.push(draw("line", { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom, class: "axis" }),
    draw("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" }, options.xLabel));
  for (const one of series) {
    const points = one.x.map((at, i) => [toX(at), toY(one.y[i])]);
    if (!one.points) parts.push(draw("path", { d: lineOf(points), class: `curve ${styleOf(one)}${options.thin ? " thin" : one.faint ? " faint" : ""}` }));
    else for (const [at, y] of points) if (y !== null) parts.push(draw("circle", { cx: at, cy: y, r: 4.5, class: `mark f${one.colour % 8}` }));
    if (!one.points && points.length === 1 && points[0][1] !== null) parts.push(draw("circle", { cx: points[0][0], cy: points[0][1], r: 3, class: `f${one.colour % 8}` }));
  }
  for (const { name, y } of levels) {
    parts.push(draw("line", { x1: left, x2: width - right, y1: toY(y), y2: toY(y), class: "level" }),
      draw("text", { x: width - right, y: toY(y) - 4, "text-anchor": "end" }, name));
  }
  if (kept) {
    const [at, y] = [toX(kept.x), toY(kept.y)], end = at > width / 2 ? "end" : "start";
    parts.push(draw("circle", { cx: at, cy: y, r: 7, class: "kept" }), draw("text", { x: at, y: Math.min(y + 26, height - bottom - 4), "text-anchor": end, class: "kept-name" }, kept.name));
  }
  const crossing = draw("g", { "aria-hidden": "true" });
  plot.replaceChildren(...parts, crossing);
  const cross = (at, readings) => crossing.replaceChildren(
    draw("line", { x1: toX(at), x2: toX(at), y1: top, y2: height - bottom, class: "cross" }),
    ...readings.flatMap((value, i) => (toY(value) === null || named[i].points || named[i].faint ? [] : [draw("circle", { cx: toX(at), cy: toY(value), r: 4, class: `mark f${named[i].colour % 8}` })])));
  return { width, cross, invert: (pixel) => first + (span * (pixel - left)) / (width - left - right) };
}
