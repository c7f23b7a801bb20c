"""The candidates for the network that a run keeps, scored on validation samples."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from deap import base

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.files import append_text, write_text
from deap_nn.core.logbooks import format_row
from deap_nn.core.registered import Registered

READOUT_EVERY = 25
"""Generations between two scorings of the candidates for the result on all validation samples."""

BEST, MEAN = "best member", "mean of the parents"
COLUMNS = ("gen", BEST, MEAN)
ON_TRAINING = {BEST: "best member on training", MEAN: "mean of the parents on training"}
"""The columns of the same candidates' errors on training samples, where those are asked for."""

VOTERS = 20
"""So many of the fittest vote at the end."""


class Readouts(Callback):
    """Keep the one network that did best on all validation samples.

    The candidates are scored on all of them every ``READOUT_EVERY`` generations and at the end: the best member, and
    the mean of the fittest, as many as the generation has parents; where children come from one centre, that is the
    next centre. When the run is interrupted it is the best member alone. At the very end the fittest also vote.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        With ``error_rate``, and ``vote_error_rate`` if there is to be a vote.
    path : path-like, optional
        A CSV file for ``rows``, a row per scoring; replaced when a run begins.
    training_size : int
        On how many training samples, the first ones, the candidates are scored too, to see how much better they do
        there; none by default, all if there are fewer. They decide nothing.
    voters : int
        So many of the fittest vote, or all parents if there are fewer. 0 for no vote.

    Attributes
    ----------
    individual : Any
        The best so far; None before the first scoring.
    validation_error : float
        Its error rate on all validation samples.
    generation : int
        The generation it comes from.
    readout : str
        What it is: "best member" or "mean of the parents".
    rows : list of dict
        The error rate of each candidate by generation.
    vote : dict
        After the end, if there was one: how many voted, and the error rates on all validation and test samples.
    """

    def __init__(
        self,
        toolbox: base.Toolbox,
        path: str | os.PathLike[str] | None = None,
        *,
        training_size: int = 0,
        voters: int = VOTERS,
    ) -> None:
        self.toolbox = toolbox
        self.path = path
        for name, value in (("training_size", training_size), ("voters", voters)):
            if value < 0:
                raise ValueError(f"{name} must be at least 0, got {value!r}")
        self.training_size = training_size
        self.voters = voters
        self._columns = (*COLUMNS, *(ON_TRAINING.values() if training_size else ()))
        self._forget()

    def _forget(self) -> None:
        self.individual: Any = None
        self.validation_error = float("inf")
        self.generation = -1
        self.readout = ""
        self.rows: list[dict[str, Any]] = []
        self.vote: dict[str, Any] = {}

    def on_start(self, evolution: Evolution) -> None:
        """Forget the run before."""
        self._forget()

    def on_generation(self, evolution: Evolution) -> None:
        """Score the candidates, when it is time."""
        if evolution.last or not evolution.generation % READOUT_EVERY:
            self._read_out(evolution)
        if evolution.last:
            self._vote(evolution)

    def _read_out(self, evolution: Evolution) -> None:
        evolution.enter("scoring the candidates")
        candidates = {BEST: evolution.best}
        if evolution.parents:
            candidates[MEAN] = evolution.mean(evolution.fittest)
        row: dict[str, Any] = {**dict.fromkeys(self._columns), "gen": evolution.generation}
        for readout, candidate in candidates.items():
            row[readout] = self._score(evolution, candidate, readout, evolution.map)
            if self.training_size:
                on_training = self.toolbox.error_rate(candidate, "train", size=self.training_size, map=evolution.map)
                row[ON_TRAINING[readout]] = on_training
        self.rows.append(row)
        self._write()

    def _vote(self, evolution: Evolution) -> None:
        if evolution.parents and self.voters and Registered.read(self.toolbox).vote_error_rate is not None:
            evolution.enter("scoring the ensemble")
            voters = evolution.voters[: self.voters]
            self.vote = {"voters": len(voters)}
            for split in ("validation", "test"):
                error = self.toolbox.vote_error_rate(voters, split, map=evolution.map)
                self.vote[f"vote_{split}_error"] = error

    def on_end(self, evolution: Evolution) -> None:
        """Score the candidates, where a later callback has ended the run; of an interrupted run its best member.

        That is done in this process: the others may be gone.
        """
        if not evolution.logbook:
            return
        if evolution.interrupted:
            evolution.enter("scoring the best member")
            self._score(evolution, evolution.best, BEST, map)
        elif evolution.error is None and evolution.stop is not None:
            if not self.rows or self.rows[-1]["gen"] != evolution.generation:
                self._read_out(evolution)
            if not self.vote:
                self._vote(evolution)

    def state(self) -> dict[str, Any]:
        """Return which network was best, how good, and the last row."""
        recipe = getattr(self.individual, "recipe", None)
        if recipe is None:
            return {}
        place = recipe.averaged or recipe.place
        state = {"member": [recipe.generation, place], "error": self.validation_error, "generation": self.generation}
        return {**state, "readout": self.readout, "row": self.rows[-1] if self.rows else None}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Take the last state, the network that it names, and the rows."""
        if states[-1] and evolution.member is not None:
            state = states[-1]
            self.individual = evolution.member(*state["member"])
            self.validation_error, self.generation = state["error"], state["generation"]
            self.readout = state["readout"]
        rows = [state["row"] for state in states if state.get("row")]
        self.rows = list({row["gen"]: row for row in rows}.values())
        self._write(anew=True)

    def members(self) -> Sequence[Any]:
        """Return the best so far."""
        return () if self.individual is None else (self.individual,)

    def _score(self, evolution: Evolution, candidate: Any, readout: str, map: Callable[..., Iterable[Any]]) -> float:
        error: float = self.toolbox.error_rate(candidate, "validation", map=map)
        if error < self.validation_error:
            self.individual = copy.deepcopy(candidate)
            self.validation_error, self.generation, self.readout = error, evolution.row["gen"], readout
        return error

    def _write(self, *, anew: bool = False) -> None:
        """Append the last row to the file, or write them all where it is the first, or what is there is not to stay."""
        if self.path is None:
            return
        anew |= len(self.rows) == 1
        if anew:
            write_text(self.path, "")
        lines = [format_row(list(row.values())) for row in (self.rows if anew else self.rows[-1:])]
        append_text(self.path, "".join([format_row(self._columns), *lines] if anew and lines else lines))
