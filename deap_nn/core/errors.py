"""The errors that a user may meet, and the worst fitness, of genomes that cannot be scored."""

from __future__ import annotations

import sys
import traceback
import warnings

WORST = 1e100
"""The fitness in place of NaN and infinity, with the sign that is worse; no fitness is larger in magnitude."""


class EvaluationError(RuntimeError):
    """An evaluation that failed: the message names the generation and the child."""

    @classmethod
    def of(cls, named: str, error: BaseException) -> EvaluationError:
        """Return an error that names a child, with the traceback of `error` as a note."""
        made = cls(f"{named}: {type(error).__name__}: {error}")
        made.add_note("".join(traceback.format_exception(error)))
        return made


class InputError(ValueError):
    """Bad input from the user of a command, which prints it in one line and exits with status 2."""


class MapError(RuntimeError):
    """Workers ended or cannot be reached, and their tasks are not done."""


def warn_user(message: str) -> None:
    """Warn at the line outside this package that called it."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "deap_nn":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
