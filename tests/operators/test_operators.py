"""One battery of contract tests over the registry of operators, and each operator against theory."""

import inspect
import itertools
import math
import pickle
import random
from collections import Counter
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from conftest import normal_moments_fit
from hypothesis import given
from hypothesis import strategies as st

import deap_nn
from deap_nn import (
    ErrorScaled,
    Individual,
    Layout,
    NoiseTable,
    SelfAdaptive,
    WeightList,
    cxMean,
    cxScanning,
    mutGaussianAdaptive,
    selLogRank,
    selMirrored,
)
from deap_nn.operators.by_name import CROSSOVERS, CrossoverName
from deap_nn.operators.ranking import log_rank_weights, rank_weights, recombination_weights
from deap_nn.operators.registry import OPERATORS
from deap_nn.operators.registry import operator as listed
from deap_nn.operators.selection import _draw_pairs

SHAPES = ((3, 4), (4,), (2, 2, 2, 3), (1,))
SETTINGS = {
    "initNormal": [{}, {"sigma": 0.3}, {"sigma": 0.3, "noise": NoiseTable(1, 1000)}],
    "initScaled": [{}, {"noise": NoiseTable(1, 1000)}, {"noise": NoiseTable(1, 1000), "spread": 0.3}],
    "initAround": [{"sigma": 0.3}, {"sigma": 0.3, "noise": NoiseTable(1, 1000)}],
    "cxMask": [{}, {"indpb": 0.2}],
    "cxBiased": [{}, {"indpb": 0.5}],
    "cxScanning": [{}],
    "cxSplit": [{}],
    "cxMatrices": [{}, {"indpb": 0.2}],
    "cxUnits": [{}, {"indpb": 0.2}],
    "cxMean": [{}],
    "mutGaussianAdaptive": [
        {"sigma": 0.1},
        {"sigma": ErrorScaled(0.2), "indpb": 0.5, "scale": (1, 2, 0, 3)},
        {"sigma": 0.1, "noise": NoiseTable(1, 1000)},
        {"sigma": 0.1, "mirrored": True},
        {"sigma": 0.1, "matrices": "one"},
        {"sigma": 0.1, "scale": "own"},
        {"sigma": SelfAdaptive(0.1, 0.01)},
    ],
    "selRankBoosted": [{}, {"pressure": 2.0, "boost": 5.0, "boosted": 2, "parents": 3}],
    "selLogRank": [{}, {"parents": 2}],
    "selMirrored": [{}, {"parents": 2}],
}
WITHOUT_CHANCE = {"cxMean"}
RNG = np.random.default_rng(1)
CASES = [
    pytest.param(operator, settings, id=f"{operator.name}-{i}")
    for operator in OPERATORS
    for i, settings in enumerate(SETTINGS.get(operator.name, []))
]


def cases(*kinds):
    return pytest.mark.parametrize(("operator", "settings"), [case for case in CASES if case.values[0].kind in kinds])


def genome(seed=0, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return Individual([rng.standard_normal(shape) for shape in shapes])


def population(size=8):
    members = [genome(i) for i in range(size)]
    for i, member in enumerate(members):
        member.fitness.values = ((i * 5) % size,)
    return members


def call(operator, settings, rng, shapes=SHAPES):
    """Apply an operator to fresh arguments; return the arguments and the result."""
    if operator.kind == "init":
        layout = Layout(tuple(map(str, range(len(shapes)))), shapes)
        if operator.name == "initAround":
            settings = {"weights": [np.ones(shape) for shape in shapes], **settings}
        return (), (operator.function(Individual, layout, rng=rng, **settings),)
    if operator.kind == "sel":
        members = population()
        return members, operator.function(members, 6, rng=rng, **settings)
    arguments = [genome(i, shapes) for i in range(2 if operator.kind == "cx" else 1)]
    for argument in arguments:
        argument.fitness.values = (0.5,)
    return arguments, operator.function(*arguments, rng=rng, **settings)


def test_every_public_operator_is_registered_and_tested():
    wiring = {"initPopulation"}  # makes a population with a registered initialisation
    public = {name for name in deap_nn.__all__ if name.startswith(("init", "cx", "mut", "sel"))} - wiring
    assert public == {operator.name for operator in OPERATORS}
    assert all(SETTINGS[name] for name in public)
    assert all(getattr(deap_nn, operator.name) is operator.function for operator in OPERATORS)
    assert len({operator.name for operator in OPERATORS}) == len(OPERATORS)


def test_an_operator_is_named_as_deaps_are():
    before = list(OPERATORS)
    with pytest.raises(ValueError, match="must begin with init or cx or mut or sel, got crossMask"):
        listed("nobody")(SimpleNamespace(__name__="crossMask"))
    assert before == OPERATORS


def test_every_crossover_of_a_toolbox_has_its_name_in_the_type():
    assert get_args(CrossoverName) == tuple(CROSSOVERS)
    functions = {operator.function for operator in OPERATORS if operator.kind == "cx"}
    assert {crossover.function for crossover in CROSSOVERS.values()} < functions
    assert {crossover.of_many for crossover in CROSSOVERS.values()} - {None} < functions


@cases("init", "cx", "mut", "sel")
def test_rng_is_a_required_keyword(operator, settings):
    parameter = inspect.signature(operator.function).parameters["rng"]
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert parameter.default is inspect.Parameter.empty
    with pytest.raises(TypeError, match="rng"):
        call(operator, settings, rng=None)


@cases("init", "cx", "mut", "sel")
def test_same_seed_same_result_and_another_seed_another(operator, settings):
    def result(seed):
        _, made = call(operator, settings, np.random.default_rng(seed))
        return [member.flat.tobytes() for member in made]

    assert result(1) == result(1)
    assert any(result(1) != result(seed) for seed in range(2, 6)) == (operator.name not in WITHOUT_CHANCE)


@cases("init", "cx", "mut", "sel")
def test_global_random_state_is_left_alone(operator, settings):
    def states():
        return random.getstate(), str(np.random.get_state(legacy=False))  # noqa: NPY002  (the global state must not change)

    np.random.seed(1)  # noqa: NPY002  (the global state must not change)
    before = states()
    call(operator, settings, np.random.default_rng(1))
    assert states() == before
    np.random.random()  # noqa: NPY002  (the global state must not change)
    assert states() != before


@cases("init", "cx", "mut", "sel")
def test_operator_survives_pickling(operator, settings):
    assert pickle.loads(pickle.dumps(operator.function)) is operator.function


@cases("cx", "mut")
@given(shapes=st.lists(st.lists(st.integers(1, 5), max_size=3).map(tuple), min_size=4, max_size=4).map(tuple))
def test_in_place_the_same_objects_back_in_the_same_form(operator, settings, shapes):
    arguments, made = call(operator, settings, np.random.default_rng(1), shapes)
    assert isinstance(made, tuple)
    assert all(mine is theirs for mine, theirs in zip(arguments, made, strict=True))
    for member in made:
        assert member.shapes == shapes
        assert all(matrix.dtype == np.float32 for matrix in member)
        assert member.fitness.values == (0.5,)


@cases("init")
@given(shapes=st.lists(st.lists(st.integers(1, 5), max_size=3).map(tuple), min_size=1, max_size=4).map(tuple))
def test_initialisation_fills_the_layout(operator, settings, shapes):
    _, (made,) = call(operator, settings, np.random.default_rng(1), shapes)
    assert isinstance(made, Individual)
    assert made.shapes == shapes
    assert made.flat.dtype == np.float32
    assert np.isfinite(made.flat).all()
    assert not made.fitness.valid


EXCHANGES = {"cxMask", "cxScanning", "cxSplit", "cxMatrices", "cxUnits"}


@pytest.mark.parametrize(("operator", "settings"), [case for case in CASES if case.values[0].name in EXCHANGES])
@given(seed=st.integers(0, 1000), shapes=st.lists(st.tuples(st.integers(1, 9)), min_size=1, max_size=3).map(tuple))
def test_exchange_keeps_the_two_values_of_each_locus(operator, settings, seed, shapes):
    a, b = genome(1, shapes), genome(2, shapes)
    before = np.sort(np.stack([a.flat, b.flat]), axis=0)
    operator.function(a, b, rng=np.random.default_rng(seed), **settings)
    assert np.array_equal(np.sort(np.stack([a.flat, b.flat]), axis=0), before)
    assert not np.shares_memory(a.flat, b.flat)


@cases("cx")
def test_unequal_parents_raise(operator, settings):
    for shapes in (SHAPES[:-1], ((4, 3), *SHAPES[1:])):
        with pytest.raises(ValueError, match="same shapes"):
            operator.function(genome(), genome(1, shapes), rng=np.random.default_rng(1), **settings)
    with pytest.raises(TypeError, match="ind2 must be a WeightList"):
        operator.function(genome(), [np.zeros(3)], rng=np.random.default_rng(1), **settings)


@cases("cx", "mut")
def test_read_only_weights_raise(operator, settings):
    arguments = [genome(i) for i in range(2 if operator.kind == "cx" else 1)]
    arguments[0].flat.flags.writeable = False
    with pytest.raises(ValueError, match="must be writable"):
        operator.function(*arguments, rng=np.random.default_rng(1), **settings)


@pytest.mark.parametrize("indpb", [0.0, 1.0])
def test_mask_with_probability_0_and_1_is_exact(indpb):
    a, b = genome(1), genome(2)
    a.flat[0], b.flat[1] = np.nan, -0.0
    kept = [a.flat.tobytes(), b.flat.tobytes()]
    deap_nn.cxMask(a, b, indpb=indpb, rng=np.random.default_rng(1))
    assert [a.flat.tobytes(), b.flat.tobytes()] == (kept if indpb == 0 else kept[::-1])


def beyond_five_sigma(count, expected, probability):
    """Whether a binomial count of so many trials is further than five deviations from its mean."""
    return abs(count - expected * probability) > 5 * math.sqrt(expected * probability * (1 - probability))


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


@given(st.integers(2, 12), st.integers(0, 25), st.integers(0, 100), st.floats(1, 2), st.floats(0.01, 1e6))
def test_pairs_are_of_two_different_members(size, k, seed, pressure, boost):
    members = population(size)
    rng = np.random.default_rng(seed)
    chosen = deap_nn.selRankBoosted(members, k, pressure=pressure, boost=boost, rng=rng)
    assert len(chosen) == k
    assert all(any(member is other for other in members) for member in chosen)
    assert all(first is not second for first, second in zip(chosen[::2], chosen[1::2], strict=False))


class Draws:
    """Stands in for a generator where the numbers themselves matter."""

    def __init__(self, first, second):
        self.draws = np.array([[first, second]])

    def random(self, shape):
        assert shape == self.draws.shape
        return self.draws


def test_rounding_pairs_no_member_with_itself():
    """Where a draw falls exactly on the edge of the first one's stretch, rounding may take it for inside."""
    edges = 0
    for size in range(3, 60):
        weights = rank_weights(size, 1.7, 3.0, 2)
        ends = np.cumsum(weights)
        for first in range(1, size):
            wanted = ends[first - 1]
            draw = wanted / (ends[-1] - weights[first])
            for second in (np.nextafter(draw, 0), draw, np.nextafter(draw, 1)):
                inside = np.nextafter(ends[first], 0)
                if second < 1 and second * (ends[-1] - weights[first]) == wanted < ends[first] - weights[first]:
                    edges += 1
                    pair = _draw_pairs(weights, 1, Draws(inside, second))
                    assert pair[0, 0] == first != pair[0, 1]
    assert edges


def test_a_member_in_several_places_is_no_pair_with_itself():
    a, b = population(2)
    chosen = deap_nn.selRankBoosted([a, a, a, b], 50, rng=np.random.default_rng(1))
    assert all(first is not second for first, second in zip(chosen[::2], chosen[1::2], strict=True))


def test_a_single_member_is_paired_with_itself():
    (member,) = population(1)
    assert deap_nn.selRankBoosted([member], 3, rng=np.random.default_rng(1)) == [member] * 3


def test_selection_maximises_by_the_fitness_own_comparison():
    from deap import base

    class FitnessMax(base.Fitness):
        weights = (1.0,)

    members = [SimpleNamespace(score=FitnessMax((float(i),))) for i in range(6)]
    chosen = deap_nn.selRankBoosted(members, 20, parents=2, rng=np.random.default_rng(1), fit_attr="score")
    assert {member.score.values[0] for member in chosen} == {4.0, 5.0}


@pytest.mark.parametrize("select", [deap_nn.selRankBoosted, selLogRank, selMirrored])
def test_selection_ranks_by_a_comparison_of_the_users_own(select):
    from deap import base

    class Closest(base.Fitness):
        """The closer to 3 the better, whatever the weight."""

        weights = (1.0,)

        def __gt__(self, other):
            return abs(self.values[0] - 3) < abs(other.values[0] - 3)

        def __lt__(self, other):
            return other > self

    members = [SimpleNamespace(fitness=Closest((float(i),))) for i in range(6)]
    chosen = select(members, 20, parents=1, rng=np.random.default_rng(1))
    assert {member.fitness.values[0] for member in chosen} == {3.0}


@pytest.mark.parametrize("select", [deap_nn.selRankBoosted, selLogRank, selMirrored])
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


def unevaluated():
    return [genome()]


@pytest.mark.parametrize(
    ("function", "arguments", "keywords", "message"),
    [
        ("initNormal", (Individual, Layout(("a",), ((2,),))), {"sigma": -1.0}, "sigma must be"),
        ("initNormal", (Individual, Layout(("a",), ((2,),))), {"sigma": math.nan}, "sigma must be"),
        ("initNormal", (Individual, Layout(("a",), ((2,),))), {"noise": np.zeros(3, np.float32)}, "noise must be"),
        ("initScaled", (Individual, Layout(("a",), ((2,),))), {"noise": np.zeros(50)}, "noise must be"),
        ("initScaled", (Individual, Layout(("a",), ((2,),))), {"spread": 0.5}, "spread needs noise, from which"),
        ("initScaled", (Individual, Layout(("a",), ((2,),))), {"spread": -0.5}, "spread must be between 0 and 1"),
        ("cxMask", (genome(1), genome(2)), {"indpb": 1.5}, "indpb must be between 0 and 1"),
        ("cxMask", (genome(1), genome(2)), {"indpb": math.nan}, "indpb must be between 0 and 1"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": -0.1}, "sigma must be"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": math.inf}, "sigma must be"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": 0.1, "indpb": -1}, "indpb must be"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": 0.1, "scale": [1.0]}, "scale must have a factor"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": 0.1, "scale": [1, 1, -1, 1]}, "scale must be"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": 0.1, "noise": np.zeros(5, np.float32)}, "noise must be"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": 0.1, "noise": np.zeros(500)}, "noise must be"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": 0.1, "scale": "fan_in"}, "scale must be 'own' or a sequence"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": 0.1, "matrices": "two"}, "matrices must be 'all' or 'one'"),
        ("cxBiased", (genome(1), genome(2)), {"indpb": 1.5}, "indpb must be between 0 and 1"),
        ("selRankBoosted", ([], 2), {}, "individuals must not be empty"),
        ("selRankBoosted", (unevaluated(), 2), {}, "valid fitness"),
        ("selRankBoosted", (population(), -1), {}, "k must be"),
        ("selRankBoosted", (population(), 2), {"pressure": 2.5}, "pressure must be"),
        ("selRankBoosted", (population(), 2), {"boost": 0}, "boost must be"),
        ("selRankBoosted", (population(), 2), {"boosted": -1}, "boosted must be"),
        ("selRankBoosted", (population(), 2), {"parents": 0}, "parents must be"),
    ],
)
def test_bad_arguments_are_named(function, arguments, keywords, message):
    with pytest.raises(ValueError, match=message):
        getattr(deap_nn, function)(*arguments, rng=np.random.default_rng(1), **keywords)


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


def test_scanning_names_what_does_not_fit():
    one, other = WeightList([np.zeros(3)]), WeightList([np.zeros(4)])
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match="individuals must be 2 to 256, got 1"):
        cxScanning(one, rng=rng)
    with pytest.raises(ValueError, match="must have the same shapes"):
        cxScanning(one, one, other, rng=rng)
    with pytest.raises(TypeError, match="ind3"):
        cxScanning(one, one, [1.0], rng=rng)


@given(count=st.integers(2, 6), seed=st.integers(0, 100))
def test_all_become_the_mean(count, seed):
    members = [genome(seed + i) for i in range(count)]
    expected = np.mean([member.flat for member in members], axis=0, dtype=np.float64).astype(np.float32)
    assert all(made is member for made, member in zip(cxMean(*members, rng=RNG), members, strict=True))
    assert all(np.allclose(member.flat, expected, rtol=1e-6, atol=1e-7) for member in members)


def test_a_mean_needs_two_of_the_same_shapes():
    with pytest.raises(ValueError, match="at least 2, got 1"):
        cxMean(genome(), rng=RNG)
    with pytest.raises(ValueError, match="shapes"):
        cxMean(genome(), genome(shapes=((2,),)), rng=RNG)


def test_the_mirrored_mutation_goes_the_other_way():
    one, other, scale = genome(), genome(), (1, 2, 0, 3)
    start = one.flat.astype(np.float64)
    mutGaussianAdaptive(one, sigma=0.5, scale=scale, rng=np.random.default_rng(1))
    mutGaussianAdaptive(other, sigma=0.5, scale=scale, mirrored=True, rng=np.random.default_rng(1))
    assert np.allclose(one.flat - start, start - other.flat, atol=1e-6)
    assert not np.allclose(one.flat, start)


def paired(fitnesses):
    members = [genome(i) for i in range(len(fitnesses))]
    for member, fitness in zip(members, fitnesses, strict=True):
        member.fitness.values = (fitness,)
    return members


@given(
    fitnesses=st.lists(st.integers(0, 5), min_size=1, max_size=15),
    k=st.integers(0, 60),
    parents=st.none() | st.integers(1, 9),
    seed=st.integers(0, 100),
)
def test_the_better_of_each_pair_is_drawn_by_the_logarithm_of_its_rank(fitnesses, k, parents, seed):
    members = paired(fitnesses)
    drawn = selMirrored(members, k, parents=parents, rng=np.random.default_rng(seed))
    places = [next(i for i, member in enumerate(members) if member is found) for found in drawn]
    better = [
        min((i, i + 1), key=lambda j: fitnesses[j] if j < len(fitnesses) else 9) for i in range(0, len(members), 2)
    ]
    better = sorted(better, key=lambda i: fitnesses[i])[:parents]
    weights = np.array([math.log((len(better) + 0.5) / rank) for rank in range(1, len(better) + 1)])
    expected = k * weights / weights.sum()
    assert len(places) == k
    assert places == sorted(places, key=better.index)  # the best first, and nobody else
    assert all(abs(places.count(i) - share) < 1 + 1e-9 for i, share in zip(better, expected, strict=True))


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
        counts.update(id(member) for member in selMirrored(members, 1, rng=np.random.default_rng(seed)))
    shares = log_rank_weights(3)
    for rank, place in enumerate((2, 4, 0)):
        assert abs(counts[id(members[place])] / 2000 - shares[rank]) < 4 * 0.5 / math.sqrt(2000)
