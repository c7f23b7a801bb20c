"""A worker's side of breeding by recipes: genomes found in the host's cache, or made."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.recipe import Recipe
from deap_nn.breeding.store.keyframes import Keyframe, KeyframeError
from deap_nn.breeding.store.slots import GenomeCache
from deap_nn.core.files import appear
from deap_nn.genome.vectors import MOST_TOGETHER, TOGETHER_BYTES, Halves, Vector, Vectors, empty_halves, empty_vector

_NOTHING: Vector = empty_vector(0)


class LackingError(LookupError):
    """A genome or a context that this process can neither find nor make."""


class _MissingError(Exception):
    """A genome is not in the cache, or was overwritten there while it was read."""


class Genomes:
    """The genomes of a run in one process: found in the host's cache, or bred.

    Parameters
    ----------
    breeder : Breeder
        What recipes have in common.
    token : str
        The run's name.
    place : Path
        Where the host's cache is kept.

    Attributes
    ----------
    recipes : mapping of int to Recipe
        The ancestors that may have to be bred, by id.
    slots : mapping of int to int
        Where the cache holds a genome, or will.
    """

    KEPT = 8
    """How many of the genomes that the cache has no room for are kept in the process."""

    def __init__(self, breeder: Breeder, token: str, place: Path) -> None:
        self.breeder = breeder
        self.size = sum(int(np.prod(shape)) for shape in breeder.shapes)
        self.cache = GenomeCache(token, self.size, place)
        self.recipes: Mapping[int, Recipe] = {}
        self.slots: Mapping[int, int] = {}
        self._keyframe: Keyframe | None = None
        self._kept: OrderedDict[int, Vector] = OrderedDict()
        self._room = _NOTHING
        self._scratch = [empty_vector(self.size)]  # more when siblings come
        self._in_scratch: Sequence[Recipe] = ()
        self._in_slots: Sequence[Recipe] = ()
        self._halves: list[Halves] = []

    def share_noise(self) -> None:
        """Read the table of noise from a file in the cache from now on, as the host's other processes do."""
        if self.breeder.noise_table is not None:
            self.breeder.noise_table.share(self.cache.folder)

    def use_keyframe(self, path: Path | None, history: str = "", content: bytes | None = None) -> None:
        """Find genomes in a keyframe too: in a file, or where this host has none, in what was sent of it.

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
            appear(own, len(content), lambda file: os.pwrite(file, content, 0))
        for place in (path, own):
            with contextlib.suppress(OSError, KeyframeError):
                found = Keyframe(place)
                if found.history == history:
                    self._keyframe = found
                    return

    def individuals(self, recipes: Iterable[Recipe], *, kept: bool = False) -> Iterator[Any]:
        """Yield the individual of each recipe, valid until the next.

        Parameters
        ----------
        recipes : iterable of Recipe
            Which; siblings side by side are bred in one pass.
        kept : bool
            Whether the caller leaves their weights unchanged. Then the same recipe is not bred twice in a row, and a
            recipe with a slot is bred into it. Another process may write to that slot meanwhile (see `is_whole`).
        """
        for _, run in self._runs(list(recipes)):
            outs = self._breed_into_slots(run) if kept else None
            self._in_slots = run if outs is not None else ()
            if outs is not None:
                yield from map(self._individual, outs)
                continue
            if not kept or run != self._in_scratch:
                while len(self._scratch) < len(run):
                    self._scratch.append(empty_vector(self.size))
                self._in_scratch = ()
                self.breed(run, self._scratch)
            self._in_scratch = run if kept else ()
            yield from map(self._individual, self._scratch[: len(run)])

    def is_whole(self, recipe: Recipe) -> bool:
        """Return False if `individuals` or `rounded` bred a recipe into a slot that holds another genome by now."""
        return recipe not in self._in_slots or self.cache.holds(self.slots[recipe.id], recipe.id)

    def anew(self, recipe: Recipe) -> Any:
        """Return the individual of a recipe, bred into new memory."""
        flat = empty_vector(self.size)
        self.breed((recipe,), (flat,))
        return self._individual(flat)

    def _individual(self, flat: Vector) -> Any:
        made = self.breeder.container(())
        made._adopt(flat, self.breeder.shapes)
        return made

    def _breed_into_slots(self, run: Sequence[Recipe]) -> list[Vector] | None:
        """Breed siblings into their slots unless they are there, and return the slots; None if one has no slot.

        A sibling that becomes a parent of the next generation is not bred a second time.
        """
        slots = [self.slots[recipe.id] for recipe in run if recipe.id in self.slots]
        if len(slots) < len(run):
            return None
        for _ in range(2):
            found = [self.cache.read(slot, recipe.id) for slot, recipe in zip(slots, run, strict=True)]
            there = [genome for genome in found if genome is not None]
            if len(there) == len(run):
                return there
            with contextlib.suppress(_MissingError), contextlib.ExitStack() as stack:
                rooms = [
                    stack.enter_context(self.cache.writing(slot, recipe.id))
                    for slot, recipe in zip(slots, run, strict=True)
                ]
                outs = [room for room in rooms if room is not None]
                if len(outs) < len(run):
                    raise _MissingError  # so that no slot is marked as written
                self.breed(run, outs)
        return None

    def groups(self, recipes: Sequence[Recipe]) -> Iterator[NDArray[np.float32]]:
        """Yield the genomes of some recipes, as many at a time as stay in the cache; each shape (some, weights).

        What is yielded is valid until the next.
        """
        mates = self.breeder.reproduction.mates
        most = min(MOST_TOGETHER, TOGETHER_BYTES // (4 * max(1, self.size)))
        together = max(mates, most // mates * mates)
        for start in range(0, len(recipes), together):
            some = recipes[start : start + together]
            if self._room.size < len(some) * self.size:
                self._room = empty_vector(len(some) * self.size)
            genomes = self._room[: len(some) * self.size].reshape(len(some), self.size)
            self._breed_group(some, genomes)
            yield genomes

    def rounded(self, recipes: Sequence[Recipe], rounded: NDArray[np.bool_]) -> Iterator[tuple[Vector, Halves]]:
        """Yield the genome of each recipe with some matrices as bfloat16, valid until the next.

        Parameters
        ----------
        recipes : sequence of Recipe
            Which.
        rounded : numpy.ndarray
            Whether each matrix is wanted as bfloat16, as `round_weights` takes them.

        Yields
        ------
        tuple of numpy.ndarray
            The genome, float32, in which nothing is told of the matrices that are rounded, and their bits, uint16.
        """
        from deap_nn.operators.compiled.bfloat16 import round_weights

        self._in_scratch = ()
        for _, run in self._runs(recipes):
            while len(self._scratch) < len(run):
                self._scratch.append(empty_vector(self.size))
            while len(self._halves) < len(run):
                self._halves.append(empty_halves(self.size))
            outs, halves = self._scratch[: len(run)], self._halves[: len(run)]
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
        self, run: Sequence[Recipe], outs: Vectors, halves: Sequence[Halves], rounded: NDArray[np.bool_]
    ) -> bool:
        """Breed siblings and round them in one pass, if there is such a pass and their parents are in the cache."""
        parents = [] if run[0].is_mean else [self._find(key) for key in run[0].parents]
        found = [parent for parent in parents if parent is not None]
        if len(found) < len(parents) or not self.breeder.breed_rounded(run, found, outs, halves, rounded):
            return False
        # Else a slot was used again meanwhile.
        return all(self._find(key) is parent for key, parent in zip(run[0].parents, found, strict=True))

    def _runs(self, recipes: Sequence[Recipe]) -> Iterator[tuple[int, Sequence[Recipe]]]:
        """Yield stretches of one recipe, or of siblings side by side, and the place of the first."""
        start = 0
        while start < len(recipes):
            end = start + 1
            while (
                end < len(recipes)
                and recipes[end].place % self.breeder.reproduction.mates
                and recipes[end - 1].is_followed_by(recipes[end])
            ):
                end += 1
            yield start, recipes[start:end]
            start = end

    def _breed_group(self, recipes: Sequence[Recipe], genomes: NDArray[np.float32]) -> None:
        runs = list(self._runs(recipes))
        if any(recipe.is_mean for recipe in recipes):
            for start, run in runs:
                self.breed(run, genomes[start : start + len(run)])
            return
        found = {key: self._find(key) for _, run in runs for key in run[0].parents}
        own = {key for key, parent in found.items() if parent is not None and parent is self._kept.get(key)}
        with contextlib.suppress(_MissingError):
            for _, run in runs:
                if any(found[key] is None for key in run[0].parents):
                    made = self._ancestors(run[0])
                    own.update(made)
                    found.update((key, made[key] if key in made else self._find(key)) for key in run[0].parents)
        whole = all(parent is not None for parent in found.values())
        if whole:
            for start, run in runs:
                self._breed_with([found[key] for key in run[0].parents], run, genomes[start : start + len(run)])
            whole = all(key in own or self._find(key) is parent for key, parent in found.items())
        if not whole:  # some slots were used again meanwhile
            for start, run in runs:
                self.breed(run, genomes[start : start + len(run)])

    def breed(self, recipes: Sequence[Recipe], outs: Vectors) -> None:
        """Write the genome of a recipe, or of siblings, into `outs`, the missing ancestors bred first.

        Raises
        ------
        LackingError
            If an ancestor is not in the cache, and neither are recipes known that lead to it.
        """
        made: Mapping[int, Vector] = {}
        if len(recipes) == 1 and self._copy(recipes[0].id, outs[0]):
            return None
        if recipes[0].is_mean:
            return self._average(recipes[0], outs[0])
        while True:
            try:
                return self._breed_from(recipes, made, outs)
            except _MissingError:
                with contextlib.suppress(_MissingError):
                    made = self._ancestors(recipes[0])

    def _average(self, recipe: Recipe, out: Vector) -> None:
        """Write the mean of some members, bred one after the other: there may be more than fit into memory."""
        lacking = [key for key in recipe.parents if self._find(key) is None]
        if not all(key in self.recipes for key in lacking):
            raise LackingError(recipe.id)
        made: Mapping[int, Vector] = {}
        total = np.zeros(self.size)
        for key in recipe.parents:
            while not self._copy(key, out):
                if key not in self.recipes:  # and it is not kept any longer
                    raise LackingError(key)
                try:
                    self._breed_from((self.recipes[key],), made, (out,))
                    break
                except _MissingError:  # what all of them descend from is bred once
                    with contextlib.suppress(_MissingError):
                        parents = {parent for one in {*lacking, key} for parent in self.recipes[one].parents}
                        made = self._ancestors(Recipe(0, 0, tuple(sorted(parents))))
            total += out
        np.divide(total, len(recipe.parents), out=out, casting="same_kind")

    def keep(self, keys: Iterable[int], *, threads: int = 1) -> None:
        """Breed genomes that the cache lacks, and their missing ancestors, into their slots.

        Threads help where the compiled pass does it, which lets go of Python's lock.
        """
        wanted = Recipe(0, 0, tuple(keys))
        with contextlib.ExitStack() as stack:
            map_: Callable[..., Iterable[Any]] = map
            if threads > 1 and self.breeder.fused:
                map_ = stack.enter_context(ThreadPoolExecutor(threads)).map
            while True:
                with contextlib.suppress(_MissingError):
                    self._ancestors(wanted, map_)
                    return

    def in_keyframe(self, key: int) -> bool:
        """Return whether the keyframe has a genome, whole."""
        return self._keyframe is not None and self._keyframe.find(key) is not None

    def get(self, key: int) -> Vector:
        """Return a copy of a genome that is there, or else bred."""
        flat = empty_vector(self.size)
        if not self._copy(key, flat):
            self.breed((self.recipes[key],), (flat,))
        return flat

    def _copy(self, key: int, out: Vector) -> bool:
        """Copy a genome that is there; false where it is not, or was overwritten meanwhile."""
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

    def _missing(self, recipe: Recipe) -> list[int]:
        """Return the ancestors that have to be bred, the oldest first."""
        missing: set[int] = set()
        waiting = list(recipe.parents)
        while waiting:
            key = waiting.pop()
            if key in missing or self._find(key) is not None:
                continue
            if key not in self.recipes:
                raise LackingError(key)
            missing.add(key)
            waiting.extend(self.recipes[key].parents)
        return sorted(missing)  # an id grows with the generation

    def _ancestors(self, recipe: Recipe, map_: Callable[..., Iterable[Any]] = map) -> dict[int, Vector]:
        """Breed the missing ancestors of a recipe, and return those that the cache has no room for.

        What this process had kept of its parents is returned too: it may not be kept any longer.
        """
        made: dict[int, Vector] = {}
        missing = [self.recipes[key] for key in self._missing(recipe)]
        needed = Counter(parent for ancestor in missing for parent in ancestor.parents)
        needed.update(recipe.parents)
        for _, generation in itertools.groupby(missing, key=attrgetter("generation")):
            first, *others = generation
            breed = partial(self._breed_ancestor, made=made)
            # The first alone: what all use is made once. Founders too: who draws them may use Python's global state.
            bred = itertools.chain([breed(first)], (map_ if first.parents else map)(breed, others))
            for ancestor in bred:
                for parent in ancestor.parents:
                    needed[parent] -= 1
                    if not needed[parent]:
                        made.pop(parent, None)
        had = {key: self._kept[key] for key in recipe.parents if key in self._kept}
        self._kept.update(made)
        while len(self._kept) > self.KEPT:
            self._kept.popitem(last=False)
        return had | made

    def _breed_ancestor(self, recipe: Recipe, made: dict[int, Vector]) -> Recipe:
        if not self._breed_into_cache(recipe, made):
            genome = empty_vector(self.size)
            self._breed_from((recipe,), made, (genome,))
            made[recipe.id] = genome
        return recipe

    def _breed_into_cache(self, recipe: Recipe, made: Mapping[int, Vector]) -> bool:
        slot = self.slots.get(recipe.id)
        if slot is None:
            return False
        with self.cache.writing(slot, recipe.id) as room:
            if room is not None:
                self._breed_from((recipe,), made, (room,))
        return self.cache.holds(slot, recipe.id)

    def _breed_from(self, recipes: Sequence[Recipe], made: Mapping[int, Vector], outs: Vectors) -> None:
        recipe = recipes[0]
        parents = []
        for key in recipe.parents:
            parent = made[key] if key in made else self._find(key)
            if parent is None:
                raise _MissingError
            parents.append(parent)
        self._breed_with(parents, recipes, outs)
        for key, parent in zip(recipe.parents, parents, strict=True):
            if key not in made and self._find(key) is not parent:  # its slot was used again meanwhile
                raise _MissingError

    def _breed_with(self, parents: Sequence[Any], recipes: Sequence[Recipe], outs: Vectors) -> None:
        if len(recipes) > 1:
            self.breeder.breed_siblings(recipes, parents, outs)
        else:
            self.breeder.breed(recipes[0], parents, outs[0])
