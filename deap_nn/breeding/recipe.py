"""A child is its recipe: a pure function of its parents, the run's seed and its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

MEAN_PLACE, POOL_PLACE = 0xFFFFFFFF, 0xFFFFFFFE
"""The places of what is no child but a mean: of its parents to be looked at, or the pool that children come from."""


class Recipe(NamedTuple):
    """How a genome came about: initialised, bred from its parents with the streams of its place, or their mean.

    Parameters
    ----------
    generation, place : int
        They key its random streams: child `place` is side ``place % mates`` of group ``place // mates``.
    parents : tuple of int
        The ids of its parents, the one whose place it takes first and the others in turn: as many as are mated at a
        time, or fewer at the end, or none in generation 0. At `MEAN_PLACE` they are members of its own generation.
    sigma : float, optional
        The strength of mutation, where the toolbox's mutation has a ``sigma``.
    drawn : bytes
        Of a pool, the places of the children of its one parent that were drawn, each as often as it was, or of all of
        them, best first, as `drawn_places` makes them; empty for any other.
    copied : bool
        Whether it is its one parent, which lives on.
    """

    generation: int
    place: int
    parents: tuple[int, ...] = ()
    sigma: float | None = None
    drawn: bytes = b""
    copied: bool = False

    @property
    def id(self) -> int:
        """A number of its own within the run: it grows with the generation, and is below 0 for a mean."""
        if self.place == MEAN_PLACE:  # there may be several of a generation
            told = repr((self.generation, self.parents, self.drawn)).encode()
            return -1 - int.from_bytes(hashlib.blake2b(told, digest_size=7).digest(), "little")
        return self.generation << 32 | self.place  # sorted ids have ancestors before their descendants

    @property
    def is_mean(self) -> bool:
        """Whether it is the mean of its parents."""
        return self.place == MEAN_PLACE and not self.drawn

    def is_followed_by(self, other: object) -> bool:
        """Return whether `other` is the next child of the same parents, if there is one."""
        sibling = Recipe(self.generation, self.place + 1, (*self.parents[1:], *self.parents[:1]), self.sigma)
        return bool(self.parents) and self.place < POOL_PLACE and other == sibling

    @property
    def averaged(self) -> list[int] | None:
        """The places of those whose mean it is, best first around a centre, or None where it is a member."""
        if self.place < POOL_PLACE:
            return None
        return self.places if self.drawn else [key & 0xFFFFFFFF for key in self.parents]

    @property
    def places(self) -> list[int]:
        """The places that were drawn, in their order."""
        places: list[int] = np.frombuffer(self.drawn, dtype="<u4").tolist()
        return places


PLACE_BYTES = 4
"""So many bytes `drawn_places` makes of a place."""


def drawn_places(places: Iterable[int]) -> bytes:
    """Return places as a recipe holds them."""
    return np.fromiter(places, dtype="<u4").tobytes()
