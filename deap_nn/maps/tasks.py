"""Common parts of all maps but SCOOP's: tasks as bytes, the data that they need, and the set-up of a worker."""

from __future__ import annotations

import fcntl
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deap_nn.breeding.task import unpickled
from deap_nn.core.errors import call_sendably
from deap_nn.core.seeding import busy
from deap_nn.data.registry import HELD, lend, made_of_arrays
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


def call_with(payload: bytes, digests: Sequence[str], *data: Any) -> Any:
    """Do a task in a worker with the data sets that the main process holds as arrays, and no earlier ones."""
    with busy:  # no data set is released during a task
        lend(dict(zip(digests, data, strict=True)))
        return call(payload)


def call_with_files(payload: bytes, files: Mapping[str, Path]) -> Any:
    """Do a task in a worker that reads the data sets of the main process from files, unless it has them."""
    with busy:
        lend({digest: HELD[digest].data if digest in HELD else _read(path) for digest, path in files.items()})
        return call(payload)


def _read(path: Path) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)  # noqa: S301  (the main process, which started this one, has written it)


class Lending:
    """Sends each data set that the main process holds as arrays to the workers once, and not with each task.

    Parameters
    ----------
    put : callable
        Called with a digest and a data set; returns a reference to it for the workers.
    drop : callable
        Called with the reference of a data set that the main process holds no longer.
    """

    def __init__(self, put: Callable[[str, Any], Any], drop: Callable[[Any], object] = lambda reference: None) -> None:
        self._put, self._drop = put, drop
        self._lent: dict[str, Any] = {}

    def __call__(self) -> dict[str, Any]:
        """Return the references of the data sets by their digests."""
        held = made_of_arrays()
        for digest in self._lent.keys() - held.keys():
            self._drop(self._lent.pop(digest))
        for digest, data in held.items():
            if digest not in self._lent:
                self._lent[digest] = self._put(digest, data)
        return dict(self._lent)


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
    fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    if multiprocessing.connection.wait([parent.sentinel], 0):  # it ended before
        os._exit(1)
