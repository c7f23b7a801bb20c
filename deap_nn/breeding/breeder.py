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
