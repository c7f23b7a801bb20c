"""The past of a run: keyframes, and the genomes that a resumed run has to recompute."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deap_nn.breeding.recipe import CENTROID_PLACE, RAW_PLACE, STEP_PLACE, Recipe, generation_and_place, member_id
from deap_nn.breeding.reproduction.base import Places
from deap_nn.breeding.store.keyframes import Keyframe, write_keyframe
from deap_nn.core.environment import processors
from deap_nn.core.seeding import busy
from deap_nn.genome.layer_inputs import unpacked_inputs
from deap_nn.genome.members import LightMember
from deap_nn.genome.vectors import Vector, empty_vector

COLD = 2.0
"""Breeding different genomes in turn takes longer than one repeatedly, by less than this (2.05 ms for 1.23 ms)."""


class Past:
    """The generations before the present one: their keyframes, and their recomputation in a resumed run.

    Parameters
    ----------
    lineage : Lineage
        The run's lineage.
    """

    def __init__(self, lineage: Any) -> None:
        self._lineage = lineage
        self._ancestry, self._known, self._genomes = lineage.ancestry, lineage.known, lineage.genomes

    def remember(self, past: Sequence[tuple[Places, float | None, bytes]], keyframe: Path | None = None) -> None:
        """Take over a run's past from a checkpoint, before any genome is bred.

        Parameters
        ----------
        past : sequence of (places, sigma, inputs)
            For each generation from 1 on the `places` of `Ancestry.generation`, the mutation step size, and the layer
            inputs.
        keyframe : Path, optional
            A file of weights that need not be recomputed.

        Raises
        ------
        ValueError
            If layer inputs do not fit the network.
        """
        found = Keyframe(keyframe) if keyframe is not None else None
        for generation, (places, sigma, inputs) in enumerate(past, start=1):
            try:
                unpacked_inputs(inputs, self._lineage.breeder.shapes)
            except ValueError as error:
                raise ValueError(f"generation {generation} of the checkpoint: {error}") from error
            self._ancestry.remember(generation, places, sigma, inputs)
            if found is None or found.generation != generation:
                continue
            if found.history == self._ancestry.history:
                self._known.keyframe, self._known.keyframe_history = keyframe, found.history
                self._genomes.use_keyframe(keyframe, found.history)
            else:
                warnings.warn(f"the keyframe is not used: {keyframe} is of another run", stacklevel=2)

    def forget(self) -> None:
        """Release the data that `remember` took over; then no member of an earlier generation can be recalled."""
        self._ancestry.forget()
        self._known.recipes = self._known.ancestry(self._known.parents)

    def line(self, wanted: Iterable[Any] = ()) -> list[list[Recipe]]:
        """Return the parents of each generation that must be bred for the last one, and for some earlier members.

        The first ones come from the seeds or from the keyframe.
        """
        line: list[list[Recipe]] = []
        others: dict[int, set[int]] = {}
        for recipe in [member.recipe for member in wanted if isinstance(member, LightMember)]:
            if not self._lineage.reproduction.shares_parents and not self._genomes.in_keyframe(recipe.id):
                others.setdefault(recipe.generation, set()).update(recipe.averaged or [recipe.place])
        recipe_of = self._ancestry.recipe
        members = self._ancestry.members
        places = set(range(min(1, members) if self._lineage.reproduction.shares_parents else members))
        for generation in range(self._ancestry.generations, 0, -1):
            places |= others.get(generation, set())
            parents = {key for place in places for key in recipe_of(generation, place).parents}
            own = {key for key in parents if generation_and_place(key)[0] == generation}  # centroids, and the step
            parents -= own
            projected = not own.isdisjoint(member_id(generation, place) for place in (STEP_PLACE, RAW_PLACE))
            carriers = [recipe_of(generation, i) for i in (STEP_PLACE, CENTROID_PLACE, RAW_PLACE)] if projected else []
            parents |= {key for recipe in carriers for key in recipe.parents} - {recipe.id for recipe in carriers}
            before = [recipe_of(*generation_and_place(key)) for key in parents]
            parents |= {recipe.parents[-1] for recipe in before if recipe.is_opposite}
            line.append([*carriers, *(recipe_of(*generation_and_place(key)) for key in sorted(parents))])
            needed = [recipe.id for recipe in line[-1] if not recipe.is_step]  # which older keyframes lack
            if self._known.keyframe is not None and all(map(self._genomes.in_keyframe, needed)):
                break
            places = {generation_and_place(key)[1] for key in parents}
        return line[::-1]

    def last_members(self) -> list[Any]:
        """Return the members of the last generation of a resumed run."""
        members: list[Any] = self._lineage.present(self._ancestry.last())
        return members

    def replay(self, line: Sequence[Sequence[Recipe]], wanted: Iterable[Any] = ()) -> None:
        """Recompute the parents that a resumed run needs, on all processors, and some members.

        Parameters
        ----------
        line : sequence
            The parents of each generation, as `line` returns them.
        wanted : iterable
            Members that become full individuals.
        """
        waiting: dict[int, list[Any]] = {}
        for member in wanted:
            if isinstance(member, LightMember):
                waiting.setdefault(member.recipe.generation, []).append(member)
        for parents in line:
            self._lineage.settle({recipe.id: recipe for recipe in parents})
            self._lineage.bred_since += len(parents)
            with busy:
                genomes = self._lineage.informed()
                genomes.keep((recipe.id for recipe in parents), threads=processors())
            for member in waiting.pop(self._lineage.generation, ()):
                member.flat  # noqa: B018  (it is bred while its parents are in the cache)
        for members in waiting.values():
            for member in members:
                member.flat  # noqa: B018  (it is bred from the keyframe or the seeds)

    def recall(self, generation: int, place: int | Sequence[int]) -> Any:
        """Return a member of an earlier generation of a resumed run, or the mean of several."""
        if isinstance(place, int):
            if place >= STEP_PLACE:
                raise ValueError(f"place must be that of a member, got {place}")
            recipe = self._ancestry.recipe(generation, place)
        else:
            members = [self._ancestry.recipe(generation, i) for i in place]
            recipe = self._ancestry.with_inputs(self._lineage.reproduction.mean(members, self._ancestry.members))
        waiting = [] if self._genomes.in_keyframe(recipe.id) else list(recipe.parents)
        while waiting:
            key = waiting.pop()
            if key not in self._known.recipes and not self._genomes.in_keyframe(key):
                self._known.recipes[key] = self._ancestry.recipe(*generation_and_place(key))
                waiting.extend(self._known.recipes[key].parents)
        return self._lineage.members([recipe])[0]

    @property
    def dispensable(self) -> int:
        """The number of recipes that this process could release after a keyframe."""
        return len(self._known.recipes) - len(self._known.parents)

    @property
    def dispensable_bytes(self) -> int:
        """The bytes of layer inputs in the recipes of the centres since the keyframe, but for the last one."""
        generations: int = self._lineage.bred_since // max(1, len(self._known.parents))
        return max(0, generations - 1) * len(self._ancestry.inputs)

    def seconds_to_breed(self, genomes: int | None = None) -> float:
        """Return the seconds to breed some number of genomes here, by default those since the last keyframe."""
        lineage = self._lineage
        if not lineage.seconds_for_one:
            # Zeros, since founders with given weights cannot be bred.
            founders = [np.zeros(lineage.genomes.size, np.float32) for _ in range(2)]
            recipe = self._ancestry.with_inputs(lineage.reproduction.example(self._ancestry.drawn))
            child = empty_vector(lineage.genomes.size)
            parents = [founders[key % 2] for key in recipe.parents]
            took = []
            for _ in range(3):  # the first one also compiles and reads tables
                begun = time.perf_counter()
                lineage.breeder.breed(recipe, parents, child)
                took.append(time.perf_counter() - begun)
            lineage.seconds_for_one = COLD * min(took)
        seconds: float = lineage.seconds_for_one * (lineage.bred_since if genomes is None else genomes)
        return seconds

    def keyframe_bytes(self, others: Iterable[Any] = ()) -> int:
        """Return the bytes of the weights in a keyframe of the present generation with some other members."""
        size: int = self._genomes.size
        return 4 * size * (len(self._known.parents) + len(list(others)))

    def keep_keyframe(self, path: Path, others: Iterable[Any] = ()) -> None:
        """Write the weights of the present generation's parents, and release the recipes of their ancestors.

        Parameters
        ----------
        path : Path
            The file, under a new name.
        others : iterable
            Other members to write as well.
        """
        more = {member.recipe.id: self._as_bred(member) for member in others}
        keys = sorted(self._known.parents | more.keys())
        with busy:
            genomes = self._lineage.informed()
            history = self._ancestry.history
            write_keyframe(
                path,
                self._lineage.generation,
                history,
                keys,
                lambda key: genomes.get(key) if key in self._known.parents else more[key],
            )
            self._known.keyframe, self._known.keyframe_history = path, history
            genomes.use_keyframe(path, history)
        self._known.recipes = {key: self._known.recipes[key] for key in self._known.parents}
        self._lineage.bred_since = 0

    def _as_bred(self, member: Any) -> Vector:
        """Return a member's weights.

        For a member of the present generation that was changed these are the weights of its recipe, since children by
        recipes descend from those.
        """
        written = member.recipe.generation == self._lineage.generation and self._lineage.recipe_of(member) is None
        weights: Vector = self._lineage.weights(member.recipe) if written else member.flat
        return weights
