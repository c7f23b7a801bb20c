"""The present generation of a toolbox."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Real
from operator import mul
from types import MappingProxyType
from typing import Any, cast

from deap import base

from deap_nn.core.registered import Registered, with_generation, words_of
from deap_nn.operators.adaptation import Adaptation, Annealed, Count, adaptations_of, is_adaptation, note_update


class Clock(Count):
    """The present generation of a toolbox. It sets the mini-batch and updates the adaptation with the population.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        A change of the generation is set on the functions that are then registered as ``evaluate`` and ``mutate``. It
        is also set on the first registered ``evaluate``, which a later one may call.

    Attributes
    ----------
    generation : int
        The present generation.
    generations : int or None
        The number of generations of the run; None if it is not known.
    runs : int
        The number of resets.
    in_run : bool
        Whether `evolve` is running, which raises an error for a function that returns nothing.
    """

    generations: int | None = None
    runs = 0
    in_run = False
    _in_evolve = False
    _selected: Mapping[int, tuple[Any, tuple[float, ...]]] = MappingProxyType({})

    def __init__(self, toolbox: base.Toolbox) -> None:
        self.toolbox = toolbox
        self._first = Registered.read(toolbox).evaluate

    @property
    def _registered_sigma(self) -> Any:
        return words_of(getattr(self.toolbox, "mutate", None)).get("sigma")

    @property
    def adaptation(self) -> Adaptation | None:
        """The adaptation that gives the registered mutation its sigma; None if the sigma is a number."""
        sigma = self._registered_sigma
        if not is_adaptation(sigma):
            return None
        if isinstance(sigma, Annealed) and self.generations is not None:
            sigma.run_of(self.generations)
        return cast(Adaptation, sigma)

    @property
    def sigma(self) -> float | None:
        """The mutation step size at present, or None if the registered mutation has no ``sigma``."""
        adaptation = self.adaptation
        if adaptation is not None:
            return float(adaptation.sigma)
        sigma = self._registered_sigma
        return float(sigma) if isinstance(sigma, Real) else sigma

    def _others(self) -> list[Adaptation]:
        """Return the adaptations that the registered selection updates, without the mutation's."""
        own, found = self.adaptation, adaptations_of(Registered.read(self.toolbox).select)
        return [other for other in found if is_adaptation(other) and other is not own and not isinstance(other, Clock)]

    def watch(self, evaluate: Callable[..., Any]) -> None:
        """Keep the first registered evaluation: it gets each new generation, as a later one may call it."""
        if self._first is None:
            self._first = evaluate

    def _set(self, generation: int) -> None:
        self.generation = generation
        for evaluate in (self._first, self.toolbox.evaluate):
            for function in with_generation(evaluate):
                function.generation = generation

    def reset(self, generations: int | None = None) -> None:
        """Return to generation 0 and the first sigma; `generations` is the number of generations of the new run."""
        self.generations = self.generations if generations is None else generations
        self.runs += 1
        self._set(0)
        for adaptation in (self.adaptation, *self._others()):
            if adaptation is not None:
                adaptation.reset()

    def state(self) -> dict[str, Any]:
        """Return the states of the adaptations, for `restore`."""
        state: dict[str, Any] = dict(self.adaptation.state()) if self.adaptation is not None else {}
        others = [dict(other.state()) for other in self._others()]
        return state | ({"others": others} if any(others) else {})

    def restore(self, generation: int, adaptation: Mapping[str, Any]) -> None:
        """Set a generation, and restore the states that the adaptations had in it."""
        self._set(generation)
        state = dict(adaptation)
        for other, kept in zip(self._others(), state.pop("others", ()), strict=False):
            other.restore(kept)
        if "generations" in state:  # a resumed run may have more, but its schedule keeps its first length
            self.generations = int(state["generations"])
        if self.adaptation is not None:
            self.adaptation.restore(state)

    def advance(self, individuals: Sequence[Any]) -> None:
        """Begin the next generation; the evaluated `individuals` include its parents."""
        self._set(self.generation + 1)
        adaptation = self.adaptation
        if adaptation is not None:
            adaptation.update(individuals, self.generation)
        note_update(adaptation, self.generation)

    def update(self, individuals: Sequence[Any], generation: int) -> None:
        """Advance, unless all `individuals` were scored in earlier generations; `adapting` calls this."""
        if self._in_evolve:
            self.advance(individuals)
            return
        if not individuals or not all(map(self._is_of_before, individuals)):
            self.advance(individuals)
            self._selected = {
                id(individual): (weakref.ref(individual), individual.fitness.wvalues) for individual in individuals
            }
            return
        for adaptation in (self.adaptation, *self._others()):
            note_update(adaptation, self.generation)

    @contextlib.contextmanager
    def in_evolve(self) -> Iterator[None]:
        """Let a selection in the body begin a generation in any case: `evolve` selects once in each."""
        self._in_evolve = True
        try:
            yield
        finally:
            self._in_evolve = False

    def _is_of_before(self, individual: Any) -> bool:
        """Return whether an individual has the fitness that an earlier generation gave it.

        That is the one that ``evaluate`` returned for it, or for its original, or with which it was in the last
        selection that began a generation: a script may have changed it before, by a penalty for example.
        """
        generation, values = (getattr(individual, "scored_in", None) or (-1, ()))[:2]
        if generation >= self.generation:
            return False
        seen = self._selected.get(id(individual))
        if seen is not None and seen[0]() is individual:
            return bool(individual.fitness.wvalues == seen[1])
        return bool(values and individual.fitness.wvalues == tuple(map(mul, values, individual.fitness.weights)))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_selected", "in_run")}
