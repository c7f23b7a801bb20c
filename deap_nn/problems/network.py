"""The compiled part of a scorer: a network and its objectives as traced functions, for samples of given shapes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.seeding import Purpose, stream
from deap_nn.data.registry import DataReference
from deap_nn.data.samples import packed
from deap_nn.models.layers import centred, inputs_of, moved_layers, shifts_of, split_before, take_rounded
from deap_nn.models.outputs import as_float32, outputs_of, with_logits
from deap_nn.models.reference import model_of, new_model
from deap_nn.models.tensorflow import keras, tf, traced
from deap_nn.problems.groups import GroupKernel, is_vectorised
from deap_nn.problems.objective_evaluator import ObjectiveEvaluator
from deap_nn.problems.objectives import Objective
from deap_nn.problems.problem import Problem
from deap_nn.process.signals import holding_signals

KEPT = 8
"""The number of compiled networks that a process keeps, such as those of a cross-validation or a search over sizes."""


@dataclass(frozen=True)
class Shapes:
    """The form of a mini-batch, without its content.

    Parameters
    ----------
    structure : str
        The text of the templates.
    weighted : int
        The number of arrays of sample weights after the targets.
    specs : tuple
        The shape and type of each tensor, first of inputs, then of targets.
    templates : tuple
        The nests of inputs and of targets, with None in place of arrays.
    """

    structure: str
    weighted: int
    specs: tuple[tuple[Any, ...], tuple[Any, ...]]
    templates: tuple[Any, Any] = field(compare=False)


class Network:
    """A network and its objectives, traced for mini-batches of some shapes.

    Parameters
    ----------
    problem : Problem
        The model and the objectives; its data and seed do not matter.
    shapes : Shapes
        The form of a mini-batch.
    in_groups : bool
        Whether genomes are scored in groups.
    """

    rounded: tuple[bool, ...] = ()
    """Whether the kernel takes each matrix as bfloat16; empty if it takes none so."""

    def __init__(self, problem: Problem, shapes: Shapes, *, in_groups: bool) -> None:
        self.problem, self.layout = problem, problem.model.layout
        self.model = model_of(problem.model)
        self._templates = shapes.templates
        self._dtypes = [variable.dtype for variable in self.model.trainable_variables]
        self._constants = [tf.constant(variable.numpy()) for variable in self.model.non_trainable_variables]
        self._structure: Any = None
        self.places: list[int] = []  # indices of the outputs that have logits
        self._shifted: list[int] = []  # indices of the biases of centred layers
        self._kernels: list[int] = []  # indices of the kernels of these layers
        self._kept: dict[Any, Any] = {}  # traced functions
        self.evaluator = self._evaluator_of(problem.objectives, problem.weights, shapes.weighted)
        self.measure = self._evaluator_of((problem.measure,), problem.weights[:1], shapes.weighted)
        self._in_groups, self._specs = in_groups, shapes.specs
        is_exact = problem.precision == "float32"
        quick = self.model
        if problem.centred or not is_exact:
            quick = new_model(problem.model, precision=problem.precision)
            quick = centred(quick) if problem.centred else quick
        if not in_groups and not is_exact:
            flags = take_rounded(quick)
            self.rounded = flags if any(flags) else ()
        self._quick = quick
        self.moved = list(moved_layers(quick)) if problem.centred else []
        """The indices of the kernels of layers that move along their inputs."""
        splits = problem.keeps_features and self.moved and not in_groups
        parts = split_before(quick, moved_layers(quick)[self.moved[0]]) if splits else None
        self._first: Any = parts and parts[0]  # the layers before the first one that moves
        self._rest = parts[1] if parts else quick
        self.leading = 0 if self._first is None else len(self._first.trainable_variables)
        """The number of the first matrices, of which `kernel` takes the `features` in place of the inputs, or 0."""

    def kernel(self, *, by_cases: bool) -> Any:
        """Return the traced function of weights and a mini-batch: the objectives, if all outputs are finite, and these.

        By cases it also takes the directions of each layer that moves, and returns the losses and the layers' products.
        """
        return self._once(("kernel", by_cases), partial(self._compiled, by_cases))

    def _compiled(self, by_cases: bool) -> Any:
        given, trace = list(map(list, self._specs)), partial(self._trace, self._rest)
        if self._first is not None:
            made = self._first.output
            given[0] = [tf.TensorSpec((self._specs[0][0].shape[0], *made.shape[1:]), made.dtype)]
        if by_cases:
            samples = int(self._specs[0][0].shape[0])
            given.append([tf.TensorSpec((samples, self.layout.shapes[place][0])) for place in self.moved])
        if self._in_groups:
            return GroupKernel(trace, self.layout, typical(given), at_once=is_vectorised(self._rest))
        types = [tf.uint16 if rounded else tf.float32 for rounded in self.rounded or [False] * len(self.layout)]
        weights = [tf.TensorSpec(shape, kind) for shape, kind in zip(self.layout.shapes, types, strict=True)]
        return traced(trace, weights, *given)

    def _once(self, key: Any, trace: Callable[[], Any]) -> Any:
        """Return the function that is kept under a key; at first it is traced, while other threads wait for it.

        A signal waits too. Under SCOOP a KeyboardInterrupt is raised in another greenlet. A trace that it interrupts
        would leave the whole thread in the graph of the trace, and nothing could be saved.
        """
        if key not in self._kept:
            with _one_at_a_time, holding_signals():
                if key not in self._kept:
                    self._kept[key] = trace()
        return self._kept[key]

    def _evaluator_of(
        self, objectives: Sequence[Objective], weights: Sequence[float], weighted: int
    ) -> ObjectiveEvaluator:
        pack = self._as_outputs, partial(packed, self._templates[1])
        return ObjectiveEvaluator(objectives, self.problem.from_logits, weights, self.problem.pairs, pack, weighted)

    def _as_outputs(self, outputs: Sequence[Any]) -> Any:
        return keras.tree.pack_sequence_as(self._structure, list(outputs))

    def inputs(self, tensors: Sequence[Any]) -> Any:
        """Return tensors of samples as the model takes them: the bytes of images scaled, in the model's structure."""
        if self.problem.images and tensors[0].dtype == tf.uint8:
            tensors = [tf.cast(tensors[0], tf.float32) / 255.0]
        return packed(self._templates[0], tensors)

    def _outputs(self, model: Any, weights: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        """Return the outputs of a model with given weights, of which uint16 are the bits of bfloat16; traced."""
        # The model may be the last layers alone.
        typed = [_as_typed(w, dtype) for w, dtype in zip(weights, self._dtypes[-len(weights) :], strict=True)]
        constants = self._constants[len(self._constants) - len(model.non_trainable_variables) :]
        given = self.inputs(inputs) if len(weights) == len(self._dtypes) else inputs[0]
        outputs = outputs_of(model, typed, constants, given)
        if self._structure is None:
            self._structure = keras.tree.map_structure(lambda _: 0, outputs)
        made = [as_float32(output) for output in keras.tree.flatten(outputs)]
        self.places = [place for place, output in enumerate(made) if hasattr(output, "_keras_logits")]
        return made

    def _trace(self, model: Any, weights: Sequence[Any], inputs: Any, targets: Any, *rows: Any) -> tuple[Any, ...]:
        """Return what a function of `kernel` returns; `rows` are the directions of layers, by cases."""
        outputs = self._outputs(model, weights[self.leading :], inputs)
        found = *self.evaluator.traced(outputs, targets), outputs
        if not rows:
            return found
        kernels = [_as_typed(weights[place], "float32") for place in self.moved]
        products = [as_float32(tf.matmul(tf.cast(each, w.dtype), w)) for each, w in zip(*rows, kernels, strict=True)]
        return *found, self.evaluator.cases(outputs, targets), products

    def features(self, weights: Sequence[Any], inputs: Sequence[Any]) -> Any:
        """Return what the `leading` weights make of a mini-batch; traced."""
        return self._called("features", self._features, weights, list(inputs), any_size=False)

    def _features(self, weights: Sequence[Any], inputs: Sequence[Any]) -> Any:
        typed = map(_as_typed, weights, self._dtypes)
        count = len(self._first.non_trainable_variables)
        return outputs_of(self._first, list(typed), self._constants[:count], self.inputs(inputs))

    def _called(self, key: Any, function: Any, weights: Sequence[Any], given: Any, *, any_size: bool = True) -> Any:
        """Call a function of weights and samples, traced once for a key, for any number of samples or this one."""

        def trace() -> Any:
            shapes = [tf.TensorSpec(weight.shape, weight.dtype) for weight in weights]
            specs = tf.nest.map_structure(
                lambda t: tf.TensorSpec((None, *t.shape[1:]) if any_size else t.shape, t.dtype), given
            )
            return traced(function, shapes, specs)

        return self._once(key, trace)(weights, given)

    @cached_property
    def _centred(self) -> Any:
        """A centred model whose layers show their inputs and means; the fitness may be computed in bfloat16."""
        return centred(new_model(self.problem.model))

    def outputs(self, weights: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        """Return each output for any number of samples, then the logits of outputs that a softmax or sigmoid made."""
        return list(self._called("outputs", self._with_logits, weights, list(inputs)))

    def _with_logits(self, weights: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        return with_logits(self._outputs(self.model, weights, inputs))

    def objectives_of(self, outputs: Sequence[Any], targets: Sequence[Any], *, measure: bool) -> tuple[Any, Any]:
        """Return the values of the objectives, or of the measure, and if all outputs are finite; for any samples."""
        if not measure:
            return self._traced(self.evaluator, outputs, targets)
        # Every generation computes the measure, so it is traced.
        values, finite = self._called("measure", self._measure, [], [list(outputs), list(targets)])
        return values, finite

    def _measure(self, _: Any, given: Sequence[Any]) -> tuple[Any, Any]:
        return self._traced(self.measure, *given)

    def shifts_of(self, weights: Sequence[Any], inputs: Sequence[Any]) -> dict[int, Any]:
        """Return the means that the centred layers subtract for a batch, by the index of their bias; traced."""
        key = "shifts", len(inputs[0])
        found = self._called(key, partial(self._shifts_of, self._centred), weights, list(inputs), any_size=False)
        return dict(zip(self._shifted, (shift.numpy() for shift in found), strict=True))

    def _shifts_of(self, model: Any, weights: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        found = shifts_of(model, partial(self._outputs, model, weights, inputs))
        self._shifted = list(found)
        return list(found.values())

    def layer_inputs(self, weights: Sequence[Any], inputs: Sequence[Any]) -> dict[int, NDArray[np.float32]]:
        """Return the inputs of the centred layers in a call for a mini-batch, by the index of the kernel; traced."""
        function = partial(self._layer_inputs, self._centred)
        found = self._called("inputs", function, weights, list(inputs), any_size=False)
        return dict(zip(self._kernels, (each.numpy() for each in found), strict=True))

    def _layer_inputs(self, model: Any, weights: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        found = inputs_of(model, partial(self._outputs, model, weights, inputs), int(inputs[0].shape[0]))
        self._kernels = list(found)
        return list(found.values())

    def measures_of(self, weights: Sequence[Any], parts: Sequence[Sequence[Any]]) -> list[tuple[Any, Any]]:
        """Return the values of a traced measure for each part, inputs and targets, and if its outputs are finite."""
        given = [list(map(list, part)) for part in parts]
        values = iter(self._called(("measures", len(parts)), self._measures, weights, given))
        return list(zip(values, values, strict=True))

    def _measures(self, weights: Sequence[Any], parts: Sequence[Sequence[Any]]) -> list[Any]:
        outputs = (self._outputs(self.model, weights, inputs) for inputs, _ in parts)
        values = (self.measure.traced(found, targets) for found, (_, targets) in zip(outputs, parts, strict=True))
        return [value for pair in values for value in pair]

    def _traced(self, evaluator: ObjectiveEvaluator, outputs: Sequence[Any], targets: Sequence[Any]) -> tuple[Any, Any]:
        """Return the values of traced objectives from outputs and logits, and if all outputs are finite."""
        count = len(outputs) - len(self.places)
        # Keras reads the logits of a cross-entropy from this attribute. Copies get it: the caller's tensors stay plain.
        made = [tf.identity(output) for output in outputs[:count]]
        for place, logits in zip(self.places, outputs[count:], strict=True):
            made[place]._keras_logits = logits
        return evaluator.traced(made, targets)


def _as_typed(weight: Any, dtype: str) -> Any:
    if weight.dtype == tf.uint16:
        return tf.bitcast(weight, tf.bfloat16)
    return weight if dtype == "float32" else tf.cast(weight, dtype)


def typical(specs: Sequence[Any]) -> list[list[Any]]:
    """Return a mini-batch of given shapes and types, with numbers that depend only on these.

    Groups of genomes are compared with single genomes on it: so every process decides alike, independent of the
    mini-batches that it has scored.
    """
    rng = stream(0, Purpose.OPERATORS, 0, 1)

    def made(spec: Any, is_input: bool) -> Any:
        if spec.dtype.is_floating:
            numbers = rng.standard_normal(spec.shape) if is_input else np.ones(spec.shape)
        elif spec.dtype.is_integer:
            numbers = np.resize(np.arange(256 if spec.dtype == tf.uint8 and is_input else 2), spec.shape)
        else:
            return tf.zeros(spec.shape, spec.dtype)
        return tf.constant(numbers.astype(spec.dtype.as_numpy_dtype))

    return [[made(spec, place != 1) for spec in half] for place, half in enumerate(specs)]


def network_of(problem: Problem, samples: Any, given: Sequence[Any], *, in_groups: bool) -> Network:
    """Return the network of a problem; a kept one if it has an equal model and equal shapes.

    Parameters
    ----------
    problem : Problem
        The problem.
    samples : Dataset or Samples
        Samples with the structure of inputs and targets.
    given : sequence
        A mini-batch, lists of tensors.
    in_groups : bool
        Whether genomes are scored in groups.
    """
    inputs, targets = (tuple(tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in half) for half in given)
    templates = samples.inputs, samples.targets
    shapes = Shapes(repr(templates), samples.weighted, (inputs, targets), templates)
    # The traced functions get mini-batches as arguments: data and seed do not matter.
    alike = replace(problem, data=DataReference("", "", ""), seed=0)
    with _one_at_a_time:
        return _network(alike, shapes, in_groups=in_groups)


_one_at_a_time = threading.RLock()  # a second thread waits for a trace in place of repeating it


@lru_cache(maxsize=KEPT)
def _network(problem: Problem, shapes: Shapes, *, in_groups: bool) -> Network:
    return Network(problem, shapes, in_groups=in_groups)


forget_networks = _network.cache_clear
"""Drop the compiled networks."""
