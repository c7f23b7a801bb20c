"""The mean of many members, and the centre of a generation."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from deap_nn.operators.ranking import Weigh, counted, counts_and_kept
from deap_nn.operators.recombination import further


def mean_of(individuals: Sequence[Any]) -> Any:
    """Return an individual whose weights are the mean of those of some individuals, without a valid fitness.

    Parameters
    ----------
    individuals : sequence of WeightList
        At least one, of the same shapes.

    Raises
    ------
    ValueError
        If there is none, or the shapes differ.

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> mean_of([WeightList([[0.0, 1.0]]), WeightList([[4.0, 2.0]])]).flat.tolist()
    [2.0, 1.5]
    """
    if not individuals:
        raise ValueError("individuals must not be empty")
    made = copy.deepcopy(individuals[0])
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


def mean_around(members: Iterable[Any], centre: Any, step: float, weigh: Weigh, size: int) -> Any:
    """Return what lies `step` times as far from a centre as the mean of some of its `size` children.

    Of all of them that is the next centre: they count as `weigh` says, the best first.
    """
    ranked = sorted(members, key=attrgetter("fitness"), reverse=True)
    if not ranked:
        raise ValueError("individuals must not be empty")
    whole = len({id(member) for member in ranked}) == len(ranked) == size
    return centre_of(ranked, centre, step, weigh if whole else None)


def centre_of(chosen: Sequence[Any], centre: Any, step: float, weigh: Weigh = None) -> Any:
    """Return what the next generation comes from: `step` times as far from a centre as the mean of the chosen.

    Parameters
    ----------
    chosen : sequence of WeightList
        Each as often as it counts; where there are weights everybody, best first.
    centre : WeightList, optional
        What they come from. Left out, they are founders, of which the one that counts most is returned.
    step : float
        1 for the mean itself.
    weigh : callable, optional
        How much each counts, see `Breeder`.
    """
    if centre is None:
        ((most, _),) = Counter(map(id, chosen)).most_common(1)
        return next(individual for individual in chosen if id(individual) == most)
    each = {id(individual): individual for individual in chosen}
    counts, kept = counts_and_kept(list(map(id, chosen)), weigh)
    total = kept * centre.flat.astype(np.float64)
    for key, count in counts.items():
        total += np.multiply(each[key].flat, count, dtype=np.float64)
    made = copy.deepcopy(centre)
    if hasattr(made, "fitness"):
        del made.fitness.values
    further(centre.flat, total / counted(counts.values(), kept), step, made.flat)
    return made
