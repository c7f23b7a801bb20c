"""A worker's side of breeding by recipes: genomes found in the host's cache, or bred."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.kinds import Average, Child, Genome, are_siblings, place_of
from deap_nn.breeding.store.ancestors import Ancestors, MissingError
from deap_nn.genome.vectors import Halves, Vector, Vectors, empty_halves, empty_vector, most_together

_NOTHING: Vector = empty_vector(0)


class Genomes(Ancestors):
    """The genomes of a run in one process: found in the host's cache, or bred.

    Parameters
    ----------
    breeder, token, place
        As for `Ancestors`.
    """

    def __init__(self, breeder: Breeder, token: str, place: Path) -> None:
        super().__init__(breeder, token, place)
        self._room = _NOTHING
        self._scratch = [empty_vector(self.size)]  # grows to the number of siblings
        self._in_scratch: Sequence[Genome] = ()
        self._in_slots: Sequence[Genome] = ()
        self._halves: list[Halves] = []

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
        for _, run in self._runs(list(recipes)):
            outs = self._breed_into_slots(run) if kept else None
            self._in_slots = run if outs is not None else ()
            if outs is not None:
                yield from map(self.breeder.individual_of, outs)
                continue
            # A genome that is scored again, as the best member by `assess`, is still in the scratch memory.
            if not kept or run != self._in_scratch:
                while len(self._scratch) < len(run):
                    self._scratch.append(empty_vector(self.size))
                self._in_scratch = ()
                self.breed(run, self._scratch)
            self._in_scratch = run if kept else ()
            yield from map(self.breeder.individual_of, self._scratch[: len(run)])

    def is_whole(self, recipe: Genome) -> bool:
        """Return False if `individuals` or `rounded` bred a recipe into a slot that has been overwritten."""
        return recipe not in self._in_slots or self.cache.holds(self.slots[recipe.id], recipe.id)

    def rebred(self, recipe: Genome) -> Any:
        """Return the individual of a recipe, bred into new memory."""
        flat = empty_vector(self.size)
        self.breed((recipe,), (flat,))
        return self.breeder.individual_of(flat)

    def _breed_into_slots(self, run: Sequence[Genome]) -> list[Vector] | None:
        """Return siblings as views of their slots, bred there if needed; None if a slot is missing or busy.

        A sibling that becomes a parent of the next generation is not bred a second time.
        """
        slots = [self.slots[recipe.id] for recipe in run if recipe.id in self.slots]
        if len(slots) < len(run):
            return None
        for _ in range(2):  # the second time the slots that were written the first time are read
            found = [self.cache.read(slot, recipe.id) for slot, recipe in zip(slots, run, strict=True)]
            there = [genome for genome in found if genome is not None]
            if len(there) == len(run):
                return there
            with contextlib.suppress(MissingError), contextlib.ExitStack() as stack:
                rooms = [
                    stack.enter_context(self.cache.writing(slot, recipe.id))
                    for slot, recipe in zip(slots, run, strict=True)
                ]
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
        self, run: Sequence[Genome], outs: Vectors, halves: Sequence[Halves], rounded: NDArray[np.bool_]
    ) -> bool:
        """Breed siblings and round them in one pass, if there is such a pass and their parents are in the cache."""
        if not isinstance(run[0], Child):
            return False
        parents = [self._find(key) for key in run[0].parents]
        found = [parent for parent in parents if parent is not None]
        if len(found) < len(parents):
            return False
        if not self.breeder.reproduction.breed_rounded(self.breeder, run, found, outs, halves, rounded):
            return False
        # If not, a slot was overwritten meanwhile.
        return all(self._find(key) is parent for key, parent in zip(run[0].parents, found, strict=True))

    def _runs(self, recipes: Sequence[Genome]) -> Iterator[tuple[int, Sequence[Genome]]]:
        """Yield each run of siblings side by side, or of a single recipe, after the index of its first."""
        start = 0
        while start < len(recipes):
            end = start + 1
            while (
                end < len(recipes)
                and are_siblings(recipes[end - 1], recipes[end])
                and place_of(recipes[end].id) % self.breeder.reproduction.mates
            ):
                end += 1
            yield start, recipes[start:end]
            start = end

    def _breed_group(self, recipes: Sequence[Genome], genomes: NDArray[np.float32]) -> None:
        runs = list(self._runs(recipes))
        if any(isinstance(run[0], Average) for _, run in runs):
            self._together = {}
            for start, run in runs:
                self.breed(run, genomes[start : start + len(run)])
            return
        found = {key: self._find(key) for key in {key for _, run in runs for key in run[0].parents}}
        # No other process overwrites the genomes that this process has kept.
        own = {key for key, parent in found.items() if parent is not None and parent is self._kept.get(key)}
        missing = [key for key, parent in found.items() if parent is None]
        with contextlib.suppress(MissingError):
            made = self._ancestors(missing)
            own.update(made)
            found.update((key, made[key] if key in made else self._find(key)) for key in missing)
        self._together = {}  # `genomes` may be its memory
        whole = all(parent is not None for parent in found.values())
        if whole:
            done = self.breeder.reproduction.breed_many(self.breeder, runs, found, genomes)
            for start, run in runs[done:]:
                self._breed_with([found[key] for key in run[0].parents], run, genomes[start : start + len(run)])
            whole = all(key in own or self._find(key) is parent for key, parent in found.items())
        if not whole:  # some slots were overwritten meanwhile
            for start, run in runs:
                self.breed(run, genomes[start : start + len(run)])
