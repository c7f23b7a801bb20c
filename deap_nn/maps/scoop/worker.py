"""A process of a run that `deap_nn.launch` started: SCOOP's, mended, with a true exit status.

``python -m deap_nn.maps.scoop.worker`` takes the options of SCOOP's own ``scoop.bootstrap``; with ``--count N``
before them it starts N such processes, and ends them when its input ends or falls silent, as where an ssh connection
breaks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

from deap_nn.breeding.store.slots import default_place, sweep
from deap_nn.core.environment import let_tensorflow_have
from deap_nn.maps.scoop import repairs
from deap_nn.maps.scoop.sockets import ENDPOINT, Endpoint, join
from deap_nn.process import signals, workers

CANNOT_IMPORT = 86
"""The exit status of a worker that cannot import the script."""

SILENT_SECONDS = 30.0
"""Workers of another host end when nothing has been heard of the launcher for so long."""


def own_address(broker: str, port: int) -> str:
    """Return this host's address in the network of the broker."""
    family, _, _, _, address = socket.getaddrinfo(broker, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(address)
        found: str = probe.getsockname()[0]
    return found


def _launcher() -> int | None:
    """Return the id of the process that started this one for a run, also after its end."""
    return int(os.environ.get(workers.LAUNCHED, "0")) or None


class _Program:
    """Runs the script for SCOOP, which makes a traceback of every exit, and remembers how it ended."""

    def __init__(self) -> None:
        self.status = 1  # until it has ended otherwise than by SCOOP's own shutting down

    def run_path(self, path: str, init_globals: object, run_name: str) -> dict[str, Any]:
        """Run a script as ``runpy.run_path`` does, until it ends in whatever way."""
        repairs.watch()
        try:
            runpy.run_path(path, run_name=run_name)
            self.status = 0
        except SystemExit as stop:
            self.status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            if isinstance(stop.code, str):
                print(stop.code, file=sys.stderr)
        except KeyboardInterrupt:
            self.status = 130
        except BaseException:
            traceback.print_exc()
            self.status = 1
        if _launcher() not in (None, os.getppid()):
            signals.leave_now(self.status)  # SCOOP would wait for a broker that ended with the launcher
        return {}


def run(arguments: Sequence[str]) -> int:
    """Be a process of SCOOP's, and return the exit status of the script that it runs, or 0."""
    import scoop
    from scoop.bootstrap import __main__ as bootstrap

    class Bootstrap(bootstrap.Bootstrap):  # type: ignore[misc]  # SCOOP has no types
        def setScoop(self) -> None:
            super().setScoop()
            workers.end_with_parent(signal.SIGTERM if scoop.IS_ORIGIN else signal.SIGKILL, _launcher())
            join(Endpoint.from_text(os.environ.pop(ENDPOINT)))
            repairs.mend()
            scoop.logger.setLevel(logging.ERROR)  # its warnings are of late tasks, which are looked after
            if not scoop.IS_ORIGIN:
                _end_alone()

        def run(self, globs: dict[str, Any] | None = None) -> None:
            # Where a task names something of the script, which a worker has imported, it is looked for in __main__.
            super().run(vars(sys.modules["__main__"]) if globs is None else globs)

        @staticmethod
        def setupEnvironment(self: Any = None) -> Any:
            try:
                return bootstrap.Bootstrap.setupEnvironment(self)
            except BaseException as error:
                reason = f"{type(error).__name__}: {error}".partition("\n")[0]
                who = f"worker {os.getpid()} on {platform.node()}"
                print(f"launch: {who} cannot import {scoop.MAIN_MODULE}: {reason}", file=sys.stderr, flush=True)
                os._exit(CANNOT_IMPORT)

    let_tensorflow_have(1)
    program = _Program()
    bootstrap.runpy = program
    sys.argv[1:] = arguments
    Bootstrap().main()
    return program.status if scoop.IS_ORIGIN else 0


def _end_alone() -> None:
    """Let a worker that fails end without telling SCOOP's broker, which would end the whole run."""
    import scoop
    from scoop._comm.scoopzmq import ZMQCommunicator

    def shut_down(self: Any) -> None:
        scoop.SHUTDOWN_REQUESTED = True
        self.ZMQcontext.destroy()

    ZMQCommunicator.shutdown = shut_down


def hold(count: int, arguments: Sequence[str]) -> int:
    """Start some processes, and end them when this one's input ends or is silent for long.

    The first line of the input is where the broker listens, and the keys.
    """
    processes = []
    with open(0, "rb", buffering=0, closefd=False) as given:  # unbuffered: what follows is left to be read
        endpoint = given.readline().decode()
    for i in range(count):
        own = [argument for argument in arguments if not (i and argument == "--origin")]
        environment = {**os.environ, workers.LAUNCHED: str(os.getpid()), ENDPOINT: endpoint}
        command = [sys.executable, "-m", "deap_nn.maps.scoop.worker", *own]
        processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment))
    told: set[int] = set()
    heard = time.monotonic()
    with contextlib.suppress(OSError, KeyboardInterrupt):
        while time.monotonic() - heard < SILENT_SECONDS:
            ready, _, _ = select.select([0], [], [], 1.0)
            if ready:
                if not os.read(0, 64):
                    break
                heard = time.monotonic()
            for process in processes:
                if process.poll() not in (None, 0, CANNOT_IMPORT) and process.pid not in told:
                    told.add(process.pid)
                    said = f"worker {process.pid} on {platform.node()} {how_it_ended(process.returncode)}"
                    print(f"launch: {said}: the others do its work", file=sys.stderr, flush=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
    sweep(default_place())
    return 0


def how_it_ended(status: int) -> str:
    """Say how a process ended."""
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says."""
    if arguments[:1] == ["--count"]:
        return hold(int(arguments[1]), arguments[2:])
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
