"""Selections that update adaptations."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

from deap_nn.core.seeding import seeded

_updated: ContextVar[tuple[int, frozenset[int]] | None] = ContextVar("updated", default=None)
"""During a selection that updates adaptations: the new generation, and the ids of the adaptations updated already."""


class Count:
    """A counter of generations: the clock of a toolbox, or a selection that updates adaptations without a clock."""

    generation = 0


class Adapting(Count):
    """A selection that first updates adaptations, as `adapting` returns it.

    Parameters
    ----------
    operator : callable
        A selection in DEAP's form.
    *adaptations : Adaptation
        Updated with the individuals of each call. A selection nested in another one, as in a decorated one, does not
        update the adaptations that the outer selection has updated.
    """

    def __init__(self, operator: Callable[..., list[Any]], *adaptations: Any) -> None:
        self.operator = operator
        self.adaptations = adaptations

    def __call__(self, individuals: Sequence[Any], *arguments: Any, **keywords: Any) -> list[Any]:
        """Update the adaptations, then select from the evaluated `individuals` with `operator`."""
        outer = _updated.get()
        count = next((found for found in self.adaptations if isinstance(found, Count)), self)
        generation, done = outer or (count.generation + 1, frozenset())
        each = {id(adaptation): adaptation for adaptation in self.adaptations}
        fresh = [adaptation for key, adaptation in each.items() if key not in done]
        token = _updated.set((generation, done | set(map(id, fresh))))
        try:
            for adaptation in fresh:
                adaptation.update(individuals, generation)
            if outer is None and count is self:  # a clock counts by itself, and may begin no generation
                self.generation = generation
            rng = keywords.pop("rng", None)
            select = partial(self.operator, **keywords)
            chosen: list[Any] | None = (select if rng is None else seeded(select, rng))(individuals, *arguments)
            if chosen is None:
                name = getattr(self.operator, "__name__", "select")
                raise TypeError(f"select must return a list of individuals, not None: end {name} with a return")
            return chosen
        finally:
            _updated.reset(token)


class Updated(Protocol):
    """An object that `adapting` updates: an `Adaptation`, or any other that needs each population."""

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Adapt to the evaluated `individuals`, which become the parents of `generation`."""


def adapting(select: Callable[..., list[Any]], *adaptations: Updated) -> Adapting:
    """Return a selection that updates adaptations with each population that it selects from.

    DEAP's loops call ``select`` once a generation, with the evaluated population; `make_toolbox` registers its
    selections in this form. The returned selection takes the arguments of `select`. An argument ``rng`` also seeds
    DEAP's own selections, which do not take it.

    Parameters
    ----------
    select : callable
        A selection in DEAP's form, such as `selRankBoosted` or ``deap.tools.selTournament``.
    *adaptations : Adaptation
        Objects with a method ``update(individuals, generation)``, such as the ``sigma`` that ``mutate`` is registered
        with. An object that has no other method of an `Adaptation` is neither reset nor kept in a checkpoint.

    Raises
    ------
    TypeError
        If `select` is not callable, or an adaptation has no ``update``.

    Examples
    --------
    >>> import numpy as np
    >>> from deap import base
    >>> from deap_nn import ErrorScaled, mutGaussianAdaptive, selRankBoosted
    >>> sigma, rng = ErrorScaled(0.1), np.random.default_rng(1)
    >>> toolbox = base.Toolbox()
    >>> toolbox.register("mutate", mutGaussianAdaptive, sigma=sigma, rng=rng)
    >>> toolbox.register("select", adapting(selRankBoosted, sigma), parents=20, rng=rng)
    """
    if not callable(select):
        raise TypeError(f"select must be a function in DEAP's form, got {select!r}")
    for adaptation in adaptations:
        if isinstance(adaptation, type) or not callable(getattr(adaptation, "update", None)):
            raise TypeError(f"adaptations must be objects with a method update, got {adaptation!r}")
    return Adapting(select, *adaptations)


def note_update(adaptation: Any, generation: int) -> None:
    """Record in the current selection, if there is one, the new generation and that an adaptation is updated."""
    under_way = _updated.get()
    if under_way is not None:
        _updated.set((generation, under_way[1] | {id(adaptation)}))


def adaptations_of(select: Any) -> list[Any]:
    """Return the adaptations that a registered selection and the selections in it update, in their order."""
    found: list[Any] = []
    while select is not None:
        found += getattr(select, "adaptations", ()) if isinstance(select, Adapting) else ()
        select = getattr(select, "func", None) or getattr(select, "operator", None)
    return found
