"""What counts as fitness of a Keras model's answers: losses and metrics, and functions of one's own."""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from deap_nn.core.arguments import did_you_mean
from deap_nn.core.errors import WORST
from deap_nn.models.custom_objects import by_name, left_out, own_parts, silent_on_lambdas, untold
from deap_nn.models.tensorflow import keras

Kind = Literal["error", "cross_entropy", "loss", "metric", "function", "sum"]

TARGETS = ("y_true", "targets")
"""The names of a function's parameter that takes the targets."""

OUTPUTS = ("y_pred", "outputs", "y_score", "y_proba", "y_prob")
"""The names of a function's parameter that takes the outputs: Keras', this package's and scikit-learn's."""

ACCURACIES = ("accuracy", "acc", "binaryaccuracy", "categoricalaccuracy", "sparsecategoricalaccuracy")
"""Keras' names of shares that are read right, in lower case and without underscores."""

SCORES = ("auc", "f1", "f1score", "fbeta", "fbetascore", "iou", "meaniou", "precision", "r2", "r2score", "recall")
"""Names of other metrics that are maximised, in the same form."""

_SHORT = {"mse": "mean_squared_error", "mae": "mean_absolute_error"}


@dataclass(frozen=True)
class Objective:
    """One number that a network is scored by, in a form that can be sent.

    Parameters
    ----------
    kind : {"error", "cross_entropy", "loss", "metric", "function", "sum"}
        What it is; "sum" is one for each output.
    name : str
        What to call it.
    config : str
        Keras' JSON of a loss or metric.
    own : tuple of type and callable
        The classes and functions of such a one that are not Keras' own.
    function : callable, optional
        A function of outputs and targets.
    names : tuple of str
        The names of its parameters that take them, in its own order; empty if it is called with (outputs, targets).
    takes_weights : bool
        Whether it has a parameter ``sample_weight``.
    parts : tuple of Objective
        The summands of a "sum".
    place : int, optional
        Which output it is of; left out where it is of all together.
    key : str
        What a user's code is known by: a copy of it, as a worker gets with each task, is the same objective.
    """

    kind: Kind
    name: str
    config: str = ""
    own: tuple[Any, ...] = field(default=(), compare=False)
    function: Callable[..., Any] | None = field(default=None, compare=False)
    parts: tuple[Objective, ...] = ()
    place: int | None = None
    key: str = ""
    names: tuple[str, ...] = ()
    takes_weights: bool = False

    @property
    def paired(self) -> bool:
        """Whether it is of outputs that have a target each, and not of all together."""
        return self.place is not None or bool(self.parts)

    @property
    def traced(self) -> bool:
        """Whether TensorFlow computes it."""
        return self.kind != "function"

    def checked(self, value: float, finite: bool, weight: float) -> float:
        """Return a value, or the worst one if it or an output is not finite: 1 for a share of errors, else `WORST`."""
        if finite and math.isfinite(value):
            return max(-WORST, min(value, WORST))
        return 1.0 if self.kind == "error" else -math.copysign(WORST, weight)

    @property
    def targets_first(self) -> bool:
        """Whether a function has the targets before the outputs."""
        return bool(self.names) and self.names[0] in TARGETS

    @property
    def doubt(self) -> str:
        """A warning of a function whose parameters do not say which they are; empty for any other."""
        if self.kind != "function" or self.names:
            return ""
        told = "name its parameters (y_true, y_pred) or (targets, outputs)"
        return f"{self.name} is called with (outputs, targets): {told}"

    @property
    def is_score(self) -> bool:
        """Whether it may have to be maximised: a metric, or by its name a function of scikit-learn's or Keras'."""
        function = self.function
        while isinstance(function, partial):
            function = function.func
        library = (getattr(function, "__module__", None) or "").partition(".")[0] in ("sklearn", "keras")
        name: str = getattr(function, "__name__", "")
        return self.kind == "metric" or (library and name.endswith(("_score", "_accuracy")))


def objective_of(given: Any, outputs: Sequence[str], argument: str) -> Objective:
    """Return the objective that a user names.

    Parameters
    ----------
    given : str, keras.losses.Loss, keras.metrics.Metric, callable, dict or Objective
        "error", "cross_entropy", "mse", "mae" or what ``keras.losses.get`` knows; a loss or a metric; a function of
        outputs and targets, both as NumPy arrays, that returns a number; or any of these by an output's name, where
        several names or losses are the sum over their outputs. Of a model with several outputs a single name or loss
        is the sum over all.
    outputs : sequence of str
        The outputs' names.
    argument : str
        What to call it in errors.

    Raises
    ------
    ValueError, TypeError
        If it is unknown, or of another kind.
    """
    if isinstance(given, Objective):
        return given
    if isinstance(given, Mapping):
        if not given or not set(given) <= set(outputs):
            got = ", ".join(map(str, given)) or "none"
            raise ValueError(f"{argument} must name some of the outputs {', '.join(outputs)}, got {got}")
        parts = tuple(replace(_single(given[n], argument), place=i) for i, n in enumerate(outputs) if n in given)
    else:
        single = _single(given, argument)
        if single.kind in ("metric", "function"):
            return single
        parts = tuple(replace(single, place=i) for i in range(len(outputs)))
    if len(parts) == 1:
        return parts[0]
    if any(part.kind in ("metric", "function") for part in parts):
        raise TypeError(f"{argument} must be a name or a Keras loss for each output where it names several")
    return Objective("sum", argument, parts=parts)


def _single(given: Any, argument: str) -> Objective:
    if given in ("error", "cross_entropy"):
        return Objective(given, given)
    if isinstance(given, str):
        plain = given.replace("_", "").lower()
        if plain in ACCURACIES:
            raise ValueError(f'{argument} is minimised: take "error", which is 1 - accuracy, in place of {given!r}')
        if plain in SCORES:
            raise ValueError(
                f"{argument} is minimised: take a function of (y_true, y_pred) that returns 1 - {given}, or the metric "
                f"of keras.metrics with a container that is maximised, in place of {given!r}"
            )
        try:
            return _of_keras("loss", given, keras.losses.get(_SHORT.get(given, given)), argument)
        except ValueError as error:
            known = "'error', 'cross_entropy', 'mse', 'mae', the name of a Keras loss, or a loss or metric itself"
            names = ("error", "cross_entropy", *_SHORT, *vars(keras.losses))
            raise ValueError(f"{argument} must be {known}, got {given!r}{did_you_mean(given, names)}") from error
    if isinstance(given, keras.losses.Loss):
        return _of_keras("loss", given.name, given, argument)
    if isinstance(given, keras.metrics.Metric):
        return _of_keras("metric", given.name, given, argument)
    if callable(given) and not isinstance(given, type):
        name = getattr(given, "__name__", type(given).__name__)
        if getattr(given, "__module__", "").partition(".")[0] == "keras":
            return _of_function(name, given, argument)
        names, takes_weights = _parameters(given)
        key = uuid.uuid4().hex
        return Objective("function", name, function=given, key=key, names=names, takes_weights=takes_weights)
    raise TypeError(f"{argument} must be a name, a Keras loss or metric, or a function, got {type(given).__name__}")


def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, ...], bool]:
    """Return the names by which a function takes targets and outputs, in its order, and if it takes sample weights."""
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of a built-in function
        return (), False
    found = [parameter.name for parameter in parameters if parameter.kind in by_name]
    firsts = [next((name for name in found if name in known), None) for known in (TARGETS, OUTPUTS)]
    names = tuple(name for name in found if name in firsts)  # a second name is a deprecated one
    return names if len(names) == 2 else (), "sample_weight" in found


def _of_function(name: str, given: Any, argument: str) -> Objective:
    """Return a function of Keras' as the loss that it is, or as the metric of its mean, as accuracies are."""
    with contextlib.suppress(ValueError):
        if keras.losses.get(name) is given:
            return _of_keras("loss", name, given, argument)
    return _of_keras("metric", name, keras.metrics.MeanMetricWrapper(given, name), argument)


def _of_keras(kind: Literal["loss", "metric"], name: str, thing: Any, argument: str) -> Objective:
    if not isinstance(thing, keras.losses.Loss | keras.metrics.Metric):
        return Objective(kind, name, json.dumps(thing.__name__))  # a function of Keras' by its name
    own = own_parts([thing])
    said = f"{argument} {type(thing).__name__} cannot be built again: give it a get_config() "
    try:
        with silent_on_lambdas():
            config = keras.saving.serialize_keras_object(thing)
        if not own:  # some of Keras' own leave out arguments, which their functions are given
            config["config"] = left_out(thing) | config["config"]
        objective = Objective(kind, name, json.dumps(config), own, key=uuid.uuid4().hex if own else "")
        if kind == "metric" and "sample_weight" in inspect.signature(thing.update_state).parameters:
            objective = replace(objective, takes_weights=True)
        again = _make(objective)
    except Exception as error:  # Keras' are of many kinds and of many lines
        raise TypeError(f"{said}of what __init__ takes, and define functions at the top of a module") from error
    if names := untold(thing, again, config["config"]):
        raise TypeError(f"{said}that tells {', '.join(names)}")
    return objective


def _make(objective: Objective) -> Any:
    config = json.loads(objective.config)
    if isinstance(config, str):
        return keras.losses.get(config)
    return keras.saving.deserialize_keras_object(config, custom_objects=by_name(objective.own))


def check_targets(objective: Objective, outputs: Sequence[Any], targets: Sequence[Any]) -> None:
    """Raise ValueError where "error" or "cross_entropy" has targets that are no classes of its output.

    Parameters
    ----------
    objective : Objective
        One of them, or a "sum"; any other has no classes.
    outputs, targets : sequence of numpy.ndarray
        Some answers, and all targets, by output.
    """
    for part in objective.parts or (objective,):
        if part.place is None or part.kind not in ("error", "cross_entropy"):
            continue
        output, target = np.asarray(outputs[part.place]), np.asarray(targets[part.place])
        if target.dtype.kind not in "biuf":
            raise ValueError(f"{part.name} needs numbers as targets, got {target.dtype.name}")
        classes = 1 if output.ndim == 1 else output.shape[-1]
        if classes == 1:
            if not np.all((target == 0) | (target == 1)):
                raise ValueError(f"{part.name} of one output needs targets of 0 and 1")
        elif target.ndim == output.ndim and target.shape[-1] == classes:
            if not (np.all(target >= 0) and np.allclose(target.sum(-1), 1, atol=1e-3)):
                raise ValueError(f"{part.name} needs rows of one class each: 'binary_crossentropy' is for several")
        elif np.any(target != np.floor(target)) or np.any((target < 0) | (target >= classes)):
            raise ValueError(f"{part.name} needs the classes 0 to {classes - 1} as targets")


def check_weighted(objectives: Sequence[Objective]) -> None:
    """Raise ValueError where an objective neither takes sample weights nor may be a value for each sample."""
    for objective in objectives:
        is_number = objective.kind in ("metric", "function") and "y_true" not in objective.names
        if is_number and not objective.takes_weights:
            raise ValueError(f"{objective.name} needs a parameter sample_weight where samples have weights")


def asks_for_logits(objective: Objective) -> bool:
    """Return whether it matters to an objective if an output is of logits."""
    return any(part.kind in ("error", "cross_entropy") for part in objective.parts or (objective,))
