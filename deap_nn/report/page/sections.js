/* The parts of a run's page: results, learning curves, time and memory, settings. */

const MODELS = { mnist_deep: "a CNN of 3.27 million weights", lenet5: "LeNet-5, 61,706 weights", mlp: "a 784-64-10 network" };

function modelOf(config) {
  const data = config.data?.name ? ` on ${config.data.name}` : "";
  const members = isNumber(config.population) ? `, ${count(config.population, "member")}` : "";
  const how = config.method ? `, trained by ${config.method}` : "";
  return `${MODELS[config.model] || config.model || "a network"}${data}${members}${how}${isNumber(config.seed) ? `, seed ${config.seed}` : ""}`;
}

/* The kind of a run's errors: a share, or another number. */
const isShare = (run) => run.measure === "error rate";
const isMaximised = (config) => Array.isArray(config.fitness_weights) && config.fitness_weights[0] > 0;
const bestOf = (run) => (isMaximised(run.config) && run.logbook.max) || run.logbook.min;
const formatOf = (run) => (isShare(run) ? percent : short);

const spelled = (measure) => ({ mse: "mean squared error", mae: "mean absolute error" })[measure] || measure;

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/* Errors to compare with: those of the article and of Adam only where network, data (by their digest) and budget are theirs. */
const MNIST = "b47f144fab9bba7d64eb76856815bc52beedde4eacd3776de9a19f1f8ace4ac4";

function levelsOf({ config, answers }) {
  const { model, population, generations, data } = config, levels = [];
  if (answers?.confusion) levels.push({ name: "chance", y: 1 - 1 / answers.confusion.length });
  if (model === "mnist_deep" && population === 200 && generations === 300 && data?.sha256 === MNIST) levels.push({ name: "the article", y: 0.65 }, { name: "Adam, the same layers and mini-batches", y: 0.0156 });
  return levels;
}

const lastOf = (values) => (values ? values[values.length - 1] : null);
const errorOf = ({ status, logbook }) => [status.test_error, status.validation_error, lastOf(logbook.val_error)].find(isNumber);
const tookOf = ({ status, seconds }) => (isNumber(status.seconds) ? status.seconds : lastOf(seconds));

/* What happened, in a sentence. */
function verdictOf(run) {
  const { status, config, logbook, measure } = run, error = errorOf(run), took = tookOf(run);
  const unseen = isNumber(status.test_error) ? "unseen" : "validation", last = lastOf(logbook.gen);
  const how = `${config.method ? "learned" : "learned by evolution, without backpropagation"}${isNumber(took) ? ` in ${duration(took)}` : ""}`;
  if (status.solved) return `Solved in generation ${grouped(last)}, ${how}`;
  if (isNumber(error) && isShare(run)) return `Reads ${Math.round(100 - 100 * error)} of 100 ${unseen} ${MODELS[config.model] && !/fashion/.test(config.data?.name) ? "digits" : "samples"} right, ${how}`;
  if (isNumber(error)) return `${capital(spelled(measure))} ${short(error)} on ${unseen} samples, ${how}`;
  return `${capital(spelled(run.fitness))} ${short(lastOf(bestOf(run)))} after ${count(last, "generation")}`;
}

/* What to compare it with, and what it is bad at. */
function weaknessOf({ answers }) {
  if (answers?.grid) return `The best constant has a mean squared error of ${short(answers.constant, 3)}.`;
  if (!answers?.confusion) return null;
  const rows = answers.confusion, right = rows.map((row, i) => (sum(row) ? row[i] / sum(row) : 1));
  const worst = right.reduce((found, value, i) => (value < right[found] ? i : found), 0);
  const others = rows[worst].map((value, j) => (j === worst ? -1 : value)), taken = others.indexOf(Math.max(...others));
  const often = others[taken] > 0 ? `, most often taken for ${taken}` : "";
  return `Chance is ${short(100 / rows.length, 2)}. Weakest on validation samples: ${worst} (right ${percent(right[worst], 0)})${often}.`;
}

function figuresOf(run) {
  const { status, logbook, readouts, measure } = run, format = formatOf(run), rows = [];
  const candidates = Object.keys(readouts || {}).filter((name) => name !== "gen");
  if (isNumber(status.validation_error)) rows.push([`validation ${measure} of the kept network`, format(status.validation_error), `${status.readout || "network"} of generation ${grouped(status.generation)}`]);
  for (const name of candidates) rows.push([`validation ${measure}, ${name}`, format(lastOf(readouts[name])), `generation ${grouped(lastOf(readouts.gen))}`]);
  const generations = lastOf(logbook.gen), took = tookOf(run);
  rows.push(["generations", grouped(generations), isNumber(status.asked_generations) ? `of ${grouped(status.asked_generations)}` : ""]);
  if (isNumber(status.evaluations)) rows.push(["networks scored", grouped(status.evaluations), isNumber(took) ? `${short(status.evaluations / took, 3)} a second` : ""]);
  return table("In numbers", null, rows, "words bare list");
}

function headOf(run) {
  const { status, logbook } = run, state = status.state || "", left = status.asked_generations - lastOf(logbook.gen);
  const reason = status.stopped_by ? `Stopped early: ${status.stopped_by}.` : status.error ? String(status.error) : null;
  const went = state === "running" && left > 0 ? `, generation ${grouped(lastOf(logbook.gen))} of ${grouped(status.asked_generations)}${run.timing ? `, some ${duration(left * middle(run.timing.seconds))} left` : ""}` : "";
  const error = errorOf(run), weakness = weaknessOf(run);
  return [
    make("div", { class: "title" }, make("p", { class: "lead" }, make("b", {}, run.name), `: ${modelOf(run.config)}`),
      state ? make("span", { class: `state ${state}`, role: "status" }, `${state}${status.phase ? `: ${status.phase}` : ""}${went}`) : null),
    make("h1", {}, `${verdictOf(run)}.`),
    weakness && make("p", { class: "weakness" }, weakness),
    reason && make("p", { class: status.error ? "alert" : "note" }, reason),
    make("div", { class: "figures" },
      isNumber(error) ? make("p", { class: "headline" }, make("b", {}, formatOf(run)(error)), isNumber(status.test_error) ? `test ${run.measure}, scored once, at the end` : `validation ${run.measure}`) : null,
      figuresOf(run)),
  ];
}

function errorSection(time, run) {
  const { logbook, readouts, config, status, measure } = run, x = logbook.gen, share = isShare(run);
  const better = `${isMaximised(config) ? "higher" : "lower"} is better`;
  const series = logbook.val_error ? [
    { name: `best member on ${isNumber(config.validation_size) ? `${grouped(config.validation_size)} ` : ""}validation samples`, colour: 2, dash: 0, faint: true, y: logbook.val_error },
    { name: "its median of ten generations", colour: 2, dash: 0, y: smooth(logbook.val_error) }] : [];
  Object.keys(readouts || {}).filter((name) => name !== "gen" && readouts[name].some(isNumber)).forEach((name, i) =>
    series.push({ name: `${name}, on all validation samples`, colour: [4, 5][i % 2], points: true, x: readouts.gen, y: readouts[name] }));
  const kept = isNumber(status.validation_error) && isNumber(status.generation) ? { x: status.generation, y: status.validation_error, name: `kept: ${formatOf(run)(status.validation_error)}` } : null;
  const common = { xLabel: "generation", x, whole: true, logarithmic: true };
  const error = series.length ? lineChart(time, "error", { ...common, title: `${capital(measure)} (${better})`, from: share ? 0 : undefined, format: formatOf(run), series, kept, levels: share ? levelsOf(run) : [] }) : null;
  const fitness = lineChart(time, "fitness", { ...common, title: `Fitness (${run.fitness}, ${better})`,
    series: [{ name: "average", colour: 0, y: logbook.avg, dash: 1 }, { name: "best", colour: 1, y: bestOf(run), dash: 0 }] });
  return section("curves", error ? "How it learned" : "Fitness", axisSwitch(), error, fitness);
}

/* Charts of one curve each: [id, title, name, colour, y, from], those that have values. */
function smallCharts(time, x, rows) {
  return make("div", { class: "columns" }, rows.filter(([, , , , y]) => y && y.some(Boolean)).map(([id, title, name, colour, y, from]) =>
    lineChart(time, id, { title, xLabel: "generation", x, whole: true, from, logarithmic: from === undefined, series: [{ name, colour, y }] })));
}

const populationSection = (time, { logbook }) => section("population", "Population", smallCharts(time, logbook.gen, [
  ["deviation", "Spread of the fitness (standard deviation)", "standard deviation", 0, logbook.std],
  ["sigma", "Mutation step size", "sigma", 5, logbook.sigma]]));

function timingSection(time, { timing }) {
  const known = timing.seconds.filter(isNumber).sort((a, b) => a - b), memory = timing.peak_memory_mib;
  return section("timing", "Time and memory",
    make("p", { class: "note" }, `A generation took ${duration(middle(known))} (median), ${duration(known[0])} to ${duration(lastOf(known))}${memory ? `; the main process held ${grouped(Math.round(range(memory)[1]))} MiB at most` : ""}.`),
    details("timing-charts", "By generation", () => smallCharts(time, timing.gen, [
      ["seconds", "Seconds per generation", "seconds", 7, timing.seconds],
      ["memory", "Peak memory of the main process (MiB)", "MiB", 3, memory, 0]])));
}

function textOf(value) {
  if (value === null || value === undefined || value === "") return "none";
  if (value === true || value === false) return value ? "yes" : "no";
  return typeof value === "object" ? JSON.stringify(value) : isNumber(value) ? short(value, 6) : String(value);
}

function settingsSection({ config }) {
  const { data, versions, algorithm, ...settings } = config, own = (title, values) => values && table(title, null, Object.entries(values).map(([name, value]) => [name.replaceAll("_", " "), textOf(value)]), "words");
  return section("settings", "Settings",
    details("settings-all", "The algorithm and all settings", () => make("div", { class: "columns" },
      make("div", {}, typeof algorithm === "string" ? make("p", { class: "note" }, `${capital(algorithm)}.`) : null, own("Settings", settings)),
      make("div", {}, own("Data", data), own("Made with", versions))), true));
}

/* The parts of a run's page, in the order in which a reader asks, and the control of the generation that they show. */
function partsOf(run) {
  const time = timeline("generation", "Generation", run.logbook.gen), { answers } = run;
  const curves = errorSection(time, run);
  const parts = [
    make("div", { class: "sticky" }, time.control),
    answers?.grid && curveSection(answers),
    answers?.digits && misreadSection(time, run),
    answers?.confusion && confusionSection(time, run),
    curves,
    run.members && membersSection(time, run.members),
    run.filters && filtersSection(time, run.filters),
    run.weights && weightsSection(time, run.weights),
    run.logbook.std && populationSection(time, run),
    run.timing?.gen?.length && timingSection(time, run),
    settingsSection(run)];
  time.leave();
  return parts.filter(Boolean);
}
