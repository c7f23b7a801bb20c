"""Processes of this host, by `concurrent.futures`."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, cast

from deap_nn.core import environment
from deap_nn.core.errors import MapError
from deap_nn.maps.lending import LendingByFiles, call_lent
from deap_nn.maps.tasks import TaskMap, be_worker
from deap_nn.process import signals
from deap_nn.process.workers import GUARD

SIGNAL_SECONDS = 0.2

RAN_AGAIN = 78
"""The exit status of a worker in which the script opens a map, since it has no main guard."""


class _Context(SpawnContext):
    """Starts processes anew, since TensorFlow does not survive a fork, and knows them."""

    def __init__(self) -> None:
        self.started: list[SpawnProcess] = []

    def Process(self, *arguments: Any, **keywords: Any) -> SpawnProcess:  # type: ignore[override]  # the base has a class there
        self.started.append(SpawnProcess(*arguments, **keywords))
        return self.started[-1]


def _dumps() -> Callable[[Any], bytes]:
    """Return what pickles a task: in a notebook, whose cells no worker can import, with what they define."""
    if not hasattr(sys.modules["__main__"], "__file__"):
        with contextlib.suppress(ImportError):
            import cloudpickle

            return cast(Callable[[Any], bytes], cloudpickle.dumps)
    return pickle.dumps


@contextlib.contextmanager
def opened(workers: int | None = None) -> Iterator[TaskMap]:
    """Give the map; its processes are started with the first tasks, and killed where the body is broken off."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # a worker that imports the script
        sys.exit(RAN_AGAIN)
    count = workers or environment.processors()
    context = _Context()
    executor, lending = ProcessPoolExecutor(count, context, be_worker), LendingByFiles()

    def send(payloads: Sequence[bytes]) -> Iterator[Any]:
        try:
            with signals.holding_signals():  # processes that are started meanwhile hold them too
                answers = executor.map(call_lent, payloads, itertools.repeat(lending()))
            yield from answers
        except BrokenProcessPool as error:
            time.sleep(SIGNAL_SECONDS)  # one that was meant for this process too ends it otherwise
            if any(process.exitcode == RAN_AGAIN for process in context.started):
                script = getattr(sys.modules["__main__"], "__file__", "the script")
                raise MapError(f"processes: each worker runs {script} as it imports it: {GUARD}") from None
            raise MapError("processes: a worker was killed, by somebody or for want of memory") from error

    try:
        yield TaskMap(send, lambda: count, _dumps())
    except BaseException:
        for process in context.started:
            process.kill()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        lending.close()
