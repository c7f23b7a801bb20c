"""What a map sends to a worker, and what the worker does with it: genomes made and scored, group by group."""

from __future__ import annotations

import contextlib
import os
import pickle
import platform
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deap_nn.breeding.recipe import Recipe
from deap_nn.breeding.store.ancestors import LackingError
from deap_nn.breeding.store.genomes import Genomes
from deap_nn.core.environment import EnvironmentDiffersError, Expected, difference, environment, this_process
from deap_nn.core.errors import EvaluationError
from deap_nn.core.registered import Traits, scoring
from deap_nn.process import workers
from deap_nn.process.time_limit import time_limit

SentContext = tuple[bytes, bytes, float | None, Expected | None]

Reference = tuple[Recipe, tuple[float, ...], tuple[float, ...]]
"""A founder, the weights of its fitness, and the weighted values that it had when the run began."""


class Task(NamedTuple):
    """What a map sends to a worker: recipes of a group, and what is needed to make their parents.

    ``context`` is the pickled breeder and function, a limit of time and the environment that is expected, or None where
    the worker should know it by its digest. ``items`` are recipes, or tuples whose first element is one. ``known`` are
    recipes of ancestors, ``slots`` pairs of an id and its slot, and ``generation`` is the one that is scored.
    ``keyframe`` is the path of a keyframe, if there is one, and ``content`` what is in it, for a host that has no such
    file.
    ``reference`` is there if the function scores, and ``number`` is what the answer is known by.
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
    reference: Reference | None = None
    number: int = 0


MOST_CONTEXTS = 8
"""So many functions are kept; one that comes again later is sent again."""


class Context(NamedTuple):
    """The genomes, the function that scores them, the seconds that a call may take, and the expected environment."""

    genomes: Genomes
    function: Callable[[Any], Any]
    timeout: float | None
    expected: Expected | None


class Group(NamedTuple):
    """A worker's answer to a task, with the task's number, since a map may answer out of order.

    ``values`` are None if the worker lacks something. ``reason`` names a difference of its process, on ``host``, from
    the one that began the run: it may compute other last bits.
    """

    number: int
    values: list[Any] | None
    host: str = ""
    reason: str = ""


contexts: OrderedDict[bytes, Context] = OrderedDict()
compared: dict[str, str] = {}
"""By run that this process has compared its environment with: the difference, empty if there is none."""
referred: set[str] = set()
"""The runs whose first founder this process has scored."""
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
        return pickle.loads(content)  # noqa: S301  (from a process that may run code here)
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
        breeder_bytes, function_bytes, timeout, expected = task.context
        if task.token not in genomes_by_run:
            # Not where the run is known: unpickling a class of DEAP's creator would replace the user's.
            breeder, shares_noise = unpickled(breeder_bytes)
            forget()
            genomes_by_run[task.token] = Genomes(breeder, task.token, Path(task.place))
            if shares_noise:
                genomes_by_run[task.token].share_noise()
        contexts[task.digest] = Context(genomes_by_run[task.token], unpickled(function_bytes), timeout, expected)
        while len(contexts) > MOST_CONTEXTS:
            contexts.popitem(last=False)
    return contexts[task.digest]


def forget() -> None:
    """Let go of what this process holds of earlier runs."""
    contexts.clear()
    compared.clear()
    referred.clear()
    for genomes in genomes_by_run.values():
        if genomes.breeder.noise_table is not None:
            genomes.breeder.noise_table.forget()
        genomes.cache.close()
    genomes_by_run.clear()


def run_group(task: Task) -> Group:
    """Make the individuals of a group one by one and return what the function answers.

    Raises
    ------
    EvaluationError
        If the function raises or takes too long, naming the child.
    EnvironmentDiffersError
        If this process computes otherwise than the one that began the run, but for its processor.
    """
    with busy, contextlib.suppress(LackingError), workers.ending_without_memory():
        context = _context(task)
        answers = _answers(task, context)
        reason = _compared(task, context)
        return Group(task.number, answers, platform.node() if reason else "", reason)
    return Group(task.number, None)


def _compared(task: Task, context: Context) -> str:
    """Return how this process differs from the one that began the run, or raise if it must not."""
    if context.expected is None:
        return ""
    known, leader, force = context.expected
    if task.token not in compared:  # once there are answers: TensorFlow may come with the first
        here = environment()
        differs = None if this_process() == leader else difference(known, here)
        if differs is not None and not force:
            raise EnvironmentDiffersError(f"process {os.getpid()} on {platform.node()}: {differs}; --force goes on")
        if differs is None and here["processor"] != known["processor"]:
            differs = "it has another processor than the one where the run began"
        compared[task.token] = differs or ""
    if task.reference is not None and task.token not in referred:
        referred.add(task.token)
        if not compared[task.token] and not _scores_alike(task, context, task.reference):
            differs = "by the same versions and variables, a network has another fitness than where the run began"
            if not force:
                raise EnvironmentDiffersError(f"process {os.getpid()} on {platform.node()}: {differs}; --force goes on")
            compared[task.token] = differs
    return compared[task.token]


def _scores_alike(task: Task, context: Context, reference: Reference) -> bool:
    """Return whether a founder has the fitness here that it had when the run began."""
    recipe, weights, wvalues = reference
    first = task._replace(items=(recipe,), generation=0, known=(), slots=())
    (values,) = _answers(first, context)
    return tuple(value * weight for value, weight in zip(values, weights, strict=True)) == wvalues


def _answers(task: Task, context: Context) -> list[Any]:
    """Return what the function answers to the individuals of a group."""
    genomes, function = context.genomes, context.function
    with scoring(task.generation, function):
        traits = Traits(function)
        genomes.recipes = {recipe.id: recipe for recipe in task.known}
        genomes.slots = dict(task.slots)
        path = Path(task.keyframe) if task.keyframe is not None else None
        genomes.use_keyframe(path, task.history, task.content)
        bound = getattr(function, "args", ()) or getattr(function, "keywords", {})
        bare = not bound and all(isinstance(item, Recipe) for item in task.items)
        recipes = [item if isinstance(item, Recipe) else item[0] for item in task.items]
        answers: list[Any] = []

        def scored(score: Callable[[], Any], item: Any, recipe: Recipe) -> Any:
            answer = _call(score, (recipe,), timeout)
            if genomes.is_whole(recipe):
                return answer
            # A late task of an earlier generation wrote to the slot meanwhile.
            individual = genomes.anew(recipe)
            given = individual if isinstance(item, Recipe) else (individual, *item[1:])
            return _call(partial(function, given), (recipe,), timeout)

        timeout = context.timeout if traits.has_limit else None
        if traits.prepare is not None:
            _call(traits.prepare, recipes, None)
        if bare and traits.scores_groups:
            for genomes_together in genomes.groups(task.items):
                some = recipes[len(answers) : len(answers) + len(genomes_together)]
                answers.extend(_call(partial(traits.many, genomes_together), some, timeout))
            return answers
        if bare and any(traits.rounded):
            rounded = np.array(traits.rounded)
            for recipe, (flat, halves) in zip(recipes, genomes.rounded(recipes, rounded), strict=True):
                answers.append(scored(partial(traits.of_rounded, flat, halves), recipe, recipe))
            return answers
        individuals = genomes.individuals(recipes, kept=traits.leaves_weights)
        for item, recipe, individual in zip(task.items, recipes, individuals, strict=True):
            given = individual if isinstance(item, Recipe) else (individual, *item[1:])
            answers.append(scored(partial(function, given), item, recipe))
        return answers


run_group.may_be_done_twice = True  # type: ignore[attr-defined]  # it is a pure function


def _call(function: Callable[[], Any], recipes: Sequence[Recipe], timeout: float | None) -> Any:
    """Call a function that scores some members, in the time it has; what goes wrong names them."""
    first, last = recipes[0], recipes[-1]
    named = f"generation {first.generation}, child {first.place}" + (f" to {last.place}" if first != last else "")
    try:
        with time_limit(timeout, named):
            return function()
    except Exception as error:
        if isinstance(error, EvaluationError) or workers.out_of_memory(error):
            raise
        raise EvaluationError.of(named, error) from error
