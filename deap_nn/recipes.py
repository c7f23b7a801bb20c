"""A child is its recipe: a pure function of its parents, the run's seed and its place."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deap_nn.crossover import cxMask
from deap_nn.mutation import check_sigma, matrix_factors, mutGaussianAdaptive
from deap_nn.noise import LARGEST_TABLE, NoiseTable, noise_numbers
from deap_nn.seeding import Purpose, seeded, stream
from deap_nn.weights import Shape, Vector, Vectors, WeightList, empty_vector

MEAN_PLACE = 0xFFFFFFFF
"""The place of what is no child but the mean of its parents."""


class Recipe(NamedTuple):
    """How a genome came about: initialised, bred from its parents with the streams of its place, or their mean.

    Parameters
    ----------
    generation, place : int
        They key its random streams: child `place` is side ``place % 2`` of pair ``place // 2``.
    parents : tuple of int
        The ids of its parents: two, the one whose place it takes first, or one, or none in generation 0; any number
        at `MEAN_PLACE`, which are members of its own generation.
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

    @property
    def is_mean(self) -> bool:
        """Whether it is the mean of its parents."""
        return self.place == MEAN_PLACE

    def has_twin(self, other: object) -> bool:
        """Return whether `other` is the second child of the pair whose first this is."""
        twin = Recipe(self.generation, self.place + 1, self.parents[::-1], self.sigma)
        return len(self.parents) == 2 and self.place % 2 == 0 and other == twin


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
            and 0 <= mate.keywords.get("indpb", 0.5) <= 1
            and getattr(mutate.keywords.get("noise"), "size", LARGEST_TABLE) < LARGEST_TABLE
            and mutate.keywords.get("indpb", 1.0) == 1.0
        )

    @property
    def noise_table(self) -> NoiseTable | None:
        """The table that the mutation or else the founders take their noise from, if they name one."""
        named = (operator.keywords.get("noise") for operator in (self.mutate, self.individual))
        return next((noise for noise in named if isinstance(noise, NoiseTable)), None)

    def breed(self, recipe: Recipe, parents: Sequence[Vector], out: Vector) -> None:
        """Write the genome of a recipe into `out`; its parents' weights are left unchanged."""
        if not parents:
            np.copyto(out, founder(self.individual, self.founders_seed, recipe.place).flat)
            return
        mated, mutated = self._mated(recipe), self._mutated(recipe)
        if self.fused and mated and mutated:
            self._fused_pass((recipe,), parents, (out,))
            return
        side = recipe.place % 2
        mutating = stream(self.seed, Purpose.MUTATE, recipe.generation, recipe.place)
        made = [self._copy_of(parent) for parent in parents]
        if side and mated:
            made.reverse()
        child = made[0]
        if mated:
            child = seeded(self.mate, self._mating(recipe))(*made)[side]
        if mutated:
            mutate = self.mutate
            if recipe.sigma is not None:
                mutate = functools.partial(mutate, sigma=recipe.sigma)
            (child,) = seeded(mutate, mutating)(child)
        np.copyto(out, child.flat)

    def breed_twins(self, recipes: Sequence[Recipe], parents: Sequence[Vector], outs: Vectors) -> None:
        """Write both children of a pair, the parents in the order of the first, in one pass where that can be."""
        if self.fused and self._mated(recipes[0]) and all(map(self._mutated, recipes)):
            self._fused_pass(recipes, parents, outs)
            return
        self.breed(recipes[0], parents, outs[0])
        self.breed(recipes[1], parents[::-1], outs[1])

    def _fused_pass(self, recipes: Sequence[Recipe], parents: Sequence[Vector], outs: Vectors) -> None:
        from deap_nn.fused import cross_and_mutate

        recipe = recipes[0]
        cross_and_mutate(
            outs,
            parents[0],
            parents[1],
            self._table,
            self._factors(check_sigma(recipe.sigma or 0.0, "sigma")),
            self.shapes,
            seed=self.seed,
            generation=recipe.generation,
            place=recipe.place,
            indpb=self.mate.keywords.get("indpb", 0.5),
        )

    def _factors(self, sigma: float) -> NDArray[np.float32]:
        if sigma not in self._factors_by_sigma:
            self._factors_by_sigma.clear()
            scale = self.mutate.keywords.get("scale")
            self._factors_by_sigma[sigma] = np.array(matrix_factors(sigma, scale, len(self.shapes)), np.float32)
        return self._factors_by_sigma[sigma]

    @functools.cached_property
    def _table(self) -> Vector:
        return np.ascontiguousarray(noise_numbers(self.mutate.keywords["noise"], sum(map(math.prod, self.shapes))))

    @functools.cached_property
    def _factors_by_sigma(self) -> dict[float, NDArray[np.float32]]:
        return {}

    def _mating(self, recipe: Recipe) -> np.random.Generator:
        return stream(self.seed, Purpose.MATE, recipe.generation, recipe.place // 2)

    def _mated(self, recipe: Recipe) -> bool:
        return len(recipe.parents) == 2 and happens(self.cxpb, self.seed, recipe.generation, recipe.place // 2 * 2)

    def _mutated(self, recipe: Recipe) -> bool:
        return happens(self.mutpb, self.seed, recipe.generation, 2 * recipe.place + 1)

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
