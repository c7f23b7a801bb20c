"""The errors that a user may meet, and the worst fitness, for genomes that cannot be scored."""

from __future__ import annotations

import traceback

WORST = 1e100
"""The fitness that NaN and infinity count as, with the sign that is worse; no fitness is larger."""


class EvaluationError(RuntimeError):
    """An evaluation that failed: the message names the generation and the child."""

    @classmethod
    def of(cls, named: str, error: BaseException) -> EvaluationError:
        """Return the error of the child `named`, with the trace of what it raised as a note."""
        made = cls(f"{named}: {type(error).__name__}: {error}")
        made.add_note("".join(traceback.format_exception(error)))
        return made


class InputError(ValueError):
    """Bad input of a command's user: told in one line, with exit status 2."""


class MapError(RuntimeError):
    """Workers ended, or cannot be reached: what they had to do is not done."""
