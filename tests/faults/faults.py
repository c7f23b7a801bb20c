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
from disk_faults import full_cache, full_disk, read_only, removed_folder, spoilt_cache, two_at_once
from host_faults import another_user, power_cut
from process_faults import kill_a_worker, kill_everything, little_memory, many_parents, stop_a_worker, terminate
from real_commands import OtherwiseError, kill_all

FAULTS: dict[str, Callable[[Path], str]] = {
    "kill -9 of everything at 20 random moments": kill_everything,
    "kill -9 of one worker of three, then of another": kill_a_worker,
    "a worker stopped for 60 s": stop_a_worker,
    "a worker with too little memory": little_memory,
    "the disk is full for the checkpoint": full_disk,
    "the cache's place is full": full_cache,
    "an output folder that is read-only": read_only,
    "an output folder removed in mid-run": removed_folder,
    "two runs in one folder": two_at_once,
    "the cache's files damaged and deleted": spoilt_cache,
    "SIGTERM": terminate,
    "another user of the host": another_user,
    "a power cut": power_cut,
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
