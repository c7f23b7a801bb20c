"""Imports on demand: the names of a package, and optional packages."""

from __future__ import annotations

import contextlib
import gc
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def optional(extra: str) -> Iterator[None]:
    """Name the command that installs an optional package, if the body cannot import it.

    Parameters
    ----------
    extra : str
        The extra of this package that installs it.

    Raises
    ------
    ImportError
        If an import in the body fails.

    Examples
    --------
    >>> with optional("pandas"):
    ...     import no_such_package
    Traceback (most recent call last):
    ImportError: no_such_package is not installed: pip install -c constraints.txt -e '.[pandas]'
    """
    try:
        yield
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        found = f"{error.name} is not installed" if missing else f"{extra} cannot be imported ({error})"
        raise ImportError(f"{found}: pip install -c constraints.txt -e '.[{extra}]'", name=error.name) from error


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


def lazy(package: str, names: Mapping[str, Iterable[str]]) -> tuple[Callable[[str], Any], list[str]]:
    """Return the ``__getattr__`` (PEP 562) and ``__all__`` of a package that imports its names at first use.

    Parameters
    ----------
    package : str
        The package's name.
    names : mapping
        The names that each module, within ``deap_nn``, defines.
    """
    places = {name: module for module, defined in names.items() for name in defined}

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"deap_nn.{places[name]}"), name)

    return find, sorted(places)
