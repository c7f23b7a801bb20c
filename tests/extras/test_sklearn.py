"""The estimators keep scikit-learn's promises."""

from functools import partial

import numpy as np
import pytest
from keras_models import two_objectives
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score, log_loss, mean_pinball_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted
from tensorflow.python.framework import func_graph

from deap_nn import ES, GA, Constant, KerasProblem, make_toolbox
from deap_nn.data import registry
from deap_nn.estimators import EvolvedClassifier, EvolvedRegressor, mean_and_scale, standardised
from deap_nn.models.tensorflow import keras
from deap_nn.problems.scorer import forget_all

SMALL = {"population": 40, "generations": 60, "random_state": 1}


def model_of(outputs):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(outputs)])


NOT_EQUAL = "a mini-batch has a weighted sample once, and a repeated one several times"


def unequal(estimator):
    kinds = ("dense", "sparse")
    return {f"check_sample_weight_equivalence_on_{kind}_data": NOT_EQUAL for kind in kinds}


@parametrize_with_checks([EvolvedClassifier(**SMALL), EvolvedRegressor(**SMALL)], expected_failed_checks=unequal)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_it_is_at_home_in_pipelines_and_searches():
    x, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    piped = make_pipeline(StandardScaler(), EvolvedClassifier(**SMALL))
    assert cross_val_score(piped, x, names, cv=3).mean() > 0.9
    search = GridSearchCV(EvolvedClassifier(**SMALL), {"hidden_layer_sizes": [np.int64(4), (16, 8)]}, cv=2).fit(
        x, names
    )
    layers = [layer.units for layer in search.best_estimator_.model_.layers]
    assert layers == [*np.atleast_1d(search.best_params_["hidden_layer_sizes"]), 3]
    assert set(search.predict(x)) == set(names)
    assert search.predict_proba(x).sum(axis=1) == pytest.approx(1)


def test_a_model_of_ones_own_is_evolved():
    def network(features, outputs):
        layers = [keras.Input((features,)), keras.layers.Dense(9, "relu"), keras.layers.Dense(outputs, "softmax")]
        return keras.Sequential(layers)

    x, y = load_iris(return_X_y=True)
    before = dict(registry.HELD)
    classifier = EvolvedClassifier(network, **SMALL).fit(x, y)
    assert before == registry.HELD
    assert classifier.model_.layers[0].units == 9
    assert classifier.predict_proba(x) == pytest.approx(classifier.model_.predict(x, verbose=0), abs=1e-6)
    assert classifier.score(x, y) > 0.9
    assert classifier.n_iter_ == len(classifier.logbook_) - 1 == 60
    assert classifier.logbook_[-1]["best_pairs"] >= 1  # the genetic algorithm, whose parents are drawn


def test_several_targets_and_patience():
    x, y = load_diabetes(return_X_y=True)
    both = np.stack([y, -2 * y + 5], axis=1)
    regressor = EvolvedRegressor(**SMALL | {"generations": 2000}, patience=20).fit(x, both)
    assert regressor.n_iter_ < 2000
    assert regressor.predict(x[:7]).shape == (7, 2)
    assert regressor.score(x, both) > 0.3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"population": 1}, "population must be an integer of at least 2, got 1"),
        ({"validation_fraction": 0}, "validation_fraction must be above 0 and below 1, got 0"),
        ({"hidden_layer_sizes": (3, 0)}, "each of hidden_layer_sizes must be an integer of at least 1, got 0"),
        ({"hidden_layer_sizes": None}, "each of hidden_layer_sizes must be an integer of at least 1, got .*None"),
        ({"patience": 0}, "patience must be an integer of at least 1, got 0"),
        ({"model": model_of(2)}, "model must be a function of the numbers of features and outputs, got Sequential"),
        ({"model": lambda features, outputs: outputs}, "model must return a Keras model, got int"),
        (
            {"model": lambda features, outputs: model_of(1)},
            r"model must have 3 outputs a sample, got the shape \(None, 1\)",
        ),
    ],
)
def test_wrong_parameters_are_refused_by_fit(changed, said):
    x, y = load_iris(return_X_y=True)
    with pytest.raises((ValueError, TypeError), match=said):
        EvolvedClassifier(**changed).fit(x, y)


def test_a_model_that_is_given_again_and_again_is_left_to_its_owner():
    x = np.random.default_rng(0).standard_normal((90, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    model = model_of(2)
    before = [weights.copy() for weights in model.get_weights()]
    first = EvolvedClassifier(lambda features, classes: model, **SMALL).fit(x, y)
    shares = first.predict_proba(x)
    second = EvolvedClassifier(lambda features, classes: model, **SMALL).fit(x, 1 - y)
    assert np.array_equal(first.predict_proba(x), shares)
    assert first.score(x, y) > 0.9
    assert second.score(x, 1 - y) > 0.9
    assert all(map(np.array_equal, model.get_weights(), before))


def columns(samples=600):
    x = np.random.default_rng(0).standard_normal((samples, 3))
    return x, x[:, 0] * x[:, 1] > 0


def test_a_column_that_was_constant_hardly_matters_when_it_is_not():
    x, y = columns()
    x[:, 2] = 0.1  # whose mean is not 0.1 in floating point
    classifier = EvolvedClassifier(**SMALL).fit(x, y)
    assert classifier.input_scale_[2] == 1
    assert classifier.input_mean_[2] == 0.1
    moved = x + np.array([0, 0, 1e-3])
    assert np.mean(classifier.predict(moved) == classifier.predict(x)) > 0.98


def test_the_scale_of_samples_does_not_matter():
    x, y = columns()
    given = SMALL | {"generations": 20}
    first, *others = (EvolvedClassifier(**given).fit(x * s, y).predict(x * s) for s in (1.0, 1e-200, 1e306))
    assert all(np.mean(other == first) > 0.98 for other in others)


@pytest.mark.parametrize("values", [(5e-324, *[0.0] * 9), (1.0, 1.0 + 2**-52, 1.0), (3.0, 3.0, 3.0)])
def test_columns_that_hardly_differ_are_answered_with_numbers(values):
    x = np.array(values)[:, None]
    mean, scale = mean_and_scale(x)
    assert (scale > 0).all()
    assert np.isfinite(standardised(x, mean, scale)).all()


def test_samples_are_standardised_before_they_are_rounded():
    seconds = np.arange(600.0)[:, None]
    y = np.sin(seconds[:, 0] / 60)
    near, late = (EvolvedRegressor(**SMALL).fit(seconds + t, y).predict(seconds + t) for t in (0, 1.7e9))
    assert late == pytest.approx(near, abs=0.01)


def test_what_is_far_out_is_answered_with_numbers():
    x, y = columns()
    assert np.isfinite(EvolvedRegressor(activation="relu", **SMALL).fit(x, y).predict(x * 1e300)).all()


def test_after_a_fit_that_fails_it_is_not_fitted():
    x, y = columns()
    estimator = EvolvedClassifier(**SMALL, batch_size=0)
    with pytest.raises(ValueError, match="batch_size"):
        estimator.fit(x, y)
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)


@pytest.fixture
def traced(monkeypatch):
    """The names of the graphs that TensorFlow traces."""
    names, init = [], func_graph.FuncGraph.__init__

    def noted(self, name, *arguments, **keywords):
        names.append(name)
        init(self, name, *arguments, **keywords)

    monkeypatch.setattr(func_graph.FuncGraph, "__init__", noted)
    return names


def own_network(features, outputs):
    layers = [keras.layers.Dense(5, "relu"), keras.layers.Dropout(0.1), keras.layers.Dense(outputs, "softmax")]
    return keras.Sequential([keras.Input((features,)), *layers])


def test_a_second_fit_of_the_same_shapes_compiles_nothing(traced):
    x, y = columns(300)
    given = SMALL | {"generations": 2}
    forget_all()
    EvolvedClassifier(own_network, **given).fit(x, y)
    assert len(traced) > 1
    traced.clear()
    second = EvolvedClassifier(own_network, **given | {"random_state": 2}).fit(-x, y).predict_proba(x)
    assert traced == []
    forget_all()
    alone = EvolvedClassifier(own_network, **given | {"random_state": 2}).fit(-x, y).predict_proba(x)
    assert np.array_equal(second, alone)


def test_weights_of_samples_and_classes_count():
    x, _ = columns()
    y = (x[:, 0] > 0).astype(int)
    wrong = np.where(x[:, 1] > 0, 1 - y, y)  # half of the labels
    right = EvolvedClassifier(**SMALL).fit(x, wrong, sample_weight=(wrong == y).astype(float))
    assert right.score(x, y) > 0.9
    noise = np.random.default_rng(1).integers(0, 2, len(x))  # nothing can be learnt but which class is more
    names = np.array(["few", "many"])[noise]
    first = EvolvedClassifier(**SMALL, class_weight={"few": 50.0}).fit(x, names)
    assert (first.predict(x) == "few").mean() > 0.9
    both = EvolvedClassifier(**SMALL, class_weight={"few": 50.0}).fit(x, names, np.where(noise, 2500.0, 1.0))
    assert (both.predict(x) == "many").mean() > 0.9
    high = x[:, 1] > 0
    targets = np.where(high, 5.0, 0.0)
    plain, weighted = (EvolvedRegressor(**SMALL).fit(x, targets, sample_weight=w) for w in (None, ~high))
    assert plain.predict(x[high]).mean() > 3
    assert weighted.predict(x[high]).mean() < 2


def test_only_the_ratios_of_weights_count_and_samples_without_a_weight_are_none():
    x, y = load_iris(return_X_y=True)
    ones = np.ones(len(x))
    fits = [EvolvedClassifier(**SMALL).fit(x, y, sample_weight=weights) for weights in (ones, ones / 1024, ones * 64)]
    assert fits[0].logbook_ == fits[1].logbook_ == fits[2].logbook_
    some = np.resize([1.0, 0.0, 2.0], len(x))
    with_them = EvolvedClassifier(**SMALL).fit(x, y, sample_weight=some)
    without = EvolvedClassifier(**SMALL).fit(x[some > 0], y[some > 0], sample_weight=some[some > 0])
    assert with_them.logbook_ == without.logbook_
    with pytest.raises(ValueError, match="sample_weight must be above 0 for at least 2 samples"):
        EvolvedClassifier(**SMALL).fit(x, y, sample_weight=np.eye(len(x))[0])
    with pytest.raises(ValueError, match="sample_weight and class_weight must be at least 0, got -1"):
        EvolvedClassifier(**SMALL).fit(x, y, sample_weight=np.r_[-1, ones[1:]])
    with pytest.raises(ValueError, match="validation_fraction leaves none of 3 samples to train on"):
        EvolvedClassifier(**SMALL, validation_fraction=0.9).fit(x, y, sample_weight=np.r_[[1, 1, 1], 0 * ones[3:]])


def test_the_algorithm_and_the_start_are_chosen():
    x, y = load_iris(return_X_y=True)
    strategy = EvolvedClassifier(algorithm=ES(), **SMALL).fit(x, y)
    assert "best_pairs" not in strategy.logbook_[-1]
    assert strategy.score(x, y) > 0.9
    small = EvolvedClassifier(algorithm=GA(sigma=Constant(0.01)), **SMALL).fit(x, y)
    assert small.logbook_.select("sigma") == [0.01] * 61
    near = GA(sigma=Constant(1e-6))
    again = EvolvedClassifier(algorithm=near, init=strategy.model_, **SMALL | {"generations": 1}).fit(x, y)
    assert again.model_.get_weights()[0] == pytest.approx(strategy.model_.get_weights()[0], abs=1e-4)
    search = GridSearchCV(EvolvedClassifier(**SMALL), {"algorithm": [GA(), ES()]}, cv=2).fit(x, y)
    assert search.best_params_["algorithm"] in (GA(), ES())


def test_functions_of_scikit_learn_are_called_with_targets_and_outputs():
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(x))
    x, y = x[order], y[order]
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    skewed = partial(mean_pinball_loss, alpha=0.9)
    given = {"loss": [log_loss, skewed], "validation_split": 0}
    rows = np.eye(3)[y]
    for weights in (None, np.linspace(0, 2, len(x))):
        problem = KerasProblem(model, x, rows, sample_weight=weights, **given)
        toolbox = make_toolbox(problem, **two_objectives(), batch_size=len(x))
        individual = toolbox.individual()
        outputs = toolbox.to_model(individual)(x.astype(np.float32)).numpy()
        wanted = [loss(rows, outputs, sample_weight=weights) for loss in (log_loss, skewed)]
        assert toolbox.scores(individual, "train") == pytest.approx(wanted, rel=1e-4)
    area, f1 = partial(roc_auc_score, multi_class="ovr"), partial(f1_score, average="macro")
    for loss, said in ((area, "^container must say whether .* is minimised or maximised"), (f1, "^loss does not fit")):
        with pytest.raises(ValueError, match=said):
            make_toolbox(KerasProblem(model, x, y, loss=loss), seed=1)
