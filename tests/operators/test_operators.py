"""One battery of contract tests over all public operators."""

import inspect
import math
import pickle
import random
from typing import get_args

import numpy as np
import pytest
from genomes import OPERATORS, SHAPES, genome, population
from hypothesis import given
from hypothesis import strategies as st

import deap_nn
from deap_nn import ErrorScaled, Individual, Layout, NoiseTable, SelfAdaptive
from deap_nn.operators.by_name import CROSSOVERS, CrossoverName

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
        {"sigma": SelfAdaptive(0.1, 0.01)},
    ],
    "selRankBoosted": [{}, {"pressure": 2.0, "boost": 5.0, "boosted": 2, "parents": 3}],
    "selLogRank": [{}, {"parents": 2}],
}
WITHOUT_CHANCE = {"cxMean"}
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


def test_every_public_operator_is_tested():
    assert {operator.name for operator in OPERATORS} == set(SETTINGS)


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


OF_TWO = Individual, Layout(("a",), ((2,),))


@pytest.mark.parametrize(
    ("function", "arguments", "keywords", "message"),
    [
        ("initNormal", OF_TWO, {"sigma": -1.0}, "sigma must be"),
        ("initNormal", OF_TWO, {"noise": np.zeros(3, np.float32)}, "noise must be"),
        ("initScaled", OF_TWO, {"spread": 0.5}, "spread needs noise, from which"),
        ("initScaled", OF_TWO, {"spread": -0.5}, "spread must be between 0 and 1"),
        ("cxMask", (genome(1), genome(2)), {"indpb": 1.5}, "indpb must be between 0 and 1"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": math.inf}, "sigma must be"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": 0.1, "indpb": -1}, "indpb must be"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": 0.1, "scale": [1.0]}, "scale must have a factor"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": 0.1, "scale": [1, 1, -1, 1]}, "scale must be"),
        ("mutGaussianAdaptive", (genome(),), {"sigma": 0.1, "noise": np.zeros(5, np.float32)}, "noise must be"),
        ("cxBiased", (genome(1), genome(2)), {"indpb": 1.5}, "indpb must be between 0 and 1"),
        ("selRankBoosted", ([], 2), {}, "individuals must not be empty"),
        ("selRankBoosted", ([genome()], 2), {}, "valid fitness"),
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
