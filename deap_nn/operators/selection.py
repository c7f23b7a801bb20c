"""Selection of parents, in DEAP's form."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.arguments import check_count, check_generator, check_number, check_positive
from deap_nn.operators.ranking import (
    fitness_key,
    log_rank_weights,
    number_of_parents,
    rank_weights,
)

Individual = TypeVar("Individual")

Mirror = Callable[[Sequence[Any]], list[Any] | None]
"""Returns the opposites of individuals; None if there are none."""


def _draw_pairs(weights: NDArray[np.float64], pairs: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw `pairs` pairs of two different places by their weights; shape (pairs, 2).

    If there is only one place, both of a pair are that place.
    """
    last = weights.size - 1
    ends = np.cumsum(weights)
    draws = rng.random((pairs, 2))
    first = np.minimum(np.searchsorted(ends, draws[:, 0], side="right"), last)
    if last == 0:
        return np.stack([first, first], axis=1)
    # The second is drawn without the first: the interval of the first on the line is skipped.
    point = draws[:, 1] * (ends[-1] - weights[first])
    point += np.where(point >= ends[first] - weights[first], weights[first], 0.0)
    second = np.minimum(np.searchsorted(ends, point, side="right"), last)
    return np.stack([first, second], axis=1)


def selRankBoosted(
    individuals: Sequence[Individual],
    k: int,
    *,
    pressure: float = 1.5,
    boost: float = 2.0,
    boosted: int = 1,
    parents: float | None = None,
    fewest: int = 2,
    opposites: float = 0.0,
    mirror: Mirror | None = None,
    rng: np.random.Generator,
    fit_attr: str = "fitness",
) -> list[Individual]:
    r"""Draw `k` individuals by linear ranking with a boost for the best, in pairs of two different ones.

    Places 2i and 2i+1 of the result are a pair: the second individual is drawn without the first.

    Parameters
    ----------
    individuals : sequence
        Evaluated individuals; one that occurs several times counts once.
    k : int
        The number of individuals to draw, at least 0.
    pressure : float
        The expected number of draws of the best, as a multiple of the average: 1 (all equal) to 2 (the worst never).
    boost : float
        The factor on the weights of the best `boosted` individuals, above 0; 1 is plain linear ranking.
    boosted : int
        The number of boosted individuals, at least 0.
    parents : int or float, optional
        Draw only from the best `parents` (truncation): an integer of at least 1, or a share of the individuals, above 0
        and up to 1. Default: from all.
    fewest : int
        The smallest number of parents that a share gives.
    opposites : float
        The share of the parents that are opposites, 0 to 0.5. Of `M` parents ``round(opposites * M)`` are the worst
        individuals, mirrored at a centroid :math:`m`: :math:`2m - x`. The ranks alternate: the best, the opposite of
        the worst, the second best, the opposite of the second worst, and so on. Without `mirror` the parents are the
        best ones alone, with none in place of the opposites.
    mirror : callable, optional
        Returns the opposites of individuals, mirrored at a centroid. `evolve` gives it: there :math:`m` is the mean of
        the parents of the generation, each counted by its number of places. It returns None for generation 0, which
        has no parents: then there are no opposites, and the best take their places.
    rng : numpy.random.Generator
        The source of randomness.
    fit_attr : str
        The attribute that holds the fitness, compared by its own comparison.

    Returns
    -------
    list
        The drawn individuals, not copies; opposites are new individuals without a valid fitness.

    Raises
    ------
    ValueError
        If an argument is out of range, there are no individuals, or the fitness of one is not valid.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    J. E. Baker, "Adaptive selection methods for genetic algorithms", ICGA 1985 (linear ranking); H. Mühlenbein and
    D. Schlierkamp-Voosen, "Predictive models for the breeder genetic algorithm", Evolutionary Computation 1,
    1993 (truncation); the article for the boost; S. Rahnamayan et al., "Computing opposition by involving entire
    population", IEEE CEC 2014 (centroid opposition).

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
    if not 1.0 <= check_number(pressure, "pressure") <= 2.0:
        raise ValueError(f"pressure must be between 1 and 2, got {pressure!r}")
    check_positive(boost, "boost")
    check_count(boosted, "boosted", 0)
    if not 0.0 <= check_number(opposites, "opposites") <= 0.5:
        raise ValueError(f"opposites must be a share of the parents between 0 and 0.5, got {opposites!r}")
    fitness = _fitness_of(individuals, fit_attr)
    candidates = {id(individual): individual for individual in individuals}.values()
    most = number_of_parents(parents, len(candidates), fewest)
    ranked = sorted(candidates, key=fitness, reverse=True)
    chosen = ranked[:most]
    if opposites:
        count = round(opposites * len(chosen))
        mirrored: Any = () if mirror is None else mirror(ranked[: -1 - count : -1])
        best = chosen if mirrored is None else chosen[: len(chosen) - count]
        pairs = itertools.zip_longest(best, mirrored or ())
        chosen = [individual for pair in pairs for individual in pair if individual is not None]
    places = _draw_pairs(rank_weights(len(chosen), pressure, boost, boosted), (k + 1) // 2, rng)
    return [chosen[place] for place in places.ravel()[:k]]


def selLogRank(
    individuals: Sequence[Individual],
    k: int,
    *,
    parents: float | None = None,
    rng: np.random.Generator,
    fit_attr: str = "fitness",
) -> list[Individual]:
    """Draw `k` of the better half by the logarithm of their rank, by stochastic universal sampling.

    Each is drawn `k` times its probability, rounded up or down; the best come first.

    It returns and raises as `selRankBoosted` does.

    Parameters
    ----------
    individuals : sequence
        Evaluated individuals.
    parents : int or float, optional
        Draw only from the best `parents`, at least 1 and at most half of all; a float is a share of all. Default: from
        the better half.
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
    ranked = sorted(individuals, key=fitness, reverse=True)[: min(most, parents or most)]
    ends = np.cumsum(log_rank_weights(len(ranked)))
    points = (rng.random() + np.arange(k)) / max(k, 1)
    return [ranked[place] for place in np.minimum(np.searchsorted(ends, points, side="right"), len(ranked) - 1)]


def operator_of(select: Any) -> Any:
    """Return the innermost function of a registered selection; a decorated one is a function of its own.

    `functools.wraps` copies all attributes to the decorator's function, ``operator`` among them.
    """
    while isinstance(select, partial) or (hasattr(select, "operator") and not hasattr(select, "__wrapped__")):
        select = select.func if isinstance(select, partial) else select.operator
    return select


def _fitness_of(individuals: Sequence[Any], fit_attr: str) -> Callable[[Any], Any]:
    """Return the key by which individuals are ranked: their fitness, of which NaN is the worst, as in `evolve`.

    Raise if there are no individuals or a fitness is not valid.
    """
    if not isinstance(fit_attr, str):
        raise TypeError(f"fit_attr must be the name of an attribute, got {fit_attr!r}")
    fitness = attrgetter(fit_attr)
    try:
        each = list(map(fitness, individuals))
        valid = [found.valid for found in each]
    except (TypeError, AttributeError) as error:
        raise TypeError(f"individuals must be a sequence of members with a {fit_attr}: {error}") from error
    if not valid:
        raise ValueError("individuals must not be empty")
    if not all(valid):
        raise ValueError("individuals must all have a valid fitness: evaluate them first")
    if any(map(_is_nan, each)):
        return lambda individual: (not _is_nan(fitness(individual)), fitness(individual))
    return fitness_key(individuals, fit_attr)


def _is_nan(fitness: Any) -> bool:
    """Return whether a value of a fitness is NaN: no comparison holds with it, so it would have any rank."""
    return any(value != value for value in getattr(fitness, "wvalues", ()))
