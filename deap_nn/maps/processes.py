"""The map "processes": worker processes on this host, by `concurrent.futures`."""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from deap_nn.core import environment
from deap_nn.core.errors import MapError
from deap_nn.maps.lending import LendingByFiles, call_lent
from deap_nn.maps.tasks import TaskMap, be_worker
from deap_nn.process import signals
from deap_nn.process.workers import GUARD, RAN_AGAIN, end_if_importing

SIGNAL_SECONDS = 0.2
"""The time for a signal that has ended a worker to reach this process too."""


class _Context(SpawnContext):
    """Spawns processes, since TensorFlow does not survive a fork, and keeps a list of them."""

    def __init__(self) -> None:
        self.started: list[SpawnProcess] = []

    def Process(self, *arguments: Any, **keywords: Any) -> SpawnProcess:  # type: ignore[override]  # the base has a class there
        self.started.append(SpawnProcess(*arguments, **keywords))
        return self.started[-1]


@contextlib.contextmanager
def opened(workers: int | None = None) -> Iterator[TaskMap]:
    """Yield the map; its processes start with the first tasks, and are killed if the body raises."""
    end_if_importing()
    count = workers or environment.processors()
    context = _Context()
    executor, lending = ProcessPoolExecutor(count, context, be_worker), LendingByFiles()

    def send(payloads: Sequence[bytes]) -> Iterator[Any]:
        try:
            with signals.holding_signals():  # new processes inherit the blocked signals
                answers = executor.map(call_lent, payloads, itertools.repeat(lending()))
            yield from answers
        except BrokenProcessPool as error:
            time.sleep(SIGNAL_SECONDS)  # a signal to the whole group ends this process first, in its own way
            if any(process.exitcode == RAN_AGAIN for process in context.started):
                script = getattr(sys.modules["__main__"], "__file__", "the script")
                raise MapError(f"processes: each worker runs {script} as it imports it: {GUARD}") from None
            raise MapError("processes: a worker was killed: start fewer workers if memory ran out") from error

    try:
        yield TaskMap(send, lambda: count)
    except BaseException:
        for process in context.started:
            process.kill()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        lending.close()
