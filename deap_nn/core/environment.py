"""The environment of a process, which decides the last bits of a fitness, and imports of optional packages."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import platform
import sys
import threading
from collections.abc import Iterator
from functools import lru_cache
from importlib import metadata
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

PINNED = ("deap-nn", "deap", "numpy", "tensorflow", "keras")
"""The packages that decide a run's numbers."""

VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "XLA_FLAGS")
"""The variables by which TensorFlow chooses its kernels."""

MOST_THREADS = 1024
"""The largest number of TensorFlow threads in a process: it starts all of them, even on fewer processors."""


def versions() -> dict[str, str]:
    """Return the versions of Python, the system and the packages that results depend on."""
    found = {"python": platform.python_version(), "system": platform.platform(), "processor": processor()}
    return found | {package: _version(package) for package in (*PINNED, "scoop")}


@lru_cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # TensorFlow is also distributed by other names
        return "not installed"


@lru_cache
def processor() -> str:
    """Return the name of the processor, and its instruction sets by which TensorFlow chooses kernels."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    flags = found.get("flags", found.get("Features", "")).split()  # the second on ARM, as the last two
    abilities = [flag for flag in flags if flag.startswith(("avx", "amx", "fma", "sve", "bf16"))]
    named = [found.get(name, "") for name in ("cpu family", "CPU implementer", "CPU part")]
    return " ".join([found.get("model name", platform.processor()), *named, *sorted(abilities)]).strip()


def environment() -> dict[str, str | None]:
    """Return the environment of this process by the names of its items, ready for JSON; None for a missing variable."""
    found: dict[str, str | None] = {package: _version(package) for package in PINNED}
    return found | {name: os.environ.get(name) for name in VARIABLES} | {"processor": processor()}


@lru_cache
def environment_digest() -> bytes:
    """Return a digest of the environment of this process."""
    return hashlib.blake2b(json.dumps(environment()).encode(), digest_size=8).digest()


def let_tensorflow_have(threads: int) -> None:
    """Limit TensorFlow's threads in this process and its child processes, unless the user has set a limit.

    It takes effect before TensorFlow is imported. A script may build a model before a toolbox sets the number of
    threads. TensorFlow then starts one thread per processor, and another number of threads gives other bits.
    """
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, str(threads))


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


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


EXTRAS = ("matplotlib", "pandas", "sklearn")
"""The optional libraries of Keras: they take a third of the time of its import."""

_left_out: list[bool] = []


def leave_out_extras() -> None:
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
    """Hide the extras from the imports of the body, if `leave_out_extras` was called; other threads still find them."""
    if not _left_out:
        yield
        return
    finder = _Without()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
