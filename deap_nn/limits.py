"""What an evaluation may do: raise, which names the child, and take its time, which has an end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType

STUCK_SECONDS = 5.0
"""A call that does not even notice that its time is up has so many seconds more before its process is ended."""


class EvaluationError(RuntimeError):
    """An evaluation that failed: the message names the generation and the child."""

    @classmethod
    def of(cls, named: str, error: BaseException) -> EvaluationError:
        """Return the error of the child `named`, with the trace of what it raised as a note."""
        made = cls(f"{named}: {type(error).__name__}: {error}")
        made.add_note("".join(traceback.format_exception(error)))
        return made


last_words: list[Callable[[str], object]] = []
"""What a process calls, with the reason, before it ends because a call does not return."""


class _Watchdog:
    """A thread that ends the process when a call that has had its time does not return."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deadline: tuple[float, str] | None = None
        self._thread: threading.Thread | None = None

    def set(self, deadline: tuple[float, str] | None) -> None:
        """Watch a call until a moment of the monotonic clock, or no call."""
        with self._changed:
            self._deadline = deadline
            self._changed.notify()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        while True:
            with self._changed:
                left = self._deadline[0] - time.monotonic() if self._deadline is not None else None
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
                reason = self._deadline[1] if self._deadline is not None else ""
            for tell in last_words:
                tell(reason)
            print(f"error: {reason}", file=sys.stderr, flush=True)
            os._exit(1)


_watchdog = _Watchdog()


@contextlib.contextmanager
def time_limit(seconds: float | None, named: str) -> Iterator[None]:
    """Raise `EvaluationError` in the body once so many seconds have passed, or end the process if it does not notice.

    A body that waits inside compiled code may never notice. In a thread other than the main one, which no signal
    reaches, the process is ended at once.

    Parameters
    ----------
    seconds : float, optional
        No limit if left out.
    named : str
        The children that are scored.
    """
    if seconds is None:
        yield
        return
    reason = f"{named}: no fitness within {seconds:g} s"

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise EvaluationError(reason)

    alarmed = threading.current_thread() is threading.main_thread()
    grace = STUCK_SECONDS if alarmed else 0.0
    _watchdog.set((time.monotonic() + seconds + grace, reason))
    before = signal.signal(signal.SIGALRM, interrupt) if alarmed else None
    try:
        if alarmed:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        if alarmed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        _watchdog.set(None)
