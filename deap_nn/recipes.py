"""A child is its recipe: a pure function of its parents, the run's seed and its place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from deap_nn.crossover import cxMask, mask_bits
from deap_nn.fused import cross_and_mutate
from deap_nn.mutation import matrix_factors, mutGaussianAdaptive
from deap_nn.noise import noise_slice
from deap_nn.seeding import Purpose, seeded, stream
from deap_nn.weights import Shape, Vector, WeightList, empty_vector


class Recipe(NamedTuple):
    """How a genome came about: initialised, or bred from its parents with the streams of its place.

    Parameters
    ----------
    generation, place : int
        They key its random streams: child `place` is side ``place % 2`` of pair ``place // 2``.
    parents : tuple of int
        The ids of its parents: two, the one whose place it takes first, or one, or none in generation 0.
    sigma : float, optional
        The strength of mutation, where the toolbox's mutation has a ``sigma``.
    """

    generation: int
    place: int
    parents: tuple[int, ...] = ()
    sigma: float | None = None

    @property
    def id(self) -> int:
        """A number of its own within the run."""
        return self.generation << 32 | self.place


@dataclass(frozen=True)
class Breeder:
    """What all recipes of a run have in common; with it a child is a pure function of its recipe and its parents.

    Parameters
    ----------
    seed, founders_seed : int
        The run's seed, and the one that generation 0 is drawn with.
    shapes : tuple of tuple of int
        The shapes of a genome.
    container : type
        The class of the individuals, a `WeightList`.
    individual, mate, mutate : functools.partial
        The toolbox's operators.
    cxpb, mutpb : float
        The probabilities that a pair is mated and that a child is mutated.
    """

    seed: int
    founders_seed: int
    shapes: tuple[Shape, ...]
    container: type[WeightList]
    individual: functools.partial[Any]
    mate: functools.partial[Any]
    mutate: functools.partial[Any]
    cxpb: float
    mutpb: float

    @functools.cached_property
    def fused(self) -> bool:
        """Whether one pass over the genome does what is registered."""
        mate, mutate = self.mate, self.mutate
        return (
            getattr(mate, "func", None) is cxMask
            and getattr(mutate, "func", None) is mutGaussianAdaptive
            and not (mate.args or mutate.args)
            and mutate.keywords.get("noise") is not None
            and mutate.keywords.get("indpb", 1.0) == 1.0
        )

    def breed(self, recipe: Recipe, parents: Sequence[Vector], out: Vector) -> None:
        """Write the genome of a recipe into `out`; its parents' weights are left unchanged."""
        if not parents:
            np.copyto(out, founder(self.individual, self.founders_seed, recipe.place).flat)
            return
        pair, side = divmod(recipe.place, 2)
        mated = len(parents) == 2 and happens(self.cxpb, self.seed, recipe.generation, 2 * pair)
        mutated = happens(self.mutpb, self.seed, recipe.generation, 2 * recipe.place + 1)
        mating = stream(self.seed, Purpose.MATE, recipe.generation, pair)
        mutating = stream(self.seed, Purpose.MUTATE, recipe.generation, recipe.place)
        if self.fused and mated and mutated:
            indpb = self.mate.keywords.get("indpb", 0.5)
            exchanged = mask_bits(out.size, indpb, mating)
            keywords = self.mutate.keywords
            factors = matrix_factors(float(recipe.sigma or 0.0), keywords.get("scale"), len(self.shapes))
            noise = noise_slice(keywords["noise"], out.size, mutating)
            mine, other = parents
            cross_and_mutate(out, mine, other, exchanged, noise, factors, self.shapes)
            return
        made = [self._copy_of(parent) for parent in parents]
        if side and mated:
            made.reverse()
        child = made[0]
        if mated:
            child = seeded(self.mate, mating)(*made)[side]
        if mutated:
            mutate = self.mutate
            if recipe.sigma is not None:
                mutate = functools.partial(mutate, sigma=recipe.sigma)
            (child,) = seeded(mutate, mutating)(child)
        np.copyto(out, child.flat)

    def _copy_of(self, genome: Vector) -> Any:
        made = self.container(())
        flat = empty_vector(genome.size)
        np.copyto(flat, genome)
        made._adopt(flat, self.shapes)
        return made


def happens(probability: float, seed: int, generation: int, index: int) -> bool:
    """Return whether a mating or mutation with some probability takes place, a function of its place alone."""
    return probability >= 1 or stream(seed, Purpose.VARY, generation, index).random() < probability


def founder(individual: Callable[..., Any], seed: int, place: int) -> Any:
    """Return a member of generation 0: what ``toolbox.individual`` makes with the stream of its place."""
    return seeded(individual, stream(seed, Purpose.INITIALISE, 0, place))()
