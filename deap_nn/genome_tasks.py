"""What a map sends to a worker, and what the worker does with it: genomes made and scored, group by group."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deap_nn import parallel
from deap_nn.clock import scoring, told_of
from deap_nn.genomes import Genomes, LackingError
from deap_nn.limits import EvaluationError, time_limit
from deap_nn.recipes import Recipe

SentContext = tuple[bytes, bytes, float | None]


class Task(NamedTuple):
    """What a map sends to a worker: recipes of a group, and what is needed to make their parents.

    ``context`` is the pickled breeder and function and a limit of time, or None where the worker should know it by its
    digest. ``items`` are recipes, or tuples whose first element is one. ``known`` are recipes of ancestors, ``slots``
    pairs of an id and its slot, and ``generation`` is set on the function if it has such an attribute. ``keyframe`` is
    the path of a keyframe, if there is one, and ``content`` what is in it, for a host that has no such file.
    """

    token: str
    place: str
    digest: bytes
    context: SentContext | None
    generation: int
    items: tuple[Any, ...]
    known: tuple[Recipe, ...]
    slots: tuple[tuple[int, int], ...]
    keyframe: str | None = None
    history: str = ""
    content: bytes | None = None


MOST_CONTEXTS = 8
"""So many functions are kept; one that comes again later is sent again."""


class Context(NamedTuple):
    """What makes genomes, the function that scores them, and the seconds that a call of it may take."""

    genomes: Genomes
    function: Callable[[Any], Any]
    timeout: float | None


contexts: OrderedDict[bytes, Context] = OrderedDict()
genomes_by_run: dict[str, Genomes] = {}
busy = threading.RLock()  # a map of threads makes one genome at a time


class UnknownPartError(RuntimeError):
    """A worker cannot find a class or function by its name."""


def unpickled(content: bytes) -> Any:
    """Return what somebody has pickled who may have code run here.

    Raises
    ------
    UnknownPartError
        If it is made of something that this process does not find.
    """
    try:
        return pickle.loads(content)  # noqa: S301  (see above)
    except AttributeError as error:
        raise UnknownPartError(
            f"a worker cannot find what a task is made of ({error}): put it at the top of a module that is imported; "
            "what a notebook's cells define takes the package cloudpickle"
        ) from error


def _context(task: Task) -> Context:
    """Return what a task is done with, made once in a process."""
    if task.digest not in contexts:
        if task.context is None:
            raise LackingError(task.digest)
        # The map has unpickled the task, from the same sender.
        breeder_bytes, function_bytes, timeout = task.context
        if task.token not in genomes_by_run:
            # Not where the run is known: unpickling a class of DEAP's creator would replace the user's.
            breeder, shares_noise = unpickled(breeder_bytes)
            forget()
            genomes_by_run[task.token] = Genomes(breeder, task.token, Path(task.place))
            if shares_noise:
                genomes_by_run[task.token].share_noise()
        contexts[task.digest] = Context(genomes_by_run[task.token], unpickled(function_bytes), timeout)
        while len(contexts) > MOST_CONTEXTS:
            contexts.popitem(last=False)
    return contexts[task.digest]


def forget() -> None:
    """Let go of what this process holds of earlier runs."""
    contexts.clear()
    for genomes in genomes_by_run.values():
        if genomes.breeder.noise_table is not None:
            genomes.breeder.noise_table.forget()
        genomes.cache.close()
    genomes_by_run.clear()


def run_group(task: Task) -> list[Any] | None:
    """Make the individuals of a group one by one and return what the function answers; None if something lacks.

    Raises
    ------
    EvaluationError
        If the function raises or takes too long, naming the child.
    """
    with busy, scoring(task.generation), contextlib.suppress(LackingError), parallel.ending_without_memory():
        context = _context(task)
        genomes, function = context.genomes, context.function
        target: Any = getattr(function, "func", function)
        for told in told_of(function):
            told.generation = task.generation
        genomes.recipes = {recipe.id: recipe for recipe in task.known}
        genomes.slots = dict(task.slots)
        path = Path(task.keyframe) if task.keyframe is not None else None
        genomes.use_keyframe(path, task.history, task.content)
        bound = getattr(function, "args", ()) or getattr(function, "keywords", {})
        bare = not bound and all(isinstance(item, Recipe) for item in task.items)
        recipes = [item if isinstance(item, Recipe) else item[0] for item in task.items]
        answers: list[Any] = []
        timeout = context.timeout if getattr(target, "has_limit", True) else None
        if hasattr(target, "prepare"):
            _call(target.prepare, recipes, None)
        if bare and getattr(target, "scores_groups", False):
            for genomes_together in genomes.groups(task.items):
                some = recipes[len(answers) : len(answers) + len(genomes_together)]
                answers.extend(_call(partial(target.many, genomes_together), some, timeout))
            return answers
        if bare and hasattr(target, "of_rounded") and any(target.rounded):
            rounded = np.array(target.rounded)
            for recipe, (flat, halves) in zip(recipes, genomes.rounded(recipes, rounded), strict=True):
                answers.append(_call(partial(target.of_rounded, flat, halves), (recipe,), timeout))
            return answers
        individuals = genomes.individuals(recipes, kept=getattr(target, "leaves_weights", False))
        for item, recipe, individual in zip(task.items, recipes, individuals, strict=True):
            given = individual if isinstance(item, Recipe) else (individual, *item[1:])
            answers.append(_call(partial(function, given), (recipe,), timeout))
        return answers
    return None


run_group.may_be_done_twice = True  # type: ignore[attr-defined]  # it is a pure function


def _call(function: Callable[[], Any], recipes: Sequence[Recipe], timeout: float | None) -> Any:
    """Call a function that scores some members, in the time it has; what goes wrong names them."""
    first, last = recipes[0], recipes[-1]
    named = f"generation {first.generation}, child {first.place}" + (f" to {last.place}" if first != last else "")
    try:
        with time_limit(timeout, named):
            return function()
    except Exception as error:
        if isinstance(error, EvaluationError) or parallel.out_of_memory(error):
            raise
        raise EvaluationError.of(named, error) from error
