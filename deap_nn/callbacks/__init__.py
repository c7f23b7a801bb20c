"""The callbacks of this package."""

from deap_nn.callbacks.candidates import BEST, COLUMNS, MEAN, SCORED_EVERY, Candidates
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.mlflow_logger import MLflowLogger
from deap_nn.callbacks.progress import ProgressBar
from deap_nn.callbacks.tensorboard_logger import TensorBoardLogger

__all__ = [
    "BEST",
    "COLUMNS",
    "MEAN",
    "SCORED_EVERY",
    "Candidates",
    "EarlyStopping",
    "MLflowLogger",
    "ProgressBar",
    "TensorBoardLogger",
]
