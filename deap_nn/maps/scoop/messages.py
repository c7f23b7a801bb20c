"""Checks of the messages between a run's workers and SCOOP's broker; bad ones are dropped.

A peer with the key of a run may run code in its workers, which is their purpose. But no badly formed message ends the
broker or the run, and the broker unpickles no bytes from a peer.
"""

from __future__ import annotations

import pickle
import pickletools
import sys
from collections.abc import Iterable
from io import StringIO
from typing import Any

INIT, REQUEST, TASK, REPLY, SHUTDOWN, VARIABLE = b"I", b"RQ", b"T", b"RP", b"S", b"V"
STATUS_REQ, STATUS_DONE, STATUS_UPDATE = b"SR", b"SD", b"SU"

FRAMES = {
    INIT: 3,
    REQUEST: 2,
    TASK: 4,
    REPLY: 4,
    SHUTDOWN: 2,
    VARIABLE: 5,
    STATUS_REQ: 3,
    STATUS_DONE: 3,
    STATUS_UPDATE: 3,
}
"""The number of frames of each message from SCOOP's workers, including the sender's name."""


def _pickles(value: object) -> set[bytes]:
    """Return the pickles of a value in all protocols."""
    return {pickle.dumps(value, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)}


NO_SETTINGS = frozenset(_pickles({}))
"""The settings in a worker's first message to SCOOP's broker: always empty in this package."""

LONGEST_NAME = 1024
"""The most bytes in the name of a task, which is made of a worker's name and a number."""


def say(line: str) -> None:
    """Print one line for the user."""
    print(f"launch: {line}", file=sys.stderr, flush=True)


def pack_names(names: Iterable[bytes]) -> bytes:
    """Return the names of tasks as one frame, which `unpack_names` reads without unpickling."""
    return b" ".join(name.hex().encode() for name in names)


def unpack_names(frame: bytes) -> set[bytes]:
    """Return the names of tasks in a frame, or raise ValueError.

    Examples
    --------
    >>> sorted(unpack_names(pack_names([b"one", b"two"])))
    [b'one', b'two']
    """
    return {bytes.fromhex(name) for name in frame.decode("ascii").split()}


def _strings(frame: bytes) -> list[str] | None:
    """Return the strings of a pickle in order, without unpickling it, or None if it is not well formed."""
    try:
        # `dis` checks the stack and the memo too; `genops` accepts a pickle that lacks its operands.
        pickletools.dis(frame, out=StringIO())
        return [argument for _, argument, _ in pickletools.genops(frame) if isinstance(argument, str)]
    except Exception:  # foreign bytes can raise any exception
        return None


def holds_task(frame: bytes) -> bool:
    """Return whether a frame is a well-formed pickle of a task or a result."""
    return (_strings(frame) or [])[:2] == ["scoop._types", "Future"]


def _is_constant(message: list[bytes]) -> bool:
    """Return whether a message has the name and the value of a constant, and the name of its worker."""
    worker, _, name, value, owner = message
    strings = _strings(name) if len(name) <= LONGEST_NAME else None
    if strings is None or len(strings) != 1 or name not in _pickles(strings[0]) or owner not in _pickles(worker):
        return False
    return _strings(value) is not None


def reason_to_drop(message: list[bytes], came: set[bytes], origin: bytes | None) -> str | None:
    """Return the reason to drop a message to the broker, or None if it is good.

    Parameters
    ----------
    message : list of bytes
        The sender's name, the kind, and the other frames of this kind.
    came : set of bytes
        The names of the workers of the run.
    origin : bytes or None
        The prefix of the name of the script's own process; only this process may end the run.
    """
    if len(message) < 2 or message[1] not in FRAMES:
        return "it is no message of a worker"
    sender, kind = message[:2]
    if len(message) != FRAMES[kind]:
        return f"it has {len(message)} frames"
    if kind == INIT:
        return None if message[2] in NO_SETTINGS else "it has other settings than a worker's"
    if sender not in came:
        return "its sender is no worker of this run"
    if kind in (TASK, STATUS_REQ, STATUS_DONE) and len(message[2]) > LONGEST_NAME:
        return "it names no task"
    if kind == REPLY and message[3] not in came:
        return "it is for no worker of this run"
    if kind == VARIABLE and not _is_constant(message):
        return "it holds no constant"
    if kind == SHUTDOWN and (origin is None or not sender.startswith(origin)):
        return "only the script's own process ends a run"
    return None


class CheckedSocket:
    """The broker's socket: it drops bad messages, and a message to a worker that has ended does not end the broker.

    Parameters
    ----------
    target : zmq.Socket
        The socket, a ROUTER.
    broker : scoop.broker.brokerzmq.Broker
        The broker that uses the socket.
    """

    origin: bytes | None = None
    """The prefix of the name of the script's own process."""

    def __init__(self, target: Any, broker: Any) -> None:
        self._target = target
        self._broker = broker
        # A task on its way to a worker has no id, and the broker's queue of unassigned tasks needs one.
        self._ids: dict[bytes, list[bytes]] = {}
        self.came: set[bytes] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def recv_multipart(self) -> list[bytes]:
        """Receive the next good message, and note a new worker's name or the task's id."""
        while True:
            message: list[bytes] = self._target.recv_multipart()
            reason = reason_to_drop(message, self.came, self.origin)
            if reason is None and message[1] == STATUS_UPDATE:
                try:
                    message[2] = pickle.dumps(unpack_names(message[2]))  # the broker unpickles it
                except ValueError:
                    reason = "it names no tasks"
            if reason is None:
                break
            say(f"a message to the broker is dropped: {reason}")
        if message[1] == INIT:
            self.came.add(message[0])
        elif message[1] == TASK:
            self._ids.setdefault(message[3], []).append(message[2])
        return message

    def send_multipart(self, message: list[bytes]) -> None:
        """Send a message; the task of a worker that has ended goes to the next worker, or waits for one."""
        import zmq

        while True:
            try:
                self._target.send_multipart(message)
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
            else:
                break
            if message[1] != TASK:
                return
            if not self._broker.available_workers:
                self._broker.unassigned_tasks.append((self._ids[message[2]][-1], message[2]))
                return
            message = [self._broker.available_workers.popleft(), *message[1:]]
        if message[1] == TASK:
            names = self._ids[message[2]]
            names.pop()
            if not names:
                del self._ids[message[2]]
