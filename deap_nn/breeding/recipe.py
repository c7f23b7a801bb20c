"""A child is its recipe: a pure function of its parents, the run's seed and its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

MEAN_PLACE, CENTRE_PLACE = 0xFFFFFFFF, 0xFFFFFFFE
"""The two largest 32-bit numbers, which are no child's place: a mean, and the centre of the next generation."""


class Recipe(NamedTuple):
    """The recipe of a genome: of a founder, of a child (its parents and the key of its random streams) or of a mean.

    Parameters
    ----------
    generation, place : int
        The key of its random streams: child `place` is side ``place % mates`` of group ``place // mates``.
    parents : tuple of int
        The ids of its parents: for a child its group, in cyclic order from the parent on its own side. The last group
        may be smaller; a founder has none. For a mean they are the averaged members, of its own generation.
    sigma : float, optional
        The mutation step size, if the toolbox's mutation has a ``sigma``.
    drawn : bytes
        For a recombination around a centre, its one parent: the places of the recombined children of the centre, in
        the format of `drawn_places`. They are best first if recombination has weights; a child that was drawn several
        times has several entries. Empty for any other genome.
    copied : bool
        Whether it is an elite: an unchanged copy of its one parent.
    """

    generation: int
    place: int
    parents: tuple[int, ...] = ()
    sigma: float | None = None
    drawn: bytes = b""
    copied: bool = False

    @property
    def id(self) -> int:
        """A number unique within the run: it grows with the generation, and is negative at `MEAN_PLACE`."""
        if self.place == MEAN_PLACE:  # a generation may have several means, so the id is a hash of the contents
            text = repr((self.generation, self.parents, self.drawn)).encode()
            return -1 - int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "little")
        return self.generation << 32 | self.place  # sorted ids have ancestors before their descendants

    @property
    def is_mean(self) -> bool:
        """Whether it is the mean of its parents."""
        return self.place == MEAN_PLACE and not self.drawn

    def is_followed_by(self, other: object) -> bool:
        """Return whether `other` is the recipe of the next child of the same parents."""
        # Siblings have the same parents, rotated by one.
        parents = self.parents[1:] + self.parents[:1]
        sibling = self.generation, self.place + 1, parents, self.sigma, b"", False
        return bool(parents) and self.place < CENTRE_PLACE and other == sibling

    @property
    def averaged(self) -> list[int] | None:
        """The places of the members that it averages, best first around a centre; None for a member."""
        if self.place < CENTRE_PLACE:
            return None
        return self.places if self.drawn else [key & 0xFFFFFFFF for key in self.parents]

    @property
    def places(self) -> list[int]:
        """The places in `drawn`, in their order."""
        places: list[int] = np.frombuffer(self.drawn, dtype="<u4").tolist()
        return places


PLACE_BYTES = 4
"""The bytes of one place in `Recipe.drawn`."""


def drawn_places(places: Iterable[int]) -> bytes:
    """Return places in the format of `Recipe.drawn`: little-endian integers of 32 bits."""
    return np.fromiter(places, dtype="<u4").tobytes()
