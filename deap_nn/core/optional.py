"""What is imported when it is needed: names of a package, and packages that are there only where somebody asked."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def optional(extra: str) -> Iterator[None]:
    """Say in one line how to install what the body imports, where it is missing.

    Parameters
    ----------
    extra : str
        The extra of this package that has it.

    Raises
    ------
    ImportError
        If an import in the body fails.

    Examples
    --------
    >>> with optional("pandas"):
    ...     import no_such_package
    Traceback (most recent call last):
    ImportError: no_such_package is not installed: pip install 'deap-nn[pandas]'
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed: pip install 'deap-nn[{extra}]'", name=error.name) from error


def lazy(package: str, places: Mapping[str, str], name: str) -> Any:
    """Return what a package names, from the module that has it: for the package's ``__getattr__`` (PEP 562).

    Parameters
    ----------
    package : str
        The package's name.
    places : mapping
        By name the module, within ``deap_nn``, that has it.
    name : str
        The name that is looked for.

    Raises
    ------
    AttributeError
        If the package has no such name.
    """
    if name not in places:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"deap_nn.{places[name]}"), name)
