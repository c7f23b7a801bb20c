"""Strategies of reproduction, one per file: how a generation's children come from the generation before."""

from __future__ import annotations

from deap import base

from deap_nn.breeding.reproduction.around_centre import AroundCentre
from deap_nn.breeding.reproduction.base import Reproduction
from deap_nn.breeding.reproduction.pairs import Pairs
from deap_nn.core.registered import Registered

__all__ = ["AroundCentre", "Pairs", "Reproduction", "reproduction_of"]


def reproduction_of(toolbox: base.Toolbox) -> Reproduction:
    """Return the strategy of a toolbox: its ``reproduction`` if it has one, else by its ``step`` or its ``mate``.

    Raises
    ------
    TypeError
        If ``toolbox.reproduction`` is no `Reproduction`.
    """
    registered = Registered.read(toolbox)
    if registered.reproduction is not None:
        if not isinstance(registered.reproduction, Reproduction):
            raise TypeError(f"toolbox.reproduction must be a Reproduction, got {registered.reproduction!r}")
        return registered.reproduction
    return Pairs.of(toolbox) if registered.step is None else AroundCentre.of(toolbox)
