"""The ancestry of a run's members: the recipes of all generations, from the places drawn in each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.recipe import (
    CENTRE_PLACE,
    CENTROID_PLACE,
    OPPOSITE,
    PLACE_BYTES,
    RAW_PLACE,
    STEP_PLACE,
    Recipe,
    carried,
    centroids_of,
    drawn_places,
)
from deap_nn.breeding.reproduction.base import Places

Sigmas = float | tuple[float, ...] | None
"""The mutation step sizes of a generation: one for all, or one for each member."""


class Ancestry:
    """The recipes of a run's members.

    Parameters
    ----------
    breeder : Breeder
        The settings shared by all recipes.

    Attributes
    ----------
    drawn : bytes
        The places drawn for the last generation, in the format of `Recipe.drawn`.
    inputs : bytes
        The layer inputs of the last generation, see `take_inputs`; empty without any.
    """

    def __init__(self, breeder: Breeder) -> None:
        self._breeder = breeder
        shapes = tuple(tuple(map(int, shape)) for shape in breeder.shapes)
        known: list[Any] = [int(breeder.seed), int(breeder.founders_seed), shapes]
        known += [float(breeder.cxpb), float(breeder.mutpb), int(breeder.reproduction.mates)]
        known += breeder.reproduction.key()
        known += [breeder.sigmas] if breeder.sigmas else []
        self._history = hashlib.blake2b(repr(tuple(known)).encode(), digest_size=16)
        self._past: list[tuple[Places, Sigmas, bytes]] = []
        self.drawn = self.inputs = self._inputs_before = b""
        self._centroids: tuple[Recipe, ...] = ()

    @property
    def history(self) -> str:
        """A digest that identifies this run up to its present generation."""
        return self._history.hexdigest()

    @property
    def generations(self) -> int:
        """The number of remembered generations after the initial one."""
        return len(self._past)

    @property
    def members(self) -> int:
        """The number of members of the last generation, 0 for the initial one."""
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
            One place in the generation before for each member: that of its first parent, or around a centre that of a
            member recombined into the centre.
        inherited : sequence of float or None
            The sigmas of the members at these places, None for a member without one.
        sigma : float, optional
            The sigma of all members, if they have none of their own.
        """
        sigmas = self._note(generation, places, inherited, sigma)
        return self._recipes(generation, places, sigmas, self._inputs_before)

    def _recipes(self, generation: int, places: Places, sigmas: Sigmas, inputs: bytes) -> list[Recipe]:
        own = sigmas if isinstance(sigmas, tuple) else (sigmas,) * len(places)
        made = self._breeder.reproduction.recipes(generation, places, own)
        return list(map(carried, made)) if self.carries(inputs) else made

    def carries(self, inputs: bytes) -> bool:
        """Return whether children are carried if the generation before them has these layer inputs."""
        return bool(inputs) and not self._breeder.reproduction.shares_parents

    def centroids(self, generation: int) -> tuple[Recipe, ...]:
        """Return the recipes of the last generation's centroid by `centroids_of`; `generation` is its number."""
        if not self._centroids:
            self._centroids = centroids_of(generation, np.frombuffer(self.drawn, "<u4"), self._inputs_before)
        return self._centroids

    def take_inputs(self, inputs: bytes) -> None:
        """Note the inputs of layers onto which the step from this generation to the next centre is projected."""
        self.inputs = inputs
        self._history.update(inputs)

    def centre(self, member: Recipe, places: Sequence[int]) -> Recipe | None:
        """Return the recipe of the one parent of all children of the next generation, as `Reproduction.centre` does."""
        found = self._breeder.reproduction.centre(member, places)
        return None if found is None else self.with_inputs(found)

    def with_inputs(self, recipe: Recipe) -> Recipe:
        """Return the recipe of a next centre with the layer inputs of its generation; any other as it is."""
        if recipe.place != CENTRE_PLACE:
            return recipe
        remembered = recipe.generation <= len(self._past)
        return recipe._replace(inputs=self._past[recipe.generation - 1][2] if remembered else self.inputs)

    def remember(self, generation: int, places: Places, sigma: float | None, inputs: bytes = b"") -> None:
        """Take over a generation of a resumed run, in order from generation 1 on; `sigma` as for `generation`."""
        before = self._past[-1][1] if self._past else self._breeder.sigmas or None
        members = [int(place) & ~OPPOSITE for place in places]  # an opposite has the sigma of its member
        inherited = [before[place] for place in members] if isinstance(before, tuple) else [None] * len(places)
        self._past.append((places, self._note(generation, places, inherited, sigma), inputs))
        self.take_inputs(inputs)

    def forget(self) -> None:
        """Release the generations that `remember` took over."""
        self._past = []

    def recipe(self, generation: int, place: int) -> Recipe:
        """Return the recipe of a member of a remembered generation, an opposite, its centroid, step or centre."""
        if not generation:
            return Recipe(0, place, sigma=self._breeder.sigmas[place] if self._breeder.sigmas else None)
        places, sigmas, _ = self._past[generation - 1]
        inputs = self._past[generation - 2][2] if generation > 1 else b""
        if place in (STEP_PLACE, RAW_PLACE, CENTROID_PLACE):
            return next(one for one in centroids_of(generation, places, inputs) if one.place == place)
        if OPPOSITE <= place < CENTRE_PLACE:
            return self.recipe(generation, place ^ OPPOSITE).opposite
        if place != CENTRE_PLACE:
            member = self._recipe(generation, place, places, sigmas)
            return carried(member) if self.carries(inputs) else member
        centre = self.centre(self._recipe(generation, 0, places, sigmas), list(map(int, self._past[generation][0])))
        if centre is None:
            raise LookupError(f"generation {generation} has no centre")
        return centre

    def last(self) -> list[Recipe]:
        """Return the recipes of the last remembered generation's members."""
        return self._recipes(self.generations, *self._past[-1][:2], self._inputs_before) if self._past else []

    def _note(self, generation: int, places: Places, inherited: Sequence[float | None], sigma: float | None) -> Sigmas:
        """Add a generation to the run's history, and return the sigmas of its members."""
        self_adaptive, sigmas = self._breeder.self_adaptive, cast(Sigmas, sigma)
        if self_adaptive is not None:
            before = [self_adaptive.first if own is None else own for own in inherited]
            sigmas = tuple(self_adaptive.inherited(before, self._breeder.seed, generation))
        self.drawn = drawn_places(places)
        self._inputs_before, self.inputs, self._centroids = self.inputs, b"", ()
        if generation == 1:
            self._history.update(self._breeder.reproduction.weights_of_ranks(len(places)))
        self._history.update(self.drawn + repr(sigmas).encode())
        return sigmas

    def _recipe(self, generation: int, place: int, places: Places, sigmas: Sigmas) -> Recipe:
        sigma = sigmas[place] if isinstance(sigmas, tuple) else sigmas
        return Recipe(generation, place, self._breeder.reproduction.parents_of(generation, place, places), sigma)
