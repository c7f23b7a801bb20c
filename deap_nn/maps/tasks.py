"""What all maps but SCOOP's share: how a task travels, and how a worker process behaves."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from deap_nn import parallel
from deap_nn.datasets import lend, made_of_arrays


class MapError(RuntimeError):
    """Workers ended, or cannot be reached: what they had to do is not done."""


class TaskMap:
    """A map whose tasks travel as bytes.

    Parameters
    ----------
    send : callable
        Has `call` called with each of some payloads by the workers, and yields what it returns, in order.
    workers : callable
        Returns how many processes share the work at present.
    dumps : callable
        Pickles, so that ``pickle.loads`` can read it in a worker.
    """

    def __init__(
        self,
        send: Callable[[Sequence[bytes]], Iterable[Any]],
        workers: Callable[[], int],
        dumps: Callable[[Any], bytes] = pickle.dumps,
    ) -> None:
        self._send = send
        self._workers = workers
        self.dumps = dumps

    @property
    def workers(self) -> int:
        """How many processes share the work at present."""
        return self._workers()

    def __call__(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
        """Return the function's answers in order, as ``map`` does."""
        return self._send([self.dumps((function, arguments)) for arguments in zip(*iterables, strict=False)])


def call(payload: bytes) -> Any:
    """Do a task, in a worker."""
    function, arguments = pickle.loads(payload)  # noqa: S301  (from who started the worker, or whom it works for)
    return function(*arguments)


def call_with(payload: bytes, data: Mapping[str, Any]) -> Any:
    """Do a task, in a worker that is lent the data sets that the main process holds as arrays."""
    lend(data)
    return call(payload)


class Lending:
    """What the main process holds as arrays, put once where the workers of a cluster find it.

    Parameters
    ----------
    put : callable
        Is given data sets by their digests, and returns what tasks name them by.
    """

    def __init__(self, put: Callable[[Mapping[str, Any]], Any]) -> None:
        self._put = put
        self._put_before: set[str] | None = None
        self._named: Any = None

    def __call__(self) -> Any:
        """Return what a task names the data by."""
        held = made_of_arrays()
        if held.keys() != self._put_before:
            self._named, self._put_before = self._put(held), set(held)
        return self._named


def be_worker() -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the main one, and end when that has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))  # it was started with signals held back
    parent = multiprocessing.parent_process()
    parallel.end_with_parent(signal.SIGKILL, parent.pid if parent is not None else None)
