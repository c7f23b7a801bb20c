"""The registry of operators: all operators in it are documented, and tested by one set of contract tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

Kind = Literal["init", "cx", "mut", "sel"]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operator:
    """An operator, its kind (the prefix of its name) and its source in the literature."""

    function: Callable[..., Any]
    kind: Kind
    reference: str

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__


OPERATORS: list[Operator] = []
"""The registered operators. Those of this package are added when its public names are imported."""


def operator(reference: str) -> Callable[[Function], Function]:
    """Register the decorated function as an operator, with its source in the literature.

    Raises
    ------
    ValueError
        If the function's name does not begin with one of DEAP's prefixes.
    """

    def listed(function: Function) -> Function:
        for kind in get_args(Kind):
            if function.__name__.startswith(kind):
                OPERATORS.append(Operator(function, kind, reference))
                return function
        prefixes = " or ".join(get_args(Kind))
        raise ValueError(f"the name of an operator must begin with {prefixes}, got {function.__name__}")

    return listed
