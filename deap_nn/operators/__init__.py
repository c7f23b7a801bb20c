"""Crossover, mutation, selection and initialisation, in DEAP's form, and adaptations of sigma."""

import importlib
from typing import Any

from deap_nn.core.optional import lazy

_PLACES = {
    "Kind": "operators.registry",
    "OPERATORS": "operators.registry",
    "Operator": "operators.registry",
    "adapting": "operators.adaptation",
    "cxBiased": "operators.crossover",
    "cxMask": "operators.crossover",
    "cxMatrices": "operators.crossover",
    "cxMean": "operators.recombination",
    "cxScanning": "operators.recombination",
    "cxSplit": "operators.crossover",
    "cxUnits": "operators.crossover",
    "initAround": "operators.initialisation",
    "initNormal": "operators.initialisation",
    "initScaled": "operators.initialisation",
    "mutGaussianAdaptive": "operators.mutation",
    "operator": "operators.registry",
    "recombination_weights": "operators.ranking",
    "selLogRank": "operators.selection",
    "selMirrored": "operators.selection",
    "selRankBoosted": "operators.selection",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name == "OPERATORS":
        for place in sorted(set(_PLACES.values())):  # each enters its operators when it is imported
            importlib.import_module(f"deap_nn.{place}")
    return lazy(__name__, _PLACES, name)
