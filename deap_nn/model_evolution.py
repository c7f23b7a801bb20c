"""One call that evolves the weights of a Keras model."""

from __future__ import annotations

import contextlib
import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from deap import base
from deap.tools import Logbook

from deap_nn.algorithms.algorithm import ES, GA
from deap_nn.algorithms.evolving import evolve
from deap_nn.algorithms.make_toolbox import check_algorithm, make_toolbox
from deap_nn.callbacks.base import Callback, Evolution, checked_callbacks
from deap_nn.callbacks.candidates import Candidates
from deap_nn.core.arguments import check_count, did_you_mean
from deap_nn.core.errors import EvaluationError, warn_user
from deap_nn.core.registered import Registered
from deap_nn.genome.weight_list import WeightList
from deap_nn.problems.keras_problem import KerasProblem, of_keras_problem

if TYPE_CHECKING:
    import keras


WITH_RATE = ("cross_entropy", "sparse_categorical_crossentropy", "categorical_crossentropy")
"""The losses of labels beside which the error rate is shown."""


@dataclass(frozen=True, repr=False)
class EvolvedModel:
    """The result of `evolve_model`.

    Attributes
    ----------
    model : keras.Model
        A new model with the weights of the lowest validation error: of the best member and the mean of the parents, as
        they are every 25 generations and at the end.
    individual : WeightList
        Its individual: these weights, but for the biases of centred layers (``GA(centred=True)``).
    logbook : deap.tools.Logbook
        A row a generation, see `evolve`.
    population : list
        The last generation.
    validation_error : float
        The first objective on all validation samples, less is better: the negative of a metric that is maximised. NaN
        without validation samples.
    toolbox : deap.base.Toolbox
        The toolbox of the run.
    problem : KerasProblem
        The model, the samples and the loss.
    error_rate : float or None
        Beside a cross-entropy of labels, the error rate on all validation samples.
    """

    model: keras.Model
    individual: WeightList
    logbook: Logbook
    population: list[Any]
    validation_error: float
    toolbox: base.Toolbox
    problem: KerasProblem
    error_rate: float | None
    _from_logits: Any = None

    def __repr__(self) -> str:
        made = f"{len(self.individual.flat)} weights, {len(self.logbook) - 1} generations"
        measure, sign = Registered.read(self.toolbox).measure
        beside = "" if self.error_rate is None else f", error rate {self.error_rate:.4g}"
        return f"<EvolvedModel: {made}, validation {measure} {sign * self.validation_error:.4g}{beside}>"

    def evaluate(self, x: Any, y: Any, *, loss: Any = None, sample_weight: Any = None) -> dict[str, float]:
        """Return each objective of the network on samples, by its name.

        Parameters
        ----------
        x, y : array_like, or a list or dictionary of them
            As in `KerasProblem`.
        loss : optional
            Other objectives, as in `KerasProblem`, such as "error", which is 1 - accuracy.
        sample_weight : optional
            As in `KerasProblem`.
        """
        from deap_nn.problems.evaluate import Scores

        own = {"loss": self.problem.objectives, "from_logits": self._from_logits}
        words = own if loss is None else {"loss": loss}
        problem = KerasProblem(self.model, x, y, validation_split=0.0, sample_weight=sample_weight, **words)
        try:
            scored = of_keras_problem(problem, (-1.0,) * len(problem.objectives), None, says=True, seed=0)
            # The weights of the model, and not of the individual: of centred layers only the model has the biases.
            network = WeightList(variable.numpy() for variable in self.model.trainable_variables)
            values = Scores(scored)(network, "train")
        finally:
            problem.release()
        return {objective.name: value for objective, value in zip(problem.objectives, values, strict=True)}


def _names(function: Callable[..., Any]) -> set[str]:
    """Return the keyword-only arguments of a function."""
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY}


def evolve_model(
    model: keras.Model,
    x: Any,
    y: Any = None,
    algorithm: GA | ES = GA(),  # noqa: B008  (frozen)
    *,
    population: int = 100,
    generations: int = 200,
    seed: int,
    **options: Any,
) -> EvolvedModel:
    """Evolve the weights of a Keras model on samples, and return the best network.

    Parameters
    ----------
    model : keras.Model
        A built model, as in `KerasProblem`. It is not changed. Only a model that cannot be built from its configuration
        gets the weights itself, with a warning. The loss of a compiled model is minimised, else the cross-entropy. To
        fine-tune a fitted model, give a small sigma and its weights: ``GA(sigma=0.01), init=model``.
    x, y : array_like, or a list or dictionary of them
        Inputs and targets; the last fifth is for validation.
    algorithm : GA, ES or Article
        The algorithm with its settings; its ``fitness`` is the loss, unless a ``loss`` is given.
    population, generations : int
        The number of members, at least 2, and of generations after the initial one, at least 0.
    seed : int
        The seed of all random numbers.
    **options
        Arguments of `KerasProblem` (such as ``loss`` or ``validation_data``), `make_toolbox` (such as ``batch_size`` or
        ``bounds``) and `evolve` (``callbacks``, ``verbose``), and ``map``, the map of the evaluations.

    Returns
    -------
    EvolvedModel
        With ``model``, ``logbook``, ``individual`` and ``evaluate(x, y)``.

    Raises
    ------
    TypeError
        If none of the three has an argument of an option's name, or `model` is no Keras model.
    ValueError
        If an argument is out of range.
    KeyboardInterrupt, EvaluationError
        On Ctrl-C, or if a network cannot be scored. The ``result`` of both is an `EvolvedModel` with the best network
        so far, if a generation was scored.

    Examples
    --------
    >>> import numpy as np
    >>> from deap_nn import keras
    >>> x = np.linspace(-3, 3, 80, dtype=np.float32)[:, None]
    >>> layers = [keras.Input((1,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)]
    >>> result = evolve_model(keras.Sequential(layers), x, np.sin(x), loss="mse", generations=20, seed=1)
    >>> result.model.predict(x, verbose=0).shape, list(result.evaluate(x, np.sin(x)))
    ((80, 1), ['mse'])
    """
    check_count(population, "population", 2)
    check_count(generations, "generations", 0)
    check_algorithm(algorithm)
    from deap_nn.problems.evaluate import Scores
    from deap_nn.problems.objectives import ignores_class
    from deap_nn.problems.scorer import release_parts

    of_problem, of_toolbox, of_evolve = _names(KerasProblem), _names(make_toolbox), _names(evolve)
    taken = {"population", "generations", "seed", "centred"}
    known = ((of_problem | of_toolbox | of_evolve) - taken) | {"map"}
    if unknown := min(options.keys() - known, default=""):
        near = did_you_mean({"epochs": "generations", "resume": "checkpoint"}.get(unknown, unknown), known | taken)
        raise TypeError(f"{unknown} is no argument of KerasProblem, make_toolbox or evolve{near}")
    chosen: dict[str, Any] = {"loss": algorithm.fitness, "centred": bool(algorithm.centred)}
    chosen |= {name: options[name] for name in options.keys() & of_problem}
    with contextlib.ExitStack() as failing:
        problem = KerasProblem(model, x, y, **chosen)
        failing.callback(problem.release)  # then the caller has no problem to release
        wired = {name: options[name] for name in options.keys() & (of_toolbox - of_problem)}
        toolbox = make_toolbox(problem, None, algorithm, seed=seed, **wired)
        if "map" in options:
            toolbox.register("map", options["map"])
        chosen = {name: options[name] for name in options.keys() & of_evolve}
        kept = Candidates(toolbox) if problem.samples.size("validation") else None
        watching, seen = checked_callbacks(chosen.pop("callbacks", ())), _Seen()
        members = toolbox.population(n=population)

        def result() -> EvolvedModel:
            best, error, rate = seen.evolution.best, float("nan"), None
            if kept is not None:
                best, error, measure = kept.individual, kept.validation_error, toolbox.problem.measure
                if measure.name in WITH_RATE and not ignores_class(measure):
                    rates = replace(toolbox.problem, objectives=(replace(measure, kind="error"),), weights=(-1.0,))
                    (rate,) = Scores(rates)(best, "validation")
            try:
                network = problem.to_model(best)
            except ValueError:
                warn_user("model cannot be built from its configuration: it got the weights itself")
                network = problem.assign(best, model)
            failing.pop_all()
            _problems[toolbox] = problem
            weakref.finalize(problem, release_parts, problem.parts).atexit = False
            logbook, from_logits = seen.evolution.logbook, options.get("from_logits")
            return EvolvedModel(network, best, logbook, members, error, toolbox, problem, rate, from_logits)

        try:
            evolve(members, toolbox, generations, callbacks=[*([kept] if kept else []), seen, *watching], **chosen)
        except (KeyboardInterrupt, EvaluationError) as interrupted:
            if seen.evolution and seen.evolution.logbook:
                vars(interrupted)["result"] = found = result()
                interrupted.add_note(f"the best network so far is the result of this exception: {found}")
            raise
        return result()


class _Seen(Callback):
    """Keep the `Evolution` of a run."""

    evolution: Any = None

    def on_start(self, evolution: Evolution) -> None:
        self.evolution = evolution


_problems: WeakKeyDictionary[base.Toolbox, KerasProblem] = WeakKeyDictionary()
"""The problem of each toolbox, which refers to the samples only by their digest."""
