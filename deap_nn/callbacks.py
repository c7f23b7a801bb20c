"""What watches a run: the network to keep, the progress bar, the end before its time."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

from deap import base
from tqdm import tqdm

from deap_nn.evolution import Callback, Evolution

READOUT_EVERY = 25
"""Generations between two scorings of the candidates for the result on all validation samples."""


class Readouts(Callback):
    """Keep the one network that did best on all validation samples.

    The best member is scored on all of them every ``READOUT_EVERY`` generations, at the end, and when the run is
    interrupted.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        With ``clone``, ``map`` and ``error_rate``.

    Attributes
    ----------
    individual : Any
        A clone of the best so far; None before the first scoring.
    validation_error : float
        Its error rate on all validation samples.
    generation : int
        The generation it comes from.
    readout : str
        What it is: "best member".
    """

    def __init__(self, toolbox: base.Toolbox) -> None:
        self.toolbox = toolbox
        self.individual: Any = None
        self.validation_error = float("inf")
        self.generation = -1
        self.readout = ""

    def on_generation(self, evolution: Evolution) -> None:
        """Score the candidates, when it is time."""
        if evolution.generation % READOUT_EVERY == 0 or evolution.last:
            self._score(evolution, evolution.map)

    def on_end(self, evolution: Evolution) -> None:
        """Score the candidates of an interrupted run, in this process: the others may be gone."""
        if evolution.interrupted and evolution.logbook:
            self._score(evolution, map)

    def state(self) -> dict[str, Any]:
        """Return which member was best, and how good."""
        recipe = getattr(self.individual, "recipe", None)
        if recipe is None:
            return {}
        place = [recipe.generation, recipe.place]
        return {"member": place, "error": self.validation_error, "generation": self.generation, "readout": self.readout}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Take the last state, and the member that it names."""
        if states[-1] and evolution.member is not None:
            state = states[-1]
            self.individual = evolution.member(*state["member"])
            self.validation_error, self.generation = state["error"], state["generation"]
            self.readout = state["readout"]

    def members(self) -> Sequence[Any]:
        """Return the best so far."""
        return () if self.individual is None else (self.individual,)

    def _score(self, evolution: Evolution, map: Callable[..., Iterable[Any]]) -> None:
        error = self.toolbox.error_rate(evolution.best, "validation", map=map)
        if error < self.validation_error:
            self.individual = copy.deepcopy(evolution.best)
            self.validation_error, self.generation, self.readout = error, evolution.row["gen"], "best member"


class EarlyStopping(Callback):
    """End a run when the validation error is low enough, no longer falls, or time is up.

    Parameters
    ----------
    target : float, optional
        Stop at a ``val_error`` of at most this.
    patience : int, optional
        Stop after so many generations without a new lowest ``val_error``.
    max_seconds : float, optional
        Stop after the generation in which so many seconds have passed since the run began.
    """

    def __init__(
        self, *, target: float | None = None, patience: int | None = None, max_seconds: float | None = None
    ) -> None:
        self.target = target
        self.patience = patience
        self.max_seconds = max_seconds
        self._lowest = float("inf")
        self._since = 0

    def state(self) -> dict[str, Any]:
        """Return the lowest error and its generation."""
        return {"lowest": self._lowest, "since": self._since}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Take the last state."""
        self._lowest, self._since = states[-1]["lowest"], states[-1]["since"]

    def on_generation(self, evolution: Evolution) -> None:
        """Look at the last row, and stop the run with a reason."""
        error = evolution.row["val_error"] if "val_error" in evolution.row else evolution.row["min"]
        if error < self._lowest:
            self._lowest, self._since = error, evolution.generation
        if self.target is not None and error <= self.target:
            evolution.stop = f"target: validation error {error:.4f} is at most {self.target:g}"
        elif self.patience is not None and evolution.generation - self._since >= self.patience:
            evolution.stop = f"patience: no lower validation error in {self.patience} generations"
        elif self.max_seconds is not None and evolution.elapsed >= self.max_seconds:
            evolution.stop = f"max-seconds: {evolution.elapsed:.0f} s have passed"


class ProgressBar(Callback):
    """Show generation, best, validation error, sigma, evaluations per second and time left.

    A bar where the output is a terminal, a line per generation elsewhere.

    Parameters
    ----------
    file : text file, optional
        Where to write; standard error if left out.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file if file is not None else sys.stderr
        self._bar: tqdm[Any] | None = None
        self._begun = 0.0

    def on_start(self, evolution: Evolution) -> None:
        """Show that the run begins."""
        self._begun = time.perf_counter()
        if self.file.isatty():
            self._bar = tqdm(
                total=evolution.generations + 1,
                desc="compiling",
                unit="gen",
                file=self.file,
                dynamic_ncols=True,
                bar_format="{desc}|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
            )

    def on_progress(self, evolution: Evolution) -> None:
        """Show how many members of the generation are scored."""
        if self._bar is not None:
            done = f"gen {evolution.generation}: {evolution.scored / len(evolution.population):.0%}"
            self._bar.set_description(done)

    def on_generation(self, evolution: Evolution) -> None:
        """Show the last row."""
        row = evolution.row
        rate = row["nevals"] / evolution.seconds
        figures = [f"best {row['min']:.4f}"]
        if "val_error" in row:
            figures.append(f"val {row['val_error']:.3f}")
        if "sigma" in row:
            figures.append(f"sigma {row['sigma']:.3g}")
        figures.append(f"{rate:.0f} eval/s")
        if self._bar is not None:
            self._bar.set_description(f"gen {evolution.generation}", refresh=False)
            self._bar.set_postfix_str(", ".join(figures), refresh=False)
            self._bar.update()
            return
        left = (evolution.generations - evolution.generation) * (
            (time.perf_counter() - self._begun) / (evolution.generation + 1)
        )
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
