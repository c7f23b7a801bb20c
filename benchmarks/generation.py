"""What a child of the CNN costs, over the forward pass that it cannot do without.

Run it with ``python benchmarks/generation.py``. In turn: the forward pass over changing genomes, in one process and in
two at once (the floor, before and after the run that is compared with it); whole generations of
``experiments/mnist.py`` (``seconds`` of ``timing.csv``: breeding, scoring, validation and logging; generations 0 to 2
left out), serially and with two workers.
"""

import math
import statistics
import time
from pathlib import Path

import numpy as np
from common import ES, GA, has_bfloat16, mnist, passes, run, steady

from deap_nn.genome.layer_inputs import packed_inputs, with_changes
from deap_nn.genome.vectors import empty_vector
from deap_nn.operators.cases import BLOCK, Counted, step_by_cases
from deap_nn.operators.compiled.centre import recombine
from deap_nn.operators.compiled.projection import project
from deap_nn.operators.ranking import recombination_weights

MEMBERS, SAMPLES = 200, 64
SHAPES = ((5, 5, 1, 32), (32,), (5, 5, 32, 64), (64,), (3136, 1024), (1024,), (1024, 10), (10,))
SIZE, DENSE = sum(map(math.prod, SHAPES)), (4, 6)  # the kernels of dense layers
SIZES = ("--population", MEMBERS, "--generations", 9)


def child(folder: Path, workers: int, *options: object) -> float:
    """Return the milliseconds of a child, of 20 parents crossed by a mask unless `options` say otherwise."""
    return steady(mnist(folder, *SIZES, *(options or ("--parents", 20)), workers=workers), MEMBERS)


def centre(members: int = MEMBERS, repeats: int = 11) -> float:
    """Return the milliseconds of making the next centre of so many members, by cases, while the workers wait."""
    rng, times = np.random.default_rng(1), []
    old, new, table = empty_vector(SIZE), empty_vector(SIZE), rng.standard_normal(8 * SIZE, dtype=np.float32)
    old[:] = rng.standard_normal(SIZE, dtype=np.float32)
    drawn, counts, factors = np.arange(members), recombination_weights(members), np.ones(len(SHAPES), np.float32)
    given = {place: rng.standard_normal((SAMPLES, SHAPES[place][0])) for place in DENSE}
    inputs = packed_inputs(given)
    sums = {place: (rng.standard_normal((SAMPLES, SHAPES[place][1]), np.float32),) * 2 for place in DENSE}
    losses = rng.random((members, SAMPLES), np.float32)
    scored = [Counted((1.0,), loss, None if place % BLOCK else sums) for place, loss in enumerate(losses)]
    key = {"seed": 1, "drawn": drawn, "counts": counts, "step": 2.0, "kept": 1.0, "skipped": DENSE}
    for generation in range(repeats):
        begun = time.perf_counter()
        recombine(new, old, table, factors, SHAPES, generation=generation, **key)
        project(new, old, SHAPES, with_changes(inputs, *step_by_cases(scored, 30.0, 0.0)))
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times[1:])


def measure(folder: Path) -> dict[str, float]:
    """Measure all once, two parents crossed by a mask if nothing else is said."""
    rows = {"forward pass, one process": passes(1), "recipes, serial": child(folder / "rs", 1)}
    rows["recipes, --preset ga, serial"] = child(folder / "gs", 1, *GA)
    rows["recipes, --preset es, serial"] = child(folder / "ds", 1, *ES)
    rows["the next centre of 200 members"] = centre()
    rows["the next centre of 200 members, of a forward pass"] = centre() / rows["forward pass, one process"]
    before = passes(2)
    rows["recipes, 2 workers"] = child(folder / "r2", 2)
    rows["recipes, --preset ga, 2 workers"] = child(folder / "g2", 2, *GA)
    rows["recipes, --preset es, 2 workers"] = child(folder / "d2", 2, *ES)
    rows["forward pass, two at once, a process"] = (before + passes(2)) / 2
    for name in ("recipes", "recipes, --preset ga", "recipes, --preset es"):
        two = rows[f"{name}, 2 workers"]
        rows[f"{name}, 2 workers, over the floor"] = 2 * two / rows["forward pass, two at once, a process"]
        rows[f"{name}, two workers over one, in speed"] = rows[f"{name}, serial"] / two
    if has_bfloat16():
        rows["forward pass in bfloat16, two at once, a process"] = passes(2, "bfloat16")
        rows["recipes in bfloat16, 2 workers"] = child(folder / "b2", 2, "--parents", 20, "--precision", "bfloat16")
        rows["recipes in bfloat16, --preset es, 2 workers"] = child(folder / "bd", 2, *ES, "--precision", "bfloat16")
    return rows


if __name__ == "__main__":
    run(__file__, measure, unit="milliseconds a child of the CNN, 200 members")
