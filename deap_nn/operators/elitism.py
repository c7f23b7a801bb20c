"""Members that live on unchanged and are scored again on each new mini-batch."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any


class Elitism:
    """The best of a generation are in the next one too, unchanged, at its last places.

    Parameters
    ----------
    count : int
        How many live on, at least 0.
    batches : int
        The fitness of one that lives on is a mean over so many of its last mini-batches: of all until there are so
        many, and then each new one counts as much as it would in the mean of so many. At least 1, the new one alone.
    """

    def __init__(self, count: int, batches: int) -> None:
        self.count = count
        self.batches = batches
        self._lived: dict[int, int] = {}
        self._before: dict[int, tuple[tuple[float, ...], int]] = {}

    def choose(self, population: Sequence[Any]) -> list[Any]:
        """Return the best of an evaluated population, which are to be at the last places of the next generation."""
        best = heapq.nlargest(self.count, range(len(population)), key=lambda place: population[place].fitness)
        first = len(population) - self.count
        self._before = {
            first + i: (population[place].fitness.values, self._lived.get(place, 1)) for i, place in enumerate(best)
        }
        self.go_on(best, len(population))
        return [population[place] for place in best]

    def go_on(self, places: Sequence[int], size: int) -> None:
        """Take note of the places, in the generation before, of those that live on in one of `size` members."""
        first = size - self.count
        self._lived = {first + i: min(self._lived.get(place, 1) + 1, self.batches) for i, place in enumerate(places)}

    def averaged(self, place: int, values: tuple[float, ...]) -> tuple[float, ...]:
        """Return the fitness of a member whose present mini-batch gives it some values."""
        before, lived = self._before.get(place, (values, 0))
        lived = min(lived, self.batches - 1)
        if not lived:
            return values
        return tuple((old * lived + new) / (lived + 1) for old, new in zip(before, values, strict=True))
