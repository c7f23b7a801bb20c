"""Selections that update adaptations."""

import warnings
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

from deap_nn.core.seeding import seeded
from deap_nn.operators.adaptation.feedback import SelfAdaptive
from deap_nn.operators.adaptation.protocol import Adaptation, hold
from deap_nn.operators.adaptation.schedules import Constant

_updated: ContextVar[tuple[int, frozenset[int]] | None] = ContextVar("updated", default=None)
"""In a selection that updates adaptations: the generation that begins, and the identities of those updated already."""


class Count:
    """What counts the generations of a toolbox: its clock, or a selection that updates adaptations without one."""

    generation = 0


class Adapting(Count):
    """A selection that first updates adaptations, which is what `adapting` returns.

    Parameters
    ----------
    operator : callable
        Selects, in DEAP's form.
    *adaptations : Adaptation
        Updated with the individuals of each call. Nested in another such selection, as a decorated one is, those that
        the outer one has updated are left alone.
    """

    def __init__(self, operator: Callable[..., list[Any]], *adaptations: Any) -> None:
        self.operator = operator
        self.adaptations = adaptations
        for adaptation in adaptations:
            hold(adaptation)

    def __call__(self, individuals: Sequence[Any], *arguments: Any, **keywords: Any) -> list[Any]:
        """Update the adaptations, and select of the evaluated `individuals` as `operator` does."""
        outer = _updated.get()
        count = next((found for found in self.adaptations if isinstance(found, Count)), self)
        generation, done = outer or (count.generation + 1, frozenset())
        each = {id(adaptation): adaptation for adaptation in self.adaptations}
        fresh = [adaptation for key, adaptation in each.items() if key not in done]
        token = _updated.set((generation, done | set(map(id, fresh))))
        try:
            for adaptation in fresh:
                adaptation.update(individuals, generation)
            if outer is None and count is self:  # a clock counts by itself, and not every selection
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
    """What `adapting` updates: an `Adaptation`, or anything else that is to see each population."""

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Take note of the evaluated `individuals` that become the parents of `generation`."""


def adapting(select: Callable[..., list[Any]], *adaptations: Updated) -> Adapting:
    """Return a selection that updates adaptations with each population that it selects from.

    DEAP's loops call ``select`` once a generation, so that is where an adaptation sees the evaluated population;
    `make_toolbox` registers its selections so. The returned selection takes what `select` takes; an ``rng`` also seeds
    one of DEAP's own, which take none.

    Parameters
    ----------
    select : callable
        A selection in DEAP's form, such as `selRankBoosted` or ``deap.tools.selTournament``.
    *adaptations : Adaptation
        Such as the ``sigma`` that ``mutate`` is registered with: objects with a method ``update(individuals,
        generation)``.

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
    """Tell the selection that is under way, if there is one, which generation begins and that an adaptation is done."""
    under_way = _updated.get()
    if under_way is not None:
        _updated.set((generation, under_way[1] | {id(adaptation)}))


def adaptations_of(select: Any) -> list[Any]:
    """Return all that a registered selection updates, and those that it calls, in their order."""
    found: list[Any] = []
    while select is not None:
        found += getattr(select, "adaptations", ()) if isinstance(select, Adapting) else ()
        select = getattr(select, "func", None) or getattr(select, "operator", None)
    return found


def warn_if_never_updated(adaptation: Adaptation, individual: Any) -> None:
    """Warn once if an adaptation reaches a second generation of mutations and nothing has updated it.

    Once the individual that it mutated last has been scored, a mutation belongs to a later generation. The fitness
    object of that individual is kept to see this, and not the individual, which may have died.

    Parameters
    ----------
    adaptation : Adaptation
        What gives the sigma. One without a changing state, and `SelfAdaptive`, need no update.
    individual : Any
        The individual that is to be mutated.
    """
    known = getattr(adaptation, "__dict__", None)
    fitness = getattr(individual, "fitness", None)
    if known is None or fitness is None or known.get("_held") or isinstance(adaptation, Constant | SelfAdaptive):
        return
    scored, values, state = known.get("_mutated") or (None, None, dict(adaptation.state()))
    if not state:
        return
    known["_mutated"] = fitness, fitness.values if fitness.valid else None, state
    if scored is None or not scored.valid or scored.values == values:
        return
    del known["_mutated"]
    known["_held"] = True  # it warns once, and not if somebody updates it by hand
    if adaptation.state() == state:
        warnings.warn(
            f"sigma stays at {adaptation.sigma:g}: nothing updates {adaptation!r}. Register the selection as "
            "adapting(select, sigma), or call toolbox.next_generation(population) in a loop that never selects",
            stacklevel=3,
        )
