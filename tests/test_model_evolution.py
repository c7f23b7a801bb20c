"""One call for a Keras model; (x, y) and compiled losses where a problem or a toolbox takes data."""

import gc

import numpy as np
import pytest
from keras_models import two_objectives
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_sample_weight

from deap_nn import Callback, KerasProblem, SelfAdaptive, evolve, evolve_model, make_toolbox
from deap_nn.data import registry
from deap_nn.models.tensorflow import keras, tf
from deap_nn.operators.adaptation.feedback import ErrorScaled

RNG = np.random.default_rng(1)
X = RNG.standard_normal((200, 4)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int)


def network(outputs=2, activation=None):
    layers = [keras.Input((4,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(outputs, activation)]
    return keras.Sequential(layers)


def compiled(loss, outputs=2, activation=None):
    model = network(outputs, activation)
    model.compile(optimizer="sgd", loss=loss)
    return model


def test_the_best_network_comes_out():
    model = network()
    before = [weights.copy() for weights in model.get_weights()]
    result = evolve_model(model, X, LABELS, population=30, generations=30, seed=1)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
    right = np.mean(result.model.predict(X, verbose=0).argmax(axis=1) == LABELS)
    assert right > 0.9
    assert 1 - result.evaluate(X, LABELS, loss="error")["error"] == pytest.approx(right, abs=1e-6)
    assert result.logbook.select("gen") == list(range(31))
    assert [matrix.shape for matrix in result.individual] == [w.shape for w in model.get_weights()]
    on_validation = result.evaluate(X[160:], LABELS[160:])
    assert on_validation == {"cross_entropy": pytest.approx(result.validation_error, rel=1e-5)}
    assert len(result.population) == 30


def test_a_result_with_centred_layers_evaluates_as_its_model_predicts():
    result = evolve_model(network(), X + 2, LABELS, population=10, generations=3, seed=1, centred=True)
    wrong = np.mean(result.model.predict(X + 2, verbose=0).argmax(axis=1) != LABELS)
    assert result.evaluate(X + 2, LABELS, loss="error") == {"error": pytest.approx(wrong)}
    on_validation = result.evaluate(X[160:] + 2, LABELS[160:])
    assert on_validation == {"cross_entropy": pytest.approx(result.validation_error, rel=1e-5)}


@pytest.mark.parametrize("kept", ["toolbox", "problem"])
def test_samples_are_released_with_all_that_scores_on_them(kept):
    result = evolve_model(network(), X + 5, LABELS, population=4, generations=1, seed=1)
    digest = result.problem.samples.reference.sha256
    left = getattr(result, kept)
    del result
    gc.collect()
    toolbox = left if kept == "toolbox" else make_toolbox(left, seed=1)
    assert toolbox.error_rate(toolbox.individual(), "validation") >= 0
    assert digest in registry.made_of_arrays()
    del left, toolbox
    gc.collect()
    assert digest not in registry.made_of_arrays()


def test_a_problem_that_is_released_twice_leaves_the_model_to_others():
    class Held(keras.Model):  # it has no configuration, so it cannot be built again
        def __init__(self, units):
            super().__init__()
            self.dense = keras.layers.Dense(units)

        def call(self, inputs):
            return self.dense(inputs)

        def get_config(self):
            raise NotImplementedError

    model = Held(2)
    model(X)
    first, second = (KerasProblem(model, X + shift, LABELS) for shift in (6, 7))
    toolbox = make_toolbox(second, seed=1)
    individual = toolbox.individual()
    value = toolbox.evaluate(individual)
    for _ in range(3):
        first.release()
    assert toolbox.evaluate(individual) == value


def test_what_fails_holds_no_samples():
    before = set(registry.made_of_arrays())
    with pytest.raises(ValueError, match="sigma must be"):
        evolve_model(network(), X + 3, LABELS, population=4, generations=1, seed=1, sigma=-1)
    assert set(registry.made_of_arrays()) == before
    result = evolve_model(network(), X + 3, LABELS, population=4, generations=1, seed=1)
    held = set(registry.made_of_arrays())
    with pytest.raises(ValueError, match="loss must be"):
        result.evaluate(X + 4, LABELS, loss=["error", "no such loss"])
    many = np.concatenate([X] * 20), np.concatenate([LABELS] * 20)
    with pytest.raises(AttributeError, match="missing"):
        result.evaluate(*many, loss=lambda y_true, y_pred: y_true.missing if len(y_true) == 4000 else 0.0)
    assert set(registry.made_of_arrays()) == held
    result.problem.release()


def test_the_same_seed_gives_the_same_network():
    first, again, other = (
        evolve_model(network(), X, LABELS, population=12, generations=3, seed=seed) for seed in (1, 1, 2)
    )
    assert first.individual.flat.tobytes() == again.individual.flat.tobytes()
    assert first.individual.flat.tobytes() != other.individual.flat.tobytes()


def test_options_go_where_they_belong(capsys):
    class Watch(Callback):
        seen = 0

        def on_generation(self, evolution):
            self.seen += 1

    watch, called = Watch(), []

    def noting_map(function, items):
        called.append(function)
        return map(function, items)

    result = evolve_model(
        network(1),
        X,
        X[:, :1],
        population=12,
        generations=2,
        seed=1,
        loss="mse",
        validation_split=0.5,
        preset="es",
        batch_size=50,
        callbacks=[watch],
        verbose=True,
        map=noting_map,
    )
    assert watch.seen == 3
    assert called
    assert capsys.readouterr().out.startswith("evolution strategy (es)")
    assert result.problem.samples.size("validation") == 100
    assert result.toolbox.problem.batch_size == 50
    assert list(result.evaluate(X, X[:, :1])) == ["mse"]


def test_without_validation_samples_the_best_of_the_last_generation_is_taken():
    result = evolve_model(network(), X, LABELS, population=12, generations=2, seed=1, validation_split=0.0)
    best = max(result.population, key=lambda member: member.fitness)
    assert result.individual.flat.tobytes() == best.flat.tobytes()
    assert np.isnan(result.validation_error)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ({"learning_rate": 0.1}, TypeError, "learning_rate is no argument of KerasProblem, make_toolbox or evolve"),
        ({"fitness": "error"}, TypeError, "fitness is no argument"),
        ({"population": 1}, ValueError, "population must be an integer of at least 2, got 1"),
        ({"generations": -1}, ValueError, "generations must be an integer of at least 0, got -1"),
        ({"loss": "accuracy"}, ValueError, 'loss is minimised: take "error", which is 1 - accuracy'),
        ({"loss": "BinaryAccuracy"}, ValueError, 'loss is minimised: take "error", which is 1 - accuracy'),
    ],
)
def test_what_is_wrong_is_named(words, error, said):
    with pytest.raises(error, match=said):
        evolve_model(network(), X, LABELS, **{"seed": 1} | words)


LOSSES = {
    "named": ("sparse_categorical_crossentropy", 2, "softmax", "sparse_categorical_crossentropy"),
    "from logits": (keras.losses.SparseCategoricalCrossentropy(from_logits=True), 2, None, None),
    "mse": ("mse", 1, None, "mse"),
    "a list of one": (["mse"], 1, None, "mse"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_compiled_loss_is_that_of_the_problem(name):
    loss, outputs, activation, called = LOSSES[name]
    model = compiled(loss, outputs, activation)
    targets = LABELS if outputs == 2 else X[:, :1]
    problem = KerasProblem(model, X, targets)
    assert called is None or problem.objectives[0].name == called
    toolbox = make_toolbox(problem, seed=1, batch_size=160)
    individual = toolbox.individual()
    same = problem.to_model(individual)
    same.compile(optimizer="sgd", loss=loss)
    expected = same.evaluate(X[:160], targets[:160], verbose=0, batch_size=160)
    assert toolbox.evaluate(individual)[0] == pytest.approx(expected, rel=1e-4)
    kind = ErrorScaled if outputs == 2 else SelfAdaptive
    assert isinstance(toolbox.clock.adaptation, kind)


def lopsided(y_true, y_pred):
    """Ten times as much for what is too low, for each sample."""
    short = tf.maximum(y_true - y_pred, 0.0)
    return tf.reduce_mean(10.0 * short + tf.maximum(y_pred - y_true, 0.0), axis=-1)


@pytest.mark.parametrize("name", ["function", "list", "dict"])
def test_a_compiled_function_is_called_as_keras_calls_it(name):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="answer")(inputs))
    loss = {"function": lopsided, "list": [lopsided], "dict": {"answer": lopsided}}[name]
    model.compile(optimizer="sgd", loss=loss)
    toolbox = make_toolbox(KerasProblem(model, X, X[:, :1]), seed=1, batch_size=160)
    individual = toolbox.individual()
    predicted = toolbox.to_model(individual).predict(X[:160], verbose=0)
    assert toolbox.evaluate(individual)[0] == pytest.approx(float(np.mean(lopsided(X[:160, :1], predicted))), rel=1e-5)


def test_outputs_that_are_compiled_without_a_loss_do_not_count():
    inputs = keras.Input((4,))
    outputs = [keras.layers.Dense(2, name="a")(inputs), keras.layers.Dense(1, name="b")(inputs)]
    model = keras.Model(inputs, outputs)
    model.compile(loss=[None, "mse"])
    toolbox = make_toolbox(KerasProblem(model, X, [LABELS, X[:, :1]]), seed=1, batch_size=160)
    individual = toolbox.individual()
    predicted = toolbox.to_model(individual).predict(X[:160], verbose=0)[1]
    assert toolbox.evaluate(individual)[0] == pytest.approx(float(np.mean((predicted - X[:160, :1]) ** 2)), rel=1e-5)
    model.compile(loss=["mse", "mse"], loss_weights=[1.0, 100.0])
    with pytest.raises(ValueError, match=r"loss: the loss_weights \[1.0, 100.0\] .* are not used: give a loss"):
        KerasProblem(model, X, [X[:, :2], X[:, :1]])


def test_a_model_that_is_not_compiled_has_the_cross_entropy():
    assert KerasProblem(network(), X, LABELS).objectives[0].name == "cross_entropy"
    assert KerasProblem(compiled("mse", 1), X, X[:, :1], loss="mae").objectives[0].name == "mae"


def test_a_pair_will_do_for_x_and_y():
    problem = KerasProblem(network(), (X, LABELS))
    assert len(problem.samples) == 160
    results = []
    for made in (make_toolbox(network(), (X, LABELS), seed=1), make_toolbox(problem, seed=1)):
        _, logbook = evolve(made.population(n=12), made, 2)
        results.append(logbook)
    assert results[0] == results[1]
    toolbox = make_toolbox(network(), (X, LABELS), seed=1, fitness="error")
    assert toolbox.problem.objectives[0].name == "error"


def test_the_sigma_of_another_fitness_is_each_members_own(capsys):
    toolbox = make_toolbox(KerasProblem(network(1), X, X[:, :1], loss="mse"), seed=1)
    adaptation = toolbox.clock.adaptation
    assert isinstance(adaptation, SelfAdaptive)
    assert (adaptation.first, adaptation.floor) == (0.1, 0.005)
    evolve(toolbox.population(n=12), toolbox, 1, verbose=True)
    assert "each member's own, from 0.1 and at least 0.005 (self-adaptive)" in capsys.readouterr().out.splitlines()[0]


def off(a, b):
    return float(np.mean(np.abs(a - b)))


def test_a_function_of_other_names_is_warned_of_once_and_samples_to_evaluate_may_have_weights():
    with pytest.warns(UserWarning, match="^off is called with") as found:
        result = evolve_model(network(1), X, X[:, :1], population=4, generations=1, seed=1, loss=off)
    assert len(found) == 1
    away = np.abs(result.model(X).numpy() - X[:, :1])[:, 0]
    assert result.evaluate(X, X[:, :1])["off"] == pytest.approx(away.mean(), rel=1e-5)
    weights = np.linspace(0, 2, len(X))
    wanted = pytest.approx(np.mean(away * weights), rel=1e-5)
    assert result.evaluate(X, X[:, :1], loss="mae", sample_weight=weights)["mae"] == wanted


def squared(y_true, y_pred):
    return np.mean((y_true - y_pred) ** 2)


def squared_each(y_true, y_pred):
    return (y_true - y_pred) ** 2


def tensors(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def raw_tensors(y_true, y_pred):
    return tf.reduce_mean(-y_true * tf.math.log(y_pred + 1e-3), axis=-1)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on evaluating
@pytest.mark.parametrize("targets", [LABELS, LABELS[:, None], LABELS > 0, LABELS.astype(np.float32)])
@pytest.mark.parametrize("loss", [tensors, raw_tensors])
def test_a_compiled_function_sees_targets_as_keras_has_them(loss, targets):
    model = compiled(loss, 1, "sigmoid")
    toolbox = make_toolbox(KerasProblem(model, X, targets), seed=1, batch_size=160)
    individual = toolbox.individual()
    same = toolbox.to_model(individual)
    same.compile(loss=loss)
    expected = same.evaluate(X[:160], targets[:160], verbose=0, batch_size=160)
    assert toolbox.evaluate(individual)[0] == pytest.approx(expected, rel=1e-5)


def test_a_compiled_function_evaluates_integer_labels():
    result = evolve_model(compiled(raw_tensors, 1, "sigmoid"), X, LABELS, population=4, generations=1, seed=1)
    predicted = result.model.predict(X, verbose=0)
    wanted = np.mean(-LABELS[:, None] * np.log(predicted + 1e-3))
    assert result.evaluate(X, LABELS)["raw_tensors"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("loss", [squared, squared_each, tensors])
def test_a_function_that_makes_a_matrix_of_flat_labels_is_warned_of(loss):
    shapes = r"targets \(n,\) and outputs \(n, 1\)"
    message = rf"^{loss.__name__} gets {shapes}: y_true - y_pred is an \(n, n\) array: give y\[:, None\]$"
    with pytest.warns(UserWarning, match=message) as found:
        evolve_model(network(1, "sigmoid"), X, LABELS, population=4, generations=1, seed=1, loss=loss)
    assert len(found) == 1
    KerasProblem(network(1, "sigmoid"), X, LABELS[:, None], loss=loss)


@pytest.mark.parametrize(
    "loss",
    [
        lambda y_true, y_pred: 1 - f1_score(y_true, y_pred[:, 0] > 0.5),
        lambda y_true, y_pred: 1 - f1_score(y_true, y_pred > 0.5),
        lambda y_true, y_pred: np.mean(y_true != (y_pred[:, 0] > 0.5)),
        lambda y_true, y_pred: np.mean(np.abs(y_true - y_pred.ravel())),
    ],
)
def test_a_function_for_flat_labels_gets_them_as_they_are(loss):
    toolbox = make_toolbox(KerasProblem(network(1, "sigmoid"), X, LABELS, loss=loss), seed=1, batch_size=160)
    individual = toolbox.individual()
    predicted = toolbox.to_model(individual).predict(X[:160], verbose=0)
    assert toolbox.evaluate(individual)[0] == pytest.approx(loss(LABELS[:160], predicted), rel=1e-5)


def test_labels_in_a_column_for_flat_outputs_are_warned_of_too():
    layers = [keras.Input((4,)), keras.layers.Dense(1), keras.layers.Reshape(())]
    with pytest.warns(UserWarning, match=r"targets \(n, 1\) and outputs \(n,\): .* give y\[:, 0\]$"):
        KerasProblem(keras.Sequential(layers), X, LABELS[:, None], loss=squared)


def test_the_error_of_a_loss_comes_before_the_run():
    with pytest.raises(ValueError, match=r"^loss does not fit .*: .* mix of binary and continuous targets"):
        KerasProblem(network(1, "sigmoid"), X, LABELS, loss=lambda y_true, y_pred: 1 - f1_score(y_true, y_pred))


ONE_LINE = r"def f1\(y_true, y_pred\): return 1 - f1_score\(y_true, y_pred\[:, 0\] > 0.5\)"


@pytest.mark.parametrize(
    ("loss", "targets", "said"),
    [
        ("f1", LABELS, f"^loss is minimised: take {ONE_LINE}"),
        (f1_score, LABELS, f"^loss does not fit .* mix of binary and continuous targets: take {ONE_LINE}"),
        (keras.metrics.F1Score(threshold=0.5), LABELS, f"^loss does not fit .*: take {ONE_LINE}"),
        (keras.metrics.F1Score(threshold=0.5), LABELS[:, None], f"^loss may be {ONE_LINE}.*; else container must say"),
    ],
)
def test_f1_names_the_function_that_minimises_it(loss, targets, said):
    with pytest.raises(ValueError, match=said):
        evolve_model(network(1, "sigmoid"), X, targets, population=4, generations=1, seed=1, loss=loss)


def test_f1_of_keras_is_a_number_of_one_output():
    problem = KerasProblem(network(1, "sigmoid"), X, LABELS[:, None], loss=keras.metrics.F1Score(threshold=0.5))
    toolbox = make_toolbox(problem, batch_size=160, **two_objectives((1.0,)))
    individual = toolbox.individual()
    predicted = toolbox.to_model(individual).predict(X[:160], verbose=0)
    assert toolbox.evaluate(individual)[0] == pytest.approx(f1_score(LABELS[:160], predicted[:, 0] > 0.5), rel=1e-5)


def test_a_result_is_shown_in_a_line():
    result = evolve_model(network(), X, LABELS, population=4, generations=1, seed=1)
    wanted = f"<EvolvedModel: 44 weights, 1 generations, validation error {result.validation_error:.4g}>"
    assert repr(result) == wanted


SPARSE = "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("outputs", "targets", "loss", "said"),
    [
        (2, LABELS + 1, None, "labels must be integers from 0 to 1 for 2 outputs, got 1 to 2$"),
        (2, LABELS + 1, SPARSE, "labels must be integers from 0 to 1 for 2 outputs, got 1 to 2$"),
        (2, np.where(LABELS, "yes", "no"), None, "integers from 0 to 1 for 2 outputs, got strings such as '(yes|no)'$"),
        (2, np.where(LABELS, "yes", "no"), SPARSE, "from 0 to 1 for 2 outputs, got strings such as '(yes|no)'$"),
        (1, np.array(["b", "a"] * 100, object), None, "from 0 to 1 for 1 output, got strings such as 'b'$"),
        (1, X[:, 0], None, "needs targets of 0 and 1, got .*: for a regression give loss='mse' or compile the model$"),
    ],
)
def test_labels_that_are_no_classes_are_named(outputs, targets, loss, said):
    with pytest.raises(ValueError, match=said):
        evolve_model(network(outputs), X, targets, population=4, generations=1, seed=1, loss=loss)


@pytest.mark.parametrize("ignored", [255, -1])
def test_a_class_that_is_ignored_may_be_any_integer(ignored):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignored)
    targets = np.where(np.arange(200) % 5, LABELS, ignored)
    assert KerasProblem(network(), X, targets, loss=loss).objectives[0].name == SPARSE


@pytest.mark.parametrize(("word", "meant"), [("epochs", "generations"), ("generation", "generations"), ("los", "loss")])
def test_a_near_miss_of_an_argument_is_named(word, meant):
    with pytest.raises(TypeError, match=f'^{word} is no argument of .* evolve: did you mean "{meant}"\\?$'):
        evolve_model(network(), X, LABELS, seed=1, **{word: 3})


@pytest.mark.parametrize(
    "call",
    [
        lambda x: KerasProblem(network(), x, LABELS),
        lambda x: make_toolbox(network(), (x, LABELS), seed=1),
        lambda x: evolve_model(network(), x, LABELS, population=4, generations=1, seed=1),
    ],
)
def test_a_warning_points_at_the_line_of_the_user(call):
    large = X * 1000
    peak = f"{np.abs(large[:160]).max():g}"
    message = f"^inputs have values up to {peak}: standardise x, or begin with a Normalization layer$"
    with pytest.warns(UserWarning, match=message) as found:
        call(large)
    assert [warning.filename for warning in found] == [__file__]


def test_large_inputs_that_are_scaled_or_looked_up_are_not_warned_of():
    normalization = keras.layers.Normalization()
    normalization.adapt(X * 1000)
    KerasProblem(keras.Sequential([keras.Input((4,)), normalization, keras.layers.Dense(2)]), X * 1000, LABELS)
    embedding = [keras.layers.Embedding(900, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    words = RNG.integers(0, 900, (200, 4))
    KerasProblem(keras.Sequential([keras.Input((4,), dtype="int32"), *embedding]), words, LABELS)


def test_balanced_weights_of_classes_are_inverse_frequencies():
    labels = (X[:, 0] > 0.8).astype(int)
    found = KerasProblem(network(), X, labels, class_weight="balanced").samples.halves("train")[1][1]
    wanted = compute_sample_weight("balanced", labels[:160])
    assert found == pytest.approx(wanted)
    assert len(set(wanted)) == 2
