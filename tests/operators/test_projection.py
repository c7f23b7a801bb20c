"""The projection of a step onto the inputs of dense layers, and the bytes that hold these inputs."""

import math

import numpy as np
import pytest

from deap_nn.genome.layer_inputs import packed_inputs, unpacked_inputs
from deap_nn.operators.compiled import common
from deap_nn.operators.compiled.projection import RIDGE, _solve, project

SHAPES = ((4, 4, 1, 8), (8,), (200, 150), (150,), (150, 3), (3,))
STARTS = np.cumsum([0, *map(math.prod, SHAPES)])
SIZE = int(STARTS[-1])


def kernel(genome, place):
    return genome[STARTS[place] : STARTS[place + 1]].reshape(SHAPES[place])


def genomes(seed=1):
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal(SIZE, dtype=np.float32)
    return centre, centre + rng.standard_normal(SIZE, dtype=np.float32) / 8


def inputs_of(samples=20, seed=2):
    rng = np.random.default_rng(seed)
    return {2: rng.standard_normal((samples, 200)) + 3, 4: np.maximum(rng.standard_normal((samples, 150)), 0)}


def test_the_step_of_each_kernel_becomes_its_part_along_the_inputs():
    centre, moved = genomes()
    before, inputs = moved.copy(), inputs_of()
    packed = packed_inputs(inputs)
    project(moved, centre, SHAPES, packed)
    for place, rows in unpacked_inputs(packed, SHAPES).items():
        step, made = kernel(before - centre, place), kernel(moved - centre, place)
        x = rows.astype(np.float64)
        inner = x @ x.T
        inner += RIDGE * np.trace(inner) / len(inner) * np.eye(len(inner))
        np.testing.assert_allclose(made, x.T @ np.linalg.solve(inner, x @ step), atol=1e-5)
        given = inputs[place] - inputs[place].mean(axis=0)
        assert np.linalg.norm(given @ made - given @ step) < 0.05 * np.linalg.norm(given @ step)
        assert np.linalg.norm(made) < 0.5 * np.linalg.norm(step)
    for place in (0, 1, 3, 5):
        assert np.array_equal(kernel(moved, place), kernel(before, place))


@pytest.mark.parametrize(("samples", "stride"), [(20, 1.0), (21, 2.0), (1, 2.0)])
def test_all_sums_are_made_in_the_order_of_inputs_and_of_samples(samples, stride):
    """A replayed run has the same bytes only if it does: float32 sums in another order have others."""
    centre, moved = genomes()
    packed, expected = packed_inputs(inputs_of(samples)), moved.copy()
    for place, rows in unpacked_inputs(packed, SHAPES).items():
        after, before, columns = kernel(expected, place), kernel(centre, place), rows.astype(np.float32)
        step, sums = after - before, np.zeros((samples, after.shape[1]), np.float32)
        for i in range(len(step)):
            sums += columns[:, i, None] * step[i]
        inner = rows.astype(np.float64) @ rows.T.astype(np.float64)
        ridge, shares = RIDGE * np.trace(inner) / samples, stride * sums.astype(np.float64)
        _solve(inner + ridge * np.eye(samples), shares)
        total = np.zeros_like(after)
        for k in range(samples):
            total += columns[k][:, None] * shares[k].astype(np.float32)
        after[...] = before + total if ridge > 0 else before
    project(moved, centre, SHAPES, packed, stride=stride)
    assert moved.tobytes() == expected.tobytes()


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    packed, found = packed_inputs(inputs_of()), []
    for processors in (1, 3):
        monkeypatch.setattr(common, "LARGE", 1)
        monkeypatch.setattr(common, "processors", lambda count=processors: count)
        centre, moved = genomes()
        project(moved, centre, SHAPES, packed)
        found.append(moved.tobytes())
    assert found[0] == found[1]


def test_without_inputs_a_step_stays_as_it_is():
    centre, moved = genomes()
    before = moved.copy()
    project(moved, centre, SHAPES, b"")
    assert moved.tobytes() == before.tobytes()


@pytest.mark.parametrize("value", [0.0, 5.0, np.nan, np.inf])
def test_a_layer_with_the_same_inputs_for_all_samples_does_not_move(value):
    centre, moved = genomes()
    before = moved.copy()
    project(moved, centre, SHAPES, packed_inputs({2: np.full((7, 200), value)}))
    assert np.array_equal(kernel(moved, 2), kernel(centre, 2))
    assert np.array_equal(kernel(moved, 4), kernel(before, 4))


def test_a_sample_that_is_not_finite_counts_as_none():
    whole, other = inputs_of()[2], inputs_of(seed=3)[2][:2]
    other[0, 5], other[1, 7] = np.nan, np.inf
    packed = packed_inputs({2: np.concatenate([whole, other])})
    rows = unpacked_inputs(packed, SHAPES)[2]
    assert np.array_equal(rows[:20], unpacked_inputs(packed_inputs({2: whole}), SHAPES)[2])
    assert not rows[20:].any()


def test_packed_inputs_have_the_directions_of_the_inputs_less_their_mean():
    inputs = inputs_of()
    found = unpacked_inputs(packed_inputs(inputs), SHAPES)
    assert list(found) == [2, 4]
    for place, rows in found.items():
        assert (np.abs(rows).max(axis=1) == 127).all()
        wanted = inputs[place] - inputs[place].mean(axis=0)
        wanted *= 127 / np.abs(wanted).max(axis=1, keepdims=True)
        assert np.abs(rows - wanted).max() <= 0.5 + 1e-9


def test_what_does_not_fit_is_refused():
    packed = packed_inputs(inputs_of())
    for content in (packed[:5], packed[:-1], packed[: 8 + 4000 + 3]):
        with pytest.raises(ValueError, match="layer inputs do not fit"):
            unpacked_inputs(content, SHAPES)
    for shapes in (SHAPES[:2], (*SHAPES[:2], (200,)), ((200, 150), *SHAPES[:2])):
        with pytest.raises(ValueError, match="layer inputs do not fit"):
            unpacked_inputs(packed, shapes)
    with pytest.raises(ValueError, match="200 samples of 200 inputs for matrix 2"):
        unpacked_inputs(packed_inputs({2: np.ones((200, 200))}), SHAPES)
    with pytest.raises(ValueError, match="inputs for matrix 2"):
        unpacked_inputs(packed_inputs({2: inputs_of()[2]}) * 2, SHAPES)
    centre, moved = genomes()
    with pytest.raises(ValueError, match=f"a genome must have {SIZE} weights, got {SIZE - 1} and {SIZE}"):
        project(moved[1:], centre, SHAPES, packed)


def test_a_stride_is_a_factor_on_the_projected_step():
    rng, shapes = np.random.default_rng(1), ((30, 7), (7,))
    before, after = rng.standard_normal((2, 217), dtype=np.float32)
    packed = packed_inputs({0: rng.standard_normal((5, 30))})
    once, twice = after.copy(), after.copy()
    project(once, before, shapes, packed)
    project(twice, before, shapes, packed, stride=2.0)
    np.testing.assert_allclose((twice - before)[:210], 2 * (once - before)[:210], rtol=1e-4, atol=1e-5)
    assert twice[210:].tobytes() == once[210:].tobytes() == after[210:].tobytes()
