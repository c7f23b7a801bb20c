"""What decides the last bits of a fitness in a process: versions, TensorFlow's variables and threads, processor."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import warnings
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = "deap-nn"
"""This package by its name on an index."""

PINNED = ("deap", "numpy", "tensorflow", "keras")
"""The packages on whose versions a run's numbers depend: with others a run goes on only when told to."""

VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "XLA_FLAGS")
"""The variables by which TensorFlow chooses its kernels."""

THREAD_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

MOST_THREADS = 1024
"""TensorFlow is given no more threads: it starts them all, whatever the number of processors is."""


class EnvironmentDiffersError(RuntimeError):
    """A process computes other bits than the one that began the run; the message names the difference."""


class Expected(NamedTuple):
    """The environment that each process of a run must have: that of its leader, the process that began or resumed it.

    ``leader`` names that process, as `this_process` does. With ``force`` a difference is a warning.
    """

    environment: Mapping[str, Any]
    leader: tuple[str, int]
    force: bool = False


def this_process() -> tuple[str, int]:
    """Return the name of this host, and the number of this process."""
    return platform.node(), os.getpid()


def versions() -> dict[str, str]:
    """Return the versions of Python, the system and the packages that results depend on."""
    packages = (PACKAGE, "deap", "numpy", "tensorflow", "keras", "scoop")
    found = {"python": platform.python_version(), "system": platform.platform(), "processor": processor()}
    return found | {package: _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return _installed(package)
    except metadata.PackageNotFoundError:  # TensorFlow is also distributed by other names
        return str(getattr(sys.modules.get(package), "__version__", "not installed"))


@lru_cache
def _installed(package: str) -> str:
    return metadata.version(package)


@lru_cache
def processor() -> str:
    """Name the processor and those of its abilities that TensorFlow chooses its kernels by."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    flags = found.get("flags", found.get("Features", "")).split()  # the second on ARM, as the last two
    abilities = [flag for flag in flags if flag.startswith(("avx", "amx", "fma", "sve", "bf16"))]
    named = [found.get(name, "") for name in ("cpu family", "CPU implementer", "CPU part")]
    return " ".join([found.get("model name", platform.processor()), *named, *sorted(abilities)]).strip()


def environment() -> dict[str, Any]:
    """Return the environment of this process, ready for JSON; its threads are None before TensorFlow is imported."""
    return {
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "versions": {package: _version(package) for package in PINNED},
        "threads": _threads(),
        "processor": processor(),
        "package": _version(PACKAGE),
    }


def warn_of_other_package(recorded: str | None, *, stacklevel: int) -> None:
    """Warn if a run was made with another version of this package, naming both."""
    here = _version(PACKAGE)
    if recorded != here:
        warnings.warn(f"the run was made with {PACKAGE} {recorded}, this is {here}", stacklevel=stacklevel + 1)


def _threads() -> list[int] | None:
    """Return how many threads TensorFlow has within an operation and for several."""
    tensorflow: Any = sys.modules.get("tensorflow")
    if tensorflow is None:
        return None
    limits = tensorflow.config.threading
    told = (limits.get_intra_op_parallelism_threads(), limits.get_inter_op_parallelism_threads())
    asked = (os.environ.get(name, "") for name in THREAD_VARIABLES)
    return [
        limit or (int(text) if text.isdigit() else 0) or processors() for limit, text in zip(told, asked, strict=True)
    ]


def difference(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> str | None:
    """Name the first difference between two environments, with both values, or return None.

    The processor and the version of this package may differ.
    """
    for part in ("variables", "versions"):
        was, now = recorded[part], present[part]
        for name in sorted(was.keys() | now.keys()):
            if was.get(name) != now.get(name):
                return f"{name} was {_shown(was.get(name))} where the run began, and is {_shown(now.get(name))}"
    was, now = recorded["threads"], present["threads"]
    if None not in (was, now) and was != now:
        helps = " and ".join(f"{name}={number}" for name, number in zip(THREAD_VARIABLES, was, strict=True))
        has = f"has {now[0]} and {now[1]} ({helps} in its environment make them the same)"
        return f"TensorFlow had {was[0]} and {was[1]} threads where the run began, and {has}"
    return None


def _shown(value: str | None) -> str:
    return "not set" if value is None else repr(value)


def let_tensorflow_have(threads: int) -> None:
    """Limit TensorFlow's threads in this process and those that it starts, unless the user has, before it is imported.

    A script may build a model before a toolbox says how many it is to have, and then it has as many as there are
    processors: in another number in another process, which gives other bits.
    """
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
