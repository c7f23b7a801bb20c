"""A worker's side of breeding by recipes: genomes found in the host's cache, or made."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deap_nn.genome_cache import GenomeCache
from deap_nn.recipes import Breeder, Recipe
from deap_nn.weights import Vector, empty_vector


class LackingError(LookupError):
    """A genome or a context that this process can neither find nor make."""


class _VanishedError(Exception):
    """A genome was overwritten in the cache while it was read."""


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
        self._kept: OrderedDict[int, Vector] = OrderedDict()
        self._scratch = empty_vector(self.size)

    def scratch(self, recipe: Recipe) -> Any:
        """Return the individual of a recipe, valid until the next call."""
        self.breed(recipe, self._scratch)
        made = self.breeder.container(())
        made._adopt(self._scratch, self.breeder.shapes)
        return made

    def group(self, recipes: Sequence[Recipe]) -> NDArray[np.float32]:
        """Return the genomes of some recipes, shape (recipes, weights)."""
        genomes = np.empty((len(recipes), self.size), dtype=np.float32)
        for recipe, out in zip(recipes, genomes, strict=True):
            self.breed(recipe, out)
        return genomes

    def breed(self, recipe: Recipe, out: Vector) -> None:
        """Write the genome of a recipe into `out`, its missing ancestors bred first.

        Raises
        ------
        LackingError
            If an ancestor is not in the cache, and neither are recipes known that lead to it.
        """
        while True:
            with contextlib.suppress(_VanishedError):
                made = self._ancestors(recipe)
                self._breed_from(recipe, made, out)
                return

    def _find(self, key: int) -> Vector | None:
        slot = self.slots.get(key)
        found = self.cache.read(slot, key) if slot is not None else None
        return self._kept.get(key) if found is None else found

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

    def _ancestors(self, recipe: Recipe) -> dict[int, Vector]:
        """Breed the missing ancestors of a recipe, and return those that the cache has no room for."""
        made: dict[int, Vector] = {}
        missing = self._missing(recipe)
        needed = Counter(parent for key in missing for parent in self.recipes[key].parents)
        needed.update(recipe.parents)
        for key in missing:
            ancestor = self.recipes[key]
            if not self._breed_into_cache(ancestor, made):
                made[key] = empty_vector(self.size)
                self._breed_from(ancestor, made, made[key])
            for parent in ancestor.parents:
                needed[parent] -= 1
                if not needed[parent]:
                    made.pop(parent, None)
        self._kept.update(made)
        while len(self._kept) > self.KEPT:
            self._kept.popitem(last=False)
        return made

    def _breed_into_cache(self, recipe: Recipe, made: Mapping[int, Vector]) -> bool:
        slot = self.slots.get(recipe.id)
        if slot is None:
            return False
        with self.cache.writing(slot, recipe.id) as room:
            if room is not None:
                self._breed_from(recipe, made, room)
        return self.cache.holds(slot, recipe.id)

    def _breed_from(self, recipe: Recipe, made: Mapping[int, Vector], out: Vector) -> None:
        parents = []
        for key in recipe.parents:
            parent = made[key] if key in made else self._find(key)
            if parent is None:
                raise _VanishedError
            parents.append(parent)
        self.breeder.breed(recipe, parents, out)
        for key, parent in zip(recipe.parents, parents, strict=True):
            if key not in made and self._find(key) is not parent:  # its slot was used again meanwhile
                raise _VanishedError


class Task(NamedTuple):
    """What a map sends to a worker: recipes of a group, and what is needed to make their parents.

    ``context`` is the pickled breeder and function, or None where the worker should know it by its digest.
    ``items`` are recipes, or tuples whose first element is one. ``known`` are recipes of ancestors, ``slots`` pairs of
    an id and its slot, and ``generation`` is set on the function if it has such an attribute.
    """

    token: str
    place: str
    digest: bytes
    context: tuple[bytes, bytes] | None
    generation: int
    items: tuple[Any, ...]
    known: tuple[Recipe, ...]
    slots: tuple[tuple[int, int], ...]


contexts: OrderedDict[bytes, tuple[Genomes, Callable[[Any], Any]]] = OrderedDict()
genomes_by_run: dict[str, Genomes] = {}
busy = threading.RLock()  # a map of threads makes one genome at a time


def _context(task: Task) -> tuple[Genomes, Callable[[Any], Any]]:
    """Return what makes genomes and the function that scores them, made once in a process."""
    if task.digest not in contexts:
        if task.context is None:
            raise LackingError(task.digest)
        breeder, function = map(pickle.loads, task.context)  # the map has unpickled the task, from the same sender
        if task.token not in genomes_by_run:
            forget()
            genomes_by_run[task.token] = Genomes(breeder, task.token, Path(task.place))
        contexts[task.digest] = genomes_by_run[task.token], function
    return contexts[task.digest]


def forget() -> None:
    """Let go of what this process holds of earlier runs."""
    contexts.clear()
    for genomes in genomes_by_run.values():
        genomes.cache.close()
    genomes_by_run.clear()


def run_group(task: Task) -> list[Any] | None:
    """Make the individuals of a group one by one and return what the function answers; None if something lacks."""
    with busy, contextlib.suppress(LackingError):
        genomes, function = _context(task)
        target: Any = getattr(function, "func", function)
        if hasattr(target, "generation"):
            target.generation = task.generation
        genomes.recipes = {recipe.id: recipe for recipe in task.known}
        genomes.slots = dict(task.slots)
        if getattr(target, "scores_groups", False) and all(isinstance(item, Recipe) for item in task.items):
            return list(target.many(genomes.group(task.items)))
        answers = []
        for item in task.items:
            if isinstance(item, Recipe):
                answers.append(function(genomes.scratch(item)))
            else:
                answers.append(function((genomes.scratch(item[0]), *item[1:])))
        return answers
    return None
