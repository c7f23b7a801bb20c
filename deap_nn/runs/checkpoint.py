"""The checkpoint from which a run resumes: append-only, checksummed records of its generations, without pickle."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from typing import Self

from deap_nn.core.files import open_append, sync_folder
from deap_nn.runs.generations import (
    MAGIC,
    CheckpointError,
    Generation,
    keyframes_in,
    read_generations,
    record_of,
    records_in,
)

SYNC_SECONDS = 1.0
"""An added generation is flushed to the disk after this time, together with those that are added meanwhile."""


class Checkpoint:
    """The checkpoint in a run's folder, open only once at a time, in one process; ``with`` closes it.

    Parameters
    ----------
    folder : path-like
        Made if it does not exist. Its records are read, and an unfinished record, which a killed run may leave at the
        end, is cut off.

    Attributes
    ----------
    cut_off : bool
        Whether an unfinished record was cut off.

    Raises
    ------
    CheckpointError
        If another process has it open, it is of another format, or its records are damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder, "generations")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Open as long as the run: closing it would release the lock.
        self._file = open_append(self.path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise CheckpointError(f"{self.path.parent} is in use by another run") from None
        self._timer: threading.Timer | None = None
        self._unsynced = False
        self._failure: OSError | None = None
        self._syncing, self._noting = threading.Lock(), threading.Lock()
        try:
            self._cut_off_what_is_unfinished()
        except BaseException:
            self._file.close()
            raise

    def _cut_off_what_is_unfinished(self) -> None:
        handle, whole, self._count = self._file.fileno(), len(MAGIC), 0
        for whole, _ in records_in(self.path):  # noqa: B007  (the last one is the end of the file)
            self._count += 1
        size = os.fstat(handle).st_size
        self.cut_off = size > whole
        if size < len(MAGIC):  # killed before the first record
            os.ftruncate(handle, 0)
            self._file.write(MAGIC)
            sync_folder(self.path.parent)
            sync_folder(self.path.parent.parent)
            return
        os.ftruncate(handle, whole)
        for path in self.path.parent.glob("keyframe-*.partial"):
            path.unlink()
        for path in keyframes_in(self.path.parent):
            if int(path.name.removeprefix("keyframe-")) >= self._count:  # killed before its generation was on the disk
                path.unlink()

    @property
    def past(self) -> list[Generation]:
        """The generations so far, read from the file."""
        return read_generations(self.path.parent)

    def append(self, generation: Generation) -> None:
        """Add a generation: it is written at once, and flushed to the disk within a second.

        Raises
        ------
        CheckpointError
            If it is not the next one.
        OSError
            If it cannot be written, or an earlier one could not be flushed to the disk.
        """
        if generation.number != self._count:
            raise CheckpointError(f"{self.path} has {self._count} generations, the next cannot be {generation.number}")
        if self._failure is not None:
            raise self._failure
        record = record_of(generation)
        whole = os.fstat(self._file.fileno()).st_size
        try:
            while record:
                record = record[self._file.write(record) :]
            self._count = generation.number + 1
        except BaseException:  # Ctrl-C too: a part of a record would be damage before the next one
            os.ftruncate(self._file.fileno(), whole)
            self._count = generation.number
            raise
        with self._noting:
            if not self._unsynced:
                self._unsynced = True
                self._timer = threading.Timer(SYNC_SECONDS, self._sync_what_came)
                self._timer.daemon = True
                self._timer.start()

    def _sync_what_came(self) -> None:
        with self._syncing:  # one thread at a time
            with self._noting:
                self._unsynced = False  # a generation added from now on starts a new timer
            try:
                if not self._file.closed:
                    self.sync()
            except OSError as error:  # raised by the next append, or by close
                self._failure = error

    def sync(self) -> None:
        """Flush the added generations to the disk."""
        os.fsync(self._file.fileno())

    def keyframe_path(self, generation: int) -> Path:
        """Return the path of a generation's keyframe."""
        return self.path.parent / f"keyframe-{generation}"

    def keep_newest_keyframe(self) -> None:
        """Remove all keyframes but the newest."""
        for path in keyframes_in(self.path.parent)[1:]:
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Flush everything to the disk, and release the lock for other processes.

        Raises
        ------
        OSError
            If this or an earlier flush to the disk failed.
        """
        if self._file.closed:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        with self._syncing:
            try:
                self.sync()
                if self._failure is not None:
                    raise self._failure
            finally:
                self._file.close()
