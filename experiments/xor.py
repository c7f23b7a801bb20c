"""Evolve a network of 2-8-1 units that computes XOR: the article's first test, with a toolbox wired by hand.

Run it with plain ``python experiments/xor.py``, under ``python -m scoop``, or with another ``--map``.
"""

from __future__ import annotations

import argparse

import numpy as np
from deap import base

from deap_nn import (
    Callback,
    Evaluation,
    Evolution,
    Individual,
    Layout,
    NoiseTable,
    WeightList,
    cxMask,
    evolve,
    initNormal,
    initPopulation,
    mutGaussianAdaptive,
    selRankBoosted,
)
from deap_nn.callbacks.predictions import write_curve
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.core.seeding import MAX_SEED
from deap_nn.maps import MAP_OPTIONS, Map, add_map_options, chosen_map
from deap_nn.maps.scoop import prepare_worker
from deap_nn.operators.adaptation import Annealed
from deap_nn.process import signals
from deap_nn.process.cli import Parser, check_new_folder, integer, run_command
from deap_nn.runs.files import PREDICTIONS_FILE

prepare_worker()

LAYOUT = Layout(("hidden/kernel", "hidden/bias", "output/kernel", "output/bias"), ((2, 8), (8,), (8, 1), (1,)))
INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
TARGETS = np.array([0, 1, 1, 0], dtype=np.float32)
TOLERANCE = 0.1


def outputs(genomes: np.ndarray, inputs: np.ndarray = INPUTS) -> np.ndarray:
    """Return the outputs, 0 to 1, of networks for rows of inputs; shape (networks, rows)."""
    ends = np.cumsum(LAYOUT.sizes)[:-1]
    kernel1, bias1, kernel2, bias2 = (
        part.reshape(len(genomes), *shape)
        for part, shape in zip(np.split(genomes, ends, axis=1), LAYOUT.shapes, strict=True)
    )
    hidden = np.tanh(inputs @ kernel1 + bias1[:, None])
    return 0.5 + 0.5 * np.tanh((hidden @ kernel2)[..., 0] + bias2)


class MeanSquaredError(Evaluation):
    """The fitness, in DEAP's form; networks are scored many at a time, and a single one as a group of one."""

    scores_groups = True

    def __call__(self, individual: WeightList) -> tuple[float]:
        """Return the mean squared error of one network."""
        return self.many(individual.flat[None])[0]

    def many(self, genomes: np.ndarray) -> list[tuple[float]]:
        """Return the mean squared error of each network; genomes has the shape (networks, weights)."""
        return [(error,) for error in np.mean((outputs(genomes) - TARGETS) ** 2, axis=1).tolist()]


def solved(individual: WeightList) -> bool:
    """Return whether all four outputs are within the tolerance of their targets."""
    return bool((np.abs(outputs(individual.flat[None]) - TARGETS) <= TOLERANCE).all())


class StopWhenSolved(Callback):
    """End the run with the first network that computes XOR."""

    def on_generation(self, evolution: Evolution) -> None:
        """Look at the best."""
        if solved(evolution.best):
            evolution.stop = "solved"
        self.best = evolution.best


def make_toolbox(generations: int, seed: int, map_: Map = map) -> base.Toolbox:
    """Wire genome, operators and fitness."""
    toolbox = base.Toolbox()
    toolbox.register("individual", initNormal, Individual, LAYOUT)
    toolbox.register("population", initPopulation, toolbox, seed)
    noise = NoiseTable(seed, LAYOUT.size)
    toolbox.register("mate", cxMask)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=Annealed(0.5, 0.05, generations), noise=noise)
    toolbox.register("select", selRankBoosted, parents=20)
    toolbox.register("evaluate", MeanSquaredError())
    toolbox.register("map", map_)
    return toolbox


def main() -> int:
    """Evolve until XOR is solved; return 0, or 1 if it was not within the generations."""
    parser = Parser("Evolve a small network that computes XOR.")
    parser.add_argument("--seed", type=integer(0, MAX_SEED), default=1, metavar="N", help="seed of all random numbers")
    parser.add_argument("--population", type=integer(2), default=200, metavar="N", help="members of the population")
    parser.add_argument("--generations", type=integer(1), default=500, metavar="N", help="most generations")
    parser.add_argument("--output", metavar="DIR", help="new folder for the run [write nothing]")
    parser.add_argument("--no-progress", action="store_true", help="show no progress")
    add_map_options(parser)
    options = parser.parse_args()
    if options.output is None:
        with signals.interruptible(), chosen_map(options) as map_:
            return run(options, None, map_)
    check_new_folder(options.output, "--output")
    with (
        signals.interruptible(),
        chosen_map(options) as map_,
        RunDirectory(options.output) as directory,
    ):
        directory.trace_weights(LAYOUT, options.seed)
        left_out = {"output", "no_progress", *MAP_OPTIONS}
        settings = {name: value for name, value in vars(options).items() if name not in left_out}
        directory.write_config({**settings, "fitness": "mean squared error"})
        status = run(options, directory, map_)
    print(*sorted(directory.path.iterdir()), sep="\n")
    return status


def run(options: argparse.Namespace, directory: RunDirectory | None, map_: Map) -> int:
    """Evolve, print the result, and write the run into the directory if there is one."""
    toolbox = make_toolbox(options.generations, options.seed, map_)
    stop = StopWhenSolved()
    callbacks = [stop, *([directory] if directory else []), *([] if options.no_progress else [ProgressBar()])]
    population = toolbox.population(n=options.population)
    _, logbook = evolve(population, toolbox, options.generations, seed=options.seed, callbacks=callbacks)
    done = solved(stop.best)
    print(f"XOR {'solved in' if done else 'not solved within'} {logbook[-1]['gen']} generations")
    if directory is not None:
        save(directory, stop.best)
        directory.close("finished", solved=done)
    return 0 if done else 1


def save(directory: RunDirectory, best: WeightList) -> None:
    """Write the best network, and what its report shows of it."""
    directory.write_weights(dict(zip(LAYOUT.names, best, strict=True)))
    write_curve(directory.path / PREDICTIONS_FILE, INPUTS, TARGETS, lambda x: outputs(best.flat[None], x)[0])


if __name__ == "__main__":
    run_command(main)
