"""Mutation against theory: how large its noise is, where it goes, and from whom it has its sigma."""

import numpy as np
from conftest import normal_moments_fit
from genomes import beyond_five_sigma, genome

import deap_nn
from deap_nn import ErrorScaled, WeightList


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
