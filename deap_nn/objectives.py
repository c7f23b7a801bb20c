"""What counts as fitness of a Keras model's answers: losses and metrics, and functions of one's own."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from deap_nn.limits import WORST, WORST_CROSS_ENTROPY
from deap_nn.models import keras, tf
from deap_nn.own_parts import by_name, left_out, own_parts, silent_on_lambdas, untold

Kind = Literal["error", "cross_entropy", "loss", "metric", "function", "sum"]

WORST_VALUES = {"error": 1.0, "cross_entropy": WORST_CROSS_ENTROPY}
"""What NaN and infinity count as where it is not the largest number that is ever told, and the largest of that kind."""

ACCURACIES = ("accuracy", "acc", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy")
"""Keras' names of shares that are read right."""

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
        A function of (outputs, targets).
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

    @property
    def paired(self) -> bool:
        """Whether it is of outputs that have a target each, and not of all together."""
        return self.place is not None or bool(self.parts)

    @property
    def traced(self) -> bool:
        """Whether TensorFlow computes it."""
        return self.kind != "function"

    def checked(self, value: float, finite: bool, weight: float) -> float:
        """Return a value, or what it counts as where it, or an answer, is not finite; always finite."""
        worst = WORST_VALUES.get(self.kind, -np.copysign(WORST, weight))
        if not (finite and np.isfinite(value)):
            return float(worst)
        return float(min(value, worst) if self.kind in WORST_VALUES else np.clip(value, -WORST, WORST))


def objective_of(given: Any, outputs: Sequence[str], argument: str) -> Objective:
    """Return the objective that a user names.

    Parameters
    ----------
    given : str, keras.losses.Loss, keras.metrics.Metric, callable or dict
        "error", "cross_entropy", "mse", "mae" or what ``keras.losses.get`` knows; a loss or a metric; a function of
        (outputs, targets), both as NumPy arrays, that returns a number; or any of these by an output's name, where
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
    if isinstance(given, str) and given in ACCURACIES:
        raise ValueError(f'{argument} is minimised: take "error", which is 1 - accuracy, in place of {given!r}')
    if isinstance(given, str):
        try:
            return _of_keras("loss", given, keras.losses.get(_SHORT.get(given, given)), argument)
        except ValueError as error:
            known = "'error', 'cross_entropy', 'mse', 'mae', the name of a Keras loss, or a loss or metric itself"
            raise ValueError(f"{argument} must be {known}, got {given!r}") from error
    if isinstance(given, keras.losses.Loss):
        return _of_keras("loss", given.name, given, argument)
    if isinstance(given, keras.metrics.Metric):
        return _of_keras("metric", given.name, given, argument)
    if callable(given) and not isinstance(given, type):
        name = getattr(given, "__name__", type(given).__name__)
        if getattr(given, "__module__", "").partition(".")[0] == "keras":
            return _of_function(name, given, argument)
        return Objective("function", name, function=given, key=uuid.uuid4().hex)
    raise TypeError(f"{argument} must be a name, a Keras loss or metric, or a function, got {type(given).__name__}")


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
        again = _make(objective)
    except Exception as error:  # Keras' are of many kinds and of many lines
        raise TypeError(f"{said}of what __init__ takes, and define functions at the top of a module") from error
    if names := untold(thing, again, config["config"]):
        raise TypeError(f"{said}that tells {', '.join(names)}")
    return objective


class Judge:
    """Objectives made ready in this process.

    Parameters
    ----------
    objectives : sequence of Objective
        What to compute.
    from_logits : sequence of bool
        Whether each output answers with logits and not with probabilities.
    weights : sequence of float
        The signs of the fitness: negative where an objective is minimised.
    pairs : sequence of int
        Which target each output has.
    pack : callable
        Gives a flat list of outputs the model's own structure, and the one after it a flat list of targets the data's.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        from_logits: Sequence[bool],
        weights: Sequence[float],
        pairs: Sequence[int],
        pack: tuple[Callable[[Sequence[Any]], Any], Callable[[Sequence[Any]], Any]],
    ) -> None:
        self.objectives, self.weights = objectives, weights
        self._from_logits, self._pairs, self._pack = from_logits, pairs, pack
        self._made = {objective: _make(objective) for objective in _all(objectives) if objective.config}

    def traced(self, outputs: Sequence[Any], targets: Sequence[Any]) -> tuple[Any, Any]:
        """Return the values of those objectives that are traced, shape (objectives,), and if all answers are finite."""
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(output)) for output in outputs])
        values = [self._value(o, outputs, targets) for o in self.objectives if o.traced]
        return tf.stack(values) if values else tf.zeros((0,)), finite

    def fitness(
        self, traced: Sequence[float], finite: bool, outputs: Sequence[Any], targets: Sequence[Any]
    ) -> tuple[float, ...]:
        """Return all values, those of functions computed from the answers, as finite numbers."""
        known, values = iter(traced), []
        for objective, weight in zip(self.objectives, self.weights, strict=True):
            if objective.traced:
                value = next(known)
            else:
                value = _called(objective, *self._seen(objective, outputs, targets)) if finite else 0.0
            values.append(objective.checked(float(value), bool(finite), weight))
        return tuple(values)

    def _value(self, objective: Objective, outputs: Sequence[Any], targets: Sequence[Any]) -> Any:
        if objective.parts:
            return tf.add_n([self._value(part, outputs, targets) for part in objective.parts])
        output, target = self._seen(objective, outputs, targets)
        logits = objective.place is not None and self._from_logits[objective.place]
        if objective.kind == "error":
            return _error(output, target, from_logits=logits)
        if objective.kind == "cross_entropy":
            return _cross_entropy(output, target, from_logits=logits)
        if objective.kind == "metric":
            return _measured(self._made[objective], output, target)
        loss = self._made[objective]
        if not isinstance(loss, keras.losses.Loss):
            target, output = _of_one_rank(target, output)
        return tf.cast(tf.reduce_mean(loss(target, output)), tf.float32)

    def _seen(self, objective: Objective, outputs: Sequence[Any], targets: Sequence[Any]) -> tuple[Any, Any]:
        """Return what an objective is of: one output and its target, or all in the structures of model and data."""
        if objective.place is None:
            return self._pack[0](outputs), self._pack[1](targets)
        return outputs[objective.place], targets[self._pairs[objective.place]]


def _measured(metric: keras.metrics.Metric, outputs: Any, targets: Any) -> Any:
    """Return the value of a metric, which is read while its state is there: it may be a variable of it."""
    state = metric.stateless_update_state(metric.stateless_reset_state(), targets, outputs)
    with keras.StatelessScope(list(zip(metric.variables, state, strict=True))):
        result = metric.result()
        value = result if isinstance(result, Mapping) else tf.cast(result, tf.float32)
    if isinstance(value, Mapping) or value.shape.rank:
        got = "several by name" if isinstance(value, Mapping) else f"an array of shape {tuple(value.shape)}"
        raise TypeError(f"{metric.name} must give a single number, got {got}")
    return value


def _of_one_rank(target: Any, output: Any) -> tuple[Any, Any]:
    """Return a target and an output as Keras' losses align them and its functions do not: (n,) beside (n, 1)."""
    more = target if target.shape.rank > output.shape.rank else output
    if abs(target.shape.rank - output.shape.rank) != 1 or more.shape[-1] != 1:
        return target, output
    if more.shape.rank > 2:
        return (tf.squeeze(target, -1), output) if more is target else (target, tf.squeeze(output, -1))
    return (target, output[:, None]) if more is target else (target[:, None], output)


def _called(objective: Objective, outputs: Any, targets: Any) -> float:
    """Return what a user's function answers, a number."""
    value = objective.function(outputs, targets)  # type: ignore[misc]  # of its kind there is one
    if value is None or np.ndim(value) or not np.isrealobj(value):
        raise TypeError(f"{objective.name} must return a number, got {type(value).__name__}")
    return float(value)


def _all(objectives: Sequence[Objective]) -> list[Objective]:
    return [part for objective in objectives for part in (objective, *objective.parts)]


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


def asks_for_logits(objective: Objective) -> bool:
    """Return whether it matters to an objective if an output is of logits."""
    return any(part.kind in ("error", "cross_entropy") for part in objective.parts or (objective,))


def _classes(output: Any, target: Any) -> Any:
    """Return the class of each sample: of labels as they are, of one-hot rows where the one is."""
    if target.shape.rank == output.shape.rank and output.shape[-1] != 1:
        if target.shape[-1] == 1:
            return tf.cast(tf.squeeze(target, -1), tf.int32)
        return tf.argmax(target, axis=-1, output_type=tf.int32)
    return tf.cast(tf.reshape(target, tf.shape(output)[:-1]) if output.shape[-1] == 1 else target, tf.int32)


def _column(output: Any) -> Any:
    """Return an output of a number for each sample as one of a row for each."""
    return output[:, None] if output.shape.rank == 1 else output


def _error(output: Any, target: Any, *, from_logits: bool) -> Any:
    """Return the share that is misread; an answer that is not finite is."""
    output = _column(output)
    labels = _classes(output, target)
    finite = tf.reduce_all(tf.math.is_finite(output), axis=-1)
    if output.shape[-1] == 1:
        answers = tf.cast(output[..., 0] > (0.0 if from_logits else 0.5), tf.int32)
    else:
        answers = tf.argmax(output, axis=-1, output_type=tf.int32)
    return 1.0 - tf.reduce_mean(tf.cast(tf.equal(answers, labels) & finite, tf.float32))


def _cross_entropy(output: Any, target: Any, *, from_logits: bool) -> Any:
    """Return the mean cross-entropy in nats: of two classes where there is one output, else of as many as there are."""
    output = _column(output)
    if output.shape[-1] == 1:
        labels = tf.cast(tf.reshape(target, tf.shape(output)), tf.float32)
        entropy = keras.ops.binary_crossentropy(labels, output, from_logits=from_logits)
    elif target.shape.rank == output.shape.rank and target.shape[-1] != 1:
        entropy = keras.ops.categorical_crossentropy(tf.cast(target, tf.float32), output, from_logits=from_logits)
    else:
        entropy = keras.ops.sparse_categorical_crossentropy(_classes(output, target), output, from_logits=from_logits)
    return tf.reduce_mean(entropy)
