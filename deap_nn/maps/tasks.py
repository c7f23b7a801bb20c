"""Common parts of all maps but SCOOP's: the form of a task, and the set-up of a worker process."""

from __future__ import annotations

import fcntl
import multiprocessing
import multiprocessing.process
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from deap_nn.breeding.task import unpickled
from deap_nn.core.errors import call_sendably
from deap_nn.process.workers import dumps, end_with_parent


@dataclass(eq=False)
class TaskMap:
    """A map that sends its tasks as bytes.

    Parameters
    ----------
    send : callable
        Lets the workers apply `call` to each of some payloads, and yields the results in order.
    count : callable
        Returns the current number of processes that share the work.
    dumps : callable
        Pickles a task, in a form that ``pickle.loads`` can read in a worker.
    """

    keeps_order: ClassVar[bool] = True

    send: Callable[[Sequence[bytes]], Iterable[Any]]
    count: Callable[[], int]
    dumps: Callable[[Any], bytes] = dumps

    @property
    def workers(self) -> int:
        """The current number of processes that share the work."""
        return self.count()

    def __call__(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
        """Return the function's results in order, as ``map`` does."""
        return self.send([self.dumps((function, arguments)) for arguments in zip(*iterables, strict=False)])


def call(payload: bytes) -> Any:
    """Do a task, in a worker."""
    function, arguments = unpickled(payload)  # from the process that started the worker, or its scheduler
    return call_sendably(function, *arguments)


def be_worker() -> None:
    """Ignore Ctrl-C, which a terminal sends to every process, and end when the main process has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))  # the process has inherited blocked signals
    parent = multiprocessing.parent_process()
    if parent is None:  # a rank of MPI, started by its launcher
        end_with_parent(signal.SIGKILL)
        return
    # The parent death signal of Linux would come when the starting thread ends. The sentinel is a pipe that closes only
    # with the whole parent process: O_ASYNC then sends SIGKILL, even if a task holds Python's lock.
    if sys.platform == "linux":
        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
