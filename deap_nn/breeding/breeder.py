"""Breeds the genomes of recipes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deap_nn.breeding.recipe import Recipe
from deap_nn.breeding.reproduction.base import Reproduction
from deap_nn.breeding.variation import Variation
from deap_nn.core.seeding import Purpose, seeded, stream, takes
from deap_nn.genome.vectors import Shape, Vector, Vectors, mirror
from deap_nn.operators.by_name import function_of


@dataclass(frozen=True)
class Breeder(Variation):
    """The settings shared by all recipes of a run: with them a child is a pure function of its recipe and parents.

    Parameters
    ----------
    seed, founders_seed, shapes, container, individual, mutate, cxpb, mutpb, self_adaptive, sigmas
        As for `Variation`.
    reproduction : Reproduction
        How children come from their parents.
    """

    reproduction: Reproduction

    @functools.cached_property
    def fused(self) -> bool:
        """Whether one compiled pass over the genome replaces the registered operators."""
        return self.compiled and self.reproduction.is_compiled

    def breed(self, recipe: Recipe, parents: Sequence[Vector], out: Vector) -> None:
        """Write the genome of a recipe into `out`; its parents' weights are left unchanged."""
        if not parents:
            np.copyto(out, founder(self.individual, self.founders_seed, recipe.place).flat)
        elif recipe.is_centroid:
            self._centroid(recipe, parents, out)
        elif recipe.is_step:
            np.subtract(parents[1], parents[0], out=out)
        elif recipe.is_opposite:
            *others, centroid = parents
            self.breed(recipe.mirrored, others, out)
            mirror(out, centroid)
        elif recipe.carried:
            self.breed_carried((recipe,), parents, (out,))
        else:
            self.reproduction.breed(self, (recipe,), parents, (out,))
            project_step(out, parents[0], self.shapes, recipe.inputs)

    def breed_carried(self, recipes: Sequence[Recipe], parents: Sequence[Vector], outs: Vectors) -> None:
        """Write carried siblings side by side into `outs`; the order of `parents` is that of the first one's recipe."""
        *group, step = parents
        self.reproduction.breed_carried(self, recipes, group, step, outs)

    def _centroid(self, recipe: Recipe, parents: Sequence[Vector], out: Vector) -> None:
        if recipe.drawn:
            from deap_nn.operators.compiled.averaging import average

            average(parents, recipe.places, out)
        else:
            before, mean = parents
            np.copyto(out, mean)
            project_centroid(out, before, self.shapes, recipe.inputs)


def project_centroid(mean: Vector, before: Vector, shapes: Sequence[Shape], inputs: bytes) -> None:
    """Replace, in place, the mean of a generation's parents by its centroid: `STRIDE` times the projected step."""
    from deap_nn.operators.compiled.projection import STRIDE, project

    project(mean, before, shapes, inputs, stride=STRIDE)


def project_step(moved: Vector, centre: Vector, shapes: Sequence[Shape], inputs: bytes) -> None:
    """Project a step from a centre in place, as `project` does; without layer inputs it stays as it is."""
    if inputs:
        from deap_nn.operators.compiled.projection import project

        project(moved, centre, shapes, inputs)


def founder(individual: Callable[..., Any], seed: int, place: int) -> Any:
    """Return a member of generation 0: the result of ``toolbox.individual`` with the stream of its place.

    If it has a parameter ``place``, it gets the place too.
    """
    known = {"place": place} if takes(individual, "place") else {}
    return seeded(individual, stream(seed, Purpose.INITIALISE, 0, place))(**known)


def check_repeatable(breeder: Breeder, members: Sequence[Any], weights: Callable[[Recipe], Vector]) -> None:
    """Raise ValueError if a user's operator makes another genome when it gets the same random stream again.

    A member is bred once to be scored, and again when it is a parent or its weights are read.

    Parameters
    ----------
    breeder : Breeder
        The operators of the run.
    members : sequence
        A few light members of generation 0 or 1.
    weights : callable
        Breeds the genome of a recipe.
    """
    mate = getattr(breeder.reproduction, "mate", None)
    used = (mate, breeder.mutate) if members[0].recipe.generation else (breeder.individual,)
    functions = [function_of(operator) for operator in used if operator is not None]
    own = [one for one in functions if str(getattr(one, "__module__", "")).partition(".")[0] not in ("deap", "deap_nn")]
    for recipe in [member.recipe for member in members] if own else ():
        if weights(recipe).tobytes() != weights(recipe).tobytes():
            named = " or ".join(getattr(one, "__name__", type(one).__name__) for one in own)
            raise ValueError(
                f"{named} makes another genome of the same random stream: let it take rng as a keyword, and draw from "
                "that, or have breeding='plain'"
            )
