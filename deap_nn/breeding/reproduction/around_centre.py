"""One centre a generation, around which all children lie: an evolution strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from deap import base
from numpy.typing import NDArray

from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.kinds import Centre, Child, unpacked
from deap_nn.breeding.reproduction.base import Reproduction
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
from deap_nn.operators.selection import Mirror


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

    def choose(
        self, population: Sequence[Any], toolbox: base.Toolbox, rng: np.random.Generator, mirror: Mirror
    ) -> list[Any]:
        """Return all members, best first."""
        return self.ranked(population)

    def ranked(self, members: Sequence[Any]) -> list[Any]:
        """Return members best first."""
        return sorted(members, key=fitness_key(members), reverse=True)

    def breed(self, breeder: Breeder, children: Sequence[Child], parents: Sequence[Vector], outs: Vectors) -> None:
        """Write children of a centre."""
        if self._are_compiled(breeder, children):
            self._around(breeder, children, parents[0], outs)
            return
        for child, out in zip(children, outs, strict=True):
            if self._are_compiled(breeder, (child,)):  # the pass takes only mutated children
                self._around(breeder, (child,), parents[0], (out,))
            else:
                copied = breeder.copy_of(parents[0])
                breeder.mutate_into(child.generation, child.place, child.sigma, copied, out)

    def breed_rounded(
        self,
        breeder: Breeder,
        children: Sequence[Child],
        parents: Sequence[Vector],
        outs: Vectors,
        halves: Sequence[Halves],
        rounded: NDArray[np.bool_],
    ) -> bool:
        """Write children of a centre with some matrices as bfloat16, if they are mutated in the compiled pass."""
        if not self._are_compiled(breeder, children):
            return False
        self._around(breeder, children, parents[0], outs, halves, rounded)
        return True

    @staticmethod
    def _are_compiled(breeder: Breeder, children: Sequence[Child]) -> bool:
        return breeder.compiled and all(breeder.mutated(child.generation, child.place) for child in children)

    def _around(
        self,
        breeder: Breeder,
        children: Sequence[Child],
        centre: Vector,
        outs: Vectors,
        halves: Sequence[Halves] = (),
        rounded: NDArray[np.bool_] | None = None,
    ) -> None:
        """Write siblings by `mutate_around`; the rounded matrices go to `halves` instead of `outs`."""
        from deap_nn.operators.compiled.centre import mutate_around

        first = children[0]
        mutate_around(
            outs,
            centre,
            breeder.noise,
            breeder.factors(first.sigma),
            breeder.shapes,
            seed=breeder.seed,
            generation=first.generation,
            places=[child.place for child in children],
            halves=halves,
            rounded=rounded,
        )

    def recombine(self, breeder: Breeder, centre: Centre, before: Vector, out: Vector) -> None:
        """Write the next centre, or another recombination, of children of the centre `before`."""
        counts, kept = counts_and_kept(unpacked(centre.drawn), self.weights if centre.whole else None)
        if breeder.compiled and breeder.mutpb >= 1:
            from deap_nn.operators.compiled.centre import recombine

            drawn = np.array(list(counts), np.int64)
            key: dict[str, Any] = {"seed": breeder.seed, "generation": centre.generation, "drawn": drawn}
            key |= {"counts": np.array(list(counts.values()), np.float64), "kept": kept, "step": float(self.step)}
            recombine(out, before, breeder.noise, breeder.factors(centre.sigma), breeder.shapes, **key)
            return
        # Summed in float64 in the order of the places, as the compiled `recombine` does it: the bits are the same.
        total, child = kept * before.astype(np.float64), empty_vector(before.size)
        for place, count in counts.items():
            self.breed(breeder, (Child(centre.generation, place, centre.parents, centre.sigma),), [before], (child,))
            total += np.multiply(child, count, dtype=np.float64)
        extrapolate(before, total / counted(counts.values(), kept), self.step, out)
