"""The genomes of a run in one process: found in the host's cache or a keyframe, or bred from their ancestors."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.keyframes import Keyframe, KeyframeError
from deap_nn.breeding.kinds import Average, Child, Founder, Genome, Mirror, rank_of_breeding
from deap_nn.breeding.slots import GenomeCache
from deap_nn.core.files import appear, write_all
from deap_nn.genome.vectors import Halves, Vector, Vectors, empty_halves, empty_vector, mirror, most_together


class LackingError(LookupError):
    """A genome or a context is missing, and this process cannot make it."""


class MissingError(Exception):
    """A genome is not in the cache, or was overwritten there while it was read."""


class Genomes:
    """The genomes of a run in one process, by id: found in a cache or keyframe, or bred from their ancestors.

    Parameters
    ----------
    breeder : Breeder
        The settings shared by all recipes.
    token : str
        The run's name.
    place : Path
        The folder of the host's cache.

    Attributes
    ----------
    recipes : mapping of int to Genome
        The ancestors that may have to be bred, by id.
    slots : mapping of int to int
        The slot in which the cache holds a genome, or will hold it, by id.
    """

    def __init__(self, breeder: Breeder, token: str, place: Path) -> None:
        self.breeder, self.token, self.place = breeder, token, place
        self.size = sum(int(np.prod(shape)) for shape in breeder.shapes)
        self.cache = GenomeCache(token, self.size, place)
        self.recipes: Mapping[int, Genome] = {}
        self.slots: Mapping[int, int] = {}
        self._keyframe: Keyframe | None = None
        self._together: dict[int, Vector] = {}  # the members of the last group, until the next one overwrites them
        self._room = empty_vector(0)
        self._scratch = [empty_vector(self.size)]  # grows to the number of siblings
        self._in_scratch: Sequence[Genome] = ()
        self._in_slots: Sequence[Genome] = ()
        self._halves: list[Halves] = []

    def share_noise(self) -> None:
        """Read the noise table from a file in the cache from now on, as the host's other processes do."""
        if self.breeder.noise_table is not None:
            self.breeder.noise_table.share(self.cache.folder)

    def use_keyframe(self, path: Path | None, history: str = "", content: bytes | None = None) -> None:
        """Find genomes in a keyframe too: in its file, or in its content if this host has no such file.

        Parameters
        ----------
        path : Path, optional
            The file; no keyframe if left out.
        history : str
            The run's history up to it: a keyframe of another run is not used.
        content : bytes, optional
            The file's content. It is kept in the cache, where the host's other processes find it.
        """
        if path is None or (self._keyframe is not None and self._keyframe.history == history):
            return
        own = self.cache.folder / path.name
        if content is not None and not path.exists() and not own.exists():
            for older in self.cache.folder.glob("keyframe-*"):
                older.unlink(missing_ok=True)
            appear(own, len(content), lambda file: write_all(file, content))
        for place in (path, own):
            with contextlib.suppress(OSError, KeyframeError):
                found = Keyframe(place)
                if found.history == history:
                    self._keyframe = found
                    return

    def breed(self, recipes: Sequence[Genome], outs: Vectors, made: Mapping[int, Vector] | None = None) -> None:
        """Write the genome of a recipe, or of siblings, into `outs`, the missing ancestors bred first.

        Genomes that the caller has are in `made`.

        Raises
        ------
        LackingError
            If an ancestor is neither in the cache nor in a keyframe, and its recipe is not known.
        """
        first, made = recipes[0], made or {}
        if len(recipes) == 1 and self._copy(first.id, outs[0]):
            return None
        if isinstance(first, Average):  # its members one by one: together they may not fit into memory
            members = [self._recipe(key) for key in first.parents]
            lacking = [member for member in members if not self.find((member.id,))]
            with contextlib.suppress(MissingError):  # what they descend from is bred once
                made = self._ancestors({parent for member in lacking for parent in member.parents})
            return first.breed(self.breeder, (self.bred(member, made) for member in members), outs[0])
        while True:  # until no process overwrites the slot of a parent meanwhile
            try:
                return self._breed_from(recipes, made, outs)
            except MissingError:
                with contextlib.suppress(MissingError):
                    made = self._ancestors(first.parents)

    def bred(self, recipe: Genome, made: Mapping[int, Vector] | None = None) -> Vector:
        """Return a genome, found or bred, as a new vector; `made` as for `breed`."""
        flat = empty_vector(self.size)
        self.breed((recipe,), (flat,), made)
        return flat

    def keep(self, keys: Iterable[int], *, threads: int = 1) -> None:
        """Breed genomes that the cache lacks, and their missing ancestors, into their slots.

        Threads help only with a compiled pass, which releases Python's global lock.
        """
        wanted = list(keys)
        with contextlib.ExitStack() as stack:
            map_: Callable[..., Iterable[Any]] = map
            if threads > 1 and self.breeder.fused:
                map_ = stack.enter_context(ThreadPoolExecutor(threads)).map
            while True:
                with contextlib.suppress(MissingError):
                    self._ancestors(wanted, map_)
                    return

    def in_keyframe(self, key: int) -> bool:
        """Return whether the keyframe has a genome, whole."""
        return self._keyframe is not None and self._keyframe.find(key) is not None

    def find(self, keys: Collection[int]) -> dict[int, Vector]:
        """Return those of some genomes that are in the cache or in the keyframe."""
        found = self.cache.find({key: self.slots[key] for key in keys if key in self.slots})
        if self._keyframe is not None:
            for key in keys:
                genome = None if key in found else self._keyframe.find(key)
                if genome is not None:
                    found[key] = genome
        return found

    def _are_there(self, found: Mapping[int, Vector]) -> bool:
        """Return whether genomes are still where they were found: a slot may have been overwritten meanwhile."""
        return [*map(id, self.find(found).values())] == [*map(id, found.values())]

    def _copy(self, key: int, out: Vector) -> bool:
        """Copy a genome if it is found; return False if it is not, or was overwritten meanwhile."""
        found = self.find((key,))
        for genome in found.values():
            np.copyto(out, genome)
        return bool(found) and self._are_there(found)

    def _recipe(self, key: int) -> Genome:
        if key not in self.recipes:
            raise LackingError(key)
        return self.recipes[key]

    def _missing(self, keys: Iterable[int]) -> list[Genome]:
        """Return those of some genomes and their ancestors that have to be bred, the oldest first."""
        missing: dict[int, Genome] = {}
        waiting = set(keys)
        while waiting := waiting - self.find(waiting).keys() - missing.keys():
            recipes = [self._recipe(key) for key in waiting]
            missing.update(zip(waiting, recipes, strict=True))
            bred = [recipe for recipe in recipes if recipe.id not in self._together]  # the others are copied
            waiting = {key for recipe in bred for key in self._bred_from(recipe, self._member_in_slot(recipe))}
        return [missing[key] for key in sorted(missing)]

    def _ancestors(self, keys: Collection[int], map_: Callable[..., Iterable[Any]] = map) -> dict[int, Vector]:
        """Breed the missing ones of some genomes and their ancestors; return those for which the cache has no room."""
        made: dict[int, Vector] = {}
        missing = self._missing(keys)
        # The number of children still to breed: an ancestor is released after its last child.
        needed = Counter(parent for ancestor in missing for parent in ancestor.parents)
        needed.update(keys)
        for _, rank in itertools.groupby(missing, key=lambda recipe: rank_of_breeding(recipe.id)):
            first, *rest = rank
            breed = partial(self._breed_ancestor, made=made)
            # The first before the rest: it compiles and fills caches that all use. Founders in one thread: their
            # initialisation may draw from Python's global random state.
            bred = itertools.chain([breed(first)], (map_ if first.parents else map)(breed, rest))
            for ancestor in bred:
                for parent in ancestor.parents:
                    needed[parent] -= 1
                    if not needed[parent]:
                        made.pop(parent, None)
        return made

    def _breed_ancestor(self, recipe: Genome, made: dict[int, Vector]) -> Genome:
        """Breed a genome into its slot, or into `made` if it has none or another process writes there."""
        slot = self.slots.get(recipe.id)
        if slot is not None:
            member = self._member_in_slot(recipe)
            with self.cache.writing(slot, recipe.id, over=member) as room:
                if room is not None:
                    self._breed_from((recipe,), made, (room,), member=member)
        if slot is None or not self.cache.holds(slot, recipe.id):
            genome = empty_vector(self.size)
            self._breed_from((recipe,), made, (genome,))
            made[recipe.id] = genome
        return recipe

    def _member_in_slot(self, recipe: Genome) -> int | None:
        """Return the id of an opposite's member if the opposite's slot still holds it, to be mirrored there."""
        slot = self.slots.get(recipe.id)
        if not isinstance(recipe, Mirror) or slot is None or not self.cache.holds(slot, recipe.member.id):
            return None
        return recipe.member.id

    @staticmethod
    def _bred_from(recipe: Genome, member: int | None) -> tuple[int, ...]:
        """Return the ids of what a genome is bred from: of an opposite only the centroid if its slot has its member."""
        return recipe.parents if member is None else recipe.parents[-1:]

    def _breed_from(
        self, recipes: Sequence[Genome], made: Mapping[int, Vector], outs: Vectors, *, member: int | None = None
    ) -> None:
        """Breed siblings from parents that are there; with `member` its opposite, of the member that `outs` holds."""
        recipe = recipes[0]
        copied = self._together.get(recipe.id) if len(recipes) == 1 else None
        if copied is not None:  # a child of the last group, which becomes a parent
            np.copyto(outs[0], copied)
            return
        keys = self._bred_from(recipe, member)
        found = self.find([key for key in keys if key not in made])
        parents = [genome for key in keys if (genome := made.get(key, found.get(key))) is not None]
        if len(parents) < len(keys):
            raise MissingError
        if member is None:
            self._breed_with(parents, recipes, outs)
        else:
            mirror(outs[0], parents[0])
        if not self._are_there(found):
            raise MissingError

    def _breed_with(self, parents: Sequence[Any], recipes: Sequence[Genome], outs: Vectors) -> None:
        if isinstance(recipes[0], Child):  # siblings
            self.breeder.reproduction.breed(self.breeder, recipes, parents, outs[: len(recipes)])
        elif not (isinstance(recipes[0], Founder) and self._copy(recipes[0].id, outs[0])):  # a given founder is copied
            recipes[0].breed(self.breeder, parents, outs[0])

    def individuals(self, recipes: Iterable[Genome], *, kept: bool = False) -> Iterator[Any]:
        """Yield the individual of each recipe, valid until the next.

        Parameters
        ----------
        recipes : iterable of Genome
            The recipes; siblings side by side are bred in one pass.
        kept : bool
            Whether the caller leaves their weights unchanged. Then the same recipe is not bred twice in a row, and a
            recipe with a slot is bred into it. Another process may write to that slot meanwhile (see `is_whole`).
        """
        for run in self._runs(recipes):
            outs = self._breed_into_slots(run) if kept else None
            self._in_slots = run if outs is not None else ()
            if outs is not None:
                yield from map(self.breeder.individual_of, outs)
                continue
            # A genome that is scored again, as the best member by `assess`, is still in the scratch memory.
            outs = self._scratch_of(len(run))
            if not kept or run != self._in_scratch:
                self._in_scratch = ()
                self.breed(run, outs)
            self._in_scratch = run if kept else ()
            yield from map(self.breeder.individual_of, outs)

    def _scratch_of(self, count: int) -> list[Vector]:
        """Return scratch memory for some siblings."""
        while len(self._scratch) < count:
            self._scratch.append(empty_vector(self.size))
        return self._scratch[:count]

    def is_whole(self, recipe: Genome) -> bool:
        """Return False if `individuals` or `rounded` bred a recipe into a slot that has been overwritten."""
        return recipe not in self._in_slots or self.cache.holds(self.slots[recipe.id], recipe.id)

    def _breed_into_slots(self, run: Sequence[Genome]) -> list[Vector] | None:
        """Return siblings as views of their slots, bred there if needed; None if a slot is missing or busy.

        A sibling that becomes a parent of the next generation is not bred a second time.
        """
        slots = {recipe.id: self.slots[recipe.id] for recipe in run if recipe.id in self.slots}
        if len(slots) < len(run):
            return None
        for _ in range(2):  # the second time the slots that were written the first time are read
            there = self.cache.find(slots)
            if len(there) == len(run):
                return [*there.values()]
            with contextlib.suppress(MissingError), contextlib.ExitStack() as stack:
                rooms = [stack.enter_context(self.cache.writing(slot, key)) for key, slot in slots.items()]
                outs = [room for room in rooms if room is not None]
                if len(outs) < len(run):
                    raise MissingError  # so that no slot is marked as written
                self.breed(run, outs)
        return None

    def groups(self, recipes: Sequence[Genome], *, kept: bool = False) -> Iterator[NDArray[np.float32]]:
        """Yield the genomes of some recipes in blocks, shape (block, weights), that fit into the processor's caches.

        A block is valid until the next one. If `kept`, the caller leaves it unchanged: then its members are copied from
        it while it is valid, and not bred a second time.
        """
        mates = self.breeder.reproduction.mates
        together = max(mates, most_together(self.size) // mates * mates)
        for start in range(0, len(recipes), together):
            some = recipes[start : start + together]
            if self._room.size < len(some) * self.size:
                self._room = empty_vector(len(some) * self.size)
            genomes = self._room[: len(some) * self.size].reshape(len(some), self.size)
            self._breed_group(some, genomes)
            if kept:
                self._together = {recipe.id: genome for recipe, genome in zip(some, genomes, strict=True)}
            yield genomes

    def rounded(self, recipes: Sequence[Genome], rounded: NDArray[np.bool_]) -> Iterator[tuple[Vector, Halves]]:
        """Yield the genome of each recipe with some matrices as bfloat16, valid until the next.

        Parameters
        ----------
        recipes : sequence of Genome
            The recipes.
        rounded : numpy.ndarray
            Whether each matrix is wanted as bfloat16, as `round_weights` takes them.

        Yields
        ------
        tuple of numpy.ndarray
            The genome, shape (weights,), float32, undefined in the rounded matrices; and the bits of these matrices,
            uint16, of the same shape and undefined elsewhere.
        """
        from deap_nn.operators.compiled.centre import round_weights

        self._in_scratch = ()
        for run in self._runs(recipes):
            while len(self._halves) < len(run):
                self._halves.append(empty_halves(self.size))
            outs, halves = self._scratch_of(len(run)), self._halves[: len(run)]
            self._in_slots = ()
            if not self._breed_rounded(run, outs, halves, rounded):
                found = self._breed_into_slots(run)
                if found is None:
                    self.breed(run, outs)
                else:
                    outs, self._in_slots = found, run
                for out, half in zip(outs, halves, strict=True):
                    round_weights(out, half, self.breeder.shapes, rounded)
            yield from zip(outs, halves, strict=True)

    def _breed_rounded(
        self, run: Sequence[Genome], outs: Vectors, halves: Sequence[Halves], rounded: NDArray[np.bool_]
    ) -> bool:
        """Breed siblings and round them in one pass, if there is such a pass and their parents are in the cache."""
        if not isinstance(run[0], Child):
            return False
        parents = self.find(run[0].parents)
        if len(parents) < len(run[0].parents):
            return False
        group = [parents[key] for key in run[0].parents]
        return self.breeder.reproduction.breed_rounded(
            self.breeder, run, group, outs, halves, rounded
        ) and self._are_there(parents)

    def _runs(self, recipes: Iterable[Genome]) -> list[list[Genome]]:
        """Return the runs of siblings side by side, and of single other recipes."""
        runs, mates = list[list[Genome]](), self.breeder.reproduction.mates
        for recipe in recipes:
            last = runs[-1][-1] if runs else None
            if (
                isinstance(last, Child)
                and isinstance(recipe, Child)
                and recipe.place % mates
                and (recipe.generation, recipe.place, recipe.sigma) == (last.generation, last.place + 1, last.sigma)
            ):
                runs[-1].append(recipe)
            else:
                runs.append([recipe])
        return runs

    def _breed_group(self, recipes: Sequence[Genome], genomes: NDArray[np.float32]) -> None:
        runs = self._runs(recipes)
        keys = {key for run in runs for key in run[0].parents}
        found, made = self.find(keys), dict[int, Vector]()
        with contextlib.suppress(MissingError):
            made = self._ancestors(keys - found.keys())
        found |= self.find(keys - found.keys() - made.keys())
        self._together = {}  # `genomes` may be its memory
        parents, ends = found | made, itertools.accumulate(map(len, runs))
        both = [(run, genomes[end - len(run) : end]) for run, end in zip(runs, ends, strict=True)]
        if len(parents) == len(keys):
            for run, outs in both:
                self._breed_with([parents[key] for key in run[0].parents], run, outs)
            if self._are_there(found):
                return
        for run, outs in both:
            self.breed(run, outs)
