"""The progress of a run, on a terminal, in a notebook or in a log."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from deap_nn.callbacks.base import Callback, Evolution
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
    """Show generation, time left, the validation measure, the best fitness, sigma, and evaluations per second.

    The output is a bar on a terminal or in a notebook, a line per generation elsewhere. As a context manager it also
    shows work before and after a run, by `show`.

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
        self._begun, self._first = 0.0, 0
        self._place = ""
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
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # in a notebook without ipywidgets tqdm warns, and falls back to text
                from tqdm.auto import tqdm
            # Without a delay tqdm draws the bar at once, before it has a description.
            self._bar = tqdm(total=total, file=self.file, dynamic_ncols=True, bar_format=FORMAT, delay=1e-9, miniters=1)
        self._bar.total, self._bar.n, self._bar.leave = total, 0, total is not None

    def _draw(self, work: str, figures: Sequence[str] = (), *, refresh: bool = True) -> None:
        """Show the bar with figures; tqdm cuts the line off at the width of the terminal."""
        if self._bar is not None:
            self._bar.set_description_str(f"{work} ", refresh=False)
            self._bar.set_postfix_str(", ".join(figures), refresh=refresh)

    def _close(self) -> None:
        if self._bar is not None:
            if self._bar.leave:
                self._draw(self._place, self._figures[1:])
            self._bar.close()
            self._bar = None

    def on_start(self, evolution: Evolution) -> None:
        """Show that the run begins."""
        self._begun, self._first, self._figures = time.perf_counter(), 0, []
        self._place = "gen 0"
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
            measure, sign = Registered.read(evolution.toolbox).measure
            self._figures.append(f"val {measure} {sign * row['val_error']:.3f}")
        self._figures.append(f"best {evolution.best_value:.4g}")
        if "sigma" in row:
            self._figures.append(f"sigma {row['sigma']:.3g}")
        self._figures.append(f"{row['nevals'] / evolution.seconds:.0f} eval/s")
        if self._bar is not None:
            self._draw(self._place, self._figures, refresh=False)
            self._bar.update(evolution.generation + 1 - self._bar.n)
        else:
            print(f"{self._place}: {', '.join(self._figures)}", file=self.file, flush=True)

    def on_end(self, evolution: Evolution) -> None:
        """Close the bar, unless the context manager keeps it open; its last line stays on the screen."""
        if not self._stays:
            self._close()


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{seconds / 3600:.1f} h"
