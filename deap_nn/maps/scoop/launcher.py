"""Starts, watches and ends the processes of a run under SCOOP.

SCOOP's broker and workers unpickle the messages that they receive, so a peer that reaches them runs code as the user.
The broker therefore listens in a folder that only this user can enter, and the workers do not listen.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from deap_nn.maps.scoop.worker import CANNOT_IMPORT
from deap_nn.process import workers
from deap_nn.process.workers import sweep_folders

LEAVE_SECONDS = 4.0
"""The time after a signal for the script to save its state and exit, before all processes are killed."""

PREFIX = "deap_nn-scoop-"
"""The prefix of the names of the folders of sockets."""

LONGEST_PATH = 107
"""The most bytes in the path of a Unix socket."""


def say(line: str) -> None:
    """Print one line for the user."""
    print(f"launch: {line}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def socket_folder() -> Iterator[str]:
    """Make a folder for a run's sockets that only this user can enter; removed at the end, or by the next run."""
    place = Path(tempfile.gettempdir())
    if len(os.fsencode(place / f"{PREFIX}{'x' * 8}" / "task")) >= LONGEST_PATH:
        place = Path("/tmp")  # noqa: S108  (the folder in it has mode 0700)
    sweep_folders(place, f"{PREFIX}*")
    made = tempfile.TemporaryDirectory(prefix=PREFIX, dir=place, ignore_cleanup_errors=True)
    with made as folder, open(Path(folder, "lock"), "x") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


class BrokerSocket:
    """The broker's socket, which survives a message to a worker that has ended: its task goes to another worker.

    Parameters
    ----------
    broker : scoop.broker.brokerzmq.Broker
        The broker; its socket is replaced by this one.
    """

    def __init__(self, broker: Any) -> None:
        self._broker, self._target = broker, broker.task_socket
        broker.task_socket = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def send_multipart(self, message: list[bytes]) -> None:
        """Send a message; a task for a worker that has ended goes to the next worker, or waits for one."""
        import zmq
        from scoop.broker.brokerzmq import TASK

        while True:
            try:
                self._target.send_multipart(message)
                return
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
            if message[1] != TASK:
                return
            if not self._broker.available_workers:
                # The broker goes on to count the task's own id among the tasks of the worker that has ended.
                self._broker.unassigned_tasks.append((b"", message[2]))
                return
            message = [self._broker.available_workers.popleft(), *message[1:]]


def start_broker(folder: str) -> None:
    """Start SCOOP's broker in a thread; it runs until the script has ended."""
    from scoop.broker.brokerzmq import Broker

    broker = Broker(tSock=f"ipc://{folder}/task", mSock=f"ipc://{folder}/info")
    BrokerSocket(broker)

    def run() -> None:
        try:
            broker.run()
        except Exception as error:
            say(f"SCOOP's broker failed, so the script continues without workers: {type(error).__name__}: {error}")

    threading.Thread(target=run, daemon=True).start()


def start_processes(count: int, folder: str, command: Sequence[str]) -> list[subprocess.Popen[bytes]]:
    """Start the processes of a run; the first one runs the script."""
    options = ["--size", str(count), "--workingDirectory", str(Path.cwd()), "--brokerHostname", folder]
    # SCOOP finds the address of this host by these two. Nothing is sent there.
    options += ["--externalBrokerHostname", "127.0.0.1", "--taskPort", "9"]
    environment = {**os.environ, workers.LAUNCHED: str(os.getpid())}
    processes = []
    for role in (["--origin"], *[[]] * (count - 1)):
        line = [sys.executable, "-m", "deap_nn.maps.scoop.worker", *options, *role, *command]
        # A group of its own: this process passes Ctrl-C on once, and the terminal does not.
        processes.append(subprocess.Popen(line, stdin=subprocess.DEVNULL, env=environment, process_group=0))
    return processes


def launch(count: int, command: Sequence[str]) -> int:
    """Run a script under SCOOP to its end, and return its exit status.

    A signal is passed on to the script, and SIGHUP as SIGTERM. All processes are killed if the script has not ended
    within ``LEAVE_SECONDS``, or at a second signal.

    Parameters
    ----------
    count : int
        The number of processes, including the one that runs the script.
    command : sequence of str
        The script and its arguments.
    """
    received: list[int] = []
    until = float("inf")

    def pass_on(number: int, frame: FrameType | None) -> None:
        nonlocal until
        until = time.monotonic() + (0.0 if received else LEAVE_SECONDS)
        if not received:
            origin.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)
        received.append(number)

    with socket_folder() as folder:
        start_broker(folder)
        origin, *others = processes = start_processes(count, folder, command)
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
                    signal.signal(number, pass_on)
            while origin.poll() is None:
                if time.monotonic() > until:
                    say("the script did not end in time after a signal, and may not have saved everything")
                    return 130
                time.sleep(0.05)
                for process in [one for one in others if one.poll() is not None]:
                    others.remove(process)
                    # A worker that cannot import the script has printed its error.
                    if process.returncode not in (0, CANNOT_IMPORT) and not received and origin.poll() is None:
                        say(
                            f"worker (process {process.pid}) {how_it_ended(process.returncode)}: the others do its work"
                        )
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.wait()
    if origin.returncode < 0:
        say(f"the script {how_it_ended(origin.returncode)}")
        return 128 - origin.returncode
    return origin.returncode


def how_it_ended(status: int) -> str:
    """Return how a process ended, as part of a sentence."""
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
