"""A run like those of ``experiments/``, whose evaluation does something wrong to one child of one generation.

``python tests/faults/faulty.py FAULT OUTPUT``, under SCOOP or not.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

import numpy as np

from deap_nn import Evaluation, make_toolbox
from deap_nn.algorithms.evolving import evolve
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.maps.scoop import prepare_worker
from deap_nn.process import signals
from deap_nn.process.cli import Parser, run_command
from deap_nn.runs.checkpoint import Checkpoint

prepare_worker()

FAULTS = {
    "raise": lambda: 1 / 0,
    "nan": lambda: (float("nan"),),
    "infinity": lambda: (float("-inf"),),
    "type": lambda: "0.5",
    "array": lambda: (np.array([0.5, 0.5]),),
}


class Faulty(Evaluation):
    """The mean square of the weights; something is wrong with some children of generation 3."""

    leaves_weights = True

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.generation = 0

    def __call__(self, individual: Any) -> Any:
        """Return a fitness, or do what is wrong, to about a tenth of the children."""
        if self.generation == 3 and int(individual.flat[:8].view(np.uint32).sum()) % 10 == 0:
            return FAULTS[self.fault]()
        return (float(np.square(individual.flat).mean()),)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = Parser("A run whose evaluation does something wrong.")
    parser.add_argument("fault", choices=tuple(FAULTS))
    parser.add_argument("output")
    return parser.parse_args()


def main() -> int:
    """Run, and keep what there is of the run."""
    options = parse_arguments()
    toolbox = make_toolbox("mlp", "mnist5k", seed=1)
    toolbox.register("evaluate", Faulty(options.fault))
    del toolbox.assess
    with signals.interruptible(), RunDirectory(options.output) as directory:
        with contextlib.closing(Checkpoint(directory.path / "checkpoint")) as checkpoint:
            population = toolbox.population(n=60)
            arguments = {"seed": 1, "callbacks": [directory], "checkpoint": checkpoint}
            evolve(population, toolbox, 6, **arguments)
        directory.close("finished")
    return 0


if __name__ == "__main__":
    run_command(main)
