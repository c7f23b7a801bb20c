"""The task that a map sends to a worker, and its work there: breeding and scoring the members of a group."""

from __future__ import annotations

import contextlib
import os
import pickle
import platform
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deap_nn.breeding.recipe import Recipe
from deap_nn.breeding.store.ancestors import LackingError
from deap_nn.breeding.store.genomes import Genomes
from deap_nn.breeding.store.known import Known
from deap_nn.core.environment import EnvironmentDiffersError, Expected, difference, environment, this_process
from deap_nn.core.errors import EvaluationError
from deap_nn.core.registered import Traits, scoring
from deap_nn.core.seeding import busy
from deap_nn.process import workers

SentContext = tuple[bytes, bytes, Expected | None]

Reference = tuple[Recipe, tuple[float, ...], tuple[float, ...]]
"""A founder, the weights of its fitness, and its weighted values when the run began."""


class Task(NamedTuple):
    """A task for a worker: the recipes of a group, and the data to breed their parents.

    ``token`` is the run's name, and ``place`` the folder of its cache. ``context`` holds the pickled breeder and
    function, and the expected environment; it is None if the worker should have it under its ``digest`` already.
    ``items`` are recipes, or tuples that begin with one. ``known`` has recipes of ancestors, ``slots`` pairs of an id
    and its slot, and ``generation`` is the generation to score. ``keyframe`` is the path of a keyframe, if the run has
    one, ``history`` the run's history up to it, and ``content`` its bytes, for a host that lacks the file.
    ``reference`` is given if the function scores members. The answer has the same ``number``.
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
"""The most functions that a process keeps. A function that was dropped is sent again when it is needed."""


class Context(NamedTuple):
    """The run's genomes, the mapped function, and the expected environment."""

    genomes: Genomes
    function: Callable[[Any], Any]
    expected: Expected | None


class Group(NamedTuple):
    """A worker's answer to a task, with the task's number, since a map may return answers out of order.

    ``values`` are None if the worker lacks the context or an ancestor. ``reason`` says how the worker's process, on
    ``host``, differs from the process that began the run, and may compute other last bits; empty if it does not differ.
    """

    number: int
    values: list[Any] | None
    host: str = ""
    reason: str = ""


contexts: OrderedDict[bytes, Context] = OrderedDict()
compared: dict[str, str] = {}
"""For each run by its token: how this process differs from the process that began it; empty if it does not."""
referred: set[str] = set()
"""The tokens of the runs of which this process has scored the first founder."""
genomes_by_run: dict[str, Genomes] = {}


class UnknownPartError(RuntimeError):
    """A worker cannot find a class or function by its name."""


def unpickled(content: bytes) -> Any:
    """Return an unpickled object of a trusted sender: unpickling may run any code.

    Raises
    ------
    UnknownPartError
        If this process cannot find one of its classes or functions.
    """
    try:
        return pickle.loads(content)  # noqa: S301  (from a process that may run code here)
    except AttributeError as error:
        raise UnknownPartError(
            f"a worker cannot find a class or function of a task ({error}): define it at the top of an imported module"
        ) from error


def _context(task: Task) -> Context:
    """Return the context of a task, made once in a process."""
    if task.digest not in contexts:
        if task.context is None:
            raise LackingError(task.digest)
        # Unpickling is no new risk: the map has already unpickled the task, from the same sender.
        breeder_bytes, function_bytes, expected = task.context
        if task.token not in genomes_by_run:
            # Only for a new run: unpickling a class of DEAP's creator rebinds `creator.NAME`, the user's class.
            breeder, shares_noise = unpickled(breeder_bytes)
            forget()
            genomes_by_run[task.token] = Genomes(breeder, task.token, Path(task.place))
            if shares_noise:
                genomes_by_run[task.token].share_noise()
        contexts[task.digest] = Context(genomes_by_run[task.token], unpickled(function_bytes), expected)
        while len(contexts) > MOST_CONTEXTS:
            contexts.popitem(last=False)
    return contexts[task.digest]


def forget() -> None:
    """Release the genomes, functions and comparisons of earlier runs in this process."""
    contexts.clear()
    compared.clear()
    referred.clear()
    for genomes in genomes_by_run.values():
        if genomes.breeder.noise_table is not None:
            genomes.breeder.noise_table.forget()
        genomes.cache.close()
    genomes_by_run.clear()


def run_group(task: Task) -> Group:
    """Breed the members of a group, call the function with them, and return its results.

    Raises
    ------
    EvaluationError
        If the function raises; the message names the child.
    EnvironmentDiffersError
        If this process differs in versions, variables or threads from the process that began the run, or gives the
        first founder another fitness. With ``force`` it is no error.
    """
    with busy, contextlib.suppress(LackingError), workers.ending_without_memory():
        context = _context(task)
        return _answer(task, context, _answers(task, context))
    return Group(task.number, None)  # the main process sends the task again, with the missing data


def _compared(task: Task, context: Context) -> str:
    """Return how this process differs from the process that began the run, or raise EnvironmentDiffersError."""
    if context.expected is None:
        return ""
    known, leader, force = context.expected
    named = f"process {os.getpid()} on {platform.node()}"
    if task.token not in compared:  # after the first results: scoring may import TensorFlow, which has the threads
        here = environment()
        differs = None if this_process() == leader else difference(known, here)
        if differs is not None and not force:
            raise EnvironmentDiffersError(f"{named}: {differs}; --force allows it")
        if differs is None and here["processor"] != known["processor"]:
            differs = "it has another processor than the one where the run began"
        compared[task.token] = differs or ""
    if task.reference is not None and task.token not in referred:
        referred.add(task.token)
        if not compared[task.token] and not _scores_alike(task, context, task.reference):
            differs = "versions and variables are the same, but a network has another fitness than where the run began"
            if not force:
                raise EnvironmentDiffersError(f"{named}: {differs}; --force allows it")
            compared[task.token] = differs
    return compared[task.token]


def _scores_alike(task: Task, context: Context, reference: Reference) -> bool:
    """Return whether a founder has the same fitness here as when the run began."""
    recipe, weights, wvalues = reference
    first = task._replace(items=(recipe,), generation=0, known=(), slots=())
    (values,) = _answers(first, context)
    return tuple(value * weight for value, weight in zip(values, weights, strict=True)) == wvalues


def _answers(task: Task, context: Context) -> list[Any]:
    """Return the function's results for the items of a task."""
    genomes = context.genomes
    genomes.recipes = {recipe.id: recipe for recipe in task.known}
    genomes.slots = dict(task.slots)
    path = Path(task.keyframe) if task.keyframe is not None else None
    genomes.use_keyframe(path, task.history, task.content)
    return _results(genomes, context.function, task.items, task.generation)


def run_here(task: Task, context: Context, known: Known) -> Group:
    """Do the work of `run_group` in the main process, which knows all ancestors; the function is not copied.

    It may keep an individual, unless it leaves individuals as they are.

    Raises
    ------
    LackingError
        If an ancestor is missing.
    EvaluationError, EnvironmentDiffersError
        As `run_group` does: this process may go on with a run of another one.
    """
    genomes, function = context.genomes, context.function
    with busy, workers.ending_without_memory():
        genomes.recipes, genomes.slots = known.recipes, known.slots
        genomes.use_keyframe(known.keyframe, known.keyframe_history)
        answers = _results(genomes, function, task.items, task.generation, may_keep=True)
        return _answer(task, context, answers)


def _answer(task: Task, context: Context, answers: list[Any]) -> Group:
    reason = _compared(task, context)
    return Group(task.number, answers, platform.node() if reason else "", reason)


def _results(
    genomes: Genomes,
    function: Callable[[Any], Any],
    items: Sequence[Any],
    generation: int,
    *,
    may_keep: bool = False,
) -> list[Any]:
    """Return the function's results for some recipes, or tuples that begin with one; `may_keep` as `run_here` says."""
    with scoring(generation, function):
        traits = Traits(function)
        bound = getattr(function, "args", ()) or getattr(function, "keywords", {})
        alone = set(map(type, items)) == {Recipe}
        bare = alone and not bound
        recipes = items if alone else [item if isinstance(item, Recipe) else item[0] for item in items]
        answers: list[Any] = []

        def scored(score: Callable[[], Any], item: Any, recipe: Recipe) -> Any:
            answer = _call(score, (recipe,))
            if genomes.is_whole(recipe):
                return answer
            # A late task of an earlier generation overwrote the slot during the call: breed and score a copy.
            individual = genomes.rebred(recipe)
            given = individual if isinstance(item, Recipe) else (individual, *item[1:])
            return _call(partial(function, given), (recipe,))

        if traits.prepare is not None:
            _call(traits.prepare, recipes)
        if bare and traits.scores_groups:
            for genomes_together in genomes.groups(recipes, kept=traits.leaves_weights):
                some = recipes[len(answers) : len(answers) + len(genomes_together)]
                answers.extend(_call(partial(traits.many, genomes_together), some))
            return answers
        if bare and any(traits.rounded):
            rounded = np.array(traits.rounded)
            for recipe, (flat, halves) in zip(recipes, genomes.rounded(recipes, rounded), strict=True):
                answers.append(scored(partial(traits.of_rounded, flat, halves), recipe, recipe))
            return answers
        individuals = genomes.individuals(recipes, kept=traits.leaves_weights)
        if may_keep and not traits.leaves_weights:  # else the next ones would overwrite their weights
            individuals = (genomes.breeder.copy_of(individual.flat) for individual in individuals)
        for item, recipe, individual in zip(items, recipes, individuals, strict=True):
            given = individual if isinstance(item, Recipe) else (individual, *item[1:])
            answers.append(scored(partial(function, given), item, recipe))
        return answers


run_group.may_be_done_twice = True  # type: ignore[attr-defined]  # it is a pure function


def _call(function: Callable[[], Any], recipes: Sequence[Recipe]) -> Any:
    """Call a function that scores some members; an error names the members."""
    first, last = recipes[0], recipes[-1]
    named = f"generation {first.generation}, child {first.place}" + (f" to {last.place}" if first != last else "")
    try:
        return function()
    except Exception as error:
        if isinstance(error, EvaluationError) or workers.out_of_memory(error):
            raise
        raise EvaluationError.of(named, error) from error
