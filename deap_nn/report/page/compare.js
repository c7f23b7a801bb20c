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

/* The settings of a run without those that follow from others, from the seed or from the machine. */
function settingsOf({ config }) {
  const { data, versions: _versions, seed: _seed, noise_sha256: _noise, workers: _workers, algorithm: _algorithm, adaptation: _adaptation, ...settings } = config;
  return { ...settings, data: data?.name };
}

/* Runs of the same settings, the lowest median error first. */
function groupsOf(runs) {
  const groups = new Map();
  for (const run of runs) {
    const key = JSON.stringify(settingsOf(run));
    groups.set(key, [...(groups.get(key) || []), run]);
  }
  const error = (group) => middle(group.map(errorOf)) ?? Infinity;
  const order = runs.some(({ config, measure }) => isMaximised(config) && measure !== "error rate") ? -1 : 1;
  return [...groups.values()].map((group) => group.sort((a, b) => order * ((errorOf(a) ?? Infinity) - (errorOf(b) ?? Infinity)))).sort((a, b) => order * (error(a) - error(b)));
}

const nameOf = (group) => (group.length > 1 ? `${count(group.length, "run")} as ${group[0].name}` : group[0].name);

function comparedCurves(groups) {
  const runs = groups.flat();
  const measured = Object.entries(MEASURES).filter(([name]) => runs.some((run) => run.logbook[name]) && (!["min", "avg"].includes(name) || new Set(runs.map((run) => run.fitness)).size === 1));
  const labels = Object.fromEntries(measured.map(([name, { label }]) => [name, label.replace("%", () => measuresOf(runs))]));
  const scales = Object.entries(AXES).filter(([, axis]) => runs.every((run) => axis.of(run)));
  const holder = make("div", {}), shares = runs.every(isShare);
  const show = () => {
    const name = measure.value(), format = shares ? MEASURES[name].format : short, { of, label: xLabel } = AXES[axis.value()];
    const valuesOf = (run) => (name === "min" ? bestOf(run) : run.logbook[name]);
    const union = [...new Set(runs.flatMap(of))].sort((a, b) => a - b), every = Math.ceil(union.length / 400);
    const x = union.filter((_, i) => i % every === 0 || i === union.length - 1);
    const series = groups.flatMap((group, colour) => {
      const known = group.filter(valuesOf), own = known.map((run) => ({ name: run.name, colour, x: of(run), y: valuesOf(run) }));
      if (known.length < 2) return own;
      return [...own.map((one) => ({ ...one, name: null, faint: true })), { name: `median, ${nameOf(known)}`, colour, x, y: x.map((at) => middle(own.map((one) => reading(one, at)))) }];
    });
    const time = timeline("compared-place", capital(xLabel), x);
    holder.replaceChildren(lineChart(time, "compared", {
      title: capital(labels[name]), xLabel, x, format, from: format === percent ? 0 : undefined, logarithmic: true, series, whole: axis.value() === "generation",
    }), time.control);
    time.leave();
  };
  const measure = chooser("compared-measure", "Show", Object.entries(labels), show);
  const axis = chooser("compared-axis", "by", scales.map(([name, { label }]) => [name, label]), show);
  show();
  return section("curves", "Curves", make("div", { class: "choices" }, measure.control, axis.control, axisSwitch()), holder);
}

function resultsTable(groups) {
  const measure = measuresOf(groups.flat());
  const heads = ["run", "verdict", `validation ${measure}`, `test ${measure}`];
  const row = (run) => {
    const { name, status, logbook } = run, format = formatOf(run);
    const error = isNumber(status.validation_error) ? status.validation_error : lastOf(logbook.val_error);
    return [name, `${verdictOf(run)}.${status.state === "finished" ? "" : ` (${status.state || "unknown"})`}`, format(error), format(status.test_error)];
  };
  const rows = groups.flatMap((group) => {
    if (group.length < 2) return group.map(row);
    const errors = group.map(errorOf).filter(isNumber), format = formatOf(group[0]), [low, high] = range(errors);
    const said = errors.length ? `median ${format(middle(errors))} (${format(low)} to ${format(high)})` : "";
    return [[nameOf(group), said, "", ""], ...group.map(row)];
  });
  return section("results", "Results", table("Results", heads, rows, "words bare list"));
}

function differences(groups) {
  const flat = groups.map((group) => ({ ...settingsOf(group[0]), seed: group.map((run) => textOf(run.config.seed)).join(" ") }));
  const names = [...new Set(flat.flatMap((settings) => Object.keys(settings)))];
  const differing = names.filter((name) => name === "seed" || new Set(flat.map((settings) => textOf(settings[name]))).size > 1);
  return section("settings", "Settings that differ", table("Settings that differ", ["setting", ...groups.map(nameOf)],
    differing.map((name) => [name.replaceAll("_", " "), ...flat.map((settings) => (name in settings ? textOf(settings[name]) : "–"))]), "words bare list"));
}

function renderComparison(runs) {
  runs.forEach(prepare);
  const groups = groupsOf(runs);
  document.getElementById("top").replaceChildren(make("h1", {}, `${count(runs.length, "run")} compared`));
  document.getElementById("content").replaceChildren(resultsTable(groups), comparedCurves(groups), differences(groups));
}
