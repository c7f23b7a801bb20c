/* The best network: what its first layer looks for, traced weights, and its predictions. */

function section(id, title, ...content) {
  return make("section", { id, "aria-labelledby": `${id}-title` }, make("h2", { id: `${id}-title` }, title), content);
}

const MIDDLE = [247, 247, 247], BELOW = [33, 102, 172], ABOVE = [178, 90, 10];

function tint(level) {
  const end = level < 0 ? BELOW : ABOVE, part = Math.abs(level) / 127;
  return MIDDLE.map((channel, i) => Math.round(channel + (end[i] - channel) * part));
}

function paint(canvas, height, width, colour) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const [red, green, blue] = colour(i);
    image.data.set([red, green, blue, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

function filtersSection(time, filters) {
  const [number, height, width] = filters.shape, size = height * width;
  const levels = unpack(filters.levels, Int8Array), last = filters.generations.length - 1;
  const level = (row, filter, i) => levels[(row * number + filter) * size + i];
  const likeness = (row, filter) => {
    let both = 0, one = 0, other = 0;
    for (let i = 0; i < size; i++) {
      const a = level(0, filter, i), b = level(row, filter, i);
      both += a * b; one += a * a; other += b * b;
    }
    return one && other ? both / Math.sqrt(one * other) : 0;
  };
  const pairs = Array.from({ length: number }, () => [0, 1].map(() => make("canvas", { "aria-hidden": "true" })));
  const put = (row, side) => pairs.forEach((pair, filter) => paint(pair[side], height, width, (i) => tint(level(row, filter, i))));
  const caption = make("figcaption", {});
  put(0, 0);
  time.follow((at) => {
    const row = Math.max(0, placeOf(filters.generations, at));
    put(row, 1);
    caption.textContent = `Generation ${filters.generations[0]} beside generation ${filters.generations[row]}`;
  });
  const title = "What first-layer units look for", said = `The mean of the tenth of ${height} × ${width} pixels of samples that excites a unit of ${filters.matrix} most, less that of the tenth that excites it least; the ${number} units that changed most, of the best member.`;
  return section("filters", title, make("p", { class: "note" }, said),
    make("figure", {}, caption, make("div", { class: "filters", role: "img", "aria-label": title }, pairs.map((pair) => make("span", {}, pair)))),
    details("filters-numbers", "Numbers", () => table("Likeness of the last generation to the first (cosine)", ["unit", "likeness"], pairs.map((_, filter) => [String(filter + 1), likeness(last, filter).toFixed(2)]))));
}

/* The traced weights, a chart for each matrix. */
function weightsSection(time, weights) {
  const values = unpack(weights.values, Float32Array), number = weights.matrices.length;
  const charts = [...new Set(weights.matrices)].map((name, colour) => {
    const places = weights.matrices.map((_, i) => i).filter((i) => weights.matrices[i] === name);
    return lineChart(time, `weights-${colour}`, {
      title: `${name}, ${count(places.length, "weight")}`, xLabel: "generation", x: weights.generations, whole: true, thin: true,
      series: places.map((i) => ({ name, colour, dash: 0, y: weights.generations.map((_, row) => values[row * number + i]) })),
    });
  });
  return section("weights", "Traced weights",
    make("p", { class: "note" }, `${number} weights of the best member, drawn at random, the same number from each matrix that is large enough.`),
    make("div", { class: "columns" }, charts));
}

/* The samples on which the kept network was scored: of an interrupted run these are not all. */
function scoredOn(answers, config) {
  const known = config.data?.validation;
  return known > answers.samples ? `the first ${grouped(answers.samples)} of ${grouped(known)}` : `all ${grouped(answers.samples)}`;
}

/* The place of the last generation with kept answers up to a generation, or -1 for the network that the run keeps. */
const placeBefore = ({ before }, run, at) => (before && at < lastOf(run.logbook.gen) ? placeOf(before.generations, at) : -1);

function confusionSection(time, run) {
  const { answers, config } = run, holder = make("div", {});
  time.follow((at) => {
    const place = placeBefore(answers, run, at);
    const who = place < 0 ? `The kept network on ${scoredOn(answers, config)} validation samples` : `The best member of generation ${grouped(answers.before.generations[place])} on all validation samples`;
    holder.replaceChildren(...confusionOf(place < 0 ? answers.confusion : answers.before.confusion[place], who));
  });
  return section("confusion", "Confusion matrix", holder);
}

function confusionOf(matrix, who) {
  const totals = matrix.map(sum), samples = sum(totals), misread = samples - sum(matrix.map((row, i) => row[i]));
  const worst = Math.max(1, ...matrix.flatMap((row, i) => row.filter((_, j) => i !== j)));
  const cell = (i, j) => {
    const value = matrix[i][j], part = i === j ? value / (totals[i] || 1) : value / worst;
    const shade = value ? `background: color-mix(in srgb, var(--${i === j ? "right" : "wrong"}) ${Math.round(12 + 58 * part)}%, transparent)` : null;
    return make("td", { class: value ? null : "none", style: shade, title: `${grouped(value)} of ${grouped(totals[i])} samples of class ${i} were taken for ${j}` }, value ? grouped(value) : "·");
  };
  const above = make("tr", { class: "above" }, make("td", {}), make("td", { colspan: matrix.length }, "predicted"), make("td", {}));
  const head = make("tr", {}, make("th", { scope: "col" }, "true"), matrix.map((_, j) => make("th", { scope: "col" }, String(j))), make("th", { scope: "col", class: "share" }, "correct"));
  const body = matrix.map((row, i) => make("tr", {}, make("th", { scope: "row" }, String(i)), row.map((_, j) => cell(i, j)), make("td", { class: "share" }, percent(matrix[i][i] / (totals[i] || 1), 0))));
  const mistakes = matrix.flatMap((row, i) => row.map((value, j) => [value, i, j])).filter(([value, i, j]) => value && i !== j).sort((a, b) => b[0] - a[0]);
  const often = mistakes.slice(0, 8).map(([value, i, j]) => [`${i} read as ${j}`, grouped(value), percent(value / misread, 0), barCell(value / worst)]);
  return [make("p", { class: "note" }, `${who}; it misreads ${grouped(misread)} (${percent(misread / samples)}).`),
    make("div", { class: "columns" }, make("div", { class: "scroll confusion", tabindex: "0", role: "region", "aria-label": "Confusion matrix", style: "max-height: none; border: 0" },
      make("table", {}, make("thead", {}, above, head), make("tbody", {}, body))),
      often.length ? table("Most frequent mistakes", ["mistake", "times", "of all mistakes", ""], often) : null)];
}

function misreadSection(time, run) {
  const { answers } = run, { digits } = answers, [height, width] = digits.shape, pixels = unpack(digits.images, Uint8Array);
  const one = (place) => {
    const [said, truth] = digits.probabilities[place], label = digits.labels[place], answer = digits.answers[place];
    const canvas = make("canvas", { role: "img", "aria-label": `a ${label}, read as ${answer}, ${percent(said, 0)} sure` });
    paint(canvas, height, width, (i) => { const grey = pixels[place * height * width + i]; return [grey, grey, grey]; });
    const title = `validation sample ${digits.samples[place]}: ${label} with ${percent(truth)}, ${answer} with ${percent(said)}`;
    const given = make("b", {}), sure = make("small", { "aria-hidden": "true" });
    time.follow((at) => {
      const before = placeBefore(answers, run, at), then = before < 0 ? answer : answers.before.answers[before][place];
      given.textContent = then;
      given.className = then === label ? "right" : "said";
      sure.textContent = before < 0 ? percent(said, 0) : "\u00a0";
    });
    return make("li", { title }, canvas, make("span", { "aria-hidden": "true" }, `${label} → `, given), sure);
  };
  const shown = digits.labels.length, all = shown === answers.misread;
  return section("misread", "Misread samples",
    make("p", { class: "note" }, all ? `All ${grouped(shown)} samples that the kept network misreads: true class, predicted class, and the probability of the prediction.` : `${grouped(shown)} of the ${grouped(answers.misread)} samples that the kept network misreads, of each class those with the highest probability: true class, predicted class, and the probability of the prediction.`),
    make("ul", { class: "digits" }, digits.labels.map((_, place) => one(place))));
}

/* What a network of one or two inputs computes: a curve or a surface, with the samples; and all of them, if they are few. */
function curveSection({ inputs, targets, found, grid }) {
  const spans = inputs[0].map((_, i) => range(inputs.map((x) => x[i]))), flat = spans.length === 1;
  return section("curve", "What it computes",
    make("div", { class: "columns" }, flat ? curveOf(inputs, targets, grid, spans[0]) : surfaceOf(inputs, targets, grid, spans),
      inputs.length < 17 ? table("Targets and outputs", ["inputs", "target", "output"], inputs.map((x, i) => [x.map((one) => short(one)).join(", "), short(targets[i]), short(found[i], 3)])) : null));
}

function curveOf(inputs, targets, grid, [first, last]) {
  const x = grid.map((_, i) => first + ((last - first) * i) / (grid.length - 1)), time = timeline("input", "Input", x);
  const order = inputs.map((_, i) => i).sort((a, b) => inputs[a][0] - inputs[b][0]);
  return lineChart(time, "output", { title: "Output by input", xLabel: "input", x, series: [
    { name: "network", colour: 0, y: grid }, { name: "samples", colour: 1, points: true, x: order.map((i) => inputs[i][0]), y: order.map((i) => targets[i]) }] });
}

function surfaceOf(inputs, targets, grid, spans) {
  const size = grid.length, [low, high] = range([...grid.flat(), ...targets]);
  const plot = draw("svg", { class: "plot", role: "img", viewBox: "-2 -2 45 45", "aria-label": "Output by the two inputs" });
  const colour = (value) => `rgb(${tint(Math.round(254 * ((value - low) / (high - low || 1)) - 127)).join(",")})`;
  grid.forEach((row, i) => row.forEach((value, j) => plot.append(draw("rect", { x: j, y: size - 1 - i, width: 1.05, height: 1.05, fill: colour(value) }))));
  inputs.forEach((x, i) => {
    const [left, up] = x.map((value, k) => (size * (value - spans[k][0])) / (spans[k][1] - spans[k][0] || 1));
    plot.append(draw("circle", { cx: left, cy: size - up, r: 0.7, fill: colour(targets[i]), stroke: "black", "stroke-width": 0.2 }));
  });
  const said = `The colour is the output, from ${short(low, 3)} (blue) to ${short(high, 3)}; the dots are samples in the colour of their target. The first input is from ${spans[0].map((end) => short(end, 3)).join(" to ")} (right), the second from ${spans[1].map((end) => short(end, 3)).join(" to ")} (up).`;
  return make("figure", {}, make("p", { class: "note" }, said), plot);
}

/* How the members read one sample of each class: a square for each, coloured by its answer. */
function membersSection(time, { generations, size, rows, members, shape }) {
  const bytes = unpack(rows, Uint8Array), [, classes, width] = size, across = 20, squares = make("canvas", { "aria-hidden": "true" });
  const said = make("p", {}), legend = make("ul", { class: "legend" });
  const hue = (answer) => [0, 1, 2].map((channel) => Math.round(140 + 100 * Math.cos(2 * Math.PI * (answer / classes - channel / 3))));
  let place = generations.length - 1, chosen = 0;
  const at = (sample, i) => bytes[(place * classes + sample) * width + i];
  const samples = Array.from({ length: classes }, (_, sample) => make("canvas", { "aria-hidden": "true" }));
  const buttons = samples.map((canvas, sample) => make("button", { type: "button", "aria-label": `sample of class ${sample}`, on: { click: () => { chosen = sample; show(); } } }, canvas));
  const show = () => {
    const label = at(chosen, 0), answers = Array.from({ length: members }, (_, i) => at(chosen, 1 + i)), height = Math.ceil(members / across);
    const counts = Array.from({ length: classes }, (_, answer) => answers.filter((one) => one === answer).length);
    samples.forEach((canvas, sample) => paint(canvas, shape[0], shape[1], (i) => Array(3).fill(at(sample, 1 + members + i))));
    buttons.forEach((button, sample) => button.setAttribute("aria-pressed", sample === chosen));
    paint(squares, 6 * height, 6 * across, (i) => {
      const x = i % (6 * across), y = Math.floor(i / (6 * across)), member = across * Math.floor(y / 6) + Math.floor(x / 6);
      return x % 6 && y % 6 && member < members ? hue(answers[member]) : [128, 128, 128];
    });
    said.textContent = `Generation ${generations[place]}: ${counts[label]} of ${count(members, "member")} read this ${label} right.`;
    legend.replaceChildren(...counts.flatMap((number, answer) => (number ? [make("li", {}, make("i", { class: "swatch", style: `background: rgb(${hue(answer)})` }), `${answer}: ${number}`)] : [])));
  };
  const right = samples.map((_, sample) => Array.from({ length: members }, (_, i) => at(sample, 1 + i) === at(sample, 0)).filter(Boolean).length);
  chosen = right.indexOf(Math.min(...right));  // at the end they agree least on this one
  time.follow((value) => { place = Math.max(0, placeOf(generations, value)); show(); });
  return section("members", "The population reads a sample",
    make("p", { class: "note" }, "A square for each member, coloured by the class that it predicts for one sample of the generation's mini-batch."),
    make("div", { class: "samples" }, buttons), said, make("figure", { class: "members" }, squares), legend);
}
