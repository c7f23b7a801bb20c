"""The objective evaluator: the fitness of a model's outputs by the objectives of a problem."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deap_nn.core.errors import WORST
from deap_nn.models.outputs import reason_of
from deap_nn.models.tensorflow import keras, tf
from deap_nn.problems.objectives import TARGETS, Objective, _make


@dataclass(eq=False)
class ObjectiveEvaluator:
    """Objectives prepared in this process.

    Parameters
    ----------
    objectives : sequence of Objective
        The objectives to compute.
    from_logits : sequence of bool
        Whether each output is logits, not probabilities.
    weights : sequence of float
        The weights of the fitness: negative for an objective that is minimised.
    pairs : sequence of int
        The index of the target of each output.
    pack : tuple of callable
        Two functions: the first arranges a flat list of outputs in the model's structure, the second a flat list of
        targets in the structure of the data.
    weighted : int
        The number of arrays of sample weights, which follow the targets: 0, 1 for all targets, or one for each target.
    """

    objectives: Sequence[Objective]
    from_logits: Sequence[bool]
    weights: Sequence[float]
    pairs: Sequence[int]
    pack: tuple[Callable[[Sequence[Any]], Any], Callable[[Sequence[Any]], Any]]
    weighted: int = 0

    def __post_init__(self) -> None:
        every = [part for objective in self.objectives for part in (objective, *objective.parts)]
        self._made = {objective: _make(objective) for objective in every if objective.config}

    def traced(self, outputs: Sequence[Any], targets: Sequence[Any]) -> tuple[Any, Any]:
        """Return the values of the traced objectives, and if all outputs are finite.

        The values have the shape (objectives,) and are float64, exact enough for error rates of any number of samples.
        """
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(output)) for output in outputs])
        values = [tf.cast(value, tf.float64) for value in self._values(outputs, targets)]
        return tf.stack(values) if values else tf.zeros((0,), tf.float64), finite

    def fitness(
        self, traced: Sequence[float], finite: bool, outputs: Sequence[Any], targets: Sequence[Any]
    ) -> tuple[float, ...]:
        """Return the values of all objectives as finite numbers; functions are computed from the outputs here."""
        known, values = iter(traced), []
        for objective, weight in zip(self.objectives, self.weights, strict=True):
            if objective.traced:
                value = next(known)
            else:
                seen = *self._seen(objective, outputs, targets), self._weight(objective, targets)
                value = _called(objective, *seen, len(targets[0])) if finite else 0.0
            values.append(objective.checked(value, finite, weight))
        return tuple(values)

    def check(self, outputs: Sequence[Any], targets: Sequence[Any]) -> bool:
        """Return whether all objectives of some samples are finite; raise ValueError if one does not fit."""
        try:
            # NumPy looks for what is not finite: the first call of each operation of TensorFlow takes milliseconds.
            finite = all(np.isfinite(output).all() for output in outputs)
            values = self._values(*([tf.constant(array) for array in arrays] for arrays in (outputs, targets)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = self.fitness([value.numpy().tolist() for value in values], finite, outputs, targets)
            return finite and WORST not in map(abs, found)
        except Exception as error:
            shapes = f"outputs of shape {[o.shape for o in outputs]} and targets of {[t.shape for t in targets]}"
            raise ValueError(f"loss does not fit {shapes}: {reason_of(error)}") from error

    def broadcasts(self, objective: Objective, outputs: Sequence[Any], targets: Sequence[Any]) -> bool:
        """Return whether a function has another value for an output (n, 1) than for (n,), the shape of the target."""
        shapes = [array.shape for array in (*outputs, *targets[: len(targets) - self.weighted])]
        if objective.kind != "function" or shapes != [(len(targets[0]), 1), (len(targets[0]),)]:
            return False
        weight, values = self._weight(objective, targets), []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for given in outputs, [outputs[0][:, 0]]:
                try:
                    values.append(_called(objective, *self._seen(objective, given, targets), weight, len(targets[0])))
                except Exception:  # a function that refuses the flat output takes the column, as y_pred[:, 0] does
                    return False
        return not np.isclose(values[0], values[1], equal_nan=True)

    def _values(self, outputs: Sequence[Any], targets: Sequence[Any]) -> list[Any]:
        return [self._value(objective, outputs, targets) for objective in self.objectives if objective.traced]

    def cases(self, outputs: Sequence[Any], targets: Sequence[Any]) -> Any:
        """Return the loss of each sample, shape (samples,), float32; None unless one objective is a mean over them."""
        found = []
        for part in self.objectives[0].parts or self.objectives:
            output, target = self._seen(part, outputs, targets)
            values, weight = self._each(part, output, target), self._weight(part, targets)
            if values is None or not values.shape.rank or values.shape[0] != outputs[0].shape[0]:
                return None
            values = tf.cast(values, tf.float32)
            values = values if weight is None else values * _aligned(weight, values)
            found.append(tf.reduce_mean(tf.reshape(values, (values.shape[0], -1)), axis=1))
        return tf.add_n(found) if len(self.objectives) == 1 else None

    def _each(self, objective: Objective, output: Any, target: Any) -> Any:
        """Return the values of an objective that are averaged, shape (samples, ...), before sample weights; or None."""
        logits = objective.place is not None and self.from_logits[objective.place]
        if objective.kind == "error":
            return 1.0 - _is_right(output, target, from_logits=logits)
        if objective.kind == "cross_entropy":
            return _cross_entropies(output, target, from_logits=logits)
        if objective.kind == "compiled":
            compiled: Any = objective.function
            return tf.convert_to_tensor(compiled(*of_one_rank(tf.cast(target, output.dtype), output)))
        if objective.kind != "loss":
            return None
        loss = self._made[objective]
        if isinstance(loss, keras.losses.Loss):
            return tf.convert_to_tensor(loss.call(tf.cast(target, loss.dtype), tf.cast(output, loss.dtype)))
        return tf.convert_to_tensor(loss(*of_one_rank(target, output)))

    def _value(self, objective: Objective, outputs: Sequence[Any], targets: Sequence[Any]) -> Any:
        if objective.parts:
            return tf.add_n([tf.cast(self._value(part, outputs, targets), tf.float64) for part in objective.parts])
        output, target = self._seen(objective, outputs, targets)
        weight = self._weight(objective, targets)
        if objective.kind == "error":
            logits = objective.place is not None and self.from_logits[objective.place]
            return _error(_is_right(output, target, from_logits=logits), weight)
        if objective.kind == "metric":
            return _measured(self._made[objective], output, target, weight)
        if objective.kind == "loss" and isinstance(loss := self._made[objective], keras.losses.Loss):
            return tf.cast(tf.reduce_mean(loss(target, output, weight)), tf.float32)
        return tf.cast(weighted_mean(self._each(objective, output, target), weight), tf.float32)

    def _seen(self, objective: Objective, outputs: Sequence[Any], targets: Sequence[Any]) -> tuple[Any, Any]:
        """Return an objective's arguments: one output and its target, or all in the structures of model and data."""
        if objective.place is None:
            return self.pack[0](outputs), self.pack[1](targets)
        return outputs[objective.place], targets[self.pairs[objective.place]]

    def _weight(self, objective: Objective, targets: Sequence[Any]) -> Any:
        """Return the sample weights of an objective, in the structure of its target; None if there are none."""
        if self.weighted < 2:
            return targets[-1] if self.weighted else None
        weights = targets[-self.weighted :]
        return self.pack[1](weights) if objective.place is None else weights[self.pairs[objective.place]]


def _aligned(weight: Any, values: Any) -> Any:
    """Return sample weights in the type and rank of the values that they multiply; shape (samples, ...)."""
    weight = tf.cast(weight, values.dtype)
    if weight.shape.rank == values.shape.rank + 1:
        return tf.squeeze(weight, -1)
    return tf.reshape(weight, tf.concat([tf.shape(weight), [1] * (values.shape.rank - weight.shape.rank)], 0))


def weighted_mean(values: Any, weight: Any) -> Any:
    """Return the mean of values times their weights, as Keras reduces a loss; a scalar is multiplied by each weight."""
    values = tf.convert_to_tensor(values)
    if not (values.dtype.is_floating or values.dtype.is_complex):
        values = tf.cast(values, tf.float64)  # the mean of integers is an integer
    if weight is None:
        return tf.reduce_mean(values)
    return tf.reduce_mean(values * (_aligned(weight, values) if values.shape.rank else tf.cast(weight, values.dtype)))


def _measured(metric: keras.metrics.Metric, outputs: Any, targets: Any, weight: Any) -> Any:
    """Return the value of a metric."""
    # The result may be a variable of the metric's state, which has its value only inside the scope.
    weights = {} if weight is None else {"sample_weight": weight}
    state = metric.stateless_update_state(metric.stateless_reset_state(), targets, outputs, **weights)
    with keras.StatelessScope(list(zip(metric.variables, state, strict=True))):
        result = metric.result()
        if isinstance(result, Mapping):
            raise TypeError(f"{metric.name} must give a single number, got several by name")
        value = tf.cast(result, tf.float32)
    if value.shape == (1,):  # F1Score of one output
        return value[0]
    if value.shape.rank:
        raise TypeError(f"{metric.name} must give a single number, got an array of shape {tuple(value.shape)}")
    return value


def of_one_rank(target: Any, output: Any) -> tuple[Any, Any]:
    """Return a target and an output as Keras' losses align them and its functions do not: (n,) beside (n, 1)."""
    more = target if target.shape.rank > output.shape.rank else output
    if abs(target.shape.rank - output.shape.rank) != 1 or more.shape[-1] != 1:
        return target, output
    if more.shape.rank > 2:
        return (tf.squeeze(target, -1), output) if more is target else (target, tf.squeeze(output, -1))
    return (target, output[:, None]) if more is target else (target[:, None], output)


def _called(objective: Objective, outputs: Any, targets: Any, weight: Any, samples: int) -> float:
    """Return the value of a user's function; with a parameter `y_true`, the mean if it returns one value a sample."""
    function: Callable[..., Any] = objective.function  # type: ignore[assignment]  # this kind has a function
    given = {name: targets if name in TARGETS else outputs for name in objective.names}
    if objective.takes_weights and weight is not None:
        given["sample_weight"] = weight
    if objective.names:
        bound = inspect.BoundArguments(inspect.signature(function), given)
        value = function(*bound.args, **bound.kwargs)  # some may be positional-only
    else:
        value = function(outputs, targets, **given)
    if "y_true" in objective.names and np.ndim(value) and len(value) == samples:
        if np.size(value) > max(map(np.size, keras.tree.flatten((outputs, targets)))):
            raise TypeError(f"{objective.name} may return a value for each output, got shape {np.shape(value)}")
        value = weighted_mean(value, None if objective.takes_weights else weight)
    elif weight is not None and not objective.takes_weights:
        raise TypeError(f"{objective.name} returns one number: it needs a parameter sample_weight")
    if value is None or np.ndim(value) or not np.isrealobj(value):
        raise TypeError(f"{objective.name} must return a number, got {type(value).__name__}")
    return float(value)


def _classes(output: Any, target: Any) -> Any:
    """Return the class of each sample, from labels or from one-hot rows."""
    if target.shape.rank == output.shape.rank and output.shape[-1] != 1:
        if target.shape[-1] == 1:
            return tf.cast(tf.squeeze(target, -1), tf.int32)
        return tf.argmax(target, axis=-1, output_type=tf.int32)
    return tf.cast(tf.reshape(target, tf.shape(output)[:-1]) if output.shape[-1] == 1 else target, tf.int32)


def _column(output: Any) -> Any:
    """Return an output of shape (samples,) in the shape (samples, 1); any other as it is."""
    return output[:, None] if output.shape.rank == 1 else output


def _is_right(output: Any, target: Any, *, from_logits: bool) -> Any:
    """Return 1 for each prediction of the right class, else 0, float64."""
    output = _column(output)
    labels = _classes(output, target)
    if output.shape[-1] == 1:
        predicted = tf.cast(output[..., 0] > (0.0 if from_logits else 0.5), tf.int32)
    else:
        predicted = tf.argmax(output, axis=-1, output_type=tf.int32)
    return tf.cast(tf.equal(predicted, labels), tf.float64)


def _error(is_right: Any, weight: Any) -> Any:
    """Return the error rate, as a share of the sum of weights if given."""
    if weight is None:
        right, count = tf.reduce_sum(is_right), tf.cast(tf.size(is_right), tf.float64)
    else:
        weight = _aligned(weight, is_right)
        right, count = tf.reduce_sum(is_right * weight), tf.reduce_sum(tf.ones_like(is_right) * weight)
    return tf.math.divide_no_nan(count - right, count)  # a plain division by a constant becomes a rounded product


def _cross_entropies(output: Any, target: Any, *, from_logits: bool) -> Any:
    """Return each cross-entropy in nats: binary for an output of one number, else over the classes."""
    output = _column(output)
    if output.shape[-1] == 1:
        labels = tf.cast(tf.reshape(target, tf.shape(output)), tf.float32)
        return keras.ops.binary_crossentropy(labels, output, from_logits=from_logits)
    if target.shape.rank == output.shape.rank and target.shape[-1] != 1:
        return keras.ops.categorical_crossentropy(tf.cast(target, tf.float32), output, from_logits=from_logits)
    return keras.ops.sparse_categorical_crossentropy(_classes(output, target), output, from_logits=from_logits)
