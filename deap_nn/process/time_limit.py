"""Limits of an evaluation: an exception names the child, and a call has a time limit."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from deap_nn.core.errors import EvaluationError
from deap_nn.process.watchdog import CALL, SIZE, STOPS, TEXT

STUCK_SECONDS = 5.0
"""The extra time of a call that does not notice the end of its time, before the process is ended."""

to_tell: list[tuple[str, str]] = []
"""Pairs of a script and a file: each script is run with its file and the reason if this process has to be ended."""


class _Watchdog:
    """A handle of the watchdog, the process that ends this one if a call does not return in time."""

    def __init__(self, owner: int, scripts: Sequence[tuple[str, str]]) -> None:
        self._calls = 0
        queue = _ending_with_status_1()
        for descriptor in queue:
            weakref.finalize(self, os.close, descriptor)
        with tempfile.TemporaryFile() as file:
            file.write(bytes(SIZE))  # takes the disk space now, as a write to the mapping could not report its lack
            file.flush()
            self._shared = mmap.mmap(file.fileno(), SIZE)
            script = Path(__file__).with_name("watchdog.py")
            passed = [file.fileno(), *queue]
            command = [sys.executable, "-I", "-S", str(script), str(owner), ",".join(map(str, passed))]
            # In its own process group, so that Ctrl-Z and Ctrl-C do not reach it.
            options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "pass_fds": passed, "process_group": 0}
            process = subprocess.Popen([*command, *itertools.chain(*scripts)], **options)  # noqa: S603  (ours)
        weakref.finalize(self, _end_watchdog, owner, process)

    def watch(self, seconds: float, named: str) -> None:
        """Start to watch a call."""
        self._calls += 1
        text = named.encode()[: SIZE - TEXT]
        self._shared[TEXT : TEXT + len(text)] = text
        CALL.pack_into(self._shared, 0, self._calls, seconds, len(text))

    def rest(self) -> None:
        """Stop watching."""
        CALL.pack_into(self._shared, 0, 0, 0.0, 0)

    @property
    def stops(self) -> int:
        """The number of polls at which it found this process stopped."""
        found: int = STOPS.unpack_from(self._shared, CALL.size)[0]
        return found


def _end_watchdog(owner: int, process: subprocess.Popen[bytes]) -> None:
    if os.getpid() == owner:  # not in a fork of it
        process.kill()
        process.wait()


@functools.lru_cache(maxsize=1)
def _watchdog(owner: int, scripts: tuple[tuple[str, str], ...]) -> _Watchdog | None:
    """Return the watchdog of this process, or None if none can be started."""
    try:
        made = _Watchdog(owner, scripts)
    except OSError as error:
        warnings.warn(f"no watchdog was started, so an evaluation that hangs is not ended: {error}", stacklevel=3)
        return None
    return made


class _Notice(ctypes.Structure):
    """The notification of a message: C's ``struct sigevent``."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("number", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("rest", ctypes.c_char * 40),
    )


_IN_A_THREAD = 2  # SIGEV_THREAD

_first_user: list[int] = []
"""The id of the process that used a queue first. A fork of it uses none: the C library would confuse their queues."""


def _ending_with_status_1() -> list[int]:
    """Make the first message in a queue end this process with status 1, and return the queue's descriptor.

    The C library then calls ``_exit(1)`` in a new thread, which needs nothing of Python, even if a call holds the
    interpreter. On a system without such queues no descriptor is returned, and SIGHUP ends the process, unless it is
    ignored or handled: ``_exit`` becomes its handler and gets the signal's number, which is 1, as the status.
    """
    library = ctypes.CDLL(None)
    if sys.platform == "linux" and hasattr(library, "mq_open") and _first_user in ([], [os.getpid()]):
        _first_user[:] = [os.getpid()]
        name, shape = f"/deap_nn-{os.getpid()}".encode(), (ctypes.c_long * 8)(0, 1, 1)  # one message of one byte
        queue = library.mq_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, shape)
        library.mq_unlink(name)
        if queue >= 0:
            exit_ = ctypes.cast(library._exit, ctypes.c_void_p).value
            if library.mq_notify(queue, ctypes.byref(_Notice(1, 0, _IN_A_THREAD, exit_))) == 0:
                return [queue]  # to close it would remove the notification
            os.close(queue)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # SIGHUP would end this process anyway
        library.signal(int(signal.SIGHUP), library._exit)
    return []


_watching: list[_Watchdog] = []
"""The watchdog, while it watches a call."""


@contextlib.contextmanager
def time_limit(seconds: float | None, named: str) -> Iterator[None]:
    """Raise `EvaluationError` in the body when its time is up, or end the process if the body does not notice.

    A body inside compiled code may never notice. The watchdog, another process, then prints the reason and ends this
    one with status 1. No signal reaches a thread other than the main one: the watchdog acts there when the time is up.
    The time while this process is stopped does not count.

    Parameters
    ----------
    seconds : float, optional
        The time of the body, in seconds. No limit if left out.
    named : str
        The children that are scored, for the message.
    """
    if seconds is None:
        yield
        return
    reason = f"{named}: no fitness within {seconds:g} s"
    alarmed = threading.current_thread() is threading.main_thread()
    watchdog = _watchdog(os.getpid(), tuple(to_tell))
    stops = 0

    def arm() -> None:
        nonlocal stops
        if watchdog is not None:
            stops = watchdog.stops
            watchdog.watch(seconds + (STUCK_SECONDS if alarmed else 0.0), reason)
            _watching[:] = [watchdog]
        if alarmed:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def interrupt(signum: int, frame: FrameType | None) -> None:
        if watchdog is not None and watchdog.stops != stops:  # the process was stopped: its time starts again
            arm()
        else:
            raise EvaluationError(reason)

    left, every = signal.setitimer(signal.ITIMER_REAL, 0) if alarmed else (0.0, 0.0)  # an alarm of the user's own
    before = signal.signal(signal.SIGALRM, interrupt) if alarmed else None
    begun = time.monotonic()
    try:
        arm()
        yield
    finally:
        disarm()
        if alarmed:
            signal.signal(signal.SIGALRM, before)
            if left:
                signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - begun), 1e-6), every)


def disarm() -> None:
    """Cancel the present limit, if there is one."""
    if threading.current_thread() is threading.main_thread():
        signal.setitimer(signal.ITIMER_REAL, 0)
    for watchdog in _watching:
        watchdog.rest()
    _watching.clear()
