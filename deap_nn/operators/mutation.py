"""Gaussian mutation, in DEAP's form."""

from collections.abc import Sequence
from typing import Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.arguments import check_bounds, check_generator, check_probability
from deap_nn.genome.noise import NoiseTable, noise_slice
from deap_nn.genome.vectors import LARGEST_WEIGHT, Vector, split_vector
from deap_nn.genome.weight_list import WeightList, check_genome
from deap_nn.operators.adaptation.feedback import SelfAdaptive
from deap_nn.operators.adaptation.protocol import Adaptation, check_sigma, is_adaptation
from deap_nn.operators.adaptation.selections import warn_if_never_updated
from deap_nn.operators.registry import operator

Genome = TypeVar("Genome", bound=WeightList)


def matrix_factors(amount: float, scale: Sequence[float] | None, matrices: int) -> list[np.float32]:
    """Return the factor on the noise of each matrix: the mutation step size times the matrix' scale, rounded once.

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


LEAST_SIZE = 0.01
"""The smallest scale of a matrix with "own", so that biases that start at 0 are mutated too."""


def scales_of(
    individual: WeightList, scale: Sequence[float] | Literal["own"] | None, amount: float
) -> Sequence[float] | None:
    """Return a scale as numbers: "own" is the root mean square of each matrix, at least ``LEAST_SIZE``.

    NaN counts as ``LEAST_SIZE``. An upper bound keeps the scale times `amount` a finite float32.
    """
    if not isinstance(scale, str):
        return scale
    if scale != "own":
        raise ValueError(f"scale must be 'own' or a sequence of numbers, got {scale!r}")
    most = LARGEST_WEIGHT / max(amount, 1.0)
    return [_size(matrix, most) for matrix in individual]


def _size(matrix: NDArray[np.float32], most: float) -> float:
    """Return the root mean square of a matrix, from ``LEAST_SIZE`` to `most`."""
    size = float(np.sqrt(np.mean(np.square(matrix, dtype=np.float64)))) if matrix.size else 0.0
    return min(size, most) if size > LEAST_SIZE else LEAST_SIZE


@operator("the article; Beyer and Schwefel 2002")
def mutGaussianAdaptive(
    individual: Genome,
    *,
    sigma: float | Adaptation,
    indpb: float = 1.0,
    scale: Sequence[float] | Literal["own"] | None = None,
    matrices: Literal["all", "one"] = "all",
    bounds: tuple[float, float] | None = None,
    noise: Vector | NoiseTable | None = None,
    mirrored: bool = False,
    rng: np.random.Generator,
) -> tuple[Genome]:
    """Add normal noise to each weight, with a fixed or adaptive standard deviation.

    Parameters
    ----------
    individual : WeightList
        Modified in place.
    sigma : float or Adaptation
        The standard deviation of the noise, or its adaptation. `SelfAdaptive` stores that of each individual in the
        attribute ``strategy``, as DEAP's own evolution strategies do.
    indpb : float
        The probability that a weight is changed, 0 to 1, both exact.
    scale : sequence of float or "own", optional
        A factor of `sigma` for each matrix; "own" is the root mean square of the matrix' weights, at least
        ``LEAST_SIZE``.
    matrices : {"all", "one"}
        Mutate all matrices, or one drawn at random.
    bounds : (float, float), optional
        The smallest and the largest weight; all weights are clipped to them afterwards.
    noise : NoiseTable or numpy.ndarray, optional
        Standard normal float32 numbers of which a slice is used, at least one for each weight. Default: new numbers,
        which takes ten times as long.
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
        If `sigma` or a factor is negative or not finite, `indpb` is out of range, `scale` has another length than the
        individual, `matrices` is neither "all" nor "one", or `bounds` are not two numbers, the smaller one first.
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
    if matrices not in ("all", "one"):
        raise ValueError(f"matrices must be 'all' or 'one', got {matrices!r}")
    flat = check_genome(individual)
    if isinstance(sigma, SelfAdaptive):
        sigma = vars(individual)["strategy"] = sigma.varied(sigma.of(individual), rng)
    if is_adaptation(sigma):
        warn_if_never_updated(sigma, individual)
    amount = check_sigma(cast(float, sigma.sigma if is_adaptation(sigma) else sigma), "sigma")
    factors = matrix_factors(amount, scales_of(individual, scale, amount), len(individual))
    if mirrored:
        factors = [-factor for factor in factors]
    drawn = rng.standard_normal(flat.size, dtype=np.float32) if noise is None else noise_slice(noise, flat.size, rng)
    if matrices == "one" and factors:
        mutated = int(rng.integers(len(factors)))
        factors = [factor if i == mutated else np.float32(0) for i, factor in enumerate(factors)]
    added = np.empty_like(flat)
    shapes = individual.shapes
    for part, of, factor in zip(split_vector(added, shapes), split_vector(drawn, shapes), factors, strict=True):
        np.multiply(of, factor, out=part)
    if indpb < 1.0:
        added *= rng.random(flat.size, dtype=np.float32) < indpb
    flat += added
    if bounds is not None:
        np.clip(flat, *check_bounds(bounds), out=flat)
    return (individual,)
