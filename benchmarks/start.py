"""How long the CNN takes, with 200 members, from the command to the end of generation 0, here and in the naive port.

Run it with ``make bench-peers`` once and ``python benchmarks/start.py``, with two workers. What a first run ever
compiles is compiled before.
"""

import time
from pathlib import Path

from common import ES, mnist, peer_output, run

SIZES = ("--population", 200, "--generations", 1)


def ours(folder: Path, *options: object) -> float:
    """Return our seconds."""
    begun = time.time()
    ended: list[float] = []

    def watch(pid: int) -> None:
        timing = folder / "timing.csv"
        if not ended and timing.exists() and timing.read_text().count("\n") > 1:
            ended.append(timing.stat().st_mtime if timing.read_text().count("\n") == 2 else time.time())

    mnist(folder, *SIZES, *options, watch=watch)
    return ended[0] - begun


def measure(folder: Path) -> dict[str, float]:
    """Measure both once."""
    output, begun = peer_output("naive", "cnn", 200, 1, scoop=True)
    return {
        "deap_nn": ours(folder / "ours", "--parents", 20),
        "deap_nn, --preset es": ours(folder / "default", *ES),
        "naive DEAP, TensorFlow and SCOOP": float(output.split("generation 0 ends at ")[1].split()[0]) - begun,
    }


if __name__ == "__main__":
    run(__file__, measure, unit="seconds from the command to the end of generation 0, the CNN, two workers")
