/* The best network: filters of its first layer, traced weights, and its predictions. */

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
  const [title, said] = filters.units
    ? ["What hidden units look for", `The mean of the tenth of the samples that excite a unit of ${filters.matrix} most, less that of the tenth that excites it least; the ${number} units that changed most, of the best member.`]
    : ["First-layer filters", `${count(number, "filter")} of ${height} × ${width} of ${filters.matrix} in the best member.`];
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
  const known = config.data && config.data.validation;
  return known > answers.samples ? `the first ${grouped(answers.samples)} of ${grouped(known)}` : `all ${grouped(answers.samples)}`;
}

function confusionSection(answers, config) {
  const matrix = answers.confusion, totals = matrix.map((row) => row.reduce((sum, value) => sum + value, 0));
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
  const often = mistakes.slice(0, 8).map(([value, i, j]) => [`${i} read as ${j}`, grouped(value), percent(value / answers.misread, 0), barCell(value / worst)]);
  return section("confusion", "Confusion matrix",
    make("p", { class: "note" }, `The kept network on ${scoredOn(answers, config)} validation samples; it misreads ${grouped(answers.misread)} (${percent(answers.misread / answers.samples)}).`),
    make("div", { class: "columns" }, make("div", { class: "scroll confusion", tabindex: "0", role: "region", "aria-label": "Confusion matrix", style: "max-height: none; border: 0" },
      make("table", {}, make("thead", {}, above, head), make("tbody", {}, body))),
      often.length ? table("Most frequent mistakes", ["mistake", "times", "of all mistakes", ""], often) : null));
}

function misreadSection(answers) {
  const { digits } = answers, [height, width] = digits.shape, pixels = unpack(digits.images, Uint8Array);
  const one = (place) => {
    const [said, truth] = digits.probabilities[place], label = digits.labels[place], answer = digits.answers[place];
    const canvas = make("canvas", { role: "img", "aria-label": `a ${label}, read as ${answer}, ${percent(said, 0)} sure` });
    paint(canvas, height, width, (i) => { const grey = pixels[place * height * width + i]; return [grey, grey, grey]; });
    const title = `validation sample ${digits.samples[place]}: ${label} with ${percent(truth)}, ${answer} with ${percent(said)}`;
    return make("li", { title }, canvas, make("span", { "aria-hidden": "true" }, `${label} → `, make("b", { class: "said" }, String(answer))), make("small", { "aria-hidden": "true" }, percent(said, 0)));
  };
  const shown = digits.labels.length, all = shown === answers.misread;
  return section("misread", "Misread samples",
    make("p", { class: "note" }, all ? `All ${grouped(shown)} samples that the kept network misreads: true class, predicted class, and the probability of the prediction.` : `${grouped(shown)} of the ${grouped(answers.misread)} samples that the kept network misreads, of each class those with the highest probability: true class, predicted class, and the probability of the prediction.`),
    make("ul", { class: "digits" }, digits.labels.map((_, place) => one(place))));
}
