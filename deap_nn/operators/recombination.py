"""Crossovers of more than two parents."""

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.arguments import check_generator
from deap_nn.genome.vectors import Vector
from deap_nn.genome.weight_list import check_mates
from deap_nn.operators.crossover import Genome
from deap_nn.operators.registry import operator

MOST_MATES = 256
"""The largest number of parents of one crossover: a random byte chooses among them."""


def rotations(size: int, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a number from 0 to `count` - 1 for each locus, from a random byte; shape (size,), uint8.

    All are equally probable if `count` is a power of two; otherwise their probabilities differ by up to 1/256.
    """
    octets = np.frombuffer(rng.bytes(size), dtype=np.uint8)
    return (octets.astype(np.uint16) * np.uint16(count) >> 8).astype(np.uint8)


@operator("Eiben, Raué and Ruttkay 1994")
def cxScanning(*individuals: Genome, rng: np.random.Generator) -> tuple[Genome, ...]:
    """Rotate the values of each locus among several individuals by a random number of places.

    A child takes the value at each locus from any parent with the same probability, independently of its other loci.
    Each locus keeps all its values. With two individuals this is `cxMask` with `indpb` 0.5, from other random numbers.

    Parameters
    ----------
    *individuals : WeightList
        Two to ``MOST_MATES``, of the same shapes; modified in place.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    tuple of WeightList
        The same objects.

    Raises
    ------
    ValueError
        If the shapes differ, or there are too few or too many individuals.
    TypeError
        If an individual is no `WeightList`.

    References
    ----------
    A. E. Eiben, P.-E. Raué and Zs. Ruttkay, "Genetic algorithms with multi-parent recombination", PPSN III, 1994
    (uniform scanning); H. Mühlenbein and H.-M. Voigt, "Gene pool recombination in genetic algorithms", 1995.

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> three = [WeightList([[float(i)] * 4]) for i in range(3)]
    >>> children = cxScanning(*three, rng=np.random.default_rng(1))
    >>> sum(child.flat for child in children).tolist()
    [3.0, 3.0, 3.0, 3.0]
    """
    check_generator(rng)
    count = len(individuals)
    if not 2 <= count <= MOST_MATES:
        raise ValueError(f"individuals must be 2 to {MOST_MATES}, got {count}")
    flats = check_mates(*individuals)
    before = np.stack(flats)
    rotated = rotations(flats[0].size, count, rng).astype(np.intp)
    for place, flat in enumerate(flats):
        flat[:] = np.take_along_axis(before, (rotated + place)[None] % count, axis=0)[0]
    return individuals


def extrapolate(centre: Vector, mean: NDArray[np.float64], step: float, out: Vector) -> None:
    """Write the extrapolation ``centre + step * (mean - centre)``, computed in float64; all of shape (n,)."""
    start = centre.astype(np.float64)
    np.add(start, step * (mean - start), out=out, casting="same_kind")


@operator("Michalewicz 1992; Beyer 1995")
def cxMean(*individuals: Genome, rng: np.random.Generator) -> tuple[Genome, ...]:
    """Replace each individual by the mean of all (intermediate recombination, arithmetic crossover).

    Parameters
    ----------
    *individuals : WeightList
        At least two, of the same shapes; modified in place.
    rng : numpy.random.Generator
        Not used, since a mean is not random.

    Returns
    -------
    tuple of WeightList
        The same objects.

    Raises
    ------
    ValueError
        If the shapes differ, or there are fewer than two.
    TypeError
        If an individual is no `WeightList`.

    References
    ----------
    H.-G. Beyer, "Toward a theory of evolution strategies: on the benefits of sex - the (mu/mu, lambda) theory",
    Evolutionary Computation 3, 1995; Z. Michalewicz, "Genetic Algorithms + Data Structures = Evolution Programs", 1992
    (arithmetic crossover of two).

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> three = [WeightList([[float(i)] * 2]) for i in range(3)]
    >>> [child.flat.tolist() for child in cxMean(*three, rng=np.random.default_rng(1))]
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    check_generator(rng)
    if len(individuals) < 2:
        raise ValueError(f"individuals must be at least 2, got {len(individuals)}")
    flats = check_mates(*individuals)
    total = np.zeros(flats[0].size)
    for flat in flats:
        total += flat
    total /= len(flats)
    for flat in flats:
        np.copyto(flat, total, casting="same_kind")
    return individuals
