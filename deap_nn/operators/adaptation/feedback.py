"""Sigma that follows the fitness."""

from collections.abc import Sequence
from math import exp
from typing import Any, Literal

import numpy as np

from deap_nn.core.arguments import check_positive
from deap_nn.core.seeding import Purpose, stream
from deap_nn.genome.vectors import LARGEST_WEIGHT
from deap_nn.operators.adaptation.protocol import State, _check_floor, check_sigma, hold


class ErrorScaled:
    r"""The article's amount: it follows how far the best of the population is from solved.

    The amount is :math:`c\,e` where `e` is the error of the best: the fitness itself where that is an error
    rate, and :math:`1 - e^{-f}` where the fitness `f` is a cross-entropy (one minus the geometric mean of the
    probabilities that the network gives the right answers).

    Parameters
    ----------
    factor : float
        `c`, the standard deviation at an error of 1, at least 0.
    fitness : {"error", "cross_entropy"}, optional
        What the fitness is. Left out, ``make_toolbox`` fills in its own, and otherwise it is "error".

    References
    ----------
    "My experiments in replacing deep learning backpropagation (SGD) with a genetic algorithm", Towards Data
    Science, on mutation that follows convergence.

    Examples
    --------
    >>> ErrorScaled(0.1).sigma
    0.1
    """

    def __init__(self, factor: float = 0.1, *, fitness: Literal["error", "cross_entropy"] | None = None) -> None:
        if fitness not in (None, "error", "cross_entropy"):
            raise ValueError(f"fitness must be 'error' or 'cross_entropy', got {fitness!r}")
        self.factor = check_sigma(factor, "factor")
        self.fitness = fitness
        self._error = 1.0

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise at present."""
        return self.factor * self._error

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Take the error of the best of the evaluated `individuals`."""
        hold(self)
        evaluated = [individual.fitness for individual in individuals if individual.fitness.valid]
        if not evaluated:
            raise ValueError("individuals must hold at least one with a valid fitness")
        best = float(max(evaluated).values[0])
        error = 1.0 - exp(-max(best, 0.0)) if self.fitness == "cross_entropy" else best
        self._error = min(max(error, 0.0), 1.0)

    def reset(self) -> None:
        """Go back to an error of 1."""
        self._error = 1.0

    def state(self) -> dict[str, float]:
        """Return the error of the best."""
        return {"error": self._error}

    def restore(self, state: State) -> None:
        """Put the error back."""
        self._error = float(state["error"])

    def __repr__(self) -> str:
        return f"ErrorScaled({self.factor}, fitness={self.fitness!r})"


class OneFifth:
    r"""An amount that grows while more than one in five succeed, and falls while fewer do.

    A member succeeds if it is better than the best fifth of the generation before were. With the share :math:`p` of
    those that do, the amount is multiplied by :math:`\exp((p - 1/5) / (4/5\,d))`. Each generation has a mini-batch of
    its own, so an easy one looks like success.

    Parameters
    ----------
    sigma : float
        The first standard deviation, above 0.
    floor : float
        The least, above 0.
    damping : float
        `d`, above 0: the larger, the slower.

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
        """The standard deviation of the noise at present."""
        return self._sigma

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Count the successes among the evaluated `individuals`, by their first fitness value."""
        hold(self)
        values = np.array([member.fitness.wvalues[0] for member in individuals if member.fitness.valid])
        if not values.size:
            raise ValueError("individuals must hold at least one with a valid fitness")
        if self._bar is not None:
            successes = float(np.mean(values > self._bar))
            factor = exp((successes - self.SHARE) / ((1.0 - self.SHARE) * self.damping))
            self._sigma = float(np.float32(min(max(self._sigma * factor, self.floor), LARGEST_WEIGHT)))
        self._bar = float(np.quantile(values, 1.0 - self.SHARE))

    def reset(self) -> None:
        """Go back to the first amount."""
        self._sigma, self._bar = self.first, None

    def state(self) -> dict[str, float]:
        """Return the amount, and what a member must be better than once there is that."""
        return {"sigma": self._sigma} | ({} if self._bar is None else {"bar": self._bar})

    def restore(self, state: State) -> None:
        """Put both back."""
        self._sigma = float(state["sigma"])
        self._bar = float(state["bar"]) if "bar" in state else None

    def __repr__(self) -> str:
        return f"OneFifth({self.first}, {self.floor}, damping={self.damping})"


class SelfAdaptive:
    r"""An amount of each member's own, which its children inherit and vary: selection finds the one that pays.

    A child's amount is that of the parent whose place it takes, times :math:`e^{\tau z}` with a normal :math:`z`, and
    never below the floor: without one it shrinks to nothing, since who changes least loses least on the next batch.

    Parameters
    ----------
    sigma : float
        That of the initial population, above 0.
    floor : float
        The least, above 0.
    rate : float
        :math:`\tau`, above 0. The usual :math:`1/\sqrt{2n}` changes nothing at `n` of millions of weights.

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
        """The median of the members' standard deviations, when last told of them."""
        return self._sigma

    def varied(self, amount: float, rng: np.random.Generator) -> float:
        """Return the amount of a child of a parent that has some amount."""
        grown = amount * exp(min(self.rate * rng.standard_normal(), 100.0))
        return float(np.float32(min(max(grown, self.floor), LARGEST_WEIGHT)))

    def inherited(self, amounts: Sequence[float], seed: int, generation: int) -> list[float]:
        """Return the amount of each child of a generation, given those of the parents whose places they take."""
        rng = stream(seed, Purpose.STRENGTH, generation)
        made = [self.varied(amount, rng) for amount in amounts]
        self._sigma = float(np.median(made)) if made else self.first
        return made

    def of(self, individual: Any) -> float:
        """Return an individual's own amount: its attribute ``strategy``, or the first where it has none."""
        own = getattr(individual, "strategy", None)
        return self.first if own is None else float(own)

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Take note of the median; it is selection that changes it."""
        if individuals:
            self._sigma = float(np.median([self.of(individual) for individual in individuals]))

    def reset(self) -> None:
        """Go back to the first amount."""
        self._sigma = self.first

    def state(self) -> dict[str, float]:
        """Return the median."""
        return {"sigma": self._sigma}

    def restore(self, state: State) -> None:
        """Put the median back."""
        self._sigma = float(state["sigma"])

    def __repr__(self) -> str:
        return f"SelfAdaptive({self.first}, {self.floor}, rate={self.rate})"
