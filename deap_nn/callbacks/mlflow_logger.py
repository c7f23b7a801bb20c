"""A run for MLflow."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.logbooks import Row, flat, rows_of
from deap_nn.core.optional import optional

MOST_AT_ONCE = 100
"""MLflow takes no more parameters in one call."""


class MLflowLogger(Callback):
    """Log a run to MLflow: parameters, metrics by generation, and the best network's weights when it ends.

    Each column of the logbook is a metric, a chapter's named ``chapter.column``. When the run ends, in order or by an
    exception, the weights of the best member of the last generation become the artifact ``best.npz``, and MLflow is
    told "FINISHED", "KILLED" or "FAILED". A run that is resumed from a checkpoint goes on in the same run of MLflow,
    and logs no generation twice. It is no active run of MLflow's: what is logged beside it stays apart.

    Parameters
    ----------
    experiment : str
        The name of MLflow's experiment, made if there is none.
    run_name : str, optional
        Chosen by MLflow if left out.
    tracking_uri : str, optional
        Where MLflow keeps it, such as ``"http://localhost:5000"``; MLflow's own default if left out.
    parameters : mapping, optional
        What is logged as parameters beside ``population`` and ``generations``, nested ones as ``outer.inner``.
    artifacts : iterable of path-like
        Files and folders that are kept as artifacts when the run ends, those that are there then.

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
        """Forget the run before."""
        self.run_id, self._written, self._there = None, -1, set()
        self._sizes = {"population": len(evolution.population), "generations": evolution.generations}

    def state(self) -> dict[str, Any]:
        """Return the name of MLflow's run."""
        return {"run_id": self._run()}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Go on in MLflow's run, and log what it has not of earlier generations."""
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
        """Log the last generation if that was not told, the artifacts, and how the run ended."""
        self._catch_up(evolution)
        if self.run_id is None:
            return  # it ended before there was anything to log, or before this was restored
        run = self.run_id
        weights = evolution.best_weights
        if weights:
            with tempfile.TemporaryDirectory() as folder:
                np.savez(Path(folder, "best.npz"), allow_pickle=False, **weights)
                self._client.log_artifact(run, str(Path(folder, "best.npz")))
        for path in self.artifacts:
            if path.is_dir():
                self._client.log_artifacts(run, str(path), path.name)
            elif path.exists():
                self._client.log_artifact(run, str(path))
        failed = "FAILED" if evolution.error is not None else "FINISHED"
        self._client.set_terminated(run, "KILLED" if evolution.interrupted else failed)

    def _run(self) -> str:
        """Return the name of MLflow's run, begun if it is not yet."""
        if self.run_id is None:
            from mlflow.entities import Param

            experiment = self._client.get_experiment_by_name(self.experiment)
            found = experiment.experiment_id if experiment else self._client.create_experiment(self.experiment)
            self.run_id = str(self._client.create_run(found, run_name=self.run_name).info.run_id)
            told = [Param(name, str(value)) for name, value in flat(self._sizes | self.parameters).items()]
            for start in range(0, len(told), MOST_AT_ONCE):
                self._client.log_batch(self.run_id, params=told[start : start + MOST_AT_ONCE])
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
