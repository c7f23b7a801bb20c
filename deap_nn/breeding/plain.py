"""The plain way: individuals themselves are varied here and sent through the map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from deap import base

from deap_nn.breeding.reproduction import Reproduction, reproduction_of
from deap_nn.breeding.variation import unscored
from deap_nn.core.errors import EvaluationError, MapError
from deap_nn.core.registered import Scoring
from deap_nn.genome.vectors import Vector
from deap_nn.process.workers import out_of_memory, worker_count


class Breeding(Protocol):
    """How a run makes and scores its members: by recipes (`Lineage`), or in the plain way (`Plain`).

    Both give the same members and the same fitness.
    """

    @property
    def fixed(self) -> tuple[str, ...]:
        """The names of what must not be registered anew within a run."""

    @property
    def same_bytes(self) -> bool:
        """Whether all processes that have answered compute as the one that began the run."""

    @property
    def reproduction(self) -> Reproduction:
        """How children come from their parents."""

    def replace(
        self, population: list[Any], chosen: Sequence[Any], kept: Sequence[Any], generation: int, sigma: float | None
    ) -> None:
        """Put the children of the chosen parents, and copies of those that are kept, in the place of a population."""

    def score(self, evaluate: Callable[[Any], Any], population: Sequence[Any], generation: int) -> Iterator[Any]:
        """Map the evaluation over a generation; an error names the generation, and the child if it is known."""

    def mean(self, members: Iterable[Any]) -> Any:
        """Return the mean of some members of the present generation, which is to be read before the next one."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any], /) -> Iterable[Any]:
        """Map a function over members, with the answers in order."""

    def look(self, member: Any) -> Vector:
        """Return the weights of a member, valid until the next look or task."""

    def refer(self, evaluate: Callable[[Any], Any], first: Any, wvalues: tuple[float, ...]) -> None:
        """Hold each process that makes members against the weighted fitness of the first founder, once."""

    def close(self) -> object:
        """Remove what the run has outside the memory of this process."""


class Plain:
    """Breeding in the plain way.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        With ``clone``, ``mate`` and ``mutate``.
    map : callable
        The toolbox's map, with the answers in order.
    seed : int
        The run's seed.
    cxpb, mutpb : float
        The probabilities that a group is mated and that a child is mutated.
    """

    same_bytes = True
    fixed: tuple[str, ...] = ()

    def __init__(
        self, toolbox: base.Toolbox, map: Callable[..., Iterable[Any]], *, seed: int, cxpb: float, mutpb: float
    ) -> None:
        self._toolbox, self.map = toolbox, map
        self._keys: dict[str, Any] = {"seed": seed, "cxpb": cxpb, "mutpb": mutpb}
        self._size = 0
        self._sources: list[Any] = []

    @property
    def reproduction(self) -> Reproduction:
        """How children come from their parents, by what is registered now."""
        return reproduction_of(self._toolbox)

    def replace(
        self, population: list[Any], chosen: Sequence[Any], kept: Sequence[Any], generation: int, sigma: float | None
    ) -> None:
        """Put the children of the chosen parents, and copies of those that are kept, in the place of a population."""
        population[:] = [*chosen, *kept]  # those that were not chosen are not needed any more
        reproduction = self.reproduction
        self._sources = reproduction.sources(chosen, self._sources)
        children = reproduction.vary(self._sources, self._toolbox, generation=generation, **self._keys)
        population[:] = [*children, *unscored(map(self._toolbox.clone, kept))]
        self._size = len(population)
        self._sources = self._sources[:1] if reproduction.shares_parents else []

    def score(self, evaluate: Callable[[Any], Any], population: Sequence[Any], generation: int) -> Iterator[Any]:
        """Map the evaluation; an error names the generation, and the child where the map goes one by one."""
        scored = 0
        try:
            for values in self.map(Scoring(evaluate, generation), population):
                yield values
                scored += 1
        except Exception as error:
            if isinstance(error, EvaluationError | MapError) or out_of_memory(error):
                raise
            child = f", child {scored}" if worker_count(self.map) == 1 else ""
            raise EvaluationError.of(f"generation {generation}{child}", error) from error

    def mean(self, members: Iterable[Any]) -> Any:
        """Return the mean of some members of the present generation."""
        return self.reproduction.plain_mean(list(members), self._sources, self._size)

    def look(self, member: Any) -> Vector:
        """Return the weights of a member."""
        weights: Vector = member.flat
        return weights

    def refer(self, evaluate: Callable[[Any], Any], first: Any, wvalues: tuple[float, ...]) -> None:
        """Do nothing: the processes get weights."""

    def close(self) -> None:
        """Do nothing: all is in the memory of this process."""
