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
import warnings
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from deap_nn.core.errors import EvaluationError
from deap_nn.process.watchdog import CALL, SIZE, STOPS, TEXT

STUCK_SECONDS = 5.0
"""A call that does not even notice that its time is up has so many seconds more before its process is ended."""

to_tell: list[tuple[str, str]] = []
"""Scripts, each with its file: they are run with that and the reason when this process has to be ended."""


class _Onlooker:
    """Our side of a process that ends this one when a call that has had its time does not return."""

    def __init__(self, owner: int, scripts: Sequence[tuple[str, str]]) -> None:
        self._calls = 0
        queue = _ending_with_status_1()
        for descriptor in queue:
            weakref.finalize(self, os.close, descriptor)
        with tempfile.TemporaryFile() as file:
            file.write(bytes(SIZE))  # the room is there from now on
            file.flush()
            self._shared = mmap.mmap(file.fileno(), SIZE)
            script = Path(__file__).with_name("watchdog.py")
            passed = [file.fileno(), *queue]
            command = [sys.executable, "-I", "-S", str(script), str(owner), ",".join(map(str, passed))]
            # In a group of its own: Ctrl-Z and Ctrl-C are not for it.
            options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "pass_fds": passed, "process_group": 0}
            process = subprocess.Popen([*command, *itertools.chain(*scripts)], **options)  # noqa: S603  (ours)
        weakref.finalize(self, _end_onlooker, owner, process)

    def watch(self, seconds: float, named: str) -> None:
        """Let it watch a call from now on."""
        self._calls += 1
        text = named.encode()[: SIZE - TEXT]
        self._shared[TEXT : TEXT + len(text)] = text
        CALL.pack_into(self._shared, 0, self._calls, seconds, len(text))

    def rest(self) -> None:
        """Let it watch no call."""
        CALL.pack_into(self._shared, 0, 0, 0.0, 0)

    @property
    def stops(self) -> int:
        """How often it has seen this process stopped."""
        found: int = STOPS.unpack_from(self._shared, CALL.size)[0]
        return found


def _end_onlooker(owner: int, process: subprocess.Popen[bytes]) -> None:
    if os.getpid() == owner:  # not where this process was forked
        process.kill()
        process.wait()


@functools.lru_cache(maxsize=1)
def _onlooker(owner: int, scripts: tuple[tuple[str, str], ...]) -> _Onlooker | None:
    """Return the onlooker of this process, or None where none can be started."""
    try:
        made = _Onlooker(owner, scripts)
    except OSError as error:
        warnings.warn(f"nobody ends an evaluation that holds this process: {error}", stacklevel=3)
        return None
    return made


class _Notice(ctypes.Structure):
    """What is done when a message comes: C's ``struct sigevent``."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("number", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("rest", ctypes.c_char * 40),
    )


_IN_A_THREAD = 2  # SIGEV_THREAD

_first_user: list[int] = []
"""The process that used a queue first. One forked from it has none: the C library takes the one's for the other's."""


def _ending_with_status_1() -> list[int]:
    """Let this process end with status 1 at the first message of a queue, whatever it does, and return its descriptor.

    The thread in which the C library calls ``_exit(1)`` then needs nothing of Python's. Where there are no such queues,
    none is returned, and SIGHUP does it: with a status of its own number, which is 1, if the signal is not ignored.
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
                return [queue]  # the notice goes where it is closed
            os.close(queue)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # it would end this process anyway
        library.signal(int(signal.SIGHUP), library._exit)
    return []


_watching: list[_Onlooker] = []
"""Who watches a call at present."""


@contextlib.contextmanager
def time_limit(seconds: float | None, named: str) -> Iterator[None]:
    """Raise `EvaluationError` in the body once so many seconds have passed, or end the process if it does not notice.

    A body that waits inside compiled code may never notice: another process lets this one end then, with status 1, and
    says why. In a thread other than the main one, which no signal reaches, it does so at once. The time that this
    process is stopped does not count.

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
    onlooker = _onlooker(os.getpid(), tuple(to_tell))
    stops = 0

    def arm() -> None:
        nonlocal stops
        if onlooker is not None:
            stops = onlooker.stops
            onlooker.watch(seconds + (STUCK_SECONDS if alarmed else 0.0), reason)
            _watching[:] = [onlooker]
        if alarmed:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def interrupt(signum: int, frame: FrameType | None) -> None:
        if onlooker is not None and onlooker.stops != stops:  # it has its time again
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
    for onlooker in _watching:
        onlooker.rest()
    _watching.clear()
