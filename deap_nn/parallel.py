"""SCOOP: which map to use, and how a run is interrupted in order."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any


def running_under_scoop() -> bool:
    """Return whether this process was started by ``python -m scoop``."""
    return bool(getattr(sys.modules.get("scoop"), "IS_RUNNING", False))


def worker_count() -> int:
    """Return how many processes share the work, this one included."""
    return int(sys.modules["scoop"].SIZE) if running_under_scoop() else 1


def current_map() -> Callable[..., Iterable[Any]]:
    """Return ``scoop.futures.map`` under ``python -m scoop``, and the built-in ``map`` otherwise."""
    if not running_under_scoop():
        return map
    from scoop import futures

    chosen: Callable[..., Iterable[Any]] = futures.map
    return chosen


def prepare_worker() -> None:
    """Leave Ctrl-C to the origin, if this process is a SCOOP worker; call it when the script is imported.

    A terminal sends the signal to every process; workers end when SCOOP's launcher terminates them, without a
    traceback each.
    """
    if running_under_scoop() and not sys.modules["scoop"].IS_ORIGIN:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the body, once, on SIGINT or SIGTERM, also where SCOOP is waiting for results.

    SCOOP runs the program, its own waiting and each task in greenlets. An exception raised in SCOOP's would end
    the process without the program's clean-up, so it is thrown into the program's. After the first signal both are
    ignored until the body is left: what is being saved is saved.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    throw = _thrower()

    def interrupt(signum: int, frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        throw()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _thrower() -> Callable[[], None]:
    if not running_under_scoop():

        def raise_here() -> None:
            raise KeyboardInterrupt

        return raise_here
    import greenlet

    program = greenlet.getcurrent()

    def raise_in_program() -> None:
        if greenlet.getcurrent() is program:
            raise KeyboardInterrupt
        program.throw(KeyboardInterrupt)

    return raise_in_program


def leave_now(status: int) -> None:
    """End this process at once, its output flushed: for an interrupted program under SCOOP.

    SCOOP's launcher sees the origin end and terminates the workers.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
