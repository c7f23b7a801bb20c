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
from deap_nn.operators.adaptation import (
    Adapting,
    Annealed,
    Constant,
    ErrorScaled,
    OneFifth,
    SelfAdaptive,
    is_adaptation,
)
from deap_nn.operators.by_name import mates_of, operated_by
from deap_nn.operators.crossover import cxMask, cxScanning
from deap_nn.operators.mutation import mutGaussianAdaptive
from deap_nn.operators.ranking import number_of_parents, recombination_weights
from deap_nn.operators.selection import operator_of, selRankBoosted

FITNESS_NAMES = {"error": "the error of the best", "cross_entropy": "the error of the best, from its cross-entropy"}
"""The error that an `ErrorScaled` uses, by its kind of fitness."""


def describe_algorithm(toolbox: base.Toolbox, members: int, *, mates: int | None = None) -> str:
    """Return a sentence about the algorithm that `evolve` runs on a toolbox: its name and its operators.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        The toolbox with the operators.
    members : int
        The size of the population, which determines the number of parents.
    mates : int, optional
        The number of parents in a crossover: 2 in DEAP's own loops. Default: that of `evolve`.

    Examples
    --------
    >>> from deap_nn import Article, make_toolbox
    >>> print(describe_algorithm(make_toolbox("mlp", "mnist5k", Article(), seed=1), 200))
    genetic algorithm (article): two parents crossed by a 0/1 mask (cxMask), Gaussian mutation whose sigma is 0.1 \
times the error of the best (mutGaussianAdaptive), selection by rank with pressure 2, the best boosted by 100 \
(selRankBoosted)
    """
    registered = Registered.read(toolbox)
    called = f" ({registered.algorithm.name})" if registered.algorithm is not None else ""
    if registered.reproduction is not None:
        how = f"{_mutation(registered.mutate)}, {_selection(registered.select, members, in_loop=False)}"
        return f"{type(registered.reproduction).__name__}{called}: {how}"
    if registered.step is not None:
        return f"evolution strategy{called}: {_around_centre(registered, members)}{_scoring(registered.problem)}"
    crossed = _crossover(toolbox.mate, min(members, mates_of(toolbox) if mates is None else mates))
    parts = [crossed, _mutation(toolbox.mutate), _selection(toolbox.select, members, in_loop=mates is not None)]
    if registered.layer_inputs is not None and mates is None:
        parts.append("parents moved along the inputs of dense layers")
    if (spread := words_of(registered.individual).get("spread", 1.0)) < 1:
        parts.append(f"founders related by a spread of {spread:g}")
    return f"genetic algorithm{called}: {', '.join(parts)}{_scoring(registered.problem)}"


def _scoring(problem: Any) -> str:
    centred = " with centred layers" if getattr(problem, "centred", False) else ""
    stratified = " on stratified mini-batches" if getattr(problem, "stratified", False) else ""
    return f", scored{centred}{stratified}" if centred or stratified else ""


def name_of(registered: Any) -> str:
    """Return the name of a registered function, without its wrappers."""
    if operated_by(registered) is not None:
        return f"{name_of(operated_by(registered))}, weight by weight"
    function = inspect.unwrap(operator_of(registered))
    while isinstance(function, partial):
        function = inspect.unwrap(function.func)
    if isinstance(function, Adapting):
        return name_of(function.operator)
    return str(getattr(function, "__name__", type(function).__name__))


COUNTS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}
"""Small numbers in words."""


def _crossover(mate: Any, mates: int) -> str:
    count = COUNTS.get(mates, str(mates))
    function = inspect.unwrap(operator_of(mate))
    if function is cxMask and words_of(mate).get("indpb") == 0:
        return "no crossover"
    how = " by a 0/1 mask" if function is cxMask else " by a random mask" if function is cxScanning else ""
    return f"{count} parents crossed{how} ({name_of(mate)})"


def _sigma(sigma: Any) -> str:
    if isinstance(sigma, ErrorScaled):
        return f"is {sigma.factor:g} times {FITNESS_NAMES[sigma.fitness or 'error']}"
    if isinstance(sigma, Annealed):
        goes = "falls" if sigma.final <= sigma.first else "rises"
        return f"{goes} from {sigma.first:g} to {sigma.final:g}"
    if isinstance(sigma, SelfAdaptive):
        return f"is each member's own, from {sigma.first:g} and at least {sigma.floor:g} (self-adaptive)"
    if isinstance(sigma, OneFifth):
        return f"follows the one-fifth rule from {sigma.first:g}"
    if isinstance(sigma, Constant):
        return f"is {sigma.sigma:g}"
    return f"is {sigma:g}" if isinstance(sigma, int | float) else f"is {sigma!r}"


def _mutation(mutate: Any) -> str:
    if name_of(mutate) != mutGaussianAdaptive.__name__:
        return f"mutation by {name_of(mutate)}"
    words = words_of(mutate)
    share = "" if words.get("indpb", 1.0) == 1 else f" of {words['indpb']:.0%} of the weights"
    return f"Gaussian mutation{share} whose sigma {_sigma(words.get('sigma'))} (mutGaussianAdaptive)"


def _selection(select: Any, members: int, *, in_loop: bool) -> str:
    words = words_of(select)
    if name_of(select) != selRankBoosted.__name__:
        return f"selection by {name_of(select)}" + (f" of {words['tournsize']}" if "tournsize" in words else "")
    usual = {name: argument.default for name, argument in inspect.signature(selRankBoosted).parameters.items()}
    words = {**usual, **words}
    parents = number_of_parents(words["parents"], members, words["fewest"])
    parents = members if parents is None else min(parents, members)
    mirrored = round(words["opposites"] * parents)
    of = f" of the best {parents - mirrored}" if parents - mirrored < members else ""
    if mirrored and not in_loop:
        of += f" and the opposites of the worst {mirrored}"
    boost, boosted = words["boost"], words["boosted"]
    best = "the best" if boosted == 1 else f"the best {boosted}"
    boosting = f", {best} boosted by {boost:g}" if boosted and boost != 1 else ""
    return f"selection by rank{of} with pressure {words['pressure']:g}{boosting} (selRankBoosted)"


def _around_centre(registered: Registered, members: int) -> str:
    step, weights = registered.step, registered.recombination_weights
    how = f"a step of {step:.3g}" if isinstance(step, float | int) else "a step by the size of the run"
    if weights is None or operator_of(weights) is recombination_weights:
        parents = number_of_parents(words_of(weights).get("parents"), members) or members
        half = max(1, min(members // 2, parents))
        which = f"the best {half} of {members} by rank and away from the worst {half}"
    else:
        which = f"all by {name_of(weights)}"
    how += "" if registered.layer_inputs is None else ", projected onto the inputs of dense layers"
    return f"children of one centre, which moves towards {which} with {how}, {_mutation(registered.mutate)}"


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
    words = {name: as_json(word) for name, word in sorted(value.keywords.items()) if name not in ("rng", "noise")}
    return [_of_call(value.func), *map(as_json, value.args), words]
