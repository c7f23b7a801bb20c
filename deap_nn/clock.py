"""The generation that a toolbox is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from deap import base

from deap_nn.adaptation import Adaptation
from deap_nn.seeding import seeded


class Clock:
    """The generation that a toolbox is in: it moves the mini-batch on and shows the population to the adaptation.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        Whatever is registered as its ``evaluate`` and ``mutate`` when the generation changes is told.
    """

    def __init__(self, toolbox: base.Toolbox) -> None:
        self.toolbox = toolbox
        self.generation = 0

    @property
    def adaptation(self) -> Adaptation | None:
        """What the registered mutation takes its sigma from, if that is an adaptation."""
        sigma = getattr(self.toolbox.mutate, "keywords", {}).get("sigma")
        return sigma if isinstance(sigma, Adaptation) else None

    @property
    def sigma(self) -> float | None:
        """The strength of mutation at present, or None where the registered mutation has no ``sigma``."""
        sigma = getattr(self.toolbox.mutate, "keywords", {}).get("sigma")
        amount = sigma.sigma if isinstance(sigma, Adaptation) else sigma
        return float(amount) if isinstance(amount, Real) else amount

    def _set(self, generation: int) -> None:
        self.generation = generation
        evaluate = getattr(self.toolbox.evaluate, "func", self.toolbox.evaluate)
        if hasattr(evaluate, "generation"):
            evaluate.generation = generation

    def reset(self) -> None:
        """Go back to generation 0 and the first strength of mutation."""
        self._set(0)
        if self.adaptation is not None:
            self.adaptation.reset()

    def restore(self, generation: int, adaptation: Mapping[str, Any]) -> None:
        """Go to a generation, and put the adaptation into the state that it had then."""
        self._set(generation)
        if self.adaptation is not None:
            self.adaptation.restore(dict(adaptation))

    def advance(self, individuals: Sequence[Any]) -> None:
        """Begin the next generation, whose parents come from the evaluated `individuals`."""
        self._set(self.generation + 1)
        if self.adaptation is not None:
            self.adaptation.update(individuals, self.generation)


class GenerationalSelect:
    """A toolbox's ``select``: it begins the next generation and then selects.

    Parameters
    ----------
    clock : Clock
        What moves on.
    operator : callable
        Selects, in DEAP's form.
    """

    def __init__(self, clock: Clock, operator: Callable[..., list[Any]]) -> None:
        self.clock = clock
        self.operator = operator

    def __call__(self, individuals: Sequence[Any], k: int, *, rng: np.random.Generator, **keywords: Any) -> list[Any]:
        """Select `k` of the evaluated `individuals` as `operator` does."""
        self.clock.advance(individuals)
        chosen: list[Any] = seeded(partial(self.operator, **keywords), rng)(individuals, k)
        return chosen
