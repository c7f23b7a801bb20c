"""The base of evaluations that say how they may be called."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    """

    leaves_weights = False
    may_be_done_twice = False
    scores_groups = False
    rounded: tuple[bool, ...] = ()
    is_of_problem = False
    problem: Any = None
    shapes: Any = None

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
