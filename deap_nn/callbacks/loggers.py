"""Callbacks that log a run to MLflow and TensorBoard."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.core.arguments import check_count
from deap_nn.core.environment import optional
from deap_nn.core.logbooks import Row, flattened, rows_of


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
    **parameters
        Parameters to log beside ``generations``; those of a mapping are named ``outer.inner``.

    Attributes
    ----------
    client : mlflow.MlflowClient
        The client of MLflow's store, which ``mlflow.set_tracking_uri`` or MLFLOW_TRACKING_URI names.
    run_id : str or None
        The identifier of MLflow's run; ``client.log_artifacts(run_id, FOLDER)`` adds files to it.

    Raises
    ------
    ImportError
        If MLflow is not installed: ``pip install -c constraints.txt -e '.[mlflow]'``.
    """

    def __init__(self, experiment: str = "deap_nn", run_name: str | None = None, **parameters: Any) -> None:
        with optional("mlflow"):
            import mlflow
        self.client: Any = mlflow.MlflowClient()
        self.experiment, self.run_name, self.parameters = experiment, run_name, parameters

    def on_start(self, evolution: Evolution) -> None:
        """Begin before the first generation."""
        self.run_id: str | None = None
        self._last, self._generations = -1, evolution.generations

    def state(self) -> dict[str, Any]:
        """Return the identifier of MLflow's run, which the first call makes."""
        if self.run_id is None:
            found = self.client.get_experiment_by_name(self.experiment)
            experiment = found.experiment_id if found else self.client.create_experiment(self.experiment)
            self.run_id = self.client.create_run(experiment, run_name=self.run_name).info.run_id
            for name, value in flattened({"generations": self._generations, **self.parameters}).items():
                self.client.log_param(self.run_id, name, value)
        return {"run_id": self.run_id}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Continue MLflow's run, and log the earlier generations that it lacks."""
        if (run_id := states[-1].get("run_id")) is not None:
            self.client.update_run(run_id, status="RUNNING")
            logged = self.client.get_metric_history(run_id, "nevals")
            self.run_id, self._last = run_id, max((metric.step for metric in logged), default=-1)
        for row in rows_of(evolution.logbook)[:-1]:
            self._log(row)

    def on_generation(self, evolution: Evolution) -> None:
        """Log the generation."""
        self._log(evolution.flat_row)

    def on_end(self, evolution: Evolution) -> None:
        """Log the best weights and the final status, and the last generation if ``on_generation`` was not called."""
        if evolution.logbook and evolution.row["gen"] <= self._last + 1:  # else it ended before `restore`
            self._log(evolution.flat_row)
            with tempfile.TemporaryDirectory() as folder:
                np.savez(f"{folder}/best.npz", allow_pickle=False, **evolution.network_weights)
                self.client.log_artifact(self.run_id, f"{folder}/best.npz")
            ended = "FINISHED" if evolution.error is None else "KILLED" if evolution.interrupted else "FAILED"
            self.client.set_terminated(self.run_id, ended)

    def _log(self, row: Row) -> None:
        from mlflow.entities import Metric

        now, step = int(1000 * time.time()), row.pop("gen")
        if step > self._last:
            metrics = [Metric(name, value, now, step) for name, value in row.items() if isinstance(value, int | float)]
            self.client.log_batch(**self.state(), metrics=metrics)
            self._last = step


EVERY = 25
"""Generations between two histograms of the best member's weights."""

MOST_WEIGHTS = 100_000
"""The most weights of a matrix in a histogram: for millions TensorFlow takes some seconds and a gigabyte."""


class TensorBoardLogger(Callback):
    """Write a run as events for TensorBoard (``tensorboard --logdir PATH``).

    Each column of the logbook is a scalar by generation; the name of a chapter's is ``chapter.column``. Every `every`
    generations, and at the end, there is a histogram of each matrix of the best member. A resumed run writes into the
    same folder, and writes no generation twice.

    Parameters
    ----------
    path : path-like
        A folder of this run alone.
    every : int
        Generations between two histograms, at least 1; 0 for none.

    Raises
    ------
    ImportError
        If TensorBoard is not installed: ``pip install -c constraints.txt -e '.[tensorboard]'``.
    """

    def __init__(self, path: str | os.PathLike[str], *, every: int = EVERY) -> None:
        with optional("tensorboard"):
            import tensorboard  # noqa: F401  (TensorFlow's writer uses it)
        self.path = Path(path)
        self.every = check_count(every, "every", 0)

    def on_start(self, evolution: Evolution) -> None:
        """Open a new file in the folder."""
        from deap_nn.models.tensorflow import tf

        self._summary, self._last = tf.summary, -1
        self._writer = tf.summary.create_file_writer(str(self.path))
        self._there: set[tuple[str, int]] = set()

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Write the scalars of earlier generations that the folder lacks."""
        self._there = written_in(self.path)
        for row in rows_of(evolution.logbook)[:-1]:
            self._write_scalars(row)

    def on_generation(self, evolution: Evolution) -> None:
        """Write the generation, and every `every` generations the weights."""
        generation, weights = evolution.generation, evolution.best_weights
        self._write_scalars(evolution.flat_row)
        if self.every and (generation % self.every == 0 or evolution.last or evolution.error is not None):
            with self._writer.as_default(generation):
                for name, matrix in weights.items():
                    some = matrix.ravel()[:: math.ceil(matrix.size / MOST_WEIGHTS)]
                    self._write(self._summary.histogram, f"weights/{name}", some)
        self._writer.flush()

    def on_end(self, evolution: Evolution) -> None:
        """Write the last generation, if the run was interrupted before ``on_generation``."""
        if evolution.logbook and evolution.row["gen"] == self._last + 1:
            self.on_generation(evolution)
        self._writer.close()

    def _write_scalars(self, row: Row) -> None:
        self._last = row.pop("gen")
        with self._writer.as_default(self._last):
            for name, value in row.items():
                if isinstance(value, int | float):
                    self._write(self._summary.scalar, name, value)

    def _write(self, summary: Callable[[str, Any], object], name: str, value: Any) -> None:
        if (name, self._last) not in self._there:
            summary(name, value)


def written_in(path: Path) -> set[tuple[str, int]]:
    """Return tag and step of each event in a folder, but for those after damage in a file, as a kill may leave it."""
    from deap_nn.models.tensorflow import tf

    found = set()
    for file in path.glob("events.out.tfevents.*"):
        with contextlib.suppress(tf.errors.DataLossError):
            for record in tf.data.TFRecordDataset(str(file)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                found |= {(value.tag, event.step) for value in event.summary.value}
    return found
