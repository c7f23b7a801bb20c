"""Starts, watches and ends the processes of a run under SCOOP."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from deap_nn.maps.scoop.hosts import Host
from deap_nn.maps.scoop.messages import CheckedSocket, say
from deap_nn.maps.scoop.sockets import ENDPOINT, Folder, name_of, private_broker, public_broker
from deap_nn.maps.scoop.worker import CANNOT_IMPORT, how_it_ended
from deap_nn.process import signals, workers

LEAVE_SECONDS = signals.SAVE_SECONDS + 1.0
"""The time after a signal for the script to save its state and exit, before all processes are killed."""

ALIVE_SECONDS = 5.0
"""The time between two signs of life to other hosts."""

COME_SECONDS = 30.0
"""The time after which the number of workers is printed, if some have not connected."""

SSH = "ssh -x -T -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=5 -o ServerAliveCountMax=3"

DISCARD = 9
"""A port that SCOOP uses only to find this host's address: workers get the broker's ports from `ENDPOINT`."""


class Launch:
    """The processes of one run.

    Parameters
    ----------
    hosts : sequence of Host
        The hosts with their numbers of workers; one worker of the first host runs the script.
    address : str
        The address of this host for all hosts.
    ssh, python : str
        The command that reaches another host, and the interpreter there.
    command : sequence of str
        The script and its arguments.
    """

    def __init__(self, hosts: Sequence[Host], address: str, ssh: str, python: str, command: Sequence[str]) -> None:
        self.hosts = hosts
        self._address = address
        self._ssh = ssh
        self._python = python
        self._command = command
        self.size = sum(host.workers for host in hosts)
        self._folder = Folder() if all(host.local for host in hosts) else None
        if self._folder is not None:
            broker, self._endpoint = private_broker(self._folder)
            listens = f"broker in {self._folder.path}, for this user only"
        else:
            listening = socket.gethostbyname(address)
            broker, self._endpoint = public_broker(listening)
            ports = " and ".join(map(str, broker.getPorts()))
            listens = f"{listening} listens at the ports {ports}, for workers with the key of this run"
        self._socket = broker.task_socket = CheckedSocket(broker.task_socket, broker)
        threading.Thread(target=self._run_broker, args=(broker,), daemon=True).start()
        say(f"{self.size} worker{'s' * (self.size > 1)}; {listens}")
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._signal: int | None = None
        self._until = float("inf")

    def _run_broker(self, broker: Any) -> None:
        """Run SCOOP's broker until the script has ended."""
        try:
            broker.run()
        except Exception as error:
            say(f"SCOOP's broker failed, so the script continues without workers: {type(error).__name__}: {error}")

    def _start(self) -> None:
        options = ["--size", self.size, "--workingDirectory", Path.cwd(), "--backend=ZMQ"]
        options += ["--brokerHostname", self._address, "--externalBrokerHostname", self._address]
        options += ["--taskPort", DISCARD, "--metaPort", DISCARD]
        arguments = [*map(str, options), "--origin", *self._command]
        environment = {**os.environ, workers.LAUNCHED: str(os.getpid()), ENDPOINT: self._endpoint.to_text()}
        for host in self.hosts:
            if host.local:
                for i in range(host.workers):
                    command = [sys.executable, "-m", "deap_nn.maps.scoop.worker", *arguments]
                    # A group of its own: `_pass_on` sends Ctrl-C to it once, not the terminal.
                    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, process_group=0)
                    if not self._processes:
                        self._socket.origin = name_of(process.pid)
                    self._processes.append((f"worker {i + 1} on this host (process {process.pid})", process))
                    arguments = [argument for argument in arguments if argument != "--origin"]
                continue
            paths = os.environ.get("PYTHONPATH", "")
            there = [
                "env",
                f"PYTHONPATH={paths}",
                self._python,
                "-m",
                "deap_nn.maps.scoop.worker",
                "--count",
                str(host.workers),
            ]
            line = f"cd {shlex.quote(str(Path.cwd()))} && exec {shlex.join([*there, *arguments])}"
            command = [*shlex.split(self._ssh), host.name, line]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)
            with contextlib.suppress(OSError):  # it has ended, which `_watch` reports
                process.stdin.write(f"{self._endpoint.to_text()}\n".encode())  # type: ignore[union-attr]  # a pipe
                process.stdin.flush()  # type: ignore[union-attr]  # a pipe
            self._processes.append((f"the workers on {host.name} ({host.workers})", process))

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """Pass a signal on to the script; a second signal ends all processes at once."""
        again = self._signal is not None
        self._signal = number
        self._until = time.monotonic() if again else time.monotonic() + LEAVE_SECONDS
        if self._processes and not again:
            self._send_signal()

    def _send_signal(self) -> None:
        """Send the signal, if there was one, to the script; SIGHUP as SIGTERM, so that the script saves its state."""
        if self._signal is not None:
            number = signal.SIGTERM if self._signal == signal.SIGHUP else self._signal
            self._processes[0][1].send_signal(number)

    def run(self) -> int:
        """Run the script to its end, and return its exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
                signal.signal(number, self._pass_on)
        try:
            self._start()
            self._send_signal()  # a signal that arrived before the script started
            return self._watch()
        finally:
            self._end()
            if self._folder is not None:
                self._folder.close()

    def _watch(self) -> int:
        origin = self._processes[0][1]
        ended: set[int] = set()
        begun, alive, counted = time.monotonic(), time.monotonic(), False
        while origin.poll() is None:
            if time.monotonic() > self._until:
                return 128 + (self._signal or 0)
            time.sleep(0.05)
            if time.monotonic() > alive + ALIVE_SECONDS:
                alive = time.monotonic()
                self._say_alive()
            for name, process in self._processes[1:]:
                status = process.poll()
                if status is not None and process.pid not in ended and origin.poll() is None and self._signal is None:
                    ended.add(process.pid)
                    if status not in (0, CANNOT_IMPORT):  # otherwise it has printed its error, or ends with the script
                        say(f"{name} {how_it_ended(status)}: the others do its work")
            late = time.monotonic() - begun > COME_SECONDS
            all_ended = len(ended) == len(self._processes) - 1 > 0 and len(self._socket.came) > 0
            if not counted and (late or all_ended):
                counted = True
                if len(self._socket.came) < self.size:
                    say(f"only {len(self._socket.came)} of {self.size} workers connected")
        if origin.returncode < 0:
            say(f"the script was ended by signal {-origin.returncode}")
        return origin.returncode if origin.returncode >= 0 else 128 - origin.returncode

    def _say_alive(self) -> None:
        """Send a sign of life to the processes on other hosts."""
        for _, process in self._processes:
            if process.stdin is not None and process.poll() is None:
                with contextlib.suppress(OSError):
                    process.stdin.write(b".")
                    process.stdin.flush()

    def _end(self) -> None:
        """End all processes; those on other hosts end when their input is closed."""
        running = [process for _, process in self._processes if process.poll() is None]
        for process in running:
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            else:
                process.kill()
        until = time.monotonic() + 0.5
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
