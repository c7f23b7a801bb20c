"""Any Keras model as a problem to evolve: its trainable weights, some data, and what counts as fitness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deap_nn.samples import Nest, packed, split_samples
from deap_nn.weights import Layout, WeightList, check_number

if TYPE_CHECKING:
    import keras

SAMPLE = 32
"""So many samples say whether outputs are probabilities, and whether a model that was built again is the same."""


class KerasProblem:
    """A Keras model, samples, and the fitness of its answers: what `make_toolbox` takes in place of a model and data.

    Trainable weights alone are evolved; all other state stays as it is. The model itself is never changed.

    Parameters
    ----------
    model : keras.Model
        Built, on TensorFlow's backend: sequential, functional with any inputs and outputs, or subclassed. In other
        processes it is built again from its configuration; one that cannot be is for this process alone.
    x, y : array_like, or a list or dictionary of them
        Inputs as the model takes them, and targets; the first dimension counts samples. Bytes are not scaled.
    loss : str, keras.losses.Loss, keras.metrics.Metric, callable or dict, or a list of them
        "error" (the share that is misread), "cross_entropy" (in nats), "mse", "mae" or any name of a Keras loss; a loss
        or a metric; or a function of (outputs, targets), NumPy arrays in the structure of the model's outputs and of
        `y`, which returns a number and need not be differentiable. A name or loss is of each output, and their sum
        counts; a dictionary has one by each output's name. A list gives as many fitness values.
    validation_split : float
        This share of the samples, the last ones, is for validation: 0 or more, below 1.
    validation_data, test_data : tuple, optional
        Pairs of inputs and targets; the first takes the place of the split.

    Raises
    ------
    ValueError, TypeError
        If an argument is of the wrong kind, samples differ in number, or the model does not take them.

    Examples
    --------
    >>> import numpy as np
    >>> from deap_nn import KerasProblem, evolve, make_toolbox
    >>> from deap_nn.models import keras
    >>> x = np.linspace(-3, 3, 80, dtype=np.float32)[:, None]
    >>> layers = [keras.Input((1,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)]
    >>> problem = KerasProblem(keras.Sequential(layers), x, np.sin(x), loss="mse")
    >>> toolbox = make_toolbox(problem, seed=1)
    >>> population, logbook = evolve(toolbox.population(n=20), toolbox, 5, seed=1)
    >>> model = problem.to_model(population[0])
    >>> model.predict(x, verbose=0).shape
    (80, 1)
    """

    def __init__(
        self,
        model: keras.Model,
        x: Nest,
        y: Nest,
        *,
        loss: Any = "cross_entropy",
        validation_split: float = 0.2,
        validation_data: tuple[Nest, Nest] | None = None,
        test_data: tuple[Nest, Nest] | None = None,
    ) -> None:
        from deap_nn.models import check_model, layout_of, reference_of
        from deap_nn.objectives import objective_of

        if not 0 <= check_number(validation_split, "validation_split") < 1:
            raise ValueError(f"validation_split must be at least 0 and below 1, got {validation_split!r}")
        self.samples = split_samples(
            x, y, validation_split=validation_split, validation_data=validation_data, test_data=test_data
        )
        inputs, targets = self.samples.part("train")
        few = packed(self.samples.inputs, [array[:SAMPLE] for array in inputs])
        check_model(model)
        outputs = _outputs(model, few)
        self.reference = reference_of(model, few)
        names = _output_names(model, len(outputs))
        given = list(loss) if isinstance(loss, list | tuple) else [loss]
        if not given:
            raise ValueError("loss must name at least one objective")
        self.objectives = tuple(objective_of(one, names, "loss") for one in given)
        self.from_logits = tuple(_answers_with_logits(model, i, output) for i, output in enumerate(outputs))
        if any(o.kind not in ("metric", "function") for o in self.objectives) and len(outputs) != len(targets):
            raise ValueError(f"the model has {len(outputs)} outputs, and there are {len(targets)} targets")
        self.layout: Layout = layout_of(self.reference)
        self._try(outputs, [array[:SAMPLE] for array in targets])

    def _try(self, outputs: Sequence[Any], targets: Sequence[Any]) -> None:
        """Compute the objectives of some answers once, so that what does not fit is told at once."""
        from deap_nn.models import tf
        from deap_nn.objectives import Judge

        judge = Judge(self.objectives, self.from_logits, (-1.0,) * len(self.objectives), (list, list))
        traced = [objective for objective in self.objectives if objective.traced and objective.kind != "metric"]
        judge.objectives = traced
        try:
            judge.traced([tf.constant(output) for output in outputs], [tf.constant(target) for target in targets])
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            shapes = f"outputs of shape {[o.shape for o in outputs]} and targets of {[t.shape for t in targets]}"
            raise ValueError(f"loss does not fit {shapes}: {reason}") from error

    def to_model(self, individual: WeightList) -> keras.Model:
        """Return a new Keras model with an individual's weights, which predicts what was scored.

        Raises
        ------
        TypeError
            If the model cannot be built again: `assign` takes one that the user has made.
        """
        from deap_nn.models import trained_model

        return trained_model(self.reference, individual)

    def assign(self, individual: WeightList, model: keras.Model) -> keras.Model:
        """Make an individual's weights those of a model of the same kind, and return it."""
        from deap_nn.models import assign_weights

        assign_weights(model, individual)
        return model

    def recalibrate(self, model: keras.Model, *, batch_size: int = 256) -> keras.Model:
        """Estimate the statistics of a model's BatchNormalization layers anew, from the training inputs.

        They become the mean over all mini-batches, each gone through as in training, so that Dropout drops.

        Parameters
        ----------
        model : keras.Model
            One that `to_model` gave; modified in place.
        batch_size : int
            Samples at a time, at least 1.
        """
        from deap_nn.models import keras

        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size!r}")
        layers = [one for one in model._flatten_layers() if isinstance(one, keras.layers.BatchNormalization)]
        before = [layer.momentum for layer in layers]
        arrays = self.samples.part("train")[0]
        try:
            for number, start in enumerate(range(0, len(self.samples), batch_size), 1):
                for layer in layers:
                    layer.momentum = 1.0 - 1.0 / number
                model(
                    packed(self.samples.inputs, [array[start : start + batch_size] for array in arrays]), training=True
                )
        finally:
            for layer, momentum in zip(layers, before, strict=True):
                layer.momentum = momentum
        return model


def _outputs(model: keras.Model, inputs: Nest) -> list[Any]:
    """Return the model's answers to some inputs, or say in a line why it does not take them."""
    from deap_nn.models import answers_of, keras

    weights, state = ([v.value for v in some] for some in (model.trainable_variables, model.non_trainable_variables))
    if not weights:
        raise ValueError(f"model {model.name!r} has no trainable weights")
    try:
        outputs = answers_of(model, weights, state, inputs)
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ValueError(
            f"model {model.name!r} does not take x: {lines[0] if lines else type(error).__name__}"
        ) from error
    return [np.asarray(output) for output in keras.tree.flatten(outputs)]


def _output_names(model: keras.Model, count: int) -> list[str]:
    names = list(getattr(model, "output_names", None) or ())
    return names if len(names) == count else [f"output_{i}" for i in range(count)]


def _answers_with_logits(model: keras.Model, place: int, output: Any) -> bool:
    """Whether an output is of logits: as the activation of its layer says, or the answers to some samples."""
    from deap_nn.models import keras

    tensors = keras.tree.flatten(getattr(model, "outputs", None) or [])
    layer = tensors[place]._keras_history.operation if place < len(tensors) else None
    activation = getattr(layer, "activation", None)
    if isinstance(layer, keras.layers.Softmax) or activation in (keras.activations.softmax, keras.activations.sigmoid):
        return False
    if activation is keras.activations.linear:
        return True
    values = np.asarray(output, np.float64)
    if values.ndim and values.shape[-1] == 1:
        return bool(np.any((values < 0) | (values > 1)))
    return bool(np.any(values < 0) or not np.allclose(values.sum(-1), 1, atol=1e-3))
