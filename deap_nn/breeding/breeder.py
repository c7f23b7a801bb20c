"""The settings shared by all recipes of a run: seeds, shapes, operators."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.arguments import check_bounds
from deap_nn.core.registered import words_of
from deap_nn.core.seeding import Purpose, seeded, stream, takes
from deap_nn.genome.noise import LARGEST_TABLE, NoiseTable, noise_numbers
from deap_nn.genome.vectors import Shape, Vector, copied_vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.operators.adaptation import SelfAdaptive, check_sigma
from deap_nn.operators.by_name import function_of
from deap_nn.operators.mutation import matrix_factors, mutGaussianAdaptive
from deap_nn.operators.selection import operator_of


@dataclass(frozen=True)
class Breeder:
    """The settings shared by all recipes of a run: with them a genome is a pure function of its recipe and parents.

    Parameters
    ----------
    seed, founders_seed : int
        The seed of the run, and the seed of generation 0, or a digest of its weights if they were given.
    shapes : tuple of tuple of int
        The shapes of a genome's matrices.
    container : type
        The class of the individuals: `WeightList` or a subclass.
    individual, mutate : functools.partial
        The toolbox's operators.
    cxpb, mutpb : float
        The probabilities that a group is mated and that a child is mutated.
    reproduction : Reproduction
        How children come from their parents.
    self_adaptive : SelfAdaptive, optional
        The adaptation that gives each child a sigma of its own.
    sigmas : tuple of float
        The sigma of each founder, if `self_adaptive` is given and they have their own; else empty.
    """

    seed: int
    founders_seed: int
    shapes: tuple[Shape, ...]
    container: type[WeightList]
    individual: functools.partial[Any]
    mutate: functools.partial[Any]
    cxpb: float
    mutpb: float
    reproduction: Any  # a `Reproduction`, which is defined by this class
    self_adaptive: SelfAdaptive | None = field(default=None, kw_only=True)
    sigmas: tuple[float, ...] = field(default=(), kw_only=True)

    @functools.cached_property
    def compiled(self) -> bool:
        """Whether a compiled pass replaces the registered mutation, to the same bits."""
        mutate = self.mutate
        words: Mapping[str, Any] = getattr(mutate, "keywords", {})
        return (
            getattr(mutate, "func", None) is mutGaussianAdaptive
            and not mutate.args
            and {"sigma"} <= words.keys() <= {"sigma", "noise", "indpb", "scale", "bounds", "rng"}
            and getattr(words.get("noise"), "size", LARGEST_TABLE) < LARGEST_TABLE
            and words.get("indpb", 1.0) == 1.0
        )

    @functools.cached_property
    def fused(self) -> bool:
        """Whether one compiled pass over the genome replaces the registered operators."""
        return self.compiled and bool(self.reproduction.is_compiled)

    def founder(self, place: int) -> Any:
        """Return a member of generation 0."""
        return founder(self.individual, self.founders_seed, place)

    @property
    def noise_table(self) -> NoiseTable | None:
        """The noise table of the mutation, or else of the initialisation; None without one."""
        named = (operator.keywords.get("noise") for operator in (self.mutate, self.individual))
        return next((noise for noise in named if isinstance(noise, NoiseTable)), None)

    @functools.cached_property
    def noise(self) -> Vector:
        """The numbers of the mutation's noise table, float32."""
        return np.ascontiguousarray(noise_numbers(self.mutate.keywords["noise"], sum(map(math.prod, self.shapes))))

    def factors(self, sigma: float | None) -> NDArray[np.float32]:
        """Return the step sizes by which a compiled pass multiplies the noise, shape (matrices,), float32."""
        found = self._factors_by_sigma.get(sigma)
        if found is None:
            self._factors_by_sigma.clear()  # only the last sigma: a generation shares one unless it is self-adaptive
            amount, scale = check_sigma(sigma or 0.0, "sigma"), self.mutate.keywords.get("scale")
            found = np.array(matrix_factors(amount, scale, len(self.shapes)), np.float32)
            self._factors_by_sigma[sigma] = found
        return found

    @functools.cached_property
    def _factors_by_sigma(self) -> dict[float | None, NDArray[np.float32]]:
        return {}

    @functools.cached_property
    def _bounds(self) -> tuple[float, float] | None:
        bounds = words_of(self.mutate).get("bounds") if function_of(self.mutate) is mutGaussianAdaptive else None
        return None if bounds is None else check_bounds(bounds)

    def clip(self, genomes: Iterable[Vector]) -> None:
        """Clip genomes, in place, to the bounds of the registered `mutGaussianAdaptive`, if it has any."""
        if self._bounds is not None:
            for genome in genomes:
                np.clip(genome, *self._bounds, out=genome)

    def individual_of(self, genome: Vector) -> Any:
        """Return a new individual that has a genome as its weights, without a copy."""
        return self.container.from_flat(genome, self.shapes)

    def copy_of(self, genome: Vector) -> Any:
        """Return a new individual with a copy of the weights of a genome."""
        return self.individual_of(copied_vector(genome))

    def mutated(self, generation: int, place: int) -> bool:
        """Return whether a child is mutated."""
        return happens(self.mutpb, self.seed, generation, 2 * place + 1)

    def mutate_into(self, generation: int, place: int, sigma: float | None, child: Any, out: Vector) -> None:
        """Mutate a child with the registered operator, if it is mutated, and write its weights into `out`."""
        if self.mutated(generation, place):
            mutate = self.mutate
            if sigma is not None:
                mutate = functools.partial(mutate, sigma=sigma)
            mutation = seeded(mutate, stream(self.seed, Purpose.MUTATE, generation, place))
            child = checked_mutant(mutation(child), mutate, self.shapes)
            np.copyto(out, child.flat)
        else:  # a parent may be an opposite, beyond the bounds
            np.copyto(out, child.flat)
            self.clip((out,))


def founder(individual: Callable[..., Any], seed: int, place: int) -> Any:
    """Return a member of generation 0: the result of ``toolbox.individual`` with the stream of its place.

    If it has a parameter ``place``, it gets the place too.
    """
    known = {"place": place} if takes(individual, "place") else {}
    return seeded(individual, stream(seed, Purpose.INITIALISE, 0, place))(**known)


def checked_mutant(made: Any, mutate: Callable[..., Any], shapes: tuple[Shape, ...]) -> Any:
    """Return the individual from the tuple that a mutation returned; raise ValueError for any other result."""
    is_one = not isinstance(made, WeightList) and isinstance(made, tuple | list) and len(made) == 1
    if is_one and isinstance(made[0], WeightList) and made[0].shapes == shapes:
        return made[0]
    name = getattr(operator_of(mutate), "__name__", "mutate")
    if not is_one:
        got = type(made).__name__
        raise ValueError(
            f"mutate must return its individual in a tuple, got {got}: end {name} with return (individual,)"
        )
    found = made[0].shapes if isinstance(made[0], WeightList) else type(made[0]).__name__
    raise ValueError(f"mutate must return its individual with the shapes {shapes}, got {found} from {name}")


def happens(probability: float, seed: int, generation: int, index: int) -> bool:
    """Return whether a mating or mutation of a given probability takes place: a pure function of the arguments."""
    return probability >= 1 or stream(seed, Purpose.VARY, generation, index).random() < probability


def without_state(operator: functools.partial[Any], **changing: Any) -> functools.partial[Any]:
    """Return a registered function with its `changing` keywords replaced and the digest of its noise table fixed."""
    keywords = {name: changing.get(name, value) for name, value in operator.keywords.items()}
    if isinstance(keywords.get("noise"), NoiseTable):
        keywords["noise"] = keywords["noise"].pinned()
    return functools.partial(operator.func, *operator.args, **keywords)


def self_adaptive_of(mutate: Callable[..., Any]) -> SelfAdaptive | None:
    """Return the adaptation that gives each member a sigma of its own, if a registered mutation has one."""
    sigma = words_of(mutate).get("sigma")
    return sigma if isinstance(sigma, SelfAdaptive) else None
