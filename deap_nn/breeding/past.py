"""The past of a run: keyframes, and the genomes that a resumed run has to recompute."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deap_nn.breeding.kinds import MEMBER, PLACE_BITS, Genome, Locals, generation_of, kind_of
from deap_nn.breeding.store.keyframes import Keyframe, write_keyframe
from deap_nn.core.environment import processors
from deap_nn.core.seeding import busy
from deap_nn.genome.population import LightMember
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

    def remember(self, past: Sequence[tuple[Locals, float | None, bytes]], keyframe: Path | None = None) -> None:
        """Take over a run's past from a checkpoint, before any genome is bred.

        Parameters
        ----------
        past : sequence of (drawn, sigma, inputs)
            For each generation from 1 on the genomes `drawn` for it, as in `Bred`, the mutation step size, and the
            layer inputs.
        keyframe : Path, optional
            A file of weights that need not be recomputed.
        """
        found = Keyframe(keyframe) if keyframe is not None else None
        for generation, (drawn, sigma, inputs) in enumerate(past, start=1):
            self._ancestry.remember(drawn, sigma, inputs)
            if found is not None and (found.generation, found.history) == (generation, self._ancestry.history):
                self._known.keyframe, self._known.keyframe_history = keyframe, found.history
                self._genomes.use_keyframe(keyframe, found.history)

    def forget(self) -> None:
        """Release the data that `remember` took over; then no member of an earlier generation can be recalled."""
        self._ancestry.forget()
        self._known.recipes = self._known.ancestry(self._known.parents)

    def line(self, wanted: Iterable[Any] = ()) -> list[list[Genome]]:
        """Return the genomes from which each generation must be bred, for the last one and for some earlier members.

        The first ones come from the seeds or from the keyframe.
        """
        ancestry, found = self._ancestry, dict[int, Genome]()
        last = ancestry.members(ancestry.last)
        needed = last[:1] if self._lineage.reproduction.shares_parents else last
        waiting = [key for recipe in needed for key in recipe.parents]
        for recipe in [member.recipe for member in wanted if isinstance(member, LightMember)]:
            if not self._lineage.reproduction.shares_parents and not self._genomes.in_keyframe(recipe.id):
                waiting.extend(recipe.parents)
        while waiting:
            key = waiting.pop()
            if key not in found:
                found[key] = ancestry.recipe(key)
                if not self._genomes.in_keyframe(key):
                    waiting.extend(found[key].parents)
        line: dict[int, list[Genome]] = {}
        for key in sorted(found):  # a generation is bred from members of the one before, and from means of its own
            line.setdefault(generation_of(key) + (kind_of(key) >= MEMBER), []).append(found[key])
        return [line[generation] for generation in sorted(line)]

    def last_members(self) -> list[Any]:
        """Return the members of the last generation of a resumed run."""
        members: list[Any] = self._lineage.present(self._ancestry.members(self._ancestry.last))
        return members

    def replay(self, line: Sequence[Sequence[Genome]], wanted: Iterable[Any] = ()) -> None:
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
            if place >= 1 << PLACE_BITS:
                raise ValueError(f"place must be that of a member, got {place}")
            recipe: Genome = self._ancestry.member(generation, place)
        else:
            recipe = self._lineage.mean_of([self._ancestry.member(generation, one) for one in place])
        waiting = [] if self._genomes.in_keyframe(recipe.id) else list(recipe.parents)
        while waiting:
            key = waiting.pop()
            if key not in self._known.recipes and not self._genomes.in_keyframe(key):
                self._known.recipes[key] = self._ancestry.recipe(key)
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
            recipe = self._ancestry.example()
            child = empty_vector(lineage.genomes.size)
            parents = [founders[key % 2] for key in recipe.parents]
            took = []
            for _ in range(3):  # the first one also compiles and reads tables
                begun = time.perf_counter()
                recipe.breed(lineage.breeder, parents, child)
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
