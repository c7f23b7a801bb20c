"""Steps along the inputs of dense layers, and the bytes that hold these inputs and the changes by cases."""

import math

import numpy as np
import pytest

from deap_nn.genome.layer_inputs import (
    directions,
    inputs_of_centre,
    packed_inputs,
    spread_in,
    unpacked_inputs,
    with_changes,
)
from deap_nn.genome.weight_list import WeightList
from deap_nn.operators.compiled import common
from deap_nn.operators.compiled.projection import project

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


def changes_of(samples=20, seed=3):
    return {2: np.random.default_rng(seed).standard_normal((samples, 150))}


def test_a_step_goes_along_the_inputs_and_by_the_changes_if_there_are_any():
    centre, moved = genomes()
    before, packed = moved.copy(), with_changes(packed_inputs(inputs_of()), changes_of(), 0.5)
    project(moved, centre, SHAPES, packed)
    layers = unpacked_inputs(packed, SHAPES)
    changed, plain = layers[2].inputs.T @ layers[2].changes, layers[4].inputs @ kernel(before - centre, 4)
    np.testing.assert_allclose(kernel(moved - centre, 2), changed, atol=1e-5)
    np.testing.assert_allclose(kernel(moved - centre, 4), layers[4].inputs.T @ plain, atol=1e-5)
    for place in (0, 1, 3, 5):
        assert np.array_equal(kernel(moved, place), kernel(before, place))


@pytest.mark.parametrize("samples", [20, 21, 1])
def test_all_sums_are_made_in_the_order_of_inputs_and_of_samples(samples):
    """A replayed run has the same bytes only if it does: float32 sums in another order have others."""
    centre, moved = genomes()
    packed, expected = packed_inputs(inputs_of(samples)), moved.copy()
    for place, (rows, _) in unpacked_inputs(packed, SHAPES).items():
        after, before = kernel(expected, place), kernel(centre, place)
        step, sums, total = after - before, np.zeros((samples, after.shape[1]), np.float32), np.zeros_like(after)
        for i in range(len(step)):
            sums += rows[:, i, None] * step[i]
        for k in range(samples):
            total += rows[k][:, None] * sums[k]
        after[...] = before + total
    project(moved, centre, SHAPES, packed)
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
    rows = directions(np.concatenate([whole, other]))
    assert np.array_equal(rows[:20], directions(whole))
    assert not rows[20:].any()


def test_directions_are_the_inputs_less_their_mean_and_a_small_one_stays_small():
    values = inputs_of()[2]
    values[0] = values[1:].mean(axis=0) + 1e-3
    found = directions(values)
    wanted = values - values.mean(axis=0)
    norms = np.linalg.norm(wanted, axis=1)
    wanted /= (norms + 0.1 * norms.mean())[:, None]
    np.testing.assert_allclose(found, wanted / np.linalg.svd(wanted, compute_uv=False)[0], atol=1e-12)
    assert np.linalg.norm(found[0]) < 0.1 * np.linalg.norm(found[1])


def test_many_samples_of_few_inputs_add_up_to_no_longer_step():
    values = np.random.default_rng(1).standard_normal((200, 3))
    for samples in (10, 200):
        rows = directions(values[:samples])
        assert np.linalg.norm(rows.T @ rows, 2) == pytest.approx(1)


@pytest.mark.parametrize("samples", [10, 200])
def test_by_rank_the_rows_are_an_orthonormal_basis_of_the_inputs(samples):
    values = np.random.default_rng(1).standard_normal((samples, 30))
    centre = WeightList([np.zeros((30, 2), np.float32)])
    packs = [
        inputs_of_centre(lambda *_, **words: packed_inputs({0: values}), centre, 1, map, by_cases=by_cases)
        for by_cases in (True, False)
    ]
    assert packs[0] == packed_inputs({0: values})
    rows = unpacked_inputs(packs[1], centre.shapes)[0].inputs
    deviations = values - values.mean(axis=0)
    onto = np.linalg.pinv(deviations) @ deviations
    np.testing.assert_allclose(rows.T @ rows, onto, atol=0.03)  # integers of 8 bits
    assert np.linalg.matrix_rank(rows) == min(samples - 1, 30)


def test_a_pack_holds_the_inputs_the_changes_and_the_spread():
    inputs, changes = inputs_of(), changes_of()
    packed = packed_inputs(inputs)
    assert (spread_in(packed), spread_in(b"")) == (0, 0)
    packed = with_changes(packed, changes, 0.25)
    assert spread_in(packed) == 0.25
    found = unpacked_inputs(packed, SHAPES)
    assert list(found) == [2, 4]
    assert found[4].changes is None
    for rows, wanted in ((found[2].inputs, directions(inputs[2])), (found[2].changes, changes[2])):
        assert rows.dtype == np.float32
        assert (np.abs(rows - wanted).max(axis=1) <= np.abs(wanted).max(axis=1) / 253).all()


def test_what_does_not_fit_is_refused():
    packed = packed_inputs(inputs_of())
    changed = with_changes(packed, changes_of(), 1.0)
    for content in (packed[:10], packed[:-1], packed[: 24 + 80 + 4000 + 3], changed[:-1], packed + changed[8:]):
        with pytest.raises(ValueError, match="layer inputs do not fit"):
            unpacked_inputs(content, SHAPES)
    for shapes in (SHAPES[:2], (*SHAPES[:2], (200,)), ((200, 150), *SHAPES[:2])):
        with pytest.raises(ValueError, match="layer inputs do not fit"):
            unpacked_inputs(packed, shapes)
    for changes, wrong in ((changes_of(19), "changes of 19 samples for 20"), ({0: np.ones((20, 8))}, "for matrix 0")):
        with pytest.raises(ValueError, match=wrong):
            unpacked_inputs(with_changes(packed, changes, 1.0), SHAPES)
    centre, moved = genomes()
    with pytest.raises(ValueError, match=f"a genome must have {SIZE} weights, got {SIZE - 1} and {SIZE}"):
        project(moved[1:], centre, SHAPES, packed)
