"""The crossovers that a toolbox offers by name, and DEAP's operators that do not suit matrices."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from deap import tools

from deap_nn.core.arguments import check_count
from deap_nn.core.registered import Registered
from deap_nn.genome.elementwise import weight_by_weight
from deap_nn.operators.crossover import cxBiased, cxMask, cxMatrices, cxSplit, cxUnits
from deap_nn.operators.recombination import MOST_MATES, cxMean, cxScanning
from deap_nn.operators.selection import operator_of

CrossoverName = Literal["mask", "biased", "split", "matrices", "units", "average", "none"]


class Crossover(NamedTuple):
    """A crossover of two parents, its default probability, and the crossover used for more than two parents."""

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
}
"""The crossovers by the names that `make_toolbox` takes; "none" is a mask that exchanges nothing."""


def takes_many(mate: Callable[..., Any]) -> bool:
    """Return whether a registered crossover takes any number of individuals: its signature has ``*individuals``.

    Any other crossover takes two, as in every loop of DEAP.
    """
    if getattr(mate, "takes_many", False):
        return True
    try:
        parameters = inspect.signature(mate).parameters
    except (TypeError, ValueError):  # a function of C without a signature
        return False
    many = parameters.get("individuals")
    return many is not None and many.kind is inspect.Parameter.VAR_POSITIONAL


def fitter_first(mate: Callable[..., Any]) -> bool:
    """Return whether a registered crossover of two takes the fitter one first."""
    return any(getattr(one, "fitter_first", False) for one in (mate, getattr(mate, "func", None)))


def checked_children(children: Any, count: int, mate: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the children from a crossover, or raise ValueError if they are not as many individuals as its parents."""
    name = getattr(getattr(mate, "func", mate), "__name__", "mate")
    if not isinstance(children, tuple | list) or len(children) != count:
        got = f"{len(children)}" if isinstance(children, tuple | list) else type(children).__name__
        raise ValueError(
            f"mate must return its {count} individuals, got {got} from {name}"
            + ": end it with a return" * (children is None)
        )
    if len(set(map(id, children))) < count:
        raise ValueError(f"mate must return {count} different individuals, got the same one twice from {name}")
    return tuple(children)


def mates_of(toolbox: Any) -> int:
    """Return the number of parents in a crossover of `evolve`: ``toolbox.mates``, or 2 if ``mate`` takes only two."""
    mates = check_count(Registered.read(toolbox).mates, "toolbox.mates", 2)
    if mates > MOST_MATES:
        raise ValueError(f"toolbox.mates must be at most {MOST_MATES}, got {mates}")
    return mates if mates == 2 or takes_many(toolbox.mate) else 2


OF_NUMBERS = (
    *(tools.mutGaussian, tools.mutESLogNormal, tools.mutPolynomialBounded, tools.mutFlipBit, tools.mutUniformInt),
    *(tools.cxBlend, tools.cxESBlend, tools.cxSimulatedBinary, tools.cxSimulatedBinaryBounded),
)
"""DEAP's operators that treat each element as one number: all weights of a matrix would change in the same way."""

MOVING = (
    *(tools.cxMessyOnePoint, tools.cxOrdered, tools.cxPartialyMatched, tools.cxUniformPartialyMatched),
    *(tools.mutInversion, tools.mutShuffleIndexes),
)
"""DEAP's operators that move elements to other places, or change their number."""

WITH_STRATEGY = (tools.mutESLogNormal, tools.cxESBlend, tools.cxESTwoPoint, tools.cxESTwoPoints)
"""DEAP's operators of evolution strategies, which change the attribute ``strategy`` of an individual."""


def operated_by(registered: Any) -> Any:
    """Return the operator that a registered `elementwise` wraps, or None for any other operator."""
    while isinstance(registered, partial) and isinstance(registered.func, partial):
        registered = registered.func
    return registered.args[0] if isinstance(registered, partial) and registered.func is weight_by_weight else None


def function_of(registered: Any) -> Any:
    """Return the function of a registered operator, without its decorators and `elementwise`."""
    return inspect.unwrap(operator_of(operated_by(registered) or registered))


def check_suits_matrices(alias: str, registered: Any, checked: Sequence[Any] = ()) -> None:
    """Raise ValueError if an operator of DEAP moves matrices to other places; warn if it treats them as numbers.

    Parameters
    ----------
    alias : str
        The name in the toolbox, such as "mate".
    registered : callable or None
        The registered operator.
    checked : sequence
        Operators of which a warning was given before.
    """
    function = None if operated_by(registered) else function_of(registered)
    name = getattr(function, "__name__", "")
    if function in MOVING:
        raise ValueError(
            f"{alias}: {name} moves matrices to other places, but a network needs each at its own: use another operator"
        )
    if function in OF_NUMBERS and function not in checked:
        warnings.warn(
            f"{alias}: {name} treats each matrix as one number, so all its weights change in the same way: "
            f"use elementwise({name}, ...) to change each weight",
            stacklevel=3,
        )
