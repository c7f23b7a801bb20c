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
from genomes import SHAPES, beyond_five_sigma, genome, population
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
)
from deap_nn.operators.by_name import CROSSOVERS, CrossoverName
from deap_nn.operators.registry import OPERATORS
from deap_nn.operators.registry import operator as listed

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
