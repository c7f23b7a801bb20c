"""Arrays become tensors: aligned weights are read where they are, and a mini-batch copies no more than itself."""

import tracemalloc

import numpy as np
import pytest

from deap_nn.genome.vectors import empty_vector
from deap_nn.models.tensorflow import gathered_tensor, shared_tensor


def test_aligned_weights_are_read_where_they_are():
    weights = empty_vector(100)
    weights[:] = 1
    for array, shared in ((weights, True), (weights[1:], False)):
        tensor = shared_tensor(array)
        array[0] = 5
        assert tensor.numpy()[0] == (5 if shared else 1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int64", ">i4", "bool"])
def test_gathered_elements_are_those_at_the_indices(dtype):
    array = np.arange(1, 61).astype(dtype).reshape(10, 3, 2)
    indices = np.array([7, 0, 7, 3])
    for given in (array, array[:, ::-1], array.transpose(0, 2, 1)):
        tensor = gathered_tensor(given, indices)
        assert (tensor.dtype.name, tensor.numpy().tolist()) == (given.dtype.name, given[indices].tolist())
    before = gathered_tensor(array, indices)
    array[7] = 0
    assert before.numpy()[0].any()  # a copy: the user's array may change


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_mini_batch_copies_no_more_than_itself(order):
    array = np.zeros((100_000, 20), np.float32, order=order)
    tracemalloc.start()
    try:
        gathered_tensor(array, np.arange(64))
        assert tracemalloc.get_traced_memory()[1] < array.nbytes / 100
    finally:
        tracemalloc.stop()
