"""A list of individuals with a view for notebooks, the mean of several individuals, and mirror images."""

from __future__ import annotations

import copy
import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from deap_nn.core.notebook import paragraph, table
from deap_nn.genome.vectors import Vector, mirror

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
    return _unscored(made)


def opposite_of(individual: Any, centre: Vector) -> Any:
    """Return a new individual without a valid fitness: ``2 * centre - individual``, rounded to float32 once.

    Parameters
    ----------
    individual : WeightList
        The individual to mirror; not modified.
    centre : numpy.ndarray
        The point at which it is mirrored, shape (n,), float32.

    References
    ----------
    S. Rahnamayan, J. Jesuthasan, F. Bourennani, H. Salehinejad and G. F. Naterer, "Computing opposition by involving
    entire population", IEEE CEC 2014 (centroid opposition).

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> opposite_of(WeightList([[0.0, 1.0]]), np.float32([1.0, 3.0])).flat.tolist()
    [2.0, 5.0]
    """
    made = copy.deepcopy(individual)
    mirror(made.flat, centre)
    return _unscored(made)


def _unscored(made: Any) -> Any:
    """Delete the fitness and the recipe of a new individual, and return it."""
    if hasattr(made, "fitness"):
        del made.fitness.values
    vars(made).pop("recipe", None)
    return made
