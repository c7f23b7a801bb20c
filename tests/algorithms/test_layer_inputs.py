"""The inputs of layers onto which steps are projected: which they are, and what is refused."""

import numpy as np
import pytest
from conftest import MNIST
from own_callbacks import Watch
from projected import made, run

from deap_nn import ES, Article, KerasProblem, evolve, make_toolbox
from deap_nn.genome.layer_inputs import unpacked_inputs
from deap_nn.models.tensorflow import keras


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"garbage-and-more", ValueError, "layer inputs do not fit dense layers"),
        (b"", ValueError, "projected: no dense layer has more inputs than a mini-batch has samples"),
        (None, TypeError, "layer_inputs must return the bytes of packed_inputs, got NoneType"),
    ],
)
def test_what_layer_inputs_of_ones_own_answer_is_checked_before_it_is_kept(digits, answer, error, message):
    toolbox = made(digits)
    toolbox.register("layer_inputs", lambda individual, generation, **_: answer)
    generations = []
    with pytest.raises(error, match=message):
        run(toolbox, callbacks=[Watch(lambda run: generations.append(run.generation))])
    assert generations == [0]


def test_layer_inputs_stay_the_same_during_a_run(digits):
    toolbox = made(digits)

    def again(evolution):
        toolbox.register("layer_inputs", made(digits).layer_inputs)

    with pytest.raises(ValueError, match="layer_inputs was registered again before generation 1"):
        run(toolbox, callbacks=[Watch(again)])


def test_positions_are_no_samples(digits):
    """Each of the 12 samples has two positions of 40 inputs, and the layer gets them as 24 rows."""
    inputs = keras.Input((2, 40))
    hidden = keras.layers.Dense(3)(keras.ops.reshape(inputs, (-1, 40)))
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(keras.ops.reshape(hidden, (-1, 6))))
    x = np.random.default_rng(0).standard_normal((60, 2, 40)).astype(np.float32)
    problem = KerasProblem(model, x, np.arange(60) % 2, loss="cross_entropy", centred=True)
    toolbox = make_toolbox(problem, algorithm=ES(projected=True), seed=1, batch_size=12)
    with pytest.raises(ValueError, match="projected: no dense layer has more inputs"):
        evolve(toolbox.population(n=4), toolbox, 1)


def test_a_kernel_with_lora_does_not_evolve(digits):
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(5), keras.layers.Dense(2)])
    model.layers[0].enable_lora(2)
    x = np.random.default_rng(0).standard_normal((60, 40)).astype(np.float32)
    problem = KerasProblem(model, x, np.arange(60) % 2, loss="cross_entropy", centred=True)
    with pytest.raises(ValueError, match="projected needs a Dense layer with more inputs"):
        make_toolbox(problem, algorithm=ES(projected=True), seed=1, batch_size=12)


def test_a_convolutional_network_is_projected_in_its_dense_layers(digits):
    inputs = keras.Input((28, 28, 1))
    hidden = keras.layers.Flatten()(keras.layers.Conv2D(2, 5, strides=3, activation="relu")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Dense(24, "relu")(hidden)))
    toolbox = make_toolbox(model, digits, ES(centred=True, projected=True), seed=1, batch_size=20)
    (individual,) = toolbox.population(n=1)
    found = unpacked_inputs(toolbox.layer_inputs(individual, 2), toolbox.layout.shapes)
    assert {place: rows.shape for place, rows in found.items()} == {2: (20, 128), 4: (20, 24)}


@pytest.mark.parametrize("in_groups", [True, False])
def test_layer_inputs_are_those_of_the_centred_layers(digits, monkeypatch, in_groups):
    if not in_groups:
        monkeypatch.setattr("deap_nn.problems.groups.GROUPED_WEIGHTS", 0)
    x = np.random.default_rng(0).standard_normal((90, 40)).astype(np.float32) + 2
    layers = [keras.Input((40,)), keras.layers.Dense(30, "tanh"), keras.layers.Dense(2)]
    problem = KerasProblem(keras.Sequential(layers), x, (x[:, 0] > 2).astype(int), loss="cross_entropy", centred=True)
    toolbox = make_toolbox(problem, algorithm=ES(projected=True), seed=1, batch_size=12)
    (individual,) = toolbox.population(n=1)
    from deap_nn.problems.scorer import scorer

    (batch,), _ = scorer(toolbox.problem)._minibatch(3)
    batch = batch.numpy().astype(np.float64)
    kernel, bias = individual[0], individual[1]
    outputs = batch @ kernel
    hidden = np.tanh(outputs - outputs.mean(axis=0) + bias)
    found = unpacked_inputs(toolbox.layer_inputs(individual, 3), toolbox.layout.shapes)
    for place, wanted in ((0, batch), (2, hidden)):
        wanted = wanted - wanted.mean(axis=0)
        wanted *= 127 / np.abs(wanted).max(axis=1, keepdims=True)
        assert np.abs(found[place] - wanted).max() < 0.51


def test_what_cannot_be_projected_is_refused(digits):
    with pytest.raises(ValueError, match="projected needs centred layers"):
        make_toolbox("mlp", digits, Article(projected=True), seed=1)
    with pytest.raises(ValueError, match="projected needs centred layers"):
        made(digits, ES(centred=False, projected=True))
    x = np.zeros((60, 40), np.float32)
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(2)])
    problem = KerasProblem(model, x, np.arange(60) % 2, loss="cross_entropy", centred=True, validation_split=0)
    with pytest.raises(ValueError, match="more inputs than a mini-batch has samples, 40"):
        make_toolbox(problem, algorithm=ES(projected=True), seed=1, batch_size=40)
    with pytest.raises(ValueError, match="projected must be yes or no, got 'yes'"):
        ES(projected="yes")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "article", "--projected", "yes"], "argument --projected: needs centred layers"),
        (["--preset", "es", "--centred", "no", "--projected", "yes"], "argument --projected: needs centred layers"),
        (["--preset", "es", "--projected", "perhaps"], "argument --projected: must be yes or no, got 'perhaps'"),
        (
            ["--preset", "es", "--projected", "yes", "--batch-size", 784],
            "argument --batch-size: must be below 784 with --projected yes, the inputs of the widest dense layer, got",
        ),
    ],
)
def test_the_command_refuses_what_cannot_be_projected(here, tmp_path, options, message):
    answer = here(MNIST, "--model", "mlp", *options, "--output", tmp_path / "run")
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"mnist.py: error: {message}")
    assert not (tmp_path / "run").exists()
