"""`KerasProblem`: any Keras model with samples and objectives, to evolve its trainable weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from deap_nn.core.arguments import check_choice, check_flag, check_number
from deap_nn.core.errors import warn_user
from deap_nn.data.dataset import PARTS
from deap_nn.data.samples import Nest, packed, split_samples
from deap_nn.genome.weight_list import WeightList
from deap_nn.problems.problem import USUAL_BATCH_SIZE, Problem, checked

if TYPE_CHECKING:
    import keras

    from deap_nn.problems.objectives import FitnessName
TRIED = 100
"""The number of samples, from all over the data, on which a model and its objectives are tried."""


class KerasProblem:
    """A Keras model, samples and a fitness, which `make_toolbox` takes in place of a model and data.

    Only trainable weights are evolved; all other state stays as it is. The model itself is never changed.

    Parameters
    ----------
    model : keras.Model
        Built, on TensorFlow's backend: sequential, functional with any inputs and outputs, or subclassed. Other
        processes rebuild it from its configuration; if that is impossible, only maps of this process can be used.
    x, y : array_like, or a list or dictionary of them
        Inputs as the model takes them, and targets; the first dimension counts samples. Bytes are not scaled. A tuple
        (x, y) or (x, y, sample_weight) may take the place of both. NaN and infinity are refused, unless the outputs
        and the loss of a few samples are finite with them.
    loss : str, keras.losses.Loss, keras.metrics.Metric, callable or dict, or a list of them, optional
        The default is the loss that the model is compiled with, or "cross_entropy" without one. "error" (the error
        rate), "cross_entropy" (in nats), "mse", "mae" or any name of a Keras loss; a loss or a metric; or a function of
        NumPy arrays in the structure of the model's outputs and of `y`. A function returns a number and need not be
        differentiable. Its parameters are (y_true, y_pred) or (targets, outputs), in any order. With other names it is
        called with (outputs, targets), and a warning says so. With `y_true` it may return a value for each sample,
        shape (samples, ...), and the mean counts. A name or loss applies to each output, and the sum counts. A
        dictionary scores outputs by name and ignores all others: names or losses of several outputs, which are summed,
        or a metric or function of one. A list gives one fitness value for each entry. Masked outputs are scored like
        all others. Losses that layers add, by ``kernel_regularizer`` or ``add_loss``, do not count. A custom loss or
        metric is rebuilt from its ``get_config``, in this process too.
    from_logits : bool or sequence of bool, optional
        Whether outputs are logits, not probabilities, for "error" and "cross_entropy". By default the activation of
        each output's layer decides. Keras' losses have their own argument of this name; a loss given as a string
        expects probabilities.
    validation_split : float
        The share of the samples that validates, the last ones as in Keras: 0 or more, below 1.
    validation_data, test_data : tuple, optional
        (x, y) or (x, y, sample_weight); the first takes the place of the split.
    sample_weight : array_like, or a list or dictionary of them, optional
        A weight for each sample, at least 0, shape (samples,), or arrays in the structure of `y`. As in Keras, a loss
        or "cross_entropy" is the sum of the weighted values divided by the number of samples; "error" is a share of the
        weights. Metrics get them, and functions by a parameter ``sample_weight``, required if they return one number.
    class_weight : dict or "balanced", optional
        The weight of a class, at least 0, by its number; 1 for other classes. "balanced" is the inverse of the classes'
        frequencies. It applies to the training samples only, and cannot be given with `sample_weight`.
    precision : {"float32", "bfloat16"}
        The arithmetic of the fitness, as in `make_toolbox`; "bfloat16" needs a model that can be rebuilt.
    centred : bool
        Score with centred layers: dense layers subtract from their outputs the mean over the mini-batch. `to_model` and
        all scores on other samples have the means over 1,000 training samples in the biases, so that the model itself
        does not change. Models must be sequential or functional.

    Raises
    ------
    ValueError, TypeError
        If an argument is invalid, samples differ in number, or the model does not take them.

    Examples
    --------
    >>> import numpy as np
    >>> from deap_nn import KerasProblem, evolve, keras, make_toolbox
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
        y: Nest = None,
        *,
        loss: Any = None,
        from_logits: bool | Sequence[bool] | None = None,
        validation_split: float = 0.2,
        validation_data: tuple[Nest, ...] | None = None,
        test_data: tuple[Nest, ...] | None = None,
        sample_weight: Nest = None,
        class_weight: Mapping[int, float] | Literal["balanced"] | None = None,
        precision: Literal["float32", "bfloat16"] = "float32",
        centred: bool = False,
    ) -> None:
        from deap_nn.data.registry import forget

        if y is None and isinstance(x, tuple) and len(x) in (2, 3):
            x, y, *weights = x
            if weights and sample_weight is not None:
                raise ValueError("sample_weight is given twice: with x and y, and as an argument")
            sample_weight = weights[0] if weights else sample_weight
        if y is None:
            raise ValueError(f"y must hold the targets, or x be a tuple (x, y) of arrays, got {type(x).__name__}")
        if not 0 <= check_number(validation_split, "validation_split") < 1:
            raise ValueError(f"validation_split must be at least 0 and below 1, got {validation_split!r}")
        check_choice("precision", precision, ("float32", "bfloat16"))
        self.precision, self.centred = precision, check_flag("centred", centred)
        self.parts: list[Any] = []
        self.samples = split_samples(
            x,
            y,
            validation_split=validation_split,
            validation_data=validation_data,
            test_data=test_data,
            sample_weight=sample_weight,
            class_weight=class_weight,
        )
        try:
            self._fit(model, loss, from_logits)
            self.parts += self.samples.reference, self.reference
        except BaseException:
            forget(self.samples.reference)  # the caller gets no problem to release
            raise

    def _fit(self, model: keras.Model, loss: Any, from_logits: bool | Sequence[bool] | None) -> None:
        """Set the model and the objectives, and raise if they do not fit the samples."""
        from deap_nn.models.layers import check_centred
        from deap_nn.models.outputs import logit_flags, output_names, tried_outputs
        from deap_nn.models.reference import check_model, is_fitted, reference_of
        from deap_nn.models.tensorflow import keras, tf
        from deap_nn.problems.objective_evaluator import ObjectiveEvaluator
        from deap_nn.problems.objectives import asks_for_logits, check_targets, check_weighted, objective_of

        inputs, targets = self.samples.halves("train")
        tried = np.linspace(0, len(targets[0]) - 1, min(TRIED, len(targets[0]))).astype(int)
        few = packed(self.samples.inputs, [array[tried] for array in inputs])
        check_model(model)
        structure = tried_outputs(model, few)
        outputs = [np.asarray(output) for output in keras.tree.flatten(structure)]
        self.reference, self.is_fitted = reference_of(model, few), is_fitted(model)
        if self.centred:
            check_centred(model)
        if self.precision != "float32" or self.centred:
            _ = self.reference.packed  # raises if the model cannot be built again
        names = output_names(model, structure, len(outputs))
        loss = _compiled_loss(model, names) if loss is None else loss
        given = list(loss) if isinstance(loss, list | tuple) else [loss]
        if not given:
            raise ValueError("loss must name at least one objective")
        self.objectives = tuple(objective_of(one, names) for one in given)
        check_weighted(self.objectives if self.samples.weighted else ())
        self.from_logits = logit_flags(from_logits, model, outputs)
        if from_logits is not None and not any(map(asks_for_logits, self.objectives)):
            raise ValueError("from_logits is for 'error' and 'cross_entropy': set it in a Keras loss or metric")
        self.pairs = tuple(range(len(outputs)))
        if any(objective.paired for objective in self.objectives):
            self.pairs = _pairs(structure, names, self.samples.targets, len(targets) - self.samples.weighted)
            for split in PARTS:
                if self.samples.size(split):
                    paired = [self.samples.halves(split)[1][place] for place in self.pairs]
                    for objective in self.objectives:
                        check_targets(objective, outputs, paired)
        self.layout = self.reference.layout
        pack = partial(keras.tree.pack_sequence_as, structure), partial(packed, self.samples.targets)
        signs = (-1.0,) * len(self.objectives)
        few_targets = [target[tried] for target in targets]
        evaluator = ObjectiveEvaluator(
            self.objectives, self.from_logits, signs, self.pairs, pack, self.samples.weighted
        )
        for objective in self.objectives:
            if objective.kind == "function" and not objective.names:
                named = "name its parameters (y_true, y_pred) or (targets, outputs)"
                warn_user(f"{objective.name} is called with (outputs, targets): {named}", about=objective.key)
        evaluator.check(outputs, few_targets)
        for objective in self.objectives:
            if evaluator.broadcasts(objective, outputs, few_targets):
                warn_user(f"{objective.name} broadcasts targets (n,) and outputs (n, 1) to (n, n): give y[:, None]")
        for split in filter(self.samples.size, PARTS):
            inputs, targets = self.samples.halves(split)
            if odd := [i for array in (*inputs, *targets) for i in _not_finite(array)[:1]]:
                some = odd + list(range(min(TRIED, len(targets[0]))))
                answers = tried_outputs(model, packed(self.samples.inputs, [array[some] for array in inputs]))
                found = [np.asarray(answer) for answer in keras.tree.flatten(answers)]
                if not evaluator.check(found, [array[some] for array in targets]):
                    raise ValueError(f"x and y must be finite, sample {odd[0]} of {split} is not")
        self.casewise = (
            evaluator.cases(*(list(map(tf.constant, arrays)) for arrays in (outputs, few_targets))) is not None
        )

    @property
    def followed(self) -> FitnessName | None:
        """The objective that an `ErrorScaled` sigma can follow, "error" or "cross_entropy"; None for any other."""
        from deap_nn.problems.objectives import followed

        return followed(self.objectives)

    def __repr__(self) -> str:
        named = ", ".join(objective.name for objective in self.objectives)
        return f"<KerasProblem: {self.layout.size} weights, {len(self.samples)} samples, {named}>"

    def release(self) -> None:
        """Release the samples and the model that this process holds, when nothing more is to be scored on them.

        Otherwise they are held until it ends, since tasks only refer to them. The process keeps the networks that it
        compiled last, without samples, for the next problem of an equal model.
        """
        from deap_nn.problems.scorer import release_parts

        release_parts(self.parts)

    def to_model(self, individual: WeightList) -> keras.Model:
        """Return a new Keras model with an individual's weights; its predictions are the outputs that were scored.

        Raises
        ------
        ValueError
            If Keras cannot build the model again; `assign` takes a model that the user has made.
        """
        from deap_nn.models.reference import trained_model

        return trained_model(self.reference, self._network(individual))

    def assign(self, individual: WeightList, model: keras.Model) -> keras.Model:
        """Assign an individual's weights to a model with the same weight shapes, and return the model."""
        from deap_nn.models.reference import assign_weights

        assign_weights(model, self._network(individual))
        return model

    def _network(self, individual: WeightList) -> Sequence[Any]:
        """Return the weights with which the model itself has an individual's outputs."""
        if not self.centred:
            return individual
        from deap_nn.models.layers import centred, fold
        from deap_nn.models.reference import new_model
        from deap_nn.problems.scorer import batches_for_means, is_small

        batches = batches_for_means(self.samples, small=is_small(self.reference))
        inputs = [packed(self.samples.inputs, arrays) for arrays in batches]
        return fold(centred(new_model(self.reference)), individual, inputs)


def of_keras_problem(
    given: KerasProblem, signs: Sequence[float], batch_size: int | None, *, says: bool, **settings: Any
) -> Problem:
    """Return the problem of a `KerasProblem` for the weights of a fitness; `says`: whether a user gave the weights."""
    if not given.parts:
        raise ValueError("the KerasProblem is released: make another one")
    if len(signs) < len(given.objectives) and not says:
        raise ValueError(f"container must have a fitness with {len(given.objectives)} weights, one for each objective")
    if len(signs) != len(given.objectives):  # they are of an evaluate that the user will register
        signs, says = [-1.0] * len(given.objectives), False
    scores = [objective for objective in given.objectives if objective.is_score]
    if scores and not says:
        raise ValueError(
            f"container must say whether {scores[0].name} is minimised or maximised: creator.create("
            '"Best", base.Fitness, weights=(1.0,)) if more is better, weights=(-1.0,) if less is; then creator.create('
            '"Network", WeightList, fitness=creator.Best) and container=creator.Network'
        )
    for objective, sign in zip(given.objectives, signs, strict=True):
        if sign > 0 and objective.kind in ("error", "cross_entropy", "loss", "sum"):
            said = f"container has a fitness that maximises {objective.name}, a loss: take weights=(-1.0,)"
            warn_user(said, about=given.samples.reference.sha256)
    return checked(
        Problem(
            given.reference,
            given.samples.reference,
            given.objectives,
            batch_size or min(USUAL_BATCH_SIZE, len(given.samples)),
            from_logits=given.from_logits,
            pairs=given.pairs,
            weights=tuple(signs),
            precision=given.precision,
            centred=given.centred,
            casewise=given.casewise and signs[0] < 0,
            **settings,
        )
    )


def _not_finite(array: NDArray[Any]) -> NDArray[np.intp]:
    """Return the indices of the samples of an array that hold NaN or infinity."""
    found = ~np.isfinite(array) if array.dtype.kind == "f" else np.zeros(len(array), bool)
    return np.flatnonzero(found.reshape(len(array), -1).any(1))


def _compiled_loss(model: keras.Model, names: Sequence[str]) -> Any:
    """Return the loss that a model is compiled with, by the names of its outputs, or "cross_entropy"."""
    from deap_nn.problems.objectives import as_compiled

    loss = getattr(model, "loss", None)
    if not getattr(model, "compiled", False) or loss is None:
        return "cross_entropy"
    weights = getattr(getattr(model, "_compile_loss", None), "_user_loss_weights", None)
    if weights is not None:
        raise ValueError(
            f"loss: the loss_weights {weights!r} that the model is compiled with are not used: give a loss"
        )
    if isinstance(loss, list | tuple):
        if len(loss) != len(names):
            raise ValueError(f"loss: the model is compiled with {len(loss)} losses for {len(names)} outputs")
        loss = dict(zip(names, loss, strict=True))
    elif not isinstance(loss, Mapping):
        loss = dict.fromkeys(names, loss)
    return {name: as_compiled(one) for name, one in loss.items() if one is not None}


def _pairs(structure: Nest, names: Sequence[str], targets: Nest, count: int) -> tuple[int, ...]:
    """Return the index of each output's target: by name if targets have names, else by position."""
    if count != len(names):
        raise ValueError(f"the model has {len(names)} outputs, and there are {count} targets")
    if isinstance(targets, Mapping):
        if set(targets) != set(names):
            raise ValueError(f"y must name the outputs {', '.join(names)}, got {', '.join(map(str, targets))}")
        return tuple(sorted(targets).index(name) for name in names)
    if isinstance(structure, Mapping) and count > 1:
        raise ValueError(f"y must be a dictionary of the outputs {', '.join(names)}")
    return tuple(range(count))
