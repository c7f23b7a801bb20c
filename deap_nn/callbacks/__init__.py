"""The callbacks of this package."""

from __future__ import annotations

import importlib
from typing import Any

from deap_nn.callbacks.candidates import BEST, COLUMNS, ENSEMBLE_SIZE, MEAN, ON_TRAINING, SCORED_EVERY, Candidates
from deap_nn.callbacks.csv_logger import CSVLogger
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.mlflow_logger import MLflowLogger
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.callbacks.tensorboard_logger import TensorBoardLogger

__all__ = [
    "BEST",
    "COLUMNS",
    "ENSEMBLE_SIZE",
    "MEAN",
    "ON_TRAINING",
    "SCORED_EVERY",
    "CSVLogger",
    "Candidates",
    "EarlyStopping",
    "MLflowLogger",
    "ProgressBar",
    "TensorBoardLogger",
]


def __getattr__(name: str) -> Any:
    if name in ("READOUT_EVERY", "Readouts", "VOTERS"):  # former names
        return getattr(importlib.import_module("deap_nn.callbacks.readouts"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
