"""The arguments of `make_toolbox`: checks of combinations, and values that follow from other arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from deap import base

from deap_nn.algorithms.toolbox.settings import SETTINGS
from deap_nn.core.arguments import check_count, check_probability
from deap_nn.core.errors import warn_user
from deap_nn.data.dataset import Dataset
from deap_nn.genome.individual import Individual
from deap_nn.genome.weight_list import WeightList
from deap_nn.models.weight_files import SUFFIXES
from deap_nn.operators.adaptation.feedback import ErrorScaled, SelfAdaptive
from deap_nn.operators.adaptation.protocol import Adaptation
from deap_nn.operators.adaptation.schedules import Annealed, Constant
from deap_nn.problems.keras_problem import KerasProblem
from deap_nn.problems.wiring import Batches, Scoring, of_keras_problem, of_labelled_data


def check_for_algorithm(algorithm: str, of_pairs: Mapping[str, Any], others: Mapping[str, Any], former: bool) -> None:
    """Raise ValueError if the algorithm does not use a given argument; the message names the preset that uses it."""
    around_centre = SETTINGS[algorithm]["step"] is not None
    if around_centre:
        for name, value in (*of_pairs.items(), ("crossover", others["crossover"])):
            if value is not None and not (name == "crossover" and value == "mean"):
                raise ValueError(f"{name} needs preset='ga': {algorithm!r} has children of one centre, got {value!r}")
    elif former:
        for name in ("tournsize", "bounds"):
            if of_pairs[name] is not None:
                raise ValueError(f"{name} is not for crossover 'mean', got {of_pairs[name]!r}")
    else:
        for name in ("step", "sampling"):
            if others[name] is not None:
                raise ValueError(f"{name} needs preset='es': {algorithm!r} has no centre, got {others[name]!r}")
    if of_pairs["tournsize"] is not None:
        check_count(of_pairs["tournsize"], "tournsize")
        for name, value in (*of_pairs.items(), ("parents", others["parents"])):
            if name in ("pressure", "boost", "boosted", "opposites", "parents") and value is not None:
                raise ValueError(f"{name} is not for tournsize, which draws from all, got {value!r}")


def check_init(init: Any, spread: float | None) -> None:
    """Raise ValueError if an `init` has no known name or suffix, or does not draw founders with a `spread`."""
    if isinstance(init, str) and init not in ("scaled", "normal") and not init.endswith(SUFFIXES):
        kinds = "'scaled' or 'normal', or a file that ends in .npz, .keras or .weights.h5"
        raise ValueError(f"init must be {kinds}, got {init!r}")
    if spread is not None:
        check_probability(spread, "spread")
        if spread < 1 and not (isinstance(init, str) and init == "scaled"):
            raise ValueError(f"spread below 1 is for founders of init='scaled', got {spread!r}")


def fitness_of(container: Any) -> base.Fitness:
    """Return the fitness of a container's individual; TypeError if it makes no `WeightList` with a fitness."""
    found = getattr(made := container(()), "fitness", None)
    if not isinstance(made, WeightList) or not isinstance(found, base.Fitness):
        raise TypeError(f"container must make a WeightList with a fitness, got {container!r}")
    return found


def scoring_of(
    model: Any,
    data: Any,
    fitness: Literal["error", "cross_entropy"] | None,
    usual_fitness: Literal["error", "cross_entropy"],
    precision: Literal["float32", "bfloat16"],
    its_fitness: base.Fitness,
    batches: Batches,
    container: Any,
) -> Scoring:
    """Return the scoring of the individuals, by a `KerasProblem`, which may be made of (x, y), or on labelled data."""
    if isinstance(data, tuple) and not isinstance(data, Dataset) and not isinstance(model, KerasProblem):
        if isinstance(model, str):
            raise TypeError("data of (x, y) need a Keras model; for a model by name give a Dataset")
        loss = fitness or ("error" if usual_fitness == "error" else None)
        if len(data) not in (2, 3):
            raise ValueError(f"data must be (x, y) or (x, y, sample_weight), got a tuple of {len(data)}")
        model = KerasProblem(model, data, loss=loss, precision=precision, centred=batches.centred)
        data = fitness = None
        precision = "float32"  # the problem has the given precision, and the check below is passed
    if isinstance(model, KerasProblem):
        own = [objective.kind for objective in model.objectives]
        if batches.centred and not model.centred:
            raise ValueError("centred is not for a KerasProblem, which has its own: KerasProblem(..., centred=True)")
        if data is not None or (fitness is not None and own != [fitness]) or precision != "float32":
            raise ValueError("data, fitness and precision are not for a KerasProblem, which has its own")
        return of_keras_problem(model, its_fitness.weights, batches, says=container is not Individual)
    if data is None:
        raise TypeError("data must be a name, a path, a Dataset or (x, y): only a KerasProblem has its own")
    fitness = fitness or usual_fitness
    if len(its_fitness.weights) == 1 and its_fitness.weights[0] > 0:
        reason = f"container has a fitness that is maximised, but evaluate returns the {fitness}"
        warn_user(f"{reason}: register another evaluate, or take a negative weight")
    return of_labelled_data(model, data, fitness, precision, batches)


def usual_sigma(
    kind: Literal["es", "pairs"], fitness: str | None, usual: Mapping[str, Any], former: bool
) -> Adaptation:
    """Return the sigma of a preset, which depends on the kind of fitness."""
    if kind == "es":
        return Annealed(usual["sigma"], usual["final_sigma"] * usual["sigma"])
    if fitness is not None:
        return ErrorScaled(usual["sigma"])
    return Constant(0.1) if former else SelfAdaptive(0.1, 0.005)
