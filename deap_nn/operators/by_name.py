"""The crossovers that a toolbox offers by name, and what a registered operator takes and returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from deap import tools

from deap_nn.core.arguments import check_count
from deap_nn.core.registered import Registered, words_of
from deap_nn.operators.crossover import MOST_MATES, cxBiased, cxMask, cxMatrices, cxMean, cxScanning, cxSplit, cxUnits
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


WITH_STRATEGY = (tools.mutESLogNormal, tools.cxESBlend, tools.cxESTwoPoint, tools.cxESTwoPoints)
"""DEAP's operators of evolution strategies, which change the attribute ``strategy`` of an individual."""


def operated_by(registered: Any) -> Any:
    """Return the operator that a registered `elementwise` wraps, or None for any other operator."""
    return words_of(registered).get("of_numbers")


def function_of(registered: Any) -> Any:
    """Return the function of a registered operator, without its decorators and `elementwise`."""
    return inspect.unwrap(operator_of(operated_by(registered) or registered))
