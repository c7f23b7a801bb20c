"""Individuals as sequences of numbers, for operators, such as DEAP's, that take those."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from deap_nn.genome.vectors import Vector
from deap_nn.genome.weight_list import WeightList, check_mates


class Numbers(list[float]):
    """The weights of an individual as floats, with its other attributes."""


def elementwise(operator: Callable[..., Any], **keywords: Any) -> partial[Any]:
    """Make an operator on sequences of numbers, such as DEAP's, act on each weight and not on each matrix.

    Parameters
    ----------
    operator : callable
        A mutation or a crossover in DEAP's form; it gets each individual as a list of all its weights. The attribute
        ``strategy`` of DEAP's evolution strategies has a number for each weight: a list, an array or a `WeightList`.
    **keywords
        Keyword arguments of the operator; ``register`` takes them too. Weights beyond ``low`` and ``up``, if these are
        given, are clipped before the call, as DEAP's bounded operators need.

    Returns
    -------
    functools.partial
        An operator in DEAP's form on `WeightList` individuals of the same shapes, which are modified in place and
        returned.

    Raises
    ------
    ValueError
        When it is called, if `operator` changes the number of weights.

    Examples
    --------
    >>> from deap import tools
    >>> mutate = elementwise(tools.mutPolynomialBounded, eta=20.0, low=-1.0, up=1.0, indpb=1.0)
    >>> individual, = mutate(WeightList([[[0.0, 2.0]], [3.0]]))
    >>> individual.shapes, bool(abs(individual.flat).max() <= 1)
    (((1, 2), (1,)), True)
    """
    return partial(weight_by_weight, operator, **keywords)


def weight_by_weight(operator: Callable[..., Any], *members: WeightList, **keywords: Any) -> tuple[WeightList, ...]:
    """Call an operator with the weights of individuals as numbers, and write its results into the individuals."""
    flats = check_mates(*members)
    words = {name: word.tolist() if isinstance(word, np.ndarray) else word for name, word in keywords.items()}
    limits = [_first(words.get(name, none), flats[0].size) for name, none in (("low", -math.inf), ("up", math.inf))]
    given = [_numbers(member, flat, limits) for member, flat in zip(members, flats, strict=True)]
    name, made = getattr(operator, "__name__", type(operator).__name__), operator(*given, **words)
    if not isinstance(made, tuple | list) or len(made) != len(members):
        got = f"{len(made)} values" if isinstance(made, tuple | list) else type(made).__name__
        raise ValueError(f"{name} must return its individuals in a tuple, {len(members)} of them, got {got}")
    for member, flat, numbers in zip(members, flats, made, strict=True):
        if len(numbers) != flat.size:
            raise ValueError(f"{name} must return the {flat.size} weights of an individual, got {len(numbers)}")
        flat[:] = numbers
        strategy, changed = _vector(getattr(member, "strategy", None)), getattr(numbers, "strategy", None)
        if strategy is not None:
            strategy[:] = changed
        elif changed is not None:
            vars(member)["strategy"] = changed
    return members


weight_by_weight.calls_its_first = True  # type: ignore[attr-defined]  # the keywords are those of that operator


def _first(limits: Any, size: int) -> Any:
    """Return the limits of the first `size` weights, or the one limit of all weights."""
    return limits if np.ndim(limits) == 0 else limits[:size]


def _numbers(member: WeightList, flat: Vector, limits: list[Any]) -> Numbers:
    numbers = Numbers(np.clip(flat.astype(np.float64), *limits).tolist())
    vars(numbers).update(member._extras())
    strategy = _vector(getattr(member, "strategy", None))
    if strategy is not None:
        vars(numbers)["strategy"] = strategy.tolist()
    return numbers


def _vector(strategy: Any) -> Any:
    """Return the array of a strategy, or None for a list, which DEAP's operators change in place."""
    # A slice of an array is a view: DEAP's swap of two slices would lose the first one's values.
    return strategy.flat if isinstance(strategy, WeightList) else strategy if isinstance(strategy, np.ndarray) else None
