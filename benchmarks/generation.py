"""What a child of the CNN costs, over the forward pass that it cannot do without.

Run it with ``python benchmarks/generation.py``. Medians of several repeats in turn: the forward pass over changing
genomes, in one process and in two at once; whole generations of ``experiments/mnist.py`` (``seconds`` of
``timing.csv``: breeding, scoring, validation and logging; generations 0 and 1 left out), serially and with two workers,
by recipes and the plain way, where weights travel through the map.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from deap_nn.logbooks import read_csv

EXPERIMENT = Path(__file__).resolve().parent.parent / "experiments" / "mnist.py"
POPULATION = 200
PARENTS = 20
GENERATIONS = 4
REPEATS = 5

PASSES = """
import statistics, time
import numpy as np
from deap_nn import make_toolbox
from deap_nn.evaluation import scorer
toolbox = make_toolbox("mnist_deep", "mnist5k", seed=1)
genomes = [toolbox.individual() for _ in range(20)]
scoring = scorer(toolbox.problem)
scoring.fitness(genomes[0], 1)
print("ready", flush=True)
input()
times = []
for i in range(300):
    begun = time.perf_counter()
    scoring.fitness(genomes[i % 20], 1)
    times.append(time.perf_counter() - begun)
print(1e3 * statistics.median(times))
"""


def passes(processes: int) -> float:
    """Return the milliseconds of a forward pass, with so many processes at it at once."""
    started = [
        subprocess.Popen([sys.executable, "-c", PASSES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return statistics.mean(float(process.communicate()[0]) for process in started)


def child(prefix: list[str], breeding: str, folder: Path) -> float:
    """Return the milliseconds of a child, of a median generation."""
    options = ["--dataset", "mnist5k", "--breeding", breeding, "--no-progress", "--output", str(folder)]
    sizes = ["--population", str(POPULATION), "--parents", str(PARENTS), "--generations", str(GENERATIONS)]
    command = [sys.executable, *prefix, str(EXPERIMENT), *sizes, *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return 1e3 * statistics.median(read_csv(folder / "timing.csv")["seconds"][2:]) / POPULATION


def main() -> None:
    """Measure all in turn, several times, and print a table."""
    scoop = ["-m", "scoop", "-n", "2"]
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for repeat in range(REPEATS):
            figures = {
                "forward pass, one process": passes(1),
                "forward pass, two at once, a process": passes(2),
                "recipes, serial": child([], "recipes", Path(temporary, f"rs{repeat}")),
                "recipes, 2 workers": child(scoop, "recipes", Path(temporary, f"r2{repeat}")),
                "plain, serial": child([], "plain", Path(temporary, f"ps{repeat}")),
                "plain, 2 workers": child(scoop, "plain", Path(temporary, f"p2{repeat}")),
            }
            for name, value in figures.items():
                rows.setdefault(name, []).append(value)
    floor = rows["forward pass, two at once, a process"]
    print(f"CNN, {POPULATION} members, {PARENTS} parents, batch of 64; {REPEATS} repeats")
    print(f"{'':40}{'ms (median)':>12}{'min':>8}{'max':>8}{'over its floor':>16}")
    for name, values in rows.items():
        shared = 2 if "workers" in name else 1
        ratio = statistics.median(shared * value / below for value, below in zip(values, floor, strict=True))
        print(f"{name:40}{statistics.median(values):12.2f}{min(values):8.2f}{max(values):8.2f}{ratio:16.2f}")


if __name__ == "__main__":
    main()
