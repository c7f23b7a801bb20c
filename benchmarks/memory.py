"""The peak memory of a run: of all processes and the cache.

Run it with ``python benchmarks/memory.py`` on Linux. Ten times a second the proportional set sizes of SCOOP's launcher
and all its descendants are added up (``Pss`` of ``/proc/PID/smaps_rollup``, which shares out what processes share, the
pages of the cache that are in use too).
"""

from pathlib import Path

from common import DEFAULT, family, mnist, run


def memory(processes: list[int]) -> float:
    """Return the proportional set size of some processes in GiB."""
    total = 0
    for pid in processes:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # ended meanwhile
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 2**20


def peak(folder: Path, *options: object) -> float:
    """Return the peak memory of a run of 1,000 members."""
    seen = [0.0]
    mnist(folder, "--population", 1000, *options, watch=lambda root: seen.append(memory(family(root))))
    return max(seen)


def measure(folder: Path) -> dict[str, float]:
    """Measure all once."""
    return {
        "peak memory, 1,000 members, 100 parents, GiB": peak(folder / "mask", "--parents", 100, "--generations", 3),
        "peak memory, 1,000 members, --preset default, GiB": peak(folder / "default", *DEFAULT, "--generations", 3),
        "peak memory, 1,000 members, --preset article, GiB": peak(
            folder / "article", "--preset", "article", "--generations", 20
        ),
    }


if __name__ == "__main__":
    run(__file__, measure, unit="the CNN, two workers", repeats=1)
