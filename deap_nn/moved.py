"""Module names from before the package had folders: for one version they still import the parts of each module."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Sequence
from typing import Any

SAME_NAME = {
    "algorithms": ["resuming", "settings_record"],
    "algorithms.toolbox": ["generate_update"],
    "breeding": ["founders"],
    "breeding.store": ["keyframes"],
    "callbacks": ["csv_logger", "mlflow_logger", "progress", "tensorboard_logger"],
    "callbacks.run_directory": ["weight_trace"],
    "core": ["environment", "frames", "seeding"],
    "data": ["samples"],
    "genome": ["noise", "population"],
    "maps.scoop": ["worker"],
    "models": ["keras_extras", "weight_files"],
    "operators": ["initialisation", "mutation"],
    "problems": ["groups"],
    "process": ["private_folders"],
    "report": ["family"],
    "runs": ["reading"],
}
"""The former modules that have moved into a folder of ``deap_nn`` under the same name, by folder."""

MOVED: dict[str, list[str]] = {
    **{former: [f"{folder}.{former}"] for folder, kept in SAME_NAME.items() for former in kept},
    "adaptation": [
        "operators.adaptation.feedback",
        "operators.adaptation.protocol",
        "operators.adaptation.schedules",
        "operators.adaptation.selections",
    ],
    "algorithm_names": ["operators.describe"],
    "answers": ["models.outputs", "models.layers"],
    "broker_sockets": ["maps.scoop.sockets"],
    "callbacks.readouts": ["callbacks.candidates"],
    "charts": ["report.style"],
    "checkpoint": ["runs.checkpoint", "runs.generations"],
    "clock": ["algorithms.toolbox.clock", "core.registered"],
    "commandline": ["__main__"],
    "commands": ["process.cli", "core.errors"],
    "comparison": ["runs.several"],
    "compiled": ["operators.compiled.common"],
    "crossover": ["operators.crossover", "operators.recombination"],
    "datafiles": ["data.image_files"],
    "datasets": ["data.loading", "data.registry", "data.dataset"],
    "descriptions": ["callbacks.run_directory.settings"],
    "dispatch": ["breeding.dispatch", "breeding.store.known"],
    "evaluation": ["problems.problem", "problems.scorer", "problems.measures", "problems.evaluate"],
    "evolution": ["callbacks.base"],
    "exhibits": ["callbacks.run_directory.predictions", "runs.reading", "callbacks.run_directory.filters"],
    "extras": ["core.optional"],
    "fused": ["operators.compiled.crossing"],
    "genome_cache": ["breeding.store.slots", "core.files"],
    "genome_tasks": ["breeding.task"],
    "genomes": ["breeding.store.genomes", "breeding.store.ancestors"],
    "html_report": ["report.html"],
    "limits": ["core.errors"],
    "keras_problem": ["problems.keras_problem", "problems.objective_evaluator"],
    "lineage": ["breeding.lineage", "breeding.past"],
    "live": ["report.server"],
    "logbooks": ["core.logbooks", "core.files"],
    "made_toolbox": ["algorithms.toolbox.made"],
    "markup": ["core.notebook"],
    "mating": ["operators.by_name"],
    "members": ["genome.members", "genome.population", "breeding.reproduction.around_centre"],
    "model_fit": ["models.checks"],
    "model_state": ["models.state"],
    "objectives": ["problems.objectives", "problems.objective_evaluator"],
    "own_parts": ["models.custom_objects"],
    "parallel": ["process.signals", "process.workers", "core.environment", "maps.scoop"],
    "pedigree": ["breeding.ancestry", "breeding.reproduction.base"],
    "plain_files": ["core.files"],
    "pooled": ["operators.compiled.centre"],
    "presets": ["algorithms.toolbox.settings", "algorithms.toolbox.presets"],
    "recipes": ["breeding.recipe", "breeding.breeder", "breeding.reproduction.pairs", "operators.ranking"],
    "rounding": ["operators.compiled.bfloat16"],
    "run_files": ["report.describe"],
    "run_settings": ["runs.config"],
    "rundir": ["callbacks.run_directory", "callbacks.run_directory.rows"],
    "scoop_repairs": ["maps.scoop.repairs"],
    "scorers": ["problems.scorer", "problems.evaluate", "problems.groups", "problems.measures"],
    "scoring": ["problems.measures", "problems.problem", "problems.scorer"],
    "selection": ["operators.selection", "operators.ranking"],
    "sharing": ["maps.shared"],
    "tensorflow_setup": ["models.tensorflow"],
    "toolbox": ["algorithms.toolbox.make", "genome.individual"],
    "variation": ["breeding.variation", "breeding.reproduction"],
    "weights": ["genome.weight_list", "core.arguments", "genome.vectors", "genome.layout"],
    "wiring": ["algorithms.toolbox.from_settings"],
}
"""The modules of ``deap_nn`` that now have the parts of each former module."""

IN_PICKLES = {
    *("adaptation", "clock", "crossover", "datasets", "evaluation", "founders", "generate_update", "groups"),
    *("initialisation", "keras_problem", "made_toolbox", "mating", "members", "mutation", "noise", "objectives"),
    *("population", "recipes", "samples", "scorers", "scoring", "selection", "toolbox", "weights"),
}
"""The former modules that older pickles of populations and toolboxes refer to: their import does not warn."""


RENAMED = {
    "ANSWERS_FILE": "PREDICTIONS_FILE",
    "AnswerObjectives": "Outputs",
    "AssessObjectives": "Assess",
    "Judge": "ObjectiveEvaluator",
    "READOUT_EVERY": "SCORED_EVERY",
    "VOTERS": "ENSEMBLE_SIZE",
    "Weigh": "RecombinationWeights",
    "answers_of": "outputs_of",
    "ObjectiveErrorRate": "ErrorRate",
    "ObjectiveProblem": "Problem",
    "check_pair": "check_mates",
    "own_parts": "custom_objects_of",
    "strength_of": "self_adaptive_of",
    "told_of": "with_generation",
    "write_answers": "write_predictions",
}
"""The present names of renamed classes and functions of former modules."""


class _Moved(types.ModuleType):
    """A former module: its attributes are those of the modules that now have its parts."""

    def _places_of(self, name: str) -> list[types.ModuleType]:
        if name.startswith("__"):  # such names belong to this module object
            return []
        places = MOVED[self.__name__.removeprefix("deap_nn.")]
        modules = [importlib.import_module(f"deap_nn.{place}") for place in places]
        return [module for module in modules if hasattr(module, name)]

    def __getattr__(self, name: str) -> Any:
        name = RENAMED.get(name, name)
        for module in self._places_of(name):
            return getattr(module, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        modules = self._places_of(name)
        for module in modules:
            setattr(module, name, value)
        if not modules:
            super().__setattr__(name, value)


class _Finder:
    """The finder (for ``sys.meta_path``) and loader of former modules."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, module = name.partition(".")
        if package != "deap_nn" or module not in MOVED:
            return None
        return importlib.machinery.ModuleSpec(name, self)  # type: ignore[arg-type]  # it has a loader's methods

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Moved(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        former = module.__name__.removeprefix("deap_nn.")
        importlib.import_module(f"deap_nn.{MOVED[former][0]}")  # for the side effects of its import
        if former not in IN_PICKLES:
            warn(former, 2)


def warn(former: str, stacklevel: int) -> None:
    """Warn that a module has moved."""
    now = " and ".join(f"deap_nn.{place}" for place in MOVED[former])
    warnings.warn(f"deap_nn.{former} has moved to {now}", DeprecationWarning, stacklevel=stacklevel + 1)


def module_of(former: str) -> types.ModuleType:
    """Return a former module for ``from deap_nn import NAME``, with a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = importlib.import_module(f"deap_nn.{former}")
    warn(former, 3)
    return module


def install() -> None:
    """Register the finder of former modules, after all other finders."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
