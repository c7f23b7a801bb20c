"""How a made toolbox scores in DEAP's loops: the clock sees each evaluation, and the map sends groups."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from deap_nn.core.registered import Traits
from deap_nn.data.loading import find_dataset
from deap_nn.process.workers import worker_count

if TYPE_CHECKING:
    from deap_nn.algorithms.toolbox.clock import Clock

MOST_ROUNDS = 3
"""A toolbox that has scored its first population more often without a new mini-batch warns."""


SHARES = 4
"""Each worker gets at least so many groups, so that all end at about the same time."""


class Clocked(partial[Any]):
    """A registered function whose calls the clock of its toolbox sees; elsewhere a partial call as any other.

    Attributes
    ----------
    bare : functools.partial
        The function as it was registered, which is also what is pickled.
    clock : Clock
        That of the toolbox.
    """

    bare: partial[Any]
    clock: Clock

    @classmethod
    def of(cls, registered: Callable[..., Any], clock: Clock) -> Clocked:
        """Return what a toolbox registers in the place of a function."""
        bare = getattr(registered, "bare", registered)
        bare = bare if isinstance(bare, partial) else partial(bare)
        made = cls(bare.func, *bare.args, **bare.keywords)
        vars(made).update(vars(bare), bare=bare, clock=clock)
        return made

    def __reduce__(self) -> Any:
        return self.bare.__reduce__()


class Updating(Clocked):
    """A registered ``update``, which begins the next generation if it is called with a population and no particle."""

    def __call__(self, /, *arguments: Any, **keywords: Any) -> Any:
        """Update, and advance unless the function has done so."""
        generation, updated = self.clock.generation, super().__call__(*arguments, **keywords)
        first: Any = arguments[0] if arguments else None
        is_population = isinstance(first, Sequence) and not hasattr(first, "fitness")
        if is_population and self.clock.generation == generation and all(hasattr(one, "fitness") for one in first):
            self.clock.advance(first)
        return updated


class Evaluating(Clocked):
    """A registered ``evaluate``: each individual that is scored is marked with the generation and its fitness.

    Attributes
    ----------
    first, scored : int
        The number of individuals of the first population, and of all that were scored.
    warned : bool
        Whether it has said that the mini-batch is never another.
    """

    first = scored = 0
    warned = False

    def __call__(self, /, individual: Any, *arguments: Any, **keywords: Any) -> Any:
        """Return the fitness of an individual."""
        self.count(1, int(hasattr(individual, "fitness") and getattr(individual, "scored_in", None) is None))
        values = super().__call__(individual, *arguments, **keywords)
        self.mark(individual, values)
        return values

    def mark(self, individual: Any, values: Any) -> None:
        """Note in an individual that it was scored in this generation."""
        with contextlib.suppress(AttributeError):  # a vector
            individual.scored_in = self.clock.generation, values

    def count(self, scored: int, fresh: int) -> None:
        """Count individuals, `fresh` of them of the first population; warn if the mini-batch is never another."""
        self.first, self.scored = self.first + fresh, self.scored + scored
        if self.warned or self.clock.generation or self.first < 2 or self.scored <= MOST_ROUNDS * self.first:
            return
        problem, self.warned = Traits(self).problem, True
        if problem is not None and problem.batch_size < find_dataset(problem.data).size("train"):
            warnings.warn(
                f"all fitness is that of the first mini-batch of {problem.batch_size} samples: a loop that never "
                "selects calls toolbox.next_generation(population) once a generation, or update(population)",
                stacklevel=3,
            )


class GroupingMap:
    """A map that sends the individuals of a registered ``evaluate`` in groups, if these change no bit.

    Parameters
    ----------
    map : callable
        What is registered; anything else is mapped by it as it is.
    """

    def __init__(self, map: Callable[..., Iterable[Any]]) -> None:
        self.bare = map
        self.func = getattr(map, "func", map)  # by which a registered map is known

    def __call__(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
        """Return the function's answers, as the map gives them."""
        if not isinstance(function, Evaluating) or len(iterables) != 1:
            return self.bare(function, *iterables)
        individuals = list(iterables[0])
        founders = sum(hasattr(one, "fitness") and not hasattr(one, "scored_in") for one in individuals)
        function.count(len(individuals), max(founders, len(individuals) - function.first))
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


def _marked(evaluate: Evaluating, individuals: Iterable[Any], answers: Iterable[Any]) -> Iterator[Any]:
    for individual, values in zip(individuals, answers, strict=False):
        evaluate.mark(individual, values)
        yield values
