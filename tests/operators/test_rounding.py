"""Genomes that are scored in bfloat16 are rounded as they are bred, to the bits that rounding them later gives."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import ml_dtypes
import numpy as np
import pytest
from genomes import ANY_SHAPES, SEVERAL_BLOCKS, size_of
from hypothesis import example, given
from hypothesis import strategies as st
from reference_loop import reference
from wirings import evolve_toolbox, logged

from deap_nn import GA, Individual, make_toolbox
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.breeding import slots
from deap_nn.breeding.genomes import Genomes
from deap_nn.breeding.kinds import Child, Founder
from deap_nn.breeding.reproduction import AroundCentre, Reproduction
from deap_nn.breeding.task import forget, genomes_by_run
from deap_nn.core.registered import at
from deap_nn.genome.vectors import empty_halves, empty_vector
from deap_nn.models.tensorflow import keras
from deap_nn.operators.compiled.centre import mutate_around, round_weights
from deap_nn.problems import groups, network
from deap_nn.problems.evaluate import Evaluate
from deap_nn.problems.scorer import Scorer, forget_all

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


@example(shapes=SEVERAL_BLOCKS, sigma=0.3, seed=1, place=4)
@example(shapes=((5,), (2, 3)), sigma=1e38, seed=2, place=3)
@given(shapes=ANY_SHAPES, sigma=st.floats(0, 10), seed=st.integers(0, 1000), place=st.integers(0, 9))
def test_children_around_a_centre_are_rounded_in_the_pass(shapes, sigma, seed, place):
    rng = np.random.default_rng(seed)
    size = size_of(shapes)
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
            places=[place, 2 * place + 1][:children],
        )
        around(plain)
        around(outs, halves=halves, rounded=rounded)
        for i in range(children):
            round_weights(plain[i], expected[i], shapes, rounded)
            assert halves[i].tobytes() == expected[i].tobytes()
            for whole, begin, end in zip(~rounded, [0, *ends], ends, strict=False):
                assert not whole or outs[i][begin:end].tobytes() == plain[i][begin:end].tobytes()
                assert not whole or (halves[i][begin:end] == UNTOUCHED).all()


def test_halves_that_do_not_fit_are_refused():
    flat = np.zeros(6, np.float32)
    sizes = {"factors": np.ones(1, np.float32), "shapes": ((6,),), "seed": 1, "generation": 1, "places": [0]}
    six = empty_halves(6)
    for halves, flags in (([], [True]), ([empty_halves(5)], [True]), ([six], [True, False]), ([six], None)):
        rounded = None if flags is None else np.array(flags)
        with pytest.raises(ValueError, match="must have"):
            mutate_around([flat.copy()], flat, np.ones(9, np.float32), **sizes, halves=halves, rounded=rounded)


@pytest.mark.parametrize(
    ("name", "mutpb", "lodged"), [("es", 1, 1), ("es", 0.5, 1_000_000), ("ga", 1, 1_000_000), ("ga", 0.5, 1)]
)
def test_recipes_are_rounded_and_score_what_whole_genomes_do(mlp, monkeypatch, name, mutpb, lodged):
    monkeypatch.setattr(groups, "GROUPED_WEIGHTS", 1)  # each genome alone, as those of large networks
    monkeypatch.setattr(slots, "LODGED_WEIGHTS", lodged)
    monkeypatch.setattr(slots, "LODGED_MATES", 1)
    toolbox = mlp(ALGORITHMS[name](), seed=101, precision="bfloat16")
    passes, scored = [], []

    def counting(counted, method):
        return lambda self, *arguments: counted.append(len(arguments)) or method(self, *arguments)

    whole = reference(toolbox, n=10, ngen=4, seed=101, mutpb=mutpb)
    monkeypatch.setattr(AroundCentre, "_around", counting(passes, AroundCentre._around))
    monkeypatch.setattr(Scorer, "rounded_fitness", counting(scored, Scorer.rounded_fitness))
    by_recipes = evolve_toolbox(toolbox, n=10, ngen=4, mutpb=mutpb)
    assert logged(*by_recipes) == whole
    assert len(scored) == 50
    assert (6 in passes) is (name == "es")  # with the halves; not all are mutated where mutpb is less than 1


def test_a_rounded_genome_whose_slot_is_used_again_while_it_is_scored_is_scored_again(mlp, monkeypatch):
    monkeypatch.setattr(groups, "GROUPED_WEIGHTS", 1)
    monkeypatch.setattr(slots, "LODGED_WEIGHTS", 1)
    toolbox = mlp(seed=111, precision="bfloat16")
    whole = reference(toolbox, n=8, ngen=3, seed=111)
    overwritten = set()

    def fitness(self, flat, halves, generation, inputs, score=Scorer.rounded_fitness):
        (genomes,) = genomes_by_run.values()
        for recipe in genomes._in_slots:
            slot = genomes.slots[recipe.id]
            if genomes.cache.read(slot, recipe.id) is flat and recipe not in overwritten:
                overwritten.add(recipe)
                with genomes.cache.writing(slot, 12345) as room:  # as a late task of an earlier generation
                    room[:] = 7
        return score(self, flat, halves, generation, inputs)

    forget()
    monkeypatch.setattr(Scorer, "rounded_fitness", fitness)
    assert logged(*evolve_toolbox(toolbox, n=8, ngen=3)) == whole
    assert len(overwritten) == 3 * 8


def test_a_rounded_genome_has_the_fitness_that_its_rounding_gives(mlp, monkeypatch):
    monkeypatch.setattr(groups, "GROUPED_WEIGHTS", 1)
    toolbox = mlp(seed=102, precision="bfloat16")
    individual = toolbox.individual()
    again = toolbox.clone(individual)
    for matrix in again[:2]:  # those of the last layer are not rounded
        matrix[...] = matrix.astype(ml_dtypes.bfloat16)
    score = at(Evaluate(toolbox.problem), 3)
    assert (individual[0] != again[0]).any()
    assert score(individual) == score(again)
    last = toolbox.clone(individual)
    last[2][...] = last[2].astype(ml_dtypes.bfloat16)
    assert score(last) != score(individual)


def test_threads_that_score_at_the_same_time_do_not_mix_their_genomes(digits, monkeypatch):
    monkeypatch.setattr(groups, "GROUPED_WEIGHTS", 1)
    layers = [keras.layers.Flatten(), keras.layers.Dense(400), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((28, 28, 1)), *layers])
    toolbox = make_toolbox(model, digits, seed=103, precision="bfloat16")
    genomes = [toolbox.individual() for _ in range(8)]
    evaluate = toolbox.evaluate
    alone = [evaluate(genome) for genome in genomes]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            assert list(pool.map(evaluate, genomes)) == alone


def test_a_centre_that_is_overwritten_while_it_is_read_is_read_again(tmp_path):
    class Rounding(Reproduction):
        """Copies the centre, and gives its slot to another genome while it rounds a child."""

        calls = 0

        def breed(self, breeder, children, parents, outs):
            outs[0][:] = parents[0]

        def breed_rounded(self, breeder, children, parents, outs, halves, rounded):
            self.calls += 1
            with genomes.cache.writing(0, 99) as room:
                room[:] = 7
            round_weights(parents[0], halves[0], breeder.shapes, rounded)
            return True

    class Overwriting:
        """The part of a breeder that the genomes need."""

        shapes, container, noise_table = ((3,),), Individual, None
        reproduction = Rounding()

        def founder(self, place):
            return Individual([np.full(3, 5)])

    genomes, centre = Genomes(Overwriting(), "run", tmp_path), Founder(0)
    genomes.slots, genomes.recipes = {centre.id: 0}, {centre.id: centre}
    with genomes.cache.writing(0, centre.id) as room:
        room[:] = 5
    ((_, halves),) = genomes.rounded([Child(1, 0, (centre.id,))], np.array([True]))
    assert halves.view(ml_dtypes.bfloat16).tolist() == [5, 5, 5]
    assert genomes.breeder.reproduction.calls == 1
    genomes.cache.remove()


class Decayed(Evaluate):
    """An evaluation of somebody's own that adds to what it derives from."""

    def __call__(self, individual):
        (loss,) = super().__call__(individual)
        return (loss + float((individual.flat**2).sum()),)


@pytest.mark.parametrize("grouped", [True, False])
def test_a_derived_evaluation_is_called(mlp, monkeypatch, grouped):
    monkeypatch.setattr(groups, "GROUPED_WEIGHTS", 1_000_000 if grouped else 1)
    toolbox = mlp(GA(parents=4), seed=104 + grouped, precision="bfloat16")
    toolbox.register("evaluate", Decayed(toolbox.problem))
    weights, rows = reference(toolbox, n=6, ngen=2, seed=104 + grouped)
    assert logged(*evolve_toolbox(toolbox, n=6, ngen=2)) == (weights, rows)
    assert rows[0]["min"] > 20  # of the weights


@keras.saving.register_keras_serializable("test_rounding")
class Scaled(keras.Sequential):
    """A model with a weight of its own."""

    def __init__(self, layers=None, trainable=True, name=None):
        super().__init__(layers, trainable=trainable, name=name)
        self.scale = self.add_weight(shape=(10,), initializer="ones", name="scale")

    def call(self, inputs, training=None):
        return keras.ops.convert_to_tensor(self.scale) * super().call(inputs)


@keras.saving.register_keras_serializable("test_rounding")
class Tied(keras.layers.Layer):
    """An answering layer that has another inside and reads its weight too."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.inside = layers.Dense(10)

    def build(self, shape):
        self.inside.build(shape)

    def call(self, inputs):
        return self.inside(inputs) + keras.ops.convert_to_tensor(self.inside.bias)


@keras.saving.register_keras_serializable("test_rounding")
class Exact(keras.layers.Layer):
    """A layer whose weights are not cast."""

    def __init__(self, **keywords):
        super().__init__(autocast=False, **keywords)

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 10), name="kernel")

    def call(self, inputs):
        return keras.ops.cast(inputs, "float32") @ self.kernel


layers = keras.layers


def dense(*more):
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, "relu", name="first"), *more])


def convolution():
    inner = keras.Sequential([keras.Input((14, 14, 4)), layers.Conv2D(4, 3, name="inner"), layers.BatchNormalization()])
    first = [
        layers.Conv2D(4, 3, padding="same", name="outer"),
        layers.MaxPooling2D(2),
        inner,
        layers.DepthwiseConv2D(3),
    ]
    return keras.Sequential([keras.Input((28, 28, 1)), *first, layers.Flatten(), layers.Dense(10)])


def shared():
    given, twice = keras.Input((28, 28, 1)), layers.Dense(10, "relu", name="twice")
    middle = layers.Dense(10, "relu", name="before")(layers.Flatten()(given))
    middle = layers.SpectralNormalization(layers.Dense(10))(twice(twice(middle)))
    return keras.Model(given, layers.Dense(10)(layers.Dropout(0.5)(middle)))


def recurrent():
    rows = [layers.Reshape((28, 28)), layers.TimeDistributed(layers.Dense(9))]
    last = [layers.LSTM(8), layers.LayerNormalization(), layers.Dense(10)]
    return keras.Sequential([keras.Input((28, 28, 1)), *rows, *last])


OF_KERAS = {
    "dense": (lambda: dense(layers.Dense(10)), ["first"]),
    "convolution": (convolution, ["outer", "inner"]),
    "shared": (shared, ["before", "twice"]),
    "recurrent": (recurrent, []),
    "a weight of the model": (lambda: Scaled(dense(layers.Dense(10)).layers, name="scaled"), []),
    "an answer that reads what is inside": (lambda: dense(Tied()), []),
    "not cast": (lambda: dense(Exact(), layers.Dense(10)), []),
}


@pytest.mark.parametrize("name", OF_KERAS)
def test_no_model_answers_otherwise_because_its_weights_are_rounded_before(digits, monkeypatch, name):
    monkeypatch.setattr(groups, "GROUPED_WEIGHTS", 1)
    build, expected = OF_KERAS[name]
    model = build()
    if not model.built:
        model.build((None, 28, 28, 1))
    toolbox = make_toolbox(model, digits, seed=1, precision="bfloat16")
    rounding = Scorer(toolbox.problem)
    flags = rounding.rounded or [False] * len(toolbox.layout)
    found = {path.split("/")[-2] for path, flag in zip(toolbox.layout.names, flags, strict=True) if flag}
    assert found == set(expected)
    monkeypatch.setattr(network, "take_rounded", lambda model: (False,))
    forget_all()
    before = Scorer(toolbox.problem)
    for individual in (toolbox.individual(), toolbox.individual()):
        assert rounding.fitness(individual, 2) == before.fitness(individual, 2)
