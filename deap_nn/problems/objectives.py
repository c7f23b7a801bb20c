"""The objectives that score a Keras model's outputs: losses, metrics and custom functions."""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from deap_nn.core.arguments import did_you_mean
from deap_nn.core.errors import WORST
from deap_nn.models.reference import custom_objects_of, library_of, silent_on_lambdas
from deap_nn.models.tensorflow import keras

Kind = Literal["error", "cross_entropy", "loss", "metric", "function", "compiled", "sum"]

FitnessName = Literal["error", "cross_entropy"]

CROSS_ENTROPIES = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy")
"""Keras' losses that are a cross-entropy in nats."""

TARGETS = ("y_true", "targets")
"""The parameter names by which a function takes the targets."""

OUTPUTS = ("y_pred", "outputs", "y_score", "y_proba", "y_prob")
"""The parameter names by which a function takes the outputs: those of Keras, this package and scikit-learn."""

_SHORT = {"mse": "mean_squared_error", "mae": "mean_absolute_error"}


@dataclass(frozen=True)
class Objective:
    """One fitness value of a network, in a form that can be sent to a worker.

    Parameters
    ----------
    kind : {"error", "cross_entropy", "loss", "metric", "function", "compiled", "sum"}
        The kind of objective. A "function" takes NumPy arrays, a "compiled" one tensors, as Keras calls it; "sum"
        adds one objective for each of several outputs.
    name : str
        The name in messages.
    config : str
        Keras' JSON configuration of a loss or metric.
    own : dict
        The custom classes and functions of a loss or metric, by name.
    function : callable, optional
        A function of outputs and targets.
    names : tuple of str
        The names of the function's parameters for them, in its own order; empty if it is called with
        (outputs, targets).
    takes_weights : bool
        Whether the function or metric has a parameter ``sample_weight``.
    parts : tuple of Objective
        The summands of a "sum".
    place : int, optional
        The index of the output that it scores; None if it scores all outputs together.
    key : str
        A unique key of user code, since code cannot be compared. The copy that a worker gets with a task has the same
        key, so it is the same objective.
    """

    kind: Kind
    name: str
    config: str = ""
    own: dict[str, Any] = field(default_factory=dict, compare=False)
    function: Callable[..., Any] | None = field(default=None, compare=False)
    parts: tuple[Objective, ...] = ()
    place: int | None = None
    key: str = ""
    names: tuple[str, ...] = ()
    takes_weights: bool = False

    @property
    def paired(self) -> bool:
        """Whether it scores each output against its own target, not all outputs together."""
        return self.place is not None or bool(self.parts)

    @property
    def traced(self) -> bool:
        """Whether TensorFlow computes it, in a traced function."""
        return self.kind != "function"

    def checked(self, value: float, finite: bool, weight: float) -> float:
        """Return a value, or the worst value if it or an output is not finite: 1 for an error rate, else `WORST`."""
        if finite and math.isfinite(value):
            return value if -WORST <= value <= WORST else math.copysign(WORST, value)
        return 1.0 if self.kind == "error" else -math.copysign(WORST, weight)

    @property
    def is_score(self) -> bool:
        """Whether more may be better: true for a metric, and for a score of scikit-learn or Keras by its name."""
        function = self.function
        while isinstance(function, partial):
            function = function.func
        name: str = getattr(function, "__name__", "")
        is_score = library_of(function) in ("sklearn", "keras") and name.endswith(("_score", "_accuracy"))
        return self.kind == "metric" or is_score


def followed(objectives: Sequence[Objective]) -> FitnessName | None:
    """Return the objective that an `ErrorScaled` sigma can follow, if it is the only one; else None."""
    if len(objectives) != 1:
        return None
    kind, name = objectives[0].kind, objectives[0].name
    if kind == "error":
        return "error"
    return "cross_entropy" if kind == "cross_entropy" or (kind == "loss" and name in CROSS_ENTROPIES) else None


def of_classes(fitness: FitnessName) -> Objective:
    """Return the objective of a fitness by its name, for a model with one output."""
    return Objective(fitness, fitness, place=0)


def objective_of(given: Any, outputs: Sequence[str]) -> Objective:
    """Return the objective for a user's argument.

    Parameters
    ----------
    given : str, keras.losses.Loss, keras.metrics.Metric, callable, dict or Objective
        "error", "cross_entropy", "mse", "mae" or any name for ``keras.losses.get``; a loss or a metric; or a function
        of outputs and targets, both NumPy arrays, that returns a number. A dictionary has one of these by an output's
        name; several names or losses in it are summed over their outputs. For a model with several outputs, a single
        name or loss is summed over all.
    outputs : sequence of str
        The outputs' names.

    Raises
    ------
    ValueError, TypeError
        If its name is unknown, or it is of another type.
    """
    if isinstance(given, Objective):
        return given
    if isinstance(given, Mapping):
        if not given or not set(given) <= set(outputs):
            got = ", ".join(map(str, given)) or "none"
            raise ValueError(f"loss must name some of the outputs {', '.join(outputs)}, got {got}")
        parts = tuple(replace(_single(given[n]), place=i) for i, n in enumerate(outputs) if n in given)
    else:
        single = _single(given)
        if single.kind in ("metric", "function"):
            return single
        parts = tuple(replace(single, place=i) for i in range(len(outputs)))
    if len(parts) == 1:
        return parts[0]
    if any(part.kind in ("metric", "function") for part in parts):
        raise TypeError("loss must be a name or a Keras loss for each output if it names several outputs")
    return Objective("sum", "loss", parts=parts)


def _single(given: Any) -> Objective:
    if isinstance(given, Objective):
        return given
    if given in ("error", "cross_entropy"):
        return Objective(given, given)
    if isinstance(given, str):
        try:
            return _of_keras("loss", given, keras.losses.get(_SHORT.get(given, given)))
        except ValueError as error:
            known = (
                "'error' (1 - accuracy), 'cross_entropy', 'mse', 'mae', a Keras loss or its name, or a metric itself"
            )
            names = ("error", "cross_entropy", *_SHORT, *vars(keras.losses))
            raise ValueError(f"loss must be {known}, got {given!r}{did_you_mean(given, names)}") from error
    if isinstance(given, keras.losses.Loss):
        return _of_keras("loss", given.name, given)
    if isinstance(given, keras.metrics.Metric):
        return _of_keras("metric", given.name, given)
    if callable(given) and not isinstance(given, type):
        name = getattr(given, "__name__", type(given).__name__)
        if library_of(given) == "keras":
            return _of_function(name, given)
        names, takes_weights = _parameters(given)
        key = uuid.uuid4().hex
        return Objective("function", name, function=given, key=key, names=names, takes_weights=takes_weights)
    raise TypeError(f"loss must be a name, a Keras loss or metric, or a function, got {type(given).__name__}")


def as_compiled(loss: Any) -> Any:
    """Return a compiled loss; a custom function, which Keras calls with tensors, as an objective."""
    if not callable(loss) or isinstance(loss, keras.losses.Loss | type) or library_of(loss) == "keras":
        return loss
    name = getattr(loss, "__name__", type(loss).__name__)
    return Objective("compiled", name, function=loss, key=uuid.uuid4().hex)


def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, ...], bool]:
    """Return the names of a function's parameters for targets and outputs, and if it takes sample weights."""
    of_many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a built-in function may have no signature
        return (), False
    found = [parameter.name for parameter in parameters if parameter.kind not in of_many]
    firsts = [next((name for name in found if name in known), None) for known in (TARGETS, OUTPUTS)]
    names = tuple(name for name in found if name in firsts)  # a second name is a deprecated one
    return names if len(names) == 2 else (), "sample_weight" in found


def _of_function(name: str, given: Any) -> Objective:
    """Return the objective of a Keras function: a loss if Keras has it as one, else a metric, as for accuracies."""
    with contextlib.suppress(ValueError):
        if keras.losses.get(name) is given:
            return _of_keras("loss", name, given)
    return _of_keras("metric", name, keras.metrics.MeanMetricWrapper(given, name))


def _of_keras(kind: Literal["loss", "metric"], name: str, thing: Any) -> Objective:
    if not isinstance(thing, keras.losses.Loss | keras.metrics.Metric):
        return Objective(kind, name, json.dumps(thing.__name__))  # a Keras function by its name
    own = custom_objects_of([thing])
    said = f"loss {type(thing).__name__} cannot be built again: give it a get_config() "
    try:
        with silent_on_lambdas():
            config = keras.saving.serialize_keras_object(thing)
        if not own:  # some of Keras' configurations lack the arguments of the wrapped function
            config["config"] = _left_out(thing) | config["config"]
        objective = Objective(kind, name, json.dumps(config), own, key=uuid.uuid4().hex if own else "")
        if kind == "metric" and "sample_weight" in inspect.signature(thing.update_state).parameters:
            objective = replace(objective, takes_weights=True)
        again = _make(objective)
    except Exception as error:  # Keras raises many types, with messages of many lines
        raise TypeError(f"{said}with the arguments of __init__, and define functions at the top of a module") from error
    if names := _missing_arguments(thing, again):
        raise TypeError(f"{said}that returns {', '.join(names)}")
    return objective


def _missing_arguments(thing: Any, again: Any) -> list[str]:
    """Return the attributes that a loss or metric does not share with the one that its configuration makes, sorted."""
    held, rebuilt = _plain(thing), _plain(again)
    return sorted(name.lstrip("_") for name, value in held.items() if value != rebuilt.get(name))


def _plain(thing: Any) -> dict[str, str]:
    """Return the numbers, texts and arrays that a loss or metric holds, as texts."""
    simple = (int, float, str, bytes, list, tuple, np.ndarray)
    return {name: repr(value) for name, value in vars(thing).items() if isinstance(value, simple)}


def _left_out(thing: Any) -> dict[str, Any]:
    """Return the arguments of Keras' own loss or metric that it keeps for the function that it wraps."""
    takes = inspect.signature(type(thing)).parameters
    return {name: value for name, value in (getattr(thing, "_fn_kwargs", None) or {}).items() if name in takes}


def _make(objective: Objective) -> Any:
    config = json.loads(objective.config)
    if isinstance(config, str):
        return keras.losses.get(config)
    return keras.saving.deserialize_keras_object(config, custom_objects=objective.own)


def ignores_class(objective: Objective) -> bool:
    """Return whether a sparse cross-entropy leaves out the samples of a class."""
    return re.search(r'"ignore_class": -?\d', objective.config) is not None


def check_targets(objective: Objective, outputs: Sequence[Any], targets: Sequence[Any]) -> None:
    """Raise ValueError if the targets of an error or cross-entropy of classes are not classes of its output.

    Parameters
    ----------
    objective : Objective
        "error", "cross_entropy", Keras' sparse cross-entropy or a "sum"; other objectives have no classes.
    outputs, targets : sequence of numpy.ndarray
        Some outputs of the model, and all targets of each output; shapes (samples, ...).
    """
    for part in objective.parts or (objective,):
        is_sparse = part.kind == "loss" and part.name == "sparse_categorical_crossentropy"
        is_sparse = is_sparse and not ignores_class(part)
        if part.place is None or not (is_sparse or part.kind in ("error", "cross_entropy")):
            continue
        output, target = np.asarray(outputs[part.place]), np.asarray(targets[part.place])
        classes = 1 if output.ndim == 1 else output.shape[-1]
        units = "1 output" if classes == 1 else f"{classes} outputs"
        needed = f"{part.name}: labels must be integers from 0 to {max(classes, 2) - 1} for {units}"
        if target.dtype.kind not in "biuf":
            found = f"strings such as {str(target.reshape(-1)[:1].astype(str)[0])!r}"
            raise ValueError(f"{needed}, got {found}: names, y = np.unique(y, return_inverse=True)")
        found = f"got {float(target.min()):g} to {float(target.max()):g}"
        if classes == 1:
            if not np.all((target == 0) | (target == 1)):
                advice = "for a regression give loss='mse' or compile the model"
                raise ValueError(f"{part.name} of one output needs targets of 0 and 1, {found}: {advice}")
        elif target.ndim == output.ndim and target.shape[-1] == classes and not is_sparse:
            if not (np.all(target >= 0) and np.allclose(target.sum(-1), 1, atol=1e-3)):
                instead = "take 'binary_crossentropy' for several, 'mse' for numbers"
                raise ValueError(f"{part.name} needs rows of one class each: {instead}")
        elif np.any(target != np.floor(target)) or np.any((target < 0) | (target >= classes)):
            raise ValueError(f"{needed}, {found}")


def check_weighted(objectives: Sequence[Objective]) -> None:
    """Raise ValueError if an objective neither takes sample weights nor may return a value for each sample."""
    for objective in objectives:
        is_number = objective.kind in ("metric", "function") and "y_true" not in objective.names
        if is_number and not objective.takes_weights:
            raise ValueError(f"{objective.name} needs a parameter sample_weight, as the samples have weights")


def asks_for_logits(objective: Objective) -> bool:
    """Return whether an objective depends on whether an output is logits."""
    return any(part.kind in ("error", "cross_entropy") for part in objective.parts or (objective,))
