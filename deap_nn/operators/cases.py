"""Steps by cases: each sample of a mini-batch weighs the children by its own loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 4
"""The number of children that are summed together: tasks hold whole blocks, so their sizes change no bit of a sum."""

MEMORY = 0.9
"""The share of its former value that the running mean of the spread keeps in each generation."""


class Scored(NamedTuple):
    """The fitness of an individual, with what a step by cases needs of it.

    Parameters
    ----------
    values : tuple of float
        The fitness.
    losses : numpy.ndarray
        The loss of each sample, shape (samples,), float32.
    products : mapping of int to numpy.ndarray
        The product of the directions of a layer's inputs and its kernel, shape (samples, units), float32, by the index
        of the kernel.
    answers : numpy.ndarray or None
        The predicted class of each sample, shape (samples,), bytes; None if the network predicts no classes.
    """

    values: tuple[float, ...]
    losses: NDArray[np.float32]
    products: Mapping[int, NDArray[np.float32]]
    answers: NDArray[np.uint8] | None = None


class Counted(NamedTuple):
    """The fitness and losses of an individual, with the sums over the block that it begins.

    Parameters
    ----------
    values, losses, answers
        As in `Scored`.
    sums : mapping of int to (numpy.ndarray, numpy.ndarray)
        The sum of a layer's products times the losses, and that of the products, by the index of the kernel. Only the
        first individual of a block has them.
    """

    values: tuple[float, ...]
    losses: NDArray[np.float32]
    sums: Mapping[int, tuple[NDArray[np.float32], NDArray[np.float32]]] | None = None
    answers: NDArray[np.uint8] | None = None


def _counts(one: Scored | Counted) -> bool:
    return bool(np.isfinite(one.losses).all())


def in_blocks(scored: Sequence[Scored]) -> list[Counted]:
    """Return individuals with the sums of each block of `BLOCK`, in which one with a loss that is not finite lacks."""
    counted = [Counted(one.values, one.losses, answers=one.answers) for one in scored]
    for start in range(0, len(scored), BLOCK):
        block, sums = list(filter(_counts, scored[start : start + BLOCK])), {}
        for place in block[0].products if block else ():
            weighted, plain = (np.zeros_like(block[0].products[place]) for _ in range(2))
            for one in block:
                weighted += one.losses[:, None] * one.products[place]
                plain += one.products[place]
            sums[place] = weighted, plain
        counted[start] = counted[start]._replace(sums=sums)
    return counted


def step_by_cases(
    counted: Sequence[Counted], step: float, spread: float
) -> tuple[dict[int, NDArray[np.float64]], float]:
    r"""Return the change that each sample asks of the outputs of dense layers, and the running mean of the spread.

    Sample :math:`i` weighs child :math:`k` by its loss :math:`L_{ki}`: :math:`w_{ki} = -(L_{ki} - \bar L_i)/(N s)`. The
    mean is over the `N` children, and all samples have one spread :math:`s`, so that one that is solved counts little.
    It asks a layer with the kernels :math:`W_k` for the change :math:`\sum_k w_{ki} u_i W_k` along its direction
    :math:`u_i`. The weights of a sample sum to 0: what all kernels have in common drops out.

    Parameters
    ----------
    counted : sequence of Counted
        The children in their order.
    step : float
        The factor on the changes.
    spread : float
        The running mean so far, or 0. The spread is the root mean square of all deviations of losses from the mean of
        their sample, but at least this mean: a mini-batch that nearly all children solve moves little.

    Returns
    -------
    tuple of (dict, float)
        The changes, shape (samples, units), by the index of the kernel; and the running mean.

    References
    ----------
    L. Spector, "Assessment of problem modality by differential performance of lexicase selection in genetic
    programming", GECCO 2012 (each case selects for itself).
    """
    losses = np.array([one.losses for one in counted if _counts(one)], np.float64)
    if not len(losses):
        return {}, spread
    mean = losses.mean(axis=0)
    rms = float(np.sqrt(((losses - mean) ** 2).mean()))
    spread = MEMORY * spread + (1 - MEMORY) * rms if spread else rms
    scale = step / (len(losses) * max(rms, spread)) if spread else 0.0
    blocks = [one.sums for one in counted if one.sums]
    changes: dict[int, NDArray[np.float64]] = {}
    for place in blocks[0]:
        weighted, plain = (sum((block[place][i].astype(np.float64) for block in blocks), start=0.0) for i in (0, 1))
        changes[place] = np.nan_to_num((mean[:, None] * plain - weighted) * scale, posinf=0.0, neginf=0.0)
    return changes, spread
