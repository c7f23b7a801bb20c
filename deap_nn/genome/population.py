"""A list of individuals with a view for notebooks, and the mean of several individuals."""

from __future__ import annotations

import copy
import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from deap_nn.core.notebook import paragraph, table

SHOWN = 10
"""The number of best members that a notebook shows."""


class Population(list[Any]):
    """A list of individuals, also for every DEAP loop; a notebook shows its size and its best members.

    Examples
    --------
    >>> from deap_nn import make_toolbox
    >>> population = make_toolbox("mlp", "mnist5k", seed=1).population(n=3)
    >>> isinstance(population, list), population._repr_html_()
    (True, '<p><strong>Population</strong> 3 members, 0 scored</p>')
    """

    def _repr_html_(self) -> str:
        scored = [(place, member) for place, member in enumerate(self) if _is_scored(member)]
        text = paragraph(f"{len(self):,} members, {len(scored):,} scored", strong=type(self).__name__)
        if not scored:
            return text
        best = heapq.nlargest(SHOWN, scored, key=lambda entry: entry[1].fitness)
        rows = [(rank, place, tuple(member.fitness.values)) for rank, (place, member) in enumerate(best, start=1)]
        return text + table(rows, ("rank", "place", "fitness"))


def _is_scored(member: Any) -> bool:
    return bool(getattr(getattr(member, "fitness", None), "valid", False))


def mean_of(individuals: Sequence[Any]) -> Any:
    """Return an individual with the mean weights of some individuals, and without a valid fitness.

    Parameters
    ----------
    individuals : sequence of WeightList
        At least one, of the same shapes.

    Raises
    ------
    ValueError
        If there is no individual, or the shapes differ.

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> mean_of([WeightList([[0.0, 1.0]]), WeightList([[4.0, 2.0]])]).flat.tolist()
    [2.0, 1.5]
    """
    if not individuals:
        raise ValueError("individuals must not be empty")
    made = copy.deepcopy(individuals[0])
    # Summed in float64, in the order of the members, as `Ancestors` does it by recipes: the bits are the same.
    total = np.zeros(made.flat.size)
    for individual in individuals:
        if individual.shapes != made.shapes:
            raise ValueError(f"individuals must have the same shapes, got {made.shapes} and {individual.shapes}")
        total += individual.flat
    np.divide(total, len(individuals), out=made.flat, casting="same_kind")
    if hasattr(made, "fitness"):
        del made.fitness.values
    vars(made).pop("recipe", None)
    return made
