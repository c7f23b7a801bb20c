"""Make each fault happen to the real commands, and tell what was seen: ``python tests/faults/faults.py [NAME ...]``.

It takes half an hour, needs Linux, and root for those faults that mount a small file system. ``PRESET=mask`` before it
takes another preset for the runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from deap_nn.runs.generations import keyframes_in, read_generations

ROOT = Path(__file__).resolve().parents[2]
MNIST = ROOT / "experiments" / "mnist.py"
FAULTY = Path(__file__).with_name("faulty.py")
LAUNCH = ("-m", "deap_nn.launch", "-n", 3)
SETTING = ("--dataset", "mnist5k", "--no-progress", "--seed", 5, "--preset", os.environ.get("PRESET", "default"))
CNN = (*SETTING, "--population", 24, "--generations", 60)
MLP = (*SETTING, "--model", "mlp", "--population", 300, "--generations", 60)
KEPT = ("logbook.csv", "best.npz", "trace.npz", "filters.npz")


class OtherwiseError(Exception):
    """Something else than what must be."""


def must(condition: bool, otherwise: object) -> None:
    """Raise where something is not as it must be."""
    if not condition:
        raise OtherwiseError(str(otherwise))


class Command:
    """A command that runs, its output in files, alone in a session."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, suffix=".err")
        self._stderr = Path(name)
        command = [sys.executable, *map(str, arguments)]
        with os.fdopen(handle, "w") as stderr:
            out = subprocess.DEVNULL
            self.process = subprocess.Popen(command, stdout=out, stderr=stderr, cwd=ROOT, start_new_session=True)

    @property
    def said(self) -> list[str]:
        """What it has told in standard error, without what SCOOP and the launcher tell at the start."""
        lines = self._stderr.read_text().splitlines()
        return [line for line in lines if line and "the broker listens in" not in line]

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


def same(one: Path, other: Path) -> None:
    """See that two runs left the same bytes."""
    for name in KEPT:
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


def resume(folder: Path, output: Path, expected: Path) -> str:
    """Resume a run to its end, and see that it left the bytes of another."""
    command = Command(folder, *LAUNCH, MNIST, "--resume", output, "--no-progress")
    must(command.wait() == 0, f"status {command.process.returncode}: {command.said}")
    same(output, expected)
    return "resumed to the same bytes"


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small file system."""
    place = folder / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def kill_everything(folder: Path) -> str:
    """Kill all processes at 20 random moments, and resume each time."""
    expected, output, draw = whole(folder, CNN), folder / "run", random.Random(7)
    again, anew = ("--resume", output, "--no-progress", "--keyframes", 0), 0
    kills = 0
    while kills < 20:
        going_on = (output / "config.json").exists()
        shutil.rmtree(output, ignore_errors=True) if not going_on else None
        arguments = again if going_on else (*CNN, "--keyframes", 0, "--output", output)
        command = Command(folder, *LAUNCH, MNIST, *arguments)
        time.sleep(draw.uniform(0.3, 7.0))
        if command.process.poll() is not None:  # it was quicker: what it left is compared, and another one begun
            must(command.process.returncode == 0, f"status {command.process.returncode}: {command.said}")
            same(output, expected)
            shutil.rmtree(output)
            anew += 1
            continue
        kill_all(output)
        command.wait()
        kills += 1
    if not (output / "config.json").exists():  # killed before there was anything to go on with
        shutil.rmtree(output, ignore_errors=True)
        must(Command(folder, *LAUNCH, MNIST, *CNN, "--output", output).wait() == 0, "the last run failed")
        same(output, expected)
    else:
        resume(folder, output, expected)
    return f"20 kills, {anew + 1} run(s) to the end, the same bytes"


def kill_a_worker(folder: Path) -> str:
    """Kill one worker of three in a generation, and then another."""
    expected, output = whole(folder, CNN), folder / "run"
    command = Command(folder, *LAUNCH, MNIST, *CNN, "--output", output)
    for rows in (5, 15):
        command.rows(output, rows)
        os.kill(workers(output)[0], signal.SIGKILL)
    return finish(command, output, expected)


def stop_a_worker(folder: Path) -> str:
    """Stop a worker for 60 s, and let it go on."""
    setting = (*SETTING, "--population", 24, "--generations", 300)
    expected, output = whole(folder, setting), folder / "run"
    command = Command(folder, *LAUNCH, MNIST, *setting, "--output", output)
    command.rows(output, 5)
    (stopped, *_) = workers(output)
    os.kill(stopped, signal.SIGSTOP)
    begun = time.monotonic()
    while command.process.poll() is None and time.monotonic() - begun < 60:
        time.sleep(0.1)
    must(command.process.poll() is None, "the run was over before the worker went on")
    os.kill(stopped, signal.SIGCONT)
    return finish(command, output, expected)


def little_memory(folder: Path) -> str:
    """Give a worker too little memory, where it comes to need more."""
    setting = (*CNN, "--preset", "mask")
    expected, output = whole(folder, setting), folder / "run"
    command = Command(folder, *LAUNCH, MNIST, *setting, "--output", output)
    command.rows(output, 5)
    (limited, *_) = workers(output)
    psutil.Process(limited).rlimit(resource.RLIMIT_AS, (psutil.Process(limited).memory_info().vms + 2**20,) * 2)
    answer = finish(command, output, expected)
    note = [line for line in command.said if str(limited) in line]
    must(bool(note), "it managed, and nothing was told")
    return f"{answer}; noted: `{note[0].partition(str(limited))[2].strip(' )')}`"


def evaluation(fault: str, *options: object) -> Callable[[Path], str]:
    """Return what runs an evaluation that does something wrong."""

    def happen(folder: Path) -> str:
        answers = set()
        for way in ((), LAUNCH):
            output = folder / f"run{len(way)}"
            command = Command(folder, *way, FAULTY, fault, output, *options)
            status = command.wait(100)
            if fault in ("nan", "infinity"):
                must(status == 0, f"status {status}: {command.said}")
                row = (output / "logbook.csv").read_text().splitlines()[4].split(",")
                must("1e+100" in row, f"row {row}")
                answers.add("counts as the worst, 1e100; the run goes on")
                continue
            lines = [line for line in command.said if "error" in line]
            # Where a worker's process had to be ended, the script's own tries again, and says so too.
            must(
                status == 1 and len(lines) in (range(1, 4) if fault == "hold" else (1,)),
                f"status {status}: {command.said}",
            )
            must(all("generation 3, child " in line for line in lines), lines)
            must(status_of(output)["state"] == "failed", status_of(output))
            must((output / "logbook.csv").read_text().count("\n") == 4, "rows are missing")
            answers.add("status 1: `" + lines[0].partition("error: ")[2][:90] + "`")
        until = time.monotonic() + 5
        while processes(folder) and time.monotonic() < until:
            time.sleep(0.05)
        must(not processes(folder), "processes are left")
        return min(answers)

    return happen


def full_disk(folder: Path) -> str:
    """Let the disk be full while a run logs, and give it room again."""
    expected = whole(folder, MLP)
    with mounted(folder, "200k") as place:
        output = place / "run"
        command = Command(folder, *LAUNCH, MNIST, *MLP, "--output", output)
        must(command.wait() == 1, f"status {command.process.returncode}")
        must(len(command.said) == 1 and "No space left" in command.said[0], command.said)
        recorded, rows = recorded_and_logged(output)
        must(0 < recorded <= rows, f"{recorded} generations are recorded, {rows} logged")
        subprocess.run(["mount", "-o", "remount,size=50m", str(place)], check=True)
        return f"status 1, one line, after {rows} generations; {resume(folder, output, expected)}"


def full_log(folder: Path) -> str:
    """Let the disk be full for what is logged, while the checkpoint has room elsewhere."""
    setting = (*SETTING, "--model", "mlp", "--population", 20, "--generations", 400)
    expected, output, elsewhere = whole(folder, setting), folder / "small" / "run", folder / "elsewhere"
    with mounted(folder, "5m"):
        command = Command(folder, *LAUNCH, MNIST, *setting, "--output", output)
        command.rows(output, 5)
        kill_all(output)
        command.wait()
        shutil.copytree(output / "checkpoint", elsewhere)
        subprocess.run(["mount", "--bind", str(elsewhere), str(output / "checkpoint")], check=True)
        try:
            free = os.statvfs(output)
            (output.parent / "full").write_bytes(b"x" * (free.f_bavail * free.f_frsize - 2**18))
            command = Command(folder, *LAUNCH, MNIST, "--resume", output, "--no-progress")
            must(command.wait() == 1, f"status {command.process.returncode}")
            must(len(command.said) == 1 and "No space left" in command.said[0], command.said)
            recorded, rows = recorded_and_logged(output)
            must(recorded >= rows > 5, f"{recorded} generations are recorded, {rows} logged")
            (output.parent / "full").unlink()
            return f"status 1, one line, after {rows} generations; {resume(folder, output, expected)}"
        finally:
            subprocess.run(["umount", "--lazy", str(output / "checkpoint")], check=True)


def recorded_and_logged(output: Path) -> tuple[int, int]:
    """Return how many generations a run's checkpoint has, and its logbook, in which none stands twice."""
    rows = (output / "logbook.csv").read_text().splitlines()[1:]
    must([row.partition(",")[0] for row in rows] == list(map(str, range(len(rows)))), rows)
    return len(read_generations(output / "checkpoint")), len(rows)


def full_cache(folder: Path) -> str:
    """Let the place of the cache be full in the middle of a run."""
    expected, output = whole(folder, CNN), folder / "run"
    with mounted(folder, "600m") as place:
        command = Command(folder, *LAUNCH, MNIST, *CNN, "--cache", place, "--output", output)
        while not any(place.glob("deap_nn-*/segment*")) and command.process.poll() is None:
            time.sleep(0.005)
        with contextlib.suppress(OSError), open(place / "full", "wb") as file:
            while True:
                file.write(b"x" * 2**20)
        return finish(command, output, expected)


def read_only(folder: Path) -> str:
    """Ask for a run in a folder that cannot be written."""
    with mounted(folder, "1m") as place:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        command = Command(folder, *LAUNCH, MNIST, *MLP, "--output", place / "run")
        must(command.wait() == 2 and len(command.said) == 1, command.said)
        must(list(place.iterdir()) == [], "something was written")
        return f"status 2: `{command.said[0].partition('error: ')[2].replace(str(folder), '...')}`"


def removed_folder(folder: Path) -> str:
    """Remove a run's folder in the middle of the run."""
    output = folder / "run"
    command = Command(folder, *LAUNCH, MNIST, *CNN, "--output", output)
    command.rows(output, 5)
    shutil.rmtree(output)
    status = command.wait()
    lines = [line for line in command.said if "error" in line]
    must(status == 1 and len(lines) == 1, f"status {status}: {command.said}")
    must(not output.exists(), "something was written")
    return f"status 1: `{lines[0].partition('error: ')[2].replace(str(folder), '...')[:90]}`"


def two_at_once(folder: Path) -> str:
    """Give two runs the same folder at the same time."""
    expected, output = whole(folder, CNN), folder / "run"
    first = Command(folder, *LAUNCH, MNIST, *CNN, "--output", output)
    first.rows(output, 2)
    for option in ("--output", "--resume"):
        settings = CNN if option == "--output" else ("--no-progress",)
        second = Command(folder, *LAUNCH, MNIST, *settings, option, output)
        must(second.wait() == 2 and len(second.said) == 1, second.said)
    first.process.kill()
    first.wait()
    until = time.monotonic() + 5
    while processes(output) and time.monotonic() < until:
        time.sleep(0.05)
    return f"the second is refused with status 2; after kill -9 of the first: {resume(folder, output, expected)}"


def spoilt_cache(folder: Path) -> str:
    """Delete and damage the cache's files in the middle of a run."""
    expected, output, place = whole(folder, CNN), folder / "run", folder / "cache"
    place.mkdir()
    command = Command(folder, *LAUNCH, MNIST, *CNN, "--cache", place, "--output", output)
    for rows, deleted in ((5, False), (10, True), (15, False), (20, True)):
        command.rows(output, rows)
        for path in place.glob("deap_nn-*/segment*"):
            if deleted:
                path.unlink()
            else:
                with open(path, "r+b") as file:
                    file.write(os.urandom(256))  # which genome a slot holds
    return finish(command, output, expected)


def terminate(folder: Path) -> str:
    """Send SIGTERM, as a batch system does that leaves 10 s."""
    expected, output = whole(folder, CNN), folder / "run"
    command = Command(folder, *LAUNCH, MNIST, *CNN, "--output", output)
    command.rows(output, 5)
    begun = time.monotonic()
    command.process.send_signal(signal.SIGTERM)
    must(command.wait(10) == 130, f"status {command.process.returncode}")
    took = time.monotonic() - begun
    must(status_of(output)["state"] == "interrupted" and not processes(output), status_of(output))
    return f"ended after {took:.1f} s with status 130, interrupted; {resume(folder, output, expected)}"


def many_parents(folder: Path) -> str:
    """Kill a run of 100 parents shortly before its second keyframe, and time how long it takes to go on."""
    output = folder / "run"
    setting = (*SETTING, "--preset", "mask", "--population", 200, "--parents", 100, "--generations", 500)
    command = Command(folder, "-m", "deap_nn.launch", "-n", 2, MNIST, *setting, "--output", output)
    while not keyframes_in(output / "checkpoint"):
        command.rows(output, 0)
        time.sleep(0.05)
    (first,) = keyframes_in(output / "checkpoint")
    command.rows(output, 2 * int(first.name.rpartition("-")[2]) - 4)
    took = []
    for workers in (2, 1):
        kill_all(output)
        command.wait()
        rows = (output / "logbook.csv").read_text().count("\n")
        begun = time.monotonic()
        command = Command(folder, "-m", "deap_nn.launch", "-n", workers, MNIST, "--resume", output, "--no-progress")
        command.rows(output, rows)
        took.append(time.monotonic() - begun)
    must(keyframes_in(output / "checkpoint") == [first], "there was a second keyframe already")
    must(max(took) < 30, f"it took {took} s")
    return f"its next generation is there after {took[0]:.0f} s with two workers, {took[1]:.0f} s with one"


FAULTS: dict[str, Callable[[Path], str]] = {
    "kill -9 of everything at 20 random moments": kill_everything,
    "kill -9 of one worker of three, then of another": kill_a_worker,
    "a worker stopped for 60 s": stop_a_worker,
    "a worker with too little memory": little_memory,
    "an evaluation raises": evaluation("raise"),
    "an evaluation returns NaN": evaluation("nan"),
    "an evaluation returns infinity": evaluation("infinity"),
    "an evaluation returns a string": evaluation("type"),
    "an evaluation returns an array": evaluation("array"),
    "an evaluation never returns, --timeout 1": evaluation("hang", "--timeout", 1),
    "compiled code never returns, --timeout 1": evaluation("hold", "--timeout", 1),
    "the disk is full for the checkpoint": full_disk,
    "the disk is full for what is logged": full_log,
    "the cache's place is full": full_cache,
    "an output folder that is read-only": read_only,
    "an output folder removed in mid-run": removed_folder,
    "two runs in one folder": two_at_once,
    "the cache's files damaged and deleted": spoilt_cache,
    "SIGTERM": terminate,
    "kill -9 with 100 parents of the CNN to breed again": many_parents,
}


def main() -> int:
    """Make the faults happen whose names hold one of the words given, or all."""
    chosen = {
        name: happen
        for name, happen in FAULTS.items()
        if not sys.argv[1:] or any(word in name for word in sys.argv[1:])
    }
    failed = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        for number, (name, happen) in enumerate(chosen.items()):
            folder = Path(place, str(number))
            folder.mkdir()
            begun = time.monotonic()
            try:
                seen = happen(folder)
            except (OtherwiseError, subprocess.SubprocessError, OSError, psutil.Error) as error:
                failed += 1
                seen = f"FAILED: {type(error).__name__}: {error}"
            kill_all(folder)
            print(f"| {name} | {seen} |  <!-- {time.monotonic() - begun:.0f} s -->", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
