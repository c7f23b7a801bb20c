"""Imports of optional and of large packages."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def optional(extra: str) -> Iterator[None]:
    """Name the command that installs an optional package, if the body does not find it.

    Parameters
    ----------
    extra : str
        The extra of this package that installs it.

    Raises
    ------
    ImportError
        If a package that the body imports is not installed.

    Examples
    --------
    >>> with optional("pandas"):
    ...     import no_such_package
    Traceback (most recent call last):
    ImportError: no_such_package is not installed: pip install -c constraints.txt -e '.[pandas]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        needed = f"{error.name} is not installed: pip install -c constraints.txt -e '.[{extra}]'"
        raise ImportError(needed, name=error.name) from error


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """Import a library in the body without a full pass of Python's garbage collector.

    Beside TensorFlow's objects such a pass takes a fifth of a second, and a library's objects, which all stay, are
    enough to cause it. Afterwards they count as old ones, which does not cause it either. Where the collector is off,
    or a program has frozen objects of its own, nothing is changed.
    """
    if not gc.isenabled() or gc.get_freeze_count():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # with `unfreeze` it moves the young objects to the old ones
        gc.unfreeze()
        gc.enable()
