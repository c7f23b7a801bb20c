"""The callbacks of this package."""

from deap_nn.callbacks.candidates import BEST, COLUMNS, MEAN, SCORED_EVERY, Candidates
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.loggers import MLflowLogger, TensorBoardLogger
from deap_nn.callbacks.progress import ProgressBar

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
