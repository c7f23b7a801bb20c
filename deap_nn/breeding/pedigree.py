"""Who descends from whom: the recipes of all generations, from the places that were drawn in each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.recipe import PLACE_BYTES, POOL_PLACE, Recipe, drawn_places
from deap_nn.operators.ranking import weights_of

Places = Sequence[int] | NDArray[np.uint32]
Strengths = float | tuple[float, ...] | None
"""What a generation is mutated by: all alike, or each by its own."""


class Pedigree:
    """The recipes of a run's members.

    Parameters
    ----------
    breeder : Breeder
        What recipes have in common.

    Attributes
    ----------
    drawn : bytes
        The places drawn for the last generation, as a recipe holds them.
    """

    def __init__(self, breeder: Breeder) -> None:
        self._breeder = breeder
        shapes = tuple(tuple(map(int, shape)) for shape in breeder.shapes)
        known: list[Any] = [int(breeder.seed), int(breeder.founders_seed), shapes]
        known += [float(breeder.cxpb), float(breeder.mutpb), int(breeder.mates)]
        known += [] if breeder.step is None else [float(breeder.step)]
        known += [int(breeder.elites)] if breeder.elites else []
        self._history = hashlib.blake2b(repr(tuple(known)).encode(), digest_size=16)
        self._past: list[tuple[Places, Strengths]] = []
        self._founder = 0
        self._centre_alone = (0,)
        self.drawn = b""

    @property
    def history(self) -> str:
        """What tells this run, up to its present generation, from others."""
        return self._history.hexdigest()

    @property
    def generations(self) -> int:
        """How many generations after the initial one are remembered."""
        return len(self._past)

    @property
    def members(self) -> int:
        """How many members the last generation has, 0 for the initial one."""
        return len(self.drawn) // PLACE_BYTES

    def generation(
        self, generation: int, places: Places, inherited: Sequence[float | None], sigma: float | None
    ) -> list[Recipe]:
        """Return the recipes of a new generation.

        Parameters
        ----------
        generation : int
            Its number, at least 1.
        places : sequence of int
            The places of its parents, each whose place a child takes, in the generation before; at the end those of
            its elites.
        inherited : sequence of float or None
            Their own strengths of mutation, None where they have none.
        sigma : float, optional
            That of all, where they have not.
        """
        strengths = self._note(generation, places, inherited, sigma)
        breeder = self._breeder
        if breeder.step is not None:
            return [self._recipe(generation, place, places, strengths) for place in range(len(places))]
        ids = [generation - 1 << 32 | int(place) for place in places]
        own = strengths if isinstance(strengths, tuple) else (strengths,) * len(ids)
        bred, made = len(ids) - breeder.elites, list[Recipe]()
        for start in range(0, bred, breeder.mates):
            group = tuple(ids[start : min(start + breeder.mates, bred)])
            for turn in range(len(group)):
                made.append(Recipe(generation, start + turn, group[turn:] + group[:turn], own[start + turn]))
        made += [Recipe(generation, place, (ids[place],), own[place], copied=True) for place in range(bred, len(ids))]
        return made

    def remember(self, generation: int, places: Places, sigma: float | None) -> None:
        """Take over a generation of a run that goes on, in their order from the first; `sigma` as for `generation`."""
        before = self._past[-1][1] if self._past else None
        inherited = [before[int(place)] for place in places] if isinstance(before, tuple) else [None] * len(places)
        self._past.append((places, self._note(generation, places, inherited, sigma)))

    def forget(self) -> None:
        """Let go of what `remember` took over."""
        self._past = []

    def recipe(self, generation: int, place: int) -> Recipe:
        """Return the recipe of a member, or at `POOL_PLACE` of the centre, of a generation that is remembered."""
        if not generation:
            return Recipe(0, place)
        places, strengths = self._past[generation - 1]
        if place != POOL_PLACE:
            return self._recipe(generation, place, places, strengths)
        return self.centre(self._recipe(generation, 0, places, strengths), list(map(int, self._past[generation][0])))

    def centre(self, child: Recipe, places: Sequence[int]) -> Recipe:
        """Return the recipe of what the next generation comes from, given one of those drawn and all their places.

        The founders have nothing in common, and their mean is no network: the one drawn most often is the first.
        """
        if not child.generation:
            return Recipe(0, _most_often(places))
        return Recipe(child.generation, POOL_PLACE, child.parents, child.sigma, drawn_places(places))

    def _note(
        self, generation: int, places: Places, inherited: Sequence[float | None], sigma: float | None
    ) -> Strengths:
        """Add a generation to what tells this run from others, and return what its children are mutated by."""
        strength, strengths = self._breeder.strength, cast(Strengths, sigma)
        if strength is not None:
            amounts = [strength.first if amount is None else amount for amount in inherited]
            bred = len(amounts) - self._breeder.elites
            varied = strength.inherited(amounts[:bred], self._breeder.seed, generation)
            strengths = (*varied, *amounts[bred:])
        self.drawn = drawn_places(places)
        if generation == 1 and self._breeder.step is not None:
            self._founder = _most_often(list(map(int, places)))
        if generation == 1 and self._breeder.weigh is not None:
            self._history.update(weights_of(self._breeder.weigh, len(places)).tobytes())
        self._history.update(self.drawn + repr(strengths).encode())
        return strengths

    def _recipe(self, generation: int, place: int, places: Places, strengths: Strengths) -> Recipe:
        breeder = self._breeder
        sigma = strengths[place] if isinstance(strengths, tuple) else strengths
        if breeder.step is not None:
            return Recipe(generation, place, self._of_centre(generation), sigma)
        bred = len(places) - breeder.elites
        if place >= bred:
            return Recipe(generation, place, (generation - 1 << 32 | int(places[place]),), sigma, copied=True)
        start = place - place % breeder.mates
        group = [generation - 1 << 32 | int(i) for i in places[start : min(start + breeder.mates, bred)]]
        return Recipe(generation, place, (*group[place - start :], *group[: place - start]), sigma)

    def _of_centre(self, generation: int) -> tuple[int]:
        """Return the parents of all members of a generation, one object for all: a pickle holds it once."""
        centre = generation - 1 << 32 | POOL_PLACE if generation > 1 else self._founder
        if self._centre_alone != (centre,):
            self._centre_alone = (centre,)
        return self._centre_alone


def _most_often(places: Sequence[int]) -> int:
    """Return the place that was drawn most often, of several the first."""
    return Counter(places).most_common(1)[0][0]
