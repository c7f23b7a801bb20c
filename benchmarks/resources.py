"""What a run takes of the machine: its peak memory, of all processes and the cache, and how busy the cores are.

Run it with ``python benchmarks/resources.py`` on Linux. Ten times a second the proportional set sizes of SCOOP's
launcher and all its descendants are added up (``Pss`` of ``/proc/PID/smaps_rollup``, which shares out what processes
share, the cache's pages too), and once a generation their processor time is read, from the end of generation 2 to that
of the last.
"""

import os
import time
from pathlib import Path

from common import mnist, run

TICK = os.sysconf("SC_CLK_TCK")


def family(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.name))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting.extend(parents.get(found[-1], ()))
    return found


def memory(processes: list[int]) -> float:
    """Return the proportional set size of some processes in GiB."""
    total = 0
    for pid in processes:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 2**20


def processor_seconds(processes: list[int]) -> float:
    """Return how many seconds some processes have run."""
    total = 0
    for pid in processes:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICK


class Watch:
    """Look at a run: its peak memory, or the share of two cores that it used from the end of generation 2 on.

    Reading the memory of processes takes time from them, so it is one or the other.
    """

    def __init__(self, folder: Path, *, memory: bool) -> None:
        self.timing = folder / "timing.csv"
        self.memory = memory
        self.peak = 0.0
        self.marks: list[tuple[int, float, float]] = []

    def __call__(self, root: int) -> None:
        if self.memory:
            self.peak = max(self.peak, memory(family(root)))
            return
        rows = self.timing.read_text().count("\n") - 1 if self.timing.exists() else 0
        if rows >= 3 and (not self.marks or rows > self.marks[-1][0]):
            self.marks.append((rows, time.perf_counter(), processor_seconds(family(root))))

    @property
    def busy(self) -> float:
        """The share of two cores."""
        (_, begun, used), (_, ended, total) = self.marks[0], self.marks[-1]
        return (total - used) / (ended - begun) / 2


def measure(folder: Path) -> dict[str, float]:
    """Measure all once."""
    thousand, article = (Watch(folder / name, memory=True) for name in ("thousand", "article"))
    two = Watch(folder / "two", memory=False)
    mnist(folder / "thousand", "--population", 1000, "--parents", 100, "--generations", 3, watch=thousand)
    mnist(folder / "article", "--preset", "article", "--population", 1000, "--generations", 20, watch=article)
    mnist(folder / "two", "--population", 200, "--parents", 20, "--generations", 20, watch=two)
    return {
        "peak memory, 1,000 members, 100 parents, GiB": thousand.peak,
        "peak memory, 1,000 members, --preset article, GiB": article.peak,
        "share of two cores in use, 200 members, 20 parents": two.busy,
    }


if __name__ == "__main__":
    run(__file__, measure, unit="the CNN, two workers", repeats=1)
