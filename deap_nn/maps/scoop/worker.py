"""A process of a run under `deap_nn.launch`: SCOOP's bootstrap with repairs and the script's exit status.

``python -m deap_nn.maps.scoop.worker`` takes the options of SCOOP's own ``scoop.bootstrap``; ``--brokerHostname`` is
the folder with the sockets of the broker.
"""

from __future__ import annotations

import logging
import os
import platform
import runpy
import signal
import sys
import traceback
from typing import Any

from deap_nn.core.environment import let_tensorflow_have
from deap_nn.maps.scoop import repairs
from deap_nn.process import signals, workers

CANNOT_IMPORT = 86
"""The exit status of a worker that cannot import the script."""


class _Program:
    """Runs the script in place of SCOOP, which prints a traceback at every exit, and keeps its exit status."""

    def __init__(self, launcher: int) -> None:
        self._launcher = launcher
        self.status = 1  # if the script raises, or SCOOP itself shuts down before the script ends

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
        if os.getppid() != self._launcher:
            signals.leave_now(self.status)  # SCOOP would wait for the broker, which has ended with the launcher
        return {}


def main() -> int:
    """Run as a process of SCOOP; return the exit status of the script in the origin, 0 in a worker."""
    import scoop
    from scoop.bootstrap import __main__ as bootstrap

    launcher = int(os.environ[workers.LAUNCHED])

    class Bootstrap(bootstrap.Bootstrap):  # type: ignore[misc]  # SCOOP has no types
        def setScoop(self) -> None:
            super().setScoop()
            workers.end_with_parent(signal.SIGTERM if scoop.IS_ORIGIN else signal.SIGKILL, launcher)
            _connect_by_folder()
            repairs.mend()
            scoop.logger.setLevel(logging.ERROR)  # it warns of late tasks, which `repairs` handles

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
    program = _Program(launcher)
    bootstrap.runpy = program
    Bootstrap().main()
    if not scoop.IS_ORIGIN:
        signals.leave_now(0)  # a thread that still imports TensorFlow would abort an orderly exit
    return program.status


def _connect_by_folder() -> None:
    """Patch SCOOP's communicator, before this process makes it, to use the sockets of a folder and never to listen."""
    import scoop
    import zmq
    from scoop._comm.scoopzmq import ZMQCommunicator

    make = ZMQCommunicator.createZMQSocket

    def make_socket(self: Any, kind: int) -> Any:
        made = make(self, kind)
        if kind == zmq.ROUTER:  # for results of other workers, which come through the broker if it is unbound
            made.bind = lambda address: None
        elif kind == zmq.DEALER:  # SCOOP's own names depend on ``random``, which a script may seed
            scoop.worker = f"{os.getpid()}:{os.urandom(8).hex()}".encode()
        return made

    def add_broker(self: Any, broker: Any) -> None:
        self.socket.connect(f"ipc://{broker.hostname}/task")
        self.infoSocket.connect(f"ipc://{broker.hostname}/info")
        self.infoSocket.setsockopt(zmq.SUBSCRIBE, b"")
        self.broker_set.add(broker)

    def end_alone(self: Any) -> None:
        """End without a message to SCOOP's broker, which would end the whole run."""
        scoop.SHUTDOWN_REQUESTED = True
        self.ZMQcontext.destroy()

    ZMQCommunicator.createZMQSocket = make_socket
    ZMQCommunicator._addBroker = add_broker
    ZMQCommunicator.addPeer = lambda self, peer: None
    if not scoop.IS_ORIGIN:
        ZMQCommunicator.shutdown = end_alone


if __name__ == "__main__":
    sys.exit(main())
