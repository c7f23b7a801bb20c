/* Several runs in one page. */

const AXES = {
  generation: { label: "generation", of: (run) => run.logbook.gen },
  evaluations: { label: "evaluations", of: (run) => run.evaluated },
  seconds: { label: "seconds", of: (run) => run.elapsed },
};
const MEASURES = {
  val_error: { label: "validation % of the best member", format: percent },
  train_error: { label: "% of the best member on its mini-batch", format: percent },
  min: { label: "best fitness", format: short },
  avg: { label: "average fitness", format: short },
  sigma: { label: "sigma (mutation step size)", format: short },
};

/* Evaluations up to each drawn generation: all generations after the first have the same number. */
function prepare(run) {
  const { gen, nevals } = run.logbook;
  run.evaluated = nevals ? gen.map((generation, i) => nevals[0] + generation * nevals[i]) : null;
  run.elapsed = run.seconds && run.seconds.length === gen.length ? run.seconds : null;
}

function chooser(id, label, options, act) {
  const chosen = make("select", { id, on: { change: act } }, options.map(([value, name]) => make("option", { value }, name)));
  return { control: make("span", { class: "control" }, make("label", { for: id }, label), chosen), value: () => chosen.value };
}

const measuresOf = (runs) => [...new Set(runs.map((run) => run.measure))].join(" or ");

function comparedCurves(runs) {
  const measured = Object.entries(MEASURES).filter(([name]) => runs.some((run) => run.logbook[name]));
  const labels = Object.fromEntries(measured.map(([name, { label }]) => [name, label.replace("%", () => measuresOf(runs))]));
  const axes = Object.entries(AXES).filter(([, axis]) => runs.every((run) => axis.of(run)));
  const holder = make("div", {});
  const shares = runs.every(isShare);
  const show = () => {
    const name = measure.value(), label = labels[name], format = shares ? MEASURES[name].format : short, { of, label: xLabel } = AXES[axis.value()];
    const drawn = runs.map((run, colour) => ({ name: run.name, colour, x: of(run), y: name === "min" ? bestOf(run) : run.logbook[name] })).filter((one) => one.y);
    const union = [...new Set(drawn.flatMap((one) => one.x))].sort((a, b) => a - b), every = Math.ceil(union.length / 400);
    holder.replaceChildren(lineChart("compared-place", {
      title: label[0].toUpperCase() + label.slice(1), xLabel, x: union.filter((_, i) => i % every === 0 || i === union.length - 1),
      format, from: format === percent ? 0 : undefined, logarithmic: format !== percent, series: drawn, whole: axis.value() === "generation",
    }));
  };
  const measure = chooser("compared-measure", "Show", Object.entries(labels), show);
  const axis = chooser("compared-axis", "by", axes.map(([name, { label }]) => [name, label]), show);
  show();
  return section("curves", "Curves", make("div", { class: "choices" }, measure.control, axis.control), holder);
}

function resultsTable(runs) {
  const measure = measuresOf(runs);
  const heads = ["run", "state", `validation ${measure}`, `test ${measure}`, "generations", "evaluations", "time"];
  const rows = runs.map((run) => {
    const { name, status, logbook } = run, format = formatOf(run);
    const errors = logbook.val_error || [], error = isNumber(status.validation_error) ? status.validation_error : errors[errors.length - 1];
    return [name, status.state || "unknown", format(error), format(status.test_error), grouped(logbook.gen[logbook.gen.length - 1]), isNumber(status.evaluations) ? grouped(status.evaluations) : "–", duration(status.seconds)];
  });
  return section("results", "Results", table("Results", heads, rows, "bare"));
}

function differences(runs) {
  const flat = runs.map((run) => {
    const { data, versions, noise_sha256: _, ...settings } = run.config; // the noise follows from the seed
    return { ...settings, data: data && data.name, processor: versions && versions.processor };
  });
  const names = [...new Set(flat.flatMap((settings) => Object.keys(settings)))];
  const differing = names.filter((name) => new Set(flat.map((settings) => textOf(settings[name]))).size > 1);
  if (!differing.length) return section("settings", "Settings", make("p", {}, "All runs have the same settings."));
  return section("settings", "Settings that differ", table("Settings that differ", ["setting", ...runs.map((run) => run.name)],
    differing.map((name) => [name.replaceAll("_", " "), ...flat.map((settings) => (name in settings ? textOf(settings[name]) : "–"))]), "words bare"));
}

function renderComparison(runs) {
  runs.forEach(prepare);
  document.getElementById("top").replaceChildren(make("h1", {}, `${count(runs.length, "run")} compared`), make("p", { class: "lead" }, runs.map((run) => run.name).join(", ")));
  document.getElementById("content").replaceChildren(resultsTable(runs), comparedCurves(runs), differences(runs));
}
