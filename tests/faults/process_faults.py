"""Faults of processes: killed, stopped, asked to end, or short of memory."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import time
from pathlib import Path

import psutil
from real_commands import (
    CNN,
    LAUNCH,
    MNIST,
    MNIST_WITHIN,
    SETTING,
    Command,
    finish,
    kill_all,
    must,
    processes,
    resume,
    same,
    status_of,
    whole,
    workers,
)

from deap_nn.runs.checkpoint import keyframes_in


def kill_everything(folder: Path) -> str:
    """Kill all processes at 20 random moments, and resume each time."""
    expected, output, draw = whole(folder, CNN), folder / "run", random.Random(7)
    again, anew = ("--resume", output, "--no-progress"), 0
    kills = 0
    while kills < 20:
        going_on = (output / "config.json").exists()
        shutil.rmtree(output, ignore_errors=True) if not going_on else None
        arguments = again if going_on else (*CNN, "--output", output)
        command = Command(folder, *LAUNCH, MNIST_WITHIN, *arguments, KEYFRAME_WEIGHTS=0)
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
    setting = (*CNN, "--preset", "ga")
    expected, output = whole(folder, setting), folder / "run"
    command = Command(folder, *LAUNCH, MNIST, *setting, "--output", output)
    command.rows(output, 5)
    (limited, *_) = workers(output)
    psutil.Process(limited).rlimit(resource.RLIMIT_AS, (psutil.Process(limited).memory_info().vms + 2**20,) * 2)
    answer = finish(command, output, expected)
    note = [line for line in command.said if str(limited) in line]
    must(bool(note), "it managed, and nothing was told")
    return f"{answer}; noted: `{note[0].partition(str(limited))[2].strip(' )')}`"


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
    setting = (*SETTING, "--preset", "ga", "--population", 200, "--parents", 100, "--generations", 500)
    command = Command(folder, "-m", "deap_nn.launch", "-n", 2, MNIST, *setting, "--output", output)
    while not keyframes_in(output / "checkpoint"):
        command.rows(output, 0)
        time.sleep(0.05)
    (first,) = keyframes_in(output / "checkpoint")
    command.rows(output, 2 * int(first.name.rpartition("-")[2]) - 4)
    took = []
    for count in (2, 1):
        kill_all(output)
        command.wait()
        rows = (output / "logbook.csv").read_text().count("\n")
        begun = time.monotonic()
        command = Command(folder, "-m", "deap_nn.launch", "-n", count, MNIST, "--resume", output, "--no-progress")
        command.rows(output, rows)
        took.append(time.monotonic() - begun)
    must(keyframes_in(output / "checkpoint") == [first], "there was a second keyframe already")
    must(max(took) < 30, f"it took {took} s")
    return f"its next generation is there after {took[0]:.0f} s with two workers, {took[1]:.0f} s with one"
