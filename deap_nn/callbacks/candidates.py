"""The candidates for the result of a run, scored on validation samples."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from deap import base

from deap_nn.breeding.kinds import places_in
from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.files import write_text
from deap_nn.core.logbooks import format_row

SCORED_EVERY = 25
"""Generations between two scorings of the candidates for the result on all validation samples."""

BEST, MEAN = "best member", "mean of the parents"
COLUMNS = ("gen", BEST, MEAN)


class Candidates(Callback):
    """Keep the candidate with the lowest error on all validation samples.

    The candidates are scored every ``SCORED_EVERY`` generations and at the end. They are the best member, and the mean
    of `Evolution.fittest`, which is the next centre if children come from one centre. When the run is interrupted, the
    only candidate is the best member.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        With ``error_rate``.
    path : path-like, optional
        A CSV file for ``rows``, a row per scoring.

    Attributes
    ----------
    individual : Any
        The best candidate so far; None before the first scoring.
    validation_error : float
        Its error rate on all validation samples.
    generation : int
        Its generation.
    kind : str
        Its kind: "best member" or "mean of the parents".
    rows : list of dict
        The error rate of each candidate by generation.
    """

    def __init__(self, toolbox: base.Toolbox, path: str | os.PathLike[str] | None = None) -> None:
        self.toolbox = toolbox
        self.path = path
        self._forget()

    def _forget(self) -> None:
        self.individual: Any = None
        self.validation_error = float("inf")
        self.generation = -1
        self.kind = ""
        self.rows: list[dict[str, Any]] = []

    def on_start(self, evolution: Evolution) -> None:
        """Forget the previous run."""
        self._forget()

    def on_generation(self, evolution: Evolution) -> None:
        """Score the candidates, when it is time."""
        if evolution.last or not evolution.generation % SCORED_EVERY:
            self._score_all(evolution)

    def _score_all(self, evolution: Evolution) -> None:
        evolution.enter("scoring the candidates")
        candidates = {BEST: evolution.best}
        if evolution.parents:
            candidates[MEAN] = evolution.mean(evolution.fittest)
        row: dict[str, Any] = {**dict.fromkeys(COLUMNS), "gen": evolution.generation}
        for kind, candidate in candidates.items():
            row[kind] = self._score(evolution, candidate, kind, evolution.map)
        self.rows.append(row)
        self._write()

    def on_end(self, evolution: Evolution) -> None:
        """Score the candidates, if a later callback has ended the run, or the best member of an interrupted run.

        The best member of an interrupted run is scored in this process, as the workers may have ended.
        """
        if not evolution.logbook:
            return
        if evolution.interrupted:
            evolution.enter("scoring the best member")
            self._score(evolution, evolution.best, BEST, map)
            return
        stopped = evolution.error is None and evolution.stop is not None
        if stopped and (not self.rows or self.rows[-1]["gen"] != evolution.generation):
            self._score_all(evolution)

    def state(self) -> dict[str, Any]:
        """Return the recipe of the best candidate, its error, generation and kind, and the last row."""
        recipe = getattr(self.individual, "recipe", None)
        if recipe is None:
            return {}
        return {
            "member": [recipe.generation, places_in(recipe)],
            "error": self.validation_error,
            "generation": self.generation,
            "readout": self.kind,
            "row": self.rows[-1] if self.rows else None,
        }

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Restore the best candidate from the last state, and the rows."""
        if states[-1] and evolution.member is not None:
            state = states[-1]
            self.individual = evolution.member(*state["member"])
            self.validation_error, self.generation = state["error"], state["generation"]
            self.kind = state["readout"]
        rows = [state["row"] for state in states if state.get("row")]
        self.rows = list({row["gen"]: row for row in rows}.values())
        self._write()

    def members(self) -> Sequence[Any]:
        """Return the best candidate so far."""
        return () if self.individual is None else (self.individual,)

    def _score(self, evolution: Evolution, candidate: Any, kind: str, map: Callable[..., Iterable[Any]]) -> float:
        error: float = self.toolbox.error_rate(candidate, "validation", map=map)
        if error < self.validation_error:
            self.individual = copy.deepcopy(candidate)
            self.validation_error, self.generation, self.kind = error, evolution.row["gen"], kind
        return error

    def _write(self) -> None:
        if self.path is not None and self.rows:
            write_text(self.path, "".join(map(format_row, [COLUMNS, *(list(row.values()) for row in self.rows)])))
