"""The watchdog beside a process with a time limit: it reports a call that ignores the limit, and ends the process.

``python watchdog.py PID FD[,QUEUE] [SCRIPT FILE]...`` is started by `deap_nn.process.time_limit` in the process `PID`.
Both processes map the file ``FD``. It holds the number of the watched call, 0 for none, the call's seconds, the number
of polls at which the process was stopped, and the call's description. When the time is up, each ``SCRIPT`` is run with
its ``FILE`` and the reason, and a message in ``QUEUE`` ends the process.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

CALL = struct.Struct("<Qdi")
"""The number of a call, its seconds, and the length of its description in bytes; written by the watched process."""

STOPS = struct.Struct("<Q")
"""The number of polls at which that process was stopped; written by the watchdog."""

TEXT = CALL.size + STOPS.size
SIZE = 1024
POLL_SECONDS = 0.25

END_SECONDS = 2.0
"""The time that a process has to end with status 1, which takes long on a busy machine, before it is killed."""


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal; False on a system without ``/proc``."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def report(reason: str, scripts: Sequence[str]) -> None:
    """Print the reason, and run each script with its file and the reason."""
    print(f"error: {reason}", file=sys.stderr, flush=True)
    for script, path in zip(scripts[::2], scripts[1::2], strict=True):
        subprocess.run([sys.executable, "-I", "-S", script, path, reason], check=False)  # noqa: S603  (ours)


def end(pid: int, queue: list[int]) -> None:
    """End the process that started this one: with status 1, or by SIGKILL if that has no effect."""
    for by_force in (False, True):
        if os.getppid() == pid:  # it still exists, and no other process has its id
            if queue and not by_force:
                ctypes.CDLL(None).mq_send(queue[0], b".", 1, 0)
            else:
                os.kill(pid, signal.SIGKILL if by_force else signal.SIGHUP)
        until = time.monotonic() + END_SECONDS
        while os.getppid() == pid and time.monotonic() < until:
            time.sleep(POLL_SECONDS / 10)


def main() -> None:
    """Watch the other process until it ends or has to be ended."""
    watched, scripts = int(sys.argv[1]), sys.argv[3:]
    fd, *queue = map(int, sys.argv[2].split(","))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the other process' end ends this one
    seen, waited, stops, before = 0, 0.0, 0, time.monotonic()
    with mmap.mmap(fd, SIZE) as shared:
        while os.getppid() == watched:
            time.sleep(POLL_SECONDS)
            now = time.monotonic()
            passed, before = min(now - before, 4 * POLL_SECONDS), now  # a pause of this process counts as 1 s at most
            call, seconds, length = CALL.unpack_from(shared)
            if is_stopped(watched):
                stops += 1
                STOPS.pack_into(shared, CALL.size, stops)
            elif call != seen:
                seen, waited = call, 0.0
            elif call:
                waited += passed
                if waited >= seconds:
                    report(shared[TEXT : TEXT + length].decode(errors="replace"), scripts)
                    end(watched, queue)


if __name__ == "__main__":
    main()
