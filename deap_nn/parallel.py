"""SCOOP: which map to use, how a run is interrupted in order, and how its sockets are kept in order."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from deap_nn.sharing import SharedMap

GRACE_SECONDS = 10.0
REPORT_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1


def running_under_scoop() -> bool:
    """Return whether this process was started by ``python -m scoop``."""
    return bool(getattr(sys.modules.get("scoop"), "IS_RUNNING", False))


def worker_count(map_: Callable[..., Iterable[Any]] | None = None) -> int:
    """Return how many processes share the work, this one included; of a map that is not SCOOP's, the cores."""
    if running_under_scoop():
        return int(sys.modules["scoop"].SIZE)
    return 1 if getattr(map_, "func", map_) in (None, map) else os.cpu_count() or 1


def current_map() -> Callable[..., Iterable[Any]]:
    """Return SCOOP's map under ``python -m scoop``, and the built-in ``map`` otherwise.

    SCOOP's is wrapped in a `SharedMap`, which leaves the weights of individuals in shared memory and sends their names.
    """
    if not running_under_scoop():
        return map
    from scoop import futures

    return SharedMap(futures.map)


def prepare_worker() -> None:
    """Let this process, if it is a SCOOP worker, end without a word on Ctrl-C, and when its launcher is gone.

    Call it where the script is imported. A terminal sends Ctrl-C to every process; the origin saves what there is.
    """
    if not running_under_scoop() or sys.modules["scoop"].IS_ORIGIN:
        return
    signal.signal(signal.SIGINT, _end_at_once)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == 1:
            os._exit(1)


def _end_at_once(signum: int, frame: FrameType | None) -> None:
    os._exit(130)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the body, once, on SIGINT or SIGTERM, also where SCOOP is waiting for results.

    SCOOP runs the program, its own waiting and each task in greenlets. An exception raised in SCOOP's would end
    the process without the program's clean-up, so it is thrown into the program's. For the ten seconds after the first
    signal others are ignored, so that what is being saved is saved; later ones act as they always do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    throw = _thrower()
    first: list[float] = []

    def interrupt(signum: int, frame: FrameType | None) -> None:
        if not first:
            first.append(time.monotonic())
            throw()
        elif time.monotonic() - first[0] > GRACE_SECONDS:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def holding_signals() -> Iterator[None]:
    """Keep SIGINT and SIGTERM waiting until the body, which should be short, is left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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


class _OneAtATime:
    """A socket or poller of SCOOP's whose methods no two threads are in at once."""

    def __init__(self, target: Any, lock: threading.RLock, shut_out: threading.Thread | None) -> None:
        self._target = target
        self._lock = lock
        self._shut_out = shut_out

    def __getattr__(self, name: str) -> Any:
        if threading.current_thread() is self._shut_out:
            raise AttributeError(name)  # SCOOP's own reporting thread takes this for the end of the program
        value = getattr(self._target, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **keywords: Any) -> Any:
            with self._lock:
                return value(*arguments, **keywords)

        return call


def _guard(communicator: Any) -> None:
    """Let only one thread at a time use the socket that SCOOP's main and reporting threads share.

    A ZeroMQ socket is not safe to share: where the report of every 25 seconds falls into the sending of a large task,
    the message arrives torn and SCOOP ends with "pickle data was truncated" (soravux/scoop, issue 14). The reporting
    thread is replaced too: SCOOP's ends when the queue changes while it reads it, first reports after 25 seconds,
    leaves out the task at hand and names tasks otherwise than the broker does, which therefore loses track of them.
    """
    lock = threading.RLock()
    reporter = communicator.status_update_thread
    communicator.socket = _OneAtATime(communicator.socket, lock, reporter)
    communicator.poller = _OneAtATime(communicator.poller, lock, None)
    receive = communicator._recv
    communicator.receiving = False

    def receive_noting() -> Any:
        communicator.receiving = True
        try:
            return receive()
        finally:
            communicator.receiving = False

    communicator._recv = receive_noting
    _report(communicator)
    communicator.status_update_thread = threading.Thread(target=_keep_reporting, args=(communicator,), daemon=True)
    communicator.status_update_thread.start()


def _keep_reporting(communicator: Any) -> None:
    import scoop

    while not scoop.SHUTDOWN_REQUESTED:
        time.sleep(min(REPORT_SECONDS, scoop.TIME_BETWEEN_STATUS_REPORTS))
        if not communicator.receiving:  # a task that is being unpickled has no name yet
            _report(communicator)


def _report(communicator: Any) -> None:
    """Tell SCOOP's broker which tasks are here."""
    import zmq
    from scoop import _control
    from scoop._comm.scoopzmq import STATUS_UPDATE

    queue, current = _control.execQueue, _control.current
    # Making a tuple is one step, which no other thread can interrupt.
    parts = (queue.movable, queue.ready, queue.inprogress) if queue is not None else ()
    here = [future for part in parts for future in tuple(part)]
    here += [current] if current is not None else []
    names = {pickle.dumps(future.id, pickle.HIGHEST_PROTOCOL) for future in here}
    with contextlib.suppress(zmq.ZMQError):  # the broker is busy or gone, or the program ends
        communicator.socket.send_multipart([STATUS_UPDATE, pickle.dumps(names)], flags=zmq.NOBLOCK)


def _guard_scoop() -> None:
    """Guard this process' communication with SCOOP's broker, or let it be guarded when it is made."""
    from scoop import _control
    from scoop._comm.scoopzmq import ZMQCommunicator

    if _control.execQueue is not None:  # the origin
        _guard(_control.execQueue.socket)
        return
    make = ZMQCommunicator.__init__  # a worker, which imports the program before it connects

    def make_guarded(self: Any) -> None:
        make(self)
        _guard(self)

    ZMQCommunicator.__init__ = make_guarded


if running_under_scoop():
    _guard_scoop()
