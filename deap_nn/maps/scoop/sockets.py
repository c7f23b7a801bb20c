"""The sockets of a run under SCOOP: the broker listens for this user's processes, the workers do not listen.

SCOOP's broker, and each worker's socket for results, unpickle messages before any check, so a peer that reaches them
runs code as the user. On one host the broker listens in a folder that only this user can enter. On several hosts it
listens on TCP ports, encrypts by CURVE, and admits only the key of the run.

References
----------
P. Hintjens, "CurveZMQ", ZeroMQ RFC 26; the ZeroMQ Authentication Protocol (ZAP), ZeroMQ RFC 27.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import json
import os
import platform
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from deap_nn.process.cli import warn_in_one_line
from deap_nn.process.private_folders import sweep_folders

if TYPE_CHECKING:
    import zmq

ENDPOINT = "DEAP_NN_BROKER"
"""The environment variable with the broker's `Endpoint`; all users can read a command line, so it has no keys."""

PREFIX = "deap_nn-scoop-"
"""The prefix of the names of a run's folders."""

DOMAIN = "deap_nn"
"""The ZAP domain in which a broker's sockets authenticate peers."""

LONGEST_PATH = 107
"""The most bytes in the path of a Unix socket."""


@dataclass(frozen=True)
class Endpoint:
    """The addresses and keys of a broker.

    Parameters
    ----------
    task, info : str
        The addresses of its two sockets, in ZeroMQ's form.
    server, public, secret : str
        The broker's public key, and the key pair of the run's workers, in Z85; empty on one host.
    """

    task: str
    info: str
    server: str = ""
    public: str = ""
    secret: str = ""

    def to_text(self) -> str:
        """Return it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Endpoint:
        """Return the endpoint of a line of `to_text`."""
        return cls(**json.loads(text))

    def secure(self, socket: zmq.Socket[Any]) -> None:
        """Set the keys of a worker's socket, if there are any, before it connects."""
        if self.server:
            socket.curve_serverkey = self.server.encode()
            socket.curve_publickey = self.public.encode()
            socket.curve_secretkey = self.secret.encode()


class Folder:
    """A folder for the sockets of one run, which only this user can enter; removed by `close`, or by the next run."""

    def __init__(self) -> None:
        place = Path(tempfile.gettempdir())
        if len(os.fsencode(place / f"{PREFIX}{'x' * 8}" / "task")) >= LONGEST_PATH:
            place = Path("/tmp")  # noqa: S108  (mkdtemp makes a folder of 0700 in it)
        sweep(place)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        self._lock = os.open(self.path / "lock", os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)


def sweep(place: Path) -> None:
    """Remove the folders that this user's killed runs have left."""
    sweep_folders(place, f"{PREFIX}*")


class _ZmqWith:
    """A stand-in for the module ``zmq`` with a given context, since SCOOP's broker would make its own."""

    def __init__(self, context: zmq.Context[Any]) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        import zmq

        return getattr(zmq, name)

    def Context(self, *arguments: Any) -> zmq.Context[Any]:
        return self._context


def private_broker(folder: Folder) -> tuple[Any, Endpoint]:
    """Return SCOOP's broker for the processes of one host, and its endpoint."""
    from scoop.broker.brokerzmq import Broker

    endpoint = Endpoint(f"ipc://{folder.path}/task", f"ipc://{folder.path}/info")
    return Broker(tSock=endpoint.task, mSock=endpoint.info), endpoint


def has_curve() -> bool:
    """Return whether ZeroMQ was built with encryption."""
    import zmq

    return bool(zmq.has("curve"))


def public_broker(address: str) -> tuple[Any, Endpoint]:
    """Return SCOOP's broker for several hosts, at free ports of an address, and its endpoint with the keys."""
    import zmq
    from scoop.broker import brokerzmq
    from zmq.auth.thread import ThreadAuthenticator

    server, server_secret = zmq.curve_keypair()
    public, secret = zmq.curve_keypair()

    class Secured(zmq.Context[Any]):
        def socket(self, socket_type: int, socket_class: Any = None, **kwargs: Any) -> Any:
            made = super().socket(socket_type, socket_class, **kwargs)
            if socket_type in (zmq.ROUTER, zmq.PUB):
                made.curve_server = True
                made.curve_secretkey = server_secret
                made.zap_domain = DOMAIN.encode()
            return made

    context = Secured(1)
    # Without an authenticator ZeroMQ admits each peer that has the broker's public key.
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    admitting = SimpleNamespace(callback=lambda domain, key: hmac.compare_digest(key, public))
    authenticator.configure_curve_callback(domain=DOMAIN, credentials_provider=admitting)
    plain = brokerzmq.zmq
    brokerzmq.zmq = _ZmqWith(context)
    try:
        broker = brokerzmq.Broker(tSock=f"tcp://{address}:*", mSock=f"tcp://{address}:*")
    finally:
        brokerzmq.zmq = plain
    broker.authenticator = authenticator
    task, info = (f"tcp://{address}:{port}" for port in broker.getPorts())
    return broker, Endpoint(task, info, server.decode(), public.decode(), secret.decode())


def worker_name() -> bytes:
    """Return a unique name of a worker: the host, the process, and random bytes of the operating system.

    SCOOP's own names depend on ``random``, which a script may seed.
    """
    return name_of(os.getpid()) + os.urandom(8).hex().encode()


def name_of(process: int) -> bytes:
    """Return the prefix of the name of a worker that is a process of this host."""
    return f"{platform.node()}:{process}:".encode()


def join(endpoint: Endpoint) -> None:
    """Patch SCOOP's communicator, before this process makes it, to connect only to a broker and never to listen."""
    import scoop
    import zmq
    from scoop._comm.scoopzmq import ZMQCommunicator

    listen_nowhere()
    scoop.CONFIGURATION = {}  # the broker accepts no other settings
    make = ZMQCommunicator.createZMQSocket

    def make_socket(self: Any, kind: int) -> Any:
        made = make(self, kind)
        if kind != zmq.ROUTER:
            endpoint.secure(made)
        return made

    def add_broker(self: Any, broker: Any) -> None:
        self.socket.connect(endpoint.task)
        self.infoSocket.connect(endpoint.info)
        self.infoSocket.setsockopt(zmq.SUBSCRIBE, b"")
        self.broker_set.add(broker)

    ZMQCommunicator.createZMQSocket = make_socket
    ZMQCommunicator._addBroker = add_broker


def listen_nowhere() -> None:
    """Patch SCOOP's communicator, before this process makes it, not to listen for results of other workers.

    The results then come through the broker. If the communicator exists already, as in the main process, its socket is
    unbound.
    """
    import scoop
    import zmq
    from scoop import _control
    from scoop._comm.scoopzmq import ZMQCommunicator

    if _control.execQueue is not None:
        socket = _control.execQueue.socket.direct_socket
        with contextlib.suppress(zmq.ZMQError):  # it is unbound already
            socket.unbind(socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
        return
    name = worker_name()

    class Silent(zmq.Socket[bytes]):
        """The socket for results between workers: never bound or connected, so results go through the broker."""

        def bind(self, addr: str) -> Any:
            return None

        def connect(self, addr: str) -> Any:
            return None

        def setsockopt(self, option: int, value: Any) -> None:
            if option == zmq.IDENTITY:  # replaces SCOOP's name, which has an address and a port
                scoop.worker = value = name
            super().setsockopt(option, value)

    make = ZMQCommunicator.createZMQSocket

    def make_socket(self: Any, kind: int) -> Any:
        if kind != zmq.ROUTER:
            return make(self, kind)
        context = self.ZMQcontext
        plain = context.socket
        context.socket = lambda socket_type: Silent(context, socket_type)
        try:
            return make(self, kind)
        finally:
            context.socket = plain

    ZMQCommunicator.createZMQSocket = make_socket


def warn_of_open_broker() -> None:
    """Warn that the broker of SCOOP's own launcher listens on every network interface."""
    import scoop

    warn_in_one_line(
        "the broker of python -m scoop listens on every network interface and runs any code that it receives: "
        f"use python -m deap_nn.launch {os.path.relpath(scoop.MAIN_MODULE)}, which admits only this run's processes"
    )
