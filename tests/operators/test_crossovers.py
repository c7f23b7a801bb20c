"""Each crossover against theory: how often weights, matrices and units are exchanged, and between whom."""

import itertools
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from genomes import beyond_five_sigma, genome
from hypothesis import given
from hypothesis import strategies as st

import deap_nn
from deap_nn import Individual, WeightList, cxMean, cxScanning
from deap_nn.operators.crossover import mask_bits

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("indpb", [0.0, 1.0])
def test_mask_with_probability_0_and_1_is_exact(indpb):
    a, b = genome(1), genome(2)
    a.flat[0], b.flat[1] = np.nan, -0.0
    kept = [a.flat.tobytes(), b.flat.tobytes()]
    deap_nn.cxMask(a, b, indpb=indpb, rng=np.random.default_rng(1))
    assert [a.flat.tobytes(), b.flat.tobytes()] == (kept if indpb == 0 else kept[::-1])


def test_a_probability_of_0_is_exact_for_a_draw_of_0_too():
    zeros = SimpleNamespace(random=lambda size, dtype: np.zeros(size, dtype))
    assert not mask_bits(3, 0.0, zeros).any()


@pytest.mark.parametrize("indpb", [0.5, 0.1, 0.9])
def test_mask_density_is_the_probability(indpb):
    size = 100_001
    a, b = WeightList([np.zeros(size)]), WeightList([np.ones(size)])
    deap_nn.cxMask(a, b, indpb=indpb, rng=np.random.default_rng(1))
    exchanged = int(a.flat.sum())
    assert not beyond_five_sigma(exchanged, size, indpb)
    assert beyond_five_sigma(exchanged, size, indpb + 0.02)  # the bound can tell
    halves = a.flat[: size // 2].sum(), a.flat[size // 2 :].sum()
    assert not any(beyond_five_sigma(int(half), size // 2, indpb) for half in halves)


def exchanged(operator, shapes, seed, **settings):
    """Where weights were exchanged between two genomes, by matrix."""
    a, b = (Individual([np.full(shape, value) for shape in shapes]) for value in (0.0, 1.0))
    operator(a, b, rng=np.random.default_rng(seed), **settings)
    return [matrix == 1.0 for matrix in a]


def test_split_exchanges_the_tail_of_each_matrix_from_any_place_on():
    cuts = Counter()
    for seed in range(2000):
        first, second = exchanged(deap_nn.cxSplit, ((2, 2), (3,)), seed)
        places = tuple(int(part.size - part.sum()) for part in (first, second))
        for part, place in zip((first, second), places, strict=True):
            assert part.ravel().tolist() == [False] * place + [True] * (part.size - place)
        cuts[places] += 1
    assert len(cuts) == 5 * 4
    assert not any(beyond_five_sigma(count, 2000, 1 / 20) for count in cuts.values())


@pytest.mark.parametrize("indpb", [0.25, 0.5])
@pytest.mark.parametrize(
    ("fitnesses", "fitter"), [((1.0, 2.0), 0), ((2.0, 1.0), 1), ((1.0, 1.0), 0), ((None, 1.0), 0), ((1.0, None), 0)]
)
def test_both_have_most_of_the_fitter_one(indpb, fitnesses, fitter):
    size = 100_000
    members = [Individual([np.full(size, i, np.float32)]) for i in range(2)]
    for member, fitness in zip(members, fitnesses, strict=True):
        if fitness is not None:
            member.fitness.values = (fitness,)
    made = deap_nn.cxBiased(*members, indpb=indpb, rng=np.random.default_rng(1))
    others = np.stack([member.flat != fitter for member in made])
    assert not any(beyond_five_sigma(int(other.sum()), size, indpb) for other in others)
    assert not beyond_five_sigma(int(others.all(axis=0).sum()), size, indpb**2)  # each by a mask of its own


@pytest.mark.parametrize("indpb", [0.0, 1.0])
def test_a_share_of_0_and_1_is_exact(indpb):
    fitter, other = genome(1), genome(2)
    fitter.fitness.values, other.fitness.values = (1.0,), (2.0,)
    fitter.flat[0], other.flat[1] = np.nan, -0.0
    wanted = (other if indpb else fitter).flat.tobytes()
    made = deap_nn.cxBiased(other, fitter, indpb=indpb, rng=np.random.default_rng(1))
    assert [member.flat.tobytes() for member in made] == [wanted, wanted]


@pytest.mark.parametrize("indpb", [0.5, 0.2])
def test_matrices_are_exchanged_whole_and_independently(indpb):
    whole = Counter()
    for seed in range(2000):
        parts = exchanged(deap_nn.cxMatrices, ((2, 2), (3,)), seed, indpb=indpb)
        assert all(part.all() or not part.any() for part in parts)
        whole[tuple(bool(part.all()) for part in parts)] += 1
    for first, second in itertools.product([True, False], repeat=2):
        chance = (indpb if first else 1 - indpb) * (indpb if second else 1 - indpb)
        assert not beyond_five_sigma(whole[first, second], 2000, chance)


def test_units_are_exchanged_with_their_biases_and_independently():
    shapes = ((5, 5, 1, 3), (3,), (4, 2), (2,), (2,), (3,))
    seen = Counter()
    for seed in range(2000):
        kernel, bias, dense, its, gain, other = exchanged(deap_nn.cxUnits, shapes, seed)
        for matrix, vector in ((kernel, bias), (dense, its)):
            assert (matrix == vector).all()
        seen[tuple(np.concatenate([bias, its]).tolist())] += 1
        seen["the second vector is its own", bool((gain == its).all())] += 1
        seen["lengths that differ", tuple(other.tolist())] += 1
    assert not any(beyond_five_sigma(seen[bits], 2000, 1 / 32) for bits in itertools.product([True, False], repeat=5))
    assert not beyond_five_sigma(seen["the second vector is its own", True], 2000, 1 / 4)
    for bits in itertools.product([True, False], repeat=3):
        assert not beyond_five_sigma(seen["lengths that differ", bits], 2000, 1 / 8)
    all_of_it = exchanged(deap_nn.cxUnits, shapes, 1, indpb=1.0)
    assert all(part.all() for part in all_of_it)


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_scanning_takes_each_locus_from_any_parent_with_the_same_probability(count):
    size = 40_000
    children = cxScanning(
        *(WeightList([np.full(size, parent, np.float32)]) for parent in range(count)), rng=np.random.default_rng(5)
    )
    values = np.stack([child.flat for child in children])
    assert (np.sort(values, axis=0) == np.arange(count)[:, None]).all()  # each locus keeps all its values
    for child in values:
        counts = np.bincount(child.astype(int), minlength=count)
        bias = 0 if count in (2, 4) else size / 256
        assert np.abs(counts - size / count).max() < 5 * np.sqrt(size / count) + bias
        together = np.mean((child[1:] == 0) & (child[:-1] == 0))  # its neighbours know nothing of each other
        assert together == pytest.approx(1 / count**2, abs=5 / np.sqrt(size))


@pytest.mark.parametrize(("crossover", "allowed"), [(cxScanning, "2 to 256"), (cxMean, "at least 2")])
def test_a_crossover_of_several_needs_two_of_the_same_shapes(crossover, allowed):
    one, other = WeightList([np.zeros(3)]), WeightList([np.zeros(4)])
    with pytest.raises(ValueError, match=f"individuals must be {allowed}, got 1"):
        crossover(one, rng=RNG)
    with pytest.raises(ValueError, match="must have the same shapes"):
        crossover(one, one, other, rng=RNG)
    with pytest.raises(TypeError, match="ind3"):
        crossover(one, one, [1.0], rng=RNG)


@given(count=st.integers(2, 6), seed=st.integers(0, 100))
def test_all_become_the_mean(count, seed):
    members = [genome(seed + i) for i in range(count)]
    expected = np.mean([member.flat for member in members], axis=0, dtype=np.float64).astype(np.float32)
    assert all(made is member for made, member in zip(cxMean(*members, rng=RNG), members, strict=True))
    assert all(np.allclose(member.flat, expected, rtol=1e-6, atol=1e-7) for member in members)
