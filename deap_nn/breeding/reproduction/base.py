"""The base of all strategies: how the children of a generation come from the members of the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from deap import base
from numpy.typing import NDArray

from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.kinds import Child
from deap_nn.core.seeding import seeded, takes
from deap_nn.genome.vectors import Halves, Vector, Vectors, moved_along
from deap_nn.operators.describe import settings_of
from deap_nn.operators.ranking import RecombinationWeights
from deap_nn.operators.selection import Mirror, operator_of

Siblings = tuple[int, Sequence[Child]]
"""The index of the first of some siblings side by side, and their recipes."""


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
            With ``select``. If it takes ``mirror``, it gets that.
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
        drawn = (partial(select, mirror=mirror) if takes(toolbox.select, "mirror") else select)(
            population, len(population)
        )
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

    def breed_many(
        self, breeder: Breeder, runs: Sequence[Siblings], found: Mapping[int, Any], outs: NDArray[np.float32]
    ) -> int:
        """Write the first ones of some runs of siblings in one pass; return the number of runs that it has written.

        Parameters
        ----------
        breeder : Breeder
            The settings of the run.
        runs : sequence of tuple
            The index in `outs` of the first child of each run, and the recipes of its children.
        found : mapping
            The genomes of all parents by their ids.
        outs : numpy.ndarray
            The output, shape (children, n), float32.
        """
        return 0

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
