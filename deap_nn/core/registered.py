"""The functions and settings of a toolbox, read in one place."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np
from deap import base
from numpy.typing import NDArray

from deap_nn.core.logbooks import measure_of

OF_MADE = frozenset({"algorithm", "case_step", "clock", "generations", "members", "resting", "seed"})
"""The settings of a toolbox by `make_toolbox` alone: in a plain one these names are the script's own."""


@dataclass(frozen=True)
class Registered:
    """The functions and settings of a toolbox; an attribute that the toolbox lacks has a neutral value.

    A plain DEAP toolbox has ``clone``, ``map`` and the functions that a script registers. `make_toolbox` adds the rest.

    Attributes
    ----------
    algorithm : GA, ES or None
        The algorithm of a made toolbox.
    assess : callable or None
        Adds columns about the best member to the logbook.
    case_step : float or None
        The step of layers that move by cases; None if all move by rank.
    clock : Clock or None
        The generation of a made toolbox.
    clone, evaluate, individual, mate, mutate, select : callable or None
        DEAP's names.
    generations, members : int or None
        The sizes of the run, if they were given.
    layer_inputs : callable or None
        Returns the inputs of layers onto which the step of the centre, or of the mean of the parents, is projected.
    layout : Layout or None
        The shapes and names of the weight matrices.
    mates : int
        The number of parents that ``mate`` crosses, if it takes ``*individuals``.
    problem : Problem or None
        The model, data and loss by which individuals are scored.
    resting : (int, int)
        The number of matrices that an evolution strategy mutates only in each so many-th generation.
    reproduction : Reproduction or None
        A strategy of the user's own.
    seed : int or None
        The seed of a made toolbox.
    to_model : callable or None
        Makes a Keras model of an individual.
    step : float or None
        How far the centre of an evolution strategy moves; None for a genetic algorithm.
    recombination_weights : callable or None
        The recombination weights of an evolution strategy; None without a ``step``.
    """

    algorithm: Any = None
    assess: Any = None
    case_step: float | None = None
    clock: Any = None
    clone: Any = None
    evaluate: Any = None
    generations: int | None = None
    individual: Any = None
    layer_inputs: Any = None
    layout: Any = None
    mate: Any = None
    mates: int = 2
    members: int | None = None
    mutate: Any = None
    problem: Any = None
    resting: tuple[int, int] = (0, 1)
    reproduction: Any = None
    seed: int | None = None
    select: Any = None
    step: Any = None
    to_model: Any = None
    recombination_weights: Any = None

    @classmethod
    def read(cls, toolbox: base.Toolbox) -> Registered:
        """Return the functions and settings that a toolbox has now."""
        names = cls.__dataclass_fields__.keys() - (() if getattr(toolbox, "is_made", False) else OF_MADE)
        found = {name: getattr(toolbox, name) for name in names if hasattr(toolbox, name)}
        if found.get("step") is None:  # a genetic algorithm has no recombination weights
            found.pop("recombination_weights", None)
        return cls(**found)

    @property
    def assessed(self) -> Any:
        """The problem whose measure ``assess`` returns for the logbook, or None."""
        return evaluation_of(self.assess).problem or evaluation_of(self.evaluate).problem

    @property
    def measure(self) -> tuple[str, int]:
        """The name of the logged error and its sign, as `measure_of` returns them; "error" if it is unknown."""
        return ("error", 1) if self.assessed is None else measure_of(self.assessed.logged)

    @property
    def moves_by_cases(self) -> bool:
        """Whether layers move by cases: there is a step, and ``evaluate`` knows the loss of each sample."""
        return self.case_step is not None and evaluation_of(self.evaluate).by_cases(b"") is not None


def words_of(registered: Any) -> Mapping[str, Any]:
    """Return the keyword arguments that a function was registered with, including those of partial calls inside it."""
    words: dict[str, Any] = {}
    while isinstance(registered, partial):  # a second `register` of a partial call wraps it, the first one merges it
        words, registered = registered.keywords | words, registered.func
    return words


_scored: ContextVar[int | None] = ContextVar("scored", default=None)


@contextmanager
def scoring(generation: int) -> Iterator[None]:
    """Let evaluations of this package in the body, in this thread, score the mini-batch of a generation.

    A script's own function may call the evaluation of its own toolbox, which a worker makes anew as it imports the
    script: that toolbox is in no generation.
    """
    token = _scored.set(generation)
    try:
        yield
    finally:
        _scored.reset(token)


def scored_generation(otherwise: int) -> int:
    """Return the generation of the task that is being scored, or `otherwise` outside of `scoring`."""
    generation = _scored.get()
    return otherwise if generation is None else generation


def at(function: Any, generation: int) -> Any:
    """Return a registered function that scores the mini-batch of a generation.

    It is a copy with another attribute ``generation``; a function without this attribute is returned as it is.
    """
    if isinstance(function, partial):
        return partial(at(function.func, generation), *function.args, **function.keywords)
    if not hasattr(function, "generation") or isinstance(function, FunctionType):
        return function
    made = copy.copy(function)
    made.generation = generation
    return made


class Evaluation:
    """An ``evaluate`` by a class, which may derive from this one to be called in faster ways.

    Attributes
    ----------
    leaves_weights : bool
        Whether a call leaves the individual unchanged, so that its weights may be shared.
    may_be_done_twice : bool
        Whether a call is a pure function, so that a map may repeat one that returned no result.
    scores_groups : bool
        Whether `many` scores several small networks at once.
    rounded : tuple of bool
        For each matrix, whether `of_rounded` takes it as bfloat16; empty if it takes none so.
    is_of_problem : bool
        Whether it returns the fitness of `problem`.
    problem : Problem or None
        The model, data and objectives that it scores on.
    shapes : tuple of tuple of int, optional
        The shapes of the genomes that it takes; any if None.
    block : int
        The number of individuals side by side that one task must have, so that `gathered` sums them.
    count : Count or None
        The number of the generation of the mini-batch, which the clock of a made toolbox advances.
    """

    leaves_weights = False
    may_be_done_twice = False
    scores_groups = False
    rounded: tuple[bool, ...] = ()
    is_of_problem = False
    problem: Any = None
    shapes: Any = None
    block = 1
    count: Any = None

    def by_cases(self, inputs: bytes) -> Any:
        """Return an evaluation that also returns what a step by cases needs; None without losses of samples."""
        return None

    def gathered(self, answers: list[Any]) -> list[Any]:
        """Return the answers of a task as they are sent to the main process."""
        return answers

    def many(self, genomes: NDArray[np.float32]) -> list[tuple[float, ...]]:
        """Return the fitness of each genome, shape (genomes, weights)."""
        raise NotImplementedError

    def of_rounded(self, flat: NDArray[np.float32], halves: NDArray[np.uint16]) -> tuple[float, ...]:
        """Return the fitness of a genome with some matrices as bfloat16."""
        raise NotImplementedError


_PLAIN = Evaluation()


def evaluation_of(function: Any) -> Evaluation:
    """Return the evaluation that a function is, or that a partial call calls; for any other one the defaults."""
    inner = function.func if isinstance(function, partial) else function
    return inner if isinstance(inner, Evaluation) else _PLAIN
