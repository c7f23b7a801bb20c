"""Children of weights, the plain way, and in which order parents are given to an operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from deap import base

from deap_nn.breeding.breeder import happens, mutation_of
from deap_nn.core.seeding import Purpose, seeded, stream
from deap_nn.operators.adaptation.feedback import SelfAdaptive
from deap_nn.operators.by_name import checked_children, mates_of
from deap_nn.operators.ranking import weigh_of


def strength_of(mutate: Callable[..., Any]) -> SelfAdaptive | None:
    """Return what a registered mutation takes each member's own strength from, if it does."""
    sigma = getattr(mutate, "keywords", {}).get("sigma")
    return sigma if isinstance(sigma, SelfAdaptive) else None


def in_order(chosen: Sequence[Any], mate: Callable[..., Any]) -> list[Any]:
    """Return the chosen parents in the order that a registered crossover wants: some want the fitter of a pair first.

    They are told by an attribute ``fitter_first`` of the function.
    """
    if not getattr(getattr(mate, "func", mate), "fitter_first", False):
        return list(chosen)
    pairs = [sorted(chosen[i : i + 2], key=attrgetter("fitness"), reverse=True) for i in range(0, len(chosen), 2)]
    return [parent for pair in pairs for parent in pair]


def vary(
    chosen: Sequence[Any], toolbox: base.Toolbox, *, seed: int, generation: int, cxpb: float = 1.0, mutpb: float = 1.0
) -> list[Any]:
    """Clone, mate and mutate the chosen parents, each group and child with random streams of its own.

    Parameters
    ----------
    chosen : sequence
        Parents; places 2i and 2i+1 are mated, or as many side by side as the toolbox' ``mates`` says if its ``mate``
        takes ``*individuals``, without their fitness: a ``mate`` with an attribute ``fitter_first`` is given the fitter
        of two first. They stay as they are. Under a toolbox with a ``step`` they are only mutated, and without
        ``weigh`` two side by side in opposite directions.
    toolbox : deap.base.Toolbox
        With ``clone``, ``mate`` and ``mutate``.
    seed, generation : int
        The key of the streams.
    cxpb, mutpb : float
        The probabilities that a group is mated and that a child is mutated.

    Returns
    -------
    list
        As many children, without a valid fitness.
    """
    around_centre = getattr(toolbox, "step", None) is not None
    chosen = list(chosen) if around_centre else in_order(chosen, toolbox.mate)
    children = unscored(toolbox.clone(parent) for parent in chosen)
    mates = 2 if around_centre else mates_of(toolbox)
    paired = around_centre and weigh_of(toolbox) is None
    strength, amounts = strength_of(toolbox.mutate), list[float]()
    if strength is not None:
        amounts = strength.inherited([strength.of(parent) for parent in chosen], seed, generation)
    for group, start in enumerate(range(0, len(children) - 1, mates)):
        if not around_centre and happens(cxpb, seed, generation, 2 * group):
            mate = seeded(toolbox.mate, stream(seed, Purpose.MATE, generation, group))
            made = children[start : start + mates]
            children[start : start + mates] = checked_children(mate(*made), len(made), toolbox.mate)
    for place, child in enumerate(children):
        if happens(mutpb, seed, generation, 2 * place + 1):
            mutate = toolbox.mutate if strength is None else partial(toolbox.mutate, sigma=amounts[place])
            (children[place],) = mutation_of(mutate, seed, generation, place, paired=paired)(child)
    if strength is not None:
        for child, amount in zip(children, amounts, strict=True):
            child.strategy = amount
    return unscored(children)


def unscored(members: Iterable[Any]) -> list[Any]:
    """Return members without a fitness and a recipe, which are taken from them."""
    made = list(members)
    for member in made:
        del member.fitness.values
        vars(member).pop("recipe", None)
    return made
