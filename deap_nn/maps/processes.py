"""The map "processes": worker processes on this host, by `concurrent.futures`."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

from deap_nn.breeding.slots import GenomeCache, default_place, sweep
from deap_nn.core.environment import processors
from deap_nn.core.errors import MapError
from deap_nn.maps.tasks import Lending, TaskMap, be_worker, call_with_files
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
    count = workers or processors()
    context = _Context()
    executor = ProcessPoolExecutor(count, context, be_worker)
    caches: list[GenomeCache] = []  # its folder has the data sets, so the next run removes them if this one is killed

    def put(data: Any) -> Path:
        if not caches:
            sweep(default_place())
            caches.append(GenomeCache(uuid.uuid4().hex, 1, default_place()))
        path = caches[0].folder / uuid.uuid4().hex
        with open(path, "wb") as file:
            pickle.dump(data, file, pickle.HIGHEST_PROTOCOL)
        return path

    lending = Lending(put, Path.unlink)

    def send(payloads: Sequence[bytes]) -> Iterator[Any]:
        try:
            with signals.holding_signals():  # new processes inherit the blocked signals
                answers = executor.map(call_with_files, payloads, itertools.repeat(lending()))
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
        for cache in caches:
            cache.remove()
