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
from deap_nn.core.registered import Traits
from deap_nn.maps.scoop import repairs
from deap_nn.maps.shared import SharedMap
from deap_nn.process import workers
from deap_nn.process.workers import GUARD, LAUNCHED, end_with_parent, running_under_scoop


@contextlib.contextmanager
def opened() -> Iterator[Callable[..., Iterable[Any]]]:
    """Yield the map; SCOOP starts and ends its workers."""
    if not workers.running_under_scoop():
        raise ValueError("scoop needs python -m scoop, or python -m deap_nn.launch")
    yield current_map()


def current_map() -> Callable[..., Iterable[Any]]:
    """Return SCOOP's map under ``python -m scoop``, and the built-in ``map`` otherwise.

    SCOOP's map is wrapped in a `SharedMap`, which keeps the weights of individuals in shared memory and sends names.
    It raises `MapError` for a function that does not pickle, such as a lambda.
    """
    if not running_under_scoop():
        return map
    return SharedMap(_scoop_map)


def _scoop_map(function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
    """Map with SCOOP; late tasks are computed again if the function allows it."""
    if sys.modules["scoop"]._control.current is None:  # this worker still imports the script
        raise MapError(f"scoop: each worker runs {sys.modules['scoop'].MAIN_MODULE} as it imports it: {GUARD}")
    _check_sendable(function)
    if len(iterables) == 1 and Traits(function).may_be_done_twice:
        return repairs.first_answers(function, iterables[0])
    from scoop import futures

    answers: Iterable[Any] = futures.map(function, *iterables)
    return answers


def _check_sendable(function: Any) -> None:
    """Raise MapError if a function does not pickle, before SCOOP fails with pages of tracebacks."""
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        name = None
        while (inner := getattr(function, "func", None) or getattr(function, "function", None)) is not None:
            name = name or getattr(function, "__name__", None)  # a toolbox gives its partial calls names
            function = inner
        place = getattr(function, "__qualname__", "")
        if place.endswith("<lambda>"):
            reason = "a lambda"
        elif "<locals>" in place:
            reason = f"a function inside {place.rpartition('.<locals>')[0]}"
        else:
            raise MapError(f"{name or place or function} cannot be sent to SCOOP's workers: {error}") from None
        raise MapError(
            f"{name or 'the function'} is {reason}: SCOOP finds functions by name, so define it with def at the top of "
            "the module"
        ) from None


def prepare_worker(*modules: str) -> None:
    """Make a SCOOP worker end silently on Ctrl-C, and when its launcher has ended; other processes are not changed.

    Call it while the script is imported. A terminal sends Ctrl-C to every process; only the origin saves its state.

    Parameters
    ----------
    *modules : str
        Modules that the first task needs, such as ``"deap_nn.problems.measures"``: they are imported in advance.
    """
    if not running_under_scoop():
        return
    if sys.modules["scoop"].IS_ORIGIN:
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    if LAUNCHED not in os.environ:  # `deap_nn.launch` does this itself
        end_with_parent(signal.SIGTERM)
        if os.getppid() == 1:
            os._exit(1)
    threading.Thread(target=lambda: [importlib.import_module(name) for name in modules], daemon=True).start()
