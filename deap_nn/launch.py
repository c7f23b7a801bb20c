"""Run a script under SCOOP and end as it does: ``python -m deap_nn.launch [-n N] [--hostfile F] SCRIPT ARGS...``."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from deap_nn import parallel
from deap_nn.broker_sockets import ENDPOINT, Folder, has_curve, private_broker, public_broker, reason_to_drop
from deap_nn.commands import InputError, Parser, integer, run_command
from deap_nn.worker import CANNOT_IMPORT, how_it_ended, own_address

LEAVE_SECONDS = parallel.SAVE_SECONDS + 1.0
"""After a signal the script has so long to save what there is and to leave, before all is ended."""

ALIVE_SECONDS = 5.0
"""How often other hosts hear of this one."""

COME_SECONDS = 30.0
"""After so long those workers are named that have not come."""

SSH = "ssh -x -T -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=5 -o ServerAliveCountMax=3"

DISCARD = 9
"""A port that SCOOP asks for to find this host's address: workers are told elsewhere where the broker listens."""

LOCAL = ("127.0.0.1", "localhost", "::1")


class Host(NamedTuple):
    """A host and how many workers it has."""

    name: str
    workers: int

    @property
    def local(self) -> bool:
        """Whether it is this one: whether its address is one of ours."""
        if self.name in (*LOCAL, socket.gethostname(), socket.getfqdn()):
            return True
        try:
            address = socket.gethostbyname(self.name)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((address, 0))
        except OSError:
            return False
        return True


def read_hosts(path: str) -> list[Host]:
    """Return the hosts of a file: a name a line, and how many workers it has, 1 if that is left out."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"argument --hostfile: {path} cannot be read: {error}") from error
    hosts = []
    for number, line in enumerate(lines, start=1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        if len(fields) > 2 or not re.fullmatch(r"[\w.:@-]+", fields[0]) or fields[0].startswith("-"):
            raise InputError(
                f"argument --hostfile: {path}: line {number}: a host and its number of workers are allowed"
            )
        workers = fields[1] if len(fields) == 2 else "1"
        if not re.fullmatch(r"[1-9][0-9]{0,4}", workers):
            raise InputError(f"argument --hostfile: {path}: line {number}: {workers!r} is no number of workers")
        hosts.append(Host(fields[0], int(workers)))
    if not hosts:
        raise InputError(f"argument --hostfile: {path} names no host")
    return hosts


def shared_out(hosts: Sequence[Host], workers: int) -> list[Host]:
    """Return the hosts with so many workers in all: each as many as it says, in order, and what is left in turn."""
    left, counts = workers, [0] * len(hosts)
    for i, host in enumerate(hosts):
        counts[i] = min(host.workers, left)
        left -= counts[i]
    for i in range(left):
        counts[i % len(hosts)] += 1
    return [host._replace(workers=count) for host, count in zip(hosts, counts, strict=True) if count]


def say(line: str) -> None:
    """Tell the user something in one line."""
    print(f"launch: {line}", file=sys.stderr, flush=True)


class _Forgiving:
    """The broker's socket: a message to a worker that is gone does not end the broker."""

    def __init__(self, target: Any, broker: Any) -> None:
        self._target = target
        self._broker = broker
        self._ids: dict[bytes, bytes] = {}
        self.came: set[bytes] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def recv_multipart(self) -> list[bytes]:
        """Receive a message, and note who came and which task it brings."""
        from scoop.broker import brokerzmq

        message: list[bytes] = self._target.recv_multipart()
        while (reason := reason_to_drop(message)) is not None:
            say(f"a message to the broker is dropped: {reason}")
            message = self._target.recv_multipart()
        if message[1] == brokerzmq.INIT:
            self.came.add(message[0])
        elif message[1] == brokerzmq.TASK:
            self._ids[message[3]] = message[2]
        return message

    def send_multipart(self, message: list[bytes]) -> None:
        """Send a message; a task whose worker is gone goes to the next, or waits for one."""
        import zmq
        from scoop.broker import brokerzmq

        task = message[2] if message[1] == brokerzmq.TASK else b""
        try:
            self._target.send_multipart(message)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            if not task:
                return
            if self._broker.available_workers:
                self.send_multipart([self._broker.available_workers.popleft(), *message[1:]])
            else:
                self._broker.unassigned_tasks.append((self._ids[task], task))
        else:
            self._ids.pop(task, None)


class Launch:
    """The processes of one run.

    Parameters
    ----------
    hosts : sequence of Host
        Where, and how many; the first has the script's own process among them.
    address : str
        What all hosts know this one by.
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
            said = f"the broker listens in {self._folder.path}, for this user alone"
        else:
            listening = socket.gethostbyname(address)
            broker, self._endpoint = public_broker(listening)
            ports = " and ".join(map(str, broker.getPorts()))
            said = f"{listening} listens at the ports {ports}, for workers with the key of this run"
        self._socket = broker.task_socket = _Forgiving(broker.task_socket, broker)
        threading.Thread(target=self._run_broker, args=(broker,), daemon=True).start()
        say(f"{self.size} worker(s); {said}")
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._signal: int | None = None
        self._until = float("inf")

    def _run_broker(self, broker: Any) -> None:
        """Run SCOOP's broker until the script has ended."""
        try:
            broker.run()
        except Exception as error:
            say(f"SCOOP's broker failed, and the script goes on alone: {type(error).__name__}: {error}")

    def _start(self) -> None:
        options = ["--size", self.size, "--workingDirectory", Path.cwd(), "--backend=ZMQ"]
        options += ["--brokerHostname", self._address, "--externalBrokerHostname", self._address]
        options += ["--taskPort", DISCARD, "--metaPort", DISCARD]
        arguments = [*map(str, options), "--origin", *self._command]
        environment = {**os.environ, parallel.LAUNCHED: str(os.getpid()), ENDPOINT: self._endpoint.to_text()}
        for host in self.hosts:
            if host.local:
                for i in range(host.workers):
                    command = [sys.executable, "-m", "deap_nn.worker", *arguments]
                    # A group of its own: Ctrl-C is passed on to it, once.
                    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, process_group=0)
                    self._processes.append((f"worker {i + 1} on this host (process {process.pid})", process))
                    arguments = [argument for argument in arguments if argument != "--origin"]
                continue
            paths = os.environ.get("PYTHONPATH", "")
            there = ["env", f"PYTHONPATH={paths}", self._python, "-m", "deap_nn.worker", "--count", str(host.workers)]
            line = f"cd {shlex.quote(str(Path.cwd()))} && exec {shlex.join([*there, *arguments])}"
            command = [*shlex.split(self._ssh), host.name, line]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)
            with contextlib.suppress(OSError):  # it has ended, which is told as that of any other
                process.stdin.write(f"{self._endpoint.to_text()}\n".encode())  # type: ignore[union-attr]  # a pipe
                process.stdin.flush()  # type: ignore[union-attr]
            self._processes.append((f"the {host.workers} worker(s) on {host.name}", process))

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """Pass a signal on to the script; a second one ends all at once."""
        again = self._signal is not None
        self._signal = number
        self._until = time.monotonic() if again else time.monotonic() + LEAVE_SECONDS
        if self._processes and not again:
            self._send_signal()

    def _send_signal(self) -> None:
        """Pass on what came; a terminal that hangs up ends a run in order, too."""
        if self._signal is not None:
            number = signal.SIGTERM if self._signal == signal.SIGHUP else self._signal
            self._processes[0][1].send_signal(number)

    def run(self) -> int:
        """Run the script to its end, and return its exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._pass_on)
        try:
            self._start()
            self._send_signal()  # one that came before there was anybody to pass it on to
            return self._watch()
        finally:
            self._end()
            if self._folder is not None:
                self._folder.close()

    def _watch(self) -> int:
        origin = self._processes[0][1]
        told: set[int] = set()
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
                if status is not None and process.pid not in told and origin.poll() is None and self._signal is None:
                    told.add(process.pid)
                    if status not in (0, CANNOT_IMPORT):  # it has said so itself, or ends with the script
                        say(f"{name} {how_it_ended(status)}: the others do its work")
            late = time.monotonic() - begun > COME_SECONDS
            alone = len(told) == len(self._processes) - 1 > 0 and len(self._socket.came) > 0
            if not counted and (late or alone):
                counted = True
                if len(self._socket.came) < self.size:
                    say(f"only {len(self._socket.came)} of {self.size} workers came")
        if origin.returncode < 0:
            say(f"the script was ended by signal {-origin.returncode}")
        return origin.returncode if origin.returncode >= 0 else 128 - origin.returncode

    def _say_alive(self) -> None:
        """Let other hosts hear of this one."""
        for _, process in self._processes:
            if process.stdin is not None and process.poll() is None:
                with contextlib.suppress(OSError):
                    process.stdin.write(b".")
                    process.stdin.flush()

    def _end(self) -> None:
        """End all processes, those on other hosts by the end of their input."""
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


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = Parser("Run a script under SCOOP: its exit status is handed on, and nothing outlives it.")
    add = parser.add_argument
    add("-n", type=integer(1), metavar="N", help="workers in all; by default the cores, or what the hosts have")
    add("--hostfile", metavar="F", help="a file of hosts, one a line, each with its number of workers")
    add("--address", metavar="HOST", help="what other hosts know this one by; by default the first in the file")
    add("--ssh", default=SSH, metavar="COMMAND", help="reaches another host")
    add("--python", default=sys.executable, metavar="PATH", help="the interpreter on other hosts")
    add("script", metavar="SCRIPT", help="what to run")
    add("arguments", nargs=argparse.REMAINDER, metavar="ARGS", help="its arguments")
    return parser.parse_args()


def main() -> int:
    """Run what the command line says, and return the exit status of the script."""
    options = parse_arguments()
    if not Path(options.script).is_file():
        raise InputError(f"argument SCRIPT: {options.script} is no file")
    if importlib.util.find_spec("scoop") is None:
        raise InputError("SCOOP is missing: install it, or run the script with plain python")
    hosts = read_hosts(options.hostfile) if options.hostfile else [Host(LOCAL[0], os.cpu_count() or 1)]
    hosts = shared_out(hosts, options.n or sum(host.workers for host in hosts))
    if not hosts[0].local:
        raise InputError(f"argument --hostfile: the first host must be this one, {socket.gethostname()}")
    address = options.address or (LOCAL[0] if all(host.local for host in hosts) else hosts[0].name)
    if not all(host.local for host in hosts) and not has_curve():
        raise InputError("argument --hostfile: several hosts need a ZeroMQ with CURVE, which this pyzmq has not")
    ssh = shlex.split(options.ssh)
    if not all(host.local for host in hosts) and (not ssh or shutil.which(ssh[0]) is None):
        raise InputError(f"argument --ssh: {options.ssh!r} is no command here")
    try:
        own_address(address, 9)
        socket.gethostbyname(address)
        if not all(host.local for host in hosts) and socket.gethostbyname(address).startswith("127."):
            raise InputError(f"argument --address: other hosts cannot reach this one by {address}")
    except OSError as error:
        raise InputError(f"argument --address: {address} is not known: {error}") from error
    return Launch(hosts, address, options.ssh, options.python, [options.script, *options.arguments]).run()


if __name__ == "__main__":
    run_command(main)
