"""Gaussian mutation, in DEAP's form."""

from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np

from deap_nn.core.arguments import check_bounds, check_generator, check_probability
from deap_nn.genome.noise import NoiseTable, noise_slice
from deap_nn.genome.vectors import Vector, split_vector
from deap_nn.genome.weight_list import WeightList, check_genome
from deap_nn.operators.adaptation import Adaptation, SelfAdaptive, check_sigma, is_adaptation

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
    if isinstance(scale, str) or not isinstance(scale, Sequence | np.ndarray):
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
    bounds: tuple[float, float] | None = None,
    noise: Vector | NoiseTable | None = None,
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
    scale : sequence of float, optional
        A factor of `sigma` for each matrix.
    bounds : (float, float), optional
        The smallest and the largest weight; all weights are clipped to them afterwards.
    noise : NoiseTable or numpy.ndarray, optional
        Standard normal float32 numbers of which a slice is used, at least one for each weight. Default: new numbers,
        which takes ten times as long.
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
        individual, or `bounds` are not two numbers, the smaller one first.
    TypeError
        If the individual is no `WeightList`.

    References
    ----------
    H.-G. Beyer and H.-P. Schwefel, "Evolution strategies: a comprehensive introduction", Natural Computing 1,
    2002, section 4.2; the article for the adaptation; Salimans et al. (see `NoiseTable`) for the table.

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
    flat = check_genome(individual)
    if isinstance(sigma, SelfAdaptive):
        sigma = vars(individual)["strategy"] = sigma.varied(sigma.of(individual), rng)
    amount = check_sigma(cast(float, sigma.sigma if is_adaptation(sigma) else sigma), "sigma")
    factors = matrix_factors(amount, scale, len(individual))
    drawn = rng.standard_normal(flat.size, dtype=np.float32) if noise is None else noise_slice(noise, flat.size, rng)
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
