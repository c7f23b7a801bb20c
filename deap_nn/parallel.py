"""SCOOP: which map to use, and how a run is interrupted in order."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import pickle
import platform
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from deap_nn import limits, scoop_repairs
from deap_nn.broker_sockets import listen_nowhere
from deap_nn.sharing import SharedMap

GRACE_SECONDS = 10.0

_told: list[float] = []
"""When a signal first asked the body of `interruptible` to end."""

_unheeded: list[int] = []
"""That signal, until its KeyboardInterrupt is seen to leave the body of `heeding_signals`."""

LAUNCHED = "DEAP_NN_LAUNCHED"
"""The environment of processes that `deap_nn.launch` started says so, with the process id of who did."""

SAVE_SECONDS = 3.0
"""Under `deap_nn.launch` an interrupted program has so long to save what there is; all ends within 5 s."""

_PR_SET_PDEATHSIG = 1


def running_under_scoop() -> bool:
    """Return whether this process was started by ``python -m scoop``."""
    return bool(getattr(sys.modules.get("scoop"), "IS_RUNNING", False))


def hands_status_on() -> bool:
    """Return whether an exit status reaches the user: not under ``python -m scoop``, which ends with 0."""
    return not running_under_scoop() or LAUNCHED in os.environ


def worker_count(map_: Callable[..., Iterable[Any]] | None = None) -> int:
    """Return how many processes share the work: under SCOOP its, else what the map says, or else the cores."""
    if running_under_scoop():
        return int(sys.modules["scoop"].SIZE)
    bare = getattr(map_, "func", map_)
    known: int | None = getattr(bare, "workers", None)
    if known is not None:
        return known
    return 1 if bare in (None, map) else os.cpu_count() or 1


def is_serial(map_: Callable[..., Iterable[Any]]) -> bool:
    """Return whether a map is the built-in one."""
    return getattr(map_, "func", map_) is map


def keeping_order(map_: Callable[..., Iterable[Any]]) -> Callable[..., Iterable[Any]]:
    """Return a map that yields answers in the order of the items, whatever the order of another's.

    The built-in map and those of this package keep the order, and are returned as they are. Any other is given pairs of
    a place and an item.
    """
    ours = getattr(type(getattr(map_, "func", map_)), "keeps_order", False)
    return map_ if ours or is_serial(map_) else partial(_in_order, map_)


class _Placed(NamedTuple):
    """An answer, and the place of the item that it is to."""

    place: int
    answer: Any


def _in_order(
    map_: Callable[..., Iterable[Any]], function: Callable[..., Any], *iterables: Iterable[Any]
) -> Iterator[Any]:
    """Yield answers in the order of the items; where one is missing it ends, and what is too much comes last."""
    waiting: dict[int, Any] = {}
    too_many: list[Any] = []
    due = 0
    for found in map_(partial(_with_place, function), list(enumerate(zip(*iterables, strict=False)))):
        if not isinstance(found, _Placed) or found.place < due or found.place in waiting:
            too_many.append(found)
        else:
            waiting[found.place] = found.answer
        while due in waiting:
            yield waiting.pop(due)
            due += 1
    yield from too_many


def _with_place(function: Callable[..., Any], numbered: tuple[int, tuple[Any, ...]]) -> _Placed:
    """Return the place of some arguments, and what a function answers to them."""
    place, arguments = numbered
    return _Placed(place, function(*arguments))


def pickler(map_: Callable[..., Iterable[Any]]) -> Callable[[Any], bytes]:
    """Return what pickles for the workers of a map: its own ``dumps`` if it has one."""
    own: Callable[[Any], bytes] | None = getattr(getattr(map_, "func", map_), "dumps", None)
    return own or partial(pickle.dumps, protocol=pickle.HIGHEST_PROTOCOL)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def current_map() -> Callable[..., Iterable[Any]]:
    """Return SCOOP's map under ``python -m scoop``, and the built-in ``map`` otherwise.

    SCOOP's is wrapped in a `SharedMap`, which leaves the weights of individuals in shared memory and sends their names.
    """
    if not running_under_scoop():
        return map
    return SharedMap(_scoop_map)


def _scoop_map(function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
    """Map with SCOOP; what is late is done again where the function says that it may be."""
    if len(iterables) == 1 and getattr(getattr(function, "func", function), "may_be_done_twice", False):
        return scoop_repairs.first_answers(function, iterables[0])
    from scoop import futures

    answers: Iterable[Any] = futures.map(function, *iterables)
    return answers


def prepare_worker(*modules: str) -> None:
    """Let this process, if it is a SCOOP worker, end without a word on Ctrl-C, and when its launcher is gone.

    Call it where the script is imported. A terminal sends Ctrl-C to every process; the origin saves what there is.

    Parameters
    ----------
    *modules : str
        What its first task will need, such as ``"deap_nn.evaluation"``, imported while there is no task yet.
    """
    if not running_under_scoop():
        return
    if LAUNCHED not in os.environ:  # `deap_nn.launch` has seen to it
        listen_nowhere()
    if sys.modules["scoop"].IS_ORIGIN:
        return
    signal.signal(signal.SIGINT, _end_at_once)
    if LAUNCHED not in os.environ:
        end_with_parent(signal.SIGTERM)
        if os.getppid() == 1:
            os._exit(1)
    threading.Thread(target=lambda: [importlib.import_module(name) for name in modules], daemon=True).start()


def warn_of_open_broker() -> None:
    """Warn if SCOOP's own launcher has started this program: its broker listens on every interface."""
    if running_under_scoop() and LAUNCHED not in os.environ and sys.modules["scoop"].IS_ORIGIN:
        script = os.path.relpath(sys.modules["scoop"].MAIN_MODULE)
        warnings.warn(
            "the broker of python -m scoop listens on every network interface and runs what it is sent; "
            f"python -m deap_nn.launch {script} does the same work behind closed doors",
            stacklevel=2,
        )


def end_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Let Linux send this process a signal when the one that started it ends, however it does.

    Where that one's process id is given and it has ended already, this one ends at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def _end_at_once(signum: int, frame: FrameType | None) -> None:
    os._exit(130)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the body, once, on SIGINT or SIGTERM, also where SCOOP is waiting for results.

    SCOOP runs the program, its own waiting and each task in greenlets. An exception raised in SCOOP's would end
    the process without the program's clean-up, so it is thrown into the program's. For the ten seconds after the first
    signal others are ignored, so that what is being saved is saved; later ones act as they always do. Under
    `deap_nn.launch` the process ends `SAVE_SECONDS` after the first, with the status of one that was interrupted,
    where the body has not ended by then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    throw = _thrower()
    ends: queue.SimpleQueue[bool] = queue.SimpleQueue()  # a handler may put into it, wherever it is called
    if running_under_scoop() and hands_status_on():
        threading.Thread(target=_leave_in_time, args=(ends,), daemon=True).start()

    def interrupt(signum: int, frame: FrameType | None) -> None:
        if not _told:
            _told.append(time.monotonic())
            _unheeded.append(signum)
            ends.put(False)
            throw()
        elif time.monotonic() - _told[0] > GRACE_SECONDS:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        try:
            for number, handler in before.items():
                signal.signal(number, handler)
        finally:  # a signal may come in between
            ends.put(True)
            _told.clear()
            _unheeded.clear()


def _leave_in_time(ends: queue.SimpleQueue[bool]) -> None:
    """Wait for a signal or the body's end, and after a signal no longer than there is for saving."""
    if ends.get():
        return
    with contextlib.suppress(queue.Empty):
        ends.get(timeout=SAVE_SECONDS)
        return
    sys.stderr.write(f"after {SAVE_SECONDS:g} s not all was saved that an interrupted program saves\n")
    leave_now(130)


@contextlib.contextmanager
def heeding_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt where the one that a signal raised, inside `interruptible`, came to nothing.

    Python raises it wherever it is just then: in a library's clean-up it is printed and lost, in an import it may
    become another exception.
    """
    try:
        yield
    except KeyboardInterrupt:
        _unheeded.clear()
        raise
    except Exception as error:
        if not _unheeded:
            raise
        _unheeded.clear()
        raise KeyboardInterrupt from error
    if _unheeded:
        _unheeded.clear()
        raise KeyboardInterrupt


class _Holding:
    """A handler of signals that notes them for as long as it is ``on``, and then does what the one before it does."""

    def __init__(self, before: dict[int, Any]) -> None:
        self.before, self.held, self.on = before, list[int](), True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        handler = self.before[number]
        if self.on:
            self.held.append(number)
        elif callable(handler):
            handler(number, frame)
        else:
            signal.signal(number, handler)
            signal.raise_signal(number)


def _raise_all(numbers: list[int]) -> None:
    with contextlib.ExitStack() as stack:
        for number in reversed(list(dict.fromkeys(numbers))):
            stack.callback(signal.raise_signal, number)


@contextlib.contextmanager
def holding_signals() -> Iterator[None]:
    """Keep SIGINT and SIGTERM waiting until the body, which should be short, is left.

    Processes that are started in the body never get them. The mask that those inherit does not hold here: another
    thread takes the signal, and Python calls the handler in this one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    holding = _Holding({number: handler for number, handler in before.items() if handler is not None})
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        for number in holding.before:
            signal.signal(number, holding)
        signal.pthread_sigmask(signal.SIG_BLOCK, before)
        yield
    finally:
        with contextlib.ExitStack() as stack:  # all of it, whatever one raises
            stack.callback(_raise_all, holding.held)
            for number, handler in holding.before.items():
                stack.callback(signal.signal, number, handler)
            stack.callback(setattr, holding, "on", False)
            stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, mask)


def _thrower() -> Callable[[], None]:
    if not running_under_scoop():

        def raise_here() -> None:
            raise KeyboardInterrupt

        return raise_here
    import greenlet

    program = greenlet.getcurrent()

    def raise_in_program() -> None:
        limits.disarm()  # of the task that is left in its greenlet
        if greenlet.getcurrent() is program:
            raise KeyboardInterrupt
        program.throw(KeyboardInterrupt)

    return raise_in_program


def out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that there is too little memory, Python's or TensorFlow's."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


@contextlib.contextmanager
def ending_without_memory() -> Iterator[None]:
    """End this process, if it is a SCOOP worker, with a line where the body has too little memory.

    Others do what it leaves; it would go on to fail at one task after the other, faster than they are done.
    """
    try:
        yield
    except Exception as error:
        if not running_under_scoop() or sys.modules["scoop"].IS_ORIGIN or not out_of_memory(error):
            raise
        print(
            f"worker {os.getpid()} on {platform.node()} has too little memory and ends: others do its work",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)


def leave_now(status: int) -> None:
    """End this process at once, its output flushed: for an interrupted program under SCOOP.

    SCOOP's launcher sees the origin end and terminates the workers.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if running_under_scoop():
    scoop_repairs.mend()
