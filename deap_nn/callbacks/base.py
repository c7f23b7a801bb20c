"""The state of a run, and the callbacks that receive it."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
from deap import base, tools
from numpy.typing import NDArray

from deap_nn.core.errors import EvaluationError
from deap_nn.core.logbooks import Row, flattened, last_record
from deap_nn.core.registered import Registered
from deap_nn.genome.population import mean_of
from deap_nn.genome.vectors import Layout, Matrix
from deap_nn.genome.weight_list import WeightList
from deap_nn.process.workers import out_of_memory


@dataclass
class Evolution:
    """The state of a run, as its callbacks get it.

    A callback that sets ``stop`` to a reason ends the run after the generation. ``best`` is the best member of the last
    logged generation, and ``row`` the record of that generation. ``scored`` is the number of scored members of the
    present generation, and ``not_finite`` that of all fitness values since the start that were not finite, which count
    as the worst. ``error`` is the exception that ends the run, if one does.

    While a callback is restored, ``member(generation, place)`` returns a member of an earlier generation, or with
    several places the mean of these members.

    ``look(member)`` returns ``member.flat`` without keeping the weights in the member; the array is valid until the
    next call. ``parents`` is the number of different parents of the present generation, 0 for the initial one.
    ``mean(members)`` is an individual with the mean weights of members of the present generation. If children come from
    one centre, its distance from the centre is the mean's times the toolbox's ``step``. If the toolbox also has a
    ``recombination_weights``, the members have recombination weights, and ``mean`` of all members is the next centre.

    ``settings`` are arguments of `evolve` that decide a result: ``seed``, ``cxpb`` and ``mutpb``. ``watching`` are the
    callbacks, ``answers`` are the classes that each member predicts for the mini-batch, if layers move by cases, and
    ``phase`` is the last work that `enter` named.
    """

    toolbox: base.Toolbox
    population: list[Any]
    generations: int
    map: Callable[..., Iterable[Any]]
    logbook: tools.Logbook = field(default_factory=tools.Logbook)
    generation: int = 0
    evaluations: int = 0
    best: Any = None
    seconds: float = 0.0
    elapsed: float = 0.0
    stop: str | None = None
    error: BaseException | None = None
    scored: int = 0
    not_finite: int = 0
    member: Callable[..., Any] | None = None
    look: Callable[[Any], Any] = attrgetter("flat")
    parents: int = 0
    mean: Callable[[Sequence[Any]], Any] = mean_of
    settings: Mapping[str, Any] = field(default_factory=dict)
    watching: Sequence[Callback] = ()
    answers: Sequence[NDArray[np.uint8] | None] = ()
    phase: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether the exception that ends the run is Ctrl-C."""
        return isinstance(self.error, KeyboardInterrupt)

    @property
    def row(self) -> dict[str, Any]:
        """The logbook's record of this generation."""
        last: dict[str, Any] = self.logbook[-1]
        return last

    @property
    def flat_row(self) -> Row:
        """The same record with the columns of chapters as ``chapter.column``, and Python's numbers for NumPy's."""
        return flattened(last_record(self.logbook))

    @property
    def best_weights(self) -> dict[str, Matrix]:
        """The matrices of the best member by name, valid until the next `look`; empty if it is not a `WeightList`."""
        if not isinstance(self.best, WeightList):
            return {}
        layout: Layout = Registered.read(self.toolbox).layout or Layout.of(self.best)
        return dict(zip(layout.names, layout.views(np.asarray(self.look(self.best))), strict=True))

    @property
    def network_weights(self) -> dict[str, Matrix]:
        """The matrices of the best member's Keras model: `best_weights`, with other biases if layers are centred."""
        problem = Registered.read(self.toolbox).problem
        if problem is None or not problem.centred or not isinstance(self.best, WeightList):
            return self.best_weights
        from deap_nn.problems.evaluate import network_weights

        return dict(zip(self.best_weights, network_weights(problem, self.best), strict=True))

    @property
    def best_value(self) -> float:
        """The best member's first fitness value, or the lowest of the generation if its fitness is not valid."""
        values = self.best.fitness.values
        return float(values[0] if values else self.row["min"])

    @property
    def fittest(self) -> list[Any]:
        """The best members of the generation, best first; their number is that of the generation's parents.

        Under `selRankBoosted` they are the next parents, but for the last ones if opposites take their places. If all
        members move a centre, they are all members. In generation 0, which has no parents, the list is empty.
        """
        return heapq.nlargest(self.parents, self.population, key=attrgetter("fitness"))

    @property
    def last(self) -> bool:
        """Whether this is the last generation."""
        return self.generation >= self.generations or self.stop is not None

    def enter(self, phase: str) -> None:
        """Call the callbacks' ``on_phase``: long work begins that scores no generation, such as drawing."""
        self.phase = phase
        tell(self.watching, "on_phase", self)


class Callback:
    """A receiver of the events of a run. A subclass defines the methods that it needs.

    An exception in a method ends the run with a `CallbackError` that names the method. ``on_end`` of all callbacks is
    still called.
    """

    def on_start(self, evolution: Evolution) -> None:
        """Before the initial population is scored."""

    def on_generation(self, evolution: Evolution) -> None:
        """After a generation was scored and logged; generation 0 is the initial population."""

    def on_progress(self, evolution: Evolution) -> None:
        """While a generation is being scored, at most twice a second."""

    def on_phase(self, evolution: Evolution) -> None:
        """When work begins that scores no generation; ``evolution.phase`` names it."""

    def on_end(self, evolution: Evolution) -> None:
        """After the last generation, or when an exception ends the run."""

    def state(self) -> dict[str, Any]:
        """Return the state that a checkpoint keeps, ready for JSON; it is then called before each ``on_generation``."""
        return {}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Resume a run: `states` are the results of ``state`` for each generation up to the present one.

        The next call is ``on_generation`` for the last generation of the checkpoint. The callback may have had that
        call before.
        """

    def members(self) -> Sequence[Any]:
        """Return the members that ``restore`` will need: a keyframe keeps their weights."""
        return ()


class OnGeneration(Callback):
    """Call a plain function after each generation, as ``on_generation`` does.

    Parameters
    ----------
    function : callable
        Takes the `Evolution`.
    """

    def __init__(self, function: Callable[[Evolution], object]) -> None:
        if not callable(function) or isinstance(function, type):
            wanted = "of deap_nn.callbacks, such as EarlyStopping(patience=9), or functions of the evolution"
            raise TypeError(f"callbacks must be {wanted}, got {function!r}")
        self.function = function

    def on_generation(self, evolution: Evolution) -> None:
        """Call the function."""
        self.function(evolution)


class CallbackError(RuntimeError):
    """A failed callback: the message names its class and method, and ``__cause__`` is its exception.

    Attributes
    ----------
    callback : Callback
        The callback that failed.
    method : str
        The name of the method, such as ``"on_generation"``.
    """

    callback: Callback
    method: str


def checked_callbacks(callbacks: Any) -> list[Callback]:
    """Return callbacks, or a single one, as a list, plain functions as `OnGeneration`; TypeError for other objects."""
    callbacks = callbacks if isinstance(callbacks, Iterable) else [callbacks]
    return [one if isinstance(one, Callback) else OnGeneration(one) for one in callbacks]


@contextlib.contextmanager
def naming(callback: Callback, method: str) -> Iterator[None]:
    """Turn an exception of the body, a call of a callback's method, into a `CallbackError`.

    An `EvaluationError` or `CallbackError`, which already names its source, is left unchanged, as is one for lack of
    memory.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, CallbackError | EvaluationError) or out_of_memory(error):
            raise
        made = CallbackError(f"{type(callback).__name__}.{method}: {type(error).__name__}: {error}")
        made.callback, made.method = callback, method
        raise made from error


def tell(callbacks: Iterable[Callback], method: str, evolution: Evolution) -> None:
    """Call a method of each callback, such as ``"on_generation"``, in their order."""
    for callback in callbacks:
        with naming(callback, method):
            getattr(callback, method)(evolution)


@contextlib.contextmanager
def telling_start_and_end(callbacks: Iterable[Callback], evolution: Evolution) -> Iterator[None]:
    """Call ``on_start`` before the body, which is the run, and ``on_end`` after it for each callback that was started.

    The exception that ends the run is raised. Exceptions of ``on_end`` after it become notes of it.
    """
    started: list[Callback] = []
    evolution.watching = started
    try:
        for callback in callbacks:
            started.append(callback)
            tell([callback], "on_start", evolution)
        yield
    except BaseException as error:
        evolution.error = error
    for callback in started:
        try:
            tell([callback], "on_end", evolution)
        except (Exception, KeyboardInterrupt) as error:
            if evolution.error is None:
                evolution.error = error
            else:
                evolution.error.add_note(f"and then: {type(error).__name__}: {error}")
    if evolution.error is not None:
        raise evolution.error
