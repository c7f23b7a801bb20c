"""What a child of the CNN costs, over the forward pass that it cannot do without.

Run it with ``python benchmarks/generation.py``. In turn: the forward pass over changing genomes, in one process and in
two at once (the floor, before and after the run that is compared with it); whole generations of
``experiments/mnist.py`` (``seconds`` of ``timing.csv``: breeding, scoring, validation and logging; generations 0 to 2
left out), serially and with two workers.
"""

from pathlib import Path

from common import has_bfloat16, mnist, passes, run, steady

MEMBERS = 200
SIZES = ("--population", MEMBERS, "--generations", 9)


def child(folder: Path, workers: int, *options: object) -> float:
    """Return the milliseconds of a child, of 20 parents crossed by a mask unless `options` say otherwise."""
    return steady(mnist(folder, *SIZES, *(options or ("--parents", 20)), workers=workers), MEMBERS)


def measure(folder: Path) -> dict[str, float]:
    """Measure all once."""
    rows = {"forward pass, one process": passes(1), "recipes, serial": child(folder / "rs", 1)}
    before = passes(2)
    rows["recipes, 2 workers"] = child(folder / "r2", 2)
    rows["recipes, --preset default, 2 workers"] = child(folder / "d2", 2, "--preset", "default")
    rows["forward pass, two at once, a process"] = (before + passes(2)) / 2
    rows["recipes, 2 workers, over the floor"] = (
        2 * rows["recipes, 2 workers"] / rows["forward pass, two at once, a process"]
    )
    rows["recipes, --preset default, 2 workers, over the floor"] = (
        2 * rows["recipes, --preset default, 2 workers"] / rows["forward pass, two at once, a process"]
    )
    rows["recipes, two workers over one, in speed"] = rows["recipes, serial"] / rows["recipes, 2 workers"]
    if has_bfloat16():
        rows["forward pass in bfloat16, two at once, a process"] = passes(2, "bfloat16")
        rows["recipes in bfloat16, 2 workers"] = child(folder / "b2", 2, "--parents", 20, "--precision", "bfloat16")
    return rows


if __name__ == "__main__":
    run(__file__, measure, unit="milliseconds a child of the CNN, 200 members")
