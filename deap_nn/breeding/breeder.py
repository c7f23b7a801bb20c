"""From recipes to genomes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.breeding.recipe import POOL_PLACE, Recipe
from deap_nn.core.seeding import Purpose, seeded, stream, takes
from deap_nn.genome.noise import LARGEST_TABLE, NoiseTable, noise_numbers
from deap_nn.genome.vectors import Halves, Shape, Vector, Vectors, empty_vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.operators.adaptation.feedback import SelfAdaptive
from deap_nn.operators.adaptation.protocol import check_sigma
from deap_nn.operators.by_name import checked_children
from deap_nn.operators.crossover import cxMask
from deap_nn.operators.mutation import matrix_factors, mutGaussianAdaptive
from deap_nn.operators.ranking import Weigh, counted, counts_and_kept
from deap_nn.operators.recombination import cxScanning, further

SCANNED = 4
"""So many parents at a time are scanned in one compiled pass."""


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
        The toolbox's operators; no `mate` where children come from one centre.
    cxpb, mutpb : float
        The probabilities that a group is mated and that a child is mutated.
    mates : int
        How many are mated at a time.
    step : float, optional
        Where all the chosen are mated at once: how far their children go from the centre they had to the mean of what
        was chosen of them; `mates` is 2 and `cxpb` plays no part.
    strength : SelfAdaptive, optional
        What each child's own strength of mutation comes from.
    elites : int
        So many of the last of each generation but the first are copies of their parents.
    weigh : callable, optional
        Where all are mated at once: given how many there are, how much each counts, best first, as
        `recombination_weights` says. Left out, each counts as often as it was drawn, and children come in pairs,
        mirrored at their centre.
    """

    seed: int
    founders_seed: int
    shapes: tuple[Shape, ...]
    container: type[WeightList]
    individual: functools.partial[Any]
    mate: functools.partial[Any] | None
    mutate: functools.partial[Any]
    cxpb: float
    mutpb: float
    mates: int = 2
    step: float | None = None
    strength: SelfAdaptive | None = None
    elites: int = 0
    weigh: Weigh = None

    @property
    def paired(self) -> bool:
        """Whether children come in pairs, mirrored at their centre."""
        return self.step is not None and self.weigh is None

    @functools.cached_property
    def fused(self) -> bool:
        """Whether one pass over the genome does what is registered."""
        mate, mutate = self.mate, self.mutate
        if self.step is not None or mate is None:
            known = self.step is not None
        elif getattr(mate, "func", None) is cxMask:
            known = self.mates == 2 and 0 <= mate.keywords.get("indpb", 0.5) <= 1
        else:
            known = getattr(mate, "func", None) is cxScanning and self.mates == SCANNED
        return (
            known
            and getattr(mutate, "func", None) is mutGaussianAdaptive
            and not (getattr(mate, "args", ()) or mutate.args)
            and getattr(mutate.keywords.get("noise"), "size", LARGEST_TABLE) < LARGEST_TABLE
            and mutate.keywords.get("indpb", 1.0) == 1.0
            and mutate.keywords.get("matrices", "all") == "all"
            and not isinstance(mutate.keywords.get("scale"), str)
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
        if recipe.copied:
            np.copyto(out, parents[0])
            return
        if recipe.drawn:
            self._pool(recipe, parents[0], out)
            return
        mated, mutated = self._mated(recipe), self._mutated(recipe)
        if self._one_pass(parents) and mated and mutated:
            self._fused_pass((recipe,), parents, (out,))
            return
        side = recipe.place % self.mates
        made = [self._copy_of(parent) for parent in parents]
        child = made[0]
        if mated and self.mate is not None and self.step is None:
            made = made[-side:] + made[:-side]
            child = checked_children(seeded(self.mate, self._mating(recipe))(*made), len(made), self.mate)[side]
        if mutated:
            mutate = self.mutate
            if recipe.sigma is not None:
                mutate = functools.partial(mutate, sigma=recipe.sigma)
            (child,) = mutation_of(mutate, self.seed, recipe.generation, recipe.place, paired=self.paired)(child)
        np.copyto(out, child.flat)

    def breed_siblings(self, recipes: Sequence[Recipe], parents: Sequence[Vector], outs: Vectors) -> None:
        """Write children side by side of the same parents, in the order of the first, in one pass where that can be."""
        if self._one_pass(parents) and self._mated(recipes[0]) and all(map(self._mutated, recipes)):
            self._fused_pass(recipes, parents, outs)
            return
        for turn, (recipe, out) in enumerate(zip(recipes, outs, strict=False)):
            self.breed(recipe, [*parents[turn:], *parents[:turn]], out)

    def rounds(self, recipes: Sequence[Recipe]) -> bool:
        """Whether siblings are bred around one centre in one pass, which can round them to bfloat16."""
        around = self.fused and self.step is not None and len(recipes[0].parents) == 1
        return around and not recipes[0].drawn and not recipes[0].copied and all(map(self._mutated, recipes))

    def breed_around(
        self,
        recipes: Sequence[Recipe],
        centre: Vector,
        outs: Vectors,
        halves: Sequence[Halves] = (),
        rounded: NDArray[np.bool_] | None = None,
    ) -> None:
        """Write siblings as `mutate_around` makes them; `outs` have only the matrices that are not rounded."""
        from deap_nn.operators.compiled.centre import mutate_around

        first = recipes[0]
        mutate_around(
            outs,
            centre,
            self._table,
            self._factors(check_sigma(first.sigma or 0.0, "sigma")),
            self.shapes,
            seed=self.seed,
            generation=first.generation,
            places=[self._noise_place(recipe.place) for recipe in recipes],
            halves=halves,
            rounded=rounded,
        )

    def _pool(self, recipe: Recipe, centre: Vector, out: Vector) -> None:
        """Write the centre of the children of those that were drawn among the children of `centre`."""
        counts, kept = counts_and_kept(recipe.places, self.weigh if recipe.place == POOL_PLACE else None)
        step = float(self.step or 0.0)
        if self.fused and self.mutpb >= 1:
            from deap_nn.operators.compiled.centre import pool

            factors = self._factors(check_sigma(recipe.sigma or 0.0, "sigma"))
            drawn = np.array([self._noise_place(place) for place in counts], np.int64)
            key: dict[str, Any] = {"seed": self.seed, "generation": recipe.generation, "drawn": drawn}
            key |= {"counts": np.array(list(counts.values()), np.float64), "kept": kept, "step": step}
            pool(out, centre, self._table, factors, self.shapes, **key)
            return
        total, child = kept * centre.astype(np.float64), empty_vector(centre.size)
        for place, count in counts.items():
            self.breed(Recipe(recipe.generation, place, recipe.parents, recipe.sigma), [centre], child)
            total += np.multiply(child, count, dtype=np.float64)
        further(centre, total / counted(counts.values(), kept), step, out)

    def _noise_place(self, place: int) -> int:
        """Return which noise a child around a centre has, as the compiled passes count it."""
        return place if self.paired else 2 * place

    def _one_pass(self, parents: Sequence[Vector]) -> bool:
        return self.fused and len(parents) == (self.mates if self.step is None else 1)

    def _fused_pass(self, recipes: Sequence[Recipe], parents: Sequence[Vector], outs: Vectors) -> None:
        if self.step is not None:
            self.breed_around(recipes, parents[0], outs[: len(recipes)])
            return
        from deap_nn.operators.compiled.crossing import cross_and_mutate, scan_and_mutate

        recipe = recipes[0]
        factors = self._factors(check_sigma(recipe.sigma or 0.0, "sigma"))
        key = {"seed": self.seed, "generation": recipe.generation, "place": recipe.place}
        if self.mates == SCANNED:
            scan_and_mutate(outs[: len(recipes)], parents, self._table, factors, self.shapes, **key)
            return
        indpb = self.mate.keywords.get("indpb", 0.5) if self.mate is not None else 0.5
        cross_and_mutate(
            outs[: len(recipes)], parents[0], parents[1], self._table, factors, self.shapes, **key, indpb=indpb
        )

    def _factors(self, sigma: float) -> NDArray[np.float32]:
        found = self._factors_by_sigma.get(sigma)
        if found is None:
            self._factors_by_sigma.clear()
            scale = self.mutate.keywords.get("scale")
            found = np.array(matrix_factors(sigma, scale, len(self.shapes)), np.float32)
            self._factors_by_sigma[sigma] = found
        return found

    @functools.cached_property
    def _table(self) -> Vector:
        return np.ascontiguousarray(noise_numbers(self.mutate.keywords["noise"], sum(map(math.prod, self.shapes))))

    @functools.cached_property
    def _factors_by_sigma(self) -> dict[float, NDArray[np.float32]]:
        return {}

    def _mating(self, recipe: Recipe) -> np.random.Generator:
        return stream(self.seed, Purpose.MATE, recipe.generation, recipe.place // self.mates)

    def _mated(self, recipe: Recipe) -> bool:
        group = recipe.place // self.mates
        if self.step is not None:
            return True
        return len(recipe.parents) > 1 and happens(self.cxpb, self.seed, recipe.generation, 2 * group)

    def _mutated(self, recipe: Recipe) -> bool:
        return happens(self.mutpb, self.seed, recipe.generation, 2 * recipe.place + 1)

    def _copy_of(self, genome: Vector) -> Any:
        made = self.container(())
        flat = empty_vector(genome.size)
        np.copyto(flat, genome)
        made._adopt(flat, self.shapes)
        return made


def mutation_of(
    mutate: Callable[..., Any], seed: int, generation: int, place: int, *, paired: bool
) -> Callable[..., Any]:
    """Return the mutation of a child with its random numbers; `paired`, the second of two mirrors the first."""
    if paired and takes(mutate, "mirrored"):
        mutate, place = functools.partial(mutate, mirrored=place % 2 == 1), place // 2
    return seeded(mutate, stream(seed, Purpose.MUTATE, generation, place))


def happens(probability: float, seed: int, generation: int, index: int) -> bool:
    """Return whether a mating or mutation with some probability takes place, a function of its place alone."""
    return probability >= 1 or stream(seed, Purpose.VARY, generation, index).random() < probability


def founder(individual: Callable[..., Any], seed: int, place: int) -> Any:
    """Return a member of generation 0: what ``toolbox.individual`` makes with the stream of its place.

    It is told the ``place`` too, if it takes that.
    """
    known = {"place": place} if takes(individual, "place") else {}
    return seeded(individual, stream(seed, Purpose.INITIALISE, 0, place))(**known)
