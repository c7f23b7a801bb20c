"""The command-line options that choose a map."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator

from deap_nn.core.errors import InputError
from deap_nn.maps import JOINING, MAPS, STARTING, Map, open_map
from deap_nn.process.cli import Parser, integer

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
