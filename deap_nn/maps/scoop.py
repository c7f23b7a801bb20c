"""SCOOP's map, under ``python -m scoop``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from deap_nn import parallel


@contextlib.contextmanager
def opened() -> Iterator[Callable[..., Iterable[Any]]]:
    """Give the map; SCOOP has started its workers, and ends them."""
    if not parallel.running_under_scoop():
        raise ValueError("scoop needs python -m scoop, or python -m deap_nn.launch")
    yield parallel.current_map()
