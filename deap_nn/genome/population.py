"""A list of individuals that shows itself in a notebook."""

from __future__ import annotations

import heapq
from typing import Any

from deap_nn.core.notebook import paragraph, table

SHOWN = 10
"""So many of the best are shown."""


class Population(list[Any]):
    """A list of individuals, which it remains in every DEAP loop; a notebook shows its size and its best.

    Examples
    --------
    >>> from deap_nn import make_toolbox
    >>> population = make_toolbox("mlp", "mnist5k", seed=1).population(n=3)
    >>> isinstance(population, list), population._repr_html_()
    (True, '<p><strong>Population</strong> 3 members, 0 scored</p>')
    """

    def _repr_html_(self) -> str:
        scored = [(place, member) for place, member in enumerate(self) if _is_scored(member)]
        text = paragraph(f"{len(self):,} members, {len(scored):,} scored", strong=type(self).__name__)
        if not scored:
            return text
        best = heapq.nlargest(SHOWN, scored, key=lambda entry: entry[1].fitness)
        rows = [(rank, place, tuple(member.fitness.values)) for rank, (place, member) in enumerate(best, start=1)]
        return text + table(rows, ("rank", "place", "fitness"))


def _is_scored(member: Any) -> bool:
    return bool(getattr(getattr(member, "fitness", None), "valid", False))
