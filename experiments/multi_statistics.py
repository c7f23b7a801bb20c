"""DEAP's ``Statistics`` in chapters: the fitness of a population, and beside it the size of its weights."""

import random

import numpy as np
from deap import algorithms, tools
from gallery import gallery_parser

from deap_nn import GA, KerasProblem, make_toolbox
from deap_nn.maps import chosen_map
from deap_nn.maps.scoop import prepare_worker
from deap_nn.models.tensorflow import configure_tensorflow, keras
from deap_nn.process.cli import run_command

prepare_worker()
configure_tensorflow(threads=1)

X = np.linspace(-1, 1, 200, dtype=np.float32)[:, None]
LAYERS = [keras.Input((1,)), keras.layers.Dense(16, activation="tanh"), keras.layers.Dense(1)]
problem = KerasProblem(keras.Sequential(LAYERS), X, np.sin(5 * X), loss="mse", validation_split=0)
toolbox = make_toolbox(problem, algorithm=GA(sigma=0.1, schedule="constant"), seed=1, batch_size=len(X))


def make_statistics() -> tools.MultiStatistics:
    """Return statistics of two chapters, which have the same columns."""
    fitness = tools.Statistics(lambda individual: individual.fitness.values[0])
    size = tools.Statistics(lambda individual: float(np.sqrt(np.mean(individual.flat**2))))
    statistics = tools.MultiStatistics(fitness=fitness, size=size)
    for name, function in (("min", np.min), ("avg", np.mean), ("max", np.max)):
        statistics.register(name, function)
    return statistics


def main() -> int:
    """Evolve by DEAP's eaSimple, print its logbook, and draw both chapters."""
    options = gallery_parser("Fit a sine, and keep statistics of the fitness and of the weights.", 60, 60).parse_args()
    random.seed(1)  # eaSimple draws from Python's global generator
    settings = {"cxpb": 0.6, "mutpb": 0.9, "ngen": options.generations, "stats": make_statistics(), "verbose": False}
    with chosen_map(options) as map_:
        toolbox.register("map", map_)
        _, logbook = algorithms.eaSimple(toolbox.population(n=options.population), toolbox, **settings)
    logbook.chapters["fitness"].header = logbook.chapters["size"].header = ["min", "avg", "max"]
    print(logbook)
    if options.output:
        from figures import Panel, draw_panels

        panels = []
        for chapter, label in (("fitness", "mean squared error"), ("size", "root mean square of the weights")):
            gen, low, middle, high = logbook.chapters[chapter].select("gen", "min", "avg", "max")
            panel = Panel("generation", label, {chapter: (gen, middle)}, bands={chapter: (gen, low, high)})
            panel.title, panel.log = f"{chapter}: average, lowest to highest", chapter == "fitness"
            panels.append(panel)
        draw_panels(panels, options.output)
    return 0


if __name__ == "__main__":
    run_command(main)
