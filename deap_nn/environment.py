"""What of a process decides the last bits of a fitness: versions, TensorFlow's variables and threads, the processor."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from deap_nn.parallel import processors, running_under_scoop, worker_count

PINNED = ("deap", "numpy", "tensorflow", "keras")
"""The packages on whose versions a run's numbers depend: with others a run goes on only when told to."""

VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "XLA_FLAGS")
"""The variables by which TensorFlow chooses its kernels."""

THREAD_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


class EnvironmentDiffersError(RuntimeError):
    """A process computes other bits than the one that began the run; the message names what differs."""


class Expected(NamedTuple):
    """What a process of a run is held against: the environment of the one that began it, unless it is to go on."""

    environment: Mapping[str, Any]
    force: bool = False


def versions() -> dict[str, str]:
    """Return the versions of Python, the system and the packages that results depend on."""
    packages = ("deap-nn", "deap", "numpy", "tensorflow", "keras", "scoop")
    found = {"python": platform.python_version(), "system": platform.platform(), "processor": processor()}
    return found | {package: _version(package) for package in packages}


@lru_cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@lru_cache
def processor() -> str:
    """Name the processor and those of its abilities that TensorFlow chooses its kernels by."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    abilities = [flag for flag in found.get("flags", "").split() if flag.startswith(("avx", "amx", "fma", "sve"))]
    return " ".join([found.get("model name", platform.processor()), found.get("cpu family", ""), *sorted(abilities)])


def environment(map_: Callable[..., Any] | None = None) -> dict[str, Any]:
    """Return what decides this process' bits, ready for JSON.

    Parameters
    ----------
    map_ : callable, optional
        The map of a run that this process leads. The threads are None if it leaves all scoring to others, and as long
        as it has no TensorFlow.
    """
    scores = map_ is None or running_under_scoop() or worker_count(map_) == 1
    return {
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "versions": {package: _version(package) for package in PINNED},
        "threads": _threads() if scores else None,
        "processor": processor(),
    }


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
    """Return what differs between two environments, with both values, or None; the processor does not count."""
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
