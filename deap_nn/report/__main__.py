"""Draw runs from their files: ``python -m deap_nn.report DIR [DIR...]``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from deap_nn.core.errors import InputError
from deap_nn.process.cli import Parser, run_command
from deap_nn.report.figures import draw_run
from deap_nn.report.html import write_comparison, write_report
from deap_nn.runs.files import read_json
from deap_nn.runs.run import is_run


def parse_arguments() -> argparse.Namespace:
    """Return the checked options."""
    parser = Parser(
        "Draw the pictures and the report of runs from their files.",
        "deap-nn report runs/first                  pictures and report.html",
        "deap-nn report runs/first runs/second      compare runs",
    )
    parser.groups["run"].add_argument("folders", metavar="DIR", nargs="+", help="folder of a run; several are compared")
    page = "page that compares runs [comparison.html, current folder]"
    parser.groups["output"].add_argument("--output", metavar="FILE", help=page)
    options = parser.parse_args()
    if options.output is not None and len(options.folders) == 1:
        raise InputError("argument --output: needs several DIR, which are compared in that file")
    for folder in options.folders:
        if not is_run(Path(folder)):
            raise InputError(f"argument DIR: {folder} is not the folder of a run")
    return options


def await_generation(folder: Path) -> None:
    """Wait for the first generation of a run; `InputError` if it has ended without one."""
    said = False
    while not (folder / "logbook.csv").exists():
        if read_json(folder / "status.json", "state")["state"] != "running":
            raise InputError(f"argument DIR: the run in {folder} ended before its first generation")
        if not said:
            print(f"{folder}: waiting for the first generation", file=sys.stderr)
        said = True
        time.sleep(0.2)


def main() -> int:
    """Redraw the run directories that the command line names, and compare them."""
    options = parse_arguments()
    for folder in options.folders:
        await_generation(Path(folder))
        for path in (*draw_run(folder), write_report(folder)):
            print(path)
    if len(options.folders) > 1:
        print(write_comparison(options.folders, options.output or "comparison.html"))
    return 0


if __name__ == "__main__":
    run_command(main)
