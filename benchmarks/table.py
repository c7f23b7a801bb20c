"""Write the tables of ``docs/speed.md`` from the file of results: ``python benchmarks/table.py``."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deap_nn.maps import MAPS

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent / "docs" / "speed.md"
BEGIN, END = "<!-- measured: written by benchmarks/table.py -->\n", "<!-- end of measured -->\n"

Values = Callable[[str, str], list[float]]


def best(values: Values, *names: str) -> list[float]:
    """Return the lower of some rows of the peers in each repeat."""
    return [min(figures) for figures in zip(*(values("peers", name) for name in names), strict=True)]


def over(above: list[float], below: list[float]) -> str:
    """Return the median of the ratios of the repeats, and their spread; nothing where one was not measured."""
    return figure([a / b for a, b in zip(above, below, strict=True)]) if above and below else ""


def figure(values: list[float]) -> str:
    """Return the median and the spread; nothing where it was not measured."""
    if not values:
        return ""
    return f"{rounded(statistics.median(values))} ({rounded(min(values))} to {rounded(max(values))})"


def rounded(value: float) -> str:
    """Return three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def of_presets(values: Values) -> list[tuple[str, str, str]]:
    """Return the rows that both presets have: a name, the figure of ``es`` and that of ``ga`` with two mates."""
    naive = values("peers", "CNN: naive DEAP, TensorFlow and SCOOP")
    evosax = best(values, *(f"CNN: evosax SimpleGA, {way}" for way in ("lax.map", "vmap")))
    torch = best(values, *(f"CNN: EvoTorch GeneticAlgorithm, {way}" for way in ("one by one", "vmap")))
    small = best(values, *(f"mlp, 1,000 members: evosax SimpleGA, {way}" for way in ("lax.map", "vmap")))
    pygad = values("peers", "CNN: PyGAD with kerasga")

    def ratio(above: list[float], script: str, name: str) -> tuple[str, str]:
        return over(above, values(script, f"{name}, --preset es")), over(above, values(script, name))

    def both(script: str, name: str, of_es: str | None = None) -> tuple[str, str]:
        return figure(values(script, of_es or f"{name}, --preset es")), figure(values(script, name))

    started = [
        over(values("start", name), values("start", "naive DEAP, TensorFlow and SCOOP"))
        for name in ("deap_nn, --preset es", "deap_nn")
    ]
    alone = "recipes, --preset es, "
    return [
        (
            "200 members, two workers: a child over the forward pass alone in two processes",
            *both("generation", "recipes, 2 workers, over the floor", f"{alone}2 workers, over the floor"),
        ),
        (
            "naive port to DEAP, TensorFlow and SCOOP: its time over ours",
            *ratio(naive, "peers", "CNN: deap_nn"),
        ),
        ("naive port: its time over ours in bfloat16", *ratio(naive, "peers", "CNN: deap_nn in bfloat16")),
        ("evosax `SimpleGA`: its time over ours", *ratio(evosax, "peers", "CNN: deap_nn")),
        ("EvoTorch `GeneticAlgorithm`: its time over ours", *ratio(torch, "peers", "CNN: deap_nn")),
        ("PyGAD with `kerasga`: its time over ours", *ratio(pygad, "peers", "CNN: deap_nn")),
        (
            "speed of two workers over one",
            *both("generation", "recipes, two workers over one, in speed", f"{alone}two workers over one, in speed"),
        ),
        ("a child at 1,000 members over one at 100", *both("scale", "1,000 members over 100, a child")),
        (
            "a child at generation 300 over one at generation 10",
            *both("scale", "generation 300 over generation 10, a child"),
        ),
        (
            "peak memory of all processes and the cache, 1,000 members (ga: 100 parents), GiB",
            *both(
                "memory",
                "peak memory, 1,000 members, 100 parents, GiB",
                "peak memory, 1,000 members, --preset es, GiB",
            ),
        ),
        (
            "share of two cores in use, whole generations",
            *both(
                "cores",
                "share of two cores in use, 200 members, 20 parents",
                "share of two cores in use, 200 members, --preset es",
            ),
        ),
        ("bytes through SCOOP a child, both ways", *both("scale", "bytes through SCOOP a child, both ways")),
        (
            "`mlp`, 1,000 members, evosax `SimpleGA`: its time over ours",
            *ratio(small, "peers", "mlp, 1,000 members: deap_nn"),
        ),
        (
            "start to the end of generation 0: our time over the naive port's",
            started[0],
            started[1],
        ),
    ]


def of_one(values: Values) -> list[tuple[str, str]]:
    """Return what else was measured."""
    made = [
        (
            "a forward pass of one of two processes, ms",
            figure(values("generation", "forward pass, two at once, a process")),
        ),
        (
            "`--preset ga`, 200 members, two workers: a child over the forward pass alone in two processes",
            figure(values("generation", "recipes, --preset ga, 2 workers, over the floor")),
        ),
        (
            "a `KerasProblem`'s forward pass over TensorFlow's raw operations",
            figure(values("evaluation", "KerasProblem over the raw operations")),
        ),
        (
            "the next centre of 200 members (`--preset es`, once a generation), in forward passes",
            figure(values("generation", "the next centre of 200 members, of a forward pass")),
        ),
        (
            "the main process' own cost a child (`ga --mates 2`), of a forward pass",
            figure(values("scale", "milliseconds of the main process a child, of a forward pass")),
        ),
        (
            "peak memory, 1,000 members, `--preset article`, all of them parents, GiB",
            figure(values("memory", "peak memory, 1,000 members, --preset article, GiB")),
        ),
        (
            "XOR, 200 members, serial: our time over that of evosax `SimpleGA`",
            over(
                values("peers", "XOR, 200 members, a generation, serial: deap_nn"),
                values("peers", "XOR, 200 members, a generation, serial: evosax SimpleGA, vmap"),
            ),
        ),
        (
            "plain `eaSimple` under SCOOP: neither variation nor scoring, a child, of a forward pass",
            over(values("easimple", "neither variation nor scoring"), values("easimple", "scoring")),
        ),
        *(
            (
                f"`--map {name}`{'' if name == 'serial' else ', two workers'}:"
                " neither breeding nor scoring, a child, ms",
                figure(values("maps", name)),
            )
            for name in MAPS
        ),
    ]
    return [(name, shown) for name, shown in made if shown]


def table(results: Mapping[str, Any]) -> str:
    """Return the tables of the page and the lines above them."""

    def values(script: str, name: str) -> list[float]:
        found: list[float] = results["tables"].get(script, {"rows": {}})["rows"].get(name, [])
        return found

    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    tables = (table["rows"].values() for name, table in results["tables"].items() if name != "memory")
    counts = [len(values) for rows in tables for values in rows]
    repeats = " to ".join(map(str, sorted({min(counts), max(counts)})))
    lines = [
        f"Measured with `{machine['command']}` on {machine['processor']}, Python {machine['python']}, {versions}.",
        "Medians, and in brackets the lowest and the highest, of "
        f"{repeats} repeats in turn (of memory one run); all figures",
        "are in `benchmarks/results.json`, the peers' versions in `benchmarks/peers/*.txt`.",
        "",
        "| the CNN of 3.27 million weights, if nothing else is said | `--preset es` | `--preset ga --mates 2` |",
        "| --- | --- | --- |",
        *(f"| {name} | {es or '-'} | {ga or '-'} |" for name, es, ga in of_presets(values) if es or ga),
        "",
        "| the same CNN, of any preset if none is named | measured |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in of_one(values)),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Put the tables into the page, between its two marks."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + table(json.loads(RESULTS.read_text())) + END + after)


if __name__ == "__main__":
    main()
