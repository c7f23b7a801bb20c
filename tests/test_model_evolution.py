"""One call for a Keras model; (x, y) where a problem or a toolbox takes data."""

import gc

import numpy as np
import pytest
from keras_models import LABELS, X, network
from sklearn.utils.class_weight import compute_sample_weight

from deap_nn import ES, GA, Callback, KerasProblem, evolve, evolve_model, make_toolbox
from deap_nn.core.errors import EvaluationError
from deap_nn.data import registry
from deap_nn.models.tensorflow import keras

UNIQUE = r": names, y = np\.unique\(y, return_inverse=True\)$"


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
    result = evolve_model(network(), X + 2, LABELS, GA(centred=True), population=10, generations=3, seed=1)
    wrong = np.mean(result.model.predict(X + 2, verbose=0).argmax(axis=1) != LABELS)
    assert result.evaluate(X + 2, LABELS, loss="error") == {"error": pytest.approx(wrong)}
    on_validation = result.evaluate(X[160:] + 2, LABELS[160:])
    assert on_validation == {"cross_entropy": pytest.approx(result.validation_error, rel=1e-5)}


@pytest.mark.parametrize(("split", "error"), [(0.2, KeyboardInterrupt), (0, KeyboardInterrupt), (0.2, EvaluationError)])
def test_the_best_network_so_far_comes_with_ctrl_c_and_a_failed_evaluation(split, error):
    def interrupting(evolution):
        if evolution.generation == 3:
            raise error

    words = {"population": 10, "seed": 1, "validation_split": split}
    with pytest.raises(error) as interrupted:
        evolve_model(network(), X, LABELS, callbacks=[interrupting], **words)
    result = interrupted.value.result
    assert interrupted.value.__notes__ == [f"the best network so far is the result of this exception: {result}"]
    assert len(result.logbook) == 4
    assert np.array_equal(result.model.get_weights()[0], result.individual[0])
    if not split:
        best = evolve_model(network(), X, LABELS, generations=3, **words).individual
        assert np.array_equal(result.individual.flat, best.flat)


@pytest.mark.parametrize("kept", ["toolbox", "problem"])
def test_samples_are_released_with_all_that_scores_on_them(kept):
    result = evolve_model(network(), X + 5, LABELS, population=4, generations=1, seed=1)
    reference = result.problem.samples.reference
    left = getattr(result, kept)
    del result
    gc.collect()
    toolbox = left if kept == "toolbox" else make_toolbox(left, seed=1)
    assert toolbox.error_rate(toolbox.individual(), "validation") >= 0
    assert reference in registry.made_of_arrays()
    del left, toolbox
    gc.collect()
    assert reference not in registry.made_of_arrays()


def test_what_fails_holds_no_samples():
    before = set(registry.made_of_arrays())
    with pytest.raises(ValueError, match="seed must be"):
        evolve_model(network(), X + 3, LABELS, population=4, generations=1, seed=-1)
    assert set(registry.made_of_arrays()) <= before
    result = evolve_model(network(), X + 3, LABELS, population=4, generations=1, seed=1)
    held = set(registry.made_of_arrays())
    with pytest.raises(ValueError, match="loss must be"):
        result.evaluate(X + 4, LABELS, loss=["error", "no such loss"])
    many = np.concatenate([X] * 20), np.concatenate([LABELS] * 20)
    with pytest.raises(AttributeError, match="missing"):
        result.evaluate(*many, loss=lambda y_true, y_pred: y_true.missing if len(y_true) == 4000 else 0.0)
    assert set(registry.made_of_arrays()) <= held
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
        ES(),
        population=12,
        generations=2,
        seed=1,
        loss="mse",
        validation_split=0.5,
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


def test_the_candidate_with_the_lowest_validation_error_comes_out():
    others = X, 1 - LABELS  # the better on the training samples, the worse here
    result = evolve_model(network(), X, LABELS, population=12, generations=4, seed=1, validation_data=others)
    assert result.evaluate(*others)["cross_entropy"] == pytest.approx(result.validation_error, rel=1e-5)
    best = max(result.population, key=lambda member: member.fitness)
    assert result.individual.flat.tobytes() != best.flat.tobytes()


def test_without_validation_samples_the_best_of_the_last_generation_is_taken():
    result = evolve_model(network(), X, LABELS, population=12, generations=2, seed=1, validation_split=0.0)
    best = max(result.population, key=lambda member: member.fitness)
    assert result.individual.flat.tobytes() == best.flat.tobytes()
    assert np.isnan(result.validation_error)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ({"algorithm": "es"}, TypeError, r"algorithm must be GA\(...\), ES\(...\) or Article\(...\), got 'es'"),
        ({"learning_rate": 0.1}, TypeError, "learning_rate is no argument of KerasProblem, make_toolbox or evolve"),
        ({"fitness": "error"}, TypeError, "fitness is no argument"),
        ({"population": 1}, ValueError, "population must be an integer of at least 2, got 1"),
        ({"generations": -1}, ValueError, "generations must be an integer of at least 0, got -1"),
        ({"loss": "accuracy"}, ValueError, r"loss must be 'error' \(1 - accuracy\), .* got 'accuracy'"),
        ({"loss": "BinaryAccuracy"}, ValueError, r"loss must be 'error' \(1 - accuracy\), .* got 'BinaryAccuracy'"),
    ],
)
def test_what_is_wrong_is_named(words, error, said):
    with pytest.raises(error, match=said):
        evolve_model(network(), X, LABELS, **{"seed": 1} | words)


def test_a_pair_will_do_for_x_and_y():
    problem = KerasProblem(network(), (X, LABELS))
    assert len(problem.samples) == 160
    results = []
    for made in (make_toolbox(network(), (X, LABELS), seed=1), make_toolbox(problem, seed=1)):
        _, logbook = evolve(made.population(n=12), made, 2)
        results.append(logbook)
    assert results[0] == results[1]
    toolbox = make_toolbox(network(), (X, LABELS), GA(fitness="error"), seed=1)
    assert toolbox.problem.objectives[0].name == "error"


def off(a, b):
    return float(np.mean(np.abs(a - 2 * b)))


def test_a_function_of_other_names_is_warned_of_once_and_samples_to_evaluate_may_have_weights():
    with pytest.warns(UserWarning, match="^off is called with") as found:
        result = evolve_model(network(1), X, X[:, :1], population=4, generations=1, seed=1, loss=off)
    assert len(found) == 1
    outputs, targets = result.model(X).numpy()[:, 0], X[:, 0]
    assert result.evaluate(X, X[:, :1])["off"] == pytest.approx(np.abs(outputs - 2 * targets).mean(), rel=1e-5)
    away = np.abs(outputs - targets)
    weights = np.linspace(0, 2, len(X))
    wanted = pytest.approx(np.mean(away * weights), rel=1e-5)
    assert result.evaluate(X, X[:, :1], loss="mae", sample_weight=weights)["mae"] == wanted


@pytest.mark.parametrize(("algorithm", "words"), [(GA(fitness="error"), {}), (GA(), {"from_logits": False})])
def test_a_result_evaluates_the_loss_of_the_run(algorithm, words):
    result = evolve_model(network(), X, LABELS, algorithm, population=4, generations=1, seed=1, **words)
    (name,) = (objective.name for objective in result.problem.objectives)
    assert name == (algorithm.fitness or "cross_entropy")
    assert result.evaluate(X[160:], LABELS[160:]) == {name: pytest.approx(result.validation_error, rel=1e-5)}


@pytest.mark.parametrize("given", ["cross_entropy", keras.losses.SparseCategoricalCrossentropy(from_logits=True)])
def test_a_result_is_shown_in_a_line(given):
    settings = {"population": 4, "generations": 1, "seed": 1}
    loss = "cross-entropy" if isinstance(given, str) else given.name.replace("_", " ")
    result = evolve_model(network(), X, LABELS, **settings, loss=given)
    error = result.evaluate(X[160:], LABELS[160:], loss="error")["error"]
    scores = f"{loss} {result.validation_error:.4g}, error rate {error:.4g}"
    assert repr(result) == f"<EvolvedModel: 44 weights, 1 generations, validation {scores}>"


@pytest.mark.parametrize(
    ("outputs", "targets", "said"),
    [
        (2, LABELS + 1, "labels must be integers from 0 to 1 for 2 outputs, got 1 to 2$"),
        (
            2,
            np.where(LABELS, "yes", "no"),
            f"integers from 0 to 1 for 2 outputs, got strings such as '(yes|no)'{UNIQUE}",
        ),
        (1, np.array(["b", "a"] * 100, object), f"from 0 to 1 for 1 output, got strings such as 'b'{UNIQUE}"),
        (1, X[:, 0], "needs targets of 0 and 1, got .*: for a regression give loss='mse' or compile the model$"),
    ],
)
def test_labels_that_are_no_classes_are_named(outputs, targets, said):
    with pytest.raises(ValueError, match=said):
        evolve_model(network(outputs), X, targets, population=4, generations=1, seed=1)


@pytest.mark.parametrize(("word", "meant"), [("epochs", "generations"), ("resume", "checkpoint"), ("los", "loss")])
def test_a_near_miss_of_an_argument_is_named(word, meant):
    with pytest.raises(TypeError, match=f'^{word} is no argument of .* evolve: did you mean "{meant}"\\?$'):
        evolve_model(network(), X, LABELS, seed=1, **{word: 3})


def test_balanced_weights_of_classes_are_inverse_frequencies():
    labels = (X[:, 0] > 0.8).astype(int)
    found = KerasProblem(network(), X, labels, class_weight="balanced").samples.halves("train")[1][1]
    wanted = compute_sample_weight("balanced", labels[:160])
    assert found == pytest.approx(wanted)
    assert len(set(wanted)) == 2


def test_a_fitted_model_says_that_new_weights_are_drawn_unless_it_is_the_start():
    model = network()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    settings = {"population": 4, "generations": 0, "seed": 1}
    evolve_model(model, X, LABELS, **settings)  # compiled, but not fitted
    model.fit(X, LABELS, verbose=0)
    with pytest.warns(UserWarning, match="^model is fitted, and new weights are drawn: init=model begins at its own$"):
        evolve_model(model, X, LABELS, **settings)
    found = evolve_model(model, X, LABELS, **settings, init=model)
    assert found.validation_error < 2
    with pytest.warns(UserWarning, match="^model is fitted"):
        evolve_model(found.model, X, LABELS, **settings)  # it has no optimizer


def test_a_constraint_is_refused_and_a_regularizer_left_out_with_a_word():
    def model(**words):
        return keras.Sequential([keras.Input(X.shape[1:]), keras.layers.Dense(3, name="last", **words)])

    with pytest.raises(ValueError, match=r"/last/kernel has a constraint, which children break: take bounds="):
        KerasProblem(model(kernel_constraint="non_neg"), X, LABELS)
    for name in ("bias_regularizer", "activity_regularizer"):
        with pytest.warns(UserWarning, match=r"^model '\w+' has regularizers, which the fitness leaves out$"):
            KerasProblem(model(**{name: "l2"}), X, LABELS)
