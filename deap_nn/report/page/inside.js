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

function filtersSection(filters) {
  const [number, height, width] = filters.shape, size = height * width;
  const levels = unpack(filters.levels, Int8Array);
  const canvases = Array.from({ length: number }, () => make("canvas", { "aria-hidden": "true" }));
  const level = (row, filter, i) => levels[(row * number + filter) * size + i];
  const strength = (row, filter) => {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += level(row, filter, i) ** 2;
    return (Math.sqrt(sum / size) * filters.largest) / 127;
  };
  const likeness = (row, filter) => {
    let both = 0, one = 0, other = 0;
    for (let i = 0; i < size; i++) {
      const a = level(0, filter, i), b = level(row, filter, i);
      both += a * b; one += a * a; other += b * b;
    }
    return one && other ? both / Math.sqrt(one * other) : 0;
  };
  const pictures = make("div", { class: size > 100 ? "filters" : "filters small", role: "img" }, canvases);
  const holder = make("div", {});
  const show = (row) => {
    canvases.forEach((canvas, filter) => paint(canvas, height, width, (i) => tint(level(row, filter, i))));
    const mean = canvases.reduce((sum, _, filter) => sum + strength(row, filter), 0) / number;
    pictures.setAttribute("aria-label", `${number} filters of ${filters.matrix} at generation ${filters.generations[row]}, mean strength ${short(mean, 3)}`);
    holder.replaceChildren(details("filters-numbers", "Numbers", () => table(
      `Filters at generation ${filters.generations[row]}`, ["filter", "strength (root mean square)", "likeness to generation 0 (cosine)"],
      canvases.map((_, filter) => [String(filter + 1), short(strength(row, filter), 3), likeness(row, filter).toFixed(2)]))));
    return `generation ${filters.generations[row]}, mean strength ${short(mean, 3)}`;
  };
  const control = slider("filters-generation", "Generation", filters.generations.length, (row) => short(filters.generations[row], 6), show, true);
  control.start();
  return section("filters", "First-layer filters",
    make("p", { class: "note" }, `${count(number, "filter")} of ${height} × ${width} of ${filters.matrix} in the best member of each generation.`),
    make("figure", {}, control.control, pictures,
      make("div", { class: "scale", "aria-hidden": "true" }, make("span", {}, `−${short(filters.largest, 2)}`), make("i", {}), make("span", {}, `+${short(filters.largest, 2)}`)), holder));
}

function weightsSection(weights) {
  const values = unpack(weights.values, Float32Array), number = weights.matrices.length;
  const names = [...new Set(weights.matrices)];
  const colour = weights.matrices.map((name) => names.indexOf(name));
  const at = (row, i) => values[row * number + i];
  const [low, high] = range(values);
  const strip = draw("svg", { class: "plot", role: "img" });
  const holder = make("div", {}), box = make("div", {}, strip);
  let width = 0, current = weights.generations.length - 1;
  const drawStrip = () => {
    if (!width) return;
    const left = 10, rowHeight = 40, height = names.length * rowHeight + 24;
    const toX = (value) => left + ((width - 2 * left) * (value - low)) / (high - low || 1);
    strip.setAttribute("viewBox", `0 0 ${width} ${height}`);
    strip.setAttribute("aria-label", `Values of ${number} weights at generation ${weights.generations[current]}, by matrix`);
    const parts = ticks(low, high, width / 90).flatMap((mark) => [
      draw("line", { x1: toX(mark), x2: toX(mark), y1: 0, y2: height - 20, class: "grid" }),
      draw("text", { x: toX(mark), y: height - 5, "text-anchor": "middle" }, short(mark))]);
    names.forEach((name, k) => parts.push(draw("text", { x: left, y: k * rowHeight + 13 }, name)));
    for (let i = 0; i < number; i++) parts.push(draw("circle", { cx: toX(at(current, i)), cy: colour[i] * rowHeight + 25 + 6 * (((i * 7) % 5) / 4 - 0.5), r: 4, class: `f${colour[i] % 8}`, opacity: 0.6 }));
    strip.replaceChildren(...parts);
  };
  box.redraw = (wide) => { width = Math.round(wide); drawStrip(); };
  drawByWidth(box);
  const summary = (k) => {
    const own = weights.matrices.map((_, i) => i).filter((i) => colour[i] === k).map((i) => at(current, i)).sort((a, b) => a - b);
    return [names[k], String(own.length), short(own[0]), short(own[own.length >> 1]), short(own[own.length - 1])];
  };
  const moved = (row) => {
    current = row;
    drawStrip();
    holder.replaceChildren(details("weights-numbers", "Numbers", () => table(
      `Weights at generation ${weights.generations[row]}`, ["matrix", "weights", "lowest", "median", "highest"], names.map((_, k) => summary(k)))));
    return `generation ${weights.generations[row]}: ${names.map((name, k) => { const s = summary(k); return `${name} ${s[2]} to ${s[4]}`; }).join(", ")}`;
  };
  const chart = lineChart("weights-generation", {
    title: "Value by generation", xLabel: "generation", x: weights.generations, whole: true, thin: true, table: false, moved,
    spoken: `Values of ${number} weights of the best member by generation`,
    series: weights.matrices.map((name, i) => ({ name, colour: colour[i], dash: 0, y: weights.generations.map((_, row) => at(row, i)) })),
    legend: names.map((name, k) => ({ name, colour: k, dash: 0 })),
  });
  return section("weights", "Traced weights",
    make("p", { class: "note" }, `${number} weights of the best member, drawn at random, the same number from each matrix that is large enough.`),
    make("div", { class: "columns" }, chart,
      make("figure", {}, make("figcaption", {}, "Spread at the chosen generation"), box, holder)));
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
