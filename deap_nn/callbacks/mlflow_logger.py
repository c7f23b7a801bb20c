"""A callback that logs a run to MLflow."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.logbooks import Row, flattened, rows_of
from deap_nn.core.optional import optional

MOST_AT_ONCE = 100
"""The largest number of parameters that MLflow takes in one call."""


class MLflowLogger(Callback):
    """Log a run to MLflow: parameters, metrics by generation, and the best network's weights when it ends.

    Each column of the logbook is a metric; the name of a chapter's is ``chapter.column``. When the run ends, also by an
    exception, the weights of the best member of the last generation become the artifact ``best.npz``, and the run's
    status becomes "FINISHED", "KILLED" or "FAILED". A run that is resumed from a checkpoint continues the same run of
    MLflow, and logs no generation twice. The run is not MLflow's active run: a script's own calls of ``mlflow.log_...``
    do not write into it.

    Parameters
    ----------
    experiment : str
        The name of MLflow's experiment, made if there is none.
    run_name : str, optional
        The name of MLflow's run; chosen by MLflow if left out.
    tracking_uri : str, optional
        The address of MLflow's store, such as ``"http://localhost:5000"``; MLflow's own default if left out.
    parameters : mapping, optional
        Parameters to log beside ``population`` and ``generations``, nested ones as ``outer.inner``.
    artifacts : iterable of path-like
        Files and folders to keep as artifacts when the run ends; missing ones are skipped.

    Raises
    ------
    ImportError
        If MLflow is not installed: ``pip install -c constraints.txt -e '.[mlflow]'``.
    """

    def __init__(
        self,
        experiment: str = "deap_nn",
        *,
        run_name: str | None = None,
        tracking_uri: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        artifacts: Iterable[str | os.PathLike[str]] = (),
    ) -> None:
        with optional("mlflow"):
            from mlflow import MlflowClient
        self._client: Any = MlflowClient(tracking_uri)
        self.experiment = experiment
        self.run_name = run_name
        self.parameters = dict(parameters or {})
        self.artifacts = [Path(path) for path in artifacts]
        self.run_id: str | None = None
        self._sizes: dict[str, int] = {}
        self._written = -1
        self._there: set[tuple[str, int]] = set()

    def on_start(self, evolution: Evolution) -> None:
        """Forget the previous run."""
        self.run_id, self._written, self._there = None, -1, set()
        self._sizes = {"population": len(evolution.population), "generations": evolution.generations}

    def state(self) -> dict[str, Any]:
        """Return the identifier of MLflow's run."""
        return {"run_id": self._run()}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Continue MLflow's run, and log the metrics of earlier generations that it lacks."""
        rows = rows_of(evolution.logbook)
        self.run_id = states[-1].get("run_id")
        if self.run_id is not None:
            self._client.update_run(self.run_id, status="RUNNING")
            for name in dict.fromkeys(name for row in rows for name in row):
                self._there |= {(name, metric.step) for metric in self._client.get_metric_history(self.run_id, name)}
        for row in rows[:-1]:
            self._log(row)
            self._written = row["gen"]

    def on_generation(self, evolution: Evolution) -> None:
        """Log the generation."""
        self._catch_up(evolution)

    def on_end(self, evolution: Evolution) -> None:
        """Log the artifacts and the final status, and the last generation if ``on_generation`` was not called."""
        self._catch_up(evolution)
        if self.run_id is None:
            return  # the run ended before its first row, or before `restore`
        state = "FAILED" if evolution.error is not None else "FINISHED"
        try:
            self._log_artifacts(self.run_id, evolution)
        except BaseException:
            state = "FAILED"
            raise
        finally:
            self._client.set_terminated(self.run_id, "KILLED" if evolution.interrupted else state)

    def _log_artifacts(self, run: str, evolution: Evolution) -> None:
        weights = evolution.network_weights
        if weights:
            with tempfile.TemporaryDirectory() as folder:
                np.savez(Path(folder, "best.npz"), allow_pickle=False, **weights)
                self._client.log_artifact(run, str(Path(folder, "best.npz")))
        for path in self.artifacts:
            if path.is_dir():
                self._client.log_artifacts(run, str(path), path.name)
            elif path.exists():
                self._client.log_artifact(run, str(path))

    def _run(self) -> str:
        """Return the identifier of MLflow's run, which is created by the first call."""
        if self.run_id is None:
            from mlflow.entities import Param

            experiment = self._client.get_experiment_by_name(self.experiment)
            found = experiment.experiment_id if experiment else self._client.create_experiment(self.experiment)
            self.run_id = str(self._client.create_run(found, run_name=self.run_name).info.run_id)
            params = [Param(name, str(value)) for name, value in flattened(self._sizes | self.parameters).items()]
            for start in range(0, len(params), MOST_AT_ONCE):
                self._client.log_batch(self.run_id, params=params[start : start + MOST_AT_ONCE])
        return self.run_id

    def _catch_up(self, evolution: Evolution) -> None:
        if evolution.logbook and evolution.row["gen"] == self._written + 1:
            self._log(evolution.flat_row)
            self._written = evolution.row["gen"]

    def _log(self, row: Row) -> None:
        from mlflow.entities import Metric

        now, step = int(1000 * time.time()), row["gen"]
        metrics = [
            Metric(name, float(value), now, step)
            for name, value in row.items()
            if name != "gen" and isinstance(value, int | float) and (name, step) not in self._there
        ]
        if metrics:
            self._client.log_batch(self._run(), metrics=metrics)
