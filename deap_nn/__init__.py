"""A toolbox for DEAP that trains neural networks with a genetic algorithm instead of backpropagation."""

import importlib
from typing import TYPE_CHECKING, Any

from deap_nn import moved
from deap_nn.core.optional import lazy
from deap_nn.process.workers import running_under_scoop

if TYPE_CHECKING:
    from deap_nn.algorithms.algorithm import ES as ES
    from deap_nn.algorithms.algorithm import GA as GA
    from deap_nn.algorithms.algorithm import Article as Article
    from deap_nn.algorithms.algorithm import usual_step as usual_step
    from deap_nn.algorithms.evolving import evolve as evolve
    from deap_nn.algorithms.toolbox.make import make_toolbox as make_toolbox
    from deap_nn.breeding.founders import initPopulation as initPopulation
    from deap_nn.callbacks.base import Callback as Callback
    from deap_nn.callbacks.base import CallbackError as CallbackError
    from deap_nn.callbacks.base import Evolution as Evolution
    from deap_nn.callbacks.run_directory import RunDirectory as RunDirectory
    from deap_nn.core.errors import MapError as MapError
    from deap_nn.core.frames import to_dataframe as to_dataframe
    from deap_nn.core.frames import to_parquet as to_parquet
    from deap_nn.core.logbooks import to_csv as to_csv
    from deap_nn.core.logbooks import to_json as to_json
    from deap_nn.data.dataset import Dataset as Dataset
    from deap_nn.data.loading import load_dataset as load_dataset
    from deap_nn.genome.elementwise import elementwise as elementwise
    from deap_nn.genome.individual import FitnessMin as FitnessMin
    from deap_nn.genome.individual import Individual as Individual
    from deap_nn.genome.layout import Layout as Layout
    from deap_nn.genome.noise import NoiseTable as NoiseTable
    from deap_nn.genome.population import Population as Population
    from deap_nn.genome.weight_list import WeightList as WeightList
    from deap_nn.maps import open_map as open_map
    from deap_nn.model_evolution import EvolvedModel as EvolvedModel
    from deap_nn.model_evolution import evolve_model as evolve_model
    from deap_nn.models.tensorflow import keras as keras
    from deap_nn.models.weight_files import WeightsError as WeightsError
    from deap_nn.models.weight_files import read_weights as read_weights
    from deap_nn.operators.adaptation.feedback import ErrorScaled as ErrorScaled
    from deap_nn.operators.adaptation.feedback import OneFifth as OneFifth
    from deap_nn.operators.adaptation.feedback import SelfAdaptive as SelfAdaptive
    from deap_nn.operators.adaptation.protocol import Adaptation as Adaptation
    from deap_nn.operators.adaptation.schedules import Annealed as Annealed
    from deap_nn.operators.adaptation.schedules import Constant as Constant
    from deap_nn.operators.adaptation.selections import adapting as adapting
    from deap_nn.operators.crossover import cxBiased as cxBiased
    from deap_nn.operators.crossover import cxMask as cxMask
    from deap_nn.operators.crossover import cxMatrices as cxMatrices
    from deap_nn.operators.crossover import cxSplit as cxSplit
    from deap_nn.operators.crossover import cxUnits as cxUnits
    from deap_nn.operators.initialisation import initAround as initAround
    from deap_nn.operators.initialisation import initNormal as initNormal
    from deap_nn.operators.initialisation import initScaled as initScaled
    from deap_nn.operators.mutation import mutGaussianAdaptive as mutGaussianAdaptive
    from deap_nn.operators.ranking import recombination_weights as recombination_weights
    from deap_nn.operators.recombination import cxMean as cxMean
    from deap_nn.operators.recombination import cxScanning as cxScanning
    from deap_nn.operators.selection import selLogRank as selLogRank
    from deap_nn.operators.selection import selMirrored as selMirrored
    from deap_nn.operators.selection import selRankBoosted as selRankBoosted
    from deap_nn.problems.keras_problem import KerasProblem as KerasProblem
    from deap_nn.report.plot import plot_logbook as plot_logbook
    from deap_nn.runs.checkpoint import Checkpoint as Checkpoint
    from deap_nn.runs.generations import CheckpointError as CheckpointError
    from deap_nn.runs.run import Run as Run
    from deap_nn.runs.run import read_run as read_run
    from deap_nn.runs.several import Runs as Runs
    from deap_nn.runs.several import read_runs as read_runs

__version__ = "0.1.0.dev1"

_find, _names = lazy(
    __name__,
    {
        "algorithms.algorithm": ["ES", "GA", "Article", "usual_step"],
        "algorithms.evolving": ["evolve"],
        "algorithms.toolbox.make": ["make_toolbox"],
        "breeding.founders": ["initPopulation"],
        "callbacks.base": ["Callback", "CallbackError", "Evolution"],
        "callbacks.run_directory": ["RunDirectory"],
        "core.errors": ["MapError"],
        "core.frames": ["to_dataframe", "to_parquet"],
        "core.logbooks": ["to_csv", "to_json"],
        "data.dataset": ["Dataset"],
        "data.loading": ["load_dataset"],
        "genome.elementwise": ["elementwise"],
        "genome.individual": ["FitnessMin", "Individual"],
        "genome.layout": ["Layout"],
        "genome.noise": ["NoiseTable"],
        "genome.population": ["Population"],
        "genome.weight_list": ["WeightList"],
        "maps": ["open_map"],
        "model_evolution": ["EvolvedModel", "evolve_model"],
        "models.weight_files": ["WeightsError", "read_weights"],
        "operators.adaptation.feedback": ["ErrorScaled", "OneFifth", "SelfAdaptive"],
        "operators.adaptation.protocol": ["Adaptation"],
        "operators.adaptation.schedules": ["Annealed", "Constant"],
        "operators.adaptation.selections": ["adapting"],
        "operators.crossover": ["cxBiased", "cxMask", "cxMatrices", "cxSplit", "cxUnits"],
        "operators.initialisation": ["initAround", "initNormal", "initScaled"],
        "operators.mutation": ["mutGaussianAdaptive"],
        "operators.ranking": ["recombination_weights"],
        "operators.recombination": ["cxMean", "cxScanning"],
        "operators.selection": ["selLogRank", "selMirrored", "selRankBoosted"],
        "problems.keras_problem": ["KerasProblem"],
        "report.plot": ["plot_logbook"],
        "runs.checkpoint": ["Checkpoint"],
        "runs.generations": ["CheckpointError"],
        "runs.run": ["Run", "read_run"],
        "runs.several": ["Runs", "read_runs"],
    },
)

if not TYPE_CHECKING:  # a type checker cannot read a computed list; without one it takes all names above as exported
    __all__ = _names

moved.install()
if running_under_scoop():
    importlib.import_module("deap_nn.maps.scoop.repairs").mend()


def __getattr__(name: str) -> Any:
    if name == "keras":  # not in __all__, so that ``from deap_nn import *`` does not import TensorFlow
        return importlib.import_module("deap_nn.models.tensorflow").keras
    if name in moved.MOVED:
        return moved.module_of(name)
    return _find(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_names})
