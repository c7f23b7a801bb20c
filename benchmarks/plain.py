"""Milliseconds per child of the plain way, where weights travel through the map, on the CNN.

Run it with ``python benchmarks/plain.py``: it runs ``experiments/mnist.py`` serially and under SCOOP with two workers,
in turn, and takes the median generation of each from ``timing.csv`` (generation 0 and the first after it left out).
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from deap_nn.logbooks import read_csv

EXPERIMENT = Path(__file__).resolve().parent.parent / "experiments" / "mnist.py"
POPULATION = 60
GENERATIONS = 6
REPEATS = 3


def median_ms_per_child(prefix: list[str], output: Path) -> float:
    options = ["--dataset", "mnist5k", "--population", str(POPULATION), "--generations", str(GENERATIONS)]
    command = [sys.executable, *prefix, str(EXPERIMENT), *options, "--no-progress", "--output", str(output)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return 1e3 * statistics.median(read_csv(output / "timing.csv")["seconds"][2:]) / POPULATION


def main() -> None:
    ways = {"serial": [], "SCOOP, 2 workers": ["-m", "scoop", "-n", "2"]}
    times: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(REPEATS):
            for name, prefix in ways.items():
                times[name].append(median_ms_per_child(prefix, Path(folder, f"{len(prefix)}-{repeat}")))
    print(f"{'':20}{'ms a child (median)':>22}{'min':>8}{'max':>8}")
    for name, values in times.items():
        print(f"{name:20}{statistics.median(values):22.1f}{min(values):8.1f}{max(values):8.1f}")


if __name__ == "__main__":
    main()
