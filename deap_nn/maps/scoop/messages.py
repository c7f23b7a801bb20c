"""The messages between a run's workers and SCOOP's broker: how each must look, and what happens to one that does not.

A peer that has the key of a run may run code in its workers: that is what they are for. But no message ends the broker
or the run by its form, and the broker unpickles nothing that a peer has sent.
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
"""The number of frames of each message that SCOOP's workers send, with the sender's name."""


def _pickles(value: object) -> set[bytes]:
    """Return how a value looks as a pickle of each protocol."""
    return {pickle.dumps(value, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)}


NO_SETTINGS = frozenset(_pickles({}))
"""What a worker sends when it comes: SCOOP's settings, of which ours have none."""

LONGEST_NAME = 1024
"""The name of a task, which is that of a worker and a number, has at most this number of bytes."""


def say(line: str) -> None:
    """Tell the user something in one line."""
    print(f"launch: {line}", file=sys.stderr, flush=True)


def pack_names(names: Iterable[bytes]) -> bytes:
    """Return names of tasks as one frame, which `unpack_names` reads without unpickling."""
    return b" ".join(name.hex().encode() for name in names)


def unpack_names(frame: bytes) -> set[bytes]:
    """Return the names of tasks that a frame holds, or raise ValueError.

    Examples
    --------
    >>> sorted(unpack_names(pack_names([b"one", b"two"])))
    [b'one', b'two']
    """
    return {bytes.fromhex(name) for name in frame.decode("ascii").split()}


def _strings(frame: bytes) -> list[str] | None:
    """Return the strings of a pickle in order, none of which is unpickled, or None if it is not well formed."""
    try:
        pickletools.dis(frame, out=StringIO())
        return [argument for _, argument, _ in pickletools.genops(frame) if isinstance(argument, str)]
    except Exception:  # whatever the bytes of a stranger bring about
        return None


def holds_task(frame: bytes) -> bool:
    """Return whether a frame is a pickle, well formed, of a task or of an answer."""
    return (_strings(frame) or [])[:2] == ["scoop._types", "Future"]


def _is_constant(message: list[bytes]) -> bool:
    """Return whether a message holds the name and the value of a constant, and the name of the worker that has it."""
    worker, _, name, value, owner = message
    strings = _strings(name) if len(name) <= LONGEST_NAME else None
    if strings is None or len(strings) != 1 or name not in _pickles(strings[0]) or owner not in _pickles(worker):
        return False
    return _strings(value) is not None


def reason_to_drop(message: list[bytes], came: set[bytes], origin: bytes | None) -> str | None:
    """Return why a broker cannot take a message, or None if it can.

    Parameters
    ----------
    message : list of bytes
        The sender's name, the kind, and what belongs to it.
    came : set of bytes
        The names of the workers of the run.
    origin : bytes or None
        What the name of the script's own process begins with; it alone ends a run.
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
    """The broker's socket: it drops bad messages, and one to a worker that is gone does not end the broker.

    Parameters
    ----------
    target : zmq.Socket
        The socket, a ROUTER.
    broker : scoop.broker.brokerzmq.Broker
        Whose it is.
    """

    origin: bytes | None = None
    """What the name of the script's own process begins with."""

    def __init__(self, target: Any, broker: Any) -> None:
        self._target = target
        self._broker = broker
        self._ids: dict[bytes, list[bytes]] = {}
        self.came: set[bytes] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def recv_multipart(self) -> list[bytes]:
        """Receive a message that the broker can take, and note who came and which task it brings."""
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
        """Send a message; a task whose worker is gone goes to the next, or waits for one."""
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
