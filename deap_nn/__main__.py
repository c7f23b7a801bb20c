"""The command ``deap-nn``: ``deap-nn NAME`` runs the same code as ``python -m deap_nn.NAME``."""

from __future__ import annotations

import importlib
import sys

from deap_nn.core.arguments import did_you_mean
from deap_nn.core.errors import InputError
from deap_nn.process.cli import run_command

COMMANDS = {
    "launch": "run a script under SCOOP on this host",
    "replay": "recompute any member of any generation of a run",
    "report": "draw the pictures and the page of runs, or compare runs",
}
"""The modules of the package that are commands, and their purposes."""


def main() -> int:
    """Run the command that the command line names, and return its exit status."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        lines = [f"  {name:6}  {purpose}" for name, purpose in COMMANDS.items()]
        print("usage: deap-nn COMMAND ...", "", *lines, "", "deap-nn COMMAND --help shows its options.", sep="\n")
        return 0
    if name == "--version":
        print(importlib.import_module("deap_nn").__version__)
        return 0
    if name not in COMMANDS:
        near = did_you_mean(name, COMMANDS)
        raise InputError(f"argument COMMAND: must be one of {', '.join(COMMANDS)}, got {name!r}{near}")
    module = importlib.import_module("deap_nn.report.__main__" if name == "report" else f"deap_nn.{name}")
    sys.argv = [f"deap-nn {name}", *sys.argv[2:]]
    return int(module.main())


def run() -> None:
    """Run the command ``deap-nn``."""
    run_command(main)


if __name__ == "__main__":
    run()
