"""Run for an hour and see that nothing grows: ``python tests/faults/soak.py {mlp,cnn} [--seconds S]``.

Every ten seconds it notes the anonymous memory and the open files of each process, the cache, the files of the run and
the generation. Told is how much each grew a generation in the second half of the run, by a straight line. Memory of the
CNN goes up and down by whole genomes, 12.5 MiB, as vectors come and go: the line is put through what is left when whole
genomes are taken off, and the mean of the last quarter must not be more than a genome above that of the second. And
what the second half ever took must not be more than what the first half, its beginning aside, ever took, by more than
the same bytes a generation.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "mlp": (["tests/faults/mnist_within.py"], ["--model", "mlp", "--population", "20"]),
    "cnn": (["-m", "deap_nn.launch", "-n", "2", "tests/faults/mnist_within.py"], ["--population", "20"]),
}
MOST_BYTES = 1024
"""What memory may grow a generation, in any process."""

GENOME_BYTES = {"cnn": 4 * 3_274_634}
"""By so much memory goes up and down, where that can be told from other growth."""

GROWING = {"logbook.csv", "logbook.json", "timing.csv", "trace.npz", "filters.npz", "readouts.csv", "checkpoint"}
GROWING |= {"answers-by-generation.npz"}
"""The files of a run that grow with it."""


def anonymous(pid: int) -> int:
    """Return the bytes of memory that a process has for itself."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all in a folder."""
    if path.is_dir():
        return sum(map(size_of, path.iterdir()))
    return path.stat().st_size


def sample(root: int, output: Path, cache: Path) -> dict[str, float]:
    """Return what there is to be seen at a moment."""
    seen: dict[str, float] = {"time": time.monotonic()}
    seen["generation"] = (output / "logbook.csv").read_bytes().count(b"\n") - 2
    family = [root, *(child.pid for child in psutil.Process(root).children(recursive=True))]
    for i, pid in enumerate(sorted(family)):
        seen[f"memory of process {i}"] = anonymous(pid)
        seen[f"open files of process {i}"] = psutil.Process(pid).num_fds()
    seen["cache"] = size_of(cache)
    for path in output.iterdir():
        if not path.name.startswith("."):
            seen[f"file {path.name}"] = size_of(path)
    return seen


def main() -> int:
    """Run, sample and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=SETTINGS)
    parser.add_argument("--seconds", type=float, default=3600.0)
    options = parser.parse_args()
    command, setting = SETTINGS[options.model]
    samples: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        output, cache = Path(place, "run"), Path(place, "cache")
        cache.mkdir()
        rest = ["--dataset", "mnist5k", "--generations", "100000000", "--max-seconds", str(options.seconds)]
        rest += ["--no-progress", "--output", str(output)]
        run = subprocess.Popen(
            [sys.executable, *command, *setting, *rest], cwd=ROOT, env={**os.environ, "CACHE": str(cache)}
        )
        while run.poll() is None:
            time.sleep(min(10.0, options.seconds / 100))
            if (output / "logbook.csv").exists():
                try:
                    samples.append(sample(run.pid, output, cache))
                except (OSError, StopIteration, psutil.Error):  # a process or a file was just going
                    continue
        if run.returncode:
            sys.exit(f"the run ended with {run.returncode}")
        seconds = np.loadtxt(output / "timing.csv", delimiter=",", skiprows=1, usecols=1)
    print(f"{options.model}: {len(seconds)} generations in {options.seconds:.0f} s, {len(samples)} samples")
    parts = np.array_split(seconds[len(seconds) // 10 :], 9)
    medians = [1e3 * float(np.median(part)) for part in parts]
    print("ms a generation, median of each tenth:", " ".join(f"{value:.2f}" for value in medians))
    return check(options.model, samples)


def check(model: str, samples: list[dict[str, float]]) -> int:
    """Tell how much everything grew, and return whether something grew that must not."""
    last = samples[-1]["generation"]
    samples = [seen for seen in samples if seen["generation"] < last]  # at the end pictures are drawn
    middle, genome, wrong = len(samples) // 2, GENOME_BYTES.get(model), []
    generations = np.array([seen["generation"] for seen in samples[middle:]])
    for name in samples[middle]:
        values = np.array([seen.get(name, np.nan) for seen in samples])
        if name in ("time", "generation") or np.isnan(values[middle:]).any():
            continue
        kind, _, file = name.partition(" ")
        second = values[middle:]
        note, allowed = "", {"open": 0.001, "cache": 1.0}.get(kind, 1e9 if file in GROWING else 1.0)
        if kind == "memory":
            allowed = MOST_BYTES
            more = (second.max() - np.nanmax(values[len(values) // 10 : middle])) / np.ptp(generations)
            note = f", at most {second.max():,.0f}, {more:+.2f} a generation over the most of the first half"
            if more > allowed:
                wrong.append(name)
            if genome is not None:
                quarters = np.array_split(values, 4)
                rise = np.nanmean(quarters[3]) - np.nanmean(quarters[1])
                note += f", {rise / genome:+.2f} genomes from the second quarter to the last"
                if rise > genome:
                    wrong.append(name)
                steps = np.diff(second, prepend=second[0])
                second = np.cumsum(steps - genome * np.round(steps / genome))
        slope = np.polyfit(generations, second, 1)[0]
        print(f"{name}: {values[-1]:,.0f}, {slope:+.2f} a generation{note}")
        if slope > allowed:
            wrong.append(name)
    print(f"{'1 failed: ' + ', '.join(wrong) if wrong else '1 passed, 0 failed'}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
