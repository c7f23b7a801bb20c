"""Lineage instead of weights: the main process' side of breeding by recipes."""

from __future__ import annotations

import contextlib
import itertools
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.breeding.ancestry import Ancestry, Known
from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.dispatch import Dispatch, Map
from deap_nn.breeding.genomes import Genomes, LackingError
from deap_nn.breeding.keyframes import Keyframe, write_keyframe
from deap_nn.breeding.kinds import (
    KINDS,
    LOCAL,
    MEMBER,
    PLACE_BITS,
    Average,
    Child,
    Founder,
    Genome,
    Locals,
    Mirror,
    generation_of,
    kind_of,
    place_of,
)
from deap_nn.breeding.reproduction import Reproduction
from deap_nn.breeding.slots import FEWEST_SLOTS, SlotTable, default_place, free_bytes, slots_in, sweep
from deap_nn.breeding.task import contexts, genomes_by_run
from deap_nn.core.environment import processors
from deap_nn.core.seeding import busy
from deap_nn.genome.layer_inputs import inputs_of_centre, spread_in, with_changes
from deap_nn.genome.population import LightMember, light_members, load
from deap_nn.genome.vectors import Vector
from deap_nn.operators.cases import Counted, step_by_cases
from deap_nn.process.workers import is_serial


class Lineage:
    """The main process' side of a run by recipes: members, ancestors, slots and the map.

    Parameters
    ----------
    breeder : Breeder
        The settings shared by all recipes.
    map : callable
        The toolbox's map.

    Attributes
    ----------
    fixed : tuple of str
        The names of the toolbox's functions that must not be registered again during a run.
    ancestry : Ancestry
        The parents of each member.
    known : Known
        The known ancestors; tasks get a part of them.
    genomes : Genomes
        The genomes of this process.
    """

    fixed: tuple[str, ...] = (
        *("clone", "mate", "mates", "mutate", "reproduction", "step", "recombination_weights", "resting"),
    )

    def __init__(self, breeder: Breeder, map: Map) -> None:
        self.breeder = breeder
        self.reproduction: Reproduction = breeder.reproduction
        place = default_place()
        sweep(place)
        self.genomes = Genomes(breeder, uuid.uuid4().hex, place)
        genomes_by_run[self.genomes.token] = self.genomes  # for tasks that the map runs in this process
        # Not a method: the cache has to be removed too when nothing calls it before the program ends.
        self.close = weakref.finalize(self, _close, self.genomes)
        room = free_bytes(place)
        noise = 4 * breeder.noise_table.size if breeder.noise_table is not None else 0
        fits = noise <= room // 4 and slots_in(room - noise, self.genomes.size) >= FEWEST_SLOTS
        shares_noise = fits and not is_serial(map)
        if shares_noise:
            self.genomes.share_noise()
            room -= noise
        self._slots = SlotTable(slots_in(room, self.genomes.size))
        self._genome_mib = self.genomes.size * 4 / 2**20
        self._warned = False
        if self._slots.count < FEWEST_SLOTS:
            self.close()
            held = f"{self._slots.count} genomes of {self._genome_mib:.1f} MiB, at least {FEWEST_SLOTS} are needed"
            raise ValueError(f"cache: {room / 2**20:.1f} MiB in {place} hold {held}: name a folder with more by TMPDIR")
        self.known = Known(slots=self._slots.held)
        self._averaged: set[int] = set()
        self._present: set[int] = set()  # the `id` of each member of the present generation
        self.ancestry = Ancestry(breeder)
        self.bred_since = 0  # the number of genomes bred since the last keyframe
        self._dispatch = Dispatch(self.genomes, map, self.known, shares_noise=shares_noise)

    @property
    def generation(self) -> int:
        """The number of the present generation."""
        return self.known.generation

    def members(self, recipes: Iterable[Genome]) -> list[Any]:
        """Return light members: each has a fitness and a recipe, and breeds its weights when they are read."""
        made = light_members(self.breeder.container, recipes, self.weights, self.breeder.shapes)
        if self.breeder.self_adaptive is not None:
            for member in made:
                if isinstance(member.recipe, Founder | Child | Mirror) and member.recipe.sigma is not None:
                    member.strategy = member.recipe.sigma
        return made

    def present(self, recipes: Sequence[Genome]) -> list[Any]:
        """Return light members as those of the present generation."""
        made = self.members(recipes)
        self._present = set(map(id, made))
        return made

    def replace(self, population: list[Any], chosen: Sequence[Any], generation: int, sigma: float | None) -> None:
        """Replace a population by the children of the chosen parents."""
        recipes = self._of_present(chosen)
        for key in self._averaged:  # recipes that only means of the last generation needed
            self.known.recipes.pop(key, None)
        self._averaged.clear()
        ancestry, drawn = self.ancestry, [recipe.id & LOCAL for recipe in recipes]
        bred = ancestry.begin(drawn, [recipe.sigma for recipe in recipes], sigma)
        carriers = ancestry.carriers(generation)[::-1] if ancestry.carries(generation) else []
        mirrored = bool(carriers) or any(isinstance(recipe, Mirror) for recipe in recipes)
        # The genomes that many others need are among the first to get a slot.
        first = [*carriers, *([ancestry.centroid(generation - 1)] if mirrored else [])]
        parents = {recipe.id: recipe for recipe in (*first, *ancestry.parents(recipes))}
        self.settle(parents)
        self.bred_since += len(parents)
        if not self.reproduction.shares_parents:
            self._slots.lodge((child.id for child in bred), self.genomes.size, self.reproduction.mates)
        if not carriers and (mirrored or self.reproduction.shares_parents):  # it is bred once for this host
            with busy:
                self.informed().keep([next(iter(parents))])
        population[:] = self.present(bred)

    def opposites(self, members: Sequence[Any]) -> list[Any] | None:
        """Return the opposites of members of the present generation as light members; None in generation 0."""
        if not self.generation:
            return None
        centroid = self.ancestry.centroid(self.generation)
        self.known.recipes[centroid.id] = centroid
        children = [recipe for recipe in self._of_present(members) if isinstance(recipe, Child)]
        made = self.members(Mirror(child, centroid.id) for child in children)
        self._present |= set(map(id, made))
        return made

    def mean(self, members: Iterable[Any]) -> Any:
        """Return the mean of members of this generation as a light member; read it before the next generation."""
        members = list(members)
        if not members:
            raise ValueError("individuals must not be empty")
        self._recipes_in(self.generation, members, f"individuals must be members of generation {self.generation}")
        mean = self.mean_of([one.recipe for one in self.reproduction.ranked(members)])
        if isinstance(mean, Average):
            averaged = {member.recipe.id: member.recipe for member in members}
            self._averaged.update(key for key in averaged if key not in self.known.recipes)  # all since the keyframe
            self.known.recipes.update(averaged)
        return self.members([mean])[0]

    def mean_of(self, recipes: Sequence[Genome]) -> Genome:
        """Return the recipe of the mean of members, best first around a centre: there it is a recombination."""
        generation, keys = recipes[0].generation, tuple(recipe.id for recipe in recipes)
        if self.reproduction.shares_parents and generation:
            whole = len(set(keys)) == len(keys) == self.ancestry.size(generation)
            return self.ancestry.recombined(generation, map(place_of, keys), whole=whole)
        return Average(generation, keys)

    def layer_inputs(self, layer_inputs: Callable[..., bytes], generation: int, *, by_cases: bool) -> bytes:
        """Return the layer inputs of the present generation's centre, along which the next step goes."""
        if self.reproduction.shares_parents:
            (recipe,) = (self.known.recipes[key] for key in self.known.parents)
        else:
            recipes = {one.id: one for one in self.ancestry.carriers(generation)}
            self.known.recipes.update(recipes)
            for key in recipes:
                self._slots.take(key)
            with busy:  # all parents of the generation are bred for it
                self.informed().keep(recipes, threads=processors())
            recipe = recipes[self.ancestry.centroid_id(generation)]
        (centre,) = self.members([recipe])
        return inputs_of_centre(layer_inputs, centre, generation, self.map, by_cases=by_cases)

    def step_by_cases(self, inputs: bytes, counted: Sequence[Counted], step: float) -> bytes:
        """Return the layer inputs of the present generation with the changes that its samples ask for."""
        changes, spread = step_by_cases(counted, step, spread_in(self.ancestry.inputs(self.generation - 1)))
        return with_changes(inputs, changes, spread)

    def settle(self, parents: dict[int, Genome]) -> None:
        """Give slots to the parents of a generation; their own parents keep theirs, to breed them from."""
        known = self.known
        known.recipes.update(parents)
        for recipe in parents.values():
            if isinstance(recipe, Mirror) and recipe.member.id not in parents:
                self._slots.pass_on(recipe.member.id, recipe.id)
        self._slots.keep_only(parents.keys() | known.parents)
        without_slot = sum(not self._slots.take(key) for key in parents)
        if without_slot and not self._warned:
            self._warned = True
            missing = f"{without_slot} of {len(parents)} parents of {self._genome_mib:.1f} MiB each"
            helps = "which are recomputed at each use: name a folder with more room by TMPDIR, or take fewer parents"
            warnings.warn(f"the cache has no room for {missing}, {helps}", stacklevel=2)
        known.parents, known.generation = set(parents), 1 + generation_of(min(parents))

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Map a function over members, or over tuples that begin with one, as `Dispatch` does."""
        # The generator of one result keeps the lineage, with its cache, until the last item is taken.
        return itertools.chain.from_iterable(self._mapped(function, items))

    def _mapped(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Iterable[Any]]:
        every = list(items)
        members = [item[0] if isinstance(item, tuple) else item for item in every]
        compared = {id(member): member for member in members if not isinstance(member, LightMember)}
        known = {key: self.recipe_of(member) for key, member in compared.items()}
        recipes = [one.recipe if isinstance(one, LightMember) else known[id(one)] for one in members]
        yield self._dispatch.map(function, every, recipes)

    def _of_present(self, members: Sequence[Any]) -> list[Any]:
        """Return the recipes of members of the present generation, from which the next one is bred."""
        return self._recipes_in(
            self.generation,
            members,
            f"population: generation {self.generation + 1} cannot be bred by recipes from individuals put into the one "
            "before: deap.algorithms.eaSimple breeds whole individuals",
        )

    def _recipes_in(self, generation: int, members: Sequence[Any], wrong: str) -> list[Any]:
        """Return the recipes of members of a generation; for any other individual raise ValueError(`wrong`).

        A copy of a member is valid as long as it has the member's weights.
        """
        recipes: list[Any] = [getattr(member, "recipe", None) for member in members]
        for member, recipe in zip(members, recipes, strict=True):
            own = isinstance(recipe, Founder | Child | Mirror) and recipe.generation == generation
            if own and id(member) in self._present:
                continue
            if not own or isinstance(member, LightMember) or self.recipe_of(member) is None:
                raise ValueError(wrong)
        return recipes

    def recipe_of(self, member: Any) -> Genome | None:
        """Return a member's recipe; None if it does not give the present weights, or is of an earlier generation."""
        recipe = getattr(member, "recipe", None)
        if isinstance(member, LightMember) or not isinstance(recipe, KINDS):
            return recipe
        if recipe.generation < self.generation:
            return None
        try:
            with busy:
                (bred,) = self.informed().individuals((recipe,), kept=True)
                same = bred.shapes == member.shapes and np.array_equal(_bits(bred), _bits(member))
                return recipe if same else None
        except LackingError:
            return None

    def informed(self) -> Genomes:
        """Return the genomes of this process, with the known recipes and slots; the caller holds `busy`."""
        self.genomes.recipes, self.genomes.slots = self.known.recipes, self.known.slots
        return self.genomes

    def look(self, member: Any) -> Vector:
        """Return the weights of a member, valid until the next call or task; a light member stays light."""
        if not isinstance(member, LightMember):
            weights: Vector = member.flat
            return weights
        with busy, self._explaining(member.recipe):
            (individual,) = self.informed().individuals((member.recipe,), kept=True)
            weights = individual.flat
        return weights

    def weights(self, recipe: Genome) -> Vector:
        """Return the genome of a recipe, bred here, as a new vector.

        Raises
        ------
        LackingError
            If its ancestors are not known any more.
        """
        with busy, self._explaining(recipe):
            return self.informed().bred(recipe)

    @contextlib.contextmanager
    def _explaining(self, recipe: Genome) -> Iterator[None]:
        """Replace a LackingError by one that says how to keep a member's weights."""
        try:
            yield
        except LackingError as error:
            raise LackingError(
                f"the weights of a member of generation {recipe.generation} can no longer be bred in generation "
                f"{self.generation}: copy it in its own generation (copy.deepcopy), or return it by Callback.members()"
            ) from error

    # The generations before the present one: their keyframes, and their recomputation in a resumed run.

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
            self.ancestry.remember(drawn, sigma, inputs)
            if found is not None and (found.generation, found.history) == (generation, self.ancestry.history):
                self.use_keyframe(found.path, found.history)

    def use_keyframe(self, path: Path, history: str) -> None:
        """Find genomes in a keyframe, here and in tasks."""
        self.known.keyframe, self.known.keyframe_history = path, history
        self.genomes.use_keyframe(path, history)

    def forget(self) -> None:
        """Release the data that `remember` took over; then no member of an earlier generation can be recalled."""
        self.ancestry.forget()
        self.known.recipes = self.known.ancestry(self.known.parents)

    def line(self, wanted: Iterable[Any] = ()) -> list[list[Genome]]:
        """Return the genomes from which each generation must be bred, for the last one and for some earlier members.

        The first ones come from the seeds or from the keyframe.
        """
        ancestry, found = self.ancestry, dict[int, Genome]()
        last = ancestry.members(ancestry.last)
        needed = last[:1] if self.reproduction.shares_parents else last
        waiting = [key for recipe in needed for key in recipe.parents]
        for recipe in [member.recipe for member in wanted if isinstance(member, LightMember)]:
            if not self.reproduction.shares_parents and not self.genomes.in_keyframe(recipe.id):
                waiting.extend(recipe.parents)
        self._add_ancestors(waiting, found)
        line: dict[int, list[Genome]] = {}
        for key in sorted(found):  # a generation is bred from members of the one before, and from means of its own
            line.setdefault(generation_of(key) + (kind_of(key) >= MEMBER), []).append(found[key])
        return [line[generation] for generation in sorted(line)]

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
            self.settle({recipe.id: recipe for recipe in parents})
            self.bred_since += len(parents)
            with busy:
                genomes = self.informed()
                genomes.keep((recipe.id for recipe in parents), threads=processors())
            load(waiting.pop(self.generation, ()))  # while their parents are in the cache
        for members in waiting.values():
            load(members)

    def recall(self, generation: int, place: int | Sequence[int]) -> Any:
        """Return a member of an earlier generation of a resumed run, or the mean of several."""
        if isinstance(place, int):
            if place >= 1 << PLACE_BITS:
                raise ValueError(f"place must be that of a member, got {place}")
            recipe: Genome = self.ancestry.member(generation, place)
        else:
            recipe = self.mean_of([self.ancestry.member(generation, one) for one in place])
        if not self.genomes.in_keyframe(recipe.id):
            self._add_ancestors(list(recipe.parents), self.known.recipes)
        return self.members([recipe])[0]

    def _add_ancestors(self, waiting: list[int], found: dict[int, Genome]) -> None:
        """Add the recipes of some ids and of all their ancestors, as far as they are not in the keyframe."""
        while waiting:
            key = waiting.pop()
            if key not in found:
                found[key] = self.ancestry.recipe(key)
                if not self.genomes.in_keyframe(key):
                    waiting.extend(found[key].parents)

    @property
    def dispensable(self) -> tuple[int, int]:
        """The number of recipes that a keyframe makes superfluous here, and the bytes of their layer inputs."""
        parents = len(self.known.parents)
        generations = max(0, self.bred_since // max(1, parents) - 1)  # the last one's inputs stay
        return len(self.known.recipes) - parents, generations * len(self.ancestry.inputs(self.generation))

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
        keys = sorted(self.known.parents | more.keys())
        with busy:
            genomes = self.informed()
            history = self.ancestry.history
            write_keyframe(
                path,
                self.generation,
                history,
                keys,
                lambda key: more[key] if key not in self.known.parents else genomes.bred(self.known.recipes[key]),
            )
            self.use_keyframe(path, history)
        self.known.recipes = {key: self.known.recipes[key] for key in self.known.parents}
        self.bred_since = 0

    def _as_bred(self, member: Any) -> Vector:
        """Return a member's weights.

        For a member of the present generation that was changed these are the weights of its recipe, since children by
        recipes descend from those.
        """
        written = member.recipe.generation == self.generation and self.recipe_of(member) is None
        weights: Vector = self.weights(member.recipe) if written else member.flat
        return weights


def _bits(individual: Any) -> NDArray[np.uint32]:
    """Return the bits of weights: as integers, equal NaNs compare as equal."""
    bits: NDArray[np.uint32] = individual.flat.view(np.uint32)
    return bits


def _close(genomes: Genomes) -> None:
    """Remove this host's cache, when the last reference to the lineage or the program ends."""
    contexts.clear()
    genomes_by_run.pop(genomes.token, None)
    if genomes.breeder.noise_table is not None:
        genomes.breeder.noise_table.forget()
    genomes.cache.remove()
