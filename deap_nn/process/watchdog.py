"""The onlooker, beside a process that keeps a limit of time: it names, and ends, a call that ignores the limit.

``python watchdog.py PID FD[,QUEUE] [SCRIPT FILE]...`` is started by `deap_nn.process.time_limit` in the process `PID`.
``FD`` is a file that both see: the number of the call that is being watched, 0 for none, the seconds that it has, how
often the process was seen to be stopped, and what the call is. When the time is up, each ``SCRIPT`` is run with its
``FILE`` and the reason, and a message in ``QUEUE`` ends the process.
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
"""The number of a call, its seconds, and how long its description is; written by the process that is watched."""

STOPS = struct.Struct("<Q")
"""How often that was seen to be stopped; written by the onlooker."""

TEXT = CALL.size + STOPS.size
SIZE = 1024
POLL_SECONDS = 0.25

END_SECONDS = 2.0
"""So long a process has to end by itself: on a busy machine that takes its time."""


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal; false where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def tell(reason: str, scripts: Sequence[str]) -> None:
    """Say what took too long, here and by each script, which is given a file and the reason."""
    print(f"error: {reason}", file=sys.stderr, flush=True)
    for script, path in zip(scripts[::2], scripts[1::2], strict=True):
        subprocess.run([sys.executable, "-I", "-S", script, path, reason], check=False)  # noqa: S603  (ours)


def end(pid: int, queue: list[int]) -> None:
    """End the process that started this one: with status 1, or by force where that does nothing."""
    for by_force in (False, True):
        if os.getppid() == pid:  # it is still there, and nobody else has its number
            if queue and not by_force:
                ctypes.CDLL(None).mq_send(queue[0], b".", 1, 0)
            else:
                os.kill(pid, signal.SIGKILL if by_force else signal.SIGHUP)
        until = time.monotonic() + END_SECONDS
        while os.getppid() == pid and time.monotonic() < until:
            time.sleep(POLL_SECONDS / 10)


def main() -> None:
    """Look on until the other process ends, or has to be ended."""
    watched, scripts = int(sys.argv[1]), sys.argv[3:]
    fd, *queue = map(int, sys.argv[2].split(","))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the other process' end is ours
    seen, waited, stops, before = 0, 0.0, 0, time.monotonic()
    with mmap.mmap(fd, SIZE) as shared:
        while os.getppid() == watched:
            time.sleep(POLL_SECONDS)
            now = time.monotonic()
            passed, before = min(now - before, 4 * POLL_SECONDS), now
            call, seconds, length = CALL.unpack_from(shared)
            if is_stopped(watched):
                stops += 1
                STOPS.pack_into(shared, CALL.size, stops)
            elif call != seen:
                seen, waited = call, 0.0
            elif call:
                waited += passed
                if waited >= seconds:
                    tell(shared[TEXT : TEXT + length].decode(errors="replace"), scripts)
                    end(watched, queue)


if __name__ == "__main__":
    main()
