"""The ancestry of a run's members: the recipes of each generation, from the genomes drawn in the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.kinds import (
    CENTRE,
    CENTROID,
    MEAN,
    MEMBER,
    MIRROR,
    SHIFT,
    Centre,
    Centroid,
    Child,
    Founder,
    Genome,
    Locals,
    Mean,
    Mirror,
    Shift,
    generation_of,
    id_of,
    kind_of,
    packed,
    place_of,
)

Sigmas = float | tuple[float, ...] | None
"""The mutation step sizes of a generation: one for all, or one for each member."""


class Bred(NamedTuple):
    """A generation after the initial one.

    Parameters
    ----------
    drawn : numpy.ndarray
        The genomes drawn in the generation before, one for each child, uint32: the kind and place of its first parent;
        around a centre all members, best first.
    sigmas : float or tuple of float, optional
        The mutation step size of the children, or of each.
    inputs : bytes
        The inputs of layers on the generation's mini-batch, onto which its step is projected; empty without any.
    """

    drawn: NDArray[np.uint32]
    sigmas: Sigmas
    inputs: bytes = b""


class Ancestry:
    """The recipes of a run's members.

    Parameters
    ----------
    breeder : Breeder
        The settings shared by all recipes.
    """

    def __init__(self, breeder: Breeder) -> None:
        self._breeder = breeder
        self._around_centre = breeder.reproduction.shares_parents
        shapes = tuple(tuple(map(int, shape)) for shape in breeder.shapes)
        known: list[Any] = [int(breeder.seed), int(breeder.founders_seed), shapes]
        known += [float(breeder.cxpb), float(breeder.mutpb), int(breeder.reproduction.mates)]
        known += breeder.reproduction.key()
        known += [breeder.sigmas] if breeder.sigmas else []
        self._history = hashlib.blake2b(repr(tuple(known)).encode(), digest_size=16)
        self._bred: dict[int, Bred] = {}
        self.last = 0

    @property
    def history(self) -> str:
        """A digest that identifies this run up to its present generation."""
        return self._history.hexdigest()

    def begin(self, drawn: Locals, inherited: Sequence[float | None], sigma: float | None) -> list[Child]:
        """Return the recipes of the next generation's members, and release those of earlier generations.

        Parameters
        ----------
        drawn : sequence of int
            As in `Bred`.
        inherited : sequence of float or None
            The sigmas of the drawn genomes, None for one without.
        sigma : float, optional
            The sigma of all members, if they have none of their own.
        """
        self._add(drawn, inherited, sigma)
        self.forget()
        return self.members(self.last)

    def remember(self, drawn: Locals, sigma: float | None, inputs: bytes = b"") -> None:
        """Take over the next generation of a resumed run; `sigma` as for `begin`."""
        before = self._bred[self.last].sigmas if self.last else self._breeder.sigmas or None
        inherited = [before[place_of(int(one))] for one in drawn] if isinstance(before, tuple) else [None] * len(drawn)
        self._add(drawn, inherited, sigma)
        self.take_inputs(inputs)

    def forget(self) -> None:
        """Release all but the last four generations: on these the recipes of the present parents depend."""
        # The centroid of `last - 1` begins at that of `last - 2`, which is its mean unless `last - 3` had layer inputs.
        self._bred = {number: bred for number, bred in self._bred.items() if number >= self.last - 3}

    def size(self, generation: int) -> int:
        """Return the number of members of a generation after the initial one."""
        return len(self._bred[generation].drawn)

    def take_inputs(self, inputs: bytes) -> None:
        """Note the inputs of layers along which the step from this generation to the next one goes."""
        if inputs:
            self._bred[self.last] = self._bred[self.last]._replace(inputs=inputs)
            self._history.update(inputs)

    def members(self, generation: int) -> list[Child]:
        """Return the recipes of all members of a generation after the initial one."""
        bred = self._bred[generation]
        sigmas = bred.sigmas if isinstance(bred.sigmas, tuple) else (bred.sigmas,) * len(bred.drawn)
        if self._around_centre:
            shared = (self.centre_id(generation - 1),)  # one object for all: a pickle holds it once
            return [Child(generation, place, shared, sigma) for place, sigma in enumerate(sigmas)]
        first, mates, shift = id_of(generation - 1, 0), self._breeder.reproduction.mates, self._shift(generation)
        ids = [first + local for local in bred.drawn.tolist()]
        made: list[Child] = []
        for start in range(0, len(ids), mates):
            group = tuple(ids[start : start + mates])
            for turn in range(len(group)):
                turned = group[turn:] + group[:turn]
                made.append(Child(generation, start + turn, turned, sigmas[start + turn], shift))
        return made

    def member(self, generation: int, place: int) -> Founder | Child:
        """Return the recipe of one member."""
        if generation:
            return self._child(generation, place)
        return Founder(place, self._breeder.sigmas[place] if self._breeder.sigmas else None)

    def _child(self, generation: int, place: int) -> Child:
        bred = self._bred[generation]
        sigma = bred.sigmas[place] if isinstance(bred.sigmas, tuple) else bred.sigmas
        if self._around_centre:
            return Child(generation, place, (self.centre_id(generation - 1),), sigma)
        mates = self._breeder.reproduction.mates
        start, side = place - place % mates, place % mates
        group = tuple(id_of(generation - 1, 0) + int(local) for local in bred.drawn[start : start + mates])
        return Child(generation, place, group[side:] + group[:side], sigma, self._shift(generation))

    def carriers(self, generation: int) -> list[Genome]:
        """Return the mean of a generation's parents; under projected steps also the centroid, and the step to it."""
        mean = Mean.of(generation, self._bred[generation].drawn)
        if not self.carries(generation):
            return [mean]
        inputs = self.inputs(generation - 1)
        centroid = Centroid(generation, (self.centroid_id(generation - 1), mean.id), inputs)
        return [mean, centroid, Shift(generation, (mean.id, centroid.id))]

    def carries(self, generation: int) -> bool:
        """Return whether the parents of a generation's members are moved by a projected step."""
        return bool(self.inputs(generation - 1)) and not self._around_centre

    def centroid(self, generation: int) -> Genome:
        """Return the recipe of a generation's centroid."""
        return self.recipe(self.centroid_id(generation))

    def centroid_id(self, generation: int) -> int:
        """Return the id of a generation's centroid: under a projected step another genome than the mean."""
        return id_of(generation, CENTROID if self.carries(generation) else MEAN)

    def centre_id(self, generation: int) -> int:
        """Return the id of the centre around which the next generation lies; in generation 0 it is the best founder."""
        return id_of(generation, CENTRE) if generation else id_of(0, 0) + int(self._bred[1].drawn[0])

    def centre(self, generation: int) -> Genome:
        """Return the recipe of the centre around which the next generation lies."""
        if not generation:
            return self.recipe(self.centre_id(0))
        places = [place_of(int(local)) for local in self._bred[generation + 1].drawn]
        return self.recombined(generation, places, whole=True)

    def recombined(self, generation: int, places: Iterable[int], *, whole: bool) -> Centre:
        """Return the recipe of a recombination of members around a centre, best first; `whole` if they are all."""
        sigma = self._bred[generation].sigmas
        centre = (self.centre_id(generation - 1),)
        inputs = self.inputs(generation) if whole else b""
        return Centre(generation, centre, sigma if isinstance(sigma, float) else None, packed(places), inputs, whole)

    def parents(self, drawn: Iterable[Genome]) -> list[Genome]:
        """Return the genomes that the last generation is bred from, besides `carriers`, of those drawn for it."""
        return [self.centre(self.last - 1)] if self._around_centre else list(drawn)

    def recipe(self, key: int) -> Genome:
        """Return the recipe of an id, as far as its generation is remembered."""
        generation, kind, place = generation_of(key), kind_of(key), place_of(key)
        if kind == MEMBER:
            return self.member(generation, place)
        if kind == MIRROR:
            return Mirror(self._child(generation, place), self.centroid_id(generation))
        if kind == CENTRE:
            return self.centre(generation)
        return self.carriers(generation)[(MEAN, CENTROID, SHIFT).index(kind)]

    def inputs(self, generation: int) -> bytes:
        """Return the layer inputs of a generation, with its changes; empty without any."""
        return self._bred[generation].inputs if generation in self._bred else b""

    def _shift(self, generation: int) -> int | None:
        return id_of(generation, SHIFT) if self.carries(generation) else None

    def _add(self, drawn: Locals, inherited: Sequence[float | None], sigma: float | None) -> None:
        self.last += 1
        self_adaptive = self._breeder.self_adaptive
        own: Sigmas = sigma
        if self_adaptive is not None:
            before = [self_adaptive.first if one is None else one for one in inherited]
            own = tuple(self_adaptive.inherited(before, self._breeder.seed, self.last))
        if self.last == 1:
            self._history.update(self._breeder.reproduction.weights_of_ranks(len(drawn)))
        self._bred[self.last] = Bred(np.asarray(drawn, np.uint32), own)
        self._history.update(packed(drawn) + repr(own).encode())


MOST_DRAWN = 1 << 12
"""Recipes with more bytes of drawn places and layer inputs are sent only to the processes that lack them."""


@dataclass
class Known:
    """The known ancestors of a generation; each task gets a part of them.

    Attributes
    ----------
    recipes : dict
        The recipes of the ancestors, by id.
    slots : dict
        The slots in this host's cache, by the id of the genome.
    parents : set
        The ids of the genomes that the present generation is bred from, and of the means and the step for these.
    generation : int
        The present generation.
    keyframe : Path, optional
        A file of weights that need not be recomputed.
    keyframe_history : str
        The run's history up to that keyframe.
    """

    recipes: dict[int, Genome] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)
    parents: set[int] = field(default_factory=set)
    generation: int = 0
    keyframe: Path | None = None
    keyframe_history: str = ""

    def near(self, keys: Iterable[int]) -> dict[int, Genome]:
        """Return the recipes of some ids, and the centroids of opposites among them; without large recipes."""
        found = {key: self.recipes[key] for key in keys if key in self.recipes}
        centroids = {recipe.centroid for recipe in found.values() if isinstance(recipe, Mirror)}  # for other hosts
        found |= {key: self.recipes[key] for key in centroids if key in self.recipes}
        small = (Founder, Child, Mirror)
        return {
            key: recipe
            for key, recipe in found.items()
            if isinstance(recipe, small) or sum(len(part) for part in recipe if isinstance(part, bytes)) <= MOST_DRAWN
        }

    def ancestry(self, keys: Iterable[int], since: int = 0) -> dict[int, Genome]:
        """Return the recipes of some ids and of all their ancestors from a generation on."""
        found: dict[int, Genome] = {}
        waiting = list(keys)
        while waiting:
            key = waiting.pop()
            if key not in found and key in self.recipes and self.recipes[key].generation >= since:
                found[key] = self.recipes[key]
                waiting.extend(found[key].parents)
        return found
