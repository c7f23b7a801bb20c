"""A process beside one that keeps a limit: it says what took too long where compiled code lets nobody else say it.

``python onlooker.py FD SECONDS FILE...`` is started by `deap_nn.limits`. ``FD`` is a file that both see: the number of
the call that is being kept, 0 for none, its limit in seconds and what it is. ``SECONDS`` are how much longer a call may
take before it is told of; the ``status.json`` of each run in ``FILE...`` then says so, too.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import struct
import sys
import time
from pathlib import Path

HEAD = struct.Struct("<Qdi")
"""The number of a call, its limit in seconds, and how long its description is."""

SIZE = 1024
POLL_SECONDS = 0.25


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal; false where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def tell(reason: str, files: list[str]) -> None:
    """Say what took too long, here and in the status of the runs that were going on."""
    print(f"error: {reason}", file=sys.stderr, flush=True)
    for path in map(Path, files):
        with contextlib.suppress(OSError, ValueError):  # a run without a status has nothing to be told in
            status = json.loads(path.read_text(encoding="utf-8"))
            if status["state"] == "running":
                partial = path.with_name(".status.json.partial")
                partial.write_text(json.dumps(status | {"state": "failed", "error": reason}, indent=1) + "\n")
                partial.replace(path)


def main() -> None:
    """Look on until the other process ends."""
    fd, more, files = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the other process' end is ours
    parent, seen, waited = os.getppid(), 0, 0.0
    with mmap.mmap(fd, SIZE, mmap.MAP_SHARED, mmap.PROT_READ) as shared:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
            call, seconds, length = HEAD.unpack_from(shared)
            if call != seen:
                seen, waited = call, 0.0
            elif call and not is_stopped(parent):
                waited += POLL_SECONDS
                if waited >= seconds + more:
                    tell(shared[HEAD.size : HEAD.size + length].decode(), files)
                    return


if __name__ == "__main__":
    main()
