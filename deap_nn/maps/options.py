"""The command-line options that choose a map."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator

from deap_nn.core.errors import InputError
from deap_nn.maps import MAPS, Map, maps_taking, open_map
from deap_nn.process.cli import Parser, integer

MAP_OPTIONS = ("map", "workers", "scheduler")
"""The options: they choose the processes that do the work, and do not change a run's result."""


def add_map_options(parser: Parser) -> None:
    """Add ``--map``, ``--workers`` and ``--scheduler``."""
    add = parser.groups["speed"].add_argument
    add("--map", choices=MAPS, help="distributes the work [scoop under SCOOP, else serial]")
    started = f"{', '.join(maps_taking('workers'))}: local workers [one per core]"
    add("--workers", type=integer(1), metavar="N", help=started)
    joined = f"{', '.join(maps_taking('address'))}: address of a running cluster [start one]"
    add("--scheduler", metavar="ADDRESS", help=joined)


@contextlib.contextmanager
def chosen_map(options: argparse.Namespace) -> Iterator[Map]:
    """Open the map of the command line, or raise `InputError`."""
    for option, takers in (("workers", maps_taking("workers")), ("scheduler", maps_taking("address"))):
        if getattr(options, option) is not None and options.map not in takers:
            *first, last = takers
            raise InputError(f"argument --{option}: needs --map {', '.join(first)} or {last}")
    if options.workers is not None and options.scheduler is not None:
        raise InputError("argument --workers: cannot be given with --scheduler: that cluster has its own")
    with contextlib.ExitStack() as stack:
        try:
            opened = open_map(options.map, workers=options.workers, address=options.scheduler)
            map_ = stack.enter_context(opened)
        except (ValueError, ImportError) as error:
            raise InputError(f"argument --map: {error}") from error
        yield map_
