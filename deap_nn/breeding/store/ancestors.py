"""The genomes of a run in one process: found in the host's cache or a keyframe, or bred from their ancestors."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.kinds import Average, Child, Founder, Genome, Mirror, rank_of_breeding
from deap_nn.breeding.store.keyframes import Keyframe, KeyframeError
from deap_nn.breeding.store.slots import GenomeCache
from deap_nn.core.files import appear, write_all
from deap_nn.genome.vectors import Vector, Vectors, empty_vector, mirror


class LackingError(LookupError):
    """A genome or a context is missing, and this process cannot make it."""


class MissingError(Exception):
    """A genome is not in the cache, or was overwritten there while it was read."""


class Ancestors:
    """Genomes by id: found in a cache or keyframe, or bred from their ancestors.

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

    KEPT = 8
    """The most genomes without a slot that the process keeps in its own memory."""

    def __init__(self, breeder: Breeder, token: str, place: Path) -> None:
        self.breeder, self.token, self.place = breeder, token, place
        self.size = sum(int(np.prod(shape)) for shape in breeder.shapes)
        self.cache = GenomeCache(token, self.size, place)
        self.recipes: Mapping[int, Genome] = {}
        self.slots: Mapping[int, int] = {}
        self._keyframe: Keyframe | None = None
        self._kept: OrderedDict[int, Vector] = OrderedDict()
        self._together: dict[int, Vector] = {}  # the members of the last group, until the next one overwrites them

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

    def breed(self, recipes: Sequence[Genome], outs: Vectors) -> None:
        """Write the genome of a recipe, or of siblings, into `outs`, the missing ancestors bred first.

        Raises
        ------
        LackingError
            If an ancestor is neither in the cache nor in a keyframe, and its recipe is not known.
        """
        made: Mapping[int, Vector] = {}
        if len(recipes) == 1 and self._copy(recipes[0].id, outs[0]):
            return None
        if isinstance(recipes[0], Average):
            return self._average(recipes[0], outs[0])
        while True:  # until no process overwrites the slot of a parent meanwhile
            try:
                return self._breed_from(recipes, made, outs)
            except MissingError:
                with contextlib.suppress(MissingError):
                    made = self._ancestors(recipes[0].parents)

    def _average(self, recipe: Average, out: Vector) -> None:
        """Write the mean of some members, bred one by one: together they may not fit into memory."""
        lacking = [key for key in recipe.parents if self._find(key) is None]
        if not all(key in self.recipes for key in lacking):
            raise LackingError(recipe.id)
        made: Mapping[int, Vector] = {}
        total = np.zeros(self.size)
        for key in recipe.parents:
            while not self._copy(key, out):
                if key not in self.recipes:  # and this process has dropped it
                    raise LackingError(key)
                try:
                    self._breed_from((self.recipes[key],), made, (out,))
                    break
                except MissingError:  # their common ancestors are bred once
                    with contextlib.suppress(MissingError):
                        parents = {parent for one in {*lacking, key} for parent in self.recipes[one].parents}
                        made = self._ancestors(sorted(parents))
            total += out
        np.divide(total, len(recipe.parents), out=out, casting="same_kind")

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

    def get(self, key: int) -> Vector:
        """Return a copy of a genome, found or bred."""
        flat = empty_vector(self.size)
        if not self._copy(key, flat):
            self.breed((self.recipes[key],), (flat,))
        return flat

    def _copy(self, key: int, out: Vector) -> bool:
        """Copy a genome if it is found; return False if it is not, or was overwritten meanwhile."""
        found = self._find(key)
        if found is None:
            return False
        np.copyto(out, found)
        return self._find(key) is found

    def _find(self, key: int) -> Vector | None:
        slot = self.slots.get(key)
        found = self.cache.read(slot, key) if slot is not None else None
        if found is None:
            found = self._kept.get(key)
        if found is None and self._keyframe is not None:
            found = self._keyframe.find(key)
        return found

    def _missing(self, keys: Sequence[int]) -> list[int]:
        """Return those of some genomes and their ancestors that have to be bred, the oldest first."""
        missing: set[int] = set()
        waiting = list(keys)
        while waiting:
            key = waiting.pop()
            if key in missing or self._find(key) is not None:
                continue
            if key not in self.recipes:
                raise LackingError(key)
            missing.add(key)
            if key not in self._together:  # it is copied
                waiting.extend(self._bred_from(self.recipes[key], self._member_in_slot(self.recipes[key])))
        return sorted(missing)

    def _ancestors(self, keys: Sequence[int], map_: Callable[..., Iterable[Any]] = map) -> dict[int, Vector]:
        """Breed the missing ones of some genomes and their ancestors; return those for which the cache has no room.

        Genomes that this process had kept before are returned too: it may drop them now.
        """
        made: dict[int, Vector] = {}
        others = [key for key in keys if not self._copy_into_cache(key)]
        missing = [self.recipes[key] for key in self._missing(others)] if others else []
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
        had = {key: self._kept[key] for key in keys if key in self._kept}
        self._kept.update(made)
        while len(self._kept) > self.KEPT:
            self._kept.popitem(last=False)
        return had | made

    def _copy_into_cache(self, key: int) -> bool:
        """Copy a child of the last group, which becomes a parent, into its slot; return whether that holds it."""
        genome = self._together.get(key)
        return genome is not None and self._write_into_cache(key, lambda room: np.copyto(room, genome))

    def _write_into_cache(self, key: int, write: Callable[[Vector], None], *, over: int | None = None) -> bool:
        """Let `write` fill a genome's slot, unless that holds it; return whether it does; `over` as for the cache."""
        slot = self.slots.get(key)
        if slot is None:
            return False
        with self.cache.writing(slot, key, over=over) as room:
            if room is not None:
                write(room)
        return self.cache.holds(slot, key)

    def _breed_ancestor(self, recipe: Genome, made: dict[int, Vector]) -> Genome:
        if not self._breed_into_cache(recipe, made):
            genome = empty_vector(self.size)
            self._breed_from((recipe,), made, (genome,))
            made[recipe.id] = genome
        return recipe

    def _breed_into_cache(self, recipe: Genome, made: Mapping[int, Vector]) -> bool:
        member = self._member_in_slot(recipe)
        return self._write_into_cache(
            recipe.id, lambda room: self._breed_from((recipe,), made, (room,), member=member), over=member
        )

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
        keys, parents = self._bred_from(recipe, member), []
        for key in keys:
            parent = made[key] if key in made else self._find(key)
            if parent is None:
                raise MissingError
            parents.append(parent)
        if member is None:
            self._breed_with(parents, recipes, outs)
        else:
            mirror(outs[0], parents[0])
        for key, parent in zip(keys, parents, strict=True):
            if key not in made and self._find(key) is not parent:  # its slot was overwritten meanwhile
                raise MissingError

    def _breed_with(self, parents: Sequence[Any], recipes: Sequence[Genome], outs: Vectors) -> None:
        if isinstance(recipes[0], Child):  # siblings
            self.breeder.reproduction.breed(self.breeder, recipes, parents, outs[: len(recipes)])
        elif not (isinstance(recipes[0], Founder) and self._copy(recipes[0].id, outs[0])):  # a given founder is copied
            recipes[0].breed(self.breeder, parents, outs[0])
