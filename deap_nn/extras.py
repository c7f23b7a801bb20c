"""Packages that are there only where somebody asked for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


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
