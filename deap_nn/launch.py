"""Run a script under SCOOP on this host, with its exit status: ``python -m deap_nn.launch [-n N] SCRIPT ARGS...``."""

from __future__ import annotations

import argparse
from pathlib import Path

from deap_nn.core.environment import processors
from deap_nn.core.errors import InputError
from deap_nn.maps.scoop.launcher import launch
from deap_nn.process.cli import Parser, integer, run_command


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = Parser(
        "Run a script under SCOOP, return its exit status, and end all its processes.",
        "python -m deap_nn.launch -n 4 experiments/mnist.py --model mlp",
    )
    add, add_speed = (parser.groups[name].add_argument for name in ("run", "speed"))
    add("script", metavar="SCRIPT", help="Python file to run")
    add("arguments", nargs=argparse.REMAINDER, metavar="ARGS", help="its arguments")
    add_speed("-n", type=integer(1), metavar="N", help="processes in all [one per core]")
    return parser.parse_args()


def main() -> int:
    """Run the script of the command line under SCOOP, and return its exit status."""
    options = parse_arguments()
    if not Path(options.script).is_file():
        raise InputError(f"argument SCRIPT: {options.script} is no file")
    return launch(options.n or processors(), [options.script, *options.arguments])


if __name__ == "__main__":
    run_command(main)
