"""Make the tables and figures of the pages of results: ``python experiments/results.py``.

The pages are ``docs/results.md`` and those of ``docs/results``, which also holds the CSV files and the figures.

``--take DIR...`` first adds to them the runs of studies, each the ``--output`` of ``experiments/sweep.py``: a study can
be run on several machines, a part of its settings or seeds on each.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from figures import draw_rungs, draw_study
from sweep import Study, digest_of, read_study, settings_of
from tables import STUDIES, TABLE, Rows, reached_by_rung, read_runs, runs_of_rungs, tables

from deap_nn.core.errors import InputError
from deap_nn.core.files import write_with
from deap_nn.core.logbooks import format_row, parse_rows
from deap_nn.process.cli import Parser, integer, run_command

FITNESS = ("min", "avg")
"""The columns of ``runs.csv`` that are as exact as the fitness is."""

WHOLE = 300
"""Of later generations only those with candidates are kept, if nothing else is said."""

CURVES = 7
"""The last rungs whose errors are drawn by generation: steps by rank and by cases, and gradients."""

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"


def take(folder: Path, kept: Path, whole: int = WHOLE) -> str:
    """Add the runs of a study to those of it that are kept, and return its name.

    A run takes the place of one of the same setting and seed. The fitness is kept with four digits, and of generations
    after the `whole`-th only those with candidates are, which are all that tables and figures show.
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
            raise InputError(f"argument --take: {kept} lacks a file of {name}: {error}") from error
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
    """Raise `InputError` if a setting was run with other options or data than its kept runs.

    Runs without a digest of their options, and runs that are all replaced, are not compared.
    """
    replaced = {(row["setting"], row["seed"]) for row in now}
    known: dict[str, set[tuple[str, str]]] = {}
    for row in (*(row for row in before if (row["setting"], row["seed"]) not in replaced), *now):
        if row.get("options"):
            known.setdefault(row["setting"], set()).add((row["options"], row.get("data", "")))
    for setting in dict.fromkeys(row["setting"] for row in now):
        if len(known.get(setting, ())) > 1:
            kept = "its kept runs" if before else "other runs in it"
            raise InputError(f"argument --take: {folder}: {setting} has other options or data than {kept}")


def added(before: str, now: str) -> str:
    """Return a table with the runs of another one added; they replace runs of the same setting and seed.

    Settings stay in their order, and seeds are sorted. Missing values are empty.
    """
    old, new = parse_rows(before), parse_rows(now)
    columns = list(dict.fromkeys([*before.splitlines()[0].split(","), *now.splitlines()[0].split(",")]))
    replaced = {(row["setting"], row["seed"]) for row in new}
    rows = [row for row in old if (row["setting"], row["seed"]) not in replaced] + new
    settings = list(dict.fromkeys(row["setting"] for row in (*old, *new)))
    rows.sort(key=lambda row: (settings.index(row["setting"]), int(row["seed"])))
    return "".join(format_row(line) for line in (columns, *([row.get(name, "") for name in columns] for row in rows)))


def left(study: Study, kept: Path) -> str:
    """Return how many runs of a study have no row, or one of other settings than those that its file now means."""
    file = kept / f"{study.name}.results.csv"
    rows = parse_rows(file.read_text(encoding="utf-8")) if file.exists() else []
    found = {(row["setting"], int(row["seed"])): row.get("options") for row in rows}
    now = {name: digest_of(settings_of(arguments)) for name, arguments in study.settings.items()}
    missing = sum(run not in found for run in study.runs)
    older = sum(run in found and found[run] != now[run[0]] for run in study.runs)
    return f"{study.name}: of {len(list(study.runs))} runs {missing} are missing, {older} have other settings"


def main() -> int:
    """Make the tables and figures, and return the exit status."""
    parser = Parser(
        "Make the tables and figures of docs/results.md and of the pages in docs/results from the CSV files there."
    )
    taken = "first add the runs of these folders, which experiments/sweep.py has made"
    parser.add_argument("--take", nargs="+", default=[], metavar="DIR", help=taken)
    late = "generation after which only rows with scored candidates are kept of the added runs"
    parser.add_argument("--whole", type=integer(0), default=WHOLE, help=late)
    parser.add_argument(
        "--page", default=str(PAGE), metavar="FILE", help="the first page; its folder holds the others and all files"
    )
    parser.add_argument("--left", action="store_true", help="then say which runs of experiments/studies are left")
    options = parser.parse_args()
    page = Path(options.page)
    kept = page.with_suffix("")
    try:
        texts = {path: path.read_text(encoding="utf-8") for path in (page, *sorted(kept.glob("*.md")))}
    except OSError as error:
        raise InputError(f"argument --page: {page}: {error.strerror}") from error
    places = {name for text in texts.values() for _, _, name, _ in TABLE.findall(text)}
    for folder in options.take:
        name = take(Path(folder), kept, options.whole)
        print(f"{name}: taken from {folder}")
        if name not in places:
            raise InputError(f"neither {page} nor a page in {kept} has a place for {name}: <!-- study: {name} -->")
    made = dict(table for text in texts.values() for table in tables(text, kept))
    for path, text in texts.items():
        text = TABLE.sub(lambda found: found[1] + made[found[2], found[3]] + found[4], text)
        write_with(path, lambda partial, text=text: Path(partial).write_text(text, encoding="utf-8"))
    for kind, name in made:
        if kind == "rungs":
            draw_rungs({"the article (validation error)": [0.65]} | reached_by_rung(kept), kept / f"{name}.png")
            draw_study(runs_of_rungs(kept, CURVES), kept / "learning.png", by="gen")
        elif kind != "algorithms":
            file = STUDIES / f"{name}.toml"
            by = read_study(str(file)).by if file.exists() else "evaluations"
            draw_study(read_runs(kept / f"{name}.runs.csv.gz"), kept / f"{name}.png", by=by)
    for file in sorted(STUDIES.glob("*.toml")) if options.left else ():
        print(left(read_study(str(file)), kept))
    return 0


if __name__ == "__main__":
    run_command(main)
