"""Selections draw as often as theory says, by the fitness' own comparison."""

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from genomes import beyond_five_sigma, population
from hypothesis import given
from hypothesis import strategies as st

import deap_nn
from deap_nn import selLogRank
from deap_nn.operators.ranking import log_rank_weights, rank_weights, recombination_weights


def expected_frequencies(weights):
    """How often each place is drawn: first with its weight, or second from what another first leaves."""
    second = [
        sum(weights[f] * weights[i] / (1 - weights[f]) for f in range(len(weights)) if f != i and weights[f] < 1)
        for i in range(len(weights))
    ]
    return (np.array(weights) + second) / 2


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pressure": 1.0, "boost": 1.0},
        {"pressure": 2.0, "boost": 10.0, "boosted": 2},
        {"pressure": 1.8, "boost": 3.0, "parents": 4},
        {"parents": 2},
    ],
)
def test_selection_frequencies_are_those_of_theory(settings):
    members = population(10)
    ranked = sorted(members, key=lambda member: member.fitness.values)
    k = 40_000
    chosen = deap_nn.selRankBoosted(members, k, rng=np.random.default_rng(1), **settings)
    counts = Counter(id(member) for member in chosen)
    defaults = {"pressure": 1.5, "boost": 2.0, "boosted": 1, "parents": 10} | settings
    weights = rank_weights(defaults["parents"], defaults["pressure"], defaults["boost"], defaults["boosted"])
    assert weights.sum() == pytest.approx(1)
    frequencies = expected_frequencies(weights)
    for rank, frequency in enumerate(frequencies):
        # The two of a pair exclude each other, so a pair holds a member once at most: k / 2 trials.
        assert not beyond_five_sigma(counts[id(ranked[rank])], k // 2, min(2 * frequency, 1.0))
    assert all(counts[id(member)] == 0 for member in ranked[defaults["parents"] :])
    if len(frequencies) > 2:
        assert beyond_five_sigma(counts[id(ranked[0])], k // 2, 2 * frequencies[0] + 0.05)


def test_linear_ranking_is_bakers():
    weights = rank_weights(5, pressure=1.6, boost=1.0, boosted=1)
    assert weights.tolist() == pytest.approx([1.6 / 5, 1.3 / 5, 1 / 5, 0.7 / 5, 0.4 / 5])
    boosted = rank_weights(5, pressure=1.6, boost=3.0, boosted=1)
    assert boosted[0] / boosted[1] == pytest.approx(3 * 1.6 / 1.3)
    assert rank_weights(4, 1.0, 1.0, 1).tolist() == [0.25] * 4
    assert rank_weights(4, 1.0, 3.0, 2).tolist() == [0.375, 0.375, 0.125, 0.125]


@given(st.integers(2, 12), st.integers(0, 25), st.integers(0, 100), st.floats(1, 2), st.floats(0.01, 1e6))
def test_pairs_are_of_two_different_members(size, k, seed, pressure, boost):
    members = population(size)
    rng = np.random.default_rng(seed)
    chosen = deap_nn.selRankBoosted(members, k, pressure=pressure, boost=boost, rng=rng)
    assert len(chosen) == k
    assert all(any(member is other for other in members) for member in chosen)
    assert all(first is not second for first, second in zip(chosen[::2], chosen[1::2], strict=False))


def test_a_member_in_several_places_is_no_pair_with_itself():
    a, b = population(2)
    chosen = deap_nn.selRankBoosted([a, a, a, b], 50, rng=np.random.default_rng(1))
    assert all(first is not second for first, second in zip(chosen[::2], chosen[1::2], strict=True))


def test_a_single_member_is_paired_with_itself():
    (member,) = population(1)
    assert deap_nn.selRankBoosted([member], 3, rng=np.random.default_rng(1)) == [member] * 3


@pytest.mark.parametrize("select", [deap_nn.selRankBoosted, selLogRank])
def test_selection_ranks_by_a_comparison_of_the_users_own(select):
    from deap import base

    class Closest(base.Fitness):
        """The closer to 3 the better, whatever the weight."""

        weights = (1.0,)

        def __gt__(self, other):
            return abs(self.values[0] - 3) < abs(other.values[0] - 3)

        def __lt__(self, other):
            return other > self

    members = [SimpleNamespace(score=Closest((float(i),))) for i in range(6)]
    chosen = select(members, 20, parents=1, rng=np.random.default_rng(1), fit_attr="score")
    assert {member.score.values[0] for member in chosen} == {3.0}


@pytest.mark.parametrize("select", [deap_nn.selRankBoosted, selLogRank])
@pytest.mark.parametrize("weight", [-1.0, 1.0])
def test_a_fitness_that_is_no_number_is_the_worst(select, weight):
    from deap import base

    class Weighted(base.Fitness):
        weights = (weight,)

    values = [math.nan if place in (3, 8, 14) else weight * -place for place in range(20)]
    members = [SimpleNamespace(fitness=Weighted((value,))) for value in values]
    for seed in range(50):
        order = np.random.default_rng(seed).permutation(20)
        chosen = select([members[i] for i in order], 12, parents=4, rng=np.random.default_rng(seed))
        assert not any(math.isnan(member.fitness.values[0]) for member in chosen)
        if select is selLogRank:
            assert chosen[0] is members[0]
    few = select([members[3], members[5]], 2, parents=1, rng=np.random.default_rng(1))
    assert {id(member) for member in few} == {id(members[5])}


def paired(fitnesses):
    members = population(len(fitnesses))
    for member, fitness in zip(members, fitnesses, strict=True):
        member.fitness.values = (fitness,)
    return members


@given(
    fitnesses=st.lists(st.integers(0, 5), min_size=1, max_size=15),
    k=st.integers(0, 60),
    parents=st.none() | st.integers(1, 9),
    seed=st.integers(0, 100),
)
def test_the_better_half_is_drawn_by_the_logarithm_of_its_rank(fitnesses, k, parents, seed):
    members = paired(fitnesses)
    drawn = selLogRank(members, k, parents=parents, rng=np.random.default_rng(seed))
    places = [next(i for i, member in enumerate(members) if member is found) for found in drawn]
    better = sorted(range(len(members)), key=lambda i: fitnesses[i])[: max(1, len(members) // 2)][:parents]
    weights = np.array([math.log((len(better) + 0.5) / rank) for rank in range(1, len(better) + 1)])
    expected = k * weights / weights.sum()
    assert len(places) == k
    assert places == sorted(places, key=better.index)  # the best first, and nobody else
    assert all(abs(places.count(i) - share) < 1 + 1e-9 for i, share in zip(better, expected, strict=True))


@given(size=st.integers(2, 300), parents=st.none() | st.integers(1, 200))
def test_the_worse_half_counts_as_much_against_as_the_better_for(size, parents):
    weights = recombination_weights(size, parents)
    half = min(size // 2, parents or size)
    assert np.array_equal(weights, -weights[::-1])
    assert np.abs(weights).sum() == pytest.approx(1)
    assert np.allclose(weights[:half] * 2, log_rank_weights(half))
    assert not weights[half : size - half].any()


def test_universal_sampling_is_fair():
    members = paired([3, 9, 1, 9, 2, 9])
    counts = Counter()
    for seed in range(2000):
        counts.update(id(member) for member in selLogRank(members, 1, rng=np.random.default_rng(seed)))
    shares = log_rank_weights(3)
    for rank, place in enumerate((2, 4, 0)):
        assert abs(counts[id(members[place])] / 2000 - shares[rank]) < 4 * 0.5 / math.sqrt(2000)
