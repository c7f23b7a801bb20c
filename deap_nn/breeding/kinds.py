"""The kinds of genomes: each is a recipe, by which its weights are bred from those of its parents.

A genome has one id, a number of 64 bits: its generation, its kind and its place. The kinds of a generation are numbered
in the order in which they can be bred, so ids in ascending order are an order of breeding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deap_nn.breeding.breeder import Breeder
from deap_nn.genome.vectors import Vector, mirror

MEAN, CENTROID, SHIFT, MEMBER, MIRROR, CENTRE = range(6)
"""The numbers of the kinds in an id, in the order in which the genomes of a generation can be bred."""

_KIND_BITS, PLACE_BITS = 4, 28
LOCAL = (1 << _KIND_BITS + PLACE_BITS) - 1
"""The bits of an id that tell genomes of one generation apart: the kind and the place."""

_MIRRORED = MIRROR - MEMBER << PLACE_BITS
"""The difference between the ids of an opposite and its member."""

Locals = Sequence[int] | NDArray[np.uint32]
"""The kinds and places of genomes of one generation, as in their ids."""


def id_of(generation: int, kind: int, place: int = 0) -> int:
    """Return the id of a genome."""
    return (generation << _KIND_BITS | kind) << PLACE_BITS | place


def generation_of(key: int) -> int:
    """Return the generation of an id."""
    return key >> _KIND_BITS + PLACE_BITS


def kind_of(key: int) -> int:
    """Return the kind of an id."""
    return key >> PLACE_BITS & (1 << _KIND_BITS) - 1


def place_of(key: int) -> int:
    """Return the place of an id."""
    return key & (1 << PLACE_BITS) - 1


def rank_of_breeding(key: int) -> int:
    """Return the generation and kind of an id as one number: genomes with the same one need none of each other."""
    return key >> PLACE_BITS


def packed(numbers: Iterable[int]) -> bytes:
    """Return numbers as little-endian integers of 32 bits."""
    return np.fromiter(numbers, dtype="<u4").tobytes()


def unpacked(content: bytes) -> list[int]:
    """Return the numbers of `packed`."""
    numbers: list[int] = np.frombuffer(content, dtype="<u4").tolist()
    return numbers


class Founder(NamedTuple):
    """A member of generation 0, drawn from the seed of its place."""

    place: int
    sigma: float | None = None

    @property
    def generation(self) -> int:
        """The generation: 0."""
        return 0

    @property
    def parents(self) -> tuple[int, ...]:
        """Nothing: it is drawn."""
        return ()

    @property
    def id(self) -> int:
        """The genome's id."""
        return id_of(0, MEMBER, self.place)

    def breed(self, breeder: Breeder, parents: Sequence[Vector], out: Vector) -> None:
        """Write the weights into `out`."""
        np.copyto(out, breeder.founder(self.place).flat)


class Child(NamedTuple):
    """A member of a later generation.

    Parameters
    ----------
    generation, place : int
        The key of its random streams: child `place` is side ``place % mates`` of group ``place // mates``.
    group : tuple of int
        The ids of the parents of its group, in cyclic order from the parent on its own side; around a centre, its id.
        The last group may be smaller.
    sigma : float, optional
        The mutation step size, if the toolbox's mutation has a ``sigma``.
    shift : int, optional
        The id of the step by which the parents are moved.
    """

    generation: int
    place: int
    group: tuple[int, ...]
    sigma: float | None = None
    shift: int | None = None

    @property
    def id(self) -> int:
        """The genome's id."""
        return (self.generation << 4 | MEMBER) << 28 | self.place  # `id_of`, without a call: all members pass here

    @property
    def parents(self) -> tuple[int, ...]:
        """The ids of the genomes that it is bred from."""
        return self.group if self.shift is None else (*self.group, self.shift)

    def breed(self, breeder: Breeder, parents: Sequence[Vector], out: Vector) -> None:
        """Write the weights into `out`."""
        breeder.reproduction.breed(breeder, (self,), parents, (out,))


class Mirror(NamedTuple):
    """The opposite of a member: the member mirrored at the centroid of its generation. It is a parent only."""

    member: Child
    centroid: int

    @property
    def generation(self) -> int:
        """The generation of the member."""
        return self.member.generation

    @property
    def place(self) -> int:
        """The place of the member."""
        return self.member.place

    @property
    def sigma(self) -> float | None:
        """The mutation step size of the member."""
        return self.member.sigma

    @property
    def id(self) -> int:
        """The genome's id."""
        return self.member.id + _MIRRORED

    @property
    def parents(self) -> tuple[int, ...]:
        """The ids of the genomes that it is bred from: those of its member, and the centroid."""
        return (*self.member.parents, self.centroid)

    def breed(self, breeder: Breeder, parents: Sequence[Vector], out: Vector) -> None:
        """Write the weights into `out`."""
        *others, centroid = parents
        self.member.breed(breeder, others, out)
        mirror(out, centroid)


class Mean(NamedTuple):
    """The mean of the parents of a generation, each as often as it was drawn.

    Parameters
    ----------
    generation : int
        The generation of their children.
    parents : tuple of int
        The ids of the parents, ascending.
    counts : bytes
        How often each was drawn, `packed`.
    """

    generation: int
    parents: tuple[int, ...]
    counts: bytes

    @classmethod
    def of(cls, generation: int, drawn: Locals) -> Mean:
        """Return the mean of the genomes that were drawn in the generation before."""
        each, counts = np.unique(np.asarray(drawn, np.uint32), return_counts=True)
        first = id_of(generation - 1, 0)
        return cls(generation, tuple(first + local for local in each.tolist()), packed(counts))

    @property
    def id(self) -> int:
        """The genome's id."""
        return id_of(self.generation, MEAN)

    def breed(self, breeder: Breeder, parents: Sequence[Vector], out: Vector) -> None:
        """Write the weights into `out`."""
        from deap_nn.operators.compiled.centre import average

        average(parents, unpacked(self.counts), out)


class Centroid(NamedTuple):
    """The centroid of a generation by a projected step: it lies from the centroid before in the direction of the mean.

    Parameters
    ----------
    generation : int
        The generation.
    parents : tuple of int
        The ids of the centroid of the generation before, and of the mean of the parents.
    inputs : bytes
        The inputs of layers along which the step goes, by `packed_inputs` or `with_changes`.
    """

    generation: int
    parents: tuple[int, int]
    inputs: bytes

    @property
    def id(self) -> int:
        """The genome's id."""
        return id_of(self.generation, CENTROID)

    def breed(self, breeder: Breeder, parents: Sequence[Vector], out: Vector) -> None:
        """Write the weights into `out`."""
        from deap_nn.operators.compiled.projection import project

        before, mean = parents
        np.copyto(out, mean)
        project(out, before, breeder.shapes, self.inputs)


class Shift(NamedTuple):
    """The step from the mean of a generation's parents to its projected centroid: their children carry it.

    Parameters
    ----------
    generation : int
        The generation.
    parents : tuple of int
        The ids of the mean and of the centroid.
    """

    generation: int
    parents: tuple[int, int]

    @property
    def id(self) -> int:
        """The genome's id."""
        return id_of(self.generation, SHIFT)

    def breed(self, breeder: Breeder, parents: Sequence[Vector], out: Vector) -> None:
        """Write the step into `out`."""
        mean, centroid = parents
        np.subtract(centroid, mean, out=out)


class Centre(NamedTuple):
    """The next centre of an evolution strategy, or another recombination of children of one centre.

    Parameters
    ----------
    generation : int
        The generation of the children.
    parents : tuple of int
        The id of the centre that they are bred from.
    sigma : float, optional
        Their mutation step size.
    drawn : bytes
        Their places, `packed`, best first.
    inputs : bytes
        The inputs of layers along which the step goes, by `packed_inputs` or `with_changes`; empty without any.
    whole : bool
        Whether the children are all of their generation, and so have recombination weights: it is the next centre.
    """

    generation: int
    parents: tuple[int]
    sigma: float | None
    drawn: bytes
    inputs: bytes = b""
    whole: bool = True

    @property
    def id(self) -> int:
        """The genome's id; that of another recombination than the next centre is negative."""
        return id_of(self.generation, CENTRE) if self.whole else hashed(self.generation, self.parents, self.drawn)

    def breed(self, breeder: Breeder, parents: Sequence[Vector], out: Vector) -> None:
        """Write the weights into `out`."""
        breeder.reproduction.recombine(breeder, self, parents[0], out)
        if self.inputs:
            from deap_nn.operators.compiled.projection import project

            project(out, parents[0], breeder.shapes, self.inputs)


class Average(NamedTuple):
    """The mean of some members of a generation, which are bred one by one: a candidate, and no parent.

    Parameters
    ----------
    generation : int
        The generation.
    parents : tuple of int
        The ids of the members.
    """

    generation: int
    parents: tuple[int, ...]

    @property
    def id(self) -> int:
        """The genome's id, which is negative."""
        return hashed(self.generation, self.parents, b"")

    def breed(self, breeder: Breeder, parents: Iterable[Vector], out: Vector) -> None:
        """Write the weights into `out`."""
        total = np.zeros(out.size)
        for parent in parents:
            total += parent
        np.divide(total, len(self.parents), out=out, casting="same_kind")


Genome = Founder | Child | Mirror | Mean | Centroid | Shift | Centre | Average
KINDS = (Founder, Child, Mirror, Mean, Centroid, Shift, Centre, Average)


def hashed(generation: int, parents: tuple[int, ...], drawn: bytes) -> int:
    """Return the id of a mean of members, of which a generation may have several: a negative hash of its contents."""
    text = repr((generation, parents, drawn)).encode()
    return -1 - int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "little")


def places_in(recipe: Genome) -> int | list[int]:
    """Return the place of a member, or the places of the members of which a genome is the mean."""
    if isinstance(recipe, Average):
        return [place_of(key) for key in recipe.parents]
    return unpacked(recipe.drawn) if isinstance(recipe, Centre) else place_of(recipe.id)
