"""How much a selection learns from the fitness of a generation, beside the errors that runs of it reached.

If the fitness is linear over the noise of a generation and the members are independent, the mean of the next
generation moves by ``sum w z`` standard deviations along the slope, and at random by ``sqrt(sum w^2)`` in each other
direction, for the weights ``w`` of the ranks and their expected normal values ``z``. The information is
``(sum w z)^2 / sum w^2``, at most the number of members. The script prints a row for each setting of some studies in
``docs/results``, and draws them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import NormalDist, median

import numpy as np
from figures import Panel, draw_panels
from mnist_options import complete, make_parser
from numpy.typing import NDArray
from study_file import read_study
from tables import STUDIES

from deap_nn.core.errors import InputError
from deap_nn.core.logbooks import parse_rows
from deap_nn.operators.ranking import rank_weights, recombination_weights
from deap_nn.process.cli import Parser, picture, run_command

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"


def normal_values(size: int) -> NDArray[np.float64]:
    """Return the expected value of each rank of `size` standard normal numbers, highest first, after Blom.

    G. Blom, "Statistical estimates and transformed beta-variables", 1958.
    """
    return np.array([NormalDist().inv_cdf((size - i - 0.375) / (size + 0.25)) for i in range(size)])


def information(weights: NDArray[np.float64]) -> float:
    """Return the information of a selection that gives each rank a weight, best first; shape (members,).

    Examples
    --------
    >>> round(information(recombination_weights(200)))
    192
    """
    return float((weights @ normal_values(len(weights))) ** 2 / (weights @ weights))


def weights_of(options: argparse.Namespace) -> NDArray[np.float64]:
    """Return the weight of each rank in the mean of the next generation, under options of ``mnist.py``, best first."""
    size = options.population
    if options.step is not None:
        return recombination_weights(size, options.parents)
    if options.tournsize is not None:  # the best of so many drawn members is of this rank or better
        better = 1 - (np.arange(size + 1)[::-1] / size) ** options.tournsize
        return np.diff(better)
    weights = np.zeros(size)
    drawn = rank_weights(options.parents, options.pressure, options.boost, 1)
    opposites = round(options.opposites * options.parents)
    # The opposite of the worst member follows the best one, that of the second worst the second best, and so on.
    is_opposite = np.zeros(options.parents, bool)
    is_opposite[1 : 2 * opposites : 2] = True
    weights[: (~is_opposite).sum()] = drawn[~is_opposite]
    weights[::-1][:opposites] -= drawn[is_opposite]
    return weights


def kind_of(options: argparse.Namespace) -> str:
    """Return how children are made, for the legend of the figure."""
    kind = "around one centre" if options.step is not None else f"{options.mates} parents"
    return f"{kind}, centred layers" if options.centred else kind


def rows_of(name: str) -> list[tuple[str, str, float, float, float]]:
    """Return each setting of a study, how it makes children, its information, and its median errors, on test last."""
    path = RESULTS / f"{name}.results.csv"
    if not path.is_file():
        raise InputError(f"argument STUDY: {path}: no such file")
    found = parse_rows(path.read_text(encoding="utf-8"))
    study = read_study(str(STUDIES / f"{name}.toml"))
    rows = []
    for setting, arguments in study.settings.items():
        options = complete(make_parser().parse_args(arguments))
        errors = [
            [float(row[column]) for row in found if row["setting"] == setting]
            for column in ("validation_error", "test_error")
        ]
        if not errors[0]:
            raise InputError(f"argument STUDY: {path} has no run of {setting}")
        rows.append((setting, kind_of(options), information(weights_of(options)), *map(median, errors)))
    return sorted(rows, key=lambda row: row[2], reverse=True)


def main() -> int:
    """Print the table, and draw the figure."""
    parser = Parser("Compare the information of selections with the errors that they reached.")
    parser.add_argument("studies", metavar="STUDY", nargs="*", help="of docs/results [ranking-ga, ranking-mlp-300]")
    parser.add_argument("--output", type=picture, metavar="FILE.png", help="draw the figure there")
    options = parser.parse_args()
    points: dict[str, tuple[list[float], list[float]]] = {}
    print("| study | setting | information | validation error | test error |\n| --- | --- | --- | --- | --- |")
    for study in options.studies or ["ranking-ga", "ranking-mlp-300"]:
        rows = rows_of(study)
        for setting, kind, known, validation, test in rows:
            print(f"| {study} | {setting} | {known:.0f} | {validation:.4f} | {test:.4f} |")
            both = points.setdefault(kind, ([], []))
            both[0].append(known)
            both[1].append(test)
    if options.output:
        panel = Panel("information of a generation", "test error", points=points)
        draw_panels([panel], options.output)
    return 0


if __name__ == "__main__":
    run_command(main)
