"""A run on disk, from which it goes on: append-only, checksummed records of its generations, without pickle."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import threading
from pathlib import Path
from typing import Self

from deap_nn.core.files import open_plain, sync_folder
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


class Checkpoint:
    """The checkpoint in a run's folder, open for one process at a time, and in it once; ``with`` closes it.

    Parameters
    ----------
    folder : path-like
        Made if it is not there. What it holds is read, and a record that a killed run left unfinished at the end is
        cut off.
    regardless : bool
        Go back to the last whole generation where the file is damaged further up; a copy of it is kept. And go on with
        other data than the run was begun with, other versions, or other threads or variables of TensorFlow.

    Attributes
    ----------
    past : list of Generation
        What the run has behind it; ``evolve`` lets go of it once it has gone on.
    cut_off : bool
        Whether an unfinished record was cut off.
    kept_aside : Path or None
        The copy of a damaged file that was gone back in.

    Raises
    ------
    CheckpointError
        If another process holds it, or what is there cannot be read.
    """

    def __init__(self, folder: str | os.PathLike[str], *, regardless: bool = False) -> None:
        self.path = Path(folder, "generations")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open_plain(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)  # as long as the run, for its lock
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise CheckpointError(f"{self.path.parent} is in use by another run") from None
        if os.fstat(self._file.fileno()).st_nlink > 1:  # what is appended under one name would be under the other too
            self._file.close()
            raise CheckpointError(f"{self.path} has a second name (a hard link): copy the run's folder, and take that")
        self.past: list[Generation] = []
        self.cut_off = False
        self.kept_aside: Path | None = None
        self.regardless = regardless
        self._timer: threading.Timer | None = None
        self._unsynced = False
        self._failure: OSError | None = None
        self._syncing, self._noting = threading.Lock(), threading.Lock()
        try:
            self._read(regardless)
        except BaseException:
            self._file.close()
            raise

    def _read(self, regardless: bool) -> None:
        size, self._count = os.fstat(self._file.fileno()).st_size, 0
        if size < len(MAGIC):  # killed before the first record
            os.ftruncate(self._file.fileno(), 0)
            self._file.write(MAGIC)
            sync_folder(self.path.parent)
            sync_folder(self.path.parent.parent)
            return
        whole = len(MAGIC)
        for end, generation in _records(self.path):
            if generation is not None:
                if generation.number != len(self.past):
                    raise CheckpointError(f"{self.path}: generation {generation.number} stands at {len(self.past)}")
                self.past.append(generation)
                whole = end
            elif end < size and not regardless:
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
        """Copy the damaged file to a name of its own, on the disk before anything is cut off."""
        names = ("damaged" if number == 1 else f"damaged-{number}" for number in itertools.count(1))
        path = next(path for path in map(self.path.parent.joinpath, names) if not os.path.lexists(path))
        with open_plain(self.path) as damaged, open(path, "xb") as copy:
            shutil.copyfileobj(damaged, copy)
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        sync_folder(self.path.parent)
        return path

    def read_past(self) -> list[Generation]:
        """Return ``past``, read again where it was let go of."""
        if len(self.past) < self._count:
            self.past = read_generations(self.path.parent)
        return self.past

    def append(self, generation: Generation) -> None:
        """Add a generation: in the kernel's hands at once, on the disk within a second.

        Raises
        ------
        CheckpointError
            If it is not the next one.
        OSError
            If it cannot be written, or one before it could not be brought to the disk.
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
        except BaseException:
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
        with self._syncing:  # one after the other
            with self._noting:
                self._unsynced = False  # what comes from now on has a timer of its own
            try:
                if not self._file.closed:
                    self.sync()
            except OSError as error:  # told by the next append, or by close
                self._failure = error

    def sync(self) -> None:
        """Bring what was added to the disk."""
        os.fsync(self._file.fileno())

    def keyframe_path(self, generation: int) -> Path:
        """Return where the keyframe of a generation is to be."""
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
        """Bring everything to the disk, and let another process have it.

        Raises
        ------
        OSError
            If something could not be brought to the disk, at any time.
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
