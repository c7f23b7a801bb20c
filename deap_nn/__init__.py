"""A toolbox for DEAP that trains neural networks with a genetic algorithm instead of backpropagation."""

from deap_nn.adaptation import Adaptation, Annealed, Constant, ErrorScaled, OneFifth, SelfAdaptive
from deap_nn.algorithms import evolve
from deap_nn.checkpoint import Checkpoint, CheckpointError
from deap_nn.crossover import cxBiased, cxMask, cxMatrices, cxMean, cxScanning, cxSplit, cxUnits
from deap_nn.datasets import Dataset, load_dataset
from deap_nn.evolution import Callback, Evolution
from deap_nn.founders import initPopulation
from deap_nn.initialisation import initNormal, initScaled
from deap_nn.logbooks import to_csv, to_json
from deap_nn.maps import MapError, open_map
from deap_nn.mutation import mutGaussianAdaptive
from deap_nn.noise import NoiseTable
from deap_nn.selection import selMirrored, selRankBoosted
from deap_nn.toolbox import PRESETS, FitnessMin, Individual, make_toolbox, usual_step
from deap_nn.weights import Layout, WeightList

__version__ = "0.1.0.dev0"

__all__ = [
    "PRESETS",
    "Adaptation",
    "Annealed",
    "Callback",
    "Checkpoint",
    "CheckpointError",
    "Constant",
    "Dataset",
    "ErrorScaled",
    "Evolution",
    "FitnessMin",
    "Individual",
    "Layout",
    "MapError",
    "NoiseTable",
    "OneFifth",
    "SelfAdaptive",
    "WeightList",
    "cxBiased",
    "cxMask",
    "cxMatrices",
    "cxMean",
    "cxScanning",
    "cxSplit",
    "cxUnits",
    "evolve",
    "initNormal",
    "initPopulation",
    "initScaled",
    "load_dataset",
    "make_toolbox",
    "mutGaussianAdaptive",
    "open_map",
    "selMirrored",
    "selRankBoosted",
    "to_csv",
    "to_json",
    "usual_step",
]
