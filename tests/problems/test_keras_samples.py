"""Samples of any form are held as they were given, or refused."""

from collections import OrderedDict, namedtuple

import numpy as np
import pandas as pd
import pytest
from keras_models import dense, labels, x_of

from deap_nn import KerasProblem, make_toolbox
from deap_nn.data import registry
from deap_nn.data.minibatches import batch_indices
from deap_nn.data.samples import Samples, as_arrays, flat, outline, packed, split_samples
from deap_nn.models.tensorflow import keras, tf

layers = keras.layers


def test_other_dtypes_beside_the_training_samples_are_cast():
    whole = np.arange(20).reshape(5, 4), np.zeros((5, 2), np.int64)
    problem = KerasProblem(dense(2), x_of(), x_of(2), loss="mse", validation_data=whole, test_data=whole)
    toolbox = make_toolbox(problem, seed=1)
    individual = toolbox.individual()
    predicted = problem.to_model(individual).predict(whole[0].astype(np.float32), verbose=0)
    assert toolbox.error_rate(individual, "test") == pytest.approx(np.mean(predicted**2), rel=1e-4)
    assert toolbox.error_rate(individual, "validation") == pytest.approx(np.mean(predicted**2), rel=1e-4)


def test_each_generation_has_a_mini_batch_of_its_own():
    seen = []

    def note(outputs, targets):
        seen.append(targets[:, 0].tolist())
        return 0.0

    y = np.arange(40, dtype=np.float32)[:, None]
    problem = KerasProblem(dense(1), x_of(), y, loss=note, validation_split=0)
    seen.clear()  # of the trial
    toolbox = make_toolbox(problem, seed=3, batch_size=8)
    individual = toolbox.individual()
    evaluate = toolbox.evaluate.func
    for generation in range(6):
        evaluate.generation = generation
        evaluate(individual)
        assert seen[-1] == batch_indices(3, generation, 8, 40).tolist()
    assert seen[0] != seen[1]


def test_nests_are_packed_as_they_were():
    nest = {"b": [np.zeros(3), np.ones(3)], "a": (np.arange(3),)}
    assert [array.tolist() for array in flat(nest)] == [[0, 1, 2], [0, 0, 0], [1, 1, 1]]
    assert outline(nest) == {"b": [None, None], "a": (None,)}
    again = packed(outline(nest), [1, 2, 3])
    assert again == {"b": [2, 3], "a": (1,)}
    assert list(again) == ["b", "a"]
    pair = namedtuple("pair", "left right")
    assert packed(pair(np.zeros(3), np.ones(3)), [1, 2]).right == 2
    mixed = OrderedDict(b=np.zeros(1), a=np.ones(1))  # by name, as all dictionaries
    assert [array.tolist() for array in flat(mixed)] == [[1], [0]]
    assert as_arrays([[0.0, 1.0], [1.0, 0.0]], "x")[0].dtype == np.float32  # a table of numbers is one array
    assert as_arrays(list(np.arange(3)), "y")[0].tolist() == [0, 1, 2]  # numbers of NumPy's are numbers
    samples = Samples({"train": ([[0, 1], [1, 1]], [0, 1])})
    assert len(samples) == 2
    x, y = [[0, 1], [1, 1]], [0, 1]
    others = ([[0, 1], [1, 0]], y), ({"a": x}, y)
    assert samples.reference not in [Samples({"train": parts}).reference for parts in others]
    one, other = ({"train": (x, y), part: (x, y)} for part in ("validation", "test"))
    assert Samples(one).reference != Samples(other).reference


@pytest.mark.parametrize(
    ("train", "other", "said"),
    [
        (np.arange(40), np.array([2.5] * 4), "validation has samples of float32, which int64 of train does not hold"),
        (np.arange(40, dtype=np.uint8), np.array([300] * 4), "validation has samples of int64, which uint8 of train"),
        (np.array(["a"] * 40), np.arange(4), "validation has samples of int64, which str32 of train does not hold"),
        (np.arange(40), np.array([7] * 4, np.uint8), None),
        (np.arange(40) / 2, np.arange(4), None),
        (np.arange(40, dtype=np.float16), np.array([0.1] * 4), None),
        (np.array(["good", "bad"] * 20), np.array(["excellent", "awful"] * 2), None),
    ],
)
def test_samples_of_another_type_are_held_whole_or_refused(train, other, said):
    y = np.zeros(40)
    given = {"validation_split": 0, "validation_data": (other, y[:4])}
    if said is not None:
        with pytest.raises(ValueError, match=said):
            split_samples(train, y, **given)
        return
    (held,), _ = split_samples(train, y, **given).halves("validation")
    assert held.tolist() == other.astype(held.dtype).tolist()
    assert held.dtype.kind == train.dtype.kind
    if held.dtype.kind == "U":
        assert held.tolist() == other.tolist()


def test_longer_strings_are_scored():
    words, y = np.array(["good", "bad"] * 20)[:, None], np.array([0, 1] * 20)
    lookup = layers.TextVectorization(vocabulary=["good", "bad", "excellent"], output_sequence_length=1)
    inputs = keras.Input((1,), dtype="string")
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Embedding(5, 2)(lookup(inputs)))))
    validation = np.array(["excellent", "bad"] * 5)[:, None], np.array([0, 1] * 5)
    toolbox = make_toolbox(KerasProblem(model, words, y, loss="error", validation_data=validation), seed=1)
    individual = toolbox.individual()
    outputs = toolbox.to_model(individual)(tf.constant(validation[0])).numpy()
    expected = np.mean(outputs.argmax(axis=1) != validation[1])
    assert toolbox.scores(individual, "validation")[0] == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on saving
@pytest.mark.parametrize(("mode", "form"), [("int", str), ("multi_hot", object), ("tf_idf", bytes)])
def test_vocabularies_that_were_adapted_come_along(mode, form):
    words, y = np.array([["good day"], ["bad day"], ["good"], ["bad"]] * 10), np.array([0, 1, 0, 1] * 10)
    words = tf.constant(words) if form is bytes else words.astype(form)
    lookup = layers.TextVectorization(output_mode=mode, output_sequence_length=2 if mode == "int" else None)
    lookup.adapt(words)
    inside = [layers.Embedding(5, 2), layers.Flatten()] if mode == "int" else []
    model = keras.Sequential([keras.Input((1,), dtype="string"), lookup, *inside, layers.Dense(2)])
    problem = KerasProblem(model, words, y, loss="cross_entropy", validation_split=0)
    toolbox = make_toolbox(problem, seed=1, batch_size=40)
    individual, inputs = toolbox.individual(), tf.constant(words)
    evolved = problem.to_model(individual)
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, evolved(inputs))
    assert toolbox.evaluate(individual)[0] == pytest.approx(float(expected), rel=1e-4)
    problem.assign(individual, model)
    assert np.allclose(model(inputs), evolved(inputs), atol=1e-6)


def test_what_could_not_be_made_holds_no_samples():
    x, y = x_of() + 7, x_of(2)
    with pytest.raises(ValueError, match="loss must be"):
        KerasProblem(dense(2), x, y, loss="no such loss")
    problem = KerasProblem(dense(2), x, y, loss="mse")
    problem.release()
    assert problem.samples.reference not in registry.made_of_arrays()


def test_a_problem_releases_its_samples_once():
    x, y = x_of() + 8, x_of(2)
    one, other = (KerasProblem(dense(2), x, y, loss="mse", validation_split=0) for _ in range(2))
    toolbox = make_toolbox(other, seed=1)
    individual = toolbox.individual()
    value = toolbox.evaluate(individual)
    one.release()
    one.release()
    assert toolbox.evaluate(individual) == value
    other.release()
    other.release()
    assert other.samples.reference not in registry.made_of_arrays()


@pytest.mark.parametrize(("dtype", "split"), [(np.float32, 0.25), (np.float64, 0), (np.uint8, 0.25)])
def test_samples_are_those_that_were_given_whatever_becomes_of_the_arrays(dtype, split):
    x, y = (3 * np.abs(x_of())).astype(dtype), x_of(2)
    weights = np.ones(len(x), np.float32)
    words = {"loss": "mse", "validation_split": split, "sample_weight": weights}
    toolbox = make_toolbox(KerasProblem(dense(2), x, y, **words), seed=1)
    individual = toolbox.individual()
    before = toolbox.scores(individual, "train")
    for array in (x, y, weights):
        array[:] = 0
    assert toolbox.scores(individual, "train") == before


def test_a_part_whose_samples_have_no_weight_is_refused():
    weights = np.r_[np.ones(30), np.zeros(10)]
    for last, part in ((weights, "validation"), (1 - weights, "train")):
        with pytest.raises(ValueError, match=f"sample_weight must be above 0 for some samples of {part}"):
            KerasProblem(dense(2), x_of(), x_of(2), loss="mse", validation_split=0.25, sample_weight=last)


def test_frames_of_numbers_and_bools_are_taken():
    frame = pd.DataFrame({"length": [0.5, 1.5, 2.5, 0.0], "large": [False, True, True, False], "count": [1, 2, 3, 4]})
    (array,) = as_arrays(frame, "x")
    assert array.dtype == np.float32
    assert array.tolist() == [[0.5, 0, 1], [1.5, 1, 2], [2.5, 1, 3], [0, 0, 4]]
    with pytest.raises(ValueError, match="must hold arrays of numbers or strings"):
        as_arrays(pd.DataFrame({"length": [0.5, None], "name": ["a", "b"]}), "x")


def test_samples_that_cannot_be_written_to_are_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", x_of())
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    problem = KerasProblem(dense(2), x, x_of(2), loss="mse")
    assert all(np.shares_memory(x, problem.samples.halves(split)[0][0]) for split in ("train", "validation"))


def test_problem_and_data_say_what_they_are(digits):
    assert repr(KerasProblem(dense(2), x_of(), x_of(2), loss="mse")).startswith("<KerasProblem: 37 weights, 32 samples")
    assert repr(digits).startswith("<Dataset ")
    assert len(repr(digits)) < 200


@pytest.mark.parametrize("dtype", ["datetime64[D]", "timedelta64[D]", np.complex64])
def test_what_is_no_number_is_refused(dtype):
    with pytest.raises(ValueError, match="x must hold arrays of numbers or strings with samples along the first"):
        KerasProblem(dense(), np.ones((40, 4)).astype(dtype), labels())


def test_a_model_with_a_state_of_its_own_is_refused():
    model = keras.Sequential([keras.Input((3, 2), batch_size=8), keras.layers.LSTM(4, stateful=True, name="memory")])
    with pytest.raises(ValueError, match=r"^layer 'memory' is stateful: a network is scored from its weights alone$"):
        KerasProblem(model, np.ones((40, 3, 2)), np.ones((40, 4)), loss="mse")
