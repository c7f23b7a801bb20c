"""The environment of a process, which decides the last bits of a fitness: versions, variables, threads, processor."""

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
"""The name of this package in the metadata of installed packages."""

PINNED = ("deap", "numpy", "tensorflow", "keras")
"""The packages that decide a run's numbers: with other versions of them a run resumes only by force."""

VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "XLA_FLAGS")
"""The variables by which TensorFlow chooses its kernels."""

THREAD_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

MOST_THREADS = 1024
"""The largest number of TensorFlow threads in a process: it starts all of them, even on fewer processors."""


class EnvironmentDiffersError(RuntimeError):
    """The environment of a process gives other bits than that of the run's leader; the message names the difference."""


class Expected(NamedTuple):
    """The environment that each process of a run must have: that of its leader, the process that began or resumed it.

    ``leader`` names that process, as `this_process` does. With ``force`` a difference is a warning.
    """

    environment: Mapping[str, Any]
    leader: tuple[str, int]
    force: bool = False


def this_process() -> tuple[str, int]:
    """Return the name of this host and the id of this process."""
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
    """Return the number of TensorFlow's threads within an operation and across operations; None if not imported."""
    tensorflow: Any = sys.modules.get("tensorflow")
    if tensorflow is None:
        return None
    limits = tensorflow.config.threading
    set_here = (limits.get_intra_op_parallelism_threads(), limits.get_inter_op_parallelism_threads())
    texts = (os.environ.get(name, "") for name in THREAD_VARIABLES)
    return [  # a limit of 0 is not set: TensorFlow then takes one thread per processor
        limit or (int(text) if text.isdigit() else 0) or processors()
        for limit, text in zip(set_here, texts, strict=True)
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
    """Limit TensorFlow's threads in this process and its child processes, unless the user has set a limit.

    It takes effect before TensorFlow is imported. A script may build a model before a toolbox sets the number of
    threads. TensorFlow then starts one thread per processor, and another number of threads gives other bits.
    """
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
