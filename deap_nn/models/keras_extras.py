"""Keras without the optional libraries that it imports if they are installed, for wrappers, pictures and tables."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from typing import Any

EXTRAS = ("matplotlib", "pandas", "sklearn")
"""The optional libraries of Keras: they take a third of the time of its import."""

_left_out: list[bool] = []


def leave_out() -> None:
    """Let this process import Keras without its extras, for a program that does not use them.

    Call it before anything imports Keras. ``keras.wrappers`` and ``keras.visualization`` then report that a library is
    not installed. The program itself can still import it.
    """
    _left_out.append(True)


class _Without(MetaPathFinder):
    """A finder that hides the extras from the thread that made it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        """Raise ModuleNotFoundError for an extra; leave other modules to other finders."""
        if name in EXTRAS and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"Keras is imported without {name}", name=name)


@contextlib.contextmanager
def extras_hidden() -> Iterator[None]:
    """Hide the extras from the imports of the body, if `leave_out` was called; other threads still find them."""
    if not _left_out:
        yield
        return
    finder = _Without()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
