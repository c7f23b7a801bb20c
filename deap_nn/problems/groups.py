"""Groups: one call computes many small networks, and each has the bits of a call of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.seeding import Purpose, stream
from deap_nn.genome.vectors import Layout, most_together
from deap_nn.models.tensorflow import keras, shared_tensor, tf, traced

VECTORISED = {
    *("InputLayer", "Dense", "CentredDense", "Flatten", "Reshape", "Activation", "Dropout", "Identity"),
    *("ReLU", "LeakyReLU", "Softmax", "BatchNormalization", "Rescaling", "Normalization"),
    *("Concatenate", "Add", "Multiply", "Sequential", "Functional"),
}
"""The layers that are computed for a group of genomes at once; with any other layer, genomes are computed in a loop."""


def is_vectorised(model: keras.Model) -> bool:
    """Return whether a model can be computed for a group of genomes at once."""
    return {type(layer).__name__ for layer in model._flatten_layers()} <= VECTORISED


TRIED = 32
"""The number of random genomes on which groups are compared with single genomes."""


class GroupKernel:
    """The traced function that scores a group of genomes, each with the bits of a group of one.

    If the network allows it, all genomes of a group are computed at once. Libraries choose another kernel for another
    size of matrix, which may change bits: so each size of group is compared with groups of one first. If one of the
    usual sizes changes a bit, as happens with networks of few units, a loop computes the genomes one after another,
    with the operations of a group of one. A group of another size that changes a bit is split into usual sizes.

    Parameters
    ----------
    trace : callable
        Returns tensors, in tuples and lists, for the matrices of a network and a mini-batch.
    layout : Layout
        The layout of the network's weights.
    given : sequence
        A mini-batch, tensors in any structure.
    at_once : bool
        Whether the network can be computed for all genomes of a group at once.
    """

    def __init__(self, trace: Callable[..., Any], layout: Layout, given: Sequence[Any], *, at_once: bool) -> None:
        self._trace, self._layout, self._given = trace, layout, given
        self._sizes: list[int] = []
        self._fits = {1: True}
        if at_once:
            self._kernel = self._traced(tf.vectorized_map)
            most = most_together(layout.size)
            powers = (1 << i for i in range(most.bit_length()))
            sizes = sorted({1, *powers, most, most // 2 * 2, most // 4 * 4} - {0}, reverse=True)
            self._tried = self._random(min(TRIED, sizes[0]))
            self._singles = self._outputs(self._tried, 1)
            if all(map(self._changes_no_bit, sizes)):
                self._sizes = sizes
        if not self._sizes:
            self._kernel = self._traced(_in_a_loop)

    def __call__(self, genomes: NDArray[np.float32], *given: Any) -> Any:
        """Return the traced tensors as arrays with a first axis of genomes, for genomes of shape (genomes, weights)."""
        outputs, start = [], 0
        while start < len(genomes):
            size = self._size(len(genomes) - start)
            outputs.append(self._kernel(shared_tensor(genomes[start : start + size]), *given))
            start += size
        return _joined(outputs)

    def _size(self, left: int) -> int:
        """Return the size of the next group: all genomes that are left if possible, or else the largest size tried."""
        if not self._sizes or (left <= self._sizes[0] and self._changes_no_bit(left)):
            return left
        return next(size for size in self._sizes if size <= left)

    def _traced(self, over: Callable[..., Any]) -> Any:
        """Return the traced function of genomes and a mini-batch, in which `over` maps the network over the genomes."""

        def trace(flats: Any, *given: Any) -> Any:
            def one(flat: Any) -> Any:
                parts = tf.split(flat, self._layout.sizes)
                shaped = zip(parts, self._layout.shapes, strict=True)
                return self._trace([tf.reshape(part, shape) for part, shape in shaped], *given)

            return over(one, flats)

        specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), list(self._given))
        genomes = tf.TensorSpec((None, self._layout.size))
        return traced(trace, genomes, *specs)

    def _random(self, count: int) -> NDArray[np.float32]:
        """Return random genomes, shape (count, weights)."""
        made = stream(0, Purpose.OPERATORS, 0).standard_normal((count, self._layout.size), dtype=np.float32)
        made *= np.geomspace(0.05, 0.5, count, dtype=np.float32)[:, None]  # small and large outputs
        return made

    def _outputs(self, genomes: NDArray[np.float32], size: int) -> list[NDArray[Any]]:
        """Return the outputs of genomes that are computed in groups of a size."""
        groups = [tf.constant(genomes[start : start + size]) for start in range(0, len(genomes), size)]
        columns = zip(*(tf.nest.flatten(self._kernel(group, *self._given)) for group in groups), strict=True)
        return [np.concatenate([tensor.numpy() for tensor in column]) for column in columns]

    def _changes_no_bit(self, size: int) -> bool:
        """Return whether random genomes have the same outputs in groups of a size as in groups of one."""
        if size not in self._fits:
            count = len(self._tried)
            order = np.arange(-(-count // size) * size) % count  # the first genomes fill up the last group
            pairs = zip(self._outputs(self._tried[order], size), self._singles, strict=True)
            self._fits[size] = all(together.tobytes() == single[order].tobytes() for together, single in pairs)
        return self._fits[size]


def _joined(outputs: Sequence[Any]) -> Any:
    """Return the tensors of several calls as arrays, joined along the first axis, in the structure of one call."""
    if isinstance(outputs[0], tuple | list):
        return [_joined(column) for column in zip(*outputs, strict=True)]
    arrays = [tensor.numpy() for tensor in outputs]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _in_a_loop(trace: Callable[[Any], Any], flats: Any) -> Any:
    # `map_fn` wants the types of the outputs beforehand, which only a trace of one genome shows.
    once = tf.function(trace, autograph=False).get_concrete_function(tf.TensorSpec((flats.shape[-1],)))
    signature = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), once.structured_outputs)
    return tf.map_fn(trace, flats, fn_output_signature=signature)


GROUPED_WEIGHTS = 1_000_000
"""Networks with fewer weights than this are scored in groups."""
