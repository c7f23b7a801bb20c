"""The progress of a run, on a terminal, in a notebook or in a log."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.registered import evaluation_of
from deap_nn.process.cli import print_above_bar

if TYPE_CHECKING:
    from tqdm import tqdm


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", ())


def _bar_class(notebook: bool) -> Any:
    """Return the class of the bar: a widget in a notebook with ipywidgets, else text."""
    if not notebook:
        from tqdm import tqdm

        return tqdm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without ipywidgets tqdm warns, and falls back to text
        from tqdm.auto import tqdm as found
    return found


FORMAT = "{desc}|{bar}| {elapsed}{postfix}"
"""The format of the bar's line, as tqdm's ``bar_format``."""

REDRAW_SECONDS = 0.1
"""The least time between two drawings of the bar after a generation, in seconds."""

LONG_SECONDS = 60.0
"""If a run takes longer than this, in seconds, its `hint` is printed."""


class ProgressBar(Callback):
    """Show generation, time left, validation error, the best fitness, sigma, and evaluations per second.

    The best fitness is called an error or a loss, or a fitness if it is neither. The output is a bar on a terminal or
    in a notebook, a line per generation elsewhere. As a context manager it also shows work before and after a run, by
    `show`.

    Parameters
    ----------
    file : text file, optional
        The output; standard error if left out, or the notebook.
    hint : str
        A line to print early in a run that is expected to take longer than a minute.
    """

    def __init__(self, file: TextIO | None = None, hint: str = "") -> None:
        self._in_notebook = file is None and in_notebook()
        self.file = file if file is not None else sys.stderr
        self.is_bar = self._in_notebook or (self.file is not None and self.file.isatty())
        self.hint = hint
        self._bar: tqdm[Any] | None = None
        self._stays = False  # open, after the run
        self._begun = self._drawn = 0.0
        self._first = 0
        self._place = ""
        self._fitness = "fitness"
        self._figures: list[str] = []

    def __enter__(self) -> ProgressBar:
        self._stays = True
        return self

    def __exit__(self, *_: object) -> None:
        self._stays = False
        self._close()

    def show(self, work: str) -> None:
        """Show which work begins."""
        if self.is_bar:
            if self._bar is None:
                self._open()
            self._draw(work, self._figures[1:])
        else:
            print(work, file=self.file, flush=True)

    def _open(self, total: int | None = None) -> None:
        if self._bar is None:
            # Without a delay tqdm draws the bar at once, before it has a description.
            options = {"file": self.file, "dynamic_ncols": True, "bar_format": FORMAT, "delay": 1e-9}
            self._bar = _bar_class(self._in_notebook)(total=total, **options)
        self._bar.total, self._bar.n, self._bar.leave = total, 0, total is not None

    def _draw(self, work: str, figures: Sequence[str] = ()) -> None:
        """Show the bar with figures; tqdm cuts the line off at the width of the terminal."""
        self._drawn = time.perf_counter()
        if self._bar is not None:
            self._bar.set_description_str(f"{work} ", refresh=False)
            self._bar.set_postfix_str(", ".join(figures))

    def _close(self) -> None:
        if self._bar is not None:
            if self._bar.leave:
                self._draw(self._place, self._figures[1:])
            self._bar.close()
            self._bar = None

    def on_start(self, evolution: Evolution) -> None:
        """Show that the run begins."""
        self._begun, self._first, self._figures = time.perf_counter(), 0, []
        self._place, self._fitness = "gen 0", _fitness_name(evolution)
        if self.is_bar:
            self._open(evolution.generations + 1)
            self._draw("compiling")

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Estimate the time left from the resumed generations only."""
        self._first = evolution.generation + 1

    def on_progress(self, evolution: Evolution) -> None:
        """Show the share of the generation's members that are scored."""
        if self.is_bar:
            figures = self._figures.copy()
            figures.insert(3, f"{evolution.scored / len(evolution.population):.0%} scored")
            self._draw(f"gen {evolution.generation}/{evolution.generations}", figures)

    def on_phase(self, evolution: Evolution) -> None:
        """Show which work begins; a log names only the work after the last generation."""
        if self.is_bar:
            self._draw(evolution.phase, self._figures[1:])
        elif evolution.last:
            self.show(evolution.phase)

    def on_generation(self, evolution: Evolution) -> None:
        """Show the last row."""
        row, resumes, now = evolution.row, evolution.generation + 1 == self._first, time.perf_counter()
        if resumes:
            self._begun, each = now, evolution.seconds
        else:
            each = (now - self._begun) / (evolution.generation + 1 - self._first)
        self._place = f"gen {evolution.generation}/{evolution.generations}"
        left = (evolution.generations - evolution.generation) * each
        self._figures = [f"{_clock_time(left)} left"]
        if "val_error" in row:
            self._figures.append(f"val {row['val_error']:.3f}")
        self._figures.append(f"best {self._fitness} {evolution.best_value:.4g}")
        if "sigma" in row:
            self._figures.append(f"sigma {row['sigma']:.3g}")
        self._figures.append(f"{row['nevals'] / evolution.seconds:.0f} eval/s")
        if self._bar is not None:
            self._bar.n = evolution.generation + 1
            if resumes or evolution.last or now > self._drawn + REDRAW_SECONDS:
                self._draw(self._place, self._figures)
        else:
            print(f"{self._place}: {', '.join(self._figures)}", file=self.file, flush=True)
        if self.hint and evolution.generation > self._first:  # the time of the first one includes compiling
            if evolution.seconds * (evolution.generations - evolution.generation) > LONG_SECONDS:
                print_above_bar(self.hint, self.file)
            self.hint = ""

    def on_end(self, evolution: Evolution) -> None:
        """Close the bar, unless the context manager keeps it open; its last line stays on the screen."""
        if not self._stays:
            self._close()


def _fitness_name(evolution: Evolution) -> str:
    """Return the name of the first fitness value: "error", "loss", or "fitness" if it is of another kind."""
    problem = evaluation_of(getattr(evolution.toolbox, "evaluate", None)).problem
    if problem is None or problem.weights[0] > 0:
        return "fitness"
    return "error" if problem.objectives[0].kind == "error" else "loss"


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{seconds / 3600:.1f} h"
