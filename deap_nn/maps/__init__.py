"""Maps that distribute a run: SCOOP, serial, processes of this host, Dask, Ray and MPI."""

from __future__ import annotations

import argparse
import contextlib
import importlib
from collections.abc import Iterator
from typing import Literal, get_args

from deap_nn.core.arguments import check_count, did_you_mean
from deap_nn.core.errors import InputError, MapError
from deap_nn.maps.tasks import Map, SharedMap
from deap_nn.process.cli import Parser, integer
from deap_nn.process.workers import running_under_scoop

MapName = Literal["scoop", "serial", "processes", "dask", "ray", "mpi"]

MAPS: tuple[MapName, ...] = get_args(MapName)
"""The names of the maps. Each but "serial" is a module of this folder with a context manager ``opened``."""

STARTING: tuple[MapName, ...] = ("processes", "dask", "ray")
"""The maps that start workers: they take the number of them."""

JOINING: tuple[MapName, ...] = ("dask", "ray")
"""The maps that can join a cluster: they take its address."""

__all__ = ["JOINING", "MAPS", "STARTING", "Map", "MapError", "MapName", "open_map"]


@contextlib.contextmanager
def open_map(name: MapName | None = None, *, workers: int | None = None, address: str | None = None) -> Iterator[Map]:
    """Open a map for a toolbox, as a context manager; on exit the workers and cluster that it started end.

    ``evolve`` returns the same bytes with each map. A script needs ``if __name__ == "__main__":`` around its code,
    since worker processes import it.

    Parameters
    ----------
    name : {"scoop", "serial", "processes", "dask", "ray", "mpi"}, optional
        The map. Default: "scoop" under ``python -m scoop``, otherwise "serial", which is Python's own ``map``.
        "processes" uses `concurrent.futures` on this host, "dask" and "ray" the hosts of a cluster, and "mpi" the
        ranks of ``mpiexec -n N python -m mpi4py.futures SCRIPT``, of which the first runs only the script.
    workers : int, optional
        The number of processes that "processes", "dask" and "ray" start on this host, at least 1. Default: one for each
        processor.
    address : str, optional
        The address of a Dask scheduler (``tcp://alpha:8786``) or Ray cluster (``auto``, ``alpha:6379``) to join.
        Default: start one.

    Yields
    ------
    callable
        A map, to be registered as a toolbox's ``map``. Its attribute ``workers``, if it has one, is the number of
        processes that share the work.

    Raises
    ------
    ValueError
        If the map does not take an argument, or no cluster answers at the address; under ``python -m scoop`` for any
        map but "scoop".
    ImportError
        If the map's package is missing: ``pip install -c constraints.txt -e '.[NAME]'``.
    MapError
        From a call of the map, if workers end before their tasks are done.

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
        raise ValueError(f"under python -m scoop the map must be scoop, got {name}: leave it out")
    given: dict[str, int | str] = {}
    if workers is not None:
        given["workers"] = check_count(workers, "workers")
    if address is not None:
        given["address"] = address
    for argument, takers in (("workers", STARTING), ("address", JOINING)):
        if argument in given and name not in takers:
            raise ValueError(f"{argument} needs the map {' or '.join(takers)}, got {name}")
    if len(given) == 2:
        raise ValueError("workers cannot be given with an address: the cluster there has its own")
    if name == "serial":
        yield map
        return
    opened = importlib.import_module(f"deap_nn.maps.{name}").opened
    with opened(**given) as map_, contextlib.closing(SharedMap(map_)) as shared:
        yield shared


MAP_OPTIONS = ("map", "workers", "scheduler")
"""The options: they choose the processes that do the work, and do not change a run's result."""


def add_map_options(parser: Parser) -> None:
    """Add ``--map``, ``--workers`` and ``--scheduler``."""
    add = parser.groups["speed"].add_argument
    add("--map", choices=MAPS, help="distributes the work [scoop under SCOOP, else serial]")
    add("--workers", type=integer(1), metavar="N", help=f"{', '.join(STARTING)}: local workers [one per core]")
    joined = f"{', '.join(JOINING)}: address of a running cluster [start one]"
    add("--scheduler", metavar="ADDRESS", help=joined)


@contextlib.contextmanager
def chosen_map(options: argparse.Namespace) -> Iterator[Map]:
    """Open the map of the command line, or raise `InputError`."""
    with contextlib.ExitStack() as stack:
        try:
            map_ = stack.enter_context(open_map(options.map, workers=options.workers, address=options.scheduler))
        except (ValueError, ImportError) as error:
            raise InputError(f"argument --map: {error}") from error
        yield map_
