"""Criteria that end a run early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.arguments import check_count
from deap_nn.core.registered import Registered


class EarlyStopping(Callback):
    """End a run when the validation error is low enough, no longer falls, or time is up.

    The error is the column ``val_error``. For labelled data it is the share that the best member misclassifies. For a
    `KerasProblem` it is its first objective, and less is better: an objective that is maximised has the opposite sign,
    so for an accuracy of 0.9 the `target` is -0.9. Without this column the error is the best fitness, with the opposite
    sign if it is maximised. It only ends the run: the result may be of another generation than the lowest error.

    Parameters
    ----------
    target : float, optional
        Stop at an error of at most this.
    patience : int, optional
        Stop after this number of generations, at least 1, without a new lowest error.
    max_seconds : float, optional
        Stop after the generation in which the run's time reaches this number of seconds.

    Raises
    ------
    ValueError
        If `patience` is out of range, or no criterion is given.
    """

    def __init__(
        self, *, target: float | None = None, patience: int | None = None, max_seconds: float | None = None
    ) -> None:
        if target is patience is max_seconds is None:
            raise ValueError("target, patience or max_seconds must be given")
        self.target = target
        self.max_seconds = float("inf") if max_seconds is None else max_seconds
        self.patience = None if patience is None else check_count(patience, "patience")
        self._lowest, self._since = float("inf"), 0

    def on_start(self, evolution: Evolution) -> None:
        """Forget the previous run."""
        self._lowest, self._since = float("inf"), 0

    def state(self) -> dict[str, Any]:
        """Return the lowest error and its generation."""
        return {"lowest": self._lowest, "since": self._since}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Restore the last state, if the resumed run had this callback before."""
        if not states[-1]:
            return
        self._lowest, self._since = states[-1]["lowest"], states[-1]["since"]

    def on_generation(self, evolution: Evolution) -> None:
        """Stop the run with a reason, if the last row meets a criterion."""
        if "val_error" in evolution.row:
            measure, sign = Registered.read(evolution.toolbox).measure
            name, error = f"validation {measure}", evolution.row["val_error"]
        else:
            sign = -1 if evolution.best.fitness.weights[0] > 0 else 1
            name, error = "best fitness", sign * evolution.best_value
        if error < self._lowest:
            self._lowest, self._since = error, evolution.generation
        if self.target is not None and error <= self.target:
            evolution.stop = f"target: {name} {sign * error:.4f} reached {sign * self.target:g}"
        elif self.patience is not None and evolution.generation - self._since >= self.patience:
            evolution.stop = f"patience: {name} has not improved in {self.patience} generations"
        elif evolution.elapsed >= self.max_seconds:
            evolution.stop = f"max-seconds: {evolution.elapsed:.0f} s have passed"
