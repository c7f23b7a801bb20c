"""How busy the cores are: the share of two that a run with two workers uses, whole generations.

Run it with ``python benchmarks/cores.py`` on Linux. Once a generation the processor time of SCOOP's launcher and all
its descendants is read; the share is what they used from the end of generation 2 to the end of the last, over twice the
time that passed.
"""

import contextlib
import time
from pathlib import Path

import psutil
from common import ES, family, mnist, run


def processor_seconds(processes: list[psutil.Process]) -> float:
    """Return how many seconds some processes have run."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile
            times = process.cpu_times()
            total += times.user + times.system
    return total


class Watch:
    """Note the time and the processor time whenever a generation has ended."""

    def __init__(self, folder: Path) -> None:
        self.timing = folder / "timing.csv"
        self.marks: list[tuple[int, float, float]] = []

    def __call__(self, root: int) -> None:
        rows = self.timing.read_text().count("\n") - 1 if self.timing.exists() else 0
        if rows >= 3 and (not self.marks or rows > self.marks[-1][0]):
            self.marks.append((rows, time.perf_counter(), processor_seconds(family(root))))

    @property
    def busy(self) -> float:
        """The share of two cores."""
        (_, begun, used), (_, ended, total) = self.marks[0], self.marks[-1]
        return (total - used) / (ended - begun) / 2


def share(folder: Path, *options: object) -> float:
    """Return the share of two cores that a run uses."""
    watch = Watch(folder)
    mnist(folder, "--population", 200, "--generations", 12, *options, watch=watch)
    return watch.busy


def measure(folder: Path) -> dict[str, float]:
    """Measure once."""
    return {
        "share of two cores in use, 200 members, 20 parents": share(folder / "two", "--parents", 20),
        "share of two cores in use, 200 members, --preset es": share(folder / "default", *ES),
    }


if __name__ == "__main__":
    run(__file__, measure, unit="the CNN, two workers")
