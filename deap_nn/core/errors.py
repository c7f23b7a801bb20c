"""The errors that a user may meet, and the worst fitness, of genomes that cannot be scored."""

from __future__ import annotations

import pickle
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

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


def call_sendably(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a call; an exception that another process cannot unpickle becomes an `EvaluationError`."""
    try:
        return function(*arguments)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301  (this process' own error)
        except Exception:  # any error, of a class of the user's
            made = EvaluationError.of("a task", error)
        else:
            raise
    raise made  # here, so that it has no context, which some pickle too


_said: set[tuple[str, str]] = set()
"""The warnings of which one is enough, each with what it is about."""


def warn_user(message: str, *, about: str | None = None) -> None:
    """Warn at the line outside this package that called it; only once of the same, if it says what it is `about`.

    Python itself forgets which warnings it has shown whenever a library enters `warnings.catch_warnings`.
    """
    if about is not None and (message, about) in _said:
        return
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "deap_nn":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
    if about is not None:  # not if the warning was raised as an error
        _said.add((message, about))
