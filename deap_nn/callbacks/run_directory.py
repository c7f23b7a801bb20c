"""A run on disk: its settings, its statistics as it proceeds, and the result."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from deap import base
from numpy.typing import NDArray

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.callbacks.candidates import SCORED_EVERY
from deap_nn.callbacks.predictions import (
    AnswerTrace,
    MemberTrace,
    as_bytes,
    best_model,
    write_curve_of,
    write_predictions,
)
from deap_nn.callbacks.traces import FilterTrace, Rows, RowTrace, WeightTrace, first_filters
from deap_nn.core.environment import versions
from deap_nn.core.files import plain, sync_folder, write_arrays, write_json, write_with
from deap_nn.core.logbooks import rows_of, write_rows
from deap_nn.core.registered import Registered, evaluation_of
from deap_nn.data.loading import find_dataset
from deap_nn.genome.vectors import Layout
from deap_nn.operators.describe import describe_algorithm, settings_of
from deap_nn.operators.selection import operator_of
from deap_nn.process import signals
from deap_nn.report.html import try_report
from deap_nn.runs.files import ANSWERS_FILE, FILTERS_FILE, MEMBERS_FILE, PREDICTIONS_FILE

OURS = ("data", "fitness_weights", "versions")
"""Settings that a script cannot replace, because the report relies on them."""


def config_of(evolution: Evolution, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run for its ``config.json``, read from the run and a script's own.

    Parameters
    ----------
    evolution : Evolution
        The run.
    given : mapping
        The script's own settings, as JSON or else as their ``repr``. They replace the run's.
    """
    toolbox, registered = evolution.toolbox, Registered.read(evolution.toolbox)
    operators = {"mate": registered.mate, "mutate": registered.mutate, "select": registered.select}
    found: dict[str, Any] = {
        "population": len(evolution.population),
        "generations": evolution.generations,
        **evolution.settings,
        "fitness_weights": list(evolution.population[0].fitness.weights),
        **_of_the_problem(registered),
        **{name: _operator_text(operator) for name, operator in operators.items() if operator is not None},
        **{name: getattr(registered, name) for name in ("step", "mates") if hasattr(toolbox, name)},
        **({} if registered.reproduction is None else {"reproduction": settings_of(registered.reproduction)}),
        "algorithm": describe_algorithm(toolbox),
    }
    return found | {name: _as_json(value) for name, value in given.items()}


def samples_of(toolbox: base.Toolbox) -> NDArray[Any] | None:
    """Return the training samples of a toolbox's problem with one input, else None."""
    problem = Registered.read(toolbox).problem
    inputs = [] if problem is None else find_dataset(problem.data).halves("train")[0]
    return np.asarray(inputs[0]) if len(inputs) == 1 else None


SHOWN = 500
"""The number of training images, the first ones, that the report shows to hidden units."""


def _as_json(value: Any) -> Any:
    """Return a setting as a value for JSON, or its `repr` if JSON has none."""
    value = plain(value)
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value


def _operator_text(operator: Any) -> str:
    """Return the name of an operator with its short arguments."""
    keywords = getattr(operator, "keywords", {})
    words = {name: value for name, value in keywords.items() if name not in ("rng", "noise")}
    short = [f"{name}={value!r}" for name, value in words.items() if len(repr(value)) < 80]
    function = operator_of(operator)
    return f"{getattr(function, '__name__', type(function).__name__)}({', '.join(short)})"


def _of_the_problem(registered: Registered) -> dict[str, Any]:
    """Return the names of the first fitness value and of the logged error, and the data, if the toolbox has them."""
    found: dict[str, Any] = {"fitness": "fitness"}
    if (scored := evaluation_of(registered.evaluate).problem) is not None:
        found = {"fitness": scored.objectives[0].name, "batch_size": scored.batch_size}
    if (problem := registered.assessed) is not None:
        found |= {"measure": problem.logged, "data": find_dataset(problem.data).describe()}
    return found


PAGE_SECONDS, PAGE_SHARE = 5, 0.01
"""The shortest time between two writings of a run's page, and the largest share of its time that they take."""


class RunDirectory(Callback):
    """Write a run into a new folder, generation by generation.

    ``logbook.csv``, with the columns that are numbers, and ``timing.csv`` grow by whole rows. Every other file appears
    whole or not at all. At the end of the run, or as a context manager at the end of its body, it writes the best
    member of the last generation, unless other weights were written, and the final ``status.json``: "failed" or
    "interrupted" if an exception leaves the body or the run, else "finished". A run that does not finish leaves its
    best member if the folder has no result yet and ``keeps_best`` is true. The report, ``report.html``, is rewritten
    every few seconds, and at the end, where an error is a warning. ``phase`` in ``status.json`` names the work after
    the last generation.

    Parameters
    ----------
    path : path-like
        The folder, which must not exist.
    again : bool
        Whether to resume the run in this folder, which must then exist.
    settings : mapping, optional
        Further entries of ``config.json``, as JSON or else as their ``repr``. It also has the numbers of members and
        generations, the seed, the operators, and the toolbox's fitness and data, if any. Not for a resumed run.
    **status
        The first entries of ``status.json``.

    Raises
    ------
    OSError
        If the folder exists or cannot be made, or if the folder of a run to resume is missing.
    ValueError
        If there are settings for a resumed run, or one has the name of what the run itself writes there.

    Examples
    --------
    >>> import tempfile
    >>> from deap_nn import evolve, make_toolbox, read_run
    >>> folder, toolbox = Path(tempfile.mkdtemp(), "run"), make_toolbox("mlp", "mnist5k", seed=1)
    >>> with RunDirectory(folder, settings={"seed": 1}) as directory:
    ...     _ = evolve(toolbox.population(n=4), toolbox, 2, seed=1, callbacks=[directory])
    >>> read_run(folder).state, read_run(folder).config["population"]
    ('finished', 4)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        again: bool = False,
        settings: Mapping[str, Any] | None = None,
        **status: Any,
    ) -> None:
        if again and settings is not None:
            raise ValueError("settings are not for a resumed run, which keeps its own: leave them out with again=True")
        for name in OURS:
            if name in (settings or ()):
                raise ValueError(f"settings must not name {name!r}: config.json has that of the run itself there")
        self.path = Path(path)
        self._settings = settings or {}
        self._evolution: Evolution | None = None
        self._has_run = self._has_weights = self._is_entered = self._is_closed = False
        self.keeps_best = not os.path.lexists(self.path / "best.npz")
        self._kept: list[RowTrace] = [
            AnswerTrace(self.path / ANSWERS_FILE),
            MemberTrace(self.path / MEMBERS_FILE),
        ]
        self._restored = not again
        if again and not self.path.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such folder to resume", str(self.path))
        if not again:
            self.path.mkdir(parents=True)
        self.status: dict[str, Any] = {"state": "running", **status}
        self._begun = time.perf_counter()
        self._trace = WeightTrace()
        self._rows = Rows(self.path)
        self._next_statistics, self._next_page = 0, 0.0
        self._write_status()

    def __enter__(self) -> RunDirectory:
        self._is_entered = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        """Write the best member, the final state and the report, at the end of the run or after an error."""
        evolution = self._evolution
        if error is None and evolution is not None:
            error = evolution.error
        self._settle(error)
        if (self.path / "logbook.csv").exists() and self._restored:  # it has a row, and not of another run
            try_report(self.path, quiet=error is not None)

    def _settle(self, error: BaseException | None) -> None:
        if self._is_closed:
            return
        if error is not None:
            self._keep_best()
        if isinstance(error, Exception):
            lines = "".join(traceback.format_exception(error))
            with contextlib.suppress(OSError):  # the first error is the one that is raised
                self.close("failed", error=f"{type(error).__name__}: {error}", traceback=lines)
        elif error is not None:
            self.close("interrupted")
        elif self._evolution is None:
            self.close("failed", error="no run had this RunDirectory among its callbacks")
        else:
            try:
                if not self._has_weights:
                    self._write_best(self._evolution)
            except BaseException as failure:
                self._settle(failure)
                raise
            self.close("finished")

    def _keep_best(self) -> None:
        """Write the best member of a run that does not finish; a failure is a warning. A result that is there stays."""
        evolution = self._evolution
        if evolution is None or not evolution.logbook or self._has_weights or not self.keeps_best:
            return
        try:
            self._write_best(evolution, predictions=False)
        except Exception as failure:  # any error: the first one ended the run
            warnings.warn(f"{self.path / 'best.npz'} is not written: {failure}", stacklevel=3)

    def _write_best(self, evolution: Evolution, *, predictions: bool = True) -> None:
        self._has_weights = True  # one attempt
        if weights := evolution.network_weights:
            self.write_weights(weights)
            if predictions:
                write_predictions(self.path / PREDICTIONS_FILE, evolution.toolbox, evolution.best)
        if (model := best_model(evolution, self.path / "best.keras")) is not None:
            self.write_model(model)
            if predictions:
                write_curve_of(self.path / PREDICTIONS_FILE, evolution.toolbox, model)

    def trace_weights(self, layout: Layout, seed: int) -> None:
        """Choose the weights of the best member that ``trace.npz`` records."""
        self._trace.choose(layout, seed)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write ``config.json``: the settings, and the versions of Python and the packages."""
        write_json(self.path / "config.json", {**config, "versions": versions()}, durable=True)
        sync_folder(self.path.absolute().parent)

    def state(self) -> dict[str, Any]:
        """Return the last row of ``timing.csv`` and the last traced weights."""
        self._check_restored()
        return {"timing": self._rows.timing, "trace": b"".join(self._trace.rows[-1:]).hex()}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Restore the files as they were before the last generation.

        Raises
        ------
        ValueError
            If the run of the checkpoint had no RunDirectory.
        """
        if not all(states):
            raise ValueError(f"{self.path}: the checkpoint is of a run without a RunDirectory")
        seen = states[1:]
        self._restored = True
        self._begun -= evolution.elapsed
        for kept in self._kept:
            kept.restore(evolution.generation)
        self._trace.rows = [bytes.fromhex(state["trace"]) for state in seen]
        self._rows.restore(rows_of(evolution.logbook), [state["timing"] for state in seen])
        self._write_status()

    def on_start(self, evolution: Evolution) -> None:
        """Write the settings and choose the traced weights, unless that is done already."""
        if self._has_run:
            raise ValueError(f"{self.path} has a run already: make a RunDirectory for each")
        self._has_run, self._evolution, toolbox = True, evolution, evolution.toolbox
        self.status.setdefault("asked_generations", evolution.generations)
        if not self._restored and not (self.path / "logbook.csv").exists():
            self._restored = True
            self._write_status()
        if not (self.path / "config.json").exists():
            self.write_config(config_of(evolution, self._settings))
        layout = Registered.read(toolbox).layout
        if self._trace.places is None and layout is not None:
            self.trace_weights(layout, 0)
        samples = samples_of(toolbox)
        found = None if layout is None or samples is None else first_filters(layout, samples.shape[1:])
        if found is not None and samples is not None:
            shown = as_bytes(samples[:SHOWN], samples[:SHOWN])
            self._kept.append(FilterTrace(self.path / FILTERS_FILE, *found, shown))

    def on_generation(self, evolution: Evolution) -> None:
        """Append the generation's rows, and sometimes rewrite the other statistics.

        Raises
        ------
        ValueError
            If the folder already has a run that this one does not resume.
        """
        self._check_restored()
        self._catch_up(evolution)
        for kept in self._kept:
            kept.keep(evolution)
        if time.perf_counter() >= self._next_page:
            begun = time.perf_counter()
            try_report(self.path, quiet=True)
            ended = time.perf_counter()
            self._next_page = ended + max(PAGE_SECONDS, (ended - begun) / PAGE_SHARE)
        if evolution.generation >= self._next_statistics:
            self._write_statistics(evolution)
            # They are rewritten whole, so at growing distances: all writing then stays in proportion to the run.
            self._next_statistics = evolution.generation + max(SCORED_EVERY, evolution.generation // 10)

    def on_phase(self, evolution: Evolution) -> None:
        """Write the name of the work that begins at the end of a run."""
        if self._evolution is not None and (evolution.last or evolution.interrupted):
            self.tell(phase=evolution.phase)

    def enter(self, phase: str) -> None:
        """Call `Evolution.enter` of its run: other work begins. Before a run it does nothing."""
        if self._evolution is not None:
            self._evolution.enter(phase)

    def on_end(self, evolution: Evolution) -> None:
        """Rewrite the statistics that do not grow by rows."""
        if not self._restored:  # the files are of another run
            return
        failure: BaseException | None = None
        try:
            if evolution.interrupted:  # at once: a second Ctrl-C may come before the rest is saved
                self.status["state"] = "interrupted"
                self._write_status()
            self._catch_up(evolution)
            if evolution.stop is not None:  # a later callback may have set it
                self.status["stopped_by"] = evolution.stop
            if evolution.interrupted:
                self._write_status()
            self._write_statistics(evolution)
            for kept in self._kept if evolution.logbook else ():
                kept.keep(evolution, last=True)
            if evolution.error is not None:
                self._keep_best()  # now, since the run's cache is still there
        except BaseException as error:
            failure = error
            raise
        finally:
            if not self._is_entered:  # the reason is what ended the run
                self._end(evolution.error or failure)

    def _check_restored(self) -> None:
        if not self._restored:
            raise ValueError(f"{self.path} has a run that this one does not resume: pass its checkpoint to evolve")

    def _catch_up(self, evolution: Evolution) -> None:
        """Append the last row, if it is not yet written, to all files or to none if the run is interrupted."""
        if len(evolution.logbook) != self._rows.written + 1:  # no new row, or the run ended before `restore`
            return
        traced = self._trace.row_of(evolution)
        with signals.holding_signals():
            self._rows.append(evolution)
            self.status.update(generations=evolution.row["gen"], evaluations=evolution.evaluations)
            self._trace.rows.append(traced)

    def _write_statistics(self, evolution: Evolution) -> None:
        write_with(self.path / "logbook.json", partial(write_rows, evolution.logbook))
        self._trace.write(self.path / "trace.npz")

    def write_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Write ``best.npz``: matrices by name, and nothing else."""
        self._has_weights = True
        write_arrays(self.path / "best.npz", weights, durable=True)

    def tell(self, **status: Any) -> None:
        """Add entries to ``status.json``, and write it at once."""
        self.status.update(status)
        self._write_status()

    def write_model(self, model: Any) -> None:
        """Write ``best.keras``."""
        with warnings.catch_warnings():  # Keras' own, of NumPy 2
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            write_with(self.path / "best.keras", model.save, durable=True)

    def close(self, state: str, **result: Any) -> None:
        """Write the last ``status.json``: the `state` ("finished", "interrupted" or "failed") and the result."""
        seconds = round(time.perf_counter() - self._begun, 3)
        self.status.pop("phase", None)
        self.status.update(result, state=state, seconds=seconds)
        self._is_closed, self._trace = True, WeightTrace()
        self._evolution = None  # this releases the population, and its genomes in shared memory
        self._write_status(durable=True)

    def _write_status(self, *, durable: bool = False) -> None:
        if self._restored:  # else the status is that of a run which this one does not resume
            write_json(self.path / "status.json", self.status, durable=durable)
