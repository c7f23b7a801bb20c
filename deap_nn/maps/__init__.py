"""The maps that share a run's work: SCOOP's, one process, this host's processes, Dask, Ray and MPI."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, get_args

from deap_nn.core.arguments import did_you_mean
from deap_nn.core.errors import MapError
from deap_nn.maps.shared import SharedMap
from deap_nn.maps.tasks import TaskMap
from deap_nn.process.workers import running_under_scoop

Map = Callable[..., Iterable[Any]]
MapName = Literal["scoop", "serial", "processes", "dask", "ray", "mpi"]

MAPS: tuple[MapName, ...] = get_args(MapName)
"""The maps by name; each is a module of this folder, whose ``opened`` gives it."""

Argument = Literal["workers", "address"]
"""What some maps are told: how many workers to start, or the cluster to join."""

__all__ = ["MAPS", "Map", "MapError", "MapName", "maps_taking", "open_map"]


def maps_taking(argument: Argument) -> tuple[MapName, ...]:
    """Return the maps whose ``opened`` takes an argument."""
    return tuple(name for name in MAPS if argument in inspect.signature(_opened(name)).parameters)


def _opened(name: MapName) -> Callable[..., contextlib.AbstractContextManager[Map]]:
    opened: Callable[..., contextlib.AbstractContextManager[Map]]
    opened = importlib.import_module(f"deap_nn.maps.{name}").opened
    return opened


@contextlib.contextmanager
def open_map(name: MapName | None = None, *, workers: int | None = None, address: str | None = None) -> Iterator[Map]:
    """Give a map for a toolbox, with its workers, and end what it started when the body is left.

    ``evolve`` gives the same bytes with each. A script that uses one guards what it runs by
    ``if __name__ == "__main__":``, since worker processes import it.

    Parameters
    ----------
    name : {"scoop", "serial", "processes", "dask", "ray", "mpi"}, optional
        Which one. Left out, SCOOP's under ``python -m scoop`` and otherwise "serial", which is Python's own ``map``.
        "processes" are `concurrent.futures`' on this host; "dask" and "ray" go over a cluster's hosts; "mpi" over the
        ranks of ``mpiexec -n N python -m mpi4py.futures SCRIPT``, of which one only waits.
    workers : int, optional
        How many processes "processes", "dask" and "ray" start on this host, at least 1; one for each processor if left
        out.
    address : str, optional
        Of the Dask scheduler (``tcp://alpha:8786``) or Ray cluster (``auto``, ``alpha:6379``) to join instead of
        starting one.

    Yields
    ------
    callable
        A map, to be registered as a toolbox's ``map``. Its attribute ``workers`` says how many processes share the
        work, where that is not this one alone.

    Raises
    ------
    ValueError
        If an argument is not for this map, or nobody answers at the address; under ``python -m scoop`` for any map but
        SCOOP's.
    ImportError
        If the package is missing: ``pip install 'deap-nn[NAME]'``.
    MapError
        From the map, if workers end before their tasks are done.

    Examples
    --------
    >>> from deap_nn import evolve, make_toolbox
    >>> toolbox = make_toolbox("mlp", "mnist5k", seed=1)
    >>> with open_map("processes", workers=1) as map_:
    ...     toolbox.register("map", map_)
    ...     population, logbook = evolve(toolbox.population(n=4), toolbox, 1, seed=1)
    >>> logbook.select("gen")
    [0, 1]
    """
    if name is None:
        name = "scoop" if running_under_scoop() else "serial"
    if name not in MAPS:
        raise ValueError(f"name must be one of {', '.join(MAPS)}, got {name!r}{did_you_mean(name, MAPS)}")
    if running_under_scoop() and name != "scoop":
        raise ValueError(f"under python -m scoop the map is SCOOP's, so it cannot be {name}")
    asked: dict[Argument, Any] = {"workers": workers, "address": address}
    given = {argument: value for argument, value in asked.items() if value is not None}
    for argument in given:
        if name not in maps_taking(argument):
            raise ValueError(f"{argument} is for {', '.join(maps_taking(argument))}, and not for {name}")
    if workers is not None and address is not None:
        raise ValueError("workers are not started where an address says that there are some")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ValueError(f"workers must be an integer of at least 1, got {workers!r}")
    with _opened(name)(**given) as map_:
        if not isinstance(map_, TaskMap):
            yield map_
            return
        with contextlib.closing(SharedMap(map_)) as shared:
            yield shared
