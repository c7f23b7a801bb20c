"""The map "serial": Python's own ``map``, in one process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any


@contextlib.contextmanager
def opened() -> Iterator[Callable[..., Iterable[Any]]]:
    """Yield the map."""
    yield map
