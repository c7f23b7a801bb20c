"""What all maps but SCOOP's share: how a task travels, and how a worker process behaves."""

from __future__ import annotations

import fcntl
import multiprocessing
import multiprocessing.process
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from deap_nn.breeding.task import unpickled
from deap_nn.process.workers import end_with_parent


@dataclass(eq=False)
class TaskMap:
    """A map whose tasks travel as bytes.

    Parameters
    ----------
    send : callable
        Has `call` called with each of some payloads by the workers, and yields what it returns, in order.
    count : callable
        Returns how many processes share the work at present.
    dumps : callable
        Pickles, so that ``pickle.loads`` can read it in a worker.
    """

    keeps_order: ClassVar[bool] = True

    send: Callable[[Sequence[bytes]], Iterable[Any]]
    count: Callable[[], int]
    dumps: Callable[[Any], bytes] = pickle.dumps

    @property
    def workers(self) -> int:
        """How many processes share the work at present."""
        return self.count()

    def __call__(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
        """Return the function's answers in order, as ``map`` does."""
        return self.send([self.dumps((function, arguments)) for arguments in zip(*iterables, strict=False)])


def call(payload: bytes) -> Any:
    """Do a task, in a worker."""
    function, arguments = unpickled(payload)  # from who started the worker, or whom it works for
    return function(*arguments)


def be_worker() -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the main one, and end when that has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))  # it was started with signals held back
    parent = multiprocessing.parent_process()
    if parent is None:  # of MPI's ranks, which their launcher has started
        end_with_parent(signal.SIGKILL)
        return
    # Not when the thread of it ends that asked for this one: when all of it has, which ends a pipe that it holds.
    if sys.platform == "linux":  # also where a task does not let go of Python's lock
        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
