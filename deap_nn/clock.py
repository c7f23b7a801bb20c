"""The generation that a toolbox is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from deap import base

from deap_nn.adaptation import Adaptation
from deap_nn.seeding import seeded

_scored: ContextVar[int | None] = ContextVar("scored", default=None)


def told_of(function: Any) -> Iterator[Any]:
    """Yield what has an attribute ``generation`` of a function, what it is a partial call of, and what it decorates.

    All of them: `functools.wraps` gives a decorator's function a copy of the attribute.
    """
    inner: Any = function
    while inner is not None:
        if hasattr(inner, "generation"):
            yield inner
        inner = inner.func if isinstance(inner, partial) else getattr(inner, "__wrapped__", None)


def problem_of(function: Any) -> Any:
    """Return what a function that may be registered scores on, or None where it is one of the user's own."""
    return getattr(getattr(function, "func", function), "problem", None)


@contextmanager
def scoring(generation: int) -> Iterator[None]:
    """Let whatever scores inside, in this thread, score the mini-batch of a generation."""
    token = _scored.set(generation)
    try:
        yield
    finally:
        _scored.reset(token)


def scored_generation(otherwise: int) -> int:
    """Return the generation that is being scored, or another where nobody said."""
    generation = _scored.get()
    return otherwise if generation is None else generation


class Scoring:
    """A function that has no generation of its own, though it may call what has one, called in a generation.

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
        self.may_be_done_twice = getattr(getattr(function, "func", function), "may_be_done_twice", False)

    def __call__(self, individual: Any) -> Any:
        """Return what the function answers."""
        with scoring(self.generation):
            return self.function(individual)


class Clock:
    """The generation that a toolbox is in: it moves the mini-batch on and shows the population to the adaptation.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Whatever is registered as its ``evaluate`` and ``mutate`` when the generation changes is told, and so is what is
        registered as ``evaluate`` now, which another may call.
    """

    def __init__(self, toolbox: base.Toolbox) -> None:
        self.toolbox = toolbox
        self.generation = 0
        self._first = getattr(toolbox, "evaluate", None)

    @property
    def adaptation(self) -> Adaptation | None:
        """What the registered mutation takes its sigma from, if that is an adaptation."""
        sigma = getattr(self.toolbox.mutate, "keywords", {}).get("sigma")
        return sigma if isinstance(sigma, Adaptation) else None

    @property
    def sigma(self) -> float | None:
        """The strength of mutation at present, or None where the registered mutation has no ``sigma``."""
        sigma = getattr(self.toolbox.mutate, "keywords", {}).get("sigma")
        amount = sigma.sigma if isinstance(sigma, Adaptation) else sigma
        return float(amount) if isinstance(amount, Real) else amount

    def _set(self, generation: int) -> None:
        self.generation = generation
        for evaluate in (self._first, self.toolbox.evaluate):
            for told in told_of(evaluate):
                told.generation = generation

    def reset(self) -> None:
        """Go back to generation 0 and the first strength of mutation."""
        self._set(0)
        if self.adaptation is not None:
            self.adaptation.reset()

    def restore(self, generation: int, adaptation: Mapping[str, Any]) -> None:
        """Go to a generation, and put the adaptation into the state that it had then."""
        self._set(generation)
        if self.adaptation is not None:
            self.adaptation.restore(dict(adaptation))

    def advance(self, individuals: Sequence[Any]) -> None:
        """Begin the next generation, whose parents come from the evaluated `individuals`."""
        self._set(self.generation + 1)
        if self.adaptation is not None:
            self.adaptation.update(individuals, self.generation)


class GenerationalSelect:
    """A toolbox's ``select``: it begins the next generation and then selects.

    Parameters
    ----------
    clock : Clock
        What moves on.
    operator : callable
        Selects, in DEAP's form.
    """

    def __init__(self, clock: Clock, operator: Callable[..., list[Any]]) -> None:
        self.clock = clock
        self.operator = operator

    def __call__(self, individuals: Sequence[Any], k: int, *, rng: np.random.Generator, **keywords: Any) -> list[Any]:
        """Select `k` of the evaluated `individuals` as `operator` does."""
        self.clock.advance(individuals)
        chosen: list[Any] = seeded(partial(self.operator, **keywords), rng)(individuals, k)
        return chosen
