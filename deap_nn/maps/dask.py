"""Dask: a cluster's workers, by `distributed.Client.map`."""

from __future__ import annotations

import contextlib
import gc
import logging
import pickle
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from deap_nn.breeding import task
from deap_nn.breeding.store.slots import default_place, sweep
from deap_nn.core import environment
from deap_nn.core.errors import MapError
from deap_nn.core.optional import optional
from deap_nn.data import registry
from deap_nn.maps import shared
from deap_nn.maps.lending import Lending, call_with
from deap_nn.maps.tasks import TaskMap
from deap_nn.process import signals

CONNECT_SECONDS = 30.0
"""So long a scheduler has to answer, and its first worker to come."""

BUSY_SECONDS = 2.0
"""So long a worker that is told to forget a run waits for a task of another."""

GONE = "dask: the scheduler ended, or is out of reach"


def _begin() -> None:
    """Make a worker's host ready: what runs that were killed left on it is removed."""
    sweep(default_place())


def _forget() -> None:
    """Let go of what a worker holds of a run: it lives on, and memory with it."""
    if task.busy.acquire(timeout=BUSY_SECONDS):  # a task of another run is not disturbed, and forgets it too
        try:
            task.forget()
            shared.forget()
            registry.lend({})
        finally:
            task.busy.release()


def _client(workers: int | None, address: str | None) -> tuple[Any, Any]:
    """Return a client of the scheduler at an address, or of a cluster on this host, which is the second or None."""
    import dask
    from distributed import Client, LocalCluster

    if address is None:
        count = workers or environment.processors()
        options: dict[str, Any] = {
            "n_workers": count,
            "threads_per_worker": 1,
            "dashboard_address": None,
            "silence_logs": "CRITICAL",
        }
        # Scheduler and workers run what they are sent: only this process, which has the certificate, may send it.
        options |= {"protocol": "tls", "security": _certificate()}
        options["scheduler_kwargs"] = {"dashboard_address": "127.0.0.1:0"}  # not 8787, which another may have
        quiet: dict[str, list[str]] = {
            f"distributed.{part}.http.routes": [] for part in ("scheduler", "worker")
        }  # pages for anybody
        with signals.holding_signals(), dask.config.set(quiet):  # Ctrl-C is ours
            cluster = LocalCluster(**options)
            return Client(cluster, set_as_default=False), cluster
    try:
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False), None
    except (OSError, ValueError) as error:
        raise ValueError(f"address: no Dask scheduler answers at {address}: {error}") from error


def _certificate() -> Any:
    """Return a certificate that is made for one cluster."""
    from distributed.security import Security

    with optional("dask"):
        import cryptography  # noqa: F401  (which Security needs, and says so less plainly)
    return Security.temporary()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Let nobody log that connections end, which a run that is broken off leaves in the middle of something."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        gc.collect()  # what was begun and never waited for complains when it is let go of
        logging.disable(before)


@contextlib.contextmanager
def opened(workers: int | None = None, address: str | None = None) -> Iterator[TaskMap]:
    """Give the map; the workers of a cluster that was there before stay, and forget the run."""
    with optional("dask"):
        import cloudpickle
        from distributed import as_completed
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker

    def send(payloads: Sequence[bytes]) -> Iterator[Any]:
        try:
            digests, data = lending()
            same = [[one] * len(payloads) for one in (digests, *data)]
            futures = client.map(call_with, payloads, *same, pure=False)
            places = {future.key: place for place, future in enumerate(futures)}
            answers: dict[int, Any] = {}
            wanted = 0
            for future, answer in as_completed(futures, loop=client.loop, with_results=True):
                if future.status != "finished":  # what it answers is an error then, which is not raised
                    raise MapError(GONE)
                answers[places[future.key]] = answer
                while wanted in answers:
                    yield answers.pop(wanted)
                    wanted += 1
        except KilledWorker as error:
            raise MapError("dask: several workers ended at the same task: their logs say why") from error
        except (CancelledError, CommClosedError) as error:
            raise MapError(GONE) from error

    def put(data: Any) -> Any:
        """Have a worker unpickle a data set, which another does again where that one is lost."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            return client.submit(pickle.loads, pickle.dumps(data, pickle.HIGHEST_PROTOCOL), pure=False)

    client, cluster = _client(workers, address)
    try:
        try:
            client.wait_for_workers(1, CONNECT_SECONDS)
        except TimeoutError as error:
            whose = f"address: no worker has come to the Dask scheduler at {address}"
            raise ValueError(whose if address is not None else "workers: none of Dask's has begun its work") from error
        client.run(_begin)
        if max(client.nthreads().values()) > 1:
            warnings.warn("threads of a Dask worker take turns: start workers with --nthreads 1", stacklevel=3)
        lending = Lending(put)
        yield TaskMap(send, lambda: max(1, len(client.nthreads())), cloudpickle.dumps)
    finally:
        with _quietly():
            if client.status == "running":  # where the scheduler is gone nobody can be told
                client.run(_forget, on_error="ignore")
            client.close()
            if cluster is not None:
                cluster.close()
