"""The callbacks of this package."""

from __future__ import annotations

from deap_nn.callbacks.csv_logger import CSVLogger
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.mlflow_logger import MLflowLogger
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.callbacks.readouts import BEST, COLUMNS, MEAN, ON_TRAINING, READOUT_EVERY, VOTERS, Readouts
from deap_nn.callbacks.tensorboard_logger import TensorBoardLogger

__all__ = [
    "BEST",
    "COLUMNS",
    "MEAN",
    "ON_TRAINING",
    "READOUT_EVERY",
    "VOTERS",
    "CSVLogger",
    "EarlyStopping",
    "MLflowLogger",
    "ProgressBar",
    "Readouts",
    "TensorBoardLogger",
]
