"""The crossovers that a toolbox knows by name, and which of their arguments go together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from deap_nn.core.arguments import check_count, check_probability
from deap_nn.core.registered import Registered
from deap_nn.operators.crossover import cxBiased, cxMask, cxMatrices, cxSplit, cxUnits
from deap_nn.operators.recombination import MOST_MATES, cxMean, cxScanning

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
