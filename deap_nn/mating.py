"""The crossovers that a toolbox knows by name, and which of their arguments go together."""

from __future__ import annotations

from deap_nn.crossover import MOST_MATES, cxBiased, cxMask, cxMatrices, cxMean, cxSplit, cxUnits
from deap_nn.weights import check_count, check_probability

CROSSOVERS = {
    "mask": cxMask,
    "biased": cxBiased,
    "split": cxSplit,
    "matrices": cxMatrices,
    "units": cxUnits,
    "average": cxMean,
    "none": cxMask,
    "mean": cxMean,
}
"""What `make_toolbox` calls them; "none" is a mask that exchanges nothing."""

USUAL_INDPB = {"mask": 0.5, "biased": 0.25, "matrices": 0.5, "units": 0.5, "none": 0.0}
"""The crossovers that have a probability, and what it is unless it is given."""

OF_MANY = ("mask", "average", "mean")
"""The crossovers of more than two mates."""


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


def checked_indpb(crossover: str, mates: int, indpb: float | None) -> float | None:
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
    if mates > 2 and crossover not in OF_MANY:
        raise ArgumentError("mates", f"must be 2 where crossover is {crossover!r}, got {mates!r}")
    has_one = crossover in USUAL_INDPB and mates == 2
    if indpb is None:
        return USUAL_INDPB[crossover] if has_one else None
    if not has_one:
        allowed = " or ".join(USUAL_INDPB)
        raise ArgumentError("indpb", f"is for two mates and a crossover of {allowed}, got {indpb!r}")
    check_probability(indpb, "indpb")
    if crossover == "none" and indpb:
        raise ArgumentError("indpb", f"must be 0 where crossover is 'none', got {indpb!r}")
    return float(indpb)
