"""Weights of ranks: selection probabilities and recombination weights, best first."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from deap import base
from numpy.typing import NDArray

from deap_nn.core.arguments import check_count


def fitness_key(individuals: Iterable[Any], fit_attr: str = "fitness") -> Callable[[Any], Any]:
    """Return the key that orders some individuals as the comparison of their fitness does, if none is NaN."""
    fitness = attrgetter(fit_attr)
    kinds: set[Any] = set(map(type, map(fitness, individuals)))
    if all(kind.__lt__ is base.Fitness.__lt__ and kind.__gt__ is base.Fitness.__gt__ for kind in kinds):
        return attrgetter(f"{fit_attr}.wvalues")  # what DEAP's fitness compares, without a call for each comparison
    return fitness


@lru_cache(maxsize=16)
def rank_weights(size: int, pressure: float, boost: float, boosted: int) -> NDArray[np.float64]:
    """Return the probability with which `selRankBoosted` draws each rank as the first of a pair, best first.

    Rank :math:`i` of :math:`n`, counted from 0, has :math:`(s - 2(s-1) i/(n-1))/n` with the pressure :math:`s`. The
    first `boosted` are multiplied by `boost`, then all are normalised to a sum of 1.
    """
    ranks = np.arange(size) / max(size - 1, 1)
    weights = pressure - 2.0 * (pressure - 1.0) * ranks
    weights[:boosted] *= boost
    probabilities: NDArray[np.float64] = weights / weights.sum()
    probabilities.flags.writeable = False  # the next call returns it too
    return probabilities


def number_of_parents(parents: float | None, size: int, fewest: int = 2) -> int | None:
    """Return the number of parents among `size` individuals; None for all.

    Parameters
    ----------
    parents : int or float, optional
        An integer is their number; a float is a share of the individuals, above 0 and up to 1.
    size : int
        The number of individuals.
    fewest : int
        The smallest number that a share gives, unless `size` is smaller.

    Examples
    --------
    >>> number_of_parents(0.25, 200), number_of_parents(7, 20)
    (50, 7)
    >>> number_of_parents(0.25, 20, fewest=10), number_of_parents(0.25, 6, fewest=10)
    (10, 6)
    """
    check_count(fewest, "fewest")
    if not isinstance(parents, float | np.floating):
        return None if parents is None else check_count(parents, "parents")
    if not 0 < parents <= 1:
        raise ValueError(f"parents must be an integer of at least 1, or a share above 0 and up to 1, got {parents!r}")
    return min(size, max(fewest, round(float(parents) * size)))


def log_rank_weights(size: int) -> NDArray[np.float64]:
    r"""Return the weight of each rank `i` from 1 to `n`: :math:`\ln(n + 1/2) - \ln i`, normalised to a sum of 1."""
    # Equation 49 of N. Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772: n is half of its lambda.
    weights = np.log(size + 0.5) - np.log(np.arange(1, size + 1))
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def recombination_weights(size: int, parents: float | None = None) -> NDArray[np.float64]:
    """Return the recombination weight of each member of a population, best first, for the next centre.

    The better half has positive weights by the logarithm of the ranks. The worse half has the same weights negated,
    mirrored so that the centre moves away from the worst member most. The absolute weights sum to 1 and the weights
    to 0; a population of one has the weight 1.

    Parameters
    ----------
    size : int
        The number of members, at least 1.
    parents : int or float, optional
        The number of the best members with a weight, which is also that of the worst. At least 1 and at most half of
        all; a float is a share of all. Default: half of all.

    Returns
    -------
    numpy.ndarray
        Shape (size,), float64.

    Raises
    ------
    ValueError
        If a number is not an integer of at least 1.

    References
    ----------
    D. V. Arnold, "Weighted multirecombination evolution strategies", Theoretical Computer Science 361, 2006 (weights
    below 0); N. Hansen and A. Ostermeier, "Completely derandomized self-adaptation in evolution strategies",
    Evolutionary Computation 9, 2001 (the logarithm).

    Examples
    --------
    >>> recombination_weights(3).tolist()
    [0.5, 0.0, -0.5]
    """
    check_count(size, "size")
    parents = number_of_parents(parents, size)
    weights = np.zeros(size)
    if size == 1:
        weights[0] = 1.0
        return weights
    shares = log_rank_weights(min(size // 2, size if parents is None else parents)) / 2
    weights[: len(shares)] = shares
    weights[size - len(shares) :] = -shares[::-1]
    return weights


RecombinationWeights = Callable[[int], NDArray[np.float64]]
"""Returns the recombination weights, best first, for a number of members."""

Key = TypeVar("Key", bound=Hashable)


def weights_of(function: Callable[[int], Any], size: int) -> NDArray[np.float64]:
    """Return the recombination weights of `size` members, or raise ValueError if one is missing or not finite."""
    weights = np.asarray(function(size), np.float64)
    if weights.shape != (size,) or not np.isfinite(weights).all():
        raise ValueError(f"recombination_weights must return a finite weight for each of {size} members")
    return weights


def counts_and_kept(drawn: Sequence[Key], function: RecombinationWeights | None) -> tuple[dict[Key, float], float]:
    """Return the weight of each member in the next centre, in their order, and the weight of the present centre.

    Parameters
    ----------
    drawn : sequence
        Some members, best first; all members with a `function`.
    function : callable or None
        Returns the recombination weights; if None, each member counts 1.
    """
    counts: dict[Key, float] = {}
    weights = np.ones(len(drawn)) if function is None else weights_of(function, len(drawn))
    for key, weight in zip(drawn, weights.tolist(), strict=True):
        if weight:
            counts[key] = counts.get(key, 0.0) + weight
    return counts, 0.0 if function is None else 1.0 - float(weights.sum())


def counted(counts: Iterable[float], kept: float) -> float:
    """Return the total weight, that of the present centre included: each way of making a centre divides by it."""
    return 1.0 if kept else math.fsum(counts)
