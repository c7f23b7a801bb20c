"""Strategies of reproduction: how the children of a generation come from the members of the one before.

`Pairs` is a genetic algorithm, `AroundCentre` an evolution strategy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from deap import base
from numpy.typing import NDArray

from deap_nn.breeding.breeder import Breeder, happens, without_state
from deap_nn.breeding.kinds import Centre, Child, unpacked
from deap_nn.core.registered import Registered, words_of
from deap_nn.core.seeding import Purpose, seeded, stream, takes
from deap_nn.genome.layer_inputs import unpacked_inputs
from deap_nn.genome.vectors import Halves, Vector, Vectors, empty_vector, moved_along
from deap_nn.operators.by_name import checked_children, fitter_first, mates_of
from deap_nn.operators.crossover import cxMask, cxScanning, extrapolate
from deap_nn.operators.describe import settings_of
from deap_nn.operators.ranking import (
    RecombinationWeights,
    counted,
    counts_and_kept,
    fitness_key,
    recombination_weights,
    weights_of,
)
from deap_nn.operators.selection import Mirror, operator_of


class Reproduction:
    """How the children of a generation come from the members of the one before.

    This class draws parents with the toolbox's ``select``, puts them into groups of `mates` side by side, and gives
    each child of a group one of its places. A strategy overrides `cross`, and any other method that differs. It is
    immutable, has no state of a run, and is pickled with the tasks of a map.

    Attributes
    ----------
    mates : int
        The number of parents of a group.
    has_groups : bool
        Whether members are parents in groups: the logbook then has ``best_pairs``.
    shares_parents : bool
        Whether all children of a generation have the same parents.
    weights : callable or None
        Returns the recombination weights for a number of members, if recombination has weights.
    """

    mates: int = 2
    has_groups: bool = True
    shares_parents: bool = False
    weights: RecombinationWeights | None = None

    @property
    def is_compiled(self) -> bool:
        """Whether `breed` has a compiled pass for children that are mutated by `mutGaussianAdaptive`."""
        return False

    def key(self) -> list[Any]:
        """Return the settings that are in a run's history besides ``cxpb``, ``mutpb`` and `mates`."""
        return [settings_of(self)]

    def weights_of_ranks(self, members: int) -> bytes:
        """Return the recombination weights for a number of members, as bytes for the history; empty without weights."""
        return b""

    def pinned(self) -> Reproduction:
        """Return the strategy as it goes into recipes: operators without a random generator, tables of noise pinned."""
        return self

    # Parents.

    def choose(
        self, population: Sequence[Any], toolbox: base.Toolbox, rng: np.random.Generator, mirror: Mirror
    ) -> list[Any]:
        """Return one parent for each child.

        Parameters
        ----------
        population : sequence
            The evaluated members.
        toolbox : deap.base.Toolbox
            With ``select``. If it takes ``mirror``, or is registered with ``opposites``, it gets that.
        rng : numpy.random.Generator
            The source of randomness.
        mirror : callable
            Returns the opposites of members, or None in generation 0.

        Raises
        ------
        ValueError
            If ``select`` returns another number of individuals than members.
        """
        select = seeded(toolbox.select, rng)
        if takes(toolbox.select, "mirror") or "opposites" in words_of(toolbox.select):  # a decorator may hide the first
            select = partial(select, mirror=mirror)
        drawn = select(population, len(population))
        if drawn is None:
            name = getattr(operator_of(toolbox.select), "__name__", "select")
            raise TypeError(f"select must return a list of individuals, not None: end {name} with a return")
        if len(drawn) != len(population):
            raise ValueError(f"select must return {len(population)} individuals, got {len(drawn)}")
        return self.in_order(drawn)

    def in_order(self, chosen: Sequence[Any]) -> list[Any]:
        """Return the chosen parents in the order in which they are mated."""
        return list(chosen)

    def groups_with(self, best: Any, chosen: Sequence[Any]) -> int:
        """Return the number of groups in which a member is a parent."""
        return len({place // self.mates for place, parent in enumerate(chosen) if parent is best})

    def ranked(self, members: Sequence[Any]) -> list[Any]:
        """Return members in the order in which their recipes are averaged."""
        return list(members)

    def breed(self, breeder: Breeder, children: Sequence[Child], parents: Sequence[Vector], outs: Vectors) -> None:
        """Write siblings side by side into `outs`; `parents` are those of the first one, in their order."""
        group = parents
        if children[0].shift is not None:
            group = [moved_along(parent, parents[-1]) for parent in parents[:-1]]
        for turn, (child, out) in enumerate(zip(children, outs, strict=True)):
            own = [breeder.copy_of(parent) for parent in (*group[turn:], *group[:turn])]
            side = child.place % self.mates  # parents are rotated to the child's own: `cross` takes the group's order
            mates, streams = own[-side:] + own[:-side], (breeder.seed, child.generation, child.place // self.mates)
            crossed = self.cross(mates, streams, breeder.cxpb)[side]
            breeder.mutate_into(child.generation, child.place, child.sigma, crossed, out)

    def breed_rounded(
        self,
        breeder: Breeder,
        children: Sequence[Child],
        parents: Sequence[Vector],
        outs: Vectors,
        halves: Sequence[Halves],
        rounded: NDArray[np.bool_],
    ) -> bool:
        """Write siblings with some matrices as bfloat16 in one pass; return False if there is no such pass."""
        return False

    def cross(self, individuals: Sequence[Any], streams: tuple[int, int, int], cxpb: float) -> Sequence[Any]:
        """Return the children of a group, each at the place of its parent, before they are mutated.

        Parameters
        ----------
        individuals : sequence of WeightList
            Copies of the parents, at most `mates`, which may be changed in place.
        streams : tuple of int
            The run's seed, the generation and the number of the group: the key of random numbers.
        cxpb : float
            The probability that a group is mated.
        """
        return individuals


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
            from deap_nn.operators.compiled.crossing import cross_and_mutate

            settings = breeder.noise, breeder.factors(first.sigma), breeder.shapes
            key: dict[str, Any] = {"seed": breeder.seed, "generation": first.generation, "place": first.place}
            masked = self._present.keywords.get("indpb", 0.5) > 0
            cross_and_mutate(outs, group, *settings, **key, masked=masked, step=step)
            breeder.clip(outs)
        else:  # one by one: the pass takes only mutated children
            for turn, (child, out) in enumerate(zip(children, outs, strict=True)):
                turned = [*group[turn:], *group[:turn]]
                self.breed(breeder, (child,), turned if step is None else [*turned, step], (out,))


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
    resting : (int, int)
        The number of matrices, the first ones, that are mutated only in each so many-th generation: (3, 4) leaves three
        as they are in three of four generations.
    """

    step: float
    weights: RecombinationWeights = recombination_weights
    resting: tuple[int, int] = (0, 1)

    has_groups = False
    shares_parents = True

    @classmethod
    def of(cls, toolbox: base.Toolbox) -> AroundCentre:
        """Return the strategy of a toolbox with a ``step``."""
        registered = Registered.read(toolbox)
        return cls(registered.step, registered.recombination_weights or recombination_weights, registered.resting)

    @property
    def is_compiled(self) -> bool:
        """Whether there is a compiled pass: for children, and for the next centre."""
        return True

    def key(self) -> list[Any]:
        """Return the step and the matrices that rest."""
        return [float(self.step), *self.resting]

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
                resting = sum(map(math.prod, breeder.shapes[: self._at_rest(child.generation)]))
                out[:resting] = parents[0][:resting]

    def _at_rest(self, generation: int) -> int:
        """Return the number of matrices that are not mutated in a generation."""
        matrices, every = self.resting
        return matrices if generation % every else 0

    def _factors(self, breeder: Breeder, sigma: float | None, generation: int) -> NDArray[np.float32]:
        """Return `Breeder.factors` for a generation."""
        factors = breeder.factors(sigma).copy()
        factors[: self._at_rest(generation)] = 0
        return factors

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
            self._factors(breeder, first.sigma, first.generation),
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
            layers = unpacked_inputs(centre.inputs, breeder.shapes).items()
            key["skipped"] = [place for place, layer in layers if layer.changes is not None]  # these move by cases
            factors = self._factors(breeder, centre.sigma, centre.generation)
            recombine(out, before, breeder.noise, factors, breeder.shapes, **key)
            return
        # Summed in float64 in the order of the places, as the compiled `recombine` does it: the bits are the same.
        total, child = kept * before.astype(np.float64), empty_vector(before.size)
        for place, count in counts.items():
            self.breed(breeder, (Child(centre.generation, place, centre.parents, centre.sigma),), [before], (child,))
            total += np.multiply(child, count, dtype=np.float64)
        extrapolate(before, total / counted(counts.values(), kept), self.step, out)


def reproduction_of(toolbox: base.Toolbox) -> Reproduction:
    """Return the strategy of a toolbox: its ``reproduction`` if it has one, else by its ``step`` or its ``mate``.

    Raises
    ------
    TypeError
        If ``toolbox.reproduction`` is no `Reproduction`.
    """
    registered = Registered.read(toolbox)
    if registered.reproduction is not None:
        if not isinstance(registered.reproduction, Reproduction):
            raise TypeError(f"toolbox.reproduction must be a Reproduction, got {registered.reproduction!r}")
        return registered.reproduction
    return Pairs.of(toolbox) if registered.step is None else AroundCentre.of(toolbox)
