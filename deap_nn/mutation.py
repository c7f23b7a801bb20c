"""Gaussian mutation, and the adaptations that say how strong it is."""

from collections.abc import Mapping, Sequence
from math import exp
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from deap_nn.noise import NoiseTable, noise_slice
from deap_nn.weights import (
    LARGEST_WEIGHT,
    Vector,
    WeightList,
    check_generator,
    check_genome,
    check_number,
    check_probability,
    split_vector,
)

Genome = TypeVar("Genome", bound=WeightList)
State = Mapping[str, float]


@runtime_checkable
class Adaptation(Protocol):
    """How the amount of mutation follows a run.

    ``update`` sees the population once a generation, and ``sigma`` is what mutation uses until the next time. ``reset``
    goes back to the beginning; ``state`` and ``restore`` read and put back all that changes.
    """

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise at present, at least 0."""

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Take note of the evaluated `individuals` that become the parents of `generation`."""

    def reset(self) -> None:
        """Go back to the first amount, as a run does when it begins."""

    def state(self) -> dict[str, float]:
        """Return all that changes, as numbers by name."""

    def restore(self, state: State) -> None:
        """Put back what ``state`` returned."""


def check_sigma(value: float, name: str) -> float:
    """Return a strength of mutation, or raise ValueError where it is negative or not finite."""
    if not 0 <= check_number(value, name) <= LARGEST_WEIGHT:
        raise ValueError(f"{name} must be finite and at least 0, a float32, got {value!r}")
    return float(value)


class Constant:
    """The same amount of mutation all along.

    Parameters
    ----------
    sigma : float
        The standard deviation of the noise, at least 0.

    Examples
    --------
    >>> Constant(0.1).sigma
    0.1
    """

    def __init__(self, sigma: float) -> None:
        self._sigma = check_sigma(sigma, "sigma")

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise."""
        return self._sigma

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Do nothing."""

    def reset(self) -> None:
        """Do nothing."""

    def state(self) -> dict[str, float]:
        """Return an empty state."""
        return {}

    def restore(self, state: State) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return f"Constant({self._sigma})"


class Annealed:
    r"""An amount that falls with the generations, from a first to a last one.

    With a part :math:`t = g/G` of the generations done, the amount is :math:`\sigma_0 (\sigma_1/\sigma_0)^t`, or
    :math:`\sigma_0 + (\sigma_1 - \sigma_0) t` where `shape` is "linear"; it stays at :math:`\sigma_1` after
    generation `G`.

    Parameters
    ----------
    sigma, final : float
        The first and the last standard deviation, both above 0.
    generations : int
        `G`, at least 1.
    shape : {"geometric", "linear"}
        How it falls.

    Examples
    --------
    >>> annealed = Annealed(0.4, 0.1, 2)
    >>> annealed.update([], 1)
    >>> round(annealed.sigma, 3)
    0.2
    >>> linear = Annealed(0.4, 0.1, 2, shape="linear")
    >>> linear.update([], 1)
    >>> linear.sigma
    0.25
    """

    def __init__(
        self, sigma: float, final: float, generations: int, *, shape: Literal["geometric", "linear"] = "geometric"
    ) -> None:
        self.first = check_sigma(sigma, "sigma")
        self.final = check_sigma(final, "final")
        if min(self.first, self.final) == 0:
            raise ValueError(f"sigma and final must be above 0, got {sigma!r} and {final!r}")
        if generations < 1:
            raise ValueError(f"generations must be at least 1, got {generations!r}")
        if shape not in ("geometric", "linear"):
            raise ValueError(f"shape must be 'geometric' or 'linear', got {shape!r}")
        self.generations = int(generations)
        self.shape = shape
        self._generation = 0

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise at present."""
        done = min(self._generation / self.generations, 1.0)
        if self.shape == "linear":
            return self.first * (1.0 - done) + self.final * done
        return self.first * float((self.final / self.first) ** done)

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Take note of the generation."""
        self._generation = int(generation)

    def reset(self) -> None:
        """Go back to generation 0."""
        self._generation = 0

    def state(self) -> dict[str, float]:
        """Return the generation."""
        return {"generation": self._generation}

    def restore(self, state: State) -> None:
        """Put the generation back."""
        self._generation = int(state["generation"])

    def __repr__(self) -> str:
        shape = "" if self.shape == "geometric" else f", shape={self.shape!r}"
        return f"Annealed({self.first}, {self.final}, {self.generations}{shape})"


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


def matrix_factors(amount: float, scale: Sequence[float] | None, matrices: int) -> list[np.float32]:
    """Return what the noise of each matrix is multiplied by: the amount times the matrix' scale, rounded once.

    Raises
    ------
    ValueError
        If `scale` has another length, or a factor is negative or not finite.
    """
    if scale is None:
        return [np.float32(amount)] * matrices
    if not isinstance(scale, Sequence | np.ndarray):
        raise TypeError(f"scale must be a sequence of numbers, got {type(scale).__name__}")
    if len(scale) != matrices:
        raise ValueError(f"scale must have a factor for each of {matrices} matrices, got {len(scale)}")
    return [np.float32(check_sigma(amount * check_sigma(factor, "scale"), "sigma with its scale")) for factor in scale]


def mutGaussianAdaptive(
    individual: Genome,
    *,
    sigma: float | Adaptation,
    indpb: float = 1.0,
    scale: Sequence[float] | None = None,
    noise: Vector | NoiseTable | None = None,
    mirrored: bool = False,
    rng: np.random.Generator,
) -> tuple[Genome]:
    """Add normal noise, whose strength may follow the run, to each weight.

    Parameters
    ----------
    individual : WeightList
        Modified in place.
    sigma : float or Adaptation
        The standard deviation of the noise, or what knows it.
    indpb : float
        The probability that a weight is changed, 0 to 1, both exact.
    scale : sequence of float, optional
        A factor of `sigma` for each matrix.
    noise : NoiseTable or numpy.ndarray, optional
        Standard normal float32 numbers to take a slice of, at least as many as the individual has weights. Left out,
        the noise is drawn anew, which takes ten times as long.
    mirrored : bool
        Subtract the noise instead of adding it.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    tuple of one WeightList
        The same object.

    Raises
    ------
    ValueError
        If `sigma` or a factor is negative or not finite, `indpb` out of range, or `scale` of another length
        than the individual.
    TypeError
        If the individual is no `WeightList`.

    References
    ----------
    H.-G. Beyer and H.-P. Schwefel, "Evolution strategies: a comprehensive introduction", Natural Computing 1,
    2002, section 4.2; the article for the adaptation; Salimans et al. (see `NoiseTable`) for the table; D. Brockhoff
    et al., "Mirrored sampling and sequential selection for evolution strategies", PPSN XI, 2010.

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> individual = WeightList([[0.0, 0.0]])
    >>> individual, = mutGaussianAdaptive(individual, sigma=0.0, rng=np.random.default_rng(1))
    >>> individual.flat.tolist()
    [0.0, 0.0]
    """
    check_generator(rng)
    check_probability(indpb, "indpb")
    amount = check_sigma(sigma.sigma if isinstance(sigma, Adaptation) else sigma, "sigma")
    flat = check_genome(individual)
    factors = matrix_factors(amount, scale, len(individual))
    if mirrored:
        factors = [-factor for factor in factors]
    drawn = rng.standard_normal(flat.size, dtype=np.float32) if noise is None else noise_slice(noise, flat.size, rng)
    added = np.empty_like(flat)
    shapes = individual.shapes
    for part, of, factor in zip(split_vector(added, shapes), split_vector(drawn, shapes), factors, strict=True):
        np.multiply(of, factor, out=part)
    if indpb < 1.0:
        added *= rng.random(flat.size, dtype=np.float32) < indpb
    flat += added
    return (individual,)
