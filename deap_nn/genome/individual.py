"""The default fitness and individual of a toolbox."""

from __future__ import annotations

from collections.abc import Iterable

from deap import base
from numpy.typing import ArrayLike

from deap_nn.genome.weight_list import WeightList


class FitnessMin(base.Fitness):  # type: ignore[misc]  # DEAP has no types
    """A fitness of one value that is minimised."""

    weights = (-1.0,)


class Individual(WeightList):
    """A genome with a `FitnessMin`; it needs no ``creator`` and pickles by its name."""

    def __init__(self, matrices: Iterable[ArrayLike] = ()) -> None:
        super().__init__(matrices)
        self.fitness = FitnessMin()
