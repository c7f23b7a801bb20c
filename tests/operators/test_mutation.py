"""Mutation against theory: how large its noise is, where it goes, and from whom it has its sigma."""

import math
from collections import Counter

import numpy as np
from conftest import normal_moments_fit
from genomes import beyond_five_sigma, genome

import deap_nn
from deap_nn import ErrorScaled, WeightList, mutGaussianAdaptive


def test_mutation_adds_normal_noise_of_sigma_times_scale():
    size = 100_000
    individual = WeightList([np.full(size, 3.0), np.zeros((size // 10, 10)), np.ones(7)])
    deap_nn.mutGaussianAdaptive(individual, sigma=0.5, scale=[1.0, 4.0, 0.0], rng=np.random.default_rng(1))
    first, second, third = individual
    assert normal_moments_fit(first - 3, 0.5)
    assert normal_moments_fit(second.ravel(), 2.0)
    assert not normal_moments_fit(second.ravel(), 2.1)
    assert not normal_moments_fit(np.random.default_rng(2).uniform(-(3**0.5), 3**0.5, size), 1.0)
    assert third.tolist() == [1] * 7


def test_mutation_changes_a_part_of_the_loci():
    individual = WeightList([np.zeros(100_000)])
    deap_nn.mutGaussianAdaptive(individual, sigma=1.0, indpb=0.3, rng=np.random.default_rng(1))
    changed = individual.flat[individual.flat != 0]
    assert not beyond_five_sigma(len(changed), 100_000, 0.3)
    assert normal_moments_fit(changed, 1.0)
    untouched = genome()
    deap_nn.mutGaussianAdaptive(untouched, sigma=1.0, indpb=0.0, rng=np.random.default_rng(1))
    assert untouched == genome()


def test_mutation_takes_its_sigma_from_an_adaptation():
    constant, adapted = genome(), genome()
    adaptation = ErrorScaled(0.2)
    adaptation.restore({"error": 0.5})
    deap_nn.mutGaussianAdaptive(constant, sigma=0.1, rng=np.random.default_rng(1))
    deap_nn.mutGaussianAdaptive(adapted, sigma=adaptation, rng=np.random.default_rng(1))
    assert constant == adapted


def test_weights_of_any_size_have_noise_that_is_finite():
    individual = WeightList([[3e38, 3e38], [np.inf, 1.0], [np.nan, 1.0], [1.0, 1.0]])
    with np.errstate(over="ignore"):
        deap_nn.mutGaussianAdaptive(individual, sigma=10.0, scale="own", rng=np.random.default_rng(1))
    assert np.isfinite(individual[3]).all()
    assert (individual[3] != 1).all()
    assert 0 < abs(individual[2][1] - 1) < 1  # as the least
    assert not np.isnan(individual[0]).any()


def test_one_matrix_is_mutated_and_any_as_probably():
    seen = Counter()
    for seed in range(2000):
        individual = genome()
        deap_nn.mutGaussianAdaptive(individual, sigma=0.1, matrices="one", rng=np.random.default_rng(seed))
        changed = [bool((one != other).all()) for one, other in zip(individual, genome(), strict=True)]
        assert sum(changed) == 1
        assert sum(bool((one != other).any()) for one, other in zip(individual, genome(), strict=True)) == 1
        seen[changed.index(True)] += 1
    assert not any(beyond_five_sigma(seen[i], 2000, 1 / 4) for i in range(4))


def test_noise_goes_by_the_size_of_each_matrix():
    size = 50_000
    individual = WeightList([np.full(size, 3.0), np.tile([2.0, -4.0], (size, 1)), np.zeros(size), np.zeros((0,))])
    before = [matrix.copy() for matrix in individual]
    deap_nn.mutGaussianAdaptive(individual, sigma=0.5, scale="own", rng=np.random.default_rng(1))
    first, second, third, _ = (one - other for one, other in zip(individual, before, strict=True))
    assert normal_moments_fit(first, 1.5)
    assert normal_moments_fit(second.ravel(), 0.5 * math.sqrt(10))
    assert normal_moments_fit(third, 0.005)


def test_the_mirrored_mutation_goes_the_other_way():
    one, other, scale = genome(), genome(), (1, 2, 0, 3)
    start = one.flat.astype(np.float64)
    mutGaussianAdaptive(one, sigma=0.5, scale=scale, rng=np.random.default_rng(1))
    mutGaussianAdaptive(other, sigma=0.5, scale=scale, mirrored=True, rng=np.random.default_rng(1))
    assert np.allclose(one.flat - start, start - other.flat, atol=1e-6)
    assert not np.allclose(one.flat, start)
