"""The map "dask": a cluster's workers, by `distributed.Client.map`."""

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
from deap_nn.breeding.slots import default_place, sweep
from deap_nn.core.environment import optional, processors
from deap_nn.core.errors import MapError
from deap_nn.core.seeding import busy
from deap_nn.data import registry
from deap_nn.maps.tasks import Lending, TaskMap, call_with, forget
from deap_nn.process import signals
from deap_nn.process.workers import GUARD, end_if_importing

CONNECT_SECONDS = 30.0
"""The time limit for a scheduler to answer, and for its first worker to connect."""

BUSY_SECONDS = 2.0
"""The time limit for the task of another run to end before a worker releases a run's data."""

GONE = "dask: the scheduler has ended or cannot be reached"


def _forget() -> None:
    """Release a run's data in a worker, which outlives the run."""
    # Not during the task of another run, which releases this run's data too.
    if busy.acquire(timeout=BUSY_SECONDS):
        try:
            task.forget()
            forget()
            registry.lend({})
        finally:
            busy.release()


def _client(workers: int | None, address: str | None) -> tuple[Any, Any]:
    """Return a client of the scheduler at an address and None, or of a new cluster on this host and the cluster."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    if address is not None:
        try:
            return Client(address, timeout=CONNECT_SECONDS, set_as_default=False), None
        except (OSError, ValueError) as error:
            raise ValueError(f"address: no Dask scheduler answers at {address}: {error}") from error
    no_pages: dict[str, list[str]] = {f"distributed.{part}.http.routes": [] for part in ("scheduler", "worker")}
    with signals.holding_signals(), dask.config.set(no_pages):  # Ctrl-C reaches only this process
        try:
            cluster = LocalCluster(
                n_workers=workers or processors(),
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs="CRITICAL",
                # Scheduler and workers run any code that they receive: only this process has the certificate.
                protocol="tls",
                security=Security.temporary(),
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # a free port: 8787 may be in use
            )
        except RuntimeError as error:
            again = f"if workers run the script as they import it, {GUARD}"
            raise MapError(f"dask: no worker has started ({error}): {again}") from error
        return Client(cluster, set_as_default=False), cluster


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence logging while connections close, since an aborted run leaves some in the middle of a message."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        gc.collect()  # coroutines that were never awaited log when they are collected
        logging.disable(before)


@contextlib.contextmanager
def opened(workers: int | None = None, address: str | None = None) -> Iterator[TaskMap]:
    """Yield the map; the workers of a cluster at an address stay, and release the run's data."""
    end_if_importing()
    with optional("dask"):
        import cloudpickle
        from distributed import as_completed
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker

    def send(payloads: Sequence[bytes]) -> Iterator[Any]:
        try:
            lent = lending()
            same = [[one] * len(payloads) for one in (tuple(lent), *lent.values())]
            futures = client.map(call_with, payloads, *same, pure=False)
            places = {future.key: place for place, future in enumerate(futures)}
            answers: dict[int, Any] = {}
            wanted = 0
            for future, answer in as_completed(futures, loop=client.loop, with_results=True):
                if future.status != "finished":  # then the result is an exception, which Dask does not raise
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
        """Let a worker unpickle a data set; Dask repeats this on another worker if that one is lost."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            return client.submit(pickle.loads, pickle.dumps(data, pickle.HIGHEST_PROTOCOL), pure=False)

    client, cluster = _client(workers, address)
    try:
        try:
            client.wait_for_workers(1, CONNECT_SECONDS)
        except TimeoutError as error:
            reason = f"address: no worker connects to the Dask scheduler at {address}: start one there"
            raise ValueError(reason if address is not None else "workers: no worker of Dask has started") from error
        client.run(lambda: sweep(default_place()))  # the files of killed runs on the workers' hosts
        lending = Lending(put)
        yield TaskMap(send, lambda: max(1, len(client.nthreads())), cloudpickle.dumps)
    finally:
        with _quietly():
            if client.status == "running":  # without a scheduler there are no workers to call
                client.run(_forget, on_error="ignore")
            client.close()
            if cluster is not None:
                cluster.close()
