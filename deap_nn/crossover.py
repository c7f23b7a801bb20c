"""Crossovers of network weights, in DEAP's form: in place, the same two objects back."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from deap_nn.weights import WeightList, check_generator, check_pair, check_probability

Genome = TypeVar("Genome", bound=WeightList)


def mask_bits(size: int, indpb: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a mask whose elements are true with the probability `indpb`; shape (size,).

    A probability of one half takes one random bit an element; any other compares 24-bit numbers.
    """
    if indpb == 0.5:
        octets = np.frombuffer(rng.bytes((size + 7) // 8), dtype=np.uint8)
        return np.unpackbits(octets, count=size, bitorder="little").view(np.bool_)
    return rng.random(size, dtype=np.float32) < np.float32(indpb)


def cxMask(ind1: Genome, ind2: Genome, *, indpb: float = 0.5, rng: np.random.Generator) -> tuple[Genome, Genome]:
    """Exchange weights where a random 0/1 mask says so, matrix by matrix.

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
    flat1, flat2 = check_pair(ind1, ind2)
    bits1, bits2 = flat1.view(np.uint32), flat2.view(np.uint32)
    exchange = mask_bits(flat1.size, indpb, rng).astype(np.uint32)
    np.negative(exchange, out=exchange)  # all ones where a locus is exchanged
    exchange &= bits1 ^ bits2
    bits1 ^= exchange
    bits2 ^= exchange
    return ind1, ind2
