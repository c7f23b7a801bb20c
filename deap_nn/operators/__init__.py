"""Crossover, mutation, selection and initialisation, in DEAP's form, and adaptations of sigma."""

from typing import Any

from deap_nn.core.optional import lazy

_find, __all__ = lazy(
    __name__,
    {
        "operators.adaptation.selections": ["adapting"],
        "operators.crossover": ["cxBiased", "cxMask", "cxMatrices", "cxSplit", "cxUnits"],
        "operators.initialisation": ["initAround", "initNormal", "initScaled"],
        "operators.mutation": ["mutGaussianAdaptive"],
        "operators.ranking": ["recombination_weights"],
        "operators.recombination": ["cxMean", "cxScanning"],
        "operators.registry": ["Kind", "OPERATORS", "Operator", "operator"],
        "operators.selection": ["selLogRank", "selMirrored", "selRankBoosted"],
    },
)


def __getattr__(name: str) -> Any:
    if name == "OPERATORS":
        for each in __all__:  # each module adds its operators to the list when it is imported
            _find(each)
    return _find(name)
