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
    """Return the checked options."""
    parser = Parser(
        "Draw the pictures and the report of runs from their files, or show a run in progress in a browser.",
        "deap-nn report runs/first                  pictures and report.html",
        "deap-nn report runs/first --serve 8000     watch a run",
        "deap-nn report runs/first runs/second      compare runs",
    )
    parser.groups["run"].add_argument("folders", metavar="DIR", nargs="+", help="folder of a run; several are compared")
    add = parser.groups["output"].add_argument
    add("--output", metavar="FILE", help="page that compares runs [comparison.html, current folder]")
    port = "show the run at this port, 0: any free one [files only]"
    add("--serve", type=integer(0, 65535), metavar="PORT", help=port)
    add("--host", metavar="ADDRESS", help="address at which --serve listens [127.0.0.1, this host only]")
    options = parser.parse_args()
    several = len(options.folders) > 1
    if options.serve is None and options.host is not None:
        raise InputError("argument --host: needs --serve PORT")
    if options.output is not None and not several:
        raise InputError("argument --output: needs several DIR, which are compared in that file")
    if options.serve is not None and several:
        raise InputError(f"argument --serve: needs one DIR, got {len(options.folders)}")
    for folder in options.folders:
        if not Path(folder).is_dir():
            raise InputError(f"argument DIR: {folder} is not a folder")
    return options


def main() -> int:
    """Redraw the run directories that the command line names, compare them, or serve one."""
    options = parse_arguments()
    folders = [Path(folder) for folder in options.folders]
    if options.serve is not None:
        return serve(folders[0], options.serve, host=options.host or "127.0.0.1")
    for folder in folders:
        config = read_json(folder / "config.json")
        names = {"fitness": str(config.get("fitness", FITNESS)), "measure": str(config.get("measure", "error"))}
        for path in (*draw_run(folder, **names, maximised=first_weight(config) > 0), write_report(folder)):
            print(path)
    if len(folders) > 1:
        print(write_comparison(folders, options.output or "comparison.html"))
    return 0


if __name__ == "__main__":
    run_command(main)
