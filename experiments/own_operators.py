"""An operator of one's own in place of one of the preset `ga`, for ``experiments/baselines.py``.

It is registered as any operator of one's own: ``toolbox.register("mate", cxBlocks, size=256)``.
"""

from __future__ import annotations

import math

import numpy as np

from deap_nn import WeightList


def cxBlocks(*individuals: WeightList, size: int, rng: np.random.Generator) -> tuple[WeightList, ...]:
    """Exchange blocks of neighbouring weights at random: each child has each block from another parent.

    Parameters
    ----------
    *individuals : WeightList
        Two or more, of the same shapes; modified in place.
    size : int
        The number of weights in a block. Each matrix begins with a new one; its last one may be smaller.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    tuple of WeightList
        The same objects.
    """
    before = np.stack([individual.flat for individual in individuals])
    start = 0
    for shape in individuals[0].shapes:
        count = math.prod(shape)
        turns = rng.integers(len(individuals), size=-(-count // size)).repeat(size)[:count]
        columns = np.arange(start, start + count)
        for place, individual in enumerate(individuals):
            individual.flat[columns] = before[(turns + place) % len(individuals), columns]
        start += count
    return individuals
