"""The settings of a script's run for its folder, read from the population, the toolbox and the problem."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deap import base

from deap_nn.callbacks.base import Evolution
from deap_nn.core.evaluation import evaluation_of
from deap_nn.core.files import plain
from deap_nn.core.registered import Registered
from deap_nn.data.loading import find_dataset
from deap_nn.operators.describe import describe_algorithm, settings_of
from deap_nn.operators.selection import operator_of

OURS = ("data", "fitness_weights")
"""Settings that a script cannot replace, because the report relies on them."""


def config_of(evolution: Evolution, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run for its ``config.json``, read from the run and a script's own.

    Parameters
    ----------
    evolution : Evolution
        The run.
    given : mapping
        The script's own settings, as JSON or else as their ``repr``. They replace the run's, except for ``OURS``.

    Raises
    ------
    ValueError
        If a setting has the name of one of ``OURS`` that the run has.
    """
    toolbox, registered = evolution.toolbox, Registered.read(evolution.toolbox)
    operators = {"mate": registered.mate, "mutate": registered.mutate, "select": registered.select}
    found: dict[str, Any] = {
        "population": len(evolution.population),
        "generations": evolution.generations,
        **evolution.settings,
        "fitness_weights": list(evolution.population[0].fitness.weights),
        **_of_the_problem(registered),
        **{name: _operator_text(operator) for name, operator in operators.items() if operator is not None},
        **{name: getattr(registered, name) for name in ("step", "mates") if name in registered.has},
        **({} if registered.reproduction is None else {"reproduction": settings_of(registered.reproduction)}),
        "algorithm": describe_algorithm(toolbox, len(evolution.population)),
    }
    for name in given:
        if name in OURS and name in found:
            raise ValueError(f"settings must not name {name!r}: config.json has that of the run itself there")
    return found | {name: _as_json(value) for name, value in given.items()}


def sample_shape(toolbox: base.Toolbox) -> tuple[int, ...] | None:
    """Return the shape of a sample of a toolbox's problem with one input, else None."""
    problem = Registered.read(toolbox).problem
    if problem is None:
        return None
    inputs = find_dataset(problem.data).halves("train")[0]
    return tuple(inputs[0].shape[1:]) if len(inputs) == 1 else None


def _as_json(value: Any) -> Any:
    """Return a setting as a value for JSON, or its `repr` if JSON has none."""
    value = plain(value)
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value


def _operator_text(operator: Any) -> str:
    """Return the name of an operator with its short arguments."""
    keywords = getattr(operator, "keywords", {})
    words = {name: value for name, value in keywords.items() if name not in ("rng", "noise")}
    short = [f"{name}={value!r}" for name, value in words.items() if len(repr(value)) < 80]
    function = operator_of(operator)
    return f"{getattr(function, '__name__', type(function).__name__)}({', '.join(short)})"


def _of_the_problem(registered: Registered) -> dict[str, Any]:
    """Return the names of the first fitness value and of the logged error, and the data, if the toolbox has them."""
    found: dict[str, Any] = {"fitness": "fitness"}
    if (scored := evaluation_of(registered.evaluate).problem) is not None:
        found = {"fitness": scored.objectives[0].name, "batch_size": scored.batch_size}
    assessed = evaluation_of(registered.assess).problem
    if (problem := scored if assessed is None else assessed) is not None:
        sign = "-" if problem.weights[0] > 0 else ""
        found |= {"measure": sign + problem.measure.name, "data": find_dataset(problem.data).describe()}
    return found
