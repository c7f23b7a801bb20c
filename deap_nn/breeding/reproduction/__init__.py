"""Strategies of reproduction, one per file: how a generation's children come from the generation before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deap import base

from deap_nn.breeding.reproduction.around_centre import AroundCentre
from deap_nn.breeding.reproduction.base import Reproduction
from deap_nn.breeding.reproduction.pairs import Pairs
from deap_nn.core.registered import Registered

__all__ = ["AroundCentre", "Pairs", "Reproduction", "reproduction_of", "vary"]


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


def vary(
    chosen: Sequence[Any], toolbox: base.Toolbox, *, seed: int, generation: int, cxpb: float = 1.0, mutpb: float = 1.0
) -> list[Any]:
    """Clone, mate and mutate the chosen parents, each group and child with random streams of its own.

    Parameters
    ----------
    chosen : sequence
        The parents, which are left unchanged. Places 2i and 2i+1 are mated; a ``mate`` with ``*individuals`` gets
        groups of the toolbox's ``mates`` instead. It gets clones without a fitness; if it has an attribute
        ``fitter_first``, the fitter of two comes first. Under a toolbox with a ``step`` children are only mutated.
    toolbox : deap.base.Toolbox
        With ``clone``, ``mate`` and ``mutate``.
    seed, generation : int
        The key of the streams.
    cxpb, mutpb : float
        The probabilities that a group is mated and that a child is mutated.

    Returns
    -------
    list
        One child for each parent, without a valid fitness.
    """
    reproduction = reproduction_of(toolbox)
    sources = reproduction.in_order(chosen)
    return reproduction.vary(sources, toolbox, seed=seed, generation=generation, cxpb=cxpb, mutpb=mutpb)
