"""A toolbox for DEAP that trains neural networks with a genetic algorithm instead of backpropagation."""

from typing import Any

from deap_nn import presets
from deap_nn.adaptation import Adaptation, Annealed, Constant, ErrorScaled, OneFifth, SelfAdaptive, adapting
from deap_nn.algorithms import evolve
from deap_nn.checkpoint import Checkpoint, CheckpointError
from deap_nn.comparison import Runs, read_runs
from deap_nn.crossover import cxBiased, cxMask, cxMatrices, cxMean, cxScanning, cxSplit, cxUnits
from deap_nn.datasets import Dataset, load_dataset
from deap_nn.evolution import Callback, CallbackError, Evolution
from deap_nn.founders import initPopulation
from deap_nn.frames import to_dataframe, to_parquet
from deap_nn.initialisation import initAround, initNormal, initScaled
from deap_nn.keras_problem import KerasProblem
from deap_nn.logbooks import to_csv, to_json
from deap_nn.maps import MapError, open_map
from deap_nn.model_evolution import EvolvedModel, evolve_model
from deap_nn.mutation import mutGaussianAdaptive
from deap_nn.noise import NoiseTable
from deap_nn.population import Population
from deap_nn.presets import preset, usual_step
from deap_nn.rundir import RunDirectory
from deap_nn.runs import Run, read_run
from deap_nn.selection import recombination_weights, selLogRank, selMirrored, selRankBoosted
from deap_nn.toolbox import FitnessMin, Individual, make_toolbox
from deap_nn.weight_files import WeightsError, read_weights
from deap_nn.weights import Layout, WeightList

__version__ = "0.1.0.dev1"

__all__ = [
    "Adaptation",
    "Annealed",
    "Callback",
    "CallbackError",
    "Checkpoint",
    "CheckpointError",
    "Constant",
    "Dataset",
    "ErrorScaled",
    "Evolution",
    "EvolvedModel",
    "FitnessMin",
    "Individual",
    "KerasProblem",
    "Layout",
    "MapError",
    "NoiseTable",
    "OneFifth",
    "Population",
    "Run",
    "RunDirectory",
    "Runs",
    "SelfAdaptive",
    "WeightList",
    "WeightsError",
    "adapting",
    "cxBiased",
    "cxMask",
    "cxMatrices",
    "cxMean",
    "cxScanning",
    "cxSplit",
    "cxUnits",
    "evolve",
    "evolve_model",
    "initAround",
    "initNormal",
    "initPopulation",
    "initScaled",
    "load_dataset",
    "make_toolbox",
    "mutGaussianAdaptive",
    "open_map",
    "preset",
    "read_run",
    "read_runs",
    "read_weights",
    "recombination_weights",
    "selLogRank",
    "selMirrored",
    "selRankBoosted",
    "to_csv",
    "to_dataframe",
    "to_json",
    "to_parquet",
    "usual_step",
]


def __getattr__(name: str) -> Any:
    if name == "PRESETS":
        return presets.PRESETS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
