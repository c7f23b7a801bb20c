"""How far a run is, on a terminal, in a notebook or in a log."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from deap_nn.callbacks.base import Callback, Evolution

if TYPE_CHECKING:
    from tqdm import tqdm


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", ())


def _bar_class(notebook: bool) -> Any:
    """Return the class of a bar: a notebook's where there is one and ipywidgets is installed, else one of text."""
    if not notebook:
        from tqdm import tqdm

        return tqdm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm says that ipywidgets is missing, and takes text
        from tqdm.auto import tqdm as found
    return found


class ProgressBar(Callback):
    """Show generation, best, validation error, sigma, evaluations per second and time left.

    A bar where the output is a terminal or a notebook, a line per generation elsewhere.

    Parameters
    ----------
    file : text file, optional
        Where to write; standard error if left out, or the notebook.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._in_notebook = file is None and in_notebook()
        self.file = file if file is not None else sys.stderr
        self._bar: tqdm[Any] | None = None
        self._begun = 0.0
        self._first = 0

    def on_start(self, evolution: Evolution) -> None:
        """Show that the run begins."""
        self._begun, self._first = time.perf_counter(), 0
        self._bar = None
        if self._in_notebook or self.file.isatty():
            self._bar = _bar_class(self._in_notebook)(
                total=evolution.generations + 1,
                desc="compiling",
                unit="gen",
                file=self.file,
                dynamic_ncols=True,
                bar_format="{desc}|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
            )

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Count time from here on, and not what was done before."""
        self._first = evolution.generation + 1

    def on_progress(self, evolution: Evolution) -> None:
        """Show how many members of the generation are scored."""
        if self._bar is not None:
            done = f"gen {evolution.generation}: {evolution.scored / len(evolution.population):.0%}"
            self._bar.set_description(done)

    def on_generation(self, evolution: Evolution) -> None:
        """Show the last row."""
        goes_on = evolution.generation + 1 == self._first
        if goes_on:
            self._begun = time.perf_counter()
        row = evolution.row
        rate = row["nevals"] / evolution.seconds
        figures = [f"best {evolution.best_value:.4f}"]
        if "val_error" in row:
            figures.append(f"val {row['val_error']:.3f}")
        if "sigma" in row:
            figures.append(f"sigma {row['sigma']:.3g}")
        figures.append(f"{rate:.0f} eval/s")
        if self._bar is not None:
            self._bar.set_description(f"gen {evolution.generation}", refresh=False)
            self._bar.set_postfix_str(", ".join(figures), refresh=False)
            if goes_on:
                self._bar.n = self._bar.last_print_n = self._bar.initial = self._first
                self._bar.start_t = self._bar.last_print_t = time.time()
                self._bar.refresh()
            else:
                self._bar.update()
            return
        if goes_on:
            each = evolution.seconds
        else:
            each = (time.perf_counter() - self._begun) / (evolution.generation + 1 - self._first)
        left = (evolution.generations - evolution.generation) * each
        print(
            f"gen {evolution.generation}/{evolution.generations}: {', '.join(figures)}, {_clock_time(left)} left",
            file=self.file,
            flush=True,
        )

    def on_end(self, evolution: Evolution) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
