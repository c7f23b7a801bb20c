"""Operators of one's own in place of those of the preset `ga`, for ``experiments/baselines.py``.

Both are registered as any operator of one's own: ``toolbox.register("mate", cxBlocks, size=256)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from deap.base import Toolbox

from deap_nn import Adaptation, WeightList, mutGaussianAdaptive
from deap_nn.callbacks.base import Callback, Evolution

SPREAD = 0.5
"""The standard deviation of the logarithm of a child's own factor of each matrix."""


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


class LearntNoise(Callback):
    """A mutation whose noise in each matrix is larger where the fitter children had more of it.

    Each child has a factor of its own for each matrix, ``exp(log + SPREAD * z)`` with a standard normal ``z``. After a
    generation ``log`` moves by ``rate * SPREAD`` times the weighted mean of ``z`` over the children. The weights go by
    the logarithm of the rank, and the worse half counts against the better one. The mean of ``log`` over the matrices
    stays 0: the preset's own adaptation decides how large the noise is on the whole.

    Register it as ``mutate``, add it to the callbacks, and call ``evolve(..., breeding="plain")`` with
    ``mutpb=1``: it reads the ``z`` that it has left in each child.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Its `mutGaussianAdaptive` adds the noise.
    rate : float
        How far ``log`` moves, 0 or more.

    References
    ----------
    D. Wierstra, T. Schaul, T. Glasmachers, Y. Sun, J. Peters and J. Schmidhuber, "Natural evolution strategies",
    Journal of Machine Learning Research 15, 2014 (there a log-normal step for each weight, here for each matrix).
    """

    def __init__(self, toolbox: Toolbox, rate: float) -> None:
        words, count = toolbox.mutate.keywords, len(toolbox.layout)
        self._noise, self._rate = words["noise"], rate
        self._scale = np.ones(count) if words["scale"] is None else np.array(words["scale"])
        self.log = np.zeros(count)

    def __call__(self, individual: Any, *, sigma: float | Adaptation, rng: np.random.Generator) -> tuple[Any]:
        """Mutate an individual in place, and keep its ``z`` in the attribute ``steps``."""
        individual.steps = rng.standard_normal(len(self.log))
        scale = self._scale * np.exp(self.log + SPREAD * individual.steps)
        return mutGaussianAdaptive(individual, sigma=sigma, scale=scale.tolist(), noise=self._noise, rng=rng)

    def on_generation(self, evolution: Evolution) -> None:
        """Learn from the generation that was scored."""
        if evolution.generation:
            self.learn(evolution.population)

    def learn(self, population: Sequence[Any]) -> None:
        """Move the factors towards those of the fitter members."""
        ranked = sorted(population, key=lambda member: member.fitness, reverse=True)
        if not all(hasattr(member, "steps") for member in ranked):
            raise ValueError("learnt noise needs breeding='plain', and mutpb=1")
        self.log += self._rate * SPREAD * rank_weights(len(ranked)) @ np.array([member.steps for member in ranked])
        self.log -= self.log.mean()


def rank_weights(count: int) -> np.ndarray:
    """Return weights, best first, by the logarithm of the rank: their sum is 0, that of the positive ones 1."""
    raw = math.log((count + 1) / 2) - np.log(np.arange(1, count + 1))
    raw = np.maximum(raw, 0)
    weights: np.ndarray = raw / raw.sum() - raw[::-1] / raw.sum()
    return weights


def with_blocks(toolbox: Toolbox, size: int, mates: int) -> None:
    """Register the crossover in blocks."""
    toolbox.register("mate", cxBlocks, size=size)
    toolbox.mates = mates


def with_learnt_noise(toolbox: Toolbox, rate: float) -> LearntNoise:
    """Register a mutation that learns, and return it: a callback too."""
    learning = LearntNoise(toolbox, rate)
    toolbox.register("mutate", learning, sigma=toolbox.mutate.keywords["sigma"])
    return learning
