"""The ancestors of a generation, as far as the main process knows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from deap_nn.breeding.kinds import Genome, generation_of, size_of

MOST_DRAWN = 1 << 12
"""Recipes with more bytes of drawn places and layer inputs are sent only to the processes that lack them."""


def is_large(recipe: Genome) -> bool:
    """Return whether a recipe is too large to be sent with every task."""
    return size_of(recipe) > MOST_DRAWN


@dataclass
class Known:
    """The known ancestors of a generation; each task gets a part of them.

    Attributes
    ----------
    recipes : dict
        The recipes of the ancestors, by id.
    slots : dict
        The slots in this host's cache, by the id of the genome.
    parents : set
        The ids of the genomes that the present generation is bred from, and of the means and the step for these.
    earliest : int
        The lowest of these ids.
    keyframe : Path, optional
        A file of weights that need not be recomputed.
    keyframe_history : str
        The run's history up to that keyframe.
    """

    recipes: dict[int, Genome] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)
    parents: set[int] = field(default_factory=set)
    earliest: int = -1
    keyframe: Path | None = None
    keyframe_history: str = ""

    @property
    def generation(self) -> int:
        """The present generation: one more than that of the earliest parents, which their ids have."""
        return 1 + generation_of(self.earliest)

    def ancestry(self, keys: Iterable[int], since: int = 0) -> dict[int, Genome]:
        """Return the recipes of some ids and of all their ancestors from a generation on."""
        found: dict[int, Genome] = {}
        waiting = list(keys)
        while waiting:
            key = waiting.pop()
            if key not in found and key in self.recipes and self.recipes[key].generation >= since:
                found[key] = self.recipes[key]
                waiting.extend(found[key].parents)
        return found

    def has_large_recipes(self) -> bool:
        """Return whether a parent of the present generation has a recipe too large to be sent with every task."""
        return any(is_large(self.recipes[key]) for key in self.parents if key in self.recipes)
