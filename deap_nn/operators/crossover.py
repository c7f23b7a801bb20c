"""Crossovers of two or more genomes, in DEAP's form: they modify all in place and return the same objects."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.arguments import check_generator, check_probability
from deap_nn.genome.vectors import Vector
from deap_nn.genome.weight_list import WeightList, check_mates

Genome = TypeVar("Genome", bound=WeightList)

MOST_MATES = 256
"""The largest number of parents of one crossover: a random byte chooses among them."""


def mask_bits(size: int, indpb: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a mask of elements that are true with the probability `indpb`; shape (size,).

    A probability of one half uses one random bit an element; any other compares 24-bit numbers.
    """
    if indpb == 0.5:
        # The lowest bit first, as the compiled pass expands its words: both draw the same mask.
        octets = np.frombuffer(rng.bytes((size + 7) // 8), dtype=np.uint8)
        return np.unpackbits(octets, count=size, bitorder="little").view(np.bool_)
    return rng.random(size, dtype=np.float32) < np.float32(indpb)


def cxMask(ind1: Genome, ind2: Genome, *, indpb: float = 0.5, rng: np.random.Generator) -> tuple[Genome, Genome]:
    """Exchange the weights at the ones of a random 0/1 mask (uniform crossover).

    With the masks :math:`m` the children are :math:`(1-m) a + m b` and :math:`m a + (1-m) b`, so each locus
    keeps its two values.

    Parameters
    ----------
    ind1, ind2 : WeightList
        Of the same shapes; modified in place.
    indpb : float
        The probability that a locus is exchanged, 0 to 1, both exact.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    tuple of WeightList
        The same two objects.

    Raises
    ------
    ValueError
        If the shapes differ or `indpb` is out of range.
    TypeError
        If an individual is no `WeightList`.

    References
    ----------
    G. Syswerda, "Uniform crossover in genetic algorithms", ICGA 1989.

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> a, b = WeightList([[0.0, 0.0, 0.0]]), WeightList([[1.0, 1.0, 1.0]])
    >>> a, b = cxMask(a, b, rng=np.random.default_rng(3))
    >>> (a.flat + b.flat).tolist()
    [1.0, 1.0, 1.0]
    """
    check_generator(rng)
    check_probability(indpb, "indpb")
    flat1, flat2 = check_mates(ind1, ind2)
    _exchange(flat1, flat2, mask_bits(flat1.size, indpb, rng))
    return ind1, ind2


def _exchange(flat1: Vector, flat2: Vector, mask: NDArray[np.bool_]) -> None:
    """Exchange the weights of two vectors where a mask is true; all of shape (n,)."""
    # XOR swap of the bits: there is no arithmetic with weights, so each locus keeps its two values exactly, also NaN.
    bits1, bits2 = flat1.view(np.uint32), flat2.view(np.uint32)
    exchange = mask.astype(np.uint32)
    np.negative(exchange, out=exchange)  # all ones where a locus is exchanged
    exchange &= bits1 ^ bits2
    bits1 ^= exchange
    bits2 ^= exchange


def cxBiased(ind1: Genome, ind2: Genome, *, indpb: float = 0.25, rng: np.random.Generator) -> tuple[Genome, Genome]:
    """Replace both individuals by children that take most of their weights from the fitter one.

    Each locus of each child has the value of the less fit individual with the probability `indpb`, independently, and
    otherwise that of the fitter one. If the fitnesses are equal or not valid, `ind1` counts as the fitter one.
    ``evolve`` passes two without a valid fitness, the fitter one as `ind1`. A function that wraps this one gets the
    same order if it has an attribute ``fitter_first = True``.

    It returns and raises as `cxMask` does.

    Parameters
    ----------
    ind1, ind2 : WeightList
        Of the same shapes, with a fitness; modified in place.
    indpb : float
        The share of weights from the less fit individual, 0 to 1.
    rng : numpy.random.Generator
        The source of randomness.

    References
    ----------
    J. F. Gonçalves and M. G. C. Resende, "Biased random-key genetic algorithms for combinatorial optimization", Journal
    of Heuristics 17, 2011.

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> a, b = WeightList([[0.0, 0.0, 0.0]]), WeightList([[1.0, 1.0, 1.0]])
    >>> a, b = cxBiased(a, b, rng=np.random.default_rng(2))
    >>> a.flat.tolist(), b.flat.tolist()
    ([0.0, 0.0, 1.0], [0.0, 0.0, 0.0])
    """
    check_generator(rng)
    check_probability(indpb, "indpb")
    flat1, flat2 = check_mates(ind1, ind2)
    fitter, other = (flat2, flat1) if _is_fitter(ind2, ind1) else (flat1, flat2)
    values = fitter.copy(), other.copy()
    for flat in (flat1, flat2):
        np.copyto(flat, values[0])
        np.copyto(flat, values[1], where=mask_bits(flat.size, indpb, rng))
    return ind1, ind2


cxBiased.fitter_first = True  # type: ignore[attr-defined]  # `evolve` passes pairs in this order


def _is_fitter(one: object, other: object) -> bool:
    """Return whether one has a better fitness than the other; False unless both fitnesses are valid."""
    fitnesses: list[Any] = [getattr(individual, "fitness", None) for individual in (one, other)]
    return all(getattr(fitness, "valid", False) for fitness in fitnesses) and bool(fitnesses[0] > fitnesses[1])


def cxSplit(ind1: Genome, ind2: Genome, *, rng: np.random.Generator) -> tuple[Genome, Genome]:
    """Split each pair of matrices at a random place and exchange the tails (one-point crossover).

    A matrix is split in row-major order. All places are equally probable, including both ends.

    It returns and raises as `cxMask` does.

    Parameters
    ----------
    ind1, ind2 : WeightList
        Of the same shapes; modified in place.
    rng : numpy.random.Generator
        The source of randomness.

    References
    ----------
    J. H. Holland, "Adaptation in Natural and Artificial Systems", 1975 (one-point crossover).

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> a, b = WeightList([[0.0, 0.0, 0.0]]), WeightList([[1.0, 1.0, 1.0]])
    >>> a, b = cxSplit(a, b, rng=np.random.default_rng(1))
    >>> a.flat.tolist(), b.flat.tolist()
    ([0.0, 1.0, 1.0], [1.0, 0.0, 0.0])
    """
    check_generator(rng)
    flat1, flat2 = check_mates(ind1, ind2)
    start = 0
    for matrix in ind1:
        end = start + matrix.size
        cut = int(rng.integers(start, end + 1))
        flat1[cut:end], flat2[cut:end] = flat2[cut:end].copy(), flat1[cut:end].copy()
        start = end
    return ind1, ind2


def cxMatrices(ind1: Genome, ind2: Genome, *, indpb: float = 0.5, rng: np.random.Generator) -> tuple[Genome, Genome]:
    """Exchange whole matrices, each with the probability `indpb`.

    It returns and raises as `cxMask` does.

    Parameters
    ----------
    ind1, ind2 : WeightList
        Of the same shapes; modified in place.
    indpb : float
        The probability that a matrix is exchanged, 0 to 1.
    rng : numpy.random.Generator
        The source of randomness.

    References
    ----------
    D. J. Montana and L. Davis, "Training feedforward neural networks using genetic algorithms", IJCAI 1989 (exchange of
    larger parts of a network).

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> a, b = WeightList([[0.0, 0.0], [0.0]]), WeightList([[1.0, 1.0], [1.0]])
    >>> a, b = cxMatrices(a, b, rng=np.random.default_rng(4))
    >>> a.flat.tolist(), b.flat.tolist()
    ([0.0, 0.0, 1.0], [1.0, 1.0, 0.0])
    """
    check_generator(rng)
    check_probability(indpb, "indpb")
    flat1, flat2 = check_mates(ind1, ind2)
    sizes = [matrix.size for matrix in ind1]
    _exchange(flat1, flat2, np.repeat(mask_bits(len(sizes), indpb, rng), sizes))
    return ind1, ind2


def cxUnits(ind1: Genome, ind2: Genome, *, indpb: float = 0.5, rng: np.random.Generator) -> tuple[Genome, Genome]:
    """Exchange whole units: all input weights of a unit together with its bias.

    The units of a matrix are its last axis, as in Keras: the neurons of a dense layer, the filters of a convolution. A
    vector after a matrix holds the biases of its units if their numbers are equal; the elements of any other vector
    are units of their own.

    It returns and raises as `cxMask` does.

    Parameters
    ----------
    ind1, ind2 : WeightList
        Of the same shapes; modified in place.
    indpb : float
        The probability that a unit is exchanged, 0 to 1.
    rng : numpy.random.Generator
        The source of randomness.

    References
    ----------
    D. J. Montana and L. Davis, "Training feedforward neural networks using genetic algorithms", IJCAI 1989
    (crossover-nodes).

    Examples
    --------
    >>> from deap_nn import WeightList
    >>> a, b = WeightList([[[0.0] * 3] * 2, [0.0] * 3]), WeightList([[[1.0] * 3] * 2, [1.0] * 3])
    >>> a, b = cxUnits(a, b, rng=np.random.default_rng(8))
    >>> a[0].tolist(), a[1].tolist()
    ([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]], [0.0, 0.0, 1.0])
    """
    check_generator(rng)
    check_probability(indpb, "indpb")
    flat1, flat2 = check_mates(ind1, ind2)
    masks, units = [], None
    for matrix in ind1:
        shape = matrix.shape or (1,)
        if matrix.ndim != 1 or units is None or len(units) != len(matrix):
            units = mask_bits(shape[-1], indpb, rng)
        masks.append(np.broadcast_to(units, shape).ravel())
        if matrix.ndim < 2:
            units = None
    if masks:
        _exchange(flat1, flat2, np.concatenate(masks))
    return ind1, ind2


def rotations(size: int, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a number from 0 to `count` - 1 for each locus, from a random byte; shape (size,), uint8.

    All are equally probable if `count` is a power of two; otherwise their probabilities differ by up to 1/256.
    """
    octets = np.frombuffer(rng.bytes(size), dtype=np.uint8)
    return (octets.astype(np.uint16) * np.uint16(count) >> 8).astype(np.uint8)


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
