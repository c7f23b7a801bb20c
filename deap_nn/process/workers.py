"""Processes of a run: whether SCOOP runs this one, how many there are, how they end, and the folders they leave."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import multiprocessing
import os
import pickle
import platform
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from deap_nn.core.environment import processors

LAUNCHED = "DEAP_NN_LAUNCHED"
"""The environment variable in processes that `deap_nn.launch` started; it holds the launcher's process id."""

GUARD = 'put what the script does under if __name__ == "__main__":'
"""The remedy for a script that runs again in each worker, which imports it."""

RAN_AGAIN = 78
"""The exit status of a worker that opens a map while it imports the script: the script lacks the main guard."""

_PR_SET_PDEATHSIG = 1


def end_if_importing() -> None:
    """End this process with `RAN_AGAIN` if it is a new worker that still imports the script."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(RAN_AGAIN)


def running_under_scoop() -> bool:
    """Return whether this process was started by ``python -m scoop``."""
    return bool(getattr(sys.modules.get("scoop"), "IS_RUNNING", False))


def hands_status_on() -> bool:
    """Return whether an exit status reaches the user: not under ``python -m scoop``, which ends with 0."""
    return not running_under_scoop() or LAUNCHED in os.environ


def bare_map(map_: Any) -> Any:
    """Return the map inside the partial calls that `functools.partial` or a toolbox has put around it."""
    while hasattr(map_, "func"):
        map_ = map_.func
    return map_


def worker_count(map_: Callable[..., Iterable[Any]] | None = None) -> int:
    """Return the number of processes that share the work: SCOOP's, the map's ``workers``, 1 if serial, or the cores."""
    if running_under_scoop():
        return int(sys.modules["scoop"].SIZE)
    bare = bare_map(map_)
    known: int | None = getattr(bare, "workers", None)
    if known is not None:
        return known
    return 1 if bare in (None, map) else processors()


def is_serial(map_: Callable[..., Iterable[Any]]) -> bool:
    """Return whether a map is the built-in one."""
    return bare_map(map_) is map


def dumps(value: Any) -> bytes:
    """Pickle a part of a task: with the code of functions that a worker cannot import, such as closures."""
    # A class of DEAP's creator pickles its definition; cloudpickle would send its name only.
    if hasattr(sys.modules["__main__"], "__file__"):
        with contextlib.suppress(pickle.PicklingError, AttributeError, TypeError):
            return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    import cloudpickle

    pickled: bytes = cloudpickle.dumps(value)
    return pickled


def pickler(map_: Callable[..., Iterable[Any]]) -> Callable[[Any], bytes]:
    """Return the function that pickles for the workers of a map: the map's own ``dumps`` if it has one."""
    own: Callable[[Any], bytes] | None = getattr(bare_map(map_), "dumps", None)
    return own or dumps


def end_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Make Linux send this process a signal when its parent process ends, even by a kill.

    If `parent`, the id of that process, is given and it has ended already, this process ends at once.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if parent is not None and os.getppid() != parent:  # it ended before the call above: no signal will come
        os._exit(1)


def out_of_memory(error: BaseException) -> bool:
    """Return whether an exception, Python's, the system's or TensorFlow's, reports too little memory."""
    is_of_system = isinstance(error, OSError) and error.errno == errno.ENOMEM  # a file could not be mapped
    return is_of_system or isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


@contextlib.contextmanager
def ending_without_memory() -> Iterator[None]:
    """End this process with a message, if it is a SCOOP worker and the body has too little memory.

    The other workers take over its tasks. Otherwise it would fail at one task after another, faster than others do one.
    """
    try:
        yield
    except Exception as error:
        if not running_under_scoop() or sys.modules["scoop"].IS_ORIGIN or not out_of_memory(error):
            raise
        print(
            f"worker {os.getpid()} on {platform.node()} has too little memory and ends: others take over its tasks",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)


ABANDONED_SECONDS = 3600.0
"""A folder without a lock is removed after this time: a run that starts makes the lock at once."""


def sweep_folders(place: Path, pattern: str) -> None:
    """Remove the folders of this user's runs at a place, unless a living process holds their ``lock``."""
    for folder in place.glob(pattern):
        with contextlib.suppress(OSError):  # it is in use, being made or removed now, or not this user's
            if not is_foreign(folder):
                _remove_abandoned(folder)


def _remove_abandoned(folder: Path) -> None:
    try:
        lock = os.open(folder / "lock", os.O_RDONLY)
    except FileNotFoundError:
        if time.time() - folder.lstat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while a process of the run lives
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def is_foreign(path: Path) -> bool:
    """Return whether a path exists and is not a folder of this user's that is closed to all others.

    The shared folders for temporary files are open to all users, and each may put anything there under any name.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or bool(found.st_mode & 0o077)
