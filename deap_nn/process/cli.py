"""The shared parts of the commands: options, one line for bad input, and true exit statuses."""

from __future__ import annotations

import argparse
import math
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO

from deap_nn.core.arguments import did_you_mean, real, whole
from deap_nn.core.errors import InputError
from deap_nn.core.files import printable
from deap_nn.process import signals, workers

GROUPS = ("run", "algorithm", "data", "output", "speed")
"""The groups of options in ``--help``, in their order; a group without options is not shown."""


class _Formatter(argparse.HelpFormatter):
    """Add each option's default to its help, if argparse has one, and keep the lines of the examples."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        given = action.default in (None, False, argparse.SUPPRESS) or "[" in (action.help or "")
        return action.help if given else f"{action.help} [%(default)s]"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `InputError` for bad input, instead of printing the usage and exiting.

    Parameters
    ----------
    description : str
        The purpose of the command, in one sentence.
    *examples : str
        Command lines, which ``--help`` shows at its end.

    Attributes
    ----------
    groups : dict
        The argument group of each name in ``GROUPS``.
    """

    def __init__(self, description: str, *examples: str) -> None:
        shown = "\n  ".join(("examples:", *examples)) if examples else None
        super().__init__(
            _program(),
            description=f"{description} Defaults are in brackets.",
            epilog=shown,
            allow_abbrev=False,
            formatter_class=_Formatter,
        )
        self.groups = {name: self.add_argument_group(name) for name in GROUPS}

    def error(self, message: str) -> NoReturn:
        """Raise `InputError`; the message for an unknown option suggests a similar one."""
        _, is_unknown, given = message.partition("unrecognized arguments: ")
        option = given.partition(" ")[0].partition("=")[0]
        raise InputError(message + (did_you_mean(option, self._option_string_actions) if is_unknown else ""))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            *first, last = str(action.metavar).strip("{}").split(",") if action.metavar else action.choices
            near = did_you_mean(value, [*first, last])
            raise argparse.ArgumentError(action, f"must be {', '.join(first)} or {last}, got {value!r}{near}")


def _program() -> str:
    """Return the name of this program: its file's, or that of the folder which ``python -m`` runs."""
    path = Path(sys.argv[0])
    if path.name != "__main__.py":
        return path.name
    return "deap-nn" if path.parent.name == "deap_nn" else f"{path.parent.name}.py"


def integer(minimum: int, maximum: float = math.inf) -> Callable[[str], Any]:
    """Return an argparse type: an integer from `minimum` to `maximum`."""
    return whole("", minimum, maximum).parse


def number(minimum: float, maximum: float = math.inf) -> Callable[[str], Any]:
    """Return an argparse type: a finite number from `minimum` to `maximum`."""
    return real("", minimum, maximum).parse


def picture(text: str) -> Path:
    """Return, as an argparse type, the path of a PNG in an existing folder that can be written."""
    path = Path(text)
    if path.suffix.lower() != ".png" or path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a file that ends in .png, got {text!r}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"must be in a folder that can be written, got {text!r}")
    return path


def run_command(main: Callable[[], int]) -> None:
    """Run a command's main function, report an error in one line, and exit.

    The status is the result of `main`; 2 for `InputError`, 130 when interrupted, 1 for any other exception. Under
    ``python -m scoop``, which prints a traceback for every exit, it returns instead.
    """
    warnings.showwarning = warn_in_one_line
    try:
        status = main()
    except InputError as error:
        _say("error", error)
        status = 2
    except KeyboardInterrupt:
        status = 130
    except SystemExit as stop:  # argparse after --help, or a script's own with a message
        if isinstance(stop.code, str):
            _say("error", stop.code)
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception as error:  # the last resort of a command: its user sees one line
        _say("error", f"{type(error).__name__}: {error}")
        status = 1
    if status == 130 and workers.running_under_scoop():
        signals.leave_now(status)
    if workers.hands_status_on():
        sys.exit(status)


def warn_in_one_line(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning in one line, whether the user's script shows Python's warnings or not."""
    _say("warning", message)


def _say(kind: str, message: object) -> None:
    """Print one line; control characters are escaped, as a file's name could move the terminal's cursor by them."""
    line = printable(" ".join(str(message).split()))
    print_above_bar(f"{_program()}: {kind}: {line}", sys.stderr)


def print_above_bar(text: str, file: TextIO) -> None:
    """Print text; a progress bar, if one is shown, moves below it."""
    tqdm = sys.modules.get("tqdm")
    (print if tqdm is None else tqdm.tqdm.write)(text, file=file)
    file.flush()


def check_new_folder(path: str | os.PathLike[str], option: str) -> Path:
    """Return `path` as a Path if a folder of that name can be made there.

    Raises
    ------
    InputError
        If the path exists already, or the nearest folder above it cannot be written.
    """
    folder = Path(path)
    if os.path.lexists(folder):
        raise InputError(f"argument {option}: {folder} exists already")
    above = next(parent for parent in folder.absolute().parents if os.path.lexists(parent))
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"argument {option}: {folder} cannot be made, {above} is not a folder that can be written")
    return folder
