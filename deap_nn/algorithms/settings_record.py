"""The settings that decide a run's numbers, in one flat mapping: a checkpoint keeps it, and compares it at resume."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from deap import base

from deap_nn.core.environment import environment
from deap_nn.core.registered import Registered
from deap_nn.operators.describe import as_json, digest, named, settings_of
from deap_nn.operators.selection import operator_of
from deap_nn.runs.checkpoint import CheckpointError

OF_PROBLEM = ("batch_size", "centred", "stratified", "precision", "device", "threads")

OPERATORS = ("individual", "mate", "mutate", "select", "recombination_weights", "evaluate")


def settings_record(
    toolbox: base.Toolbox, population: Sequence[Any], *, seed: int, cxpb: float, mutpb: float
) -> dict[str, Any]:
    """Return the settings that decide a number of the logbook or a weight, by name, ready for JSON.

    Numbers, texts and the names of functions are recorded as they are; arrays, data and models by a digest. The number
    of generations, the map and the paths of files are left out. Of a user's own functions it records the names and
    arguments, not the code.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        The run's toolbox.
    population : sequence
        The members; their number and the weights of their fitness are recorded.
    seed, cxpb, mutpb
        As `evolve` has them.
    """
    registered = Registered.read(toolbox)
    found: dict[str, Any] = {
        "population": len(population),
        "fitness_weights": list(map(float, population[0].fitness.weights)),
        "seed": int(seed),
        "cxpb": float(cxpb),
        "mutpb": float(mutpb),
        "mates": as_json(registered.mates),
        "step": as_json(registered.step),
        "projected": registered.layer_inputs is not None,
    }
    for name in OPERATORS:
        operator = getattr(registered, name)
        if operator is not None and not (name == "evaluate" and own_problem(operator) is not None):
            found |= _of_operator(name, operator)
    if registered.reproduction is not None:  # a user's own strategy
        found["reproduction"] = settings_of(registered.reproduction)
    return found | _of_evaluation(toolbox)


def check_settings(
    recorded: Mapping[str, Any], present: Mapping[str, Any], folder: Path, *, force: bool = False
) -> None:
    """Raise `CheckpointError` with the name of the first setting that differs.

    Parameters
    ----------
    recorded : mapping
        The settings of a checkpoint.
    present : mapping
        The present settings, from `settings_record`.
    folder : Path
        The checkpoint's folder, for the message.
    force : bool
        Whether the data, the number of threads and the items of `environment` may differ.
    """
    may_be_forced = {"data", "threads", *environment()}
    for name in sorted(recorded.keys() | present.keys(), key=lambda name: (name != "seed", name)):
        was, now, forced = recorded.get(name), present.get(name), name in may_be_forced
        if was != now and json.dumps(was) != json.dumps(now) and not (forced and force):  # NaN is NaN, and 2 is 2.0
            values = f"was {reprlib.repr(was)} when the run began, and is {reprlib.repr(now)}"
            values += "; --force, or force=True, accepts it" if forced else ""
            raise CheckpointError(f"{folder} is of a run with other settings: {name} {values}")


def _of_operator(name: str, registered: Any) -> dict[str, Any]:
    """Return the name and the arguments of a registered function, with those of partial functions inside it."""
    keywords: dict[str, Any] = {}
    inner, arguments = registered, tuple[Any, ...]()
    while inner is not None:
        if isinstance(inner, partial):
            keywords, arguments = inner.keywords | keywords, (*inner.args, *arguments)
        inner = inner.func if isinstance(inner, partial) else getattr(inner, "operator", None)
    if name == "individual":  # they are the container and the layout, which follows from the model
        arguments = ()
    keywords.pop("rng", None)  # it follows from the seed
    found = {name: named(operator_of(registered))}
    found |= {f"{name}.{place}": as_json(value) for place, value in enumerate(arguments)}
    return found | {f"{name}.{key}": as_json(value) for key, value in keywords.items()}


def _of_evaluation(toolbox: base.Toolbox) -> dict[str, Any]:
    """Return the settings of the evaluation."""
    found: dict[str, Any] = {}
    problem = own_problem(toolbox.evaluate)
    assess = Registered.read(toolbox).assess
    size = getattr(getattr(assess, "func", assess), "validation_size", None)
    if size is not None:
        found["validation_size"] = int(size)
    known = problem if problem is not None else own_problem(assess)
    if known is None:
        return found
    found |= {"seed_of_batches": int(known.seed)} | {name: getattr(known, name) for name in OF_PROBLEM}
    if known.images:
        found["fitness"] = known.fitness
    else:
        found["objectives"] = [_of_objective(objective) for objective in known.objectives]
    return found | {"data": known.data.sha256[:16], "model": str(known.model.digest)}


def own_problem(function: Any) -> Any:
    """Return the problem of an evaluation by this package; None for a user's own or a decorated function."""
    unbound = isinstance(function, partial) and not (function.args or function.keywords)
    bare: Any = function.func if unbound else function
    return getattr(bare, "problem", None) if type(bare).__module__.startswith("deap_nn.") else None


def _of_objective(objective: Any) -> str:
    words = [objective.kind, objective.name, str(objective.place)]
    if objective.config:
        words.append(digest(_unnumbered(objective.config).encode()))
    if objective.function is not None:
        words.append(named(objective.function))
        words.append(f"({', '.join(objective.names)})")
    return " ".join([*words, *map(_of_objective, objective.parts)])


def _unnumbered(config: str) -> str:
    """Return a configuration without the numbers that Keras adds to names: they count the layers of a process."""
    return re.sub(r'_\d+(?=[/"])', "", config)
