"""The plain way of breeding: the main process varies individuals and sends their weights through the map."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from deap import base

from deap_nn.breeding.breeder import project_centroid, project_step
from deap_nn.breeding.recipe import OPPOSITE
from deap_nn.breeding.reproduction import Reproduction, reproduction_of
from deap_nn.core.errors import EvaluationError, MapError
from deap_nn.core.registered import InGeneration, Registered
from deap_nn.genome.layer_inputs import inputs_of_centre
from deap_nn.genome.population import opposite_of
from deap_nn.genome.vectors import Shape, Vector, copied_vector, empty_vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.process.workers import out_of_memory, worker_count


def _find_places(individuals: Iterable[Any], members: Sequence[Any], places: dict[int, int]) -> None:
    """Add the places of individuals by their `id`: that of the member with the same weights, or a new one."""
    copies = [individual for individual in individuals if id(individual) not in places]
    alike = defaultdict[bytes, list[Any]](list)
    for member in members if copies else ():
        alike[member.flat[:64].tobytes()].append(member)
    for made in copies:
        bits = made.flat.view(np.uint32)
        equal = (m for m in alike[made.flat[:64].tobytes()] if np.array_equal(m.flat.view(np.uint32), bits))
        places.setdefault(id(made), places[id(found)] if (found := next(equal, None)) is not None else len(places))


class Breeding(Protocol):
    """How a run makes and scores its members: by recipes (`Lineage`), or in the plain way (`Plain`).

    Both give the same members and the same fitness.
    """

    @property
    def fixed(self) -> tuple[str, ...]:
        """The names of the toolbox's functions that must not be registered again during a run."""

    @property
    def reproduction(self) -> Reproduction:
        """How children come from their parents."""

    def replace(self, population: list[Any], chosen: Sequence[Any], generation: int, sigma: float | None) -> None:
        """Replace a population by the children of the chosen parents."""

    def score(self, evaluate: Callable[[Any], Any], population: Sequence[Any], generation: int) -> Iterator[Any]:
        """Map the evaluation over a generation; an error names the generation, and the child if it is known."""

    def take_inputs(self, layer_inputs: Callable[..., bytes], generation: int) -> None:
        """Compute the layer inputs of the present generation's centre, onto which the next step is projected."""

    def opposites(self, members: Sequence[Any]) -> list[Any] | None:
        """Return new individuals: members of the present generation, mirrored at its centroid; None in generation 0."""

    def mean(self, members: Iterable[Any]) -> Any:
        """Return the mean of some members of the present generation; read its weights before the next generation."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any], /) -> Iterable[Any]:
        """Map a function over members, with the results in order."""

    def look(self, member: Any) -> Vector:
        """Return the weights of a member, valid until the next look or task."""

    def close(self) -> object:
        """Remove the run's cache on this host."""


class Plain:
    """Breeding in the plain way.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        With ``clone``, ``mate`` and ``mutate``.
    map : callable
        The toolbox's map, with the results in order.
    seed : int
        The run's seed.
    cxpb, mutpb : float
        The probabilities that a group is mated and that a child is mutated.
    """

    fixed: tuple[str, ...] = ()

    def __init__(
        self, toolbox: base.Toolbox, map: Callable[..., Iterable[Any]], *, seed: int, cxpb: float, mutpb: float
    ) -> None:
        self._toolbox, self.map = toolbox, map
        self._keys: dict[str, Any] = {"seed": seed, "cxpb": cxpb, "mutpb": mutpb}
        self._size = 0
        self._sources: list[Any] = []
        self._mirrors = False
        self._opposites: list[tuple[Any, Any]] = []
        self._centroid, self._shapes = empty_vector(0), tuple[Shape, ...]()
        self._inputs = b""

    @property
    def reproduction(self) -> Reproduction:
        """How children come from their parents, by the functions that are registered now."""
        return reproduction_of(self._toolbox)

    def replace(self, population: list[Any], chosen: Sequence[Any], generation: int, sigma: float | None) -> None:
        """Replace a population by the children of the chosen parents."""
        reproduction = self.reproduction
        moves_along = not reproduction.shares_parents and Registered.read(self._toolbox).layer_inputs is not None
        centroid = self._centroid
        if self._mirrors or moves_along:
            self._centroid = self._centroid_of(population, chosen)
        population[:] = chosen  # releases the other members before the children take memory
        if moves_along and self._inputs:
            chosen = self._carried(chosen, centroid)
        before, self._sources = self._sources, reproduction.sources(chosen, self._sources)
        if self._inputs and not moves_along:
            self._project(self._sources[0], before[0])
        children = reproduction.vary(self._sources, self._toolbox, generation=generation, **self._keys)
        population[:] = children
        self._shapes = population[0].shapes
        self._size = len(population)
        self._sources = self._sources[:1] if reproduction.shares_parents else []

    def take_inputs(self, layer_inputs: Callable[..., bytes], generation: int) -> None:
        """Compute the layer inputs of the present generation's centre."""
        centre = self._sources[0] if self._sources else WeightList.from_flat(self._centroid, self._shapes)
        self._inputs = inputs_of_centre(layer_inputs, centre, generation, self.map)

    def _carried(self, chosen: Sequence[Any], before: Vector) -> list[Any]:
        """Project the centroid, and return copies of parents, moved by the step from their mean to it."""
        mean, copies = copied_vector(self._centroid), dict[int, Any]()
        project_centroid(self._centroid, before, chosen[0].shapes, self._inputs)
        step = np.subtract(self._centroid, mean, out=mean)
        for parent in chosen:
            if id(parent) not in copies:
                copies[id(parent)] = made = copy.deepcopy(parent)
                np.add(parent.flat, step, out=made.flat)
        return [copies[id(parent)] for parent in chosen]

    def _project(self, moved: Any, centre: Any) -> None:
        project_step(moved.flat, centre.flat, centre.shapes, self._inputs)

    def opposites(self, members: Sequence[Any]) -> list[Any] | None:
        """Return copies of members, mirrored at the centroid, which is computed from the first call on.

        Raises
        ------
        ValueError
            If the first call is after generation 0.
        """
        self._mirrors |= not self._size
        if not self._size:
            return None
        if not self._mirrors:
            raise ValueError("select: opposites begin with the run in plain breeding: register it before evolve")
        self._opposites = [(opposite_of(member, self._centroid), member) for member in members]
        return [opposite for opposite, _ in self._opposites]

    def _centroid_of(self, population: Sequence[Any], sources: Sequence[Any]) -> Vector:
        """Return the centroid of the next generation: the mean of its parents, in the order of their ids.

        A copy has the id of the member or the opposite whose weights it has; one that was changed comes after them.
        """
        from deap_nn.operators.compiled.averaging import average

        places = {id(member): place for place, member in enumerate(population)}
        _find_places((member for _, member in self._opposites), population, places)
        places |= {id(opposite): places[id(member)] | OPPOSITE for opposite, member in self._opposites}
        _find_places(sources, [*population, *(opposite for opposite, _ in self._opposites)], places)
        counts = Counter(places[id(source)] for source in sources)
        each = {places[id(source)]: source.flat for source in sources}
        made, ids = empty_vector(sources[0].flat.size), sorted(counts)
        average([each[key] for key in ids], [counts[key] for key in ids], made)
        self._opposites = []
        return made

    def score(self, evaluate: Callable[[Any], Any], population: Sequence[Any], generation: int) -> Iterator[Any]:
        """Map the evaluation; an error names the generation, and with one worker the child too."""
        scored = 0
        try:
            for values in self.map(InGeneration(evaluate, generation), population):
                yield values
                scored += 1
        except Exception as error:
            if isinstance(error, EvaluationError | MapError) or out_of_memory(error):
                raise
            child = f", child {scored}" if worker_count(self.map) == 1 else ""
            raise EvaluationError.of(f"generation {generation}{child}", error) from error

    def mean(self, members: Iterable[Any]) -> Any:
        """Return the mean of some members of the present generation."""
        members, reproduction = list(members), self.reproduction
        made = reproduction.plain_mean(members, self._sources, self._size)
        whole = len(set(map(id, members))) == len(members) == self._size
        if self._inputs and reproduction.weights is not None and whole:
            self._project(made, self._sources[0])  # the next centre
        return made

    def look(self, member: Any) -> Vector:
        """Return the weights of a member."""
        weights: Vector = member.flat
        return weights

    def close(self) -> None:
        """Do nothing: all is in the memory of this process."""
