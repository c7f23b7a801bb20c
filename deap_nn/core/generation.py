"""The generation that is being scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

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
