"""Processes of this host, by `concurrent.futures`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from deap_nn import parallel
from deap_nn.maps.tasks import MapError, TaskMap, be_worker, call

SIGNAL_SECONDS = 0.2


class _Context(SpawnContext):
    """Starts processes anew, since TensorFlow does not survive a fork, and knows them."""

    def __init__(self) -> None:
        self.started: list[SpawnProcess] = []

    def Process(self, *arguments: Any, **keywords: Any) -> SpawnProcess:  # type: ignore[override]
        self.started.append(SpawnProcess(*arguments, **keywords))
        return self.started[-1]


@contextlib.contextmanager
def opened(workers: int | None = None) -> Iterator[TaskMap]:
    """Give the map; its processes are started with the first tasks, and killed where the body is broken off."""
    count = workers or parallel.processors()
    context = _Context()
    executor = ProcessPoolExecutor(count, context, be_worker)

    def send(payloads: Sequence[bytes]) -> Iterator[Any]:
        try:
            with parallel.holding_signals():  # processes that are started meanwhile hold them too
                answers = executor.map(call, payloads)
            yield from answers
        except BrokenProcessPool as error:
            time.sleep(SIGNAL_SECONDS)  # one that was meant for this process too ends it otherwise
            raise MapError("processes: a worker was killed, by somebody or for want of memory") from error

    try:
        yield TaskMap(send, lambda: count)
    except BaseException:
        for process in context.started:
            process.kill()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
