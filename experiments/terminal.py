"""The lines of a run on the terminal: before its first generation, and after its last or an interrupt."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap

from deap_nn.callbacks.progress import ProgressBar
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.core.files import printable
from deap_nn.data.dataset import Dataset
from deap_nn.process import workers
from deap_nn.process.cli import print_above_bar
from deap_nn.report.html import REPORT_FILE


class Terminal:
    """The progress and the result of a run, as a context manager around the run and its folder.

    Parameters
    ----------
    quiet : bool
        Print nothing, except if the run is interrupted.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.bar = None if quiet else ProgressBar()
        self._directory: RunDirectory | None = None
        self._classes, self._can_resume = 0, False

    def __enter__(self) -> Terminal:
        if self.bar is not None:
            self.bar.__enter__()
        self.show("reading the data")
        return self

    def show(self, work: str) -> None:
        """Show which work begins; in a log the first line is the algorithm."""
        if self.bar is not None and self.bar.is_bar:
            self.bar.show(work)

    def begin(
        self, directory: RunDirectory, algorithm: str, dataset: Dataset, asked: str, *, can_resume: bool = False
    ) -> None:
        """Print the algorithm, the data if they are not those that were `asked` for, and how to watch the run."""
        self._directory, self._classes, self._can_resume = directory, dataset.classes, can_resume
        if self.bar is None:
            return
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
        data = [dataset.note] if dataset.name == "mnist5k" != asked else []
        watch = f"watch: {(directory.path / REPORT_FILE).absolute().as_uri()}, after the first generation"
        for line in (algorithm, *data, watch):
            print_above_bar(textwrap.fill(line, width, break_on_hyphens=False, break_long_words=False), sys.stdout)
        self.show("compiling")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self.bar is not None:
            self.bar.__exit__()
        if self._directory is None or isinstance(error, Exception) or (self.bar is None and error is None):
            return
        if error is None:
            status = self._directory.status
            if reason := status.get("stopped_by"):
                print(f"stopped early: {reason}")
            network = f"kept network: {status['readout']}, generation {status['generation']}"
            print(f"test error {status['test_error']:.4g} (chance {1 - 1 / self._classes:.2f}), {network}")
            if former := status.get("tested_before"):
                ends = ", ".join(f"{error:.4g} at generation {printable(at)}" for at, error in former.items())
                print(f"test error before the resume: {ends}; compare validation errors")
        report = self._directory.path.absolute() / REPORT_FILE
        if report.is_file():
            print(f"report: {report.as_uri()}", flush=True)

    def interrupted(self, directory: RunDirectory) -> None:
        """Print at once the folder of an interrupted run and the command that resumes it: the process may end soon."""
        after = directory.status.get("generations")
        when = "before the first generation" if after is None else f"after generation {after}"
        print_above_bar(f"interrupted {when}: {directory.path}", sys.stdout)
        if self._can_resume:
            print_above_bar(f"resume: {_program()} --resume {shlex.quote(str(directory.path))}", sys.stdout)


def _python() -> str:
    return "python" if shutil.which("python") == sys.executable else shlex.quote(sys.executable)


def _program() -> str:
    """Return the command of this program, without its options."""
    launcher = "-m deap_nn.launch " if workers.hands_status_on() else "-m scoop "
    return f"{_python()} {launcher if workers.running_under_scoop() else ''}{shlex.quote(sys.argv[0])}"
