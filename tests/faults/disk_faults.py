"""Faults of files: a disk that is full, a folder that is gone, read-only or taken, a cache that is damaged."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from real_commands import (
    CNN,
    LAUNCH,
    MLP,
    MNIST,
    MNIST_WITHIN,
    Command,
    finish,
    mounted,
    must,
    processes,
    resume,
    whole,
)

from deap_nn.runs.checkpoint import read_generations


def full_disk(folder: Path) -> str:
    """Let the disk be full while a run logs, and give it room again."""
    expected = whole(folder, MLP)
    with mounted(folder, "200k") as place:
        output = place / "run"
        command = Command(folder, *LAUNCH, MNIST, *MLP, "--output", output)
        must(command.wait() == 1, f"status {command.process.returncode}")
        must(len(command.said) == 1 and "No space left" in command.said[0], command.said)
        rows = (output / "logbook.csv").read_text().count("\n") - 1
        recorded = len(read_generations(output / "checkpoint"))
        must(0 < recorded <= rows, f"{recorded} generations are recorded, {rows} logged")
        subprocess.run(["mount", "-o", "remount,size=50m", str(place)], check=True)
        return f"status 1, one line, after {rows} generations; {resume(folder, output, expected)}"


def full_cache(folder: Path) -> str:
    """Let the place of the cache be full in the middle of a run."""
    expected, output = whole(folder, CNN), folder / "run"
    with mounted(folder, "600m") as place:
        command = Command(folder, *LAUNCH, MNIST_WITHIN, *CNN, "--output", output, CACHE=place)
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
    command = Command(folder, *LAUNCH, MNIST_WITHIN, *CNN, "--output", output, CACHE=place)
    for rows, deleted in ((5, False), (10, True), (15, False), (20, True)):
        command.rows(output, rows)
        for path in place.glob("deap_nn-*/segment*"):
            if deleted:
                path.unlink()
            else:
                with open(path, "r+b") as file:
                    file.write(os.urandom(256))  # which genome a slot holds
    return finish(command, output, expected)
