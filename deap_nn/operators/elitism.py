"""Elites: members that are kept unchanged and scored again on each new mini-batch."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any


class Elitism:
    """Keeps the best members of a generation, unchanged, at the last places of the next one.

    Parameters
    ----------
    count : int
        The number of members that are kept, at least 0.
    batches : int
        The fitness of an elite is a running mean over its mini-batches: their plain mean over the first `batches`, and
        afterwards each new one is averaged in at a rate of 1/`batches`. At least 1, which uses only the new one.
    """

    def __init__(self, count: int, batches: int) -> None:
        self.count = count
        self.batches = batches
        self._lived: dict[int, int] = {}
        self._before: dict[int, tuple[tuple[float, ...], int]] = {}
        self._places: dict[int, int] = {}

    def choose(self, population: Sequence[Any]) -> list[Any]:
        """Return the best members of an evaluated population: the last members of the next generation."""
        best = heapq.nlargest(self.count, range(len(population)), key=lambda place: population[place].fitness)
        first = len(population) - self.count
        kept = [population[place] for place in best]
        scored = [self._places.get(id(member), place) for member, place in zip(kept, best, strict=True)]
        self._before = {
            first + i: (member.fitness.values, self._lived.get(place, 1))
            for i, (member, place) in enumerate(zip(kept, scored, strict=True))
        }
        self.go_on(scored, len(population))
        return kept

    def scored(self, population: Sequence[Any]) -> None:
        """Note the places of the members, which a callback may put into another order."""
        self._places = {id(member): place for place, member in enumerate(population)} if self.count else {}

    def go_on(self, places: Sequence[int], size: int) -> None:
        """Note the elites of a generation of `size` members, given their places in the generation before."""
        first = size - self.count
        self._lived = {first + i: min(self._lived.get(place, 1) + 1, self.batches) for i, place in enumerate(places)}

    def averaged(self, place: int, values: tuple[float, ...]) -> tuple[float, ...]:
        """Return the fitness of the member at a place, given its values on the present mini-batch."""
        if self.batches == 1 or place not in self._before:
            return values
        before, lived = self._before[place]
        lived = min(lived, self.batches - 1)
        return tuple((old * lived + new) / (lived + 1) for old, new in zip(before, values, strict=True))
