"""A child is its recipe: a pure function of its parents, the run's seed and its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MEAN_PLACE, CENTRE_PLACE = 0xFFFFFFFF, 0xFFFFFFFE
"""The two largest 32-bit numbers, which are no child's place: a mean, and the centre of the next generation."""

OPPOSITE = 1 << 31
"""The bit that a place has if it is that of a member's opposite: members have smaller places."""

CENTROID_PLACE = OPPOSITE - 1
"""The place of a generation's centroid: its id is above those of the members, and below those of their opposites."""

RAW_PLACE = CENTROID_PLACE - 1
"""The place of the mean of a generation's parents, if its centroid is another one, by projection."""

STEP_PLACE = RAW_PLACE - 1
"""The place of the step from that mean to the projected centroid."""

_PLACE_BITS = 32


def member_id(generation: int, place: int) -> int:
    """Return the id of the genome at a place of a generation; it grows with the generation."""
    return generation << _PLACE_BITS | place


def generation_and_place(key: int) -> tuple[int, int]:
    """Return the generation and the place of an id by `member_id`."""
    return key >> _PLACE_BITS, key & (1 << _PLACE_BITS) - 1


class Recipe(NamedTuple):
    """The recipe of a genome: of a founder, of a child (its parents and the key of its random streams) or of a mean.

    The centroid of a generation is the mean of its parents, and the opposite of a member is the member mirrored at the
    centroid of its generation. Neither is scored: opposites are parents only. If the step from one centroid to the next
    is projected, the mean of the parents is a genome of its own at `RAW_PLACE`, the step from it to the centroid one at
    `STEP_PLACE`, and the children are `carried`.

    Parameters
    ----------
    generation, place : int
        The key of its random streams: child `place` is side ``place % mates`` of group ``place // mates``.
    parents : tuple of int
        The ids of its parents: for a child its group, in cyclic order from the parent on its own side. The last group
        may be smaller; a founder has none. For a mean they are the averaged members, of its own generation; for a
        centroid all parents of its generation, ids ascending; for a projected one the centroid before it and the mean
        of the parents; for a step the mean and the centroid. An opposite has those of its member, and the centroid.
    sigma : float, optional
        The mutation step size, if the toolbox's mutation has a ``sigma``.
    drawn : bytes
        For a recombination around a centre, its one parent: the places of the recombined children of the centre, in
        the format of `drawn_places`. They are best first if recombination has weights; a child that was drawn several
        times has several entries. For a centroid: the number of places of each parent. Empty for any other genome.
    inputs : bytes
        For the next centre or a projected centroid, the inputs of layers onto which the step is projected, by
        `packed_inputs`; else empty.
    carried : bool
        Whether the parents of a child are moved by the step from the mean of all parents to the projected centroid:
        the step is the last one in `parents` then.
    """

    generation: int
    place: int
    parents: tuple[int, ...] = ()
    sigma: float | None = None
    drawn: bytes = b""
    inputs: bytes = b""
    carried: bool = False

    @property
    def id(self) -> int:
        """A number unique within the run: it grows with the generation, and is negative at `MEAN_PLACE`."""
        if self.place == MEAN_PLACE:  # a generation may have several means, so the id is a hash of the contents
            text = repr((self.generation, self.parents, self.drawn)).encode()
            return -1 - int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "little")
        return self.generation << _PLACE_BITS | self.place  # `member_id`, without a call: all recipes pass here

    @property
    def group(self) -> tuple[int, ...]:
        """The ids of the parents of a child, without the step by which it is carried."""
        return self.parents[:-1] if self.carried else self.parents

    @property
    def opposite(self) -> Recipe:
        """The recipe of a member's opposite."""
        return self._replace(place=self.place | OPPOSITE, parents=(*self.parents, centroid_id(self.generation)))

    @property
    def is_centroid(self) -> bool:
        """Whether it is a generation's centroid, or the mean of parents from which that is projected."""
        return self.place in (RAW_PLACE, CENTROID_PLACE)

    @property
    def is_step(self) -> bool:
        """Whether it is the step from the mean of a generation's parents to the projected centroid."""
        return self.place == STEP_PLACE

    @property
    def is_opposite(self) -> bool:
        """Whether it is a member's opposite."""
        return OPPOSITE <= self.place < CENTRE_PLACE

    @property
    def mirrored(self) -> Recipe:
        """The recipe of the member of which it is the opposite."""
        return self._replace(place=self.place ^ OPPOSITE, parents=self.parents[:-1])

    @property
    def is_mean(self) -> bool:
        """Whether it is the mean of its parents."""
        return self.place == MEAN_PLACE and not self.drawn

    def is_followed_by(self, other: Recipe) -> bool:
        """Return whether `other` is the recipe of the next child of the same parents."""
        mine, its = (self.group, other.group) if self.carried else (self.parents, other.parents)
        return (
            other.place == self.place + 1
            and other.carried == self.carried
            and its == mine[1:] + mine[:1]  # of siblings, rotated by one
            and bool(self.parents)
            and self.place < CENTRE_PLACE
            and (other.generation, other.sigma) == (self.generation, self.sigma)
            and not other.drawn
        )

    @property
    def averaged(self) -> list[int] | None:
        """The places of the members that it averages, best first around a centre; None for a member."""
        if self.place < CENTRE_PLACE:
            return None
        return self.places if self.drawn else [generation_and_place(key)[1] for key in self.parents]

    @property
    def places(self) -> list[int]:
        """The numbers in `drawn`, in their order."""
        places: list[int] = np.frombuffer(self.drawn, dtype="<u4").tolist()
        return places


PLACE_BYTES = 4
"""The bytes of one place in `Recipe.drawn`."""


def centroid_id(generation: int) -> int:
    """Return the id of a generation's centroid."""
    return member_id(generation, CENTROID_PLACE)


def centroid_of(generation: int, places: Sequence[int] | NDArray[np.uint32]) -> Recipe:
    """Return the recipe of a generation's centroid, from the `places` drawn in the generation before."""
    each, counts = np.unique(np.asarray(places, np.uint32), return_counts=True)
    parents = tuple(member_id(generation - 1, place) for place in each.tolist())
    return Recipe(generation, CENTROID_PLACE, parents, drawn=drawn_places(counts))


def centroids_of(generation: int, places: Sequence[int] | NDArray[np.uint32], inputs: bytes) -> tuple[Recipe, ...]:
    """Return the recipe of a generation's centroid, last; if it is projected, after the step to it and the mean.

    Parameters
    ----------
    generation, places
        As for `centroid_of`.
    inputs : bytes
        The layer inputs of the generation before, onto which the step to this centroid is projected; empty without any.
    """
    mean = centroid_of(generation, places)
    if not inputs:
        return (mean,)
    mean = mean._replace(place=RAW_PLACE)
    centroid = Recipe(generation, CENTROID_PLACE, (centroid_id(generation - 1), mean.id), inputs=inputs)
    return Recipe(generation, STEP_PLACE, (mean.id, centroid.id)), mean, centroid


def carried(recipe: Recipe) -> Recipe:
    """Return the recipe of a child whose parents are moved by the step from their mean to the projected centroid."""
    return recipe._replace(parents=(*recipe.parents, member_id(recipe.generation, STEP_PLACE)), carried=True)


_RANKS = {RAW_PLACE: 0, CENTROID_PLACE: 1, STEP_PLACE: 2}


def order_of_breeding(key: int) -> int:
    """Return where an id stands in the order of breeding: genomes of the same rank need none of each other."""
    generation, place = generation_and_place(key)
    return 5 * generation + _RANKS.get(place, 4 if place >= OPPOSITE else 3)


def drawn_places(places: Iterable[int]) -> bytes:
    """Return places or counts in the format of `Recipe.drawn`: little-endian integers of 32 bits."""
    return np.fromiter(places, dtype="<u4").tobytes()
