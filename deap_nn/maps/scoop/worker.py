"""A process of a run under `deap_nn.launch`: SCOOP's bootstrap with repairs and the script's exit status.

``python -m deap_nn.maps.scoop.worker`` takes the options of SCOOP's own ``scoop.bootstrap``. With ``--count N`` before
them it starts N such processes, and ends them when its input ends or stays silent, as when an ssh connection breaks.
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
"""Workers on another host end after this time without a sign of the launcher."""


def own_address(broker: str, port: int) -> str:
    """Return this host's address in the network of the broker."""
    family, _, _, _, address = socket.getaddrinfo(broker, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(address)  # by UDP nothing is sent: the system only chooses the interface
        found: str = probe.getsockname()[0]
    return found


def _launcher() -> int | None:
    """Return the id of the process that started this one for a run, even if it has ended."""
    return int(os.environ.get(workers.LAUNCHED, "0")) or None


class _Program:
    """Runs the script in place of SCOOP, which prints a traceback at every exit, and keeps its exit status."""

    def __init__(self) -> None:
        self.status = 1  # if SCOOP itself shuts down before the script ends

    def run_path(self, path: str, init_globals: object, run_name: str) -> dict[str, Any]:
        """Run a script as ``runpy.run_path`` does, and keep its exit status."""
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
            signals.leave_now(self.status)  # SCOOP would wait for the broker, which has ended with the launcher
        return {}


def run(arguments: Sequence[str]) -> int:
    """Run as a process of SCOOP; return the exit status of the script in the origin, 0 in a worker."""
    import scoop
    from scoop.bootstrap import __main__ as bootstrap

    class Bootstrap(bootstrap.Bootstrap):  # type: ignore[misc]  # SCOOP has no types
        def setScoop(self) -> None:
            super().setScoop()
            workers.end_with_parent(signal.SIGTERM if scoop.IS_ORIGIN else signal.SIGKILL, _launcher())
            # Taken out of the environment, so that processes of the script do not inherit the keys.
            join(Endpoint.from_text(os.environ.pop(ENDPOINT)))
            repairs.mend()
            scoop.logger.setLevel(logging.ERROR)  # it warns of late tasks, which `repairs` handles
            if not scoop.IS_ORIGIN:
                _end_alone()

        def run(self, globs: dict[str, Any] | None = None) -> None:
            # A task that refers to the script is unpickled from __main__, which a worker has imported.
            super().run(vars(sys.modules["__main__"]) if globs is None else globs)

        @staticmethod
        def setupEnvironment(self: Any = None) -> Any:
            try:
                return bootstrap.Bootstrap.setupEnvironment(self)
            except BaseException as error:
                reason = f"{type(error).__name__}: {error}".partition("\n")[0]
                name = f"worker {os.getpid()} on {platform.node()}"
                print(f"launch: {name} cannot import {scoop.MAIN_MODULE}: {reason}", file=sys.stderr, flush=True)
                os._exit(CANNOT_IMPORT)

    let_tensorflow_have(1)
    program = _Program()
    bootstrap.runpy = program
    sys.argv[1:] = arguments
    Bootstrap().main()
    return program.status if scoop.IS_ORIGIN else 0


def _end_alone() -> None:
    """Let a failing worker end without a message to SCOOP's broker, which would end the whole run."""
    import scoop
    from scoop._comm.scoopzmq import ZMQCommunicator

    def shut_down(self: Any) -> None:
        scoop.SHUTDOWN_REQUESTED = True
        self.ZMQcontext.destroy()

    ZMQCommunicator.shutdown = shut_down


def hold(count: int, arguments: Sequence[str]) -> int:
    """Start `count` processes, and end them when the input of this one ends or is silent for ``SILENT_SECONDS``.

    The first line of the input is the broker's `Endpoint`, with the keys.
    """
    processes = []
    with open(0, "rb", buffering=0, closefd=False) as given:  # unbuffered, so that `select` sees the bytes that follow
        endpoint = given.readline().decode()
    for i in range(count):
        own = [argument for argument in arguments if not (i and argument == "--origin")]
        environment = {**os.environ, workers.LAUNCHED: str(os.getpid()), ENDPOINT: endpoint}
        command = [sys.executable, "-m", "deap_nn.maps.scoop.worker", *own]
        processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment))
    reported: set[int] = set()
    heard = time.monotonic()
    with contextlib.suppress(OSError, KeyboardInterrupt):
        while time.monotonic() - heard < SILENT_SECONDS:
            ready, _, _ = select.select([0], [], [], 1.0)
            if ready:
                if not os.read(0, 64):
                    break
                heard = time.monotonic()
            for process in processes:
                if process.poll() not in (None, 0, CANNOT_IMPORT) and process.pid not in reported:
                    reported.add(process.pid)
                    ended = f"worker {process.pid} on {platform.node()} {how_it_ended(process.returncode)}"
                    print(f"launch: {ended}: the others do its work", file=sys.stderr, flush=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
    sweep(default_place())
    return 0


def how_it_ended(status: int) -> str:
    """Return how a process ended, as part of a sentence."""
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"


def main(arguments: Sequence[str]) -> int:
    """Run one process, or hold several, by the command line."""
    if arguments[:1] == ["--count"]:
        return hold(int(arguments[1]), arguments[2:])
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
