"""What DEAP's own loop costs under SCOOP with our map, beside variation and scoring.

Run it with ``python -m scoop -n 2 benchmarks/easimple.py``. An unmodified ``eaSimple`` runs on what ``make_toolbox``
wires, 200 members of the CNN. Variation is timed in the main process, scoring in each process; the rest of the time of
a generation is what sending and waiting cost: time - variation - scoring / 2, a child.
"""

import os
import statistics
import time
from functools import cache, partial
from pathlib import Path

from common import run
from deap import algorithms, base

from deap_nn import GA, Individual, make_toolbox
from deap_nn.maps.scoop import prepare_worker

prepare_worker()

MEMBERS = 200
VARIED = [0.0]


def scored(evaluate, folder, individual):
    """Score, and note how long it took."""
    begun = time.perf_counter()
    values = evaluate(individual)
    with open(Path(folder, str(os.getpid())), "a") as file:
        file.write(f"{time.perf_counter() - begun}\n")
    return values


def noted(operator, *arguments):
    """Vary, and note how long it took."""
    begun = time.perf_counter()
    made = operator(*arguments)
    VARIED[0] += time.perf_counter() - begun
    return made


@cache
def prepared() -> tuple[base.Toolbox, list[Individual]]:
    """Wire the toolbox, and run a generation in which all is compiled, once."""
    toolbox = make_toolbox("mnist_deep", "mnist5k", GA(mates=2), seed=1)
    for name in ("clone", "mate", "mutate"):
        setattr(toolbox, name, partial(noted, getattr(toolbox, name)))
    population = toolbox.population(n=MEMBERS)
    algorithms.eaSimple(population, toolbox, cxpb=1.0, mutpb=1.0, ngen=1, verbose=False)
    toolbox.register("scored", scored, toolbox.evaluate)
    return toolbox, population


def measure(folder: Path) -> dict[str, float]:
    """Run a generation of eaSimple, which DEAP begins by scoring those without a fitness, once."""
    toolbox, population = prepared()
    toolbox.register("evaluate", toolbox.scored, folder)
    VARIED[0] = 0.0
    begun = time.perf_counter()
    algorithms.eaSimple(population, toolbox, cxpb=1.0, mutpb=1.0, ngen=1, verbose=False)
    took = time.perf_counter() - begun
    scoring = [float(line) for path in folder.iterdir() for line in path.read_text().split()]
    rest = 1e3 * (took - VARIED[0] - sum(scoring) / 2) / MEMBERS
    return {"neither variation nor scoring": rest, "scoring": 1e3 * statistics.median(scoring)}


if __name__ == "__main__":
    run(__file__, measure, unit="milliseconds a child of the CNN, eaSimple, 2 workers")
