"""The registry of operators: what is listed here is documented, and tested by one battery of contract tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from deap_nn.crossover import cxBiased, cxMask, cxMatrices, cxMean, cxScanning, cxSplit, cxUnits
from deap_nn.initialisation import initAround, initNormal, initScaled
from deap_nn.mutation import mutGaussianAdaptive
from deap_nn.selection import selLogRank, selMirrored, selRankBoosted

Kind = Literal["init", "cx", "mut", "sel"]


@dataclass(frozen=True)
class Operator:
    """An operator, the prefix of its name, and where it comes from."""

    function: Callable[..., Any]
    kind: Kind
    reference: str

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__


OPERATORS = (
    Operator(initNormal, "init", "the article"),
    Operator(initScaled, "init", "He et al. 2015"),
    Operator(initAround, "init", "Such et al. 2017"),
    Operator(cxMask, "cx", "the article; Syswerda 1989"),
    Operator(cxScanning, "cx", "Eiben, Raué and Ruttkay 1994"),
    Operator(cxBiased, "cx", "Gonçalves and Resende 2011"),
    Operator(cxSplit, "cx", "the article; Holland 1975"),
    Operator(cxMatrices, "cx", "Montana and Davis 1989"),
    Operator(cxUnits, "cx", "Montana and Davis 1989"),
    Operator(cxMean, "cx", "Michalewicz 1992; Beyer 1995"),
    Operator(mutGaussianAdaptive, "mut", "the article; Beyer and Schwefel 2002"),
    Operator(selRankBoosted, "sel", "the article; Baker 1985"),
    Operator(selLogRank, "sel", "Arnold 2006; Hansen and Ostermeier 2001; Baker 1987"),
    Operator(selMirrored, "sel", "Brockhoff et al. 2010; Hansen and Ostermeier 2001; Baker 1987"),
)
