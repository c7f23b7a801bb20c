"""Evolve a network of 2-8-1 units that computes XOR: the article's first test, and how to wire a toolbox by hand.

Run it with plain ``python experiments/xor.py`` or under ``python -m scoop``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from deap import base

from deap_nn import (
    Callback,
    Evolution,
    Individual,
    Layout,
    WeightList,
    cxMask,
    evolve,
    initNormal,
    mutGaussianAdaptive,
    parallel,
    selRankBoosted,
)
from deap_nn.callbacks import ProgressBar
from deap_nn.commands import Parser, check_new_folder, integer, run_command
from deap_nn.mutation import Annealed
from deap_nn.rundir import RunDirectory
from deap_nn.seeding import MAX_SEED, Purpose, stream

parallel.prepare_worker()

LAYOUT = Layout(("hidden/kernel", "hidden/bias", "output/kernel", "output/bias"), ((2, 8), (8,), (8, 1), (1,)))
INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
TARGETS = np.array([0, 1, 1, 0], dtype=np.float32)
TOLERANCE = 0.1


def answers(individual: WeightList, inputs: np.ndarray = INPUTS) -> np.ndarray:
    """Return the network's answer, 0 to 1, to each row of inputs."""
    kernel1, bias1, kernel2, bias2 = individual
    hidden = np.tanh(inputs @ kernel1 + bias1)
    return 0.5 + 0.5 * np.tanh((hidden @ kernel2 + bias2)[:, 0])


def mean_squared_error(individual: WeightList) -> tuple[float]:
    """Return the fitness, in DEAP's form."""
    return (float(np.mean((answers(individual) - TARGETS) ** 2)),)


def solved(individual: WeightList) -> bool:
    """Return whether all four answers are within the tolerance of their targets."""
    return bool((np.abs(answers(individual) - TARGETS) <= TOLERANCE).all())


class StopWhenSolved(Callback):
    """End the run with the first network that computes XOR."""

    def on_generation(self, evolution: Evolution) -> None:
        """Look at the best."""
        if solved(evolution.best):
            evolution.stop = "solved"
        self.best = evolution.best


def make_toolbox(generations: int) -> base.Toolbox:
    """Wire genome, operators and fitness."""
    toolbox = base.Toolbox()
    toolbox.register("individual", initNormal, Individual, LAYOUT)
    toolbox.register("mate", cxMask)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=Annealed(0.5, 0.05, generations))
    toolbox.register("select", selRankBoosted, parents=20)
    toolbox.register("evaluate", mean_squared_error)
    toolbox.register("map", parallel.current_map())
    return toolbox


def main() -> int:
    """Evolve until XOR is solved; return 0, or 1 if it was not within the generations."""
    parser = Parser("Evolve a small network that computes XOR.")
    parser.add_argument("--seed", type=integer(0, MAX_SEED), default=1, metavar="N", help="decides everything random")
    parser.add_argument("--population", type=integer(2), default=200, metavar="N", help="members of the population")
    parser.add_argument("--generations", type=integer(1), default=500, metavar="N", help="give up after N generations")
    parser.add_argument("--output", metavar="DIR", help="a new folder for the run; by default nothing is written")
    parser.add_argument("--no-progress", action="store_true", help="show no progress")
    options = parser.parse_args()
    if options.output is None:
        with parallel.interruptible():
            return run(options, None)
    check_new_folder(options.output, "--output")
    with parallel.interruptible(), RunDirectory.create(options.output, "--output") as directory:
        directory.trace_weights(LAYOUT, options.seed)
        settings = {name: value for name, value in vars(options).items() if name not in ("output", "no_progress")}
        directory.write_config({**settings, "fitness": "mean squared error"})
        return run(options, directory)


def run(options: argparse.Namespace, directory: RunDirectory | None) -> int:
    """Evolve, say how it went, and write it to the directory if there is one."""
    toolbox = make_toolbox(options.generations)
    stop = StopWhenSolved()
    callbacks = [stop, *([directory] if directory else []), *([] if options.no_progress else [ProgressBar()])]
    population = [
        toolbox.individual(rng=stream(options.seed, Purpose.INITIALISE, 0, i)) for i in range(options.population)
    ]
    _, logbook = evolve(population, toolbox, options.generations, seed=options.seed, callbacks=callbacks)
    done = solved(stop.best)
    print(f"XOR {'solved in' if done else 'not solved within'} {logbook[-1]['gen']} generations")
    if directory is not None:
        save(directory, stop.best)
        directory.close("finished", solved=done)
    return 0 if done else 1


def save(directory: RunDirectory, best: WeightList) -> None:
    """Write the best network and its picture."""
    from deap_nn.logbooks import read_csv
    from deap_nn.report import draw_surface

    directory.write_weights(dict(zip(LAYOUT.names, best, strict=True)))
    ticks = np.linspace(0, 1, 101, dtype=np.float32)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    surface = answers(best, grid).reshape(101, 101)
    draw_surface(read_csv(directory.path / "logbook.csv"), surface, Path(directory.path, "xor.png"))


if __name__ == "__main__":
    run_command(main)
