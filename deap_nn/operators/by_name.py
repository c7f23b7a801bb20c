"""The crossovers that a toolbox knows by name and their arguments, and DEAP's operators that do not suit matrices."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

from deap import tools

from deap_nn.core.arguments import check_count, check_probability
from deap_nn.core.registered import Registered
from deap_nn.genome.elementwise import weight_by_weight
from deap_nn.operators.crossover import cxBiased, cxMask, cxMatrices, cxSplit, cxUnits
from deap_nn.operators.recombination import MOST_MATES, cxMean, cxScanning
from deap_nn.operators.selection import operator_of

CrossoverName = Literal["mask", "biased", "split", "matrices", "units", "average", "none", "mean"]


class Crossover(NamedTuple):
    """A crossover of two, the probability that it has unless one is given, and what takes its place for more mates."""

    function: Callable[..., Any]
    indpb: float | None = None
    of_many: Callable[..., Any] | None = None


CROSSOVERS: Mapping[CrossoverName, Crossover] = {
    "mask": Crossover(cxMask, 0.5, of_many=cxScanning),
    "biased": Crossover(cxBiased, 0.25),
    "split": Crossover(cxSplit),
    "matrices": Crossover(cxMatrices, 0.5),
    "units": Crossover(cxUnits, 0.5),
    "average": Crossover(cxMean, of_many=cxMean),
    "none": Crossover(cxMask, 0.0),
    "mean": Crossover(cxMean, of_many=cxMean),
}
"""What `make_toolbox` calls them; "none" is a mask that exchanges nothing."""


def takes_many(mate: Callable[..., Any]) -> bool:
    """Return whether a registered crossover takes any number of individuals, as ``*individuals`` of its signature says.

    Any other takes two, as in every loop of DEAP.
    """
    if getattr(mate, "takes_many", False):
        return True
    try:
        parameters = inspect.signature(mate).parameters
    except (TypeError, ValueError):  # a function of C without a signature
        return False
    many = parameters.get("individuals")
    return many is not None and many.kind is inspect.Parameter.VAR_POSITIONAL


def checked_children(children: Any, count: int, mate: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the children that a crossover has returned, or raise ValueError if they are not as many as its parents."""
    if not isinstance(children, tuple | list) or len(children) != count:
        got = f"{len(children)}" if isinstance(children, tuple | list) else type(children).__name__
        name = getattr(getattr(mate, "func", mate), "__name__", "mate")
        raise ValueError(
            f"mate must return its {count} individuals, got {got} from {name}"
            + ": end it with a return" * (children is None)
        )
    return tuple(children)


def mates_of(toolbox: Any) -> int:
    """Return the number of parents that `evolve` crosses at a time: ``toolbox.mates``, if ``mate`` takes them, or 2."""
    mates = int(Registered.read(toolbox).mates)
    return mates if mates == 2 or takes_many(toolbox.mate) else 2


class ArgumentError(ValueError):
    """An argument that does not go with the others.

    Parameters
    ----------
    argument : str
        Its name.
    why : str
        What is wrong with it, as the rest of a sentence that begins with its name.
    """

    def __init__(self, argument: str, why: str) -> None:
        super().__init__(argument, why)
        self.argument, self.why = argument, why

    def __str__(self) -> str:
        """Return the sentence."""
        return f"{self.argument} {self.why}"


def checked_indpb(crossover: CrossoverName, mates: int, indpb: float | None) -> float | None:
    """Return the probability that a crossover of so many mates has, None if it has none.

    Raises
    ------
    ArgumentError
        If so many cannot be mated by it, or it has no such probability.
    ValueError, TypeError
        If a number is out of range or none.
    """
    if not 2 <= check_count(mates, "mates") <= MOST_MATES:
        raise ArgumentError("mates", f"must be 2 to {MOST_MATES}, got {mates!r}")
    if mates > 2 and CROSSOVERS[crossover].of_many is None:
        raise ArgumentError("mates", f"must be 2 where crossover is {crossover!r}, got {mates!r}")
    usual = CROSSOVERS[crossover].indpb if mates == 2 else None
    if indpb is None:
        return usual
    if usual is None:
        allowed = " or ".join(name for name, named in CROSSOVERS.items() if named.indpb is not None)
        raise ArgumentError("indpb", f"is for two mates and a crossover of {allowed}, got {indpb!r}")
    check_probability(indpb, "indpb")
    if crossover == "none" and indpb:
        raise ArgumentError("indpb", f"must be 0 where crossover is 'none', got {indpb!r}")
    return float(indpb)


OF_NUMBERS = (
    *(tools.mutGaussian, tools.mutESLogNormal, tools.mutPolynomialBounded, tools.mutFlipBit, tools.mutUniformInt),
    *(tools.cxBlend, tools.cxESBlend, tools.cxSimulatedBinary, tools.cxSimulatedBinaryBounded),
)
"""DEAP's operators that compute with each element as one number: of a matrix, all weights get the same."""

MOVING = (
    *(tools.cxMessyOnePoint, tools.cxOrdered, tools.cxPartialyMatched, tools.cxUniformPartialyMatched),
    *(tools.mutInversion, tools.mutShuffleIndexes),
)
"""DEAP's operators that put elements into other places, or change their number."""

WITH_STRATEGY = (tools.mutESLogNormal, tools.cxESBlend, tools.cxESTwoPoint, tools.cxESTwoPoints)
"""DEAP's operators of evolution strategies, which change the attribute ``strategy`` of an individual."""


def operated_by(registered: Any) -> Any:
    """Return the operator inside of a registered `elementwise` one, or None for any other."""
    while isinstance(registered, partial) and isinstance(registered.func, partial):
        registered = registered.func
    return registered.args[0] if isinstance(registered, partial) and registered.func is weight_by_weight else None


def function_of(registered: Any) -> Any:
    """Return the function of a registered operator: without decorators, and that inside of an `elementwise` one."""
    return inspect.unwrap(operator_of(operated_by(registered) or registered))


def check_suits_matrices(alias: str, registered: Any, stacklevel: int = 2) -> None:
    """Raise ValueError if an operator of DEAP's moves matrices to other places, and warn if it computes with them.

    Parameters
    ----------
    alias : str
        The name that it is registered with.
    registered : callable or None
        What is registered.
    stacklevel : int
        For the warning: 1 is the caller of this function.
    """
    function = None if operated_by(registered) else function_of(registered)
    name = getattr(function, "__name__", "")
    if function in MOVING:
        raise ValueError(f"{alias}: {name} moves matrices to other places, and a network needs each in its own")
    if function in OF_NUMBERS:
        warnings.warn(
            f"{alias}: {name} takes each matrix for one number, so that all its weights change alike: "
            f"elementwise({name}, ...) changes each weight",
            stacklevel=stacklevel + 1,
        )
