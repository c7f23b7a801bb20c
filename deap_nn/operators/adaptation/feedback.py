"""Adaptations of sigma by the fitness."""

import warnings
from collections.abc import Sequence
from math import exp
from typing import Any, Literal

import numpy as np

from deap_nn.core.arguments import check_positive
from deap_nn.core.seeding import Purpose, stream
from deap_nn.genome.vectors import LARGEST_WEIGHT
from deap_nn.operators.adaptation.protocol import State, _check_floor, check_sigma
from deap_nn.operators.ranking import fitness_key


class ErrorScaled:
    r"""The article's adaptation: sigma is proportional to the error of the best member.

    Sigma is :math:`c\,e` with the error `e` of the best: the fitness itself if that is an error rate, and
    :math:`1 - e^{-f}` if the fitness `f` is a cross-entropy (one minus the geometric mean of the probabilities that the
    network gives the right classes).

    Parameters
    ----------
    factor : float
        `c`, the standard deviation at an error of 1, at least 0.
    fitness : {"error", "cross_entropy"}, optional
        The kind of fitness, which is minimised. Default: that of ``make_toolbox``, or "error" without it.

    Warns
    -----
    UserWarning
        Once, if the fitness is maximised, or the error of the best is outside 0 to 1 for ten updates in a row.

    References
    ----------
    "My experiments in replacing deep learning backpropagation (SGD) with a genetic algorithm", Towards Data
    Science, on mutation that follows convergence.

    Examples
    --------
    >>> ErrorScaled(0.1).sigma
    0.1
    """

    PATIENCE = 10
    """The number of updates in a row with an error outside 0 to 1 before the warning."""

    _outside: int | None = 0  # such updates in a row; None after the warning

    def __init__(self, factor: float = 0.1, *, fitness: Literal["error", "cross_entropy"] | None = None) -> None:
        if fitness not in (None, "error", "cross_entropy"):
            raise ValueError(f"fitness must be 'error' or 'cross_entropy', got {fitness!r}")
        self.factor = check_sigma(factor, "factor")
        self.fitness = fitness
        self._error = 1.0

    @property
    def sigma(self) -> float:
        """The current standard deviation of the noise."""
        return self.factor * self._error

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Read the error of the best of the evaluated `individuals`."""
        evaluated = [individual for individual in individuals if individual.fitness.valid]
        if not evaluated:
            raise ValueError("individuals must have at least one member with a valid fitness: evaluate them first")
        fitness = max(evaluated, key=fitness_key(evaluated)).fitness
        best = float(fitness.values[0])
        self._warn_if_no_error(best, maximised=fitness.weights[0] > 0)
        error = 1.0 - exp(-max(best, 0.0)) if self.fitness == "cross_entropy" else best
        self._error = min(max(error, 0.0), 1.0)

    def _warn_if_no_error(self, best: float, *, maximised: bool) -> None:
        if self._outside is None:
            return
        bounded = self.fitness == "cross_entropy" or 0.0 <= best <= 1.0
        self._outside = 0 if bounded else self._outside + 1
        if not maximised and self._outside < self.PATIENCE:
            return
        got = "" if maximised else f", and the best is at {best:g} after {self._outside} generations outside"
        self._outside = None
        warnings.warn(
            f"ErrorScaled needs an error that is minimised, between 0 and 1{got}: take SelfAdaptive or Annealed",
            stacklevel=4,
        )

    def reset(self) -> None:
        """Restore the initial error, 1."""
        self._error = 1.0

    def state(self) -> dict[str, float]:
        """Return the error of the best."""
        return {"error": self._error}

    def restore(self, state: State) -> None:
        """Set the error."""
        self._error = float(state["error"])

    def __repr__(self) -> str:
        return f"ErrorScaled({self.factor}, fitness={self.fitness!r})"


class OneFifth:
    r"""Sigma grows while more than one fifth of the members succeed, and falls while fewer do.

    A member succeeds if its fitness is better than the 80 % quantile of the generation before, the bound of its best
    fifth. With the share :math:`p` of successful members, sigma is multiplied by :math:`\exp((p - 1/5) / (4/5\,d))`.
    Each generation has a mini-batch of its own, so an easy mini-batch looks like success.

    Parameters
    ----------
    sigma : float
        The initial standard deviation, above 0.
    floor : float
        The lower bound of sigma, above 0 and at most the initial one.
    damping : float
        `d`, above 0; a larger value makes the adaptation slower.

    References
    ----------
    I. Rechenberg, "Evolutionsstrategie", 1973; S. Kern et al., "Learning probability distributions in continuous
    evolutionary algorithms - a comparative review", Natural Computing 3, 2004 (the formula); O. Ait Elhara, A. Auger
    and N. Hansen, "A median success rule for non-elitist evolution strategies", GECCO 2013 (success by a quantile of
    the generation before).

    Examples
    --------
    >>> rule = OneFifth(0.1, 0.001)
    >>> rule.sigma
    0.1
    """

    SHARE = 0.2

    def __init__(self, sigma: float, floor: float, *, damping: float = 2.0) -> None:
        self.first, self.floor = _check_floor(sigma, floor)
        self.damping = check_positive(damping, "damping")
        self._sigma = self.first
        self._bar: float | None = None

    @property
    def sigma(self) -> float:
        """The current standard deviation of the noise."""
        return self._sigma

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Count the successes among the evaluated `individuals`, by their first fitness value."""
        values = np.array([member.fitness.wvalues[0] for member in individuals if member.fitness.valid])
        if not values.size:
            raise ValueError("individuals must have at least one member with a valid fitness: evaluate them first")
        if self._bar is not None:
            successes = float(np.mean(values > self._bar))
            factor = exp((successes - self.SHARE) / ((1.0 - self.SHARE) * self.damping))
            self._sigma = float(np.float32(min(max(self._sigma * factor, self.floor), LARGEST_WEIGHT)))
        self._bar = float(np.quantile(values, 1.0 - self.SHARE))

    def reset(self) -> None:
        """Restore the initial sigma."""
        self._sigma, self._bar = self.first, None

    def state(self) -> dict[str, float]:
        """Return sigma and, after the first update, the value that a successful member must exceed."""
        return {"sigma": self._sigma} | ({} if self._bar is None else {"bar": self._bar})

    def restore(self, state: State) -> None:
        """Set both."""
        self._sigma = float(state["sigma"])
        self._bar = float(state["bar"]) if "bar" in state else None

    def __repr__(self) -> str:
        return f"OneFifth({self.first}, {self.floor}, damping={self.damping})"


class SelfAdaptive:
    r"""Each member has its own sigma, which its children inherit and vary; selection favours the useful ones.

    A child's sigma is that of the parent at its place times :math:`e^{\tau z}`, with a standard normal :math:`z`, but
    at least the floor. Without a floor sigma shrinks to 0: the child that changes least loses least on the next batch.

    Parameters
    ----------
    sigma : float
        The sigma of the initial population, above 0.
    floor : float
        The lower bound of sigma, above 0 and at most the initial one.
    rate : float
        :math:`\tau`, above 0. The usual :math:`1/\sqrt{2n}` is too small to change sigma if `n` is millions of weights.

    References
    ----------
    H.-G. Beyer and H.-P. Schwefel, "Evolution strategies: a comprehensive introduction", Natural Computing 1, 2002,
    section 4.2.2.

    Examples
    --------
    >>> SelfAdaptive(0.1, 0.001).sigma
    0.1
    """

    def __init__(self, sigma: float, floor: float, *, rate: float = 0.2) -> None:
        self.first, self.floor = _check_floor(sigma, floor)
        self.rate = check_positive(rate, "rate")
        self._sigma = self.first

    @property
    def sigma(self) -> float:
        """The median of the members' standard deviations at the last update."""
        return self._sigma

    def varied(self, amount: float, rng: np.random.Generator) -> float:
        """Return the sigma of a child, given that of its parent."""
        grown = amount * exp(min(self.rate * rng.standard_normal(), 100.0))
        return float(np.float32(min(max(grown, self.floor), LARGEST_WEIGHT)))

    def inherited(self, amounts: Sequence[float], seed: int, generation: int) -> list[float]:
        """Return the sigma of each child of a generation, given those of the parents at their places."""
        rng = stream(seed, Purpose.SIGMA, generation)
        made = [self.varied(amount, rng) for amount in amounts]
        self._sigma = float(np.median(made)) if made else self.first
        return made

    def of(self, individual: Any) -> float:
        """Return an individual's sigma: its attribute ``strategy``, or the initial sigma if it has none."""
        own = getattr(individual, "strategy", None)
        return self.first if own is None else float(own)

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Read the median of the `individuals`; only selection and inheritance change it."""
        if individuals:
            self._sigma = float(np.median([self.of(individual) for individual in individuals]))

    def reset(self) -> None:
        """Restore the initial sigma."""
        self._sigma = self.first

    def state(self) -> dict[str, float]:
        """Return the median."""
        return {"sigma": self._sigma}

    def restore(self, state: State) -> None:
        """Set the median."""
        self._sigma = float(state["sigma"])

    def __repr__(self) -> str:
        return f"SelfAdaptive({self.first}, {self.floor}, rate={self.rate})"
