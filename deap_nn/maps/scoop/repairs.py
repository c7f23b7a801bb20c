"""SCOOP, mended: sockets that one thread uses at a time, true reports, and tasks that are done again when late."""

from __future__ import annotations

import contextlib
import os
import pickle
import statistics
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from deap_nn.maps.scoop.messages import REPLY, STATUS_UPDATE, TASK, holds_task, pack_names, say
from deap_nn.maps.scoop.sockets import listen_nowhere, warn_of_open_broker
from deap_nn.process.workers import LAUNCHED

REPORT_SECONDS = 5.0

LATE_SECONDS = 3.0
"""An answer is not missed before so many seconds have passed without any."""

FIRST_SECONDS = 15.0
"""The same while some workers have never answered: they are still importing and compiling."""

LATE_TIMES = 4.0
"""An answer is missed once none has come for so many times as long as one usually takes."""


class _OneAtATime:
    """A socket or poller of SCOOP's whose methods no two threads are in at once."""

    def __init__(self, target: Any, lock: threading.RLock, shut_out: threading.Thread | None) -> None:
        self._target = target
        self._lock = lock
        self._shut_out = shut_out
        self.received: list[bytes] = []
        """The last message."""

    def recv_multipart(self) -> list[bytes]:
        """Receive a message."""
        with self._lock:
            self.received = self._target.recv_multipart()
            return self.received

    def __getattr__(self, name: str) -> Any:
        if threading.current_thread() is self._shut_out:
            raise AttributeError(name)  # SCOOP's own reporting thread takes this for the end of the program
        value = getattr(self._target, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **keywords: Any) -> Any:
            with self._lock:
                return value(*arguments, **keywords)

        return call


def _guard(communicator: Any) -> None:
    """Let only one thread at a time use the socket that SCOOP's main and reporting threads share.

    A ZeroMQ socket is not safe to share: where the report of every 25 seconds falls into the sending of a large task,
    the message arrives torn and SCOOP ends with "pickle data was truncated" (soravux/scoop, issue 14). The reporting
    thread is replaced too: SCOOP's ends when the queue changes while it reads it, first reports after 25 seconds,
    leaves out the task at hand and names tasks otherwise than the broker does, which therefore loses track of them.
    """
    lock = threading.RLock()
    reporter = communicator.status_update_thread
    communicator.socket = _OneAtATime(communicator.socket, lock, reporter)
    communicator.poller = _OneAtATime(communicator.poller, lock, None)
    communicator.infoSocket = _OneAtATime(communicator.infoSocket, lock, None)
    _forgive(communicator)
    _report(communicator)
    communicator.status_update_thread = threading.Thread(target=_keep_reporting, args=(communicator,), daemon=True)
    communicator.status_update_thread.start()


def _forgive(communicator: Any) -> None:
    """Let what other processes send end nothing here by its form: it is dropped with one line."""
    import scoop
    from scoop._comm.scoopexceptions import Shutdown

    receive, pump = communicator._recv, communicator.pumpInfoSocket
    communicator.receiving = False

    def receive_task() -> Any:
        communicator.receiving = True
        try:
            return receive()
        except Exception:
            message = communicator.socket.received
            if not message or message[0] not in (TASK, REPLY) or holds_task(message[1]):
                raise
            say(f"a message to process {os.getpid()} is dropped: it holds no task")
            if message[0] == TASK:
                communicator.sendRequest()  # SCOOP asks once for a task, and waits
            return None
        finally:
            communicator.receiving = False
            communicator.socket.received = []

    def receive_constants() -> None:
        try:
            pump()
        except Shutdown:
            raise
        except Exception as error:
            message = communicator.infoSocket.received
            if message[-1:] == [pickle.dumps(scoop.worker, pickle.HIGHEST_PROTOCOL)]:  # of this process' own script
                raise
            say(f"a constant for process {os.getpid()} is dropped: {type(error).__name__}")

    communicator._recv, communicator.pumpInfoSocket = receive_task, receive_constants


def _keep_reporting(communicator: Any) -> None:
    import scoop

    while not scoop.SHUTDOWN_REQUESTED:
        time.sleep(min(REPORT_SECONDS, scoop.TIME_BETWEEN_STATUS_REPORTS))
        if not communicator.receiving:  # a task that is being unpickled has no name yet
            _report(communicator)


def _report(communicator: Any) -> None:
    """Tell SCOOP's broker which tasks are here."""
    import zmq
    from scoop import _control

    queue, current = _control.execQueue, _control.current
    # Making a tuple is one step, which no other thread can interrupt.
    parts = (queue.movable, queue.ready, queue.inprogress) if queue is not None else ()
    here = [future for part in parts for future in tuple(part)]
    here += [current] if current is not None else []
    names = {pickle.dumps(future.id, pickle.HIGHEST_PROTOCOL) for future in here}
    with contextlib.suppress(zmq.ZMQError):  # the broker is busy or gone, or the program ends
        frame = pack_names(names) if LAUNCHED in os.environ else pickle.dumps(names)  # SCOOP's own broker unpickles it
        communicator.socket.send_multipart([STATUS_UPDATE, frame], flags=zmq.NOBLOCK)


def _guard_scoop() -> None:
    """Guard this process' communication with SCOOP's broker, or let it be guarded when it is made."""
    from scoop import _control
    from scoop._comm.scoopzmq import ZMQCommunicator

    if _control.execQueue is not None:  # the origin
        _guard(_control.execQueue.socket)
        return
    make = ZMQCommunicator.__init__  # a worker, which imports the program before it connects

    def make_guarded(self: Any) -> None:
        make(self)
        _guard(self)

    ZMQCommunicator.__init__ = make_guarded


class _Call:
    """One call of a map: its tasks, the answers that have come, and when those that have not are missed."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        from scoop import _control

        self.root = _control.current
        self.function = function
        self.tasks: list[Any] = []
        self.answers: dict[int, Any] = {}
        self.failure: BaseException | None = None
        self._places: dict[Any, int] = {}
        self._begun = self._last = time.monotonic()
        self._since: dict[Any, float] = {}
        self._took: list[float] = []

    def send(self, task: Any) -> None:
        """Give a task to SCOOP."""
        from scoop import _control, futures

        self.tasks.append(task)
        self._add(futures._createFuture(self.function, task), len(self.tasks) - 1, _control.execQueue.append)

    def _add(self, future: Any, place: int, queue: Callable[[Any], None]) -> None:
        future.index = place
        self.root.children[future] = None
        self._places[future.id] = place
        queue(future)

    def take(self, future: Any) -> bool:
        """Take the answer of a future, and note how long its process took since its last; false if it is not ours."""
        place = self._places.get(future.id)
        if place is None:
            return False
        now = time.monotonic()
        executor = future.executor and future.executor[0]
        _answered.add(executor)
        self._took.append(now - self._since.get(executor, self._begun))
        self._since[executor] = self._last = now
        if place not in self.answers:  # the first counts: a later one may say that its process was stopped
            self.answers[place] = future.resultValue
            self.failure = future.exceptionValue
        future._delete()
        return True

    def look(self) -> None:
        """While SCOOP waits for answers: let this process do what is missed."""
        import scoop
        from scoop import _control, _types

        stalled = time.monotonic() - self._last
        patience = max(LATE_SECONDS, FIRST_SECONDS / 2 ** len(_missed))  # one that has not come by now may not come
        least = LATE_SECONDS if len(_answered) >= scoop.SIZE else patience
        if not self._took or stalled < max(least, LATE_TIMES * statistics.median_high(self._took)):
            return
        missing = [place for place in range(len(self.tasks)) if place not in self.answers]
        for place in missing:
            again = _types.Future(self.root.id, self.function, self.tasks[place])
            self._add(again, place, _control.execQueue.movable.append)
        self._last = time.monotonic()
        if len(_answered) < scoop.SIZE:
            _missed.append(self._last)
        warnings.warn(
            f"no answer for {stalled:.0f} s, so {len(missing)} task(s) are done again: a worker ended or is stuck",
            stacklevel=2,
        )

    def forget(self) -> None:
        """Let go of what was answered otherwise."""
        from scoop import _control

        for key in self._places:
            future = _control.futureDict.get(key)
            if future is not None:
                with contextlib.suppress(ValueError):
                    _control.execQueue.movable.remove(future)
                future._delete()


_answered: set[Any] = set()
"""The processes that have ever answered."""

_missed: list[float] = []
"""When answers were missed. Each time halves the patience with processes that have never answered."""

_calls: list[_Call] = []
"""The calls of `first_answers` that wait; SCOOP's own loop looks after the last."""


def first_answers(function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
    """Map a function over tasks with SCOOP, and yield the answers in order; what is late is done again here.

    SCOOP cannot take a task back, and takes a minute to miss a worker that has ended. So when no answer has come for
    several times as long as one usually takes, this process does what is missing itself, and the first answer counts.

    Parameters
    ----------
    function : callable
        Importable; a pure function of its task, which may be called twice.
    tasks : iterable
        What it is called with.
    """
    from scoop import futures

    call = _Call(function)
    _calls.append(call)
    try:
        for task in tasks:  # each is sent before the next is made
            call.send(task)
        for place in range(len(call.tasks)):
            while place not in call.answers:
                call.root.stopWatch.halt()
                done = futures._controller.switch(call.root)
                call.root.stopWatch.resume()
                any(waiting.take(done) for waiting in _calls)
                if call.failure is not None:
                    raise call.failure
            yield call.answers[place]
    finally:
        _calls.remove(call)
        call.forget()


def _watch(queue: Any) -> None:
    """Look for what is missed whenever SCOOP's loop looks for messages; at first warn of an open broker."""
    update = queue.updateQueue
    warned = LAUNCHED in os.environ

    def update_and_look() -> None:
        nonlocal warned
        if not warned:
            warned = True
            warn_of_open_broker()
        update()
        if _calls and not len(queue):
            _calls[-1].look()

    ask = queue.askForPreviousFutures

    def ask_unless_looked_after() -> None:
        # What its broker answers is out of date while a task is on its way, and SCOOP then sends it a second time.
        if not _calls:
            ask()

    queue.updateQueue = update_and_look
    queue.askForPreviousFutures = ask_unless_looked_after


def mend() -> None:
    """Mend SCOOP in this process, which it has started or is about to."""
    from scoop import _control

    if LAUNCHED not in os.environ:  # `deap_nn.launch` has seen to it
        listen_nowhere()
    _guard_scoop()
    if _control.execQueue is not None:
        watch()


def watch() -> None:
    """Look after late tasks, in the process that waits for answers."""
    import scoop

    _watch(scoop._control.execQueue)
    # SCOOP need not warn of the answer to a task that was meanwhile answered by another.
    scoop.logger.addFilter(lambda record: "Received an unexpected future" not in str(record.msg))
