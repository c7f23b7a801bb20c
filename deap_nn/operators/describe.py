"""A sentence about the algorithm of a toolbox, and its settings in the form of JSON."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from deap import base

from deap_nn.core.registered import Registered, words_of
from deap_nn.genome.noise import NoiseTable
from deap_nn.operators.adaptation import Adapting, is_adaptation
from deap_nn.operators.by_name import mates_of, operated_by
from deap_nn.operators.selection import operator_of


def describe_algorithm(toolbox: base.Toolbox, *, mates: int | None = None) -> str:
    """Return a sentence about the algorithm that `evolve` runs on a toolbox: its name and its operators.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        The toolbox with the operators.
    mates : int, optional
        The number of parents in a crossover: 2 in DEAP's own loops. Default: that of `evolve`.

    Examples
    --------
    >>> from deap_nn import Article, make_toolbox
    >>> print(describe_algorithm(make_toolbox("mlp", "mnist5k", Article(), seed=1)))
    genetic algorithm (article): 2 parents crossed by cxMask(indpb=0.5), mutGaussianAdaptive(sigma=ErrorScaled(0.1, \
fitness='error')), selRankBoosted(pressure=2.0, boost=100.0, opposites=0.0, parents=1.0, fewest=10), founders by \
initNormal()
    """
    registered = Registered.read(toolbox)
    parts = [_call(registered.mutate), _call(registered.select), f"founders by {_call(registered.individual)}"]
    if registered.reproduction is not None:
        kind = type(registered.reproduction).__name__
    elif registered.step is not None:
        kind = "evolution strategy"
        matrices, every = registered.resting
        if matrices and every > 1:
            parts[0] += f", the first {matrices} matrices every {every} generations"
        parts[1] = f"a step of {registered.step} by {_call(registered.recombination_weights)}"
    else:
        kind = "genetic algorithm"
        parts.insert(0, f"{mates or mates_of(toolbox)} parents crossed by {_call(toolbox.mate)}")
    if registered.layer_inputs is not None and mates is None:
        layers = " and ".join(getattr(registered.problem, "moved_layers", {}).values()) or "dense layers"
        how = f"a step of {registered.case_step} by cases" if registered.moves_by_cases else "the step by rank"
        parts.append(f"{how} along the inputs of {layers}")
    if getattr(registered.problem, "centred", False):
        parts.append("centred layers")
    if getattr(registered.problem, "stratified", False):
        parts.append("stratified mini-batches")
    called = f" ({registered.algorithm.name})" if registered.algorithm is not None else ""
    return f"{kind}{called}: {', '.join(parts)}"


def _call(registered: Any) -> str:
    """Return the name of a registered function, and its numbers, names and adaptations."""
    shown = [
        f"{name}={value}"
        for name, value in words_of(registered).items()
        if isinstance(value, int | float | str) or is_adaptation(value)
    ]
    return f"{name_of(registered)}({', '.join(shown)})"


def name_of(registered: Any) -> str:
    """Return the name of a registered function, without its wrappers."""
    if operated_by(registered) is not None:
        return f"elementwise {name_of(operated_by(registered))}"
    function = inspect.unwrap(operator_of(registered))
    while isinstance(function, partial):
        function = inspect.unwrap(function.func)
    if isinstance(function, Adapting):
        return name_of(function.operator)
    return str(getattr(function, "__name__", type(function).__name__))


def as_json(value: Any) -> Any:
    """Return an argument in the form of JSON: arrays as a digest, functions and other objects by their names."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic | complex | bytes):
        item = value.item() if isinstance(value, np.generic) else value
        return item if isinstance(item, bool | int | float | str) else repr(item)
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return [list(value.shape), *map(as_json, value.ravel().tolist())]
    if isinstance(value, np.ndarray):
        return digest(repr((value.dtype.str, value.shape)).encode() + np.ascontiguousarray(value).tobytes())
    if is_adaptation(value):
        public = {name: as_json(own) for name, own in vars(value).items() if not name.startswith("_")}
        return repr(value) if type(value).__module__.startswith("deap_nn.") else [named(type(value)), public]
    if isinstance(value, NoiseTable):
        return [value.seed, value.size]
    if isinstance(value, np.random.Generator):
        return None
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    return named(value)


def named(function: Any) -> str:
    """Return the name of a function or class, or of the class of any other object.

    The name is without its module, since that of a script is ``__main__`` in one process and a file name in another.
    """
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def digest(content: bytes) -> str:
    """Return 16 digits of the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()[:16]


def settings_of(strategy: Any) -> dict[str, Any]:
    """Return the class of an immutable value and its fields, in the form of JSON."""
    return {"class": named(type(strategy)), **{name: _of_call(value) for name, value in sorted(vars(strategy).items())}}


def _of_call(value: Any) -> Any:
    if not isinstance(value, partial):
        return as_json(value)
    words = {name: as_json(word) for name, word in sorted(value.keywords.items())}
    return [_of_call(value.func), *map(as_json, value.args), words]
