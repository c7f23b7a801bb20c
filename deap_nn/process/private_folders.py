"""Folders of a run that only its user can enter, in places for temporary files that all users share."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import time
from pathlib import Path

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
