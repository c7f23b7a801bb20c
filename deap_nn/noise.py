"""A table of normal numbers that every mutation takes its noise from."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from deap_nn.seeding import Purpose, stream
from deap_nn.weights import Vector, empty_vector

SMALLEST_TABLE = 1 << 20
LARGEST_TABLE = 1 << 32
"""The fused pass takes tables of fewer numbers: it draws where a slice begins as a number of 32 bits."""


@dataclass(frozen=True)
class NoiseTable:
    """Standard normal float32 numbers, a function of a seed, made when a process first needs them.

    A mutation adds a slice that begins at a random place, which costs a tenth of drawing as many numbers. Two slices
    share numbers, but at different loci.

    Parameters
    ----------
    seed : int
        The run's seed.
    weights : int
        The size of the genomes that slices are taken for, at least 1: the table has room for four side by side.
    digest : str
        The SHA-256 that the numbers must have, or nothing: a process whose NumPy makes others is refused.

    References
    ----------
    T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever, "Evolution strategies as a scalable alternative to
    reinforcement learning", arXiv:1703.03864, 2017, section 2.

    Examples
    --------
    >>> table = NoiseTable(seed=1, weights=100)
    >>> table.size, table.array().dtype.name
    (1048576, 'float32')
    """

    seed: int
    weights: int
    digest: str = ""

    @property
    def size(self) -> int:
        """How many numbers the table has."""
        return max(SMALLEST_TABLE, 4 * self.weights)

    def array(self) -> Vector:
        """Return the numbers, shape (size,), read-only, the same object at every call in a process.

        Raises
        ------
        ValueError
            If they are others than `digest` says.
        """
        return _table(self.seed, self.size, self.digest)

    def sha256(self) -> str:
        """Return the digest of the numbers' bytes."""
        return self.digest or _digest(self.array())

    def pinned(self) -> NoiseTable:
        """Return the same table with its digest, for other processes to be checked against."""
        return replace(self, digest=self.sha256())


def _digest(table: Vector) -> str:
    return hashlib.sha256(table.data).hexdigest()


@lru_cache(maxsize=2)
def _numbers(seed: int, size: int) -> Vector:
    table = empty_vector(size)
    stream(seed, Purpose.NOISE).standard_normal(dtype=np.float32, out=table)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=2)
def _table(seed: int, size: int, digest: str) -> Vector:
    table = _numbers(seed, size)
    if digest and _digest(table) != digest:
        raise ValueError(
            f"the noise table on {platform.node()} differs from the run's: NumPy {np.__version__} makes other numbers"
        )
    return table


def noise_numbers(noise: Vector | NoiseTable, size: int) -> Vector:
    """Return the numbers of a table, of which slices of `size` are to be taken.

    Raises
    ------
    ValueError
        If the table is no float32 vector of at least `size` numbers.
    """
    table = noise.array() if isinstance(noise, NoiseTable) else noise
    if table.ndim != 1 or table.dtype != np.float32 or table.size < size:
        found = f"{table.dtype} of shape {table.shape}"
        raise ValueError(f"noise must be a float32 vector of at least {size} numbers, got {found}")
    return table


def noise_slice(noise: Vector | NoiseTable, size: int, rng: np.random.Generator) -> Vector:
    """Return `size` consecutive numbers of a table from a random place on, as a view."""
    table = noise_numbers(noise, size)
    start = int(rng.integers(table.size - size + 1))
    return table[start : start + size]
