"""Ranks: how often, or with which weight, each member is a parent."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.arguments import check_count, check_number, check_positive


def rank_weights(size: int, pressure: float, boost: float, boosted: int) -> NDArray[np.float64]:
    """Return the probability of each rank, best first, that `selRankBoosted` draws the first of a pair with.

    Rank :math:`i` of :math:`n` has :math:`(s - 2(s-1) i/(n-1))/n` with the pressure :math:`s`; the first
    `boosted` are multiplied by `boost`, and all normalised to a sum of 1.
    """
    ranks = np.arange(size) / max(size - 1, 1)
    weights = pressure - 2.0 * (pressure - 1.0) * ranks
    weights[:boosted] *= boost
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities


FEWEST_OF_A_SHARE = 2
"""The least number of parents that a share of the individuals gives if nothing is said: a pair has two."""


def check_parents(parents: float | None, fewest: int = FEWEST_OF_A_SHARE) -> None:
    """Raise ValueError if a number of parents, or a share of the individuals, is out of range."""
    check_count(fewest, "fewest")
    if isinstance(parents, float | np.floating):
        if not 0 < parents <= 1:
            raise ValueError(
                f"parents must be an integer of at least 1, or a share above 0 and up to 1, got {parents!r}"
            )
    elif parents is not None:
        check_count(parents, "parents", 1)


def number_of_parents(parents: float | None, size: int, fewest: int = FEWEST_OF_A_SHARE) -> int | None:
    """Return how many of `size` individuals are parents; None for all.

    Parameters
    ----------
    parents : int or float, optional
        An integer is their number; a float is a share of the individuals, above 0 and up to 1.
    size : int
        The number of individuals.
    fewest : int
        The least number that a share gives, if there are as many individuals.

    Examples
    --------
    >>> number_of_parents(0.25, 200), number_of_parents(0.25, 20, fewest=10), number_of_parents(7, 20)
    (50, 10, 7)
    """
    check_parents(parents, fewest)
    if parents is None or not isinstance(parents, float | np.floating):
        return parents
    return min(size, max(fewest, round(float(parents) * size)))


def check_ranking(
    pressure: float, boost: float, boosted: int, parents: float | None, fewest: int = FEWEST_OF_A_SHARE
) -> None:
    """Raise ValueError if an argument of `selRankBoosted` is out of range, naming it."""
    if not 1.0 <= check_number(pressure, "pressure") <= 2.0:
        raise ValueError(f"pressure must be between 1 and 2, got {pressure!r}")
    check_positive(boost, "boost")
    check_count(boosted, "boosted", 0)
    check_parents(parents, fewest)


def log_rank_weights(size: int) -> NDArray[np.float64]:
    r"""Return the share of each rank `i` of `n`, best first, that a draw by it has: :math:`\ln(n + 1/2) - \ln i`."""
    # Equation 49 of N. Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772: n is half of its lambda.
    weights = np.log(size + 0.5) - np.log(np.arange(1, size + 1))
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def recombination_weights(size: int, parents: float | None = None) -> NDArray[np.float64]:
    """Return how much each of a whole population counts, best first, where all of it is recombined around a centre.

    The better half counts by the logarithm of its ranks; the worse half, the very worst first, as much against: what
    did badly says where not to go. Together the sizes are 1 and the weights 0, or 1 where there is one alone.

    Parameters
    ----------
    size : int
        How many there are, at least 1.
    parents : int or float, optional
        The number of the best that count, and of the worst, at least 1 and at most half of all; a float is a share of
        all. Left out, half of all.

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


Weigh = Callable[[int], NDArray[np.float64]] | None
"""What says how much each counts, best first, given how many there are; None where they count as often as drawn."""

Key = TypeVar("Key", bound=Hashable)


def weights_of(weigh: Callable[[int], Any], size: int) -> NDArray[np.float64]:
    """Return how much each of `size` members counts, best first, or raise ValueError where that is not told."""
    weights = np.asarray(weigh(size), np.float64)
    if weights.shape != (size,) or not np.isfinite(weights).all():
        raise ValueError(f"weigh must return a weight for each of {size} members, a finite number")
    return weights


def counts_and_kept(drawn: Sequence[Key], weigh: Weigh) -> tuple[dict[Key, float], float]:
    """Return how much each of those counts that a centre is made of, in their order, and how much the one before it.

    Parameters
    ----------
    drawn : sequence
        Who was drawn, each as often as it was; where there are weights everybody, best first.
    weigh : callable or None
        What gives the weights.
    """
    counts: dict[Key, float] = {}
    weights = np.ones(len(drawn)) if weigh is None else weights_of(weigh, len(drawn))
    for key, weight in zip(drawn, weights.tolist(), strict=True):
        if weight:
            counts[key] = counts.get(key, 0.0) + weight
    return counts, 0.0 if weigh is None else 1.0 - float(weights.sum())


def counted(counts: Iterable[float], kept: float) -> float:
    """Return what all count together, the centre before them too: the same wherever a centre is made."""
    return 1.0 if kept else math.fsum(counts)
