"""Lineage instead of weights: the main process' side of breeding by recipes."""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.breeding.ancestry import Ancestry
from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.dispatch import Dispatch, Known, Map
from deap_nn.breeding.members import LightMember, light_members
from deap_nn.breeding.recipe import POOL_PLACE, Recipe
from deap_nn.breeding.reproduction.base import Places, Reproduction
from deap_nn.breeding.store.genomes import Genomes, LackingError
from deap_nn.breeding.store.keyframes import Keyframe, write_keyframe
from deap_nn.breeding.store.slot_table import SlotTable
from deap_nn.breeding.store.slots import FEWEST_SLOTS, default_place, free_bytes, segment_bytes, slots_in, sweep
from deap_nn.breeding.task import busy, contexts, genomes_by_run
from deap_nn.core.environment import Expected, processors
from deap_nn.genome.vectors import Vector, empty_vector

_PLACE = 0xFFFFFFFF
"""The part of a recipe's id that is its place."""

_NOBODY = Recipe(-1, 0)

LODGED_WEIGHTS = 1_000_000
"""Smaller children get no slots: breeding them a second time is cheap."""

LODGED_MATES = 3
"""Children of fewer parents get no slots: breeding one of a pair alone costs only a third more than its share."""

LODGED_SHARE = 0.125
"""The largest share of the cache for the children of a generation: other runs of the host use the same memory."""

COLD = 2.0
"""One genome after the other takes so much longer to breed than one again and again (measured: 2.05 ms for 1.23)."""


class Lineage:
    """The main process' side of a run by recipes: members, ancestors, slots and the map.

    Parameters
    ----------
    breeder : Breeder
        What recipes have in common.
    map : callable
        The toolbox's map.
    workers : int
        How many processes share the work, for the size of groups.
    place : Path, optional
        Where to keep the cache of this host.
    size : int, optional
        How many bytes it may take; what `free_bytes` says if left out.
    group_size : int, optional
        How many members a task has; chosen by the size of the genome and of the population if left out.
    timeout : float, optional
        How many seconds a call of the function that is mapped may take; no limit if left out.
    expected : Expected, optional
        The environment that the processes of the map must have; any if left out.
    """

    def __init__(
        self,
        breeder: Breeder,
        map: Map,
        *,
        workers: int = 1,
        place: Path | None = None,
        size: int | None = None,
        group_size: int | None = None,
        timeout: float | None = None,
        expected: Expected | None = None,
    ) -> None:
        self.breeder = breeder
        place = place or default_place()
        sweep(place)
        self.token = uuid.uuid4().hex
        self._genomes = Genomes(breeder, self.token, place)
        genomes_by_run[self.token] = self._genomes
        self.close = weakref.finalize(self, _close, self.token, self._genomes)
        room = size if size is not None else free_bytes(place)
        noise = 4 * breeder.noise_table.size if breeder.noise_table is not None else 0
        shares_noise = noise <= room // 4 and slots_in(room - noise, self._genomes.size) >= FEWEST_SLOTS
        if shares_noise:
            self._genomes.share_noise()
            room -= noise
        self._slots = SlotTable(slots_in(room, self._genomes.size))
        self._genome_mib = self._genomes.size * 4 / 2**20
        self._warned = False
        if self._slots.count < FEWEST_SLOTS:
            self.close()
            held = f"{self._slots.count} genomes of {self._genome_mib:.1f} MiB, at least {FEWEST_SLOTS} are needed"
            held += f" and its files have {segment_bytes(self._genomes.size) / 2**20:.0f} MiB each"
            helps = "more --cache-size, another --cache or --breeding plain help"
            raise ValueError(f"cache: {room / 2**20:.1f} MiB in {place} hold {held}: {helps}")
        self._known = Known(slots=self._slots.held)
        self._averaged: set[int] = set()
        self._present: set[int] = set()  # who the members of the present generation are
        self._ancestry = Ancestry(breeder)
        self._bred_since = 0
        self._seconds = 0.0
        self._dispatch = Dispatch(
            breeder,
            map,
            self._known,
            token=self.token,
            place=place,
            weights=self._genomes.size,
            shares_noise=shares_noise,
            workers=workers,
            group_size=group_size,
            timeout=timeout,
            expected=expected,
        )
        self.refer = self._dispatch.refer

    @property
    def reproduction(self) -> Reproduction:
        """How children come from their parents."""
        return self.breeder.reproduction

    @property
    def same_bytes(self) -> bool:
        """Whether all processes that have answered compute as the one that began the run."""
        return not self._dispatch.odd

    @property
    def generation(self) -> int:
        """The number of the present generation."""
        return self._known.generation

    @property
    def recipes(self) -> Mapping[int, Recipe]:
        """The recipes of the ancestors that are known, by their ids."""
        return self._known.recipes

    @property
    def dispensable(self) -> int:
        """How many recipes a keyframe would let this process forget."""
        return len(self._known.recipes) - len(self._known.parents)

    @property
    def history(self) -> str:
        """What tells this run, up to its present generation, from others."""
        return self._ancestry.history

    def members(self, recipes: Iterable[Recipe]) -> list[Any]:
        """Return light members, which have a fitness, a recipe and their weights on demand."""
        made = light_members(self.breeder.container, recipes, self.weights, self.breeder.shapes)
        if self.breeder.strength is not None:
            for member in made:
                if member.recipe.sigma is not None:
                    member.strategy = member.recipe.sigma
        return made

    def present(self, recipes: Sequence[Recipe]) -> list[Any]:
        """Return the members of the present generation."""
        made = self.members(recipes)
        self._present = set(map(id, made))
        return made

    def replace(
        self, population: list[Any], chosen: Sequence[Any], kept: Sequence[Any], generation: int, sigma: float | None
    ) -> None:
        """Put the children of the chosen parents, and copies of those that are kept, in the place of a population."""
        recipes = self._recipes_in(
            generation - 1,
            [*chosen, *kept],
            f"population: generation {generation} cannot be bred by recipes from what was put into the one before: "
            "breeding='plain' can, and toolbox.elites keeps the best",
        )
        self._known.generation = generation
        for key in self._averaged:
            self._known.recipes.pop(key, None)
        self._averaged.clear()
        places = [recipe.place for recipe in recipes]
        pool = self.reproduction.pool(recipes[0], places)
        parents = {recipe.id: recipe for recipe in (recipes if pool is None else [pool])}
        self._settle(parents)
        bred = self._ancestry.generation(generation, places, [recipe.sigma for recipe in recipes], sigma)
        self._bred_since += len(parents)
        if pool is None:
            self._lodge(bred)
        else:  # all children need it, and it is made once for this host
            with busy:
                self._informed().keep(parents)
        population[:] = self.present(bred)

    def score(self, evaluate: Callable[[Any], Any], population: Sequence[Any]) -> Iterator[Any]:
        """Map the evaluation over the population; an error names the child."""
        return self.map(evaluate, population)

    def mean(self, members: Iterable[Any]) -> Any:
        """Return the mean of members of this generation as a light member: to be looked at before the next one."""
        members = list(members)
        if not members:
            raise ValueError("individuals must not be empty")
        self._recipes_in(self.generation, members, f"individuals must be members of generation {self.generation}")
        ranked = [member.recipe for member in self.reproduction.ranked(members)]
        mean = self.reproduction.mean(ranked, self._ancestry.members)
        if mean.is_mean:
            recipes = {member.recipe.id: member.recipe for member in members}
            self._averaged |= recipes.keys() - self._known.recipes.keys()
            self._known.recipes.update(recipes)
        return self.members([mean])[0]

    def remember(self, past: Sequence[tuple[Places, float | None]], keyframe: Path | None = None) -> None:
        """Take over what a checkpoint says of a run's past, before anything is bred.

        Parameters
        ----------
        past : sequence of (places, sigma)
            For each generation from 1 on, the places of the parents whose places its children take, and the strength
            of mutation.
        keyframe : Path, optional
            Weights that need not be bred again.
        """
        found = Keyframe(keyframe) if keyframe is not None else None
        for generation, (places, sigma) in enumerate(past, start=1):
            self._ancestry.remember(generation, places, sigma)
            if found is None or found.generation != generation:
                continue
            if found.history == self._ancestry.history:
                self._known.keyframe, self._known.keyframe_history = keyframe, found.history
                self._genomes.use_keyframe(keyframe, found.history)
            else:
                warnings.warn(f"the keyframe is not used: {keyframe} is of another run", stacklevel=2)

    def forget_past(self) -> None:
        """Let go of what `remember` took over, once nobody asks for a member of an earlier generation any more."""
        self._ancestry.forget()

    def line(self, wanted: Iterable[Any] = ()) -> list[list[Recipe]]:
        """Return the parents of each generation that have to be bred for the last one, and for some earlier members.

        Those that come of the seeds, or of the keyframe, are first.
        """
        line: list[list[Recipe]] = []
        others: dict[int, set[int]] = {}
        for recipe in [member.recipe for member in wanted if isinstance(member, LightMember)]:
            if not self.reproduction.shares_parents and not self._genomes.in_keyframe(recipe.id):
                others.setdefault(recipe.generation, set()).update(recipe.averaged or [recipe.place])
        recipe_of = self._ancestry.recipe
        places = set(
            range(min(1, self._ancestry.members) if self.reproduction.shares_parents else self._ancestry.members)
        )
        for generation in range(self._ancestry.generations, 0, -1):
            places |= others.get(generation, set())
            parents = sorted({key for place in places for key in recipe_of(generation, place).parents})
            line.append([recipe_of(generation - 1, key & _PLACE) for key in parents])
            if self._known.keyframe is not None and all(self._genomes.in_keyframe(key) for key in parents):
                break
            places = {key & _PLACE for key in parents}
        return line[::-1]

    def last_members(self) -> list[Any]:
        """Return the members of the last generation of a run that goes on."""
        return self.present(self._ancestry.last())

    def replay(self, line: Sequence[Sequence[Recipe]], wanted: Iterable[Any] = ()) -> None:
        """Breed again what a run that goes on needs, on all processors, and on the way the weights of some members."""
        waiting: dict[int, list[Any]] = {}
        for member in wanted:
            if isinstance(member, LightMember):
                waiting.setdefault(member.recipe.generation, []).append(member)
        for parents in line:
            self._known.generation = parents[0].generation + 1
            self._settle({recipe.id: recipe for recipe in parents})
            self._bred_since += len(parents)
            with busy:
                genomes = self._informed()
                genomes.keep((recipe.id for recipe in parents), threads=processors())
            for member in waiting.pop(self.generation, ()):
                member.flat  # noqa: B018  (while what it is bred from is in the cache)
        for members in waiting.values():
            for member in members:
                member.flat  # noqa: B018  (from the keyframe)

    def seconds_to_breed(self, genomes: int | None = None) -> float:
        """Return how long so many genomes take to breed here; those since the last keyframe if left out."""
        if not self._seconds:
            founders, child = [self.weights(Recipe(0, place)) for place in range(2)], empty_vector(self._genomes.size)
            recipe = self.reproduction.example(self._ancestry.drawn)
            parents = [founders[key % 2] for key in recipe.parents]
            took = []
            for _ in range(3):  # the first one also compiles and reads tables
                begun = time.perf_counter()
                self.breeder.breed(recipe, parents, child)
                took.append(time.perf_counter() - begun)
            self._seconds = COLD * min(took)
        return self._seconds * (self._bred_since if genomes is None else genomes)

    def keyframe_bytes(self, others: Iterable[Any] = ()) -> int:
        """Return how much a keyframe of the present generation takes, with some other members."""
        return 4 * self._genomes.size * (len(self._known.parents) + len(list(others)))

    def keep_keyframe(self, path: Path, others: Iterable[Any] = ()) -> None:
        """Write the weights of the present generation's parents, and forget how those came about.

        Parameters
        ----------
        path : Path
            Where to; it has not been there before.
        others : iterable
            Members whose weights are kept too.
        """
        more = {member.recipe.id: self._as_bred(member) for member in others}
        keys = sorted(self._known.parents | more.keys())
        with busy:
            genomes = self._informed()
            history = self._ancestry.history
            write_keyframe(
                path,
                self.generation,
                history,
                keys,
                lambda key: genomes.get(key) if key in self._known.parents else more[key],
            )
            self._known.keyframe, self._known.keyframe_history = path, history
            genomes.use_keyframe(path, history)
        self._known.recipes = {key: self._known.recipes[key] for key in self._known.parents}
        self._bred_since = 0

    def _as_bred(self, member: Any) -> Vector:
        """Return a member's weights; in the present generation, which is bred from, as they were bred."""
        written = member.recipe.generation == self.generation and self._recipe_of(member) is None
        weights: Vector = self.weights(member.recipe) if written else member.flat
        return weights

    def recall(self, generation: int, place: int | Sequence[int]) -> Any:
        """Return a member of an earlier generation of a run that goes on, or the mean of several."""
        if isinstance(place, int):
            if place >= POOL_PLACE:
                raise ValueError(f"place must be that of a member, got {place}")
            recipe = self._ancestry.recipe(generation, place)
        else:
            members = [self._ancestry.recipe(generation, i) for i in place]
            recipe = self.reproduction.mean(members, self._ancestry.members)
        waiting = [] if self._genomes.in_keyframe(recipe.id) else list(recipe.parents)
        while waiting:
            key = waiting.pop()
            if key not in self._known.recipes and not self._genomes.in_keyframe(key):
                self._known.recipes[key] = self._ancestry.recipe(key >> 32, key & _PLACE)
                waiting.extend(self._known.recipes[key].parents)
        return self.members([recipe])[0]

    def _settle(self, parents: dict[int, Recipe]) -> None:
        """Give the parents of a generation their slots; those of the one before keep theirs, to breed them from."""
        known = self._known
        known.recipes.update(parents)
        self._slots.keep_only(parents.keys() | known.parents)
        homeless = sum(not self._slots.take(key) for key in parents)
        if homeless and not self._warned:
            self._warned = True
            missing = f"{homeless} of {len(parents)} parents of {self._genome_mib:.1f} MiB each"
            helps = "more --cache-size, another --cache or fewer --parents help"
            warnings.warn(
                f"the cache has no room for {missing}, which are bred again whenever they are needed: {helps}",
                stacklevel=2,
            )
        known.parents = set(parents)

    def _lodge(self, children: Iterable[Recipe]) -> None:
        """Give children slots of their own, so that those chosen as parents are not bred a second time.

        Breeding one child of four parents alone costs about twice its share of breeding all four siblings.
        """
        if self._genomes.size < LODGED_WEIGHTS or self.reproduction.mates < LODGED_MATES:
            return
        bred = (child for child in children if not child.copied)
        for child in itertools.islice(bred, int(self._slots.count * LODGED_SHARE)):
            self._slots.take(child.id)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Map a function over members, or over tuples whose first element is one, as `Dispatch` does."""
        found: dict[int, Recipe | None] = {}

        def recipe_of(member: Any) -> Recipe | None:
            if id(member) not in found:
                found[id(member)] = self._recipe_of(member)
            return found[id(member)]

        yield from self._dispatch.map(function, list(items), recipe_of)  # and holds the lineage with its cache

    def _recipes_in(self, generation: int, members: Sequence[Any], wrong: str) -> list[Recipe]:
        """Return the recipes of members of a generation, or raise ValueError, which says what is `wrong`, for others.

        A copy of a member is as good as the member while it has its weights.
        """
        recipes: list[Recipe] = [getattr(member, "recipe", _NOBODY) for member in members]
        for member, recipe in zip(members, recipes, strict=True):
            own = recipe.generation == generation and recipe.place < POOL_PLACE
            if own and id(member) in self._present:
                continue
            if not own or isinstance(member, LightMember) or self._recipe_of(member) is None:
                raise ValueError(wrong)
        return recipes

    def _recipe_of(self, member: Any) -> Recipe | None:
        """Return a member's recipe, or None where that does not give the weights that it has, or not at once."""
        recipe = getattr(member, "recipe", None)
        if isinstance(member, LightMember) or not isinstance(recipe, Recipe):
            return recipe
        if recipe.generation < self.generation:
            return None
        try:
            with busy:
                (bred,) = self._informed().individuals((recipe,), kept=True)
                same = bred.shapes == member.shapes and np.array_equal(_bits(bred), _bits(member))
                return recipe if same else None
        except LackingError:
            return None

    def _informed(self) -> Genomes:
        """Return what makes genomes in this process, told what is known; to be used while others are kept out."""
        self._genomes.recipes, self._genomes.slots = self._known.recipes, self._known.slots
        return self._genomes

    def look(self, member: Any) -> Vector:
        """Return the weights of a member, valid until the next look or task; a light one stays light."""
        if not isinstance(member, LightMember):
            weights: Vector = member.flat
            return weights
        with busy, self._explaining(member.recipe):
            (individual,) = self._informed().individuals((member.recipe,), kept=True)
            weights = individual.flat
        return weights

    def weights(self, recipe: Recipe) -> Vector:
        """Return the genome of a recipe, bred here, as a new vector.

        Raises
        ------
        LackingError
            If its ancestors are not known any more.
        """
        with busy, self._explaining(recipe):
            genomes = self._informed()
            flat = empty_vector(genomes.size)
            genomes.breed((recipe,), (flat,))
        return flat

    @contextlib.contextmanager
    def _explaining(self, recipe: Recipe) -> Iterator[None]:
        """Say what helps where a genome cannot be made any more."""
        try:
            yield
        except LackingError as error:
            raise LackingError(
                f"the weights of a member of generation {recipe.generation} cannot be made in generation "
                f"{self.generation} any more: copy it in its own (copy.deepcopy), or name it in Callback.members()"
            ) from error


def _bits(individual: Any) -> NDArray[np.uint32]:
    """Return weights as what compares as equal, NaN too."""
    bits: NDArray[np.uint32] = individual.flat.view(np.uint32)
    return bits


def _close(token: str, genomes: Genomes) -> None:
    """Remove this host's cache: when nobody refers to the lineage any more, or the program ends."""
    contexts.clear()
    genomes_by_run.pop(token, None)
    if genomes.breeder.noise_table is not None:
        genomes.breeder.noise_table.forget()
    genomes.cache.remove()
