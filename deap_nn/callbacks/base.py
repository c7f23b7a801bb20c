"""Where a run stands, and who is told of it."""

from __future__ import annotations

import contextlib
import difflib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, cast

import numpy as np
from deap import base, tools

from deap_nn.breeding.reproduction import reproduction_of
from deap_nn.core.errors import EvaluationError
from deap_nn.core.logbooks import Row, flat, last_record
from deap_nn.core.registered import Registered
from deap_nn.genome.layout import Layout
from deap_nn.genome.population import mean_of
from deap_nn.genome.vectors import Matrix, Vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.operators.ranking import weights_of
from deap_nn.process.workers import out_of_memory


@dataclass
class Evolution:
    """Where a run stands: what its callbacks see.

    A callback that sets ``stop`` to a reason ends the run after the generation. ``best`` is the best member of the last
    generation that was logged, and ``row`` its record; ``scored`` counts the scored members of the present one.
    ``error`` is what ends the run, if an exception does, and ``interrupted`` whether that is Ctrl-C. While a callback
    is restored, ``member(generation, place)`` gives a member of an earlier generation back, or the mean of several
    where it is given their places, and ``revisit(generation, function)`` lets a function see the weights of the best
    of an earlier generation, once the run's past is bred again: false if a keyframe spares breeding that far back.
    ``look(member)`` is ``member.flat``, but the member stays light, and what is seen is valid until the next look.
    ``parents`` is how many different parents the present generation has, 0 for the initial one, and ``mean(members)``
    the individual whose weights are the mean of those of some of its members. Where children come from one centre, it
    lies as many times as far from that as the toolbox' ``step`` says; of all members it is the next centre if the
    toolbox has a ``weigh``, by which they count there. ``settings`` are arguments of `evolve` that decide a result:
    ``seed``, ``cxpb`` and ``mutpb``, and ``breeding`` is "recipes" or "plain". ``same_bytes`` is false once a process
    has taken part that computes otherwise, as on another processor: the same seed may then give other last bits.
    ``watching`` are the callbacks, and ``phase`` is the work that `enter` has named last.
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
    interrupted: bool = False
    error: BaseException | None = None
    scored: int = 0
    member: Callable[[int, int], Any] | None = None
    revisit: Callable[[int, Callable[[Vector], None]], bool] | None = None
    look: Callable[[Any], Any] = attrgetter("flat")
    parents: int = 0
    mean: Callable[[Sequence[Any]], Any] = mean_of
    settings: Mapping[str, Any] = field(default_factory=dict)
    breeding: str = "plain"
    same_bytes: bool = True
    watching: Sequence[Callback] = ()
    phase: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """The logbook's record of this generation."""
        last: dict[str, Any] = self.logbook[-1]
        return last

    @property
    def flat_row(self) -> Row:
        """The same with the columns of chapters, named ``chapter.column``, and Python's numbers for NumPy's."""
        return flat(last_record(self.logbook))

    @property
    def best_weights(self) -> dict[str, Matrix]:
        """The matrices of the best member by name, valid until the next look; none where it is no `WeightList`."""
        if not isinstance(self.best, WeightList):
            return {}
        layout: Layout = Registered.read(self.toolbox).layout or Layout.of(self.best)
        return dict(zip(layout.names, layout.views(np.asarray(self.look(self.best))), strict=True))

    @property
    def best_value(self) -> float:
        """The best member's first fitness value, or the lowest of the generation where it has none."""
        values = self.best.fitness.values
        return float(values[0] if values else self.row["min"])

    @property
    def fittest(self) -> list[Any]:
        """The best of the generation, as many as it has parents: under `selRankBoosted`, the next parents.

        Where all count around a centre it is everybody, best first. Nobody in generation 0, which has no parents.
        """
        return heapq.nlargest(self.parents, self.population, key=attrgetter("fitness"))

    @property
    def voters(self) -> list[Any]:
        """Those of the fittest that the next generation comes from, and does not go away from."""
        weigh, fittest = reproduction_of(self.toolbox).weigh, self.fittest
        return fittest if weigh is None else fittest[: np.count_nonzero(weights_of(weigh, len(self.population)) > 0)]

    @property
    def last(self) -> bool:
        """Whether this is the last generation."""
        return self.generation >= self.generations or self.stop is not None

    def enter(self, phase: str) -> None:
        """Tell the callbacks that work begins which takes a while and scores no generation, such as drawing."""
        self.phase = phase
        tell(self.watching, "on_phase", self)


class Callback:
    """What is told of a run; each method may be left out.

    An exception in one of them ends the run, as a `CallbackError` that names it; all are still told of the end.
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
        """Return what a checkpoint is to keep of it, ready for JSON: asked for before each ``on_generation``."""
        return {}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Go on where a run was left: `states` are what ``state`` returned, of each generation up to this one.

        The next call is ``on_generation``, for the last generation of the checkpoint, which may have been seen before.
        """

    def members(self) -> Sequence[Any]:
        """Return the members whose weights ``restore`` will ask for: a keyframe keeps them."""
        return ()


class OnGeneration(Callback):
    """Call a plain function after each generation, as ``on_generation`` does.

    Parameters
    ----------
    function : callable
        Takes the `Evolution`.
    """

    def __init__(self, function: Callable[[Evolution], object]) -> None:
        if not callable(function):
            raise TypeError(f"on_generation must be a function of the evolution, got {function!r}")
        self.function = function

    def on_generation(self, evolution: Evolution) -> None:
        """Call the function."""
        self.function(evolution)


class CallbackError(RuntimeError):
    """A callback that failed: the message names its class and method, and ``__cause__`` is what it raised.

    Attributes
    ----------
    callback : Callback
        Which one.
    method : str
        What it was told with, such as ``"on_generation"``.
    """

    callback: Callback
    method: str


def checked_callbacks(callbacks: Iterable[Callback]) -> list[Callback]:
    """Return callbacks as a list, or raise TypeError."""
    given: Any = list(callbacks) if isinstance(callbacks, Iterable) else [type(callbacks)]
    for one in given:
        if not isinstance(one, Callback):
            remedy = ": a plain function is for on_generation=" if callable(one) else ""
            raise TypeError(f"callbacks must be a list of Callback objects, got {repr(one)[:60]}{remedy}")
        check_hooks(type(one))
    return cast(list[Callback], given)


def check_hooks(kind: type[Callback]) -> None:
    """Raise TypeError if a class of callbacks has a method that reads like a hook and is none: it is never called."""
    hooks = [name for name in vars(Callback) if not name.startswith("_")]
    for name in dir(kind):
        if name.startswith("_") or hasattr(Callback, name) or not callable(getattr(kind, name)):
            continue
        meant = difflib.get_close_matches(name.lower(), hooks, 1, 0.85)
        if meant or name.startswith("on_"):
            remedy = f"did you mean {meant[0]}?" if meant else f"the hooks are {', '.join(hooks)}"
            raise TypeError(f"{kind.__name__}.{name} is never called: {remedy}")


class naming:  # noqa: N801  (a context manager; one made of a generator cannot rename StopIteration)
    """Raise `CallbackError` for what a callback's method, which is the body, raises.

    What has a name already, an evaluation's error, is left as it is, and so is too little memory.
    """

    def __init__(self, callback: Callback, method: str) -> None:
        self._callback, self._method = callback, method

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, CallbackError | EvaluationError):
            return
        if out_of_memory(error):
            return
        made = CallbackError(f"{type(self._callback).__name__}.{self._method}: {type(error).__name__}: {error}")
        made.callback, made.method = self._callback, self._method
        raise made from error


def tell(callbacks: Iterable[Callback], method: str, evolution: Evolution) -> None:
    """Call a method of each callback, such as ``"on_generation"``, in their order."""
    for callback in callbacks:
        with naming(callback, method):
            getattr(callback, method)(evolution)


@contextlib.contextmanager
def telling_start_and_end(callbacks: Iterable[Callback], evolution: Evolution) -> Iterator[None]:
    """Tell callbacks of the start, and when the body, which is the run, is left, all who know of the start of the end.

    What ends the run is what is raised; what callbacks raise after that are notes to it.
    """
    started: list[Callback] = []
    evolution.watching = started
    try:
        for callback in callbacks:
            started.append(callback)
            tell([callback], "on_start", evolution)
        yield
    except BaseException as error:
        evolution.error, evolution.interrupted = error, isinstance(error, KeyboardInterrupt)
        _tell_end(started, evolution)
        raise
    _tell_end(started, evolution)
    if evolution.error is not None:
        raise evolution.error


def _tell_end(callbacks: Iterable[Callback], evolution: Evolution) -> None:
    for callback in callbacks:
        try:
            tell([callback], "on_end", evolution)
        except (Exception, KeyboardInterrupt) as error:
            if evolution.error is None:
                evolution.error, evolution.interrupted = error, isinstance(error, KeyboardInterrupt)
            else:
                evolution.error.add_note(f"and then: {type(error).__name__}: {error}")
