"""A made toolbox in DEAP's loops: evaluations are counted, the map sends groups, and a forgotten return is named."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from deap_nn.core.errors import warn_user
from deap_nn.core.registered import Traits
from deap_nn.data.loading import find_dataset
from deap_nn.operators.selection import operator_of
from deap_nn.process.workers import worker_count

if TYPE_CHECKING:
    from deap_nn.algorithms.toolbox.clock import Clock

MOST_ROUNDS = 3
"""A toolbox warns if it scores its first population more often than this without a new mini-batch."""

MOST_SINGLE_ROUNDS = 10
"""Likewise, whichever individuals single calls have scored: DEAP's (mu, lambda) has about seven children a parent."""

SHARES = 4
"""The least number of groups for each worker, if there are enough individuals: all then end at about the same time."""

COPIED = {"__wrapped__", "bare", "clock"}
"""Attributes of another function that DEAP and ``functools.wraps`` copy. With ``__wrapped__``, the function inside a
decorated one, which has no name in its module, a partial function cannot be pickled."""


class Clocked(partial[Any]):
    """A registered function with the clock of its toolbox; a pickle of it is the plain partial function.

    Attributes
    ----------
    bare : functools.partial
        The function as it was registered, and as it is pickled.
    clock : Clock
        The toolbox's clock.
    alias, ending : str
        The function's name in DEAP's loops, and its last line in DEAP's form.
    told : bool
        Whether it has warned that the function returned None.
    """

    bare: partial[Any]
    clock: Clock
    alias = ending = ""
    told = False

    @classmethod
    def of(cls, registered: Callable[..., Any], clock: Clock) -> Clocked:
        """Return the wrapper that a toolbox registers in the place of a function."""
        given = registered.bare if isinstance(registered, Clocked) else registered
        bare = given if type(given) is partial else partial(given)
        if bare is given and vars(given).keys() & COPIED:
            bare = partial(given.func, *given.args, **given.keywords)
            vars(bare).update({name: value for name, value in vars(given).items() if name not in COPIED})
        made = cls(bare.func, *bare.args, **bare.keywords)
        vars(made).update({name: value for name, value in vars(bare).items() if name != "generation"})
        vars(made).update(bare=bare, clock=clock)
        return made

    def warn_of_none(self, result: Any) -> None:
        """Warn once if the function returned None; under `evolve`, which raises an error then, not at all."""
        if result is None and not self.told and not self.clock.in_run:
            self.told, function = True, operator_of(self.bare)
            name = getattr(function, "__name__", f"{type(function).__name__}.__call__")
            warn_user(f"{self.alias} returned None, which DEAP's loops do not take: let {name} {self.ending}")

    def __reduce__(self) -> Any:
        # A worker needs the function only: with the clock, each task would carry the whole toolbox.
        return self.bare.__reduce__()


def without_clock(registered: Callable[..., Any]) -> Callable[..., Any]:
    """Return a registered function without the clock's wrapper, also if it is registered on another toolbox."""
    if type(registered) is partial and isinstance(registered.func, Clocked):
        bare = registered.func.bare
        given = registered.args or registered.keywords
        return partial(bare, *registered.args, **registered.keywords) if given else bare
    return registered.bare if isinstance(registered, Clocked) else registered


class Updating(Clocked):
    """A registered ``update``: a call with a population, and not with one particle, begins the next generation."""

    def __call__(self, /, *arguments: Any, **keywords: Any) -> Any:
        """Call the function, and advance the clock unless the function has done so."""
        generation, updated = self.clock.generation, super().__call__(*arguments, **keywords)
        given = arguments[:1] or (*keywords.values(),)
        populations = () if given and hasattr(given[0], "fitness") else filter(_is_population, given)
        if self.clock.generation == generation and (first := next(iter(populations), None)) is not None:
            self.clock.advance(first)
        return updated


class Mutating(Clocked):
    """A user's ``mutate``: a warning comes if it returns nothing, which ends DEAP's loops with an error."""

    alias, ending = "mutate", "return (individual,)"

    @classmethod
    def of(cls, registered: Callable[..., Any], clock: Clock) -> Any:
        """Return the wrapper; a function of DEAP or of this package as it is."""
        module = getattr(operator_of(registered), "__globals__", {}).get("__name__", "")
        return registered if module.partition(".")[0] in ("deap", "deap_nn") else super().of(registered, clock)

    def __call__(self, /, *arguments: Any, **keywords: Any) -> Any:
        """Return the result of the function."""
        result = super().__call__(*arguments, **keywords)
        self.warn_of_none(result)
        return result


class Mating(Mutating):
    """A user's ``mate``, likewise."""

    alias, ending = "mate", "return first, second"


class Evaluating(Clocked):
    """A registered ``evaluate``, which marks each scored individual with the generation and its fitness.

    Attributes
    ----------
    first : int
        The number of individuals of the first population.
    scored : int
        The number of evaluations. Of single calls with individuals that were scored before, or were cloned from such,
        only those of a fourth round count, as three: a few parents may have many children before the first ``select``.
    every : int
        The number of all evaluations.
    done : bool
        Whether it has warned that the mini-batch never changes, or the mini-batch has changed.
    """

    alias, ending = "evaluate", "return (value,)"
    first = scored = every = 0
    done = False

    @property
    def generation(self) -> int:
        """The generation of the function, which has no second copy here."""
        generation: int = self.func.generation  # type: ignore[attr-defined]  # AttributeError if it has none
        return generation

    @generation.setter
    def generation(self, generation: int) -> None:
        self.func.generation = generation  # type: ignore[attr-defined]  # likewise

    def __call__(self, /, individual: Any, *arguments: Any, **keywords: Any) -> Any:
        """Return the fitness of an individual."""
        self.count([individual])
        values = super().__call__(individual, *arguments, **keywords)
        self.mark(individual, values)
        return values

    def mark(self, individual: Any, values: Any) -> None:
        """Note in an individual that it was scored in this generation; warn if it has no fitness."""
        self.warn_of_none(values)
        with contextlib.suppress(AttributeError):  # a NumPy vector takes no attributes
            individual.scored_in = self.clock.generation, values, _rounds(individual) + 1

    def count(self, individuals: Sequence[Any]) -> None:
        """Count individuals that are scored together; warn if the mini-batch never changes."""
        founders = sum(hasattr(one, "fitness") and not hasattr(one, "scored_in") for one in individuals)
        self.first = max(self.first + founders, len(individuals))
        rounds = _rounds(individuals[0]) if len(individuals) == 1 else 0
        self.scored += MOST_ROUNDS * (rounds >= MOST_ROUNDS) if rounds else len(individuals)
        self.every += len(individuals)
        self.done |= self.clock.generation > 0 or getattr(self.func, "generation", 0) > 0
        few = self.scored <= MOST_ROUNDS * self.first and self.every <= MOST_SINGLE_ROUNDS * self.first
        if self.done or self.first < 2 or few:
            return
        problem, self.done = Traits(self).problem, True
        if problem is not None and problem.batch_size < find_dataset(problem.data).size("train"):
            warn_user(
                f"all individuals are scored on the first mini-batch of {problem.batch_size} samples: in a loop "
                "without select, call toolbox.next_generation(population) or update(population) once a generation"
            )


class GroupingMap:
    """A map that sends the individuals of a registered ``evaluate`` in groups, if groups change no bit of a result.

    Parameters
    ----------
    map : callable
        The registered map. It maps all other functions unchanged.
    """

    def __init__(self, map: Callable[..., Iterable[Any]]) -> None:
        self.bare = map
        self.func = getattr(map, "func", map)  # the kind of a registered map is recognised by this attribute

    def __call__(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
        """Return the function's results, in the order of the map."""
        if not isinstance(function, Evaluating) or len(iterables) != 1:
            return self.bare(function, *iterables)
        individuals = list(iterables[0])
        function.count(individuals)
        most = 0 if function.args or function.keywords else Traits(function).most_together
        if not most:
            answers = found = self.bare(function.bare, individuals)
        else:
            workers = worker_count(self.bare)
            size = most if workers == 1 else max(1, min(most, -(-len(individuals) // (SHARES * workers))))
            groups = [individuals[start : start + size] for start in range(0, len(individuals), size)]
            found = self.bare(Traits(function).together, groups)
            answers = itertools.chain.from_iterable(found)
        marked = _marked(function, individuals, answers)
        return list(marked) if isinstance(found, list) else marked


def _is_population(given: Any) -> bool:
    """Return whether an argument is a sequence of individuals, and not one of them."""
    is_sequence = isinstance(given, Sequence) and bool(given) and not hasattr(given, "fitness")
    return is_sequence and all(hasattr(one, "fitness") for one in given)


def _rounds(individual: Any) -> int:
    """Return the number of times that an individual, with those that it was cloned from, was scored."""
    return sum((getattr(individual, "scored_in", None) or ())[2:])


def _marked(evaluate: Evaluating, individuals: Iterable[Any], answers: Iterable[Any]) -> Iterator[Any]:
    for individual, values in zip(individuals, answers, strict=False):
        evaluate.mark(individual, values)
        yield values
