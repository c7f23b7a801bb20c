"""Islands: populations of their own that learn two spirals, and DEAP's ``migRing``, which sends the best around.

Run it with plain ``python experiments/islands.py``, with ``--map``, or under ``python -m scoop``.
"""

import random

import numpy as np
from deap import algorithms, base, tools
from gallery import gallery_parser

from deap_nn import (
    Individual,
    Layout,
    WeightList,
    cxMask,
    initPopulation,
    initScaled,
    mutGaussianAdaptive,
    selRankBoosted,
)
from deap_nn.maps import Map, chosen_map
from deap_nn.maps.scoop import prepare_worker
from deap_nn.process.cli import integer, run_command

prepare_worker()

LAYOUT = Layout(("w1", "b1", "w2", "b2", "w3"), ((2, 12), (12,), (12, 12), (12,), (12, 1)))
TURN = np.linspace(0.2, 1.0, 60)
ARM = TURN[:, None] * np.stack([np.cos(8 * TURN), np.sin(8 * TURN)], axis=1)
INPUTS = np.concatenate([ARM, -ARM]).astype(np.float32)
TARGETS = np.repeat(np.float32([1, -1]), len(ARM))


def outputs(individual: WeightList) -> np.ndarray:
    """Return the outputs of a network, -1 to 1, for all points; shape (points,)."""
    w1, b1, w2, b2, w3 = individual
    return np.tanh(np.tanh(np.tanh(3 * INPUTS @ w1 + b1) @ w2 + b2) @ w3)[:, 0]


def evaluate(individual: WeightList) -> tuple[float]:
    """Return the mean squared error of a network."""
    return (float(np.mean((outputs(individual) - TARGETS) ** 2)),)


def make_toolbox(seed: int, map_: Map = map) -> base.Toolbox:
    """Wire the operators, and the migration of the three best from each island to the next."""
    toolbox, rngs = base.Toolbox(), [np.random.default_rng((seed, number)) for number in range(3)]
    toolbox.register("individual", initScaled, Individual, LAYOUT)
    toolbox.register("population", initPopulation, toolbox, seed)
    toolbox.register("mate", cxMask, rng=rngs[0])
    toolbox.register("mutate", mutGaussianAdaptive, sigma=0.08, rng=rngs[1])
    toolbox.register("select", selRankBoosted, parents=10, rng=rngs[2])
    toolbox.register("migrate", tools.migRing, k=3, selection=tools.selBest, replacement=tools.selWorst)
    toolbox.register("evaluate", evaluate)
    toolbox.register("map", map_)
    return toolbox


def evolve_islands(islands: list[list[Individual]], toolbox: base.Toolbox, generations: int, every: int) -> np.ndarray:
    """Evolve the islands in place; return the best error of each by generation, shape (generations + 1, islands)."""
    best = []
    for generation in range(generations + 1):
        for island in islands:
            children = island
            if generation:
                children = algorithms.varAnd(toolbox.select(island, len(island)), toolbox, cxpb=0.7, mutpb=1.0)
            for individual, values in zip(children, toolbox.map(toolbox.evaluate, children), strict=True):
                individual.fitness.values = values
            if generation:
                island[:] = tools.selBest(island + children, len(island))
        best.append([min(individual.fitness.values[0] for individual in island) for island in islands])
        if every and 0 < generation < generations and generation % every == 0:
            toolbox.migrate(islands)
    return np.array(best)


def main() -> int:
    """Evolve the islands, print the best of each, and draw them."""
    parser = gallery_parser("Evolve islands of networks that tell two spirals apart.", 100, 50, seeded=True)
    parser.add_argument("--islands", type=integer(2, 8), default=4, metavar="N", help="islands")
    parser.add_argument("--every", type=integer(0), default=25, metavar="N", help="generations to a migration; 0: none")
    options = parser.parse_args()
    random.seed(options.seed)  # varAnd draws from Python's global generator
    with chosen_map(options) as map_:
        toolbox, size = make_toolbox(options.seed, map_), options.population
        islands = [toolbox.population(n=size, start=size * number) for number in range(options.islands)]
        best = evolve_islands(islands, toolbox, options.generations, options.every)
    for number, error in enumerate(best[-1], 1):
        print(f"island {number}: mean squared error {error:.4f}")
    winner = tools.selBest([individual for island in islands for individual in island], 1)[0]
    print(f"the best network classifies {np.mean(outputs(winner) * TARGETS > 0):.1%} of the points correctly")
    if options.output:
        from figures import Panel, draw_panels

        steps = range(options.generations + 1)
        lines = {f"island {number}": (steps, errors) for number, errors in enumerate(best.T, 1)}
        marks = steps[options.every : -1 : options.every] if options.every else ()
        title = "the best of each island; dotted: migrations" if len(marks) else "the best of each island"
        panel = Panel("generation", "mean squared error", lines, marks=marks, title=title, log=True)
        draw_panels([panel], options.output)
    return 0


if __name__ == "__main__":
    run_command(main)
