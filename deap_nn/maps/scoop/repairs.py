"""Repairs of SCOOP: sockets with a lock, correct status reports, and late tasks that are computed again."""

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

from deap_nn.process.cli import warn_in_one_line
from deap_nn.process.workers import LAUNCHED

REPORT_SECONDS = 5.0
"""The longest time between two status reports to the broker."""

LATE_SECONDS = 3.0
"""Results are not late before this time without any result."""

FIRST_SECONDS = 15.0
"""The same limit while some workers, which still import and compile, have not returned a first result."""

LATE_TIMES = 4.0
"""Results are late if none arrives for this multiple of the median time of a result."""


class _OneAtATime:
    """A socket or poller of SCOOP with a lock: only one thread at a time runs a method."""

    def __init__(self, target: Any, lock: threading.RLock, shut_out: threading.Thread | None) -> None:
        self._target = target
        self._lock = lock
        self._shut_out = shut_out

    def __getattr__(self, name: str) -> Any:
        if threading.current_thread() is self._shut_out:
            raise AttributeError(name)  # this error ends SCOOP's own reporting thread
        value = getattr(self._target, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **keywords: Any) -> Any:
            with self._lock:
                return value(*arguments, **keywords)

        return call


def _guard(communicator: Any) -> None:
    """Put a lock on the sockets that SCOOP's main and reporting threads share, and replace the reporting thread.

    A ZeroMQ socket is not thread-safe: if the report of every 25 seconds interrupts the sending of a large task, the
    message is torn and SCOOP ends with "pickle data was truncated" (soravux/scoop, issue 14). SCOOP's reporting thread
    has four faults: it ends if the queue changes during a read, first reports after 25 seconds, leaves out the current
    task, and names tasks differently from the broker. The broker therefore loses track of them.
    """
    import scoop

    lock = threading.RLock()
    reporter = communicator.status_update_thread
    communicator.socket = _OneAtATime(communicator.socket, lock, reporter)
    communicator.poller = _OneAtATime(communicator.poller, lock, None)
    communicator.infoSocket = _OneAtATime(communicator.infoSocket, lock, None)
    receive = communicator._recv

    def receive_task() -> Any:
        with lock:  # no report in the middle: a task that is being unpickled has no name yet
            return receive()

    def keep_reporting() -> None:
        while True:
            time.sleep(min(REPORT_SECONDS, scoop.TIME_BETWEEN_STATUS_REPORTS))
            with lock:
                if scoop.SHUTDOWN_REQUESTED:
                    return
                _report(communicator)

    communicator._recv = receive_task
    _report(communicator)
    communicator.status_update_thread = threading.Thread(target=keep_reporting, daemon=True)
    communicator.status_update_thread.start()


def _report(communicator: Any) -> None:
    """Report the tasks of this process to SCOOP's broker."""
    import zmq
    from scoop import _control
    from scoop._comm.scoopzmq import STATUS_UPDATE

    queue, current = _control.execQueue, _control.current
    # Python's lock makes tuple(...) one step, so no other thread changes a queue meanwhile.
    parts = (queue.movable, queue.ready, queue.inprogress) if queue is not None else ()
    here = [future for part in parts for future in tuple(part)]
    here += [current] if current is not None else []
    names = {pickle.dumps(future.id, pickle.HIGHEST_PROTOCOL) for future in here}
    with contextlib.suppress(zmq.ZMQError):  # the broker is busy or gone, or the program ends
        communicator.socket.send_multipart([STATUS_UPDATE, pickle.dumps(names)], flags=zmq.NOBLOCK)


def _guard_scoop() -> None:
    """Guard the communicator of this process, or each one that it makes later."""
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
    """One call of a map: its tasks, its results so far, and the detection of late ones."""

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
        """Submit a task to SCOOP."""
        from scoop import _control, futures

        self.tasks.append(task)
        self._add(futures._createFuture(self.function, task), len(self.tasks) - 1, _control.execQueue.append)

    def _add(self, future: Any, place: int, queue: Callable[[Any], None]) -> None:
        future.index = place
        self.root.children[future] = None
        self._places[future.id] = place
        queue(future)

    def take(self, future: Any) -> bool:
        """Take the result of a future, and note the time since its process' last one; False if another call made it."""
        place = self._places.get(future.id)
        if place is None:
            return False
        now = time.monotonic()
        executor = future.executor and future.executor[0]
        _answered.add(executor)
        self._took.append(now - self._since.get(executor, self._begun))
        self._since[executor] = self._last = now
        if place not in self.answers:  # the first result counts: a later one may be the error of a stopped process
            self.answers[place] = future.resultValue
            self.failure = future.exceptionValue
        future._delete()
        return True

    def look(self) -> None:
        """Submit late tasks again to this process; called while SCOOP waits for results."""
        import scoop
        from scoop import _control, _types

        stalled = time.monotonic() - self._last
        patience = max(LATE_SECONDS, FIRST_SECONDS / 2 ** len(_late))  # such a worker may never start
        least = LATE_SECONDS if len(_answered) >= scoop.SIZE else patience
        if not self._took or stalled < max(least, LATE_TIMES * statistics.median_high(self._took)):
            return
        missing = [place for place in range(len(self.tasks)) if place not in self.answers]
        for place in missing:
            again = _types.Future(self.root.id, self.function, self.tasks[place])
            self._add(again, place, _control.execQueue.movable.append)
        self._last = time.monotonic()
        if len(_answered) < scoop.SIZE:
            _late.append(self._last)
        warnings.warn(
            f"no result for {stalled:.0f} s, so {len(missing)} task(s) are computed again: a worker ended or is stuck",
            stacklevel=2,
        )

    def forget(self) -> None:
        """Remove the futures of this call that are left, since their tasks have other results or are not needed."""
        from scoop import _control

        for key in self._places:
            future = _control.futureDict.get(key)
            if future is not None:
                with contextlib.suppress(ValueError):
                    _control.execQueue.movable.remove(future)
                future._delete()


_answered: set[Any] = set()
"""The processes that have returned a result."""

_late: list[float] = []
"""The times at which results were late. Each one halves the time limit for processes without any result."""

_calls: list[_Call] = []
"""The active calls of `first_answers`; SCOOP's own loop checks the last one for late results."""


def first_answers(function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
    """Map a function over tasks with SCOOP, and yield the results in order; late tasks are computed again here.

    SCOOP cannot withdraw a task, and takes a minute to detect that a worker has ended. If no result has arrived for
    several times its median duration, this process computes the missing ones itself, and the first result counts.

    Parameters
    ----------
    function : callable
        Importable; a pure function of its task, which may be called twice.
    tasks : iterable
        The arguments of its calls.
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
    """Check for late results whenever SCOOP's loop reads messages; the first time, warn of an open broker."""
    import scoop

    update = queue.updateQueue
    warned = LAUNCHED in os.environ

    def update_and_check() -> None:
        nonlocal warned
        if not warned:
            warned = True
            warn_in_one_line(
                "the broker of python -m scoop listens on every network interface and runs any code that it receives: "
                f"use python -m deap_nn.launch {os.path.relpath(scoop.MAIN_MODULE)}, which admits only this run's "
                "processes"
            )
        update()
        if _calls and not len(queue):
            _calls[-1].look()

    ask = queue.askForPreviousFutures

    def ask_unless_mapping() -> None:
        # The broker's reply is out of date while a task is in transit, and SCOOP would then send the task twice.
        if not _calls:
            ask()

    queue.updateQueue = update_and_check
    queue.askForPreviousFutures = ask_unless_mapping


def mend() -> None:
    """Repair SCOOP in this process, before or after it has connected to the broker."""
    from scoop import _control

    _guard_scoop()
    if _control.execQueue is not None:
        watch()


def watch() -> None:
    """Handle late tasks in the process that waits for results."""
    import scoop

    _watch(scoop._control.execQueue)
    # A second result of a late task is normal, so SCOOP's warning of it is filtered out.
    scoop.logger.addFilter(lambda record: "Received an unexpected future" not in str(record.msg))
