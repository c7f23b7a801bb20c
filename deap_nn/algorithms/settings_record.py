"""The settings that decide a run's numbers, in one flat mapping: a checkpoint keeps it, and compares it at resume."""

from __future__ import annotations

import json
import math
import re
import reprlib
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

from deap import base

from deap_nn.core.environment import environment
from deap_nn.core.registered import Registered
from deap_nn.genome.noise import NoiseTable
from deap_nn.operators.describe import as_json, digest, named, settings_of
from deap_nn.operators.selection import operator_of
from deap_nn.runs.generations import CheckpointError

VERSION = 2
"""The version of the names in a record."""

UNKNOWN = {1: frozenset({"individual.noise", "mutate.noise"}), VERSION: frozenset()}
"""The names that records of each version lack; a record of any other version is not compared."""

NEUTRAL: dict[str, Any] = {
    "cxpb": 1.0,
    "mutpb": 1.0,
    "mates": 2,
    "individual.bounds": None,
    "mutate.bounds": None,
    "mutate.indpb": 1.0,
    "mutate.scale": None,
    "individual.spread": 1.0,
    "centred": False,
    "stratified": False,
    "precision": "float32",
    "projected": False,
    "device": "cpu",
    "threads": 1,
    "select.boosted": 1,
    "select.fewest": 2,
    "select.in_loops": True,
    "select.opposites": 0.0,
    "select.parents": None,
    "recombination_weights.parents": None,
}
"""The values of settings that are not recorded: a setting that is added later makes no difference to older runs."""

OF_PROBLEM = ("batch_size", "centred", "stratified", "precision", "device", "threads")

OPERATORS = ("individual", "mate", "mutate", "select", "evaluate")

OF_THE_SEED = "of the seed"
"""The noise of `make_toolbox`: a table of the run's seed."""


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
    found: dict[str, Any] = {
        "population": len(population),
        "seed": int(seed),
        "cxpb": float(cxpb),
        "mutpb": float(mutpb),
    }
    registered = Registered.read(toolbox)
    usual = NoiseTable(int(seed), sum(map(math.prod, population[0].shapes)))
    found["fitness_weights"] = list(map(float, population[0].fitness.weights))
    for name in OPERATORS:
        operator = getattr(registered, name)
        if operator is not None and not (name == "evaluate" and own_problem(operator) is not None):
            found |= _of_operator(name, operator, usual)
    if registered.recombination_weights is not None:
        found |= _of_operator("recombination_weights", registered.recombination_weights, usual)
    for name in ("mates", "step"):
        value = getattr(registered, name)
        if isinstance(value, Real):
            found[name] = float(value) if name == "step" else int(float(value))
    if registered.step is not None:
        found.pop("mates", None)
    found["projected"] = projects(toolbox)
    if registered.reproduction is not None:  # a user's own strategy
        found["reproduction"] = settings_of(registered.reproduction)
    found |= _of_evaluation(toolbox, seed)
    return {"version": VERSION} | {
        name: value for name, value in sorted(found.items()) if not (name in NEUTRAL and value == NEUTRAL[name])
    }


def projects(toolbox: base.Toolbox) -> bool:
    """Return whether the steps of a toolbox's centre, or of its parents' mean, are projected."""
    return Registered.read(toolbox).layer_inputs is not None


class SettingsError(CheckpointError):
    """A run has other settings than its checkpoint records."""


def check_settings(
    recorded: Mapping[str, Any] | None, present: Mapping[str, Any], folder: Path, *, force: bool = False
) -> None:
    """Raise `SettingsError` with the name of the first setting that differs; warn if none are recorded.

    Parameters
    ----------
    recorded : mapping or None
        The settings of a checkpoint; None if it was made before checkpoints recorded settings.
    present : mapping
        The present settings, from `settings_record`.
    folder : Path
        The checkpoint's folder, for the message.
    force : bool
        Whether the data, the number of threads and the items of `environment` may differ.
    """
    version = None if recorded is None else recorded.get("version")
    if recorded is None or not isinstance(version, int) or version not in UNKNOWN:
        warnings.warn(f"{folder} does not hold the run's settings: they are not compared", stacklevel=3)
        return
    names = (recorded.keys() | present.keys()) - {"version"} - UNKNOWN[version]
    may_be_forced = {"data", "threads", *environment()}
    for name in sorted(names, key=lambda name: (name != "seed", name)):  # another seed has other noise too
        was, now = (record.get(name, NEUTRAL.get(name)) for record in (recorded, present))
        forced = name in may_be_forced
        if was != now and json.dumps(was) != json.dumps(now) and not (forced and force):  # NaN is NaN, and 2 is 2.0
            values = f"was {reprlib.repr(was)} when the run began, and is {reprlib.repr(now)}"
            values += "; --force, or force=True, accepts it" if forced else ""
            raise SettingsError(f"{folder} is of a run with other settings: {name} {values}")


def _of_operator(name: str, registered: Any, usual: NoiseTable) -> dict[str, Any]:
    """Return the name and the arguments of a registered function, with those of partial functions inside it."""
    keywords: dict[str, Any] = {}
    inner, arguments = registered, tuple[Any, ...]()
    while inner is not None:
        if isinstance(inner, partial):
            keywords = dict(inner.keywords) | keywords
            arguments = (*inner.args, *arguments)
        decorated = hasattr(inner, "__wrapped__")
        inner = inner.func if isinstance(inner, partial) else None if decorated else getattr(inner, "operator", None)
    if name == "individual":  # they are the container and the layout, which follows from the model
        arguments = ()
    found = {name: named(operator_of(registered))}
    found |= {f"{name}.{place}": as_json(value) for place, value in enumerate(arguments)}
    keywords.pop("rng", None)  # it follows from the seed
    noise = keywords.get("noise")
    if isinstance(noise, NoiseTable):
        same = (noise.seed, noise.size) == (usual.seed, usual.size)
        keywords["noise"] = OF_THE_SEED if same else {"seed": noise.seed, "size": noise.size}
    return found | {f"{name}.{key}": as_json(value) for key, value in keywords.items()}


def _of_evaluation(toolbox: base.Toolbox, seed: int) -> dict[str, Any]:
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
    if known.seed != seed:
        found["seed_of_batches"] = int(known.seed)
    found |= {name: getattr(known, name) for name in OF_PROBLEM}
    if known.images:
        found["fitness"] = known.fitness
    else:
        found["objectives"] = [_of_objective(objective) for objective in known.objectives]
    return found | {"data": known.data.sha256[:16], "model": _of_model(known.model)}


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
    if objective.targets_first:  # the order of older runs, outputs first, is not recorded: their records stay equal
        words.append(f"({', '.join(objective.names)})")
    return " ".join([*words, *map(_of_objective, objective.parts)])


def _of_model(model: Any) -> str:
    """Return the name of a built-in model, or a digest of the configuration and fixed weights of any other."""
    return str(model.digest)


def _unnumbered(config: str) -> str:
    """Return a configuration without the numbers that Keras adds to names: they count the layers of a process."""
    return re.sub(r'_\d+(?=[/"])', "", config)
