"""Steps by cases: the sums over blocks, the changes against a plain loop, and the direction of the loss' gradient."""

import numpy as np
import pytest

from deap_nn.genome.layer_inputs import directions
from deap_nn.operators.cases import BLOCK, Scored, in_blocks, step_by_cases

CHILDREN, SAMPLES = 10, 7


def children(seed=1, count=CHILDREN, samples=SAMPLES):
    """Return random directions, kernels of two layers and losses."""
    rng = np.random.default_rng(seed)
    rows = {0: directions(rng.random((samples, 12))), 2: directions(rng.random((samples, 5)))}
    kernels = {0: rng.standard_normal((count, 12, 5)), 2: rng.standard_normal((count, 5, 3))}
    return rows, kernels, rng.random((count, samples)).astype(np.float32)


def scored(rows, kernels, losses):
    return [
        Scored((float(own.mean()),), own, {place: (rows[place] @ kernels[place][k]).astype("f4") for place in rows})
        for k, own in enumerate(losses)
    ]


def test_the_changes_are_those_of_a_loop_over_children_and_cases():
    rows, kernels, losses = children()
    changes, spread = step_by_cases(in_blocks(scored(rows, kernels, losses)), 2.0, 0.0)
    mean = losses.astype(np.float64).mean(axis=0)
    assert spread == pytest.approx(np.sqrt(((losses - mean) ** 2).mean()))
    for place, found in changes.items():
        centre, expected = kernels[place].mean(axis=0), np.zeros(found.shape)
        for i in range(SAMPLES):
            for k in range(CHILDREN):
                weight = -(losses[k, i] - mean[i]) / (CHILDREN * spread)
                expected[i] += 2.0 * weight * rows[place][i] @ (kernels[place][k] - centre)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_block_begins_at_each_fourth_child():
    counted = in_blocks(scored(*children()))
    assert [place for place, one in enumerate(counted) if one.sums] == [0, BLOCK, 2 * BLOCK]
    again = in_blocks(scored(*children())[:BLOCK]) + in_blocks(scored(*children())[BLOCK:])
    whole, parts = (step_by_cases(each, 1.0, 0.0)[0][0].tobytes() for each in (counted, again))
    assert whole == parts


def test_a_solved_case_has_no_pull():
    rows, kernels, losses = children()
    losses[:, 3] = 0.25  # for all children alike
    changes, _ = step_by_cases(in_blocks(scored(rows, kernels, losses)), 1.0, 0.0)
    for found in changes.values():
        assert np.abs(found[3]).max() < 1e-6 < 1e-3 < np.abs(found[2]).max()


def test_equal_losses_move_nothing_and_a_small_spread_moves_little():
    rows, kernels, losses = children()
    changes, spread = step_by_cases(in_blocks(scored(rows, kernels, np.ones_like(losses))), 1.0, 0.0)
    assert spread == 0
    assert not any(found.any() for found in changes.values())
    counted = in_blocks(scored(rows, kernels, losses))
    usual, spread = step_by_cases(counted, 1.0, 0.0)
    slow, running = step_by_cases(counted, 1.0, 10 * spread)
    assert running == pytest.approx(0.9 * 10 * spread + 0.1 * spread)
    np.testing.assert_allclose(slow[0] * running, usual[0] * spread)
    quick, running = step_by_cases(counted, 1.0, spread / 10)
    assert running < spread
    assert np.array_equal(quick[0], usual[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("left", [CHILDREN - 1, 0])
def test_a_child_with_a_case_that_is_not_finite_counts_nowhere(value, left):
    rows, kernels, losses = children()
    counted = in_blocks(scored(rows, kernels, np.concatenate([losses[:left], np.full_like(losses[left:], value)])))
    assert len(counted) == CHILDREN
    if not left:
        assert step_by_cases(counted, 1.0, 0.5) == ({}, 0.5)
        return
    expected = step_by_cases(in_blocks(scored(rows, kernels, losses[:left])), 1.0, 0.0)
    found = step_by_cases(counted, 1.0, 0.0)
    assert found[1] == expected[1]
    assert all(np.array_equal(found[0][place], expected[0][place]) for place in rows)


def test_with_many_children_the_step_has_the_direction_of_the_gradient_of_the_mean_loss():
    """Softmax regression on random classes, whose gradient is known."""
    rng = np.random.default_rng(3)
    x, labels, centre = (
        rng.standard_normal((SAMPLES, 20)),
        rng.integers(0, 4, SAMPLES),
        rng.standard_normal((20, 4)) / 9,
    )
    x -= x.mean(axis=0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)

    def losses(kernel):
        outputs = x @ kernel
        return np.log(np.exp(outputs).sum(axis=1)) - outputs[np.arange(SAMPLES), labels]

    kernels = centre + 0.01 * rng.standard_normal((20_000, 20, 4))
    rows = directions(x)
    each = [Scored((0.0,), losses(kernel).astype("f4"), {0: (rows @ kernel).astype("f4")}) for kernel in kernels]
    step = rows.T @ step_by_cases(in_blocks(each), 1.0, 0.0)[0][0]
    shares = np.exp(x @ centre)
    shares /= shares.sum(axis=1, keepdims=True)
    shares[np.arange(SAMPLES), labels] -= 1
    gradient = x.T @ shares
    assert -(step * gradient).sum() / np.linalg.norm(step) / np.linalg.norm(gradient) > 0.97
