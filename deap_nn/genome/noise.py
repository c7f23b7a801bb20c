"""A table of normal numbers that founders and mutations take their noise from."""

from __future__ import annotations

import hashlib
import mmap
import platform
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deap_nn.core.files import appear, write_all
from deap_nn.core.seeding import Purpose, stream
from deap_nn.genome.vectors import Vector, empty_vector

SMALLEST_TABLE = 1 << 20
LARGEST_TABLE = 1 << 32
"""The fused pass takes only tables of fewer numbers: it draws the start of a slice as a 32-bit number."""


@dataclass(frozen=True)
class NoiseTable:
    """Standard normal float32 numbers, a function of a seed, made when a process first needs them.

    A mutation adds a slice that begins at a random place, at a tenth of the cost of drawing new numbers. Two slices
    share numbers, but at different loci.

    Parameters
    ----------
    seed : int
        The run's seed.
    weights : int
        The size of the genomes that slices are taken for, at least 1; the table has at least four times this size.
    digest : str
        The SHA-256 that the numbers must have, or empty: another version of NumPy may draw other numbers.

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
        """The number of values in the table."""
        return max(SMALLEST_TABLE, 4 * self.weights)

    def array(self) -> Vector:
        """Return the numbers, shape (size,), read-only; they are made or mapped once, not at every call.

        Raises
        ------
        ValueError
            If their SHA-256 is not `digest`.
        """
        table, digest = self._kept()
        if self.digest not in ("", digest):
            host, version = platform.node(), np.__version__
            raise ValueError(f"the noise table on {host} differs from the run's: NumPy {version} makes other numbers")
        return table

    def _kept(self) -> tuple[Vector, str]:
        key = self.seed, self.size
        return _tables.get(key) or _keep(key, _drawn(*key))

    def share(self, folder: Path) -> None:
        """Read the numbers from a file in a folder from now on; the first process of a host makes the file.

        If the file cannot be made, this process keeps its own numbers.
        """
        path = folder / f"noise-{self.seed}-{self.size}"
        if not path.exists():
            numbers = self.array()
            appear(path, numbers.nbytes, lambda file: write_all(file, numbers.data))
        try:
            with open(path, "rb") as file:
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:  # there is no space for it, or the folder was removed
            return
        _keep((self.seed, self.size), np.frombuffer(mapping, dtype=np.float32))

    def forget(self) -> None:
        """Release the numbers; they are recomputed when they are needed."""
        _tables.pop((self.seed, self.size), None)

    def sha256(self) -> str:
        """Return the digest of the numbers' bytes."""
        return self.digest or self._kept()[1]

    def pinned(self) -> NoiseTable:
        """Return the same table with its digest, so that other processes check their numbers."""
        return replace(self, digest=self.sha256())


_tables: OrderedDict[tuple[int, int], tuple[Vector, str]] = OrderedDict()
"""Tables with their SHA-256."""


def _keep(key: tuple[int, int], table: Vector) -> tuple[Vector, str]:
    """Keep the numbers of a table in this process, beside those of at most one earlier table."""
    kept = _tables[key] = table, hashlib.sha256(table.data).hexdigest()
    _tables.move_to_end(key)
    while len(_tables) > 2:
        _tables.popitem(last=False)
    return kept


def _drawn(seed: int, size: int) -> Vector:
    table = empty_vector(size)
    stream(seed, Purpose.NOISE).standard_normal(dtype=np.float32, out=table)
    table.flags.writeable = False
    return table


def noise_numbers(noise: Vector | NoiseTable, size: int) -> Vector:
    """Return the numbers of a table, checked for slices of `size` numbers.

    Raises
    ------
    ValueError
        If the table is not a float32 vector of at least `size` numbers.
    TypeError
        If it is neither a vector nor a `NoiseTable`.
    """
    table = noise.array() if isinstance(noise, NoiseTable) else noise
    if not isinstance(table, np.ndarray):
        raise TypeError(f"noise must be a NoiseTable or a float32 vector, got {type(noise).__name__}")
    if table.ndim != 1 or table.dtype != np.float32 or table.size < size:
        found = f"{table.dtype} of shape {table.shape}"
        raise ValueError(f"noise must be a float32 vector of at least {size} numbers, got {found}")
    return table


def noise_slice(noise: Vector | NoiseTable, size: int, rng: np.random.Generator) -> Vector:
    """Return `size` consecutive numbers of a table, from a random place on, as a view."""
    table = noise_numbers(noise, size)
    start = int(rng.integers(table.size - size + 1))
    return table[start : start + size]


def disjoint_slices(noise: Vector | NoiseTable, size: int, rng: np.random.Generator) -> tuple[Vector, Vector]:
    """Return two slices of `size` consecutive numbers of a table, from random places on, that do not overlap."""
    table = noise_numbers(noise, 2 * size)
    # The second place is drawn as if the first slice were cut out, and then shifted by its size.
    first, second = sorted(rng.integers(table.size - 2 * size + 1, size=2).tolist())
    return table[first : first + size], table[second + size : second + 2 * size]
