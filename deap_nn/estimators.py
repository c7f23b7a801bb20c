"""Neural networks with evolved weights as scikit-learn estimators: `EvolvedClassifier` and `EvolvedRegressor`.

References
----------
L. Buitinck and others, "API design for machine learning software: experiences from the scikit-learn project", ECML PKDD
workshop on languages for data mining and machine learning, 2013.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from deap_nn.algorithms.algorithm import ES, GA
from deap_nn.callbacks.base import Callback
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.core.arguments import check_count, check_number
from deap_nn.core.environment import optional
from deap_nn.core.seeding import global_state_kept
from deap_nn.data.samples import weighted_only
from deap_nn.model_evolution import evolve_model

if TYPE_CHECKING:
    import keras

with optional("sklearn"):
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data


CHUNK = 256
"""The number of samples in each call of the model. It is fixed, so that a sample's outputs do not depend on others."""


@dataclass(eq=False, repr=False)
class _Evolved(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The common part of both estimators: they evolve a network with a number of outputs."""

    _loss: ClassVar[str]

    model: Callable[[int, int], keras.Model] | None = None
    _: KW_ONLY
    algorithm: GA | ES | None = None
    hidden_layer_sizes: int | Sequence[int] = (32,)
    activation: str = "tanh"
    population: int = 100
    generations: int = 200
    batch_size: int = 64
    validation_fraction: float = 0.1
    patience: int | None = None
    random_state: Any = None
    verbose: bool = False
    init: Any = None

    def _checked(self, x: ArrayLike, *y: ArrayLike, **options: Any) -> Any:
        """Return checked samples and targets; a perceptron's are standardised before they are rounded to float32."""
        return validate_data(self, x, *y, dtype=np.float64 if self.model is None else np.float32, **options)

    def _evolve(self, x: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None, *, outputs: int) -> None:
        """Evolve a network for checked samples and targets, and keep it."""
        if not 0 < check_number(self.validation_fraction, "validation_fraction") < 1:
            raise ValueError(
                f"validation_fraction must be above 0 and below 1, got {self.validation_fraction!r}: "
                "the network is chosen on those samples"
            )
        cut = math.floor(len(x) * (1.0 - self.validation_fraction))
        if not cut:
            raise ValueError(
                f"validation_fraction leaves none of {len(x)} samples to train on, got {self.validation_fraction!r}"
            )
        random = check_random_state(self.random_state)
        order, seed = random.permutation(len(x)), int(random.randint(2**31))
        if self.model is None:
            self.input_mean_, self.input_scale_ = mean_and_scale(x[order])
            x = standardised(x, self.input_mean_, self.input_scale_)
            network = _perceptron(x.shape[1], outputs, self.hidden_layer_sizes, self.activation)
        else:
            network = _of_function(self.model, x.shape[1], outputs)
        given = [array[order] for array in (x, y, weights) if array is not None]
        callbacks: list[Callback] = [ProgressBar()] if self.verbose else []
        if self.patience is not None:
            callbacks.append(EarlyStopping(patience=self.patience))
        result = evolve_model(
            network,
            tuple(array[:cut] for array in given),
            algorithm=self.algorithm or GA(),
            population=self.population,
            generations=self.generations,
            seed=seed,
            loss=self._loss,
            validation_data=tuple(array[cut:] for array in given),
            batch_size=min(check_count(self.batch_size, "batch_size"), cut),
            init=self.init,
            map=map,
            callbacks=callbacks,
        )
        result.problem.release()
        self.model_, self.logbook_, self.n_iter_ = result.model, result.logbook, len(result.logbook) - 1
        self._from_logits = result.problem.from_logits[0]

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether the estimator has a network."""
        return hasattr(self, "model_")

    def _outputs(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the network's outputs; shape (samples, outputs)."""
        check_is_fitted(self)
        samples = self._checked(x, reset=False)
        if self.model is None:
            samples = standardised(samples, self.input_mean_, self.input_scale_)
        padded = np.pad(samples, ((0, -len(samples) % CHUNK), (0, 0)))
        rows = [self.model_(part, training=False) for part in np.split(padded, len(padded) // CHUNK)]
        return np.concatenate(rows)[: len(samples)].astype(np.float64)


@dataclass(eq=False, repr=False)
class EvolvedClassifier(ClassifierMixin, _Evolved):  # type: ignore[misc]  # nor have these
    """A neural network classifier with evolved weights, as a scikit-learn estimator.

    The genetic algorithm minimises the cross-entropy of one mini-batch in each generation. Every 25 generations and at
    the end, the validation samples score the best member and the mean of the parents; the best of these is the result.

    Parameters
    ----------
    model : callable, optional
        Takes the numbers of features and of classes, and returns a built Keras model. Its outputs are a softmax or
        logits, one for each class. By default a perceptron on standardised samples.
    algorithm : GA, ES or Article, optional
        The algorithm with its settings; ``GA()`` by default.
    hidden_layer_sizes : int or sequence of int
        The units of the perceptron's hidden layers.
    activation : str
        Their activation, by its name in Keras.
    population, generations : int
        The number of members, at least 2, and of generations after the initial one, at least 0.
    batch_size : int
        Samples in a mini-batch, at least 1; all, if there are fewer.
    validation_fraction : float
        The share of the samples, drawn at random, that is kept for validation: above 0, below 1.
    patience : int, optional
        Stop after this number of generations, at least 1, without a lower validation error.
    random_state : int, numpy.random.RandomState, optional
        The seed or generator of all random numbers.
    verbose : bool
        Whether to show progress.
    init
        The first weights, as in `make_toolbox`.
    class_weight : dict or "balanced", optional
        A weight for each label, 1 if left out; "balanced" is inverse to the number of samples.

    Attributes
    ----------
    model_ : keras.Model
        The network. The default perceptron takes standardised samples.
    input_mean_, input_scale_ : numpy.ndarray
        The mean and the scale of each feature that standardise the perceptron's samples, shape (features,). A `model`
        takes samples unchanged.
    classes_ : numpy.ndarray
        The labels, sorted.
    logbook_ : deap.tools.Logbook
        A row a generation, see `evolve`.
    n_iter_ : int
        Generations after the initial population.
    n_features_in_ : int
        Features of a sample.
    feature_names_in_ : numpy.ndarray
        Their names, if the samples of `fit` had names.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> classifier = EvolvedClassifier(population=40, generations=60, random_state=1).fit(x, y)
    >>> classifier.score(x, y) > 0.9
    True
    """

    _loss: ClassVar[str] = "cross_entropy"

    _: KW_ONLY
    class_weight: Any = None

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> EvolvedClassifier:
        """Evolve a network for samples of shape (samples, features), and labels and weights of shape (samples,)."""
        samples, labels = self._checked(X, y, ensure_min_samples=2)
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        weights = _weights(sample_weight, samples)
        if self.class_weight is not None:
            weights = compute_sample_weight(self.class_weight, labels) * (1.0 if weights is None else weights)
        self._evolve(*weighted_only(samples, numbers, weights), outputs=len(self.classes_))
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each class; shape (samples, classes)."""
        outputs = self._outputs(X)
        shares: NDArray[np.float64] = (
            softmax(outputs, axis=1) if self._from_logits else outputs / outputs.sum(axis=1, keepdims=True)
        )
        return shares

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label of each sample; shape (samples,)."""
        places = self._outputs(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels


class EvolvedRegressor(RegressorMixin, _Evolved):  # type: ignore[misc]  # nor have these
    """A neural network regressor with evolved weights, as a scikit-learn estimator.

    The mean squared error of standardised targets is minimised; all else is as for `EvolvedClassifier`.

    Parameters
    ----------
    model : callable, optional
        Takes the numbers of features and of targets, and returns a built Keras model with an output for each target.
        By default a perceptron on standardised samples.
    algorithm, hidden_layer_sizes, activation, population, generations, batch_size, validation_fraction, patience, \
random_state, verbose, init
        As for `EvolvedClassifier`.

    Attributes
    ----------
    model_ : keras.Model
        The network. Its outputs are standardised targets; it takes samples as in `EvolvedClassifier`.
    input_mean_, input_scale_
        As for `EvolvedClassifier`.
    target_mean_, target_scale_ : numpy.ndarray
        The mean and the scale that standardise each target, shape (targets,).
    logbook_, n_iter_, n_features_in_, feature_names_in_
        As for `EvolvedClassifier`.

    Examples
    --------
    >>> x = np.linspace(-3, 3, 200)[:, None]
    >>> regressor = EvolvedRegressor(population=40, generations=100, random_state=1).fit(x, np.sin(x[:, 0]))
    >>> regressor.score(x, np.sin(x[:, 0])) > 0.9
    True
    """

    _loss = "mse"

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: the estimator also accepts several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> EvolvedRegressor:
        """Evolve a network for samples of shape (samples, features) and targets of (samples,) or (samples, targets)."""
        samples, given = self._checked(X, y, multi_output=True, y_numeric=True, ensure_min_samples=2)
        self._one_target = np.ndim(given) == 1
        targets = np.asarray(given, np.float64).reshape(len(samples), -1)
        samples, targets, weights = weighted_only(samples, targets, _weights(sample_weight, samples))
        self.target_mean_, self.target_scale_ = mean_and_scale(targets)
        scaled = standardised(targets, self.target_mean_, self.target_scale_)
        self._evolve(samples, scaled, weights, outputs=targets.shape[1])
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the targets of each sample; shape (samples,) or (samples, targets), as in `fit`."""
        targets: NDArray[np.float64] = self._outputs(X) * self.target_scale_ + self.target_mean_
        return targets[:, 0] if self._one_target else targets


def _weights(sample_weight: ArrayLike | None, samples: NDArray[Any]) -> NDArray[Any] | None:
    """Return checked weights of samples, shape (samples,), or None if there are none."""
    if sample_weight is None:
        return None
    weights: NDArray[Any] = _check_sample_weight(sample_weight, samples, dtype=np.float64)
    return weights


def _of_function(model: Any, features: int, outputs: int) -> keras.Model:
    """Return the model that a user's function builds; TypeError or ValueError if it has the wrong kind or outputs."""
    from deap_nn.models.tensorflow import keras

    if isinstance(model, keras.Model) or not callable(model):
        raise TypeError(f"model must be a function of the numbers of features and outputs, got {type(model).__name__}")
    network = model(features, outputs)
    if not isinstance(network, keras.Model):
        raise TypeError(f"model must return a Keras model, got {type(network).__name__}")
    if network.output_shape != (None, outputs):
        raise ValueError(f"model must have {outputs} outputs a sample, got the shape {network.output_shape}")
    return network


@global_state_kept()
def _perceptron(features: int, outputs: int, hidden_layer_sizes: int | Sequence[int], activation: str) -> keras.Model:
    """Return a built perceptron."""
    from deap_nn.models.tensorflow import keras

    sizes = [check_count(size, "each of hidden_layer_sizes") for size in np.atleast_1d(hidden_layer_sizes).tolist()]
    hidden = [keras.layers.Dense(size, activation, dtype="float32") for size in sizes]
    layers = [keras.Input((features,), dtype="float32"), *hidden, keras.layers.Dense(outputs, dtype="float32")]
    return keras.Sequential(layers)


FURTHEST = 1e18
"""The largest distance of a sample from the mean, in standard deviations: a float32 can hold its square."""


def mean_and_scale(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation of each column, 1 for a constant one; each of shape (columns,)."""
    means, scales = np.empty(x.shape[1]), np.empty(x.shape[1])
    for place, column in enumerate(x.T):
        most = np.abs(column).max() or 1.0
        part = column / most  # a float could not hold the squares of large values, or their sum
        part -= (first := part[0])
        mean = part.mean()  # of differences: the mean of large values that differ little would be rounded
        means[place], scales[place] = most * (first + mean), most * part.std()
        if (column == column[0]).all() or not scales[place]:  # or its differences vanish
            means[place], scales[place] = column[0], 1.0
    return means, scales


def standardised(x: NDArray[Any], mean: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return columns minus their mean, divided by their scale and clipped at ``FURTHEST``."""
    found = np.empty(x.shape, np.float32)
    for place, column in enumerate(x.T):  # one column at a time takes little memory
        found[:, place] = np.clip((column - mean[place]) / scale[place], -FURTHEST, FURTHEST)
    return found
