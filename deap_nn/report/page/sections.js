/* The parts of a run's page: results, learning curves, time and memory, settings. */

const MODELS = { mnist_deep: "a CNN of 3.27 million weights", lenet5: "LeNet-5, 61,706 weights", mlp: "a 784-64-10 network" };
const MAIN_SETTINGS = ["preset", "method", "population", "generations", "parents", "crossover", "step", "mates", "rate", "momentum", "fitness", "batch_size",
  "mate", "mutate", "select", "sigma", "schedule", "final_sigma", "scale", "model", "seed"];

function modelOf(config) {
  const data = config.data && config.data.name ? ` on ${config.data.name}` : "";
  const members = isNumber(config.population) ? `, ${count(config.population, "member")}` : "";
  const how = config.method ? `, trained by ${config.method}` : "";
  return `${MODELS[config.model] || config.model || "a network"}${data}${members}${how}${isNumber(config.seed) ? `, seed ${config.seed}` : ""}`;
}

/* The kind of a run's errors: a share, or another number. */
const isShare = (run) => run.measure === "error rate";
const isMaximised = (config) => Array.isArray(config.fitness_weights) && config.fitness_weights[0] > 0;
const bestOf = (run) => (isMaximised(run.config) && run.logbook.max) || run.logbook.min;
const formatOf = (run) => (isShare(run) ? percent : short);

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function tilesOf(run) {
  const { status, logbook, seconds } = run, tiles = [];
  const add = (name, figure, more) => tiles.push(make("div", { class: "tile" }, make("dt", {}, name), make("dd", {}, make("span", { class: "figure" }, figure), more ? make("span", { class: "more" }, more) : null)));
  const { measure } = run, format = formatOf(run);
  if (isNumber(status.test_error)) add(`Test ${measure}`, format(status.test_error), "scored once, at the end");
  if (isNumber(status.validation_error)) add(`Validation ${measure}`, format(status.validation_error), status.readout ? `${status.readout}, generation ${grouped(status.generation)}` : null);
  else if (logbook.val_error) add(`Validation ${measure}`, format(logbook.val_error[logbook.val_error.length - 1]), "the last generation's best member");
  else add("Best fitness", short(bestOf(run).at(-1)), run.fitness);
  const generations = logbook.gen[logbook.gen.length - 1];
  add("Generations", grouped(generations), isNumber(status.asked_generations) && status.asked_generations > generations ? `of ${grouped(status.asked_generations)} requested` : null);
  if (isNumber(status.evaluations)) add("Evaluations", grouped(status.evaluations), "networks scored");
  const took = isNumber(status.seconds) ? status.seconds : seconds ? seconds[seconds.length - 1] : null;
  if (isNumber(took)) add("Time", duration(took), isNumber(status.evaluations) ? `${short(status.evaluations / took, 3)} evaluations/s` : null);
  return make("dl", { class: "tiles" }, tiles);
}

function headOf(run, sections) {
  const { status } = run, state = status.state || "";
  const reason = status.stopped_by ? `Stopped early: ${status.stopped_by}.` : status.error ? String(status.error) : null;
  return [
    make("div", { class: "title" }, make("h1", {}, run.name), state ? make("span", { class: `state ${state}`, role: "status" }, status.phase ? `${state}: ${status.phase}` : state) : null),
    make("p", { class: "lead" }, `${modelOf(run.config)}.`),
    typeof run.config.algorithm === "string" ? make("p", { class: "note" }, `${capital(run.config.algorithm)}.`) : null,
    reason ? make("p", { class: status.error ? "alert" : "note" }, reason) : null,
    tilesOf(run),
    make("nav", { "aria-label": "Parts of this page" }, make("ul", {}, sections.map((part) => make("li", {}, make("a", { href: `#${part.id}` }, part.querySelector("h2").textContent))))),
  ];
}

function curvesSection(run) {
  const { logbook, readouts, config, fitness, measure } = run, x = logbook.gen, figures = [];
  const better = `${isMaximised(config) ? "higher" : "lower"} is better`;
  figures.push(lineChart("fitness-generation", {
    title: `Fitness (${fitness}, ${better})`, xLabel: "generation", x, whole: true, logarithmic: true,
    series: [{ name: "average", colour: 0, y: logbook.avg, dash: 1 }, { name: "best", colour: 1, y: bestOf(run), dash: 0 }],
  }));
  if (logbook.val_error) {
    const series = [{ name: "best, on its mini-batch", colour: 1, dash: 2, y: logbook.train_error }, { name: "best, on validation samples", colour: 2, dash: 0, y: logbook.val_error }];
    const names = Object.keys(readouts || {}).filter((name) => name !== "gen" && readouts[name].some(isNumber));
    names.forEach((name, i) => series.push({ name: `${name}${name.includes("training") ? "" : ", on all validation samples"}`, colour: [4, 5, 3, 7][i % 4], points: true, x: readouts.gen, y: readouts[name] }));
    figures.push(lineChart("error-generation", { title: isShare(run) ? "Error rate" : `Best member's ${measure} (${better})`, xLabel: "generation", x, whole: true, from: isShare(run) ? 0 : undefined, format: formatOf(run), series: series.filter((one) => one.y) }));
  }
  if (logbook.std && isNumber(config.population)) {
    figures.push(lineChart("spread-generation", { title: "Spread of the fitness (standard deviation)", xLabel: "generation", x, whole: true, logarithmic: true, from: undefined, series: [{ name: "standard deviation", colour: 0, y: logbook.std }] }));
  }
  if (logbook.sigma && logbook.sigma.some((value) => value)) {
    figures.push(lineChart("sigma-generation", { title: "Mutation step size", xLabel: "generation", x, whole: true, logarithmic: true, series: [{ name: "sigma", colour: 5, y: logbook.sigma }] }));
  }
  return section("curves", "Learning curves", make("div", { class: "columns" }, figures));
}

function timingSection(run) {
  const { timing } = run, known = timing.seconds.filter(isNumber).sort((a, b) => a - b);
  const chart = (id, title, name, y, colour, from) => lineChart(id, { title, xLabel: "generation", x: timing.gen, whole: true, from, logarithmic: from === undefined, series: [{ name, colour, y }] });
  const peak = timing.peak_memory_mib ? Math.max(...timing.peak_memory_mib.filter(isNumber)) : NaN;
  return section("timing", "Time and memory",
    make("p", { class: "note" }, `A generation took ${duration(known[known.length >> 1])} (median), ${duration(known[0])} to ${duration(known[known.length - 1])}${Number.isFinite(peak) ? `; the main process held ${grouped(Math.round(peak))} MiB at most` : ""}.`),
    make("div", { class: "columns" },
      chart("seconds-generation", "Seconds per generation", "seconds", timing.seconds, 7),
      timing.evaluations_per_second ? chart("rate-generation", "Evaluations per second", "evaluations/s", timing.evaluations_per_second, 2, 0) : null,
      timing.peak_memory_mib ? chart("memory-generation", "Peak memory of the main process (MiB)", "MiB", timing.peak_memory_mib, 3, 0) : null));
}

function textOf(value) {
  if (value === null || value === undefined || value === "") return "none";
  if (value === true || value === false) return value ? "yes" : "no";
  return typeof value === "object" ? JSON.stringify(value) : isNumber(value) ? short(value, 6) : String(value);
}

const rowsOf = (names, values) => names.map((name) => [name.replaceAll("_", " "), textOf(values[name])]);

function settingsSection(run) {
  const { config } = run, known = Object.keys(config);
  const main = MAIN_SETTINGS.filter((name) => known.includes(name) && config[name] !== null);
  const rest = known.filter((name) => !main.includes(name) && !["versions", "data", "algorithm"].includes(name));
  const tables = [table("Settings", null, rowsOf(main, config), "words")];
  if (config.data) tables.push(table("Data", null, rowsOf(Object.keys(config.data), config.data), "words"));
  if (config.versions) tables.push(table("Made with", null, rowsOf(Object.keys(config.versions), config.versions), "words"));
  return section("settings", "Settings", make("div", { class: "columns" }, tables[0], make("div", {}, tables.slice(1))),
    rest.length ? details("settings-rest", "All other settings", () => table("All other settings", null, rowsOf(rest, config), "words"), true) : null);
}

/* The parts of a run's page. */
function partsOf(run) {
  const parts = [curvesSection(run)];
  if (run.filters) parts.push(filtersSection(run.filters));
  if (run.weights) parts.push(weightsSection(run.weights));
  if (run.answers && run.answers.confusion) parts.push(confusionSection(run.answers, run.config));
  if (run.answers && run.answers.digits) parts.push(misreadSection(run.answers));
  if (run.timing && run.timing.gen && run.timing.gen.length) parts.push(timingSection(run));
  return [...parts, settingsSection(run)];
}
