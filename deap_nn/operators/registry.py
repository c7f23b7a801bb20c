"""The registry of operators: what is listed here is documented, and tested by one battery of contract tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

Kind = Literal["init", "cx", "mut", "sel"]
Function = TypeVar("Function", bound=Callable[..., Any])


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


OPERATORS: list[Operator] = []
"""All that are listed, which those of this package are once its public names have been imported."""


def operator(reference: str) -> Callable[[Function], Function]:
    """List the function that this decorates as an operator, and where it comes from.

    Raises
    ------
    ValueError
        If its name does not begin with what the kind of operator is called in DEAP.
    """

    def listed(function: Function) -> Function:
        for kind in get_args(Kind):
            if function.__name__.startswith(kind):
                OPERATORS.append(Operator(function, kind, reference))
                return function
        prefixes = " or ".join(get_args(Kind))
        raise ValueError(f"the name of an operator must begin with {prefixes}, got {function.__name__}")

    return listed
