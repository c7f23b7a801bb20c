"""Interrupting a run: signals become KeyboardInterrupt, and the program saves before it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from deap_nn.process.workers import running_under_scoop

GRACE_SECONDS = 10.0
"""Further signals within this time after the first are ignored, so that an interrupted program can save."""

_first_at: list[float] = []
"""The time of the first signal to the body of `interruptible`."""

_unheeded: list[int] = []
"""That signal, until its KeyboardInterrupt leaves the body of `heeding_signals`."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the body, once, on SIGINT or SIGTERM, also while SCOOP waits for results.

    SCOOP runs the program, its own waiting and each task in greenlets. An exception raised in SCOOP's greenlet would
    end the process without the program's clean-up, so it is thrown into the program's greenlet. For ten seconds after
    the first signal further ones are ignored, so that the program can save; later ones have their default effect.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    throw = _thrower()

    def interrupt(signum: int, frame: FrameType | None) -> None:
        if not _first_at:
            _first_at.append(time.monotonic())
            _unheeded.append(signum)
            throw()
        elif time.monotonic() - _first_at[0] > GRACE_SECONDS:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    # A shell's script starts a job in the background with SIGINT ignored: it is to go on.
    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heeded}
    try:
        yield
    finally:
        try:
            for number, handler in before.items():
                signal.signal(number, handler)
        finally:  # a signal may come in between
            _first_at.clear()
            _unheeded.clear()


@contextlib.contextmanager
def heeding_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end of the body, inside `interruptible`, if that of a signal was lost in it.

    Python raises it at any point of the program: in a library's clean-up it is printed and lost, in an import it may
    become another exception.
    """
    try:
        yield
    except KeyboardInterrupt:
        _unheeded.clear()
        raise
    except Exception as error:
        if not _unheeded:
            raise
        _unheeded.clear()
        raise KeyboardInterrupt from error
    if _unheeded:
        _unheeded.clear()
        raise KeyboardInterrupt


class _Holding:
    """A signal handler that notes signals while it is ``on``, and later passes them to the handler before it."""

    def __init__(self, before: dict[int, Any]) -> None:
        self.before, self.held, self.on = before, list[int](), True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        handler = self.before[number]
        if self.on:
            self.held.append(number)
        elif callable(handler):
            handler(number, frame)
        else:
            signal.signal(number, handler)
            signal.raise_signal(number)


def _raise_all(numbers: list[int]) -> None:
    with contextlib.ExitStack() as stack:
        for number in reversed(list(dict.fromkeys(numbers))):
            stack.callback(signal.raise_signal, number)


@contextlib.contextmanager
def holding_signals() -> Iterator[None]:
    """Delay SIGINT and SIGTERM until the end of the body, which should be short.

    Processes that are started in the body inherit a mask and never get them. In this process the mask is not enough:
    another thread takes the signal, and Python calls the handler in this one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    holding = _Holding({number: handler for number, handler in before.items() if handler is not None})
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        for number in holding.before:
            signal.signal(number, holding)
        signal.pthread_sigmask(signal.SIG_BLOCK, before)
        yield
    finally:
        with contextlib.ExitStack() as stack:  # every step, even if another raises
            stack.callback(_raise_all, holding.held)
            for number, handler in holding.before.items():
                stack.callback(signal.signal, number, handler)
            stack.callback(setattr, holding, "on", False)
            stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, mask)


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
