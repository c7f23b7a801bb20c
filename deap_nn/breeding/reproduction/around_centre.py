"""One centre a generation, around which all children lie: an evolution strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from deap import base
from numpy.typing import NDArray

from deap_nn.breeding.recipe import CENTRE_PLACE, MEAN_PLACE, Recipe, drawn_places, member_id
from deap_nn.breeding.reproduction.base import Places, Reproduction
from deap_nn.breeding.variation import Variation
from deap_nn.core.registered import Registered
from deap_nn.genome.vectors import Halves, Vector, Vectors, empty_vector
from deap_nn.operators.crossover import extrapolate
from deap_nn.operators.ranking import (
    RecombinationWeights,
    counted,
    counts_and_kept,
    fitness_key,
    recombination_weights,
    weights_of,
)


@dataclass(frozen=True)
class AroundCentre(Reproduction):
    """An evolution strategy: all children of a generation are mutated copies of one centre.

    The centre moves towards the weighted mean of all members, by `step` times the distance. The first centre is the
    best founder.

    Parameters
    ----------
    step : float
        The step in units of that distance: 1 leads to the mean itself.
    weights : callable
        Returns the recombination weights for a number of members, best first, as `recombination_weights` does.
    """

    step: float
    weights: RecombinationWeights = recombination_weights

    has_groups = False
    shares_parents = True

    @classmethod
    def of(cls, toolbox: base.Toolbox) -> AroundCentre:
        """Return the strategy of a toolbox with a ``step``."""
        registered = Registered.read(toolbox)
        return cls(registered.step, registered.recombination_weights or recombination_weights)

    @property
    def is_compiled(self) -> bool:
        """Whether there is a compiled pass: for children, and for the next centre."""
        return True

    def key(self) -> list[Any]:
        """Return the step."""
        return [float(self.step)]

    def weights_of_ranks(self, members: int) -> bytes:
        """Return the recombination weights for a number of members, as bytes."""
        return weights_of(self.weights, members).tobytes()

    def choose(self, population: Sequence[Any], count: int, toolbox: base.Toolbox, rng: Any, clock: Any) -> list[Any]:
        """Return all members, best first."""
        clock.advance(population)
        return self.ranked(population)

    def recipes(self, generation: int, places: Places, sigmas: Sequence[float | None]) -> list[Recipe]:
        """Return the recipes of the children, with the centre as their only parent."""
        shared = self.parents_of(generation, 0, places)  # one object for all: a pickle holds it once
        return [Recipe(generation, place, shared, sigma) for place, sigma in enumerate(sigmas)]

    def parents_of(self, generation: int, place: int, places: Places) -> tuple[int, ...]:
        """Return the id of the centre; for generation 1 that of the best founder."""
        return (member_id(generation - 1, CENTRE_PLACE) if generation > 1 else int(places[0]),)

    def centre(self, member: Recipe, places: Sequence[int]) -> Recipe:
        """Return the recipe of the next centre."""
        if not member.generation:
            return Recipe(0, int(places[0]))
        return Recipe(member.generation, CENTRE_PLACE, member.parents, member.sigma, drawn_places(places))

    def ranked(self, members: Sequence[Any]) -> list[Any]:
        """Return members best first."""
        return sorted(members, key=fitness_key(members), reverse=True)

    def mean(self, recipes: Sequence[Recipe], size: int) -> Recipe:
        """Return the recipe of a recombination of some members, best first: `step` times the way to their mean.

        With all members, it is the next centre.
        """
        first, places = recipes[0], [recipe.place for recipe in recipes]
        if not first.generation:
            return super().mean(recipes, size)
        whole = len(set(places)) == len(places) == size
        place = CENTRE_PLACE if whole else MEAN_PLACE
        return Recipe(first.generation, place, first.parents, first.sigma, drawn_places(places))

    def example(self, drawn: bytes) -> Recipe:
        """Return the recipe of a centre."""
        return Recipe(1, CENTRE_PLACE, (0,), None, drawn)

    def breed(self, variation: Variation, recipes: Sequence[Recipe], parents: Sequence[Vector], outs: Vectors) -> None:
        """Write children of a centre, or the next centre."""
        (centre,) = parents
        if recipes[0].drawn:
            self._recombine(variation, recipes[0], centre, outs[0])
        elif variation.compiled and all(map(variation.mutated, recipes)):
            self._around(variation, recipes, centre, outs)
        elif len(recipes) > 1:  # one by one: the pass takes only mutated children
            for recipe, out in zip(recipes, outs, strict=True):
                self.breed(variation, (recipe,), parents, (out,))
        else:
            variation.mutate_into(recipes[0], variation.copy_of(centre), outs[0])

    def breed_rounded(
        self,
        variation: Variation,
        recipes: Sequence[Recipe],
        parents: Sequence[Vector],
        outs: Vectors,
        halves: Sequence[Halves],
        rounded: NDArray[np.bool_],
    ) -> bool:
        """Write children of a centre with some matrices as bfloat16, if they are mutated in the compiled pass."""
        if len(parents) != 1 or recipes[0].drawn:  # a founder, or the next centre
            return False
        if not variation.compiled or not all(map(variation.mutated, recipes)):
            return False
        self._around(variation, recipes, parents[0], outs, halves, rounded)
        return True

    def _around(
        self,
        variation: Variation,
        recipes: Sequence[Recipe],
        centre: Vector,
        outs: Vectors,
        halves: Sequence[Halves] = (),
        rounded: NDArray[np.bool_] | None = None,
    ) -> None:
        """Write siblings by `mutate_around`; the rounded matrices go to `halves` instead of `outs`."""
        from deap_nn.operators.compiled.centre import mutate_around

        first = recipes[0]
        mutate_around(
            outs,
            centre,
            variation.noise,
            variation.factors(first.sigma),
            variation.shapes,
            seed=variation.seed,
            generation=first.generation,
            places=[recipe.place for recipe in recipes],
            halves=halves,
            rounded=rounded,
        )

    def _recombine(self, variation: Variation, recipe: Recipe, centre: Vector, out: Vector) -> None:
        """Write the next centre, or another recombination, of children of `centre`."""
        counts, kept = counts_and_kept(recipe.places, self.weights if recipe.place == CENTRE_PLACE else None)
        if variation.compiled and variation.mutpb >= 1:
            from deap_nn.operators.compiled.centre import recombine

            drawn = np.array(list(counts), np.int64)
            key: dict[str, Any] = {"seed": variation.seed, "generation": recipe.generation, "drawn": drawn}
            key |= {"counts": np.array(list(counts.values()), np.float64), "kept": kept, "step": float(self.step)}
            recombine(out, centre, variation.noise, variation.factors(recipe.sigma), variation.shapes, **key)
            return
        # Summed in float64 in the order of the places, as the compiled `recombine` does it: the bits are the same.
        total, child = kept * centre.astype(np.float64), empty_vector(centre.size)
        for place, count in counts.items():
            self.breed(variation, (Recipe(recipe.generation, place, recipe.parents, recipe.sigma),), [centre], (child,))
            total += np.multiply(child, count, dtype=np.float64)
        extrapolate(centre, total / counted(counts.values(), kept), self.step, out)
