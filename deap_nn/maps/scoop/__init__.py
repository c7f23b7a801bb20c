"""SCOOP's map, under ``python -m scoop``."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from deap_nn.core.errors import MapError
from deap_nn.maps.scoop import repairs
from deap_nn.maps.tasks import Map, SharedMap
from deap_nn.process.workers import GUARD, LAUNCHED, end_with_parent, running_under_scoop


@contextlib.contextmanager
def opened() -> Iterator[Map]:
    """Yield the map; SCOOP starts and ends its workers."""
    if not running_under_scoop():
        raise ValueError("scoop needs python -m scoop, or python -m deap_nn.launch")
    yield _scoop_map


def current_map() -> Map:
    """Return SCOOP's map under ``python -m scoop``, and the built-in ``map`` otherwise.

    SCOOP's map is wrapped in a `SharedMap`, which keeps the weights of individuals in shared memory and sends names.
    It raises `MapError` for a function that does not pickle, such as a lambda.
    """
    return SharedMap(_scoop_map) if running_under_scoop() else map


def _scoop_map(function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
    """Map with SCOOP; late tasks are computed again if the function allows it."""
    from scoop import _control, futures

    if _control.current is None:  # this worker still imports the script
        raise MapError(f"scoop: each worker runs {sys.modules['scoop'].MAIN_MODULE} as it imports it: {GUARD}")
    try:  # before SCOOP fails with pages of tracebacks, or waits for ever
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise MapError(
            f"a function cannot be sent to SCOOP's workers, define it with def at the top of the module: {error}"
        ) from None
    if len(iterables) == 1 and getattr(function, "may_be_done_twice", False):
        return repairs.first_answers(function, iterables[0])
    answers: Iterable[Any] = futures.map(function, *iterables)
    return answers


def prepare_worker(*modules: str) -> None:
    """Make a SCOOP worker end silently on Ctrl-C, and when its launcher has ended; other processes are not changed.

    Call it while the script is imported. A terminal sends Ctrl-C to every process; only the origin saves its state.

    Parameters
    ----------
    *modules : str
        Modules that the first task needs, such as ``"deap_nn.problems.evaluate"``: they are imported in advance.
    """
    if not running_under_scoop() or sys.modules["scoop"].IS_ORIGIN:
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    if LAUNCHED not in os.environ:  # `deap_nn.launch` does this itself
        end_with_parent(signal.SIGTERM)
        if os.getppid() == 1:
            os._exit(1)
    threading.Thread(target=lambda: [importlib.import_module(name) for name in modules], daemon=True).start()
