"""The checkpoint from which a run resumes: append-only, checksummed records of its generations, without pickle."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import threading
from pathlib import Path
from typing import Self

from deap_nn.core.files import open_append, sync_folder
from deap_nn.runs.generations import (
    MAGIC,
    CheckpointError,
    Generation,
    _frame,
    _records,
    keyframes_in,
    read_generations,
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
    force : bool
        Resume in spite of damage before the end of the file: from the last whole generation before it, after the file
        is copied. Resume also with other data, other versions, or other threads or variables of TensorFlow than those
        that the run began with.

    Attributes
    ----------
    past : list of Generation
        The generations so far; ``evolve`` releases them once it has resumed.
    cut_off : bool
        Whether an unfinished record was cut off.
    kept_aside : Path or None
        The copy of a damaged file.

    Raises
    ------
    CheckpointError
        If another process has it open, or its records cannot be read.
    """

    def __init__(self, folder: str | os.PathLike[str], *, force: bool = False) -> None:
        self.path = Path(folder, "generations")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Open as long as the run: closing it would release the lock.
        self._file = open_append(self.path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise CheckpointError(f"{self.path.parent} is in use by another run") from None
        self.past: list[Generation] = []
        self.cut_off = False
        self.kept_aside: Path | None = None
        self.force = force
        self._timer: threading.Timer | None = None
        self._unsynced = False
        self._failure: OSError | None = None
        self._syncing, self._noting = threading.Lock(), threading.Lock()
        try:
            self._read(force)
        except BaseException:
            self._file.close()
            raise

    def _read(self, force: bool) -> None:
        size, self._count = os.fstat(self._file.fileno()).st_size, 0
        if size < len(MAGIC):  # killed before the first record
            if not MAGIC.startswith(self.path.read_bytes()):
                raise CheckpointError(f"{self.path} is no checkpoint: move it away, or name another folder")
            os.ftruncate(self._file.fileno(), 0)
            self._file.write(MAGIC)
            sync_folder(self.path.parent)
            sync_folder(self.path.parent.parent)
            return
        whole = len(MAGIC)
        for end, generation in _records(self.path):
            if generation is not None:
                if generation.number != len(self.past):
                    found = f"has generation {generation.number} in the place of generation {len(self.past)}"
                    raise CheckpointError(f"{self.path} {found}")
                self.past.append(generation)
                whole = end
            elif end < size and not force:
                raise CheckpointError(f"{self.path} is damaged at byte {whole}, in generation {len(self.past)}")
            else:
                self.cut_off = True
                if end < size:
                    self.kept_aside = self._keep_aside()
        os.ftruncate(self._file.fileno(), whole)
        self._count = len(self.past)
        for path in self.path.parent.glob("keyframe-*.partial"):
            path.unlink()
        for path in keyframes_in(self.path.parent):
            if int(path.name.removeprefix("keyframe-")) < len(self.past):
                continue
            if self.kept_aside is None:  # killed before its generation was on the disk
                path.unlink()
            else:
                path.replace(path.with_name(f"{path.name}.{self.kept_aside.name}"))

    def _keep_aside(self) -> Path:
        """Copy the damaged file to a new name, and flush it to the disk before anything is cut off."""
        names = ("damaged" if number == 1 else f"damaged-{number}" for number in itertools.count(1))
        path = next(path for path in map(self.path.parent.joinpath, names) if not os.path.lexists(path))
        with open(self.path, "rb") as damaged, open(path, "xb") as copy:
            shutil.copyfileobj(damaged, copy)
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        sync_folder(self.path.parent)
        return path

    def read_past(self) -> list[Generation]:
        """Return ``past``, read again from the file if it was released."""
        if len(self.past) < self._count:
            self.past = read_generations(self.path.parent)
        return self.past

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
        content = generation.to_bytes()
        if self._failure is not None:
            raise self._failure
        record = _frame(generation.number, content) + content
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
