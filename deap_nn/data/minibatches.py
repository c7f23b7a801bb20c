"""Mini-batches: the indices of training samples, by the number of the mini-batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.seeding import Purpose, stream


@dataclass(frozen=True, eq=False)
class Strata:
    """The classes of training samples, for stratified mini-batches.

    Parameters
    ----------
    codes : numpy.ndarray
        The number of each sample's class, from 0; shape (samples,).
    counts : numpy.ndarray
        The number of samples in each class; shape (classes,).
    """

    codes: NDArray[np.intp]
    counts: NDArray[np.intp]

    @classmethod
    def of(cls, targets: NDArray[np.generic]) -> Strata | None:
        """Return the classes of targets; None if they are no classes.

        Classes are integers or truth values of shape (samples,) or (samples, 1), also as whole floats, or one-hot rows.
        """
        if targets.ndim == 2 and targets.shape[1] > 1:
            are_classes = np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all()
            labels = targets.argmax(axis=1)
        else:
            is_float = np.issubdtype(targets.dtype, np.floating)
            are_classes = targets.size == len(targets) and (not is_float or (targets == np.floor(targets)).all())
            labels = targets.reshape(-1)
        if not are_classes:
            return None
        _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        return cls(codes.reshape(-1), counts)

    def spread_out(self, order: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
        """Return a random order of the samples in which each class comes at even distances, and else as before."""
        codes = self.codes[order]
        by_class = np.argsort(codes, kind="stable")
        rank = np.empty(len(order))
        rank[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(self.counts) - self.counts, self.counts)
        places = (rank + rng.random(len(self.counts))[codes]) / self.counts[codes]
        return order[np.argsort(places, kind="stable")]


def batch_indices(
    seed: int, number: int, batch_size: int, samples: int, strata: Strata | None = None
) -> NDArray[np.intp]:
    """Return the indices of the samples of a mini-batch, by its number from 0; shape (batch_size,).

    The mini-batches pass through the whole training part repeatedly, each epoch in a new order. With `strata` each
    mini-batch has nearly as many samples of each class as its share of all samples.

    Examples
    --------
    >>> epoch = np.concatenate([batch_indices(1, number, 2, 6) for number in range(3)])
    >>> sorted(epoch.tolist())
    [0, 1, 2, 3, 4, 5]
    >>> labels = np.array([0, 0, 1, 1, 2, 2])
    >>> [sorted(labels[batch_indices(1, number, 3, 6, Strata.of(labels))].tolist()) for number in range(2)]
    [[0, 1, 2], [0, 1, 2]]
    """
    start, stop = number * batch_size, (number + 1) * batch_size
    epochs = [(epoch, epoch * samples) for epoch in range(start // samples, -(-stop // samples))]
    return np.concatenate(
        [_epoch_order(seed, epoch, samples, strata)[max(0, start - first) : stop - first] for epoch, first in epochs]
    )


@lru_cache(maxsize=4)  # an epoch has many mini-batches
def _epoch_order(seed: int, epoch: int, samples: int, strata: Strata | None) -> NDArray[np.intp]:
    rng = stream(seed, Purpose.EPOCH, epoch)
    order = rng.permutation(samples)
    return order if strata is None else strata.spread_out(order, rng)
