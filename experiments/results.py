"""Make the tables and figures of ``docs/results.md`` from its CSV files: ``python experiments/results.py``.

``--take DIR...`` first adds to them the runs of studies, each the ``--output`` of ``experiments/sweep.py``: a study can
be run on several machines, a part of its settings or seeds on each.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu
from sweep import parse_rows, read_study, spread

from deap_nn.commands import InputError, Parser, run_command
from deap_nn.logbooks import write_with
from deap_nn.report import draw_study

Rows = Sequence[Mapping[str, str]]

STUDIES = Path(__file__).resolve().parent / "studies"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"
TABLE = re.compile(r"(<!-- (?:study|reached): ([a-z0-9-]+) -->\n).*?(<!-- end of (?:study|reached) -->)", re.S)
"""What the page has in place of a study's table: settings compared, or what each reached and what it took."""


def read_runs(path: Path) -> list[dict[str, str]]:
    """Return the rows of a compressed ``runs.csv``."""
    return parse_rows(gzip.decompress(path.read_bytes()).decode())


def take(folder: Path, kept: Path) -> str:
    """Add the runs of a study to those of it that are kept, and return its name.

    A run takes the place of one of the same setting and seed.
    """
    try:
        runs, results = ((folder / name).read_text(encoding="utf-8") for name in ("runs.csv", "results.csv"))
    except OSError as error:
        raise InputError(f"argument --take: {folder} has no tables of a study: {error.strerror}") from error
    rows = parse_rows(results) if results else []
    if not rows:
        raise InputError(f"argument --take: no run is finished in {folder}")
    name = rows[0]["study"]
    kept.mkdir(parents=True, exist_ok=True)
    files = kept / f"{name}.runs.csv.gz", kept / f"{name}.results.csv"
    if all(path.exists() for path in files):
        runs = added(gzip.decompress(files[0].read_bytes()).decode(), runs, folder)
        results = added(files[1].read_text(encoding="utf-8"), results, folder)
    write_with(files[0], lambda partial: Path(partial).write_bytes(gzip.compress(runs.encode(), 9, mtime=0)))
    write_with(files[1], lambda partial: Path(partial).write_text(results, encoding="utf-8"))
    return name


def added(before: str, now: str, folder: Path) -> str:
    """Return a table with the runs of another in place of its own of the same setting and seed, or after them."""
    (head, *old), (columns, *new) = before.splitlines(), now.splitlines()
    if head != columns:
        raise InputError(f"argument --take: {folder} has other columns than what is kept: {columns}, not {head}")
    which = [head.split(",").index(column) for column in ("setting", "seed")]

    def by_run(lines: Sequence[str]) -> dict[tuple[str, ...], list[str]]:
        found: dict[tuple[str, ...], list[str]] = {}
        for line in lines:
            values = line.split(",")
            found.setdefault(tuple(values[i] for i in which), []).append(line)
        return found

    merged = by_run(old) | by_run(new)
    return "".join(f"{line}\n" for line in (head, *(line for lines in merged.values() for line in lines)))


def holm(chances: Sequence[float]) -> list[float]:
    """Return chances corrected for their number (S. Holm, Scandinavian Journal of Statistics 6, 1979)."""
    corrected, largest = [0.0] * len(chances), 0.0
    for done, place in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        largest = max(largest, min(1.0, (len(chances) - done) * chances[place]))
        corrected[place] = largest
    return corrected


def table(results: Rows) -> str:
    """Return a study's table, the best setting first.

    Medians and quartiles over the seeds, and the chance to see such a difference from the first one's validation errors
    if there were none (two-sided rank test of H. B. Mann and D. R. Whitney, 1947), corrected for the number of them.
    The first one is the best of the same data, so what is left out of account is that it was picked.
    """
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in results:
        found.setdefault(row["setting"], []).append(row)
    errors = {name: [float(row["validation_error"]) for row in rows] for name, rows in found.items()}
    names = sorted(found, key=lambda name: float(np.median(errors[name])))
    lines = ["| setting | seeds | validation error | test error | p |", "| --- | --- | --- | --- | --- |"]
    chances = holm([float(mannwhitneyu(errors[names[0]], errors[name]).pvalue) for name in names[1:]])
    told = ["", *(f"{chance:.2g}" for chance in chances)]
    for name, chance in zip(names, told, strict=True):
        tests = [float(row["test_error"]) for row in found[name]]
        lines.append(f"| {name} | {len(tests)} | {spread(errors[name])} | {spread(tests)} | {chance} |")
    return "\n".join(lines) + "\n"


def reached(results: Rows) -> str:
    """Return what each setting of a study reached and what it took, in the order of the file.

    Medians over the seeds, of errors with the lowest and the highest.
    """
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in results:
        found.setdefault(row["setting"], []).append(row)
    lines = ["| setting | seeds | test error | validation error | evaluations | digits drawn | minutes |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for name, rows in found.items():
        told = [name, ", ".join(row["seed"] for row in rows)]
        for column in ("test_error", "validation_error"):
            errors = [float(row[column]) for row in rows]
            told.append(f"{np.median(errors):.4f} ({min(errors):.4f} to {max(errors):.4f})")
        told += [f"{np.median([int(row[column]) for row in rows]):,.0f}" for column in ("evaluations", "digits")]
        told.append(f"{np.median([float(row['seconds']) for row in rows]) / 60:.1f}")
        lines.append(f"| {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def tables(text: str, kept: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the table of each study that a page has a place for."""
    for begin, name, _ in TABLE.findall(text):
        path = kept / f"{name}.results.csv"
        if not path.exists():
            raise InputError(f"{kept.name}.md has a place for {name}, but there is no {path}")
        make = reached if begin.startswith("<!-- reached") else table
        yield name, make(parse_rows(path.read_text(encoding="utf-8")))


def main() -> int:
    """Do what the command line says, and return the exit status."""
    parser = Parser("Make the tables and figures of docs/results.md from the CSV files beside it.")
    taken = "first copy the tables of these studies, run by experiments/sweep.py"
    parser.add_argument("--take", nargs="+", default=[], metavar="DIR", help=taken)
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
    for folder in options.take:
        print(f"{take(Path(folder), kept)}: taken from {folder}")
    made = dict(tables(text, kept))
    text = TABLE.sub(lambda found: found[1] + made[found[2]] + found[3], text)
    write_with(page, lambda partial: Path(partial).write_text(text, encoding="utf-8"))
    for name in made:
        file = STUDIES / f"{name}.toml"
        figure = {"by": (study := read_study(str(file))).by, "known": study.known} if file.exists() else {}
        draw_study(read_runs(kept / f"{name}.runs.csv.gz"), kept / f"{name}.png", **figure)
    return 0


if __name__ == "__main__":
    run_command(main)
