"""Keras without the libraries that it imports where they are installed, for its wrappers, pictures and tables."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from typing import Any

EXTRAS = ("matplotlib", "pandas", "sklearn")
"""What Keras tries to import and goes without: they take a third of the time that its import takes."""

_left_out: list[bool] = []


def leave_out() -> None:
    """Let this process import Keras without its extras: for a program that has no use for them.

    Call it before anything imports Keras. ``keras.wrappers`` and ``keras.visualization`` then say
    that a library is not installed; the program itself can import it as ever.
    """
    _left_out.append(True)


class _Without(MetaPathFinder):
    """Says, to the thread that made it, that the extras are not there."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        """Raise for an extra, and leave all else to others."""
        if name in EXTRAS and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"Keras is imported without {name}", name=name)


@contextlib.contextmanager
def left_out_if_asked() -> Iterator[None]:
    """Import in the body without the extras, where `leave_out` was called; other threads find them."""
    if not _left_out:
        yield
        return
    finder = _Without()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
