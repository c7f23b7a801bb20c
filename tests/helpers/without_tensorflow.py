"""A script that runs where DEAP, NumPy and numba are all there is: operators, loops, recipes and checkpoints."""

import sys
import tempfile
from pathlib import Path

import numpy as np
from deap import algorithms, base, tools

import deap_nn
from deap_nn import Checkpoint, Individual, Layout, NoiseTable, evolve, initPopulation

x = np.linspace(-3, 3, 50)[:, None]
layout = Layout(("w1", "b1", "w2"), ((1, 16), (16,), (16, 1)))


def error(individual):
    w1, b1, w2 = individual
    return (float(np.mean((np.tanh(x @ w1 + b1) @ w2 - np.sin(x)) ** 2)),)


def make_toolbox():
    rng, noise = np.random.default_rng(1), NoiseTable(1, layout.size)
    toolbox = base.Toolbox()
    toolbox.register("individual", deap_nn.initScaled, Individual, layout, noise=noise, rng=rng)
    toolbox.register("population", initPopulation, toolbox, 1)
    toolbox.register("evaluate", error)
    toolbox.register("mate", deap_nn.cxMask, rng=rng)
    toolbox.register("mutate", deap_nn.mutGaussianAdaptive, sigma=0.05, noise=noise, rng=rng)
    toolbox.register("select", deap_nn.selRankBoosted, parents=10, rng=rng)
    return toolbox


def main():
    toolbox = make_toolbox()
    with tempfile.TemporaryDirectory() as folder, Checkpoint(Path(folder, "checkpoint")) as checkpoint:
        _, logbook = evolve(toolbox.population(n=40), toolbox, 20, seed=1, checkpoint=checkpoint)
    assert logbook[-1]["min"] < logbook[0]["min"], "nothing was learnt"
    toolbox = make_toolbox()
    hall = tools.HallOfFame(3)
    algorithms.eaSimple(toolbox.population(n=20), toolbox, 0.9, 1.0, 3, halloffame=hall, verbose=False)
    assert len(hall) == 3, "the hall of fame is empty"
    missing = [name for name in ("tensorflow", "keras", "scoop", "matplotlib", "scipy") if sys.modules.get(name)]
    assert not missing, f"{missing} was imported"
    prefixes = ("init", "cx", "mut", "sel")
    operators = [getattr(deap_nn, name) for name in deap_nn.__all__ if name.startswith(prefixes)]
    print(f"{len(operators)} operators, {logbook[-1]['min']:.6f}")


if __name__ == "__main__":
    main()
