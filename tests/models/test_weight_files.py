"""Weights that a population starts around, and the files that they come from."""

import pathlib

import keras
import numpy as np
import pytest
from reference_loop import reference
from wirings import result

from deap_nn import (
    GA,
    Constant,
    Individual,
    KerasProblem,
    Layout,
    WeightsError,
    evolve_model,
    initAround,
    initNormal,
    make_toolbox,
    read_weights,
)
from deap_nn.algorithms.make_toolbox import layout_names
from deap_nn.models.built_in import build_model


@pytest.fixture(scope="module")
def toolbox(digits_file):
    return make_toolbox("mlp", digits_file, seed=1)


def test_the_first_is_what_was_given_and_the_others_lie_around(toolbox, digits_file):
    given = toolbox.individual()
    around = make_toolbox("mlp", digits_file, GA(sigma=0.3, schedule="constant"), seed=1, init=given)
    population = around.population(n=3)
    assert population[0].flat.tobytes() == given.flat.tobytes()
    away = population[1].flat - given.flat
    kernel = away[: 784 * 64]
    assert abs(kernel.std() / (0.3 * np.sqrt(2 / 784)) - 1) < 5 / np.sqrt(2 * kernel.size)
    assert abs(kernel.mean()) < 5 * kernel.std() / np.sqrt(kernel.size)
    assert not np.array_equal(population[2].flat, population[1].flat)
    none = make_toolbox("mlp", digits_file, GA(sigma=Constant(0.0), centred=False), seed=1, init=list(given))
    assert none.population(n=2)[1].flat.tobytes() == given.flat.tobytes()
    assert around.individual.keywords["sigma"] == 0.3


def test_recipes_and_weights_agree_on_where_they_start(toolbox, digits_file):
    around = make_toolbox("mlp", digits_file, seed=1, init=[np.full(s, 0.01) for s in toolbox.layout.shapes])
    assert result(around, n=6, ngen=2) == reference(around, n=6, ngen=2)


@pytest.mark.parametrize("init", [initNormal, initAround])
def test_a_start_keeps_its_own_sigma_in_recipes(toolbox, digits_file, init):
    given = {"weights": toolbox.individual()} if init is initAround else {}
    own = make_toolbox("mlp", digits_file, seed=1)
    noise = own.individual.keywords["noise"]
    own.register("individual", init, Individual, own.layout, sigma=0.3, noise=noise, **given)
    assert result(own, n=6, ngen=2) == reference(own, n=6, ngen=2)


SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@SAVING
def test_weights_come_from_files_as_they_were_written(toolbox, tmp_path):
    individual = toolbox.individual()
    np.savez(tmp_path / "own.npz", **layout_names(toolbox.layout, individual))
    toolbox.to_model(individual).save(tmp_path / "own.keras")
    for name, written in (("own.npz", individual), ("own.keras", toolbox.to_model(individual).get_weights())):
        found = read_weights(tmp_path / name, toolbox.layout)
        assert all(np.array_equal(a, b) for a, b in zip(found, written, strict=True))


@SAVING
def test_a_file_that_is_of_no_use_is_named(toolbox, tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    build_model("mnist_deep").save(tmp_path / "other.keras")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    whole = tmp_path / "torn.npz"
    np.savez_compressed(whole, **layout_names(toolbox.layout, toolbox.individual()))
    content = bytearray(whole.read_bytes())
    content[60:90] = bytes(30)
    whole.write_bytes(content)
    (tmp_path / "broken.keras").write_bytes(b"nothing")
    (tmp_path / "weights.txt").write_text("0.1")
    (tmp_path / "any.weights.h5").write_bytes(b"")
    nan = layout_names(toolbox.layout, [np.full(shape, np.nan) for shape in toolbox.layout.shapes])
    np.savez(tmp_path / "nan.npz", **nan)
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    for name, message in {
        "array.npz": "damaged, or no file of weights",
        "none.npz": "no such file",
        "other.npz": "must hold hidden/kernel, hidden/bias, output/kernel, output/bias, got a",
        "other.keras": "its weights must have the shapes",
        "broken.npz": "damaged, or no file of weights",
        "torn.npz": "damaged, or no file of weights",
        "broken.keras": "cannot be loaded",
        "weights.txt": "must end in .npz, .keras or .weights.h5",
        "any.weights.h5": r"give read_weights\(..., model=model\)",
        "nan.npz": "its weights must be finite",
    }.items():
        with pytest.raises(WeightsError, match=message) as caught:
            read_weights(tmp_path / name, toolbox.layout)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_weights_of_a_model_are_read_into_the_same_one_built_again(tmp_path):
    found = []
    for _ in range(2):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2)])
        found.append(KerasProblem(model, np.zeros((8, 3)), np.zeros((8, 2)), loss="mse"))
    first, again = (problem.layout for problem in found)
    assert first.names != again.names
    weights = initNormal(Individual, first, sigma=1.0, rng=np.random.default_rng(1))
    np.savez(tmp_path / "best.npz", **layout_names(first, weights))
    assert all(np.array_equal(a, b) for a, b in zip(read_weights(tmp_path / "best.npz", again), weights, strict=True))
    other = Layout((*again.names[:-1], "dense/scale"), again.shapes)
    with pytest.raises(WeightsError, match="must hold"):
        read_weights(tmp_path / "best.npz", other)


def test_wrong_weights_are_refused(toolbox, digits_file):
    with pytest.raises(ValueError, match="init must have the shapes"):
        make_toolbox("mlp", digits_file, seed=1, init=[np.zeros(3)])
    with pytest.raises(ValueError, match="sigma must be finite and at least 0, got -1"):
        initAround(list, toolbox.layout, weights=toolbox.individual(), sigma=-1, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def normalised():
    """A model with a layer that has a state beside its trainable weights, fitted, and the samples."""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(5, "relu"), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    x = np.random.default_rng(1).standard_normal((60, 3)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=1, verbose=0)
    return model, x, y


@SAVING
def test_a_trained_model_and_its_files_are_where_a_run_starts(normalised, tmp_path):
    model, x, y = normalised
    model.save(tmp_path / "trained.keras")
    model.save_weights(tmp_path / "trained.weights.h5")
    trained = [variable.numpy() for variable in model.trainable_variables]
    starts = [model, tmp_path / "trained.keras", str(tmp_path / "trained.weights.h5"), trained]
    starts.append(model.trainable_variables)
    fresh = keras.models.clone_model(model)  # with other weights
    before = fresh.get_weights()
    for start in starts:
        toolbox = make_toolbox(fresh, (x, y), seed=1, init=start)
        first, second = toolbox.population(n=2)
        assert all(map(np.array_equal, first, trained))
        assert not np.array_equal(second.flat, first.flat)
    assert all(map(np.array_equal, fresh.get_weights(), before))
    result = evolve_model(model, x, y, population=6, generations=0, seed=1, init=model)
    assert result.population[0].flat.tobytes() == first.flat.tobytes()


@pytest.mark.parametrize(
    ("init", "said"),
    [
        ("model.h5", r"init must be 'scaled' or 'normal', or a file that ends in \.npz, \.keras or \.weights\.h5, got"),
        (pathlib.Path("model.h5"), r"model.h5: no such file"),
        ("none.weights.h5", "none.weights.h5: no such file"),
        (3, "init must hold a matrix for each of .*, got int"),
        (keras.Sequential([keras.layers.Dense(2)], name="late"), "init: model 'late' must be built"),
    ],
)
def test_a_start_that_is_none_is_named(normalised, init, said):
    model, x, y = normalised
    with pytest.raises((ValueError, TypeError), match=rf"^{said}") as caught:
        make_toolbox(model, (x, y), seed=1, init=init)
    assert "\n" not in str(caught.value)


class Held(keras.Model):
    """A model that cannot be built again."""

    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units)

    def call(self, x):
        return self.dense(x)


@SAVING
def test_a_model_that_cannot_be_built_again_is_not_changed_by_a_file(normalised, tmp_path):
    _, x, y = normalised
    model = Held(2)
    model(x)
    model.save_weights(tmp_path / "held.weights.h5")
    with pytest.raises(WeightsError, match=r"cannot be built again .* assign the weights to a model"):
        make_toolbox(KerasProblem(model, x, y), seed=1, init=tmp_path / "held.weights.h5")
    assert make_toolbox(KerasProblem(model, x, y), seed=1, init=model).population(n=1)[0][0].shape == (3, 2)


@SAVING
def test_a_damaged_file_and_weights_of_another_network_are_named(normalised, tmp_path):
    model, x, y = normalised
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(tmp_path / "other.weights.h5")
    (tmp_path / "empty.weights.h5").write_bytes(b"")
    (tmp_path / "torn.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    for name in ("other", "empty", "torn"):
        with pytest.raises(WeightsError, match=rf"{name}\.weights\.h5: cannot be loaded") as caught:
            make_toolbox(model, (x, y), seed=1, init=tmp_path / f"{name}.weights.h5")
        assert "\n" not in str(caught.value)
