"""The progress of a run, on a terminal, in a notebook or in a log."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections import deque
from statistics import median_low
from typing import TYPE_CHECKING, Any, TextIO

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.core.registered import Registered

if TYPE_CHECKING:
    from tqdm import tqdm


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", ())


FORMAT = "{desc}|{bar}| {elapsed}{postfix}"
"""The format of the bar's line, as tqdm's ``bar_format``."""


class ProgressBar(Callback):
    """Show generation, time left, the best fitness, its member's validation measure, sigma, and evaluations per second.

    The output is a bar on a terminal or in a notebook, a line per generation elsewhere. A terminal gets the first
    figures that fit into its width. As a context manager it also shows work before and after a run, by `show`.

    The time left is known from the third generation on: the number of generations left times the median of the last
    ten. To this adds the end of the run, which scores the candidates for the result and the test samples: each takes
    as long as the last scoring of candidates. The callback must then stand after `Candidates`. The time
    left is at most the rest of the ``max_seconds`` of an `EarlyStopping`.

    Parameters
    ----------
    file : text file, optional
        The output; standard error if left out, or the notebook.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file or sys.stderr
        self.is_bar = self.file.isatty() or (file is None and in_notebook())
        self._bar: tqdm[Any] | None = None
        self._stays = False  # open, after the run
        self._place = ""
        self._forget()

    def _forget(self) -> None:
        self._figures: list[str] = []
        self._seconds = deque[float](maxlen=10)
        self._entered, self._scoring = 0.0, 0.0
        self._end: float | None = None

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
            self._draw(work)
        else:
            print(work, file=self.file, flush=True)

    def _open(self, total: int | None = None) -> None:
        if self._bar is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # in a notebook without ipywidgets tqdm warns, and falls back to text
                from tqdm.auto import tqdm
            # Without a delay tqdm draws the bar at once, before it has a description.
            # On a terminal the bar has ten cells, whatever stands beside it.
            # `_draw` sets its width: with `dynamic_ncols` tqdm draws no bar on one that reports 0 rows.
            form = FORMAT.replace("bar", "bar:10") if self.file.isatty() else FORMAT
            shape = {"nrows": 20, "dynamic_ncols": not self.file.isatty()}
            self._bar = tqdm(total=total, file=self.file, bar_format=form, delay=1e-9, miniters=1, **shape)
        self._bar.total, self._bar.n, self._bar.leave = total, 0, total is not None

    def _shown(self, *scored: str) -> list[str]:
        figures = self._figures.copy()
        if self._end is not None:
            figures.insert(0, f"{_clock_time(max(0.0, self._end - time.perf_counter()))} left")
        figures[3:3] = scored
        return figures

    def _draw(self, work: str, *scored: str, refresh: bool = True) -> None:
        """Show the bar with the figures that fit into the width of the terminal."""
        if self._bar is not None:
            self._bar.set_description_str(f"{work} ", refresh=False)
            figures = self._shown(*scored)
            self._bar.postfix = _joined(figures)
            if self.file.isatty():
                self._bar.ncols = _columns(self.file)
                while figures and len(str(self._bar)) >= self._bar.ncols:
                    figures.pop()
                    self._bar.postfix = _joined(figures)
            if refresh:
                self._bar.refresh()

    def _close(self) -> None:
        if self._bar is not None:
            if self._bar.leave:
                self._end = None
                self._draw(self._place)
            self._bar.close()
            self._bar = None

    def on_start(self, evolution: Evolution) -> None:
        """Show that the run begins."""
        self._forget()
        self._place = "gen 0"
        if self.is_bar:
            self._open(evolution.generations + 1)
            self._draw("compiling")

    def on_progress(self, evolution: Evolution) -> None:
        """Show the share of the generation's members that are scored."""
        if self.is_bar:
            scored = f"{evolution.scored / len(evolution.population):.0%} scored"
            self._draw(f"gen {evolution.generation}/{evolution.generations}", scored)

    def on_phase(self, evolution: Evolution) -> None:
        """Show which work begins; a log names only the work after the last generation."""
        self._entered = time.perf_counter()
        if self.is_bar:
            self._draw(evolution.phase)
        elif evolution.last:
            self.show(evolution.phase)

    def on_generation(self, evolution: Evolution) -> None:
        """Show the last row."""
        row, now = evolution.row, time.perf_counter()
        self._place = f"gen {evolution.generation}/{evolution.generations}"
        if self._entered:
            self._entered, self._scoring = 0.0, now - self._entered
        if evolution.generation > 1:  # the first two compile
            self._seconds.append(evolution.seconds)
            left = (evolution.generations - evolution.generation) * median_low(self._seconds) + 2 * self._scoring
            limits = [one.max_seconds for one in evolution.watching if isinstance(one, EarlyStopping)]
            left = min([left, *(limit - evolution.elapsed for limit in limits)])
            self._end = now + (self._scoring if evolution.last else left)
        self._figures = [f"best {evolution.best_value:.4g}"]
        if "val_error" in row:
            measure, sign = Registered.read(evolution.toolbox).measure
            self._figures.append(f"(val {measure} {sign * row['val_error']:.3f})")
        if "sigma" in row:
            self._figures.append(f"sigma {row['sigma']:.3g}")
        self._figures.append(f"{row['nevals'] / evolution.seconds:.0f} eval/s")
        if self._bar is not None:
            self._draw(self._place, refresh=False)
            self._bar.update(evolution.generation + 1 - self._bar.n)
        else:
            print(f"{self._place}: {_joined(self._shown())}", file=self.file, flush=True)

    def on_end(self, evolution: Evolution) -> None:
        """Close the bar, unless the context manager keeps it open; its last line stays on the screen."""
        if not self._stays:
            self._close()


def _joined(figures: list[str]) -> str:
    return ", ".join(figures).replace(", (", " (")


def _columns(file: TextIO) -> int:
    """Return the width of a terminal; 80 if it reports none."""
    try:
        return os.get_terminal_size(file.fileno()).columns or 80
    except (AttributeError, OSError):  # no file of the system
        return 80


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{seconds / 3600:.1f} h"
