"""What the main process knows of a generation's ancestors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from deap_nn.breeding.recipe import Recipe

MOST_DRAWN = 1 << 12
"""A pool whose recipe takes more bytes is sent only to the processes that lack it."""


def is_large(recipe: Recipe) -> bool:
    """Return whether a recipe is that of a pool which takes more than is sent with every task."""
    return len(recipe.drawn) > MOST_DRAWN


@dataclass
class Known:
    """What a run knows of a generation's ancestors, of which each task is told a part.

    Attributes
    ----------
    recipes : dict
        Of the ancestors, by their ids.
    slots : dict
        Which slot of this host's cache has the weights of an id.
    parents : set
        The ids of what the present generation is bred from.
    keyframe : Path, optional
        A file of weights that need not be bred again.
    keyframe_history : str
        What tells the run up to that keyframe from others.
    """

    recipes: dict[int, Recipe] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)
    parents: set[int] = field(default_factory=set)
    keyframe: Path | None = None
    keyframe_history: str = ""

    @property
    def generation(self) -> int:
        """The present generation: the one after that of the parents, whose ids have it in their upper bits."""
        return 1 + (next(iter(self.parents)) >> 32) if self.parents else 0

    def ancestry(self, keys: Iterable[int]) -> dict[int, Recipe]:
        """Return the recipes of some ids and of all their ancestors."""
        found: dict[int, Recipe] = {}
        waiting = list(keys)
        while waiting:
            key = waiting.pop()
            if key not in found and key in self.recipes:
                found[key] = self.recipes[key]
                waiting.extend(found[key].parents)
        return found

    def has_large_pools(self) -> bool:
        """Return whether what the present generation is bred from takes more than is sent with every task."""
        return any(is_large(self.recipes[key]) for key in self.parents if key in self.recipes)
