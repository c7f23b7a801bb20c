"""An operator of one's own in place of one of the preset `ga`, for ``experiments/baselines.py``.

It is registered as any operator of one's own: ``toolbox.register("mate", cxNoise)``.
"""

from __future__ import annotations

import numpy as np

from deap_nn import WeightList


def cxNoise(*individuals: WeightList, rng: np.random.Generator) -> tuple[WeightList, ...]:
    """Replace individuals by Gaussian noise with the mean and the variance that they have in each weight.

    These are the mean and the variance of the children of `cxScanning`, of which each weight is that of some parent.

    Parameters
    ----------
    *individuals : WeightList
        Two or more, of the same shapes; modified in place.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    tuple of WeightList
        The same objects.
    """
    before = np.stack([individual.flat for individual in individuals])
    mean, deviation = before.mean(axis=0), before.std(axis=0)
    for individual in individuals:
        individual.flat[:] = mean + deviation * rng.standard_normal(mean.size, dtype=np.float32)
    return individuals
