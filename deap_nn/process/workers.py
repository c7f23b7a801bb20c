"""Processes of a run: whether SCOOP runs this one, how many there are, and how they end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import platform
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

LAUNCHED = "DEAP_NN_LAUNCHED"
"""The environment of processes that `deap_nn.launch` started says so, with the process id of who did."""

GUARD = 'put what the script does under if __name__ == "__main__":'
"""The remedy for a script that runs again in each worker, which imports it."""

_PR_SET_PDEATHSIG = 1


def running_under_scoop() -> bool:
    """Return whether this process was started by ``python -m scoop``."""
    return bool(getattr(sys.modules.get("scoop"), "IS_RUNNING", False))


def hands_status_on() -> bool:
    """Return whether an exit status reaches the user: not under ``python -m scoop``, which ends with 0."""
    return not running_under_scoop() or LAUNCHED in os.environ


def bare_map(map_: Any) -> Any:
    """Return the map that a toolbox was registered with, without what `functools.partial` or a toolbox adds to it."""
    while hasattr(map_, "func"):
        map_ = map_.func
    return map_


def worker_count(map_: Callable[..., Iterable[Any]] | None = None) -> int:
    """Return how many processes share the work: under SCOOP its, else what the map says, or else the cores."""
    if running_under_scoop():
        return int(sys.modules["scoop"].SIZE)
    bare = bare_map(map_)
    known: int | None = getattr(bare, "workers", None)
    if known is not None:
        return known
    return 1 if bare in (None, map) else os.cpu_count() or 1


def is_serial(map_: Callable[..., Iterable[Any]]) -> bool:
    """Return whether a map is the built-in one."""
    return bare_map(map_) is map


def keeping_order(map_: Callable[..., Iterable[Any]]) -> Callable[..., Iterable[Any]]:
    """Return a map that yields answers in the order of the items, whatever the order of another's.

    The built-in map and those of this package keep the order, and are returned as they are. Any other is given pairs of
    a place and an item.
    """
    ours = getattr(type(bare_map(map_)), "keeps_order", False)
    return map_ if ours or is_serial(map_) else partial(_in_order, map_)


class _Placed(NamedTuple):
    """An answer, and the place of the item that it is to."""

    place: int
    answer: Any


def _in_order(
    map_: Callable[..., Iterable[Any]], function: Callable[..., Any], *iterables: Iterable[Any]
) -> Iterator[Any]:
    """Yield answers in the order of the items; where one is missing it ends, and what is too much comes last."""
    waiting: dict[int, Any] = {}
    too_many: list[Any] = []
    due = 0
    for found in map_(partial(_with_place, function), list(enumerate(zip(*iterables, strict=False)))):
        if not isinstance(found, _Placed) or found.place < due or found.place in waiting:
            too_many.append(found)
        else:
            waiting[found.place] = found.answer
        while due in waiting:
            yield waiting.pop(due)
            due += 1
    yield from too_many


def _with_place(function: Callable[..., Any], numbered: tuple[int, tuple[Any, ...]]) -> _Placed:
    """Return the place of some arguments, and what a function answers to them."""
    place, arguments = numbered
    return _Placed(place, function(*arguments))


def pickler(map_: Callable[..., Iterable[Any]]) -> Callable[[Any], bytes]:
    """Return what pickles for the workers of a map: its own ``dumps`` if it has one."""
    own: Callable[[Any], bytes] | None = getattr(bare_map(map_), "dumps", None)
    return own or partial(pickle.dumps, protocol=pickle.HIGHEST_PROTOCOL)


def end_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Let Linux send this process a signal when the one that started it ends, however it does.

    Where that one's process id is given and it has ended already, this one ends at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that there is too little memory, Python's or TensorFlow's."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


@contextlib.contextmanager
def ending_without_memory() -> Iterator[None]:
    """End this process, if it is a SCOOP worker, with a line where the body has too little memory.

    Others do what it leaves; it would go on to fail at one task after the other, faster than they are done.
    """
    try:
        yield
    except Exception as error:
        if not running_under_scoop() or sys.modules["scoop"].IS_ORIGIN or not out_of_memory(error):
            raise
        print(
            f"worker {os.getpid()} on {platform.node()} has too little memory and ends: others do its work",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)
