"""Random streams, each a pure function of its purpose.

A stream is keyed by (run seed, purpose, generation, index) and made by the counter-based generator Philox.
So any process can make any stream without making earlier ones, and no two streams overlap.

References
----------
.. [1] J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
   SC '11, 2011.
"""

import inspect
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

MAX_SEED = 2**63 - 1
"""The largest run seed; the smallest is 0."""


class Purpose(IntEnum):
    """The purpose of a stream; the number is part of the stream's key and never changes."""

    INITIALISE = 1
    SELECT = 2
    MATE = 3
    MUTATE = 4
    VARY = 5
    EPOCH = 6
    TRACE = 7
    OPERATORS = 8
    NOISE = 9
    SIGMA = 10


def check_seed(seed: int) -> int:
    """Return `seed` as an int, or raise an error if it is not a run seed.

    Parameters
    ----------
    seed : int
        From 0 to ``MAX_SEED``.

    Raises
    ------
    ValueError
        If `seed` is not an integer, or out of range.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed must be an integer from 0 to {MAX_SEED}, got {seed!r}")
    return int(seed)


def stream(seed: int, purpose: Purpose, generation: int = 0, index: int = 0) -> np.random.Generator:
    """Make the random stream of one purpose, generation and pair or child.

    Parameters
    ----------
    seed : int
        The run's seed, 0 to ``MAX_SEED``.
    purpose : Purpose
        The use of the numbers.
    generation, index : int
        The generation, and the pair, child or member within it; both at least 0.

    Returns
    -------
    numpy.random.Generator
        A new generator at the beginning of its stream.

    Examples
    --------
    >>> bool(stream(1, Purpose.MATE, 3, 0).random() == stream(1, Purpose.MATE, 3, 0).random())
    True
    >>> bool(stream(1, Purpose.MATE, 3, 0).random() == stream(1, Purpose.MATE, 3, 1).random())
    False
    """
    key = np.array([check_seed(seed), int(purpose)], dtype=np.uint64)
    # Philox counts from the first word on: streams are at least 2**128 blocks apart, so they do not overlap.
    counter = np.array([0, 0, index, generation], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def takes(operator: Callable[..., Any], keyword: str) -> bool:
    """Return whether a registered function takes a keyword, by its signature or as it was registered with it.

    A selection that `adapting` makes calls another selection, its ``operator``, and takes the same keywords. So does an
    operator that `elementwise` makes with the keyword ``of_numbers``.
    """
    words = getattr(operator, "keywords", {})
    if keyword in words:
        return True
    inner = getattr(operator, "func", None) or getattr(operator, "operator", None)
    if any(callable(one) and takes(one, keyword) for one in (inner, words.get("of_numbers"))):
        return True
    if type(operator) is partial:  # it takes what its function takes
        return False
    if isinstance(operator, FunctionType) and not operator.__dict__.keys() & {"__wrapped__", "__signature__"}:
        code = operator.__code__  # `signature` takes as long as a small founder
        return keyword in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    try:
        return keyword in inspect.signature(operator).parameters
    except (TypeError, ValueError):  # a function of C without a signature
        return False


def seeded(operator: Callable[..., Any], rng: np.random.Generator) -> Callable[..., Any]:
    """Return `operator` with its random numbers taken from `rng`.

    An operator that takes ``rng`` gets it. Any other, such as DEAP's own, is called with ``random`` and
    ``numpy.random`` seeded from `rng`; both states are restored after the call.
    """
    return partial(operator, rng=rng) if takes(operator, "rng") else partial(_with_global_state, operator, rng)


@contextmanager
def global_state_kept() -> Iterator[None]:
    """Restore the states of ``random`` and ``numpy.random`` at the end, as a context manager or as a decorator.

    Draws inside then do not change a script's later draws: Keras, for example, draws a seed for each initializer.
    """
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002  (users' operators may draw from it)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002  (users' operators may draw from it)


busy = threading.RLock()
"""Held by the thread that breeds (a run has one scratch memory in a process) or draws from the global random state.

A breeder may do both, and a selection may read a member that has to be bred: two locks could wait for each other.
"""


def _with_global_state(operator: Callable[..., Any], rng: np.random.Generator, *arguments: Any, **keywords: Any) -> Any:
    # NumPy's legacy generator too: a user's operator may draw from either.
    with busy, global_state_kept():
        random.seed(rng.bytes(32))
        np.random.seed(rng.integers(2**32, size=4))  # noqa: NPY002  (users' operators may draw from it)
        return operator(*arguments, **keywords)
