"""The task that a map sends to a worker, and its work there: breeding and scoring the members of a group."""

from __future__ import annotations

import contextlib
import operator
import pickle
import platform
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deap_nn.breeding.ancestry import Known
from deap_nn.breeding.genomes import Genomes, LackingError
from deap_nn.breeding.kinds import KINDS, Genome, places_in
from deap_nn.core.environment import environment, environment_digest
from deap_nn.core.errors import EvaluationError
from deap_nn.core.registered import at, evaluation_of, scoring
from deap_nn.core.seeding import busy
from deap_nn.process import workers

SentContext = tuple[bytes, bytes]


class Task(NamedTuple):
    """A task for a worker: the recipes of a group, and the data to breed their parents.

    The answer has the same ``number``. ``token`` is the run's name, and ``place`` the folder of its cache.
    ``environment`` is the digest of the main process' environment. ``context`` holds the pickled breeder and function;
    it is None if the worker should have it under its ``digest`` already. ``items`` are recipes, or tuples that begin
    with one. ``known`` has recipes of ancestors and ``slots`` the slots of genomes, by id; ``generation`` is the one to
    score. ``keyframe`` is the path of a keyframe, if the run has one, ``history`` the run's history up to it, and
    ``content`` its bytes, for a host that lacks the file.
    """

    number: int
    token: str
    place: str
    environment: bytes
    digest: bytes
    context: SentContext | None
    generation: int
    items: tuple[Any, ...]
    known: dict[int, Genome]
    slots: dict[int, int]
    keyframe: str | None = None
    history: str = ""
    content: bytes | None = None


MOST_CONTEXTS = 8
"""The most functions that a process keeps. A function that was dropped is sent again when it is needed."""


class Context(NamedTuple):
    """The run's genomes and the mapped function."""

    genomes: Genomes
    function: Callable[[Any], Any]


class Group(NamedTuple):
    """A worker's answer to a task, with the task's number, since a map may return answers out of order.

    ``values`` are None if the worker lacks the context or an ancestor. ``host`` and ``environment`` are those of a
    worker whose environment differs from that of the task.
    """

    number: int
    values: list[Any] | None
    host: str = ""
    environment: Mapping[str, str | None] | None = None


contexts: OrderedDict[bytes, Context] = OrderedDict()
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
        breeder_bytes, function_bytes = task.context
        if task.token not in genomes_by_run:
            # Only for a new run: unpickling a class of DEAP's creator rebinds `creator.NAME`, the user's class.
            breeder, shares_noise = unpickled(breeder_bytes)
            forget()
            genomes_by_run[task.token] = Genomes(breeder, task.token, Path(task.place))
            if shares_noise:
                genomes_by_run[task.token].share_noise()
        contexts[task.digest] = Context(genomes_by_run[task.token], unpickled(function_bytes))
        while len(contexts) > MOST_CONTEXTS:
            contexts.popitem(last=False)
    return contexts[task.digest]


def forget() -> None:
    """Release the genomes and functions of earlier runs in this process."""
    contexts.clear()
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
    """
    with busy, contextlib.suppress(LackingError), workers.ending_without_memory():
        context = _context(task)
        genomes = context.genomes
        genomes.recipes, genomes.slots = task.known, task.slots
        path = Path(task.keyframe) if task.keyframe is not None else None
        genomes.use_keyframe(path, task.history, task.content)
        values = _results(context, task.items, task.generation)
        if task.environment == environment_digest():
            return Group(task.number, values)
        return Group(task.number, values, platform.node(), environment())
    return Group(task.number, None)  # the main process sends the task again, with the missing data


def run_here(context: Context, items: Sequence[Any], generation: int, known: Known) -> list[Any]:
    """Do the work of `run_group` in the main process, which knows all ancestors; the function is not copied.

    It may keep an individual, unless it leaves individuals as they are.

    Raises
    ------
    LackingError
        If an ancestor is missing.
    EvaluationError
        As `run_group` does.
    """
    genomes = context.genomes
    with busy, workers.ending_without_memory():
        genomes.recipes, genomes.slots = known.recipes, known.slots
        genomes.use_keyframe(known.keyframe, known.keyframe_history)
        try:
            return _results(context, items, generation, may_keep=True)
        except LackingError as error:
            text = f"generation {generation} cannot be bred: recipes of its ancestors are missing"
            raise LackingError(text) from error


def _results(context: Context, items: Sequence[Any], generation: int, *, may_keep: bool = False) -> list[Any]:
    """Return the function's results for some recipes, or tuples that begin with one; `may_keep` as `run_here` says."""
    genomes, answers = context.genomes, list[Any]()
    with scoring(generation):
        function = at(context.function, generation)
        evaluation = evaluation_of(function)
        recipes = [item if isinstance(item, KINDS) else item[0] for item in items]
        bound = getattr(function, "args", ()) or getattr(function, "keywords", {})
        bare = not bound and all(map(operator.is_, recipes, items))

        def scored(score: Callable[[], Any], item: Any, recipe: Genome) -> None:
            answer = _call(score, (recipe,))
            if not genomes.is_whole(recipe):
                # A late task of an earlier generation overwrote the slot during the call: breed and score a copy.
                answer = _call(call_of(item, genomes.breeder.individual_of(genomes.bred(recipe))), (recipe,))
            answers.append(answer)

        def call_of(item: Any, individual: Any) -> Callable[[], Any]:
            return partial(function, individual if isinstance(item, KINDS) else (individual, *item[1:]))

        if bare and evaluation.scores_groups:
            for block in genomes.groups(recipes, kept=evaluation.leaves_weights):
                some = recipes[len(answers) : len(answers) + len(block)]
                answers.extend(_call(partial(evaluation.many, block), some))
        elif bare and any(evaluation.rounded):
            bred = genomes.rounded(recipes, np.array(evaluation.rounded))
            for recipe, (flat, halves) in zip(recipes, bred, strict=True):
                scored(partial(evaluation.of_rounded, flat, halves), recipe, recipe)
        else:
            individuals = genomes.individuals(recipes, kept=evaluation.leaves_weights)
            if may_keep and not evaluation.leaves_weights:  # else the next ones would overwrite their weights
                individuals = (genomes.breeder.copy_of(individual.flat) for individual in individuals)
            for item, recipe, individual in zip(items, recipes, individuals, strict=True):
                scored(call_of(item, individual), item, recipe)
    return evaluation.gathered(answers)


run_group.may_be_done_twice = True  # type: ignore[attr-defined]  # it is a pure function


def _call(function: Callable[[], Any], recipes: Sequence[Genome]) -> Any:
    """Call a function that scores some members; an error names the members."""
    first, last = recipes[0], recipes[-1]
    named = f"generation {first.generation}, child {places_in(first)}"
    named += f" to {places_in(last)}" if first != last else ""
    try:
        return function()
    except Exception as error:
        if isinstance(error, EvaluationError) or workers.out_of_memory(error):
            raise
        raise EvaluationError.of(named, error) from error
