"""Write the README's table of what was measured from the file of results: ``python benchmarks/table.py``."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
README = HERE.parent / "README.md"
BEGIN, END = "<!-- measured: written by benchmarks/table.py -->\n", "<!-- end of measured -->\n"

MAPS = ("serial", "scoop", "processes", "dask", "ray", "mpi")

Values = Callable[[str, str], list[float]]


def best(values: Values, *names: str) -> list[float]:
    """Return the lower of some rows of the peers in each repeat."""
    return [min(figures) for figures in zip(*(values("peers", name) for name in names), strict=True)]


def over(above: list[float], below: list[float]) -> str:
    """Return the median of the ratios of the repeats, and their spread."""
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    return f"{rounded(statistics.median(ratios))} ({rounded(ratios[0])} to {rounded(ratios[-1])})"


def figure(values: list[float]) -> str:
    """Return the median and the spread."""
    return f"{rounded(statistics.median(values))} ({rounded(min(values))} to {rounded(max(values))})"


def rounded(value: float) -> str:
    """Return three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rows(values: Values) -> list[tuple[str, str]]:
    """Return what the table says: a ratio is that of two figures of the same repeat."""
    ours, evosax = values("peers", "CNN: deap_nn"), ("lax.map", "vmap")
    naive = values("peers", "CNN: naive DEAP, TensorFlow and SCOOP")
    torch = best(values, *(f"CNN: EvoTorch GeneticAlgorithm, {way}" for way in ("one by one", "vmap")))
    made = [
        (
            "the CNN, 200 members, 20 parents, two workers, over the forward pass alone in two processes",
            figure(values("generation", "recipes, 2 workers, over the floor")),
        ),
        (
            "a forward pass of one of two processes, ms",
            figure(values("generation", "forward pass, two at once, a process")),
        ),
        ("a naive port to DEAP, TensorFlow and SCOOP over ours", over(naive, ours)),
        ("evosax SimpleGA over ours", over(best(values, *(f"CNN: evosax SimpleGA, {way}" for way in evosax)), ours)),
        ("EvoTorch GeneticAlgorithm over ours", over(torch, ours)),
        ("PyGAD with kerasga over ours", over(values("peers", "CNN: PyGAD with kerasga"), ours)),
        ("speed of two workers over one", figure(values("generation", "recipes, two workers over one, in speed"))),
        ("a child at 1,000 members over one at 100", figure(values("scale", "1,000 members over 100, a child"))),
        (
            "a child at generation 300 over one at generation 10",
            figure(values("scale", "generation 300 over generation 10, a child")),
        ),
        (
            "peak memory of all processes and the cache, 1,000 members, 100 parents, GiB",
            figure(values("memory", "peak memory, 1,000 members, 100 parents, GiB")),
        ),
        (
            "the same with `--preset article`, all of them parents, GiB",
            figure(values("memory", "peak memory, 1,000 members, --preset article, GiB")),
        ),
        (
            "share of two cores in use, whole generations",
            figure(values("cores", "share of two cores in use, 200 members, 20 parents")),
        ),
        (
            "the main process' own cost a child, of a forward pass",
            figure(values("scale", "milliseconds of the main process a child, of a forward pass")),
        ),
        ("bytes through SCOOP a child, both ways", figure(values("scale", "bytes through SCOOP a child, both ways"))),
        (
            "`mlp`, 1,000 members: evosax SimpleGA over ours",
            over(
                best(values, *(f"mlp, 1,000 members: evosax SimpleGA, {way}" for way in evosax)),
                values("peers", "mlp, 1,000 members: deap_nn"),
            ),
        ),
        (
            "XOR, 200 members, serial: ours over evosax SimpleGA",
            over(
                values("peers", "XOR, 200 members, a generation, serial: deap_nn"),
                values("peers", "XOR, 200 members, a generation, serial: evosax SimpleGA, vmap"),
            ),
        ),
        (
            "plain `eaSimple` under SCOOP: neither variation nor scoring, a child, of a forward pass",
            over(values("easimple", "neither variation nor scoring"), values("easimple", "scoring")),
        ),
        (
            "from the command to the end of generation 0: ours over the naive port's",
            over(
                values("start", "deap_nn"),
                values("start", "naive DEAP, TensorFlow and SCOOP"),
            ),
        ),
    ]
    quick = "CNN: deap_nn in bfloat16"
    if values("peers", quick):
        made.insert(3, ("the naive port over ours in bfloat16", over(naive, values("peers", quick))))
    made += [
        (f"`--map {name}`, two workers: neither breeding nor scoring, a child, ms", figure(values("maps", name)))
        for name in MAPS
        if values("maps", name)
    ]
    return made


def table(results: Mapping[str, Any]) -> str:
    """Return the README's table and the lines above it."""

    def values(script: str, name: str) -> list[float]:
        found: list[float] = results["tables"].get(script, {"rows": {}})["rows"].get(name, [])
        return found

    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    lines = [
        f"Measured with `{machine['command']}` on {machine['processor']}, Python {machine['python']}, {versions}.",
        "Medians, and in brackets the lowest and the highest, of repeats in turn; all figures are in",
        "[benchmarks/results.json](benchmarks/results.json), the peers' versions in `benchmarks/peers/*.txt`.",
        "",
        "| the CNN of 3.27 million weights, if nothing else is said | measured |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows(values)),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Put the table into the README, between its two marks."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + table(json.loads(RESULTS.read_text())) + END + after)


if __name__ == "__main__":
    main()
