"""Genomes that are scored in bfloat16 are rounded as they are bred, to the bits that rounding them later gives."""

from functools import partial

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deap_nn import evolve, make_toolbox, preset, scorers
from deap_nn.evaluation import Evaluate, Scorer
from deap_nn.models import keras, model_of, reference_of, rounded_weights
from deap_nn.pooled import mutate_around
from deap_nn.recipes import Breeder
from deap_nn.rounding import round_weights
from deap_nn.weights import empty_halves, empty_vector

SHAPES = st.lists(st.lists(st.integers(1, 6), max_size=3).map(tuple), min_size=1, max_size=5).map(tuple)
UNTOUCHED = 0x1234


def halves_of(size):
    halves = empty_halves(size)
    halves[:] = UNTOUCHED
    return halves


@example(bits=[0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x00000001, 0x80000000, 0x3F808000, 0x3F818000, 0x7F800001])
@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=200))
def test_numbers_are_rounded_as_elsewhere(bits):
    numbers = np.array(bits, np.uint32).view(np.float32)
    halves = halves_of(len(bits))
    round_weights(numbers, halves, ((len(bits),),), np.array([True]))
    with np.errstate(invalid="ignore"):
        expected = numbers.astype(ml_dtypes.bfloat16)
    found, same = halves.view(ml_dtypes.bfloat16), np.isnan(numbers)
    assert np.array_equal(np.isnan(found.astype(np.float32)), same)
    assert np.array_equal(halves[~same], expected.view(np.uint16)[~same])


@example(shapes=((130, 130), (), (7,), (200, 201), (3,)), sigma=0.3, seed=1, place=4)
@example(shapes=((5,), (2, 3)), sigma=1e38, seed=2, place=3)
@given(shapes=SHAPES, sigma=st.floats(0, 10), seed=st.integers(0, 1000), place=st.integers(0, 9))
def test_children_around_a_centre_are_rounded_in_the_pass(shapes, sigma, seed, place):
    rng = np.random.default_rng(seed)
    size = sum(int(np.prod(shape)) for shape in shapes)
    centre, table = rng.standard_normal(size, np.float32), rng.standard_normal(3 * size, np.float32)
    rounded = rng.random(len(shapes)) < 0.6
    factors = np.full(len(shapes), sigma, np.float32)
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
    for children in (1, 2):
        plain, outs = ([empty_vector(size) for _ in range(children)] for _ in range(2))
        halves, expected = ([halves_of(size) for _ in range(children)] for _ in range(2))
        around = partial(
            mutate_around,
            centre=centre,
            table=table,
            factors=factors,
            shapes=shapes,
            seed=seed,
            generation=3,
            place=place,
        )
        around(plain)
        around(outs, halves=halves, rounded=rounded)
        for i in range(children):
            round_weights(plain[i], expected[i], shapes, rounded)
            assert halves[i].tobytes() == expected[i].tobytes()
            for whole, begin, end in zip(~rounded, [0, *ends], ends, strict=False):
                assert not whole or outs[i][begin:end].tobytes() == plain[i][begin:end].tobytes()
                assert not whole or (halves[i][begin:end] == UNTOUCHED).all()


def test_sizes_that_do_not_fit_are_refused():
    flat, flags = np.zeros(6, np.float32), np.array([True])
    for arguments in ((flat[:5], empty_halves(6), flags), (flat, empty_halves(7), flags), (flat, empty_halves(6), [])):
        with pytest.raises(ValueError, match="6 weights, and a flag for each of 1 matrices"):
            round_weights(*arguments[:2], ((2, 3),), np.array(arguments[2], bool))
    sizes = {"factors": np.ones(1, np.float32), "shapes": ((6,),), "seed": 1, "generation": 1, "place": 0}
    for halves, flags in (([], [True]), ([empty_halves(5)], [True]), ([empty_halves(6)], [True, False])):
        with pytest.raises(ValueError, match="must have its halves"):
            mutate_around([flat.copy()], flat, np.ones(9, np.float32), **sizes, halves=halves, rounded=np.array(flags))


@pytest.mark.parametrize("mutpb", [1, 0.5])
@pytest.mark.parametrize("name", ["default", "mask"])
def test_recipes_are_rounded_and_score_what_whole_genomes_do(digits, monkeypatch, name, mutpb):
    monkeypatch.setattr(scorers, "GROUPED_WEIGHTS", 1)  # each genome alone, as those of large networks
    settings = preset(name, population=10, generations=4, matrices=4)
    toolbox = make_toolbox("mlp", digits, seed=101, precision="bfloat16", **settings)
    passes, scored = [], []

    def counting(counted, method):
        return lambda self, *arguments: counted.append(len(arguments)) or method(self, *arguments)

    whole = evolve(toolbox.population(n=10), toolbox, 4, seed=1, mutpb=mutpb, breeding="plain")
    monkeypatch.setattr(Breeder, "breed_around", counting(passes, Breeder.breed_around))
    monkeypatch.setattr(Scorer, "rounded_fitness", counting(scored, Scorer.rounded_fitness))
    by_recipes = evolve(toolbox.population(n=10), toolbox, 4, seed=1, mutpb=mutpb, breeding="recipes")
    assert by_recipes[1] == whole[1]
    assert [member.flat.tobytes() for member in by_recipes[0]] == [member.flat.tobytes() for member in whole[0]]
    assert len(scored) == 50
    assert (5 in passes) is (name == "default")  # with the halves; not all are mutated where mutpb is less than 1


def test_a_rounded_genome_has_the_fitness_that_its_rounding_gives(digits, monkeypatch):
    monkeypatch.setattr(scorers, "GROUPED_WEIGHTS", 1)
    toolbox = make_toolbox("mlp", digits, seed=102, precision="bfloat16")
    individual = toolbox.individual()
    again = toolbox.clone(individual)
    for matrix in again[:2]:  # those of the last layer are not rounded
        matrix[...] = matrix.astype(ml_dtypes.bfloat16)
    score = Evaluate(toolbox.problem, 3)
    assert (individual[0] != again[0]).any()
    assert score(individual) == score(again)
    last = toolbox.clone(individual)
    last[2][...] = last[2].astype(ml_dtypes.bfloat16)
    assert score(last) != score(individual)


def test_weights_that_something_uses_in_float32_are_not_rounded():
    layers = keras.layers
    shared = layers.Dense(4, name="shared")
    given = keras.Input((4,))
    middle = layers.BatchNormalization(name="normal")(layers.Dense(4, name="first")(shared(given)))
    model = keras.Model(given, [shared(middle), layers.Dense(2, name="last")(middle)])
    quick = model_of(reference_of(model), precision="bfloat16")
    found = dict(zip([variable.path for variable in quick.trainable_variables], rounded_weights(quick), strict=True))
    rounded = {path.split("/")[-2] for path, flag in found.items() if flag}
    assert "first" in rounded
    assert not {"shared", "last"} & rounded


class Tied(keras.layers.Layer):
    """A layer that has a weight of another."""

    def __init__(self, other, **keywords):
        super().__init__(**keywords)
        self.kernel = other.kernel

    def call(self, inputs):
        return inputs @ self.kernel


def test_a_weight_of_two_layers_is_rounded_where_both_would_round_it():
    first = keras.layers.Dense(4, use_bias=False, dtype="mixed_bfloat16")
    given = keras.Input((4,))
    middle = first(given)
    for policy, rounded in (("float32", False), ("mixed_bfloat16", True)):
        model = keras.Model(given, Tied(first, dtype=policy)(middle))
        assert rounded_weights(model) == (rounded,)
