"""Many small networks computed by one call, each in the bits that it has alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.seeding import Purpose, stream
from deap_nn.genome.layout import Layout
from deap_nn.genome.vectors import most_together
from deap_nn.models.tensorflow import keras, tf

VECTORISED = {
    *("InputLayer", "Dense", "Flatten", "Reshape", "Activation", "Dropout", "ReLU", "LeakyReLU", "Softmax", "Identity"),
    *("BatchNormalization", "Rescaling", "Normalization", "Concatenate", "Add", "Multiply", "Sequential", "Functional"),
}
"""The layers of models that are computed for a group of genomes at once; any other goes through it one by one."""


def is_vectorised(model: keras.Model) -> bool:
    """Return whether a group of genomes goes through a model at once."""
    return {type(layer).__name__ for layer in model._flatten_layers()} <= VECTORISED


TRIED = 32
"""How many genomes show whether groups can be computed at once."""


class GroupKernel:
    """The traced function that scores a group of genomes, each in the bits that it has alone.

    Where the network allows it all genomes are computed at once, in groups of such sizes as were seen to change no bit:
    a library's kernels are not the same for all sizes of matrices. If there is one that does, as for a network of few
    units, a loop goes through them, with the operations that a single one has.

    Parameters
    ----------
    trace : callable
        Returns tensors, in any structure, for the matrices of a network and what is given.
    layout : Layout
        Of the network.
    given : sequence
        A mini-batch, tensors in any structure.
    at_once : bool
        Whether the network allows that all are computed at once.
    """

    def __init__(self, trace: Callable[..., Any], layout: Layout, given: Sequence[Any], *, at_once: bool) -> None:
        self._trace, self._layout = trace, layout
        self._sizes: list[int] = []
        if at_once:
            self._kernel = self._traced(tf.vectorized_map, given)
            most = most_together(layout.size)
            powers = (1 << i for i in range(most.bit_length()))
            self._sizes = sorted({1, *powers, most, most // 2 * 2, most // 4 * 4} - {0}, reverse=True)
        if not at_once or not self._changes_no_bit(given):
            self._sizes = []
            self._kernel = self._traced(_in_a_loop, given)

    def __call__(self, genomes: Any, *given: Any) -> Any:
        """Return what was traced, as arrays with an axis more, for genomes of shape (genomes, weights), and a batch."""
        answers, start = [], 0
        while start < len(genomes):
            left = len(genomes) - start
            size = next(size for size in self._sizes if size <= left) if self._sizes else left
            some = genomes if size == len(genomes) else genomes[start : start + size]
            answers.append(tf.nest.map_structure(lambda tensor: tensor.numpy(), self._kernel(some, *given)))
            start += size
        return answers[0] if len(answers) == 1 else tf.nest.map_structure(lambda *a: np.concatenate(a), *answers)

    def _traced(self, over: Callable[..., Any], given: Sequence[Any]) -> Any:
        """Return the function of genomes and a batch that goes over the former in some way."""

        def trace(flats: Any, *given: Any) -> Any:
            def one(flat: Any) -> Any:
                parts = tf.split(flat, self._layout.sizes)
                shaped = zip(parts, self._layout.shapes, strict=True)
                return self._trace([tf.reshape(part, shape) for part, shape in shaped], *given)

            return over(one, flats)

        specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), list(given))
        genomes = tf.TensorSpec((None, self._layout.size))
        return tf.function(trace, autograph=False).get_concrete_function(genomes, *specs)

    def _changes_no_bit(self, given: Sequence[Any]) -> bool:
        """Return whether random genomes answer alike alone and in groups of each size, wherever in them."""
        count = min(TRIED, max(self._sizes))
        tried = stream(0, Purpose.OPERATORS, 0).standard_normal((count, self._layout.size), dtype=np.float32)
        tried *= np.geomspace(0.05, 0.5, count, dtype=np.float32)[:, None]  # small and large answers

        def answers(genomes: NDArray[np.float32], size: int) -> list[NDArray[Any]]:
            groups = [tf.constant(genomes[start : start + size]) for start in range(0, len(genomes), size)]
            columns = zip(*(tf.nest.flatten(self._kernel(group, *given)) for group in groups), strict=True)
            return [np.concatenate([tensor.numpy() for tensor in column]) for column in columns]

        alone = answers(tried, 1)
        for size in self._sizes:
            order = np.arange(-(-len(tried) // size) * size) % len(tried)
            pairs = zip(answers(tried[order], size), alone, strict=True)
            if any(together.tobytes() != single[order].tobytes() for together, single in pairs):
                return False
        return True


def _in_a_loop(trace: Callable[[Any], Any], flats: Any) -> Any:
    once = tf.function(trace, autograph=False).get_concrete_function(tf.TensorSpec((flats.shape[-1],)))
    signature = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), once.structured_outputs)
    return tf.map_fn(trace, flats, fn_output_signature=signature)


GROUPED_WEIGHTS = 1_000_000
"""Networks of fewer weights are scored many at a time."""
