"""How much noise in each matrix of a network harms it, and what the noise tells about the fitness.

``python experiments/sensitivity.py runs/first`` takes the best network of a run. Noise of ``--sigma`` times the matrix'
usual scale is added to one matrix with its bias, and subtracted; both fitness values are compared with that of the
network on the same mini-batch. Half the sum of the two differences is the harm, half of what lies between the two the
slope. A mutation that is larger where the square of the slope is large beside the harm tells more for its harm.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from deap import base

from deap_nn import WeightList
from deap_nn.core.environment import leave_out_extras
from deap_nn.core.errors import InputError
from deap_nn.core.logbooks import format_row
from deap_nn.models.weight_files import read_weights
from deap_nn.operators.initialisation import fan_in_scales
from deap_nn.problems.scorer import scorer
from deap_nn.process.cli import Parser, integer, number, run_command
from deap_nn.replay import read_data, wire
from deap_nn.runs.files import kept_files, read_config

COLUMNS = ("matrix", "weights", "sigma", "harm", "slope2", "slope2_by_harm")
"""The columns: a kernel's name and number of weights, sigma, the mean harm and mean squared slope in units of the
fitness, and the second over the first."""


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = Parser(
        "Measure how noise in each matrix harms the best network of a run.",
        "python experiments/sensitivity.py runs/first --sigma 0.05",
    )
    parser.add_argument("run", metavar="DIR", help="folder of a finished run")
    parser.add_argument("--sigma", type=number(1e-6, 1e3), default=0.1, metavar="X", help="noise, in units of --scale")
    parser.add_argument("--pairs", type=integer(2), default=24, metavar="N", help="pairs of noise for each matrix")
    parser.add_argument("--data", metavar="PATH", help="the run's data, if they have moved [as in config.json]")
    return parser.parse_args()


def measured(
    toolbox: base.Toolbox, weights: Sequence[np.ndarray], sigma: float, pairs: int
) -> Iterator[tuple[str, int, float, float, float, float]]:
    """Yield the row of each kernel, or of a bias that comes first.

    Parameters
    ----------
    toolbox : base.Toolbox
        A toolbox of `make_toolbox`.
    weights : sequence of numpy.ndarray
        The weights of the network: a matrix for each of the layout's.
    sigma : float
        The standard deviation of the noise for a matrix with a scale of 1.
    pairs : int
        The number of pairs of noise.
    """
    layout, scales = toolbox.layout, fan_in_scales(toolbox.layout)
    scoring = scorer(toolbox.problem)
    network = scoring.genome(WeightList(weights))
    before = [scoring.fitness(network, batch)[0] for batch in range(pairs)]
    starts = [place for place, is_vector in enumerate(layout.vectors) if not is_vector or not place]
    for start, stop in zip(starts, [*starts[1:], len(layout)], strict=True):
        rng = np.random.default_rng(start)
        found = []
        for batch in range(pairs):
            noise = [scales[i] * rng.standard_normal(layout.shapes[i], dtype=np.float32) for i in range(start, stop)]
            both = []
            for size in (sigma, -sigma):
                changed = list(network)
                changed[start:stop] = [
                    matrix + np.float32(size) * z for matrix, z in zip(network[start:stop], noise, strict=True)
                ]
                both.append(scoring.fitness(WeightList(changed), batch)[0] - before[batch])
            found.append((sum(both) / 2, (both[0] - both[1]) / 2))
        harm, slope = np.array(found).T
        slope2 = float(np.mean(slope**2))
        mean = float(harm.mean())
        yield layout.names[start], layout.sizes[start], sigma, mean, slope2, slope2 / mean if mean > 0 else np.nan


def main() -> int:
    """Print the table as CSV."""
    leave_out_extras()
    options = parse_arguments()
    config = read_config(options.run, "DIR")
    config |= kept_files(options.run, config)
    toolbox = wire(config, read_data(options, config))
    try:
        weights = read_weights(Path(options.run, "best.npz"), toolbox.layout, model=toolbox.problem.model)
    except (OSError, ValueError) as error:
        raise InputError(f"argument DIR: {getattr(error, 'strerror', None) or error}") from error
    for row in (COLUMNS, *measured(toolbox, weights, options.sigma, options.pairs)):
        sys.stdout.write(format_row(row))
    return 0


if __name__ == "__main__":
    run_command(main)
