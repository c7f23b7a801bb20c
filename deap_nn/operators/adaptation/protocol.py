"""The protocol of an adaptation of sigma."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeGuard, runtime_checkable

from deap_nn.core.arguments import check_number
from deap_nn.genome.vectors import LARGEST_WEIGHT

State = Mapping[str, float]


@runtime_checkable
class Adaptation(Protocol):
    """Adapts the mutation step size sigma during a run.

    ``update`` gets the population once a generation; mutation uses ``sigma`` until the next update. ``reset`` restores
    the initial state. ``state`` returns everything that changes, and ``restore`` sets it again.
    """

    @property
    def sigma(self) -> float:
        """The current standard deviation of the noise, at least 0."""

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Adapt to the evaluated `individuals`, which become the parents of `generation`."""

    def reset(self) -> None:
        """Restore the initial state, as at the beginning of a run."""

    def state(self) -> dict[str, float]:
        """Return everything that changes, as numbers by name."""

    def restore(self, state: State) -> None:
        """Set the values that ``state`` returned."""


def is_adaptation(value: object) -> TypeGuard[Adaptation]:
    """Return whether an object has the methods of an `Adaptation`; its ``sigma``, which may be unknown, is not read."""
    methods = ("update", "reset", "state", "restore")
    return not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in methods)


def check_sigma(value: float, name: str) -> float:
    """Return a mutation step size, or raise ValueError if it is negative or not a finite float32."""
    if not 0 <= check_number(value, name) <= LARGEST_WEIGHT:
        raise ValueError(f"{name} must be finite and at least 0, a float32, got {value!r}")
    return float(value)


def _check_floor(sigma: float, floor: float) -> tuple[float, float]:
    if not 0 < check_sigma(floor, "floor") <= check_sigma(sigma, "sigma"):
        raise ValueError(f"floor must be above 0 and at most sigma, got {floor!r} and {sigma!r}")
    return float(sigma), float(floor)
