"""The peak memory of a run: of all processes and the cache.

Run it with ``python benchmarks/memory.py`` on Linux. Ten times a second the proportional set sizes of SCOOP's launcher
and all its descendants are added up (psutil's ``pss``, which shares out what processes share, the pages of the
cache that are in use too).
"""

import contextlib
from pathlib import Path

import psutil
from common import ES, family, mnist, run


def memory(processes: list[psutil.Process]) -> float:
    """Return the proportional set size of some processes in GiB."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile
            total += process.memory_full_info().pss
    return total / 2**30


def peak(folder: Path, *options: object) -> float:
    """Return the peak memory of a run of 1,000 members."""
    seen = [0.0]
    mnist(folder, "--population", 1000, *options, watch=lambda root: seen.append(memory(family(root))))
    return max(seen)


def measure(folder: Path) -> dict[str, float]:
    """Measure all once."""
    return {
        "peak memory, 1,000 members, 100 parents, GiB": peak(folder / "two", "--parents", 100, "--generations", 3),
        "peak memory, 1,000 members, --preset es, GiB": peak(folder / "default", *ES, "--generations", 3),
        "peak memory, 1,000 members, --preset article, GiB": peak(
            folder / "article", "--preset", "article", "--generations", 20
        ),
    }


if __name__ == "__main__":
    run(__file__, measure, unit="the CNN, two workers", repeats=1)
