"""What all maps but SCOOP's share: how a task travels, and how a worker process behaves."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from deap_nn import parallel
from deap_nn.datasets import lend, made_of_arrays
from deap_nn.genome_tasks import busy


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
    try:
        function, arguments = pickle.loads(payload)  # noqa: S301  (from who started the worker, or whom it works for)
    except AttributeError as error:
        raise MapError(
            f"a worker cannot find what a task is made of ({error}): put it at the top of a module that is imported; "
            "what a notebook's cells define takes pip install 'deap-nn[notebook]'"
        ) from error
    return function(*arguments)


def call_with(payload: bytes, digests: Sequence[str], *data: Any) -> Any:
    """Do a task, in a worker that is lent the data sets that the main process holds as arrays, and no others."""
    with busy:  # what is lent stays as long as the task needs it
        lend(dict(zip(digests, data, strict=True)))
        return call(payload)


class Lending:
    """What the main process holds as arrays, put where the workers of a cluster find it, each data set once.

    Parameters
    ----------
    put : callable
        Is given a data set, and returns what the cluster takes for it as an argument of a task.
    """

    def __init__(self, put: Callable[[Any], Any]) -> None:
        self._put = put
        self._lent: dict[str, Any] = {}

    def __call__(self) -> tuple[tuple[str, ...], list[Any]]:
        """Return the digests of the data, and what stands for them."""
        held = made_of_arrays()
        self._lent = {
            digest: self._lent[digest] if digest in self._lent else self._put(data) for digest, data in held.items()
        }
        return tuple(self._lent), list(self._lent.values())


def be_worker(lent: Mapping[str, Any] | None = None) -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the main one, and end when that has ended.

    What is lent are data sets that the main process holds as arrays, by digest.
    """
    lend(lent or {})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))  # it was started with signals held back
    parent = multiprocessing.parent_process()
    parallel.end_with_parent(signal.SIGKILL, parent.pid if parent is not None else None)
