"""Run a table of settings and seeds, and make one table and one figure of it: ``sweep.py STUDY``.

Run it with ``python -m scoop experiments/sweep.py STUDY`` to use every core. A study is a TOML file: ``seeds``, options
of ``experiments/mnist.py`` for all runs under ``[common]``, and those of each setting under ``[settings.NAME]``. A
setting with a ``method`` is run by ``experiments/baselines.py``, and gets the common options that mean the same there.
The horizontal axis of the figure is the evaluations, or the generations with ``by = "gen"``. Finished runs are skipped.
Interrupted runs are resumed, and interrupted baselines are run again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.callbacks.candidates import BEST, MEAN
from deap_nn.core.arguments import options_of
from deap_nn.core.environment import leave_out_extras
from deap_nn.core.errors import InputError
from deap_nn.core.files import write_with
from deap_nn.core.logbooks import format_row, parse_rows, read_csv
from deap_nn.data.dataset import DataError
from deap_nn.data.loading import load_dataset
from deap_nn.maps import MAP_OPTIONS, add_map_options
from deap_nn.maps.scoop import prepare_worker
from deap_nn.process.cli import Parser, run_command
from deap_nn.runs.files import FILES, read_config, read_status
from deap_nn.runs.files import digest_of as digest_of_file

leave_out_extras()
prepare_worker("deap_nn.problems.evaluate", "deap_nn.operators.compiled.crossing", "deap_nn.operators.compiled.centre")

COLUMNS = ("study", "setting", "seed", "gen", "evaluations", "min", "avg", "train_error", "val_error", "best", "mean")
"""The columns of ``runs.csv``; ``best`` and ``mean`` are the read-outs, the error on all validation digits."""

RESULTS = ("training_error", "validation_error", "test_error", "generations", "seconds")
"""The columns of ``results.csv`` from the ``status.json`` of each run, beside study, setting and seed."""

COUNTED = ("evaluations", "digits", "options", "data")
"""Further columns of ``results.csv``: the numbers of evaluations and of digits in mini-batches, both after generation
0, and digests of the run's settings and of its data."""

NO_MATTER = {"seed", "data", "keras", "init_weights"}
"""Settings that differ between seeds, and the paths of files, of which ``config.json`` also has the digests."""


OF_A_SWEEP = {"output", "resume", "force", "no-progress", "seed", "help", *MAP_OPTIONS}
"""Options of a run that a study cannot set."""

OF_ALL = ("threads", "device")
"""Options that a process can set only once, so that they are the same for all runs."""


@dataclass(frozen=True)
class Study:
    """The content of a study's file.

    Parameters
    ----------
    name : str
        The file's name without its suffix.
    seeds : tuple of int
        The seeds; every setting is run with each of them.
    settings : mapping
        The arguments of each setting's script, by name.
    by : {"evaluations", "gen"}
        The horizontal axis of the figure.
    """

    name: str
    seeds: tuple[int, ...]
    settings: Mapping[str, tuple[str, ...]]
    by: str

    @property
    def runs(self) -> Iterator[tuple[str, int]]:
        """The settings and seeds of all runs, one seed of all settings after the other."""
        return ((name, seed) for seed in self.seeds for name in self.settings)


def read_study(path: str) -> Study:
    """Return the study in a file; raise `InputError` with the reason if it is not valid."""
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"argument STUDY: {path} cannot be read: {reason}") from error
    unknown = content.keys() - {"seeds", "common", "settings", "by"}
    if unknown:
        raise InputError(f"argument STUDY: {path}: {min(unknown)} is none of seeds, common, settings, by")
    seeds, common, settings = content.get("seeds"), content.get("common", {}), content.get("settings")
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise InputError(f"argument STUDY: {path}: seeds must be a list of integers")
    if len(set(seeds)) != len(seeds):
        raise InputError(f"argument STUDY: {path}: seeds must differ")
    if (by := content.get("by", "evaluations")) not in ("evaluations", "gen"):
        raise InputError(f"argument STUDY: {path}: by must be evaluations or gen, got {by}")
    tables = [common, *settings.values()] if isinstance(settings, dict) else [settings]
    if not settings or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"argument STUDY: {path}: common and each of settings must be a table of options")
    for name, table in settings.items():
        if table.keys() & set(OF_ALL):
            raise InputError(f"argument STUDY: {path}: {min(table.keys() & set(OF_ALL))} is for [common] only")
        if not name.replace("-", "").replace("_", "").isalnum() or not name[0].isalnum():
            raise InputError(f"argument STUDY: {path}: the setting {name!r} must be named by letters, digits, - and _")
    made = {}
    for name, table in settings.items():
        options = common
        if "method" in table:
            import baselines
            import mnist_options

            kinds = mnist_options.Settings, *ALGORITHMS.values()
            left_out = {option.option for kind in kinds for option in options_of(kind).values()}
            left_out -= {f"--{name.replace('_', '-')}" for name in baselines.common_options(table["method"])}
            options = {name: value for name, value in common.items() if f"--{name.replace('_', '-')}" not in left_out}
        made[name] = tuple(_arguments(options | table, path))
    return Study(Path(path).stem, tuple(seeds), made, by)


def _arguments(options: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, value in options.items():
        if name.replace("_", "-") in OF_A_SWEEP:
            raise InputError(f"argument STUDY: {path}: a study cannot set {name}")
        yield f"--{name.replace('_', '-')}={value}"


def _script(arguments: Sequence[str]) -> Any:
    """Return the module of the script that some arguments are for."""
    import baselines
    import mnist

    return baselines if any(argument.startswith("--method=") for argument in arguments) else mnist


def settings_of(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the settings of a run with some arguments, as its ``config.json`` will have them."""
    import mnist_options

    script = _script(arguments)
    if script.__name__ == "mnist":
        return mnist_options.config_of(mnist_options.parse_arguments(arguments))
    options = vars(script.complete(script.make_parser().parse_args(arguments)))
    return {name: value for name, value in options.items() if name not in script.NOT_STORED}


def run_one(arguments: Sequence[str]) -> None:
    """Run a script with some arguments, in this process and with its map."""
    before = sys.argv
    script = _script(arguments)
    sys.argv = [str(script.__file__), *arguments]  # an interrupted run names the command that resumes it
    try:
        script.main()
    finally:
        sys.argv = before


def check(study: Study, output: Path, data: Sequence[str], *, only_draw: bool) -> None:
    """Raise `InputError` if a run has wrong options, or a folder has a run with other options or data."""
    begun: dict[tuple[str, str | None], tuple[str, Path]] = {}
    whole = True
    for name, seed in study.runs:
        try:
            options = settings_of([*study.settings[name], *data, f"--seed={seed}"])
        except InputError as error:
            raise InputError(f"argument STUDY: settings.{name}: {error}") from error
        folder = output / f"{name}-{seed}"
        status = read_status(folder)
        whole &= status.get("state") == "finished"
        if not (folder / "config.json").exists():
            continue
        config = read_config(folder, "--output")
        if "step" in options and options["step"] is None:  # a run records the one that follows from its size
            config["step"] = None
        described = config.get("data") or {}
        if "asked_generations" in status:  # a resume may have asked for more than config.json has
            config["generations"] = status["asked_generations"]
        for option in sorted(options.keys() - (NO_MATTER - {"seed"})):
            if config.get(option) != options[option]:
                was = f"{option} {config.get(option)} and not {options[option]}"
                raise InputError(f"argument --output: {folder} is a run of other settings, with {was}")
        for option in FILES:
            path = options.get(option)
            if config.get(f"{option}_sha256") != (None if path is None else digest_of_file(path)):
                raise InputError(f"argument --output: {folder} is a run of another file, or none, than {option} {path}")
        digest = described.get("sha256", "")
        before, other = begun.setdefault((options["dataset"], options["data"]), (digest, folder))
        if digest != before:
            raise InputError(f"argument --output: {folder} is a run on other data than {other}")
    for (name, path), (digest, folder) in begun.items() if not (whole or only_draw) else ():
        try:
            present = load_dataset(name, path).reference.sha256
        except DataError as error:
            raise InputError(f"argument --data: {error}") from error
        if present != digest:
            raise InputError(f"argument --output: {folder} is a run on other data than {path or f'--dataset {name}'}")


def run_all(study: Study, output: Path, data: Sequence[str]) -> None:
    """Run all runs that are not finished."""
    print(runs_left(study, output), file=sys.stderr, flush=True)
    runs = list(study.runs)
    for number, (name, seed) in enumerate(runs, start=1):
        folder = output / f"{name}-{seed}"
        if read_status(folder).get("state") == "finished":
            continue
        print(f"{number} of {len(runs)}: {name}, seed {seed}", file=sys.stderr, flush=True)
        begun = (folder / "config.json").exists()
        if begun and "method" in read_config(folder, "--output"):
            shutil.rmtree(folder)  # a baseline cannot be resumed
            begun = False
        elif not begun and folder.exists():
            left = {path.name for path in folder.iterdir()} if folder.is_dir() else {"a file"}
            if any(not name.startswith(".") for name in left - {"status.json", "checkpoint"}):
                what = "has lost its config.json: put it back, or" if "status.json" in left else "is no run's folder:"
                raise InputError(f"argument --output: {folder} {what} move it away")
            shutil.rmtree(folder)  # it was killed before its first generation, so it cannot be resumed
        try:
            if begun:
                run_one(["--resume", str(folder), *data, "--no-progress"])
            else:
                run_one([*study.settings[name], *data, f"--seed={seed}", f"--output={folder}", "--no-progress"])
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error
        if read_status(folder).get("state") == "finished":
            print(f"  {_figures(read_status(folder))}; {runs_left(study, output)}", file=sys.stderr, flush=True)


def runs_left(study: Study, output: Path) -> str:
    """Return how many runs are left, and how long they will take if each takes as long as those of its setting."""
    seconds: dict[str, list[float]] = {name: [] for name in study.settings}
    open_runs = []
    for name, seed in study.runs:
        status = read_status(output / f"{name}-{seed}")
        if status.get("state") == "finished":
            seconds[name].append(status["seconds"])
        else:
            open_runs.append(name)
    every = [one for some in seconds.values() for one in some]
    known = f", some {sum(np.mean(seconds[name] or every) for name in open_runs) / 60:.0f} min" if every else ""
    return f"{len(open_runs)} of {len(list(study.runs))} runs are left{known}"


def _figures(status: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {status[name]:.4g}" for name in RESULTS if isinstance(status.get(name), int | float))


def write_tables(study: Study, output: Path) -> dict[str, list[dict[str, Any]]]:
    """Write ``runs.csv`` and ``results.csv`` of all finished runs, and return their results by setting."""
    rows = [format_row(COLUMNS)]
    results = [format_row(("study", "setting", "seed", *RESULTS, *COUNTED))]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in study.settings}
    digests = {name: digest_of(settings_of(arguments)) for name, arguments in study.settings.items()}
    for name, seed in study.runs:
        folder = output / f"{name}-{seed}"
        status = read_status(folder)
        if status.get("state") != "finished":
            continue
        logbook, readouts = read_csv(folder / "logbook.csv"), read_csv(folder / "readouts.csv")
        read = {gen: place for place, gen in enumerate(readouts["gen"])}
        evaluations = np.cumsum(logbook["nevals"]) - logbook["nevals"][0]
        for i, gen in enumerate(logbook["gen"]):
            errors = [readouts[kind][read[gen]] if gen in read else np.nan for kind in (BEST, MEAN)]
            errors = ["" if np.isnan(error) else error for error in errors]
            logged = [logbook[column][i] for column in ("min", "avg", "train_error", "val_error")]
            rows.append(format_row([study.name, name, seed, int(gen), int(evaluations[i]), *logged, *errors]))
        config = read_config(folder, "--output")
        counted = int(evaluations[-1]), int(config["batch_size"]) * (len(evaluations) - 1)
        digests_of_run = digests[name], config["data"]["sha256"][:12]
        shown = [status.get(column, "") for column in RESULTS]
        results.append(format_row([study.name, name, seed, *shown, *counted, *digests_of_run]))
        found[name].append(status)
    for file, lines in (("runs.csv", rows), ("results.csv", results)):
        text = "".join(lines)
        write_with(output / file, lambda partial, text=text: Path(partial).write_text(text, encoding="utf-8"))
    return found


def digest_of(settings: Mapping[str, Any]) -> str:
    """Return a digest of the settings of a run, its algorithm's among them: the first 12 digits of a SHA-256."""
    options = {name: value for name, value in settings.items() if name not in NO_MATTER and value is not None}
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:12]


def summary(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return lines with the median and the quartiles of each setting."""
    width = max(map(len, found))
    lines = [f"{'setting':{width}}  runs  validation error          test error"]
    for name, results in found.items():
        validation, test = (spread([result[kind] for result in results]) for kind in ("validation_error", "test_error"))
        lines.append(f"{name:{width}}  {len(results):4}  {validation:24}  {test}")
    return lines


def spread(values: Sequence[float]) -> str:
    """Return the median of some values with their quartiles; of one value only this."""
    if len(values) < 2:
        return f"{values[0]:.4f}" if values else "-"
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.4f} ({low:.4f} to {high:.4f})"


def main() -> int:
    """Run the study that the command line names, and return the exit status."""
    parser = Parser(
        "Run a table of settings and seeds, and make one table and one figure of it.",
        "python -m scoop experiments/sweep.py experiments/studies/mlp-crossover.toml",
        "python experiments/sweep.py experiments/studies/mlp-crossover.toml --only-draw",
    )
    add = parser.groups["run"].add_argument
    add("study", metavar="STUDY", help="TOML file, such as those in experiments/studies")
    add("--only-draw", action="store_true", help="table and figure of the finished runs [run the others]")
    add = parser.groups["data"].add_argument
    add("--data", metavar="PATH", help="folder of IDX files, or an .npz file [the study's]")
    add = parser.groups["output"].add_argument
    add("--output", metavar="DIR", help="folder for the runs [runs/ and the name of the study]")
    add_map_options(parser)
    options = parser.parse_args()
    study = read_study(options.study)
    output = Path(options.output) if options.output is not None else Path("runs", study.name)
    data = [f"--data={options.data}"] if options.data is not None else []
    check(study, output, data, only_draw=options.only_draw)
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = open(os.devnull if options.only_draw else output / ".lock", "ab")  # noqa: SIM115  (closed below)
        if not options.only_draw:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"argument --output: {output} is in use by another sweep") from None
    except OSError as error:
        raise InputError(f"argument --output: {output}: {error.strerror}") from error
    with lock:
        shared = [f"--{name}={getattr(options, name)}" for name in MAP_OPTIONS if getattr(options, name) is not None]
        return sweep(study, output, [*data, *shared], only_draw=options.only_draw)


def sweep(study: Study, output: Path, data: Sequence[str], *, only_draw: bool) -> int:
    """Run all unfinished runs, then write and print the results of the finished ones."""
    if not only_draw:
        run_all(study, output, data)
    found = write_tables(study, output)
    if not any(found.values()):
        raise InputError(f"argument STUDY: no run of {study.name} is finished in {output}")
    from figures import draw_study

    rows = parse_rows((output / "runs.csv").read_text(encoding="utf-8"))
    draw_study(rows, output / "study.png", by=study.by)
    print("\n".join(summary(found)))
    return 0


if __name__ == "__main__":
    run_command(main)
