"""Make each fault happen to the real commands, and tell what was seen: ``python tests/faults/faults.py [NAME ...]``.

It takes half an hour, needs Linux, and root for those faults that mount a small file system. ``PRESET=ga`` before it
takes another preset for the runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from disk_faults import full_cache, full_disk, full_log, read_only, removed_folder, spoilt_cache, two_at_once
from process_faults import kill_a_worker, kill_everything, little_memory, many_parents, stop_a_worker, terminate
from real_commands import LAUNCH, Command, OtherwiseError, kill_all, must, processes, status_of

FAULTY = Path(__file__).with_name("faulty.py")


def evaluation(fault: str) -> Callable[[Path], str]:
    """Return what runs an evaluation that does something wrong."""

    def happen(folder: Path) -> str:
        answers = set()
        for way in ((), LAUNCH):
            output = folder / f"run{len(way)}"
            command = Command(folder, *way, FAULTY, fault, output)
            status = command.wait(100)
            if fault in ("nan", "infinity"):
                must(status == 0, f"status {status}: {command.said}")
                row = (output / "logbook.csv").read_text().splitlines()[4].split(",")
                must("1e+100" in row, f"row {row}")
                answers.add("counts as the worst, 1e100; the run goes on")
                continue
            lines = [line for line in command.said if "error" in line]
            must(status == 1 and len(lines) == 1, f"status {status}: {command.said}")
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
