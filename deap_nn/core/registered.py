"""What is registered in a toolbox, read in one place, and the generation that is being scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from deap import base

_scored: ContextVar[int | None] = ContextVar("scored", default=None)


_MISSING = object()
"""The value of an attribute that a toolbox lacks."""


@dataclass(frozen=True)
class Registered:
    """What a toolbox has registered; an attribute that it lacks has a neutral value.

    A plain toolbox of DEAP has ``clone`` and ``map``, and what a script registers. `make_toolbox` adds the rest.

    Attributes
    ----------
    has : frozenset of str
        The names that the toolbox has.
    algorithm : str or None
        The name of the algorithm, such as ``"ga"``.
    assess : callable or None
        Adds columns about the best member to the logbook.
    clock : Clock or None
        The generation of a made toolbox.
    clone, evaluate, individual, mate, mutate, select : callable or None
        DEAP's names.
    elites, elite_batches : int
        The number of members that live on, and the mini-batches of their running mean.
    generate, update : callable or None
        DEAP's names of an evolution strategy.
    generations, members : int or None
        The sizes of the run, if they were given.
    layout : Layout or None
        The shapes and names of the weight matrices.
    mates : int
        The number of parents that ``mate`` crosses, if it takes ``*individuals``.
    problem : Problem or KerasProblem or None
        What is scored on.
    reproduction : Reproduction or None
        A strategy of the user's own.
    seed : int or None
        The seed of a made toolbox.
    to_model : callable or None
        Makes a Keras model of an individual.
    step : float or None
        How far the centre of an evolution strategy moves; None for a genetic algorithm.
    vote_error_rate : callable or None
        The error of an ensemble.
    weigh : callable or None
        The recombination weights of an evolution strategy; None without a ``step``.
    """

    has: frozenset[str] = frozenset()
    algorithm: str | None = None
    assess: Any = None
    clock: Any = None
    clone: Any = None
    elites: int = 0
    elite_batches: int = 1
    evaluate: Any = None
    generate: Any = None
    generations: int | None = None
    individual: Any = None
    layout: Any = None
    mate: Any = None
    mates: int = 2
    members: int | None = None
    mutate: Any = None
    problem: Any = None
    reproduction: Any = None
    seed: int | None = None
    select: Any = None
    step: Any = None
    to_model: Any = None
    update: Any = None
    vote_error_rate: Any = None
    weigh: Any = None

    @classmethod
    def read(cls, toolbox: base.Toolbox) -> Registered:
        """Return what a toolbox has registered now."""
        every = {field.name: getattr(toolbox, field.name, _MISSING) for field in fields(cls)}
        found: dict[str, Any] = {name: value for name, value in every.items() if value is not _MISSING}
        found["has"] = frozenset(found)
        if found.get("step") is None:  # a genetic algorithm selects parents, and weighs none
            found["weigh"] = None
        return cls(**found)

    @property
    def sigma(self) -> Any:
        """The argument ``sigma`` of the registered mutation, or None."""
        return words_of(self.mutate).get("sigma")


def words_of(registered: Any) -> Mapping[str, Any]:
    """Return the keyword arguments that a function was registered with, those of partial calls inside it too."""
    words: dict[str, Any] = {}
    while isinstance(registered, partial):  # a second `register` of a partial call wraps it, the first one merges it
        words, registered = registered.keywords | words, registered.func
    return words


class Traits:
    """What a function that is mapped over individuals tells of itself, by attributes that are all optional.

    Parameters
    ----------
    function : callable
        A toolbox's ``evaluate``, or another one; of a partial call the function inside.
    """

    def __init__(self, function: Any) -> None:
        self._function = getattr(function, "func", function)

    @property
    def problem(self) -> Any:
        """What it scores on, or None where it is a function of the user's own."""
        return getattr(self._function, "problem", None)

    @property
    def is_of_problem(self) -> bool:
        """Whether it gives the problem's own fitness, which one that is decorated need not."""
        return bool(getattr(type(self._function), "is_of_problem", False))

    @property
    def shapes(self) -> Any:
        """The shapes of the genomes that the problem's network takes; None for another function."""
        return self._function.shapes if self.is_of_problem else None

    @property
    def may_be_done_twice(self) -> bool:
        """Whether it is a pure function: a call whose answer was lost is repeated."""
        return bool(getattr(self._function, "may_be_done_twice", False))

    @property
    def leaves_weights(self) -> bool:
        """Whether an individual that is scored stays as it is, so that its weights may be shared."""
        return bool(getattr(self._function, "leaves_weights", False))

    @property
    def has_limit(self) -> bool:
        """Whether `evolve`'s ``timeout`` is for it."""
        return bool(getattr(self._function, "has_limit", True))

    @property
    def scores_groups(self) -> bool:
        """Whether its method ``many`` scores several genomes at once: shape (genomes, weights) to a list of tuples."""
        return bool(getattr(self._function, "scores_groups", False))

    @property
    def most_together(self) -> int:
        """How many individuals its method ``together`` scores at a time; 0 if it scores them one by one."""
        return int(getattr(self._function, "most_together", 0))

    @property
    def together(self) -> Callable[[Any], list[Any]]:
        """Scores a list of individuals."""
        return partial(type(self._function).together, self._function)  # SCOOP sends no bound method

    @property
    def rounded(self) -> tuple[bool, ...]:
        """Whether its method ``of_rounded`` takes each matrix as bfloat16; empty if it takes none so."""
        return tuple(getattr(self._function, "rounded", ())) if hasattr(self._function, "of_rounded") else ()

    @property
    def many(self) -> Callable[[Any], list[Any]]:
        """Scores an array of genomes, shape (genomes, weights)."""
        many: Callable[[Any], list[Any]] = self._function.many
        return many

    @property
    def of_rounded(self) -> Callable[[Any, Any], Any]:
        """Scores a genome, some of whose matrices are given as bfloat16."""
        of_rounded: Callable[[Any, Any], Any] = self._function.of_rounded
        return of_rounded

    @property
    def prepare(self) -> Callable[[], None] | None:
        """Compiles and loads what it needs, before time counts; None if there is nothing to do."""
        prepare: Callable[[], None] | None = getattr(self._function, "prepare", None)
        return prepare


def told_of(function: Any) -> Iterator[Any]:
    """Yield what has an attribute ``generation`` of a function, what it is a partial call of, and what it decorates.

    All of them: `functools.wraps` gives a decorator's function a copy of the attribute.
    """
    inner: Any = function
    while inner is not None:
        if hasattr(inner, "generation"):
            yield inner
        inner = inner.func if isinstance(inner, partial) else getattr(inner, "__wrapped__", None)


@contextmanager
def scoring(generation: int, function: Any = None) -> Iterator[None]:
    """Let whatever scores inside, in this thread, score the mini-batch of a generation.

    An evaluation of this package reads it by `scored_generation`. A `function` of the user's own that has an attribute
    ``generation`` reads that, so it is set.
    """
    token = _scored.set(generation)
    for told in told_of(function):
        if not Traits(told).is_of_problem:
            told.generation = generation
    try:
        yield
    finally:
        _scored.reset(token)


def scored_generation(otherwise: int) -> int:
    """Return the generation that is being scored, or another where nobody said."""
    generation = _scored.get()
    return otherwise if generation is None else generation


class Scoring:
    """A function on its way through a map, with the generation that it is called in.

    Parameters
    ----------
    function : callable
        Scores an individual.
    generation : int
        That of whose mini-batch it is.
    """

    def __init__(self, function: Callable[[Any], Any], generation: int) -> None:
        self.function = function
        self.generation = generation
        self.may_be_done_twice = Traits(function).may_be_done_twice

    def __call__(self, individual: Any) -> Any:
        """Return what the function answers."""
        with scoring(self.generation, self.function):
            return self.function(individual)
