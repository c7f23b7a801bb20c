"""What faults happen to: runs of the real commands, their processes, and the files that must be the same after all."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
MNIST = ROOT / "experiments" / "mnist.py"
MNIST_WITHIN = ROOT / "tests" / "faults" / "mnist_within.py"
LAUNCH = ("-m", "deap_nn.launch", "-n", 3)
SETTING = ("--dataset", "mnist5k", "--no-progress", "--seed", 5, "--preset", os.environ.get("PRESET", "es"))
CNN = (*SETTING, "--population", 24, "--generations", 60)
MLP = (*SETTING, "--model", "mlp", "--population", 300, "--generations", 60)
EXT4 = "loop,data=writeback,noauto_da_alloc,commit=600"
KEPT = ("logbook.csv", "best.npz", "trace.npz", "filters.npz")


class OtherwiseError(Exception):
    """Something else than what must be."""


def must(condition: bool, otherwise: object) -> None:
    """Raise where something is not as it must be."""
    if not condition:
        raise OtherwiseError(str(otherwise))


class Command:
    """A command that runs, its output in files, alone in a session."""

    def __init__(self, folder: Path, *arguments: object, **variables: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, suffix=".err")
        self._stderr = Path(name)
        command = [sys.executable, *map(str, arguments)]
        with os.fdopen(handle, "w") as stderr:
            own = {"env": {**os.environ, **{name: str(value) for name, value in variables.items()}}, "cwd": ROOT}
            out = subprocess.DEVNULL
            self.process = subprocess.Popen(command, stdout=out, stderr=stderr, start_new_session=True, **own)

    @property
    def said(self) -> list[str]:
        """What it has told in standard error, without what SCOOP and the launcher tell at the start."""
        lines = self._stderr.read_text().splitlines()
        return [line for line in lines if line]

    def wait(self, seconds: float = 900) -> int:
        """Wait for the end."""
        return self.process.wait(seconds)

    def rows(self, output: Path, count: int) -> None:
        """Wait until a run has logged so many generations."""
        path = output / "logbook.csv"
        while not path.exists() or path.read_text().count("\n") <= count:
            must(self.process.poll() is None, f"it ended with {self.process.returncode}: {self.said}")
            time.sleep(0.01)


def processes(marker: object) -> list[psutil.Process]:
    """Return the processes with something in their command lines, the workers of a run in the order they started."""
    found = psutil.process_iter(["cmdline"])
    mine = [one for one in found if any(str(marker) in argument for argument in one.info["cmdline"] or ())]
    return sorted((one for one in mine if one.pid != os.getpid()), key=lambda one: one.pid)


def workers(output: Path) -> list[int]:
    """Return the workers of a run, the origin left out."""
    lines = {one.pid: " ".join(one.info["cmdline"]) for one in processes(output)}
    return [pid for pid, line in lines.items() if "deap_nn.maps.scoop.worker" in line and "--origin" not in line]


def kill_all(marker: object) -> None:
    """Kill the processes with something in their command lines."""
    for process in processes(marker):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile
            process.kill()


def status_of(output: Path) -> dict[str, object]:
    """Return what a run's status says."""
    found: dict[str, object] = json.loads((output / "status.json").read_text())
    return found


def slowest(output: Path) -> float:
    """Return the seconds of the slowest generation but the first."""
    return max(float(line.split(",")[1]) for line in (output / "timing.csv").read_text().splitlines()[2:])


def same(one: Path, other: Path, names: Sequence[str] = KEPT) -> None:
    """See that two runs left the same bytes."""
    for name in names:
        must((one / name).read_bytes() == (other / name).read_bytes(), f"{name} differs")


_whole: dict[tuple[object, ...], Path] = {}


def whole(folder: Path, setting: Sequence[object]) -> Path:
    """Return a serial run that nothing happened to."""
    key = tuple(setting)
    if key not in _whole:
        output = Path(tempfile.mkdtemp(dir=folder.parent, prefix="whole")) / "run"  # one that failed may lie there
        must(Command(folder, MNIST, *setting, "--output", output).wait() == 0, "the whole run failed")
        _whole[key] = output
    return _whole[key]


def finish(command: Command, output: Path, expected: Path) -> str:
    """Wait for a run, and see that it left the bytes of another."""
    must(command.wait() == 0, f"status {command.process.returncode}: {command.said}")
    same(output, expected)
    must(slowest(output) < 30, f"a generation took {slowest(output)} s")
    return f"slowest generation {slowest(output):.1f} s, the same bytes"


def resume(folder: Path, output: Path, expected: Path, names: Sequence[str] = KEPT) -> str:
    """Resume a run to its end, and see that it left the bytes of another."""
    command = Command(folder, *LAUNCH, MNIST, "--resume", output, "--no-progress")
    must(command.wait() == 0, f"status {command.process.returncode}: {command.said}")
    same(output, expected, names)
    return "resumed to the same bytes"


@contextlib.contextmanager
def mounted(folder: Path, size: str = "", image: Path | None = None) -> Iterator[Path]:
    """Mount a small file system in memory, or the ext4 of an image, which keeps what was flushed to it."""
    place = folder / "small"
    place.mkdir(exist_ok=True)
    kind = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs"] if image is None else ["-o", EXT4, str(image)]
    subprocess.run(["mount", *kind, str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
