"""Parents in groups side by side, crossed by the registered ``mate``: a genetic algorithm."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from deap import base
from numpy.typing import NDArray

from deap_nn.breeding.breeder import Breeder, happens, without_state
from deap_nn.breeding.kinds import Child
from deap_nn.breeding.reproduction.base import Reproduction, Siblings
from deap_nn.core.registered import Registered
from deap_nn.core.seeding import Purpose, seeded, stream
from deap_nn.genome.vectors import Vector, Vectors
from deap_nn.operators.by_name import checked_children, fitter_first, mates_of
from deap_nn.operators.crossover import cxMask, cxScanning
from deap_nn.operators.ranking import fitness_key

SCANNED = 4
"""The number of parents that one compiled pass scans."""


@dataclass(frozen=True)
class Pairs(Reproduction):
    """A genetic algorithm: groups of parents side by side are crossed, and each child takes the place of one.

    Parameters
    ----------
    mate : functools.partial
        The toolbox's crossover.
    mates : int
        The number of parents that it crosses.
    """

    mate: partial[Any] | None
    mates: int = 2

    @classmethod
    def of(cls, toolbox: base.Toolbox) -> Pairs:
        """Return the strategy of a toolbox with a ``mate``."""
        mate = Registered.read(toolbox).mate
        return cls(mate, 2 if mate is None else mates_of(toolbox))

    def key(self) -> list[Any]:
        """Return nothing: ``cxpb`` and the number of mates are in the history of every strategy."""
        return []

    def pinned(self) -> Pairs:
        """Return the strategy with a crossover that has no random generator of its own."""
        return replace(self, mate=without_state(self._present, rng=None))

    @property
    def _present(self) -> partial[Any]:
        if self.mate is None:
            raise AttributeError("the toolbox has no attribute 'mate', which crosses the parents")
        return self.mate

    @property
    def is_compiled(self) -> bool:
        """Whether one compiled pass crosses and mutates: a mask of one half over two, no mask, or a scan of four."""
        mate = self.mate
        if mate is None or bool(getattr(mate, "args", None)):
            return False
        if getattr(mate, "func", None) is cxMask:
            return self.mates == 2 and mate.keywords.get("indpb", 0.5) in (0.0, 0.5)
        return getattr(mate, "func", None) is cxScanning and self.mates == SCANNED

    def in_order(self, chosen: Sequence[Any]) -> list[Any]:
        """Return the chosen parents, the fitter of each pair first if the crossover has ``fitter_first``."""
        if self.mate is None or not fitter_first(self.mate):
            return list(chosen)
        fitness = fitness_key(chosen)
        pairs = [sorted(chosen[i : i + 2], key=fitness, reverse=True) for i in range(0, len(chosen), 2)]
        return [parent for pair in pairs for parent in pair]

    def cross(self, individuals: Sequence[Any], streams: tuple[int, int, int], cxpb: float) -> Sequence[Any]:
        """Return the children of a group: the result of ``mate``, or the individuals if the group is not mated."""
        seed, generation, group = streams
        if len(individuals) < 2 or not happens(cxpb, seed, generation, 2 * group):
            return individuals
        mate = seeded(self._present, stream(seed, Purpose.MATE, generation, group))
        return checked_children(mate(*individuals), len(individuals), self._present)

    def breed(self, breeder: Breeder, children: Sequence[Child], parents: Sequence[Vector], outs: Vectors) -> None:
        """Write siblings, in one compiled pass if all of them are crossed and mutated by operators that it knows."""
        first = children[0]
        group, step = (parents, None) if first.shift is None else (parents[:-1], parents[-1])
        mutated = [breeder.mutated(child.generation, child.place) for child in children]
        crossed = happens(breeder.cxpb, breeder.seed, first.generation, 2 * (first.place // self.mates))
        if not (breeder.fused and crossed and any(mutated) and len(group) == self.mates):
            super().breed(breeder, children, parents, outs)
        elif all(mutated):
            self._in_one_pass(breeder, first, group, step, outs)
            breeder.clip(outs)
        else:  # one by one: the pass takes only mutated children
            for turn, (child, out) in enumerate(zip(children, outs, strict=True)):
                turned = [*group[turn:], *group[:turn]]
                self.breed(breeder, (child,), turned if step is None else [*turned, step], (out,))

    def breed_many(
        self, breeder: Breeder, runs: Sequence[Siblings], found: Mapping[int, Any], outs: NDArray[np.float32]
    ) -> int:
        """Write whole groups of four small genomes in one call of the compiled pass."""
        from deap_nn.operators.compiled.crossing import SMALL, scan_groups

        sure = breeder.fused and min(breeder.cxpb, breeder.mutpb) >= 1
        if not sure or self.mates != SCANNED or outs.shape[1] > SMALL:
            return 0
        first = runs[0][1][0]
        groups = []
        for start, run in runs:  # the pass takes consecutive children of one sigma
            alike = run[0].generation, run[0].place, run[0].sigma
            if alike != (first.generation, first.place + start, first.sigma):
                break
            if not (isinstance(run[0], Child) and len(run) == len(run[0].group) == SCANNED):
                break
            groups.append(run[0].group)
        places = {key: place for place, key in enumerate(dict.fromkeys(itertools.chain(*groups)))}
        if not places:
            return 0
        made, pool = outs[: SCANNED * len(groups)], np.stack([found[key] for key in places])
        if first.shift is not None:
            pool += found[first.shift]
        indices = np.array([[places[key] for key in group] for group in groups], np.int64)
        noise, factors = breeder.noise, breeder.factors(first.sigma)
        key = {"seed": breeder.seed, "generation": first.generation, "place": first.place}
        scan_groups(made, pool, indices, noise, factors, breeder.shapes, **key)
        breeder.clip(made)
        return len(groups)

    def _in_one_pass(
        self,
        breeder: Breeder,
        first: Child,
        parents: Sequence[Vector],
        step: Vector | None,
        outs: Vectors,
    ) -> None:
        from deap_nn.operators.compiled.crossing import cross_and_mutate

        noise, factors, shapes = breeder.noise, breeder.factors(first.sigma), breeder.shapes
        key: dict[str, Any] = {"seed": breeder.seed, "generation": first.generation, "place": first.place}
        masked = self._present.keywords.get("indpb", 0.5) > 0
        cross_and_mutate(outs, parents, noise, factors, shapes, **key, masked=masked, step=step)
