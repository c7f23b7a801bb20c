"""Draw runs from their files: ``python -m deap_nn.report DIR [DIR...]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from deap_nn.core.errors import InputError
from deap_nn.process.cli import Parser, integer, run_command
from deap_nn.report.describe import FITNESS
from deap_nn.report.family import first_weight
from deap_nn.report.figures import draw_run
from deap_nn.report.html import write_comparison, write_report
from deap_nn.report.server import serve
from deap_nn.runs.reading import read_json


def parse_arguments() -> argparse.Namespace:
    """Return the options, checked."""
    parser = Parser(
        "Draw the pictures and the report of run directories from their files, or follow a run that goes on."
    )
    add = parser.add_argument
    add("folders", metavar="DIR", nargs="+", help="a run directory; several are also compared in one page")
    add("--output", metavar="FILE", help="the page that compares several; by default comparison.html")
    add("--serve", type=integer(0, 65535), metavar="PORT", help="show the run while it goes on; 0 takes any free port")
    add("--host", metavar="ADDRESS", help="where --serve listens; by default 127.0.0.1, which is this host alone")
    options = parser.parse_args()
    several = len(options.folders) > 1
    if options.serve is None and options.host is not None:
        raise InputError("argument --host: is for --serve")
    if options.output is not None and not several:
        raise InputError("argument --output: is for several DIR, which are compared in it")
    if options.serve is not None and several:
        raise InputError(f"argument --serve: follows one run, got {len(options.folders)} folders")
    for folder in options.folders:
        if not Path(folder).is_dir():
            raise InputError(f"argument DIR: {folder} is not a folder")
    return options


def main() -> int:
    """Draw the run directories that the command line names again, compare them, or follow one."""
    options = parse_arguments()
    folders = [Path(folder) for folder in options.folders]
    if options.serve is not None:
        return serve(folders[0], options.serve, host=options.host or "127.0.0.1")
    for folder in folders:
        config = read_json(folder / "config.json")
        told = {"fitness": str(config.get("fitness", FITNESS)), "measure": str(config.get("measure", "error"))}
        for path in (*draw_run(folder, **told, maximised=first_weight(config) > 0), write_report(folder)):
            print(path)
    if len(folders) > 1:
        print(write_comparison(folders, options.output or "comparison.html"))
    return 0


if __name__ == "__main__":
    run_command(main)
