"""What an evaluation may do: raise, which names the child, and take its time, which has an end."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from deap_nn.onlooker import HEAD, SIZE

SLEPT_SECONDS = 1.0
"""An alarm that comes so late comes to a process that was stopped."""

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


status_files: list[Path] = []
"""The ``status.json`` of the runs that this process has to do with."""


class _Onlooker:
    """Our side of a process that says what took too long where compiled code lets no thread of Python's run."""

    def __init__(self) -> None:
        self._calls = 0
        with tempfile.TemporaryFile() as file:
            file.truncate(SIZE)
            self._shared = mmap.mmap(file.fileno(), SIZE)
            script = Path(__file__).with_name("onlooker.py")
            seconds = 1.5 * STUCK_SECONDS  # after the watchdog had its time, before the process is ended
            arguments = [str(file.fileno()), str(seconds), *map(os.path.abspath, status_files)]
            command = [sys.executable, "-I", "-S", str(script), *arguments]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[file.fileno()])  # noqa: S603  (ours)
        self._end = weakref.finalize(self, _end_onlooker, process)

    def set(self, limit: tuple[float, str] | None) -> None:
        """Tell it of a call, by its limit in seconds and what it is, or of none."""
        if limit is None:
            HEAD.pack_into(self._shared, 0, 0, 0.0, 0)
            return
        self._calls += 1
        text = limit[1].encode()[: SIZE - HEAD.size]
        self._shared[HEAD.size : HEAD.size + len(text)] = text
        HEAD.pack_into(self._shared, 0, self._calls, limit[0], len(text))


def _end_onlooker(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@functools.cache
def _onlooker() -> _Onlooker:
    return _Onlooker()


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
        if deadline is not None and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        slept: tuple[float, str] | None = None
        while True:
            with self._changed:
                left = self._deadline[0] - time.monotonic() if self._deadline is not None else None
                if left is not None and left < -SLEPT_SECONDS and self._deadline != slept:
                    slept = self._deadline  # the process was stopped: the alarm may give it its time again
                    self._changed.wait(STUCK_SECONDS)
                    continue
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
                reason = self._deadline[1] if self._deadline is not None else ""
            try:
                print(f"error: {reason}", file=sys.stderr, flush=True)
                for tell in last_words:
                    tell(reason)
            finally:
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

    alarmed = threading.current_thread() is threading.main_thread()
    due = 0.0

    def arm() -> None:
        nonlocal due
        due = time.monotonic() + seconds
        _watchdog.set((due + (STUCK_SECONDS if alarmed else 0.0), reason))
        if alarmed:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            # The last resort, where compiled code lets no other thread of Python's run.
            _onlooker().set((seconds, reason))
            faulthandler.dump_traceback_later(seconds + 2 * STUCK_SECONDS, exit=True, file=_nowhere())

    def interrupt(signum: int, frame: FrameType | None) -> None:
        if time.monotonic() > due + SLEPT_SECONDS:  # the process was stopped, and has its time again
            arm()
        else:
            raise EvaluationError(reason)

    before = signal.signal(signal.SIGALRM, interrupt) if alarmed else None
    try:
        arm()
        yield
    finally:
        disarm()
        if alarmed:
            signal.signal(signal.SIGALRM, before)


def disarm() -> None:
    """Let go of the limit that is being kept, if there is one."""
    if threading.current_thread() is threading.main_thread():
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        if _onlooker.cache_info().currsize:
            _onlooker().set(None)
    _watchdog.set(None)


@functools.cache
def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)
