"""Selection of parents, in DEAP's form."""

import heapq
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.arguments import check_count, check_generator
from deap_nn.operators.ranking import (
    FEWEST_OF_A_SHARE,
    check_ranking,
    log_rank_weights,
    number_of_parents,
    rank_weights,
)
from deap_nn.operators.registry import operator

Individual = TypeVar("Individual")


def _draw_pairs(weights: NDArray[np.float64], pairs: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw `pairs` pairs of two different places each; shape (pairs, 2)."""
    last = weights.size - 1
    ends = np.cumsum(weights)
    draws = rng.random((pairs, 2))
    first = np.minimum(np.searchsorted(ends, draws[:, 0], side="right"), last)
    if last == 0:
        return np.stack([first, first], axis=1)
    # The second is drawn from what the first leaves: its stretch of the line is skipped.
    point = draws[:, 1] * (ends[-1] - weights[first])
    point += np.where(point >= ends[first] - weights[first], weights[first], 0.0)
    second = np.minimum(np.searchsorted(ends, point, side="right"), last)
    neighbour = np.where(first == last, first - 1, first + 1)
    second = np.where(second == first, neighbour, second)  # rounding at the edge of a stretch
    return np.stack([first, second], axis=1)


@operator("the article; Baker 1985")
def selRankBoosted(
    individuals: Sequence[Individual],
    k: int,
    *,
    pressure: float = 1.5,
    boost: float = 2.0,
    boosted: int = 1,
    parents: float | None = None,
    fewest: int = FEWEST_OF_A_SHARE,
    rng: np.random.Generator,
    fit_attr: str = "fitness",
) -> list[Individual]:
    """Draw `k` individuals by linear ranking with the very best boosted, in pairs of two different ones.

    Places 2i and 2i+1 of the result are a pair: the second is drawn from those that the first leaves.

    Parameters
    ----------
    individuals : sequence
        Evaluated individuals; one that stands in several places counts once.
    k : int
        How many to draw, at least 0.
    pressure : float
        How often the best is drawn, as a multiple of the average: 1 (all alike) to 2 (the worst never).
    boost : float
        The weight of the best `boosted` is multiplied by it, above 0; 1 is plain linear ranking.
    boosted : int
        How many of the best are boosted, at least 0.
    parents : int or float, optional
        Draw only from the best `parents` (truncation): an integer of at least 1, or a share of the individuals, above 0
        and up to 1. Left out, from all.
    fewest : int
        The least number of parents that a share gives.
    rng : numpy.random.Generator
        The source of randomness.
    fit_attr : str
        The attribute that holds the fitness, compared by its own comparison.

    Returns
    -------
    list
        The drawn individuals themselves, no copies.

    Raises
    ------
    ValueError
        If an argument is out of range, there is nobody to draw from, or somebody has no valid fitness.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    J. E. Baker, "Adaptive selection methods for genetic algorithms", ICGA 1985 (linear ranking); H. Mühlenbein and
    D. Schlierkamp-Voosen, "Predictive models for the breeder genetic algorithm", Evolutionary Computation 1,
    1993 (truncation); the article for the boost.

    Examples
    --------
    >>> from deap import base, creator
    >>> creator.create("FitnessExample", base.Fitness, weights=(-1.0,))
    >>> creator.create("Example", list, fitness=creator.FitnessExample)
    >>> population = [creator.Example([i]) for i in range(4)]
    >>> for i, individual in enumerate(population):
    ...     individual.fitness.values = (i,)
    >>> selRankBoosted(population, 2, parents=2, rng=np.random.default_rng(1)) in ([[0], [1]], [[1], [0]])
    True
    """
    check_generator(rng)
    check_count(k, "k", 0)
    check_ranking(pressure, boost, boosted, parents, fewest)
    fitness = _fitness_of(individuals, fit_attr)
    candidates = list({id(individual): individual for individual in individuals}.values())
    most = number_of_parents(parents, len(candidates), fewest)
    if most is None:
        candidates.sort(key=fitness, reverse=True)
    else:
        candidates = heapq.nlargest(most, candidates, key=fitness)
    places = _draw_pairs(rank_weights(len(candidates), pressure, boost, boosted), (k + 1) // 2, rng)
    return [candidates[place] for place in places.ravel()[:k]]


@operator("Arnold 2006; Hansen and Ostermeier 2001; Baker 1987")
def selLogRank(
    individuals: Sequence[Individual],
    k: int,
    *,
    parents: float | None = None,
    rng: np.random.Generator,
    fit_attr: str = "fitness",
) -> list[Individual]:
    """Draw `k` of the better half by the logarithm of their rank, with as little chance as can be.

    Each is drawn as often as its share of `k` says, rounded up or down (stochastic universal sampling), the best first.
    With a toolbox' ``weigh`` `evolve` draws nobody: there all count, by `recombination_weights`.

    It returns and raises as `selRankBoosted` does.

    Parameters
    ----------
    individuals : sequence
        Evaluated individuals.
    parents : int or float, optional
        Draw only from the best `parents`, at least 1 and at most half of all; a float is a share of all. Left out, from
        half of all.
    k, rng, fit_attr
        As `selRankBoosted` takes them.

    References
    ----------
    N. Hansen and A. Ostermeier, "Completely derandomized self-adaptation in evolution strategies", Evolutionary
    Computation 9, 2001 (the weights); J. E. Baker, "Reducing bias and inefficiency in the selection algorithm", ICGA
    1987 (universal sampling).

    Examples
    --------
    >>> from deap import base, creator
    >>> creator.create("FitnessOfLog", base.Fitness, weights=(-1.0,))
    >>> creator.create("OfLog", list, fitness=creator.FitnessOfLog)
    >>> population = [creator.OfLog([i]) for i in range(4)]
    >>> for i, individual in enumerate(population):
    ...     individual.fitness.values = (i,)
    >>> selLogRank(population, 4, rng=np.random.default_rng(1))
    [[0], [0], [0], [1]]
    """
    check_generator(rng)
    check_count(k, "k", 0)
    fitness = _fitness_of(individuals, fit_attr)
    parents = number_of_parents(parents, len(individuals))
    most = max(1, len(individuals) // 2)
    return _universal(heapq.nlargest(min(most, parents or most), individuals, key=fitness), k, rng)


def operator_of(select: Any) -> Any:
    """Return the function that a registered selection comes down to; a decorated one is a function of its own.

    `functools.wraps` gives a decorator's function all attributes of what it wraps, ``operator`` among them.
    """
    while isinstance(select, partial) or (hasattr(select, "operator") and not hasattr(select, "__wrapped__")):
        select = select.func if isinstance(select, partial) else select.operator
    return select


def is_log_rank(select: Any) -> bool:
    """Return whether a registered selection is `selLogRank`, and nobody has decorated it."""
    return operator_of(select) is selLogRank


def _universal(ranked: list[Individual], k: int, rng: np.random.Generator) -> list[Individual]:
    """Draw `k` of some by the logarithm of their rank (stochastic universal sampling)."""
    ends = np.cumsum(log_rank_weights(len(ranked)))
    points = (rng.random() + np.arange(k)) / max(k, 1)
    return [ranked[place] for place in np.minimum(np.searchsorted(ends, points, side="right"), len(ranked) - 1)]


@operator("Brockhoff et al. 2010; Hansen and Ostermeier 2001; Baker 1987")
def selMirrored(
    individuals: Sequence[Individual],
    k: int,
    *,
    parents: float | None = None,
    rng: np.random.Generator,
    fit_attr: str = "fitness",
) -> list[Individual]:
    """Draw `k` of the better ones of each pair, by the logarithm of their rank, with as little chance as can be.

    Two side by side, at the places 2i and 2i+1, are a pair: children mirrored at what they come from, of which only
    the better one says where to go. Each is drawn as often as its share of `k` says, rounded up or down (stochastic
    universal sampling), the best first.

    It returns and raises as `selRankBoosted` does.

    Parameters
    ----------
    individuals : sequence
        Evaluated individuals.
    parents : int or float, optional
        Draw only from the best `parents` of the better ones, at least 1; a float is a share of all individuals. Left
        out, from all of the better ones.
    k, rng, fit_attr
        As `selRankBoosted` takes them.

    References
    ----------
    D. Brockhoff et al., "Mirrored sampling and sequential selection for evolution strategies", PPSN XI, 2010 (the
    better one of a pair); N. Hansen and A. Ostermeier, "Completely derandomized self-adaptation in evolution
    strategies", Evolutionary Computation 9, 2001 (the weights); J. E. Baker, "Reducing bias and inefficiency in the
    selection algorithm", ICGA 1987 (universal sampling).

    Examples
    --------
    >>> from deap import base, creator
    >>> creator.create("FitnessOfPair", base.Fitness, weights=(-1.0,))
    >>> creator.create("OfPair", list, fitness=creator.FitnessOfPair)
    >>> population = [creator.OfPair([i]) for i in range(4)]
    >>> for i, individual in enumerate(population):
    ...     individual.fitness.values = (i,)
    >>> selMirrored(population, 4, rng=np.random.default_rng(1))
    [[0], [0], [0], [2]]
    """
    check_generator(rng)
    check_count(k, "k", 0)
    fitness = _fitness_of(individuals, fit_attr)
    parents = number_of_parents(parents, len(individuals))
    pairs = [individuals[start : start + 2] for start in range(0, len(individuals), 2)]
    better = sorted((max(pair, key=fitness) for pair in pairs), key=fitness, reverse=True)[:parents]
    return _universal(better, k, rng)


def _fitness_of(individuals: Sequence[Any], fit_attr: str) -> Callable[[Any], Any]:
    """Return what gives the fitness of an individual, or raise where there is nobody or somebody has none."""
    if not isinstance(fit_attr, str):
        raise TypeError(f"fit_attr must be the name of an attribute, got {fit_attr!r}")
    fitness = attrgetter(fit_attr)
    try:
        valid = [fitness(individual).valid for individual in individuals]
    except (TypeError, AttributeError) as error:
        raise TypeError(f"individuals must be a sequence whose members have a {fit_attr}: {error}") from error
    if not valid:
        raise ValueError("individuals must not be empty")
    if not all(valid):
        raise ValueError("individuals must all have a valid fitness")
    return fitness
