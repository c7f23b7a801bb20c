"""One run: breed, score, record."""

from __future__ import annotations

import math
import reprlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from deap import tools

from deap_nn.algorithms.resuming import Kept, go_on, kept_of
from deap_nn.breeding.breeder import self_adaptive_of
from deap_nn.breeding.kinds import LOCAL
from deap_nn.breeding.lineage import Lineage
from deap_nn.callbacks.base import Callback, Evolution, tell, telling_start_and_end
from deap_nn.core.errors import WORST, EvaluationError
from deap_nn.core.logbooks import record, statistic
from deap_nn.core.registered import Registered
from deap_nn.core.seeding import Purpose, stream
from deap_nn.operators.adaptation import Clock, clock_of
from deap_nn.operators.ranking import fitness_key
from deap_nn.process.signals import heeding_signals, holding_signals

COLUMNS = ("gen", "nevals", "min", "avg", "std", "max", "train_error", "val_error", "sigma", "best_pairs")
"""The columns of a logbook. The errors need an ``assess``, and ``sigma`` a mutation with a ``sigma``. ``best_pairs`` is
the number of groups in which the best member of the previous generation is a parent; it needs groups."""

_NOTHING = object()
"""The default of ``next`` when the map has no further result: no fitness equals it."""

PROGRESS_SECONDS = 0.5
"""The least time between two calls of the callbacks' ``on_progress`` while a generation is scored, in seconds."""


def _score(evolution: Evolution, lineage: Lineage, watching: Iterable[Callback]) -> None:
    population = evolution.population
    evolution.scored, last_call = 0, time.monotonic()
    answers = iter(lineage.score(evolution.toolbox.evaluate, population, evolution.generation))
    for place, individual in enumerate(population):
        values = next(answers, _NOTHING)
        if values is _NOTHING:  # the built-in map takes a StopIteration of `evaluate` for its own end
            reason = "the map gave no answer, as it does if evaluate raises StopIteration"
            raise EvaluationError(f"generation {evolution.generation}, child {place}: {reason}")
        individual.fitness.values = _checked(values, individual.fitness.weights, evolution.generation, place)
        evolution.scored += 1
        if time.monotonic() - last_call > PROGRESS_SECONDS:
            tell(watching, "on_progress", evolution)
            last_call = time.monotonic()
    if next(answers, _NOTHING) is not _NOTHING:
        raise EvaluationError(f"generation {evolution.generation}: the map gave more answers than there are members")


def _checked(values: Any, weights: Sequence[float], generation: int, place: int) -> tuple[float, ...]:
    """Return fitness values as finite floats; NaN and infinity become the worst value, ``WORST``."""
    if type(values) is tuple and len(values) == len(weights):
        for value in values:
            if type(value) is not float or not -WORST <= value <= WORST:
                break
        else:
            return values  # nearly always; the tests of types below take longer
    if not isinstance(values, tuple | list) or len(values) != len(weights) or not all(map(_is_number, values)):
        wanted = f"evaluate must return a tuple of {len(weights)} number(s)"
        raise EvaluationError(f"generation {generation}, child {place}: {wanted}, got {reprlib.repr(values)}")
    worst = (-math.copysign(WORST, weight) for weight in weights)
    found = ((_as_float(value), bad) for value, bad in zip(values, worst, strict=True))
    return tuple(min(max(value, -WORST), WORST) if math.isfinite(value) else bad for value, bad in found)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer or a fraction may be too large for a float
        return math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, Real)


def _record(
    evolution: Evolution, clock: Clock, stats: Any, begun: float, started: float, best_pairs: int | None, *, kept: bool
) -> None:
    """Log the generation, and set the run's best member without a gap for a signal.

    `kept` is true if the run has a checkpoint.
    """
    population, assess = evolution.population, Registered.read(evolution.toolbox).assess
    best = max(population, key=fitness_key(population))
    values = np.array([individual.fitness.values[0] for individual in population])
    row: dict[str, Any] = {
        "gen": evolution.generation,
        "nevals": len(population),
        "min": float(values.min()),
        "avg": float(values.mean()),
        "std": float(values.std()),
        "max": float(values.max()),
    }
    if assess is not None:
        row.update(assess(best, evolution.generation, map=evolution.map))
    if (sigma := clock.sigma) is not None:
        row["sigma"] = sigma
    if best_pairs is not None:
        row["best_pairs"] = best_pairs
    for name, value in (stats.compile(population) if stats is not None else {}).items():
        row[name] = statistic(name, value, ours=name in COLUMNS, kept=kept)
    with holding_signals():
        evolution.best = best
        evolution.evaluations += len(population)
        now = time.perf_counter()
        evolution.seconds, evolution.elapsed = now - started, now - begun
        evolution.logbook.header = list(row)
        record(evolution.logbook, row)


def _copied(registered: Any) -> Any:
    is_partial = isinstance(registered, partial)
    return partial(registered.func, *registered.args, **registered.keywords) if is_partial else registered


def _alike(now: Any, then: Any) -> bool:
    """Return whether a registered value is unchanged; a ``sigma`` that is a number may change each generation."""
    if now is then:
        return True
    if not (isinstance(now, partial) and isinstance(then, partial)):
        return bool(now == then)
    words, former = ({k: v for k, v in one.keywords.items() if k not in ("sigma", "rng")} for one in (now, then))
    if (
        now.func is not then.func
        or words.keys() != former.keys()
        or self_adaptive_of(now) is not self_adaptive_of(then)
    ):
        return False
    pairs = [*zip(now.args, then.args, strict=False), *((word, former[name]) for name, word in words.items())]
    return len(now.args) == len(then.args) and all(one is other or np.array_equal(one, other) for one, other in pairs)


@dataclass(eq=False)
class _Run:
    """One call of `evolve`."""

    evolution: Evolution
    watching: Sequence[Callback]
    seed: int
    lineage: Lineage
    stats: tools.Statistics | tools.MultiStatistics | None
    halloffame: tools.HallOfFame | None
    kept: Kept | None
    verbose: bool

    def __post_init__(self) -> None:
        evolution, lineage = self.evolution, self.lineage
        self._best_pairs: int | None = 0 if lineage.reproduction.has_groups else None
        toolbox = evolution.toolbox
        registered = Registered.read(toolbox)
        # Copies: a callback may change the arguments of a registered function in place.
        self._registered = replace(registered, **{name: _copied(getattr(registered, name)) for name in lineage.fixed})
        self._clock: Clock = registered.clock or clock_of(registered.select) or Clock()
        self._clock.toolbox = toolbox
        self._clock.reset(evolution.generations if registered.generations is None else registered.generations)
        self._begun = self._started = time.perf_counter()

    def run(self) -> None:
        """Run to the last generation; callbacks' ``on_end`` is called after an exception too."""
        evolution = self.evolution
        try:
            with telling_start_and_end(self.watching, evolution):
                with heeding_signals():
                    first = self._go_on()
                for generation in range(first, evolution.generations + 1):
                    if evolution.stop is not None:
                        break
                    with heeding_signals():
                        self._generation(generation)
        except BaseException:
            self.lineage.close()  # after a finished run members may still be read, which breeds their weights
            raise

    def _go_on(self) -> int:
        """Restore the last generation of the checkpoint, and return the number of the next one."""
        kept = self.kept
        past = [] if kept is None else kept.checkpoint.past
        if kept is None or not past:
            return 0
        folder = kept.checkpoint.path.parent
        go_on(self.evolution, self.lineage, self._clock, past, folder, self.watching, force=kept.force)
        self._begun = self._started - self.evolution.elapsed
        # The run may have stopped before all callbacks had this generation: each must accept it twice.
        tell(self.watching, "on_generation", self.evolution)
        self._started = time.perf_counter()
        return self.evolution.generation + 1

    def _generation(self, generation: int) -> None:
        """Breed, score and log a generation, then call the callbacks."""
        evolution, kept = self.evolution, self.kept
        evolution.generation = generation
        self._check_unchanged(generation)
        places = self._breed(generation) if generation else []
        if generation and self._registered.layer_inputs is not None:
            self.lineage.take_inputs(self._registered.layer_inputs, generation)
        _score(evolution, self.lineage, self.watching)
        if self.halloffame is not None:
            self.halloffame.update(evolution.population)
        times = self._begun, self._started
        _record(evolution, self._clock, self.stats, *times, self._best_pairs, kept=kept is not None)
        if self.verbose:
            print(evolution.logbook.stream)
        self._started = self._begun + evolution.elapsed  # the callbacks' time counts for the next generation
        if kept is not None:  # before the callbacks: their files then never have a row that the checkpoint lacks
            kept.checkpoint.append(kept_of(evolution, self.lineage, self._clock, places, self.watching))
        tell(self.watching, "on_generation", evolution)
        if kept is not None:
            kept.keep_keyframe(self.watching)

    def _check_unchanged(self, generation: int) -> None:
        """Raise ValueError if a registered value that must stay has changed during the run."""
        now, fixed = Registered.read(self.evolution.toolbox), self.lineage.fixed
        for name in ("layer_inputs", *fixed):
            if not _alike(getattr(now, name), getattr(self._registered, name)):
                change = f"{name} was registered again before generation {generation}"
                raise ValueError(f"{change}: it cannot change during a run")

    def _breed(self, generation: int) -> list[int]:
        """Replace the population by its children; under a checkpoint return the kinds and places of their parents."""
        evolution, reproduction = self.evolution, self.lineage.reproduction
        toolbox, population = evolution.toolbox, evolution.population
        rng = stream(self.seed, Purpose.SELECT, generation)
        self._clock.advance(population)
        chosen = reproduction.choose(population, toolbox, rng, self.lineage.opposites)
        if self._best_pairs is not None:
            self._best_pairs = reproduction.groups_with(max(population, key=fitness_key(population)), chosen)
        evolution.parents = len({id(member) for member in chosen})
        self.lineage.replace(population, chosen, generation, self._clock.sigma)
        if self.kept is None:
            return []
        return [member.recipe.id & LOCAL for member in chosen]
