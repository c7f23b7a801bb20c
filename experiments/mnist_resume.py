"""Checks whether ``experiments/mnist.py`` can resume a run: the state of its folder, its data and its checkpoint."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from deap_nn.core.errors import InputError
from deap_nn.runs.checkpoint import Checkpoint, CheckpointError, read_first
from deap_nn.runs.files import read_config, read_status, requested_generations

FROM_RECORDS = ("logbook.csv", "logbook.json", "timing.csv", "readouts.csv", "trace.npz")
"""The files of a finished run that a resume writes again from the records if one is missing or empty."""


def check_resumable(
    path: str | os.PathLike[str],
    config: Mapping[str, Any],
    generations: int,
    given: Collection[str],
) -> None:
    """Raise `InputError` if a run is finished and whole.

    Parameters
    ----------
    path : path-like
        The run's folder.
    config : mapping
        Its settings.
    generations : int
        The number of generations after the resume.
    given : collection of str
        The options of the command line.
    """
    if not isinstance(config.get("generations"), int):
        raise InputError("argument --resume: config.json has no generations")
    if generations < config["generations"]:
        raise InputError(
            f"argument --generations: must be at least the run's {config['generations']}; --max-seconds "
            "and --target end it earlier"
        )
    status, most = read_status(path), requested_generations(path, config)
    stopped_by = "--" + str(status.get("stopped_by", "")).partition(":")[0]
    if status.get("state") == "finished" and generations <= most and stopped_by not in given:
        lost = [name for name in FROM_RECORDS if not Path(path, name).is_file() or not Path(path, name).stat().st_size]
        if not lost:
            more = f"another {stopped_by}" if "stopped_by" in status else f"--generations above {most}"
            raise InputError(f"argument --resume: the run in {path} is finished; {more} continues it")
        are = "is lost: it is" if len(lost) == 1 else "are lost: they are"
        warnings.warn(f"{Path(path, lost[0])} {'and others ' * (len(lost) > 1)}{are} made again", stacklevel=2)


def tested_before(path: str | os.PathLike[str]) -> dict[str, dict[str, float]]:
    """Return the test errors of a run to resume at former ends, by their generation, as an entry of ``status.json``."""
    status = read_status(path)
    known = status.get("tested_before")
    former = dict(known) if isinstance(known, dict) else {}
    former[str(status.get("generations"))] = status.get("test_error")
    kept = {at: error for at, error in former.items() if isinstance(error, float)}
    return {"tested_before": kept} if kept else {}


def leave_out_this_end(status: dict[str, Any]) -> None:
    """Leave out of a status the former test error of the generation at which the run has stopped again."""
    former = status.pop("tested_before", {})
    former.pop(str(status.get("generations")), None)
    if former:
        status["tested_before"] = former


def check_data(path: str | os.PathLike[str], sha256: str, *, force: bool) -> None:
    """Raise `InputError` if the data are not those of the run in a folder."""
    known = read_config(path, "--resume").get("data")
    if (not isinstance(known, dict) or known.get("sha256") != sha256) and not force:
        raise InputError("argument --resume: the data differ from the run's: --force resumes it with these")


def open_checkpoint(path: str | os.PathLike[str], population: int) -> Checkpoint:
    """Open the checkpoint of a run to resume, with a given size of the population, or raise `InputError`."""
    kept, logged = Path(path, "checkpoint", "generations"), Path(path, "logbook.csv")
    if kept.parent.is_symlink():  # records are appended to
        raise InputError(f"argument --resume: {kept.parent} is a link, and links are not followed")
    begun = logged.is_file() and logged.read_bytes().count(b"\n") > 1
    if begun and not (kept.is_file() and kept.stat().st_size):
        raise InputError(
            f"argument --resume: {path} has no checkpoint, which a resume needs: put {kept} back, or start a new run "
            f"with the settings of {Path(path, 'config.json')} in another --output"
        )
    try:
        checkpoint = Checkpoint(Path(path, "checkpoint"))
    except CheckpointError as error:
        raise InputError(f"argument --resume: {error}") from error
    except OSError as error:
        raise InputError(f"argument --resume: {error.filename}: {error.strerror}") from error
    first = read_first(checkpoint.path.parent)
    began = population if first is None else len(first.wvalues)
    if began != population:  # checked before the population is made, which may be large
        checkpoint.close()
        values = f"population was {began} when the run began, and is {population}"
        raise InputError(f"argument --resume: {kept.parent} is of a run with other settings: {values}")
    if checkpoint.cut_off:
        warnings.warn(f"an unfinished record after generation {len(checkpoint.past) - 1} was cut off", stacklevel=2)
    return checkpoint
