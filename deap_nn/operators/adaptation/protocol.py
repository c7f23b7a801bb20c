"""The protocol of an adaptation of sigma."""

import inspect
from collections.abc import Mapping, Sequence
from numbers import Real
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
    return not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in METHODS)


METHODS = ("update", "reset", "state", "restore")
"""The methods that an `Adaptation` must have."""


def check_whole(value: object, name: str) -> None:
    """Raise TypeError if a value has only some members of an `Adaptation`, naming the missing ones, or is a class."""
    parts = ("sigma", *METHODS)
    kind = value if isinstance(value, type) else type(value)
    lacking = [part for part in parts if inspect.getattr_static(value, part, None) is None]
    if isinstance(value, type) and not lacking:
        raise TypeError(f"{name} must be an object, got the class {kind.__name__}: write {kind.__name__}(...)")
    if 0 < len(lacking) < len(parts):
        raise TypeError(
            f"{name} must be a number or an adaptation: {kind.__name__} lacks {' and '.join(lacking)}, which "
            "deap_nn.Adaptation describes"
        )


def check_sigma(value: float, name: str) -> float:
    """Return a mutation step size, or raise ValueError if it is negative or not a finite float32."""
    if not isinstance(value, Real):
        check_whole(value, name)
    if not 0 <= check_number(value, name) <= LARGEST_WEIGHT:
        raise ValueError(f"{name} must be finite and at least 0, a float32, got {value!r}")
    return float(value)


def _check_floor(sigma: float, floor: float) -> tuple[float, float]:
    if not 0 < check_sigma(floor, "floor") <= check_sigma(sigma, "sigma"):
        raise ValueError(f"floor must be above 0 and at most sigma, got {floor!r} and {sigma!r}")
    return float(sigma), float(floor)


def hold(adaptation: Any) -> None:
    """Mark an adaptation as one that gets updates, so that `warn_if_never_updated` does not warn."""
    if isinstance(getattr(adaptation, "__dict__", None), dict):
        vars(adaptation)["_held"] = True
