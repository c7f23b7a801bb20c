"""One run: breed, score, record."""

from __future__ import annotations

import math
import reprlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from operator import attrgetter
from typing import Any

import numpy as np
from deap import base, tools

from deap_nn.algorithms.resuming import (
    Keyframes,
    go_on,
    kept_of,
    reference_of,
)
from deap_nn.algorithms.toolbox.clock import Clock
from deap_nn.breeding.founders import is_warm
from deap_nn.breeding.lineage import Lineage
from deap_nn.breeding.plain import Breeding
from deap_nn.breeding.variation import strength_of
from deap_nn.callbacks.base import Callback, Evolution, tell, telling_start_and_end
from deap_nn.core.errors import WORST, EvaluationError
from deap_nn.core.logbooks import record, statistic
from deap_nn.core.registered import Registered
from deap_nn.core.seeding import Purpose, stream
from deap_nn.operators.elitism import Elitism
from deap_nn.process.signals import heeding_signals, holding_signals
from deap_nn.process.workers import is_serial
from deap_nn.runs.checkpoint import Checkpoint

COLUMNS = ("gen", "nevals", "min", "avg", "std", "max", "train_error", "val_error", "sigma", "best_pairs")
"""The columns of a logbook. A toolbox without ``assess`` has no errors, one whose mutation has no ``sigma`` lacks that,
and ``best_pairs``, the number of groups in which the best of the generation before is a parent, needs groups."""

_NOTHING = object()
"""What is given where there is no answer."""

PROGRESS_SECONDS = 0.5
"""While a generation is scored, callbacks are told no more often."""


def _elitism(toolbox: base.Toolbox, size: int) -> Elitism:
    """Return how members of a population of some size live on."""
    registered = Registered.read(toolbox)
    elites, batches = registered.elites, registered.elite_batches
    if not 0 <= elites < size:
        raise ValueError(f"elites must be at least 0 and below the population of {size}, got {elites!r}")
    if batches < 1:
        raise ValueError(f"elite_batches must be at least 1, got {batches!r}")
    return Elitism(elites, batches)


def _score(evolution: Evolution, breeding: Breeding, elitism: Elitism, watching: Iterable[Callback]) -> None:
    population, evaluate = evolution.population, evolution.toolbox.evaluate
    evolution.scored, told = 0, time.monotonic()
    answers = iter(breeding.score(evaluate, population, evolution.generation))
    for place, individual in enumerate(population):
        values = next(answers, _NOTHING)
        if values is _NOTHING:  # the built-in map takes StopIteration of what it calls for its own end
            reason = "the map gave no answer, as it does where evaluate raises StopIteration"
            raise EvaluationError(f"generation {evolution.generation}, child {place}: {reason}")
        checked = _checked(values, individual.fitness.weights, evolution.generation, place)
        individual.fitness.values = elitism.averaged(place, checked)
        evolution.scored += 1
        if time.monotonic() - told > PROGRESS_SECONDS:
            tell(watching, "on_progress", evolution)
            told = time.monotonic()
    if next(answers, _NOTHING) is not _NOTHING:
        raise EvaluationError(f"generation {evolution.generation}: the map gave more answers than there are members")


def _checked(values: Any, weights: Sequence[float], generation: int, place: int) -> tuple[float, ...]:
    """Return fitness values as finite floats; NaN and infinity are the worst there is."""
    if not isinstance(values, tuple | list) or len(values) != len(weights) or not all(map(_is_number, values)):
        wanted = f"evaluate must return a tuple of {len(weights)} number(s)"
        raise EvaluationError(f"generation {generation}, child {place}: {wanted}, got {reprlib.repr(values)}")
    worst = (-math.copysign(WORST, weight) for weight in weights)
    found = ((_as_float(value), bad) for value, bad in zip(values, worst, strict=True))
    return tuple(min(max(value, -WORST), WORST) if math.isfinite(value) else bad for value, bad in found)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # of an integer, or a fraction
        return math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, Real)


def _record(
    evolution: Evolution, clock: Clock, stats: Any, begun: float, started: float, best_pairs: int | None, *, kept: bool
) -> None:
    """Log the generation, and with the same stroke make its best the run's; `kept` says if there is a checkpoint."""
    population, assess = evolution.population, Registered.read(evolution.toolbox).assess
    best = max(population, key=attrgetter("fitness"))
    values = [individual.fitness.values[0] for individual in population]
    row: dict[str, Any] = {
        "gen": evolution.generation,
        "nevals": len(population),
        "min": min(values),
        "avg": float(np.mean(values)),
        "std": float(np.std(values)),
        "max": max(values),
    }
    if assess is not None:
        row.update(assess(best, evolution.generation, map=evolution.map))
    if clock.sigma is not None:
        row["sigma"] = clock.sigma
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


def _alike(now: Any, then: Any) -> bool:
    """Return whether something registered is what it was; a ``sigma`` of a number is read anew each generation."""
    if now is then:
        return True
    if not (isinstance(now, partial) and isinstance(then, partial)):
        return bool(now == then)
    words, former = ({k: v for k, v in one.keywords.items() if k not in ("sigma", "rng")} for one in (now, then))
    if now.func is not then.func or words.keys() != former.keys() or strength_of(now) is not strength_of(then):
        return False
    pairs = [*zip(now.args, then.args, strict=False), *((word, former[name]) for name, word in words.items())]
    return len(now.args) == len(then.args) and all(one is other or np.array_equal(one, other) for one, other in pairs)


@dataclass(eq=False)
class _Run:
    """One call of `evolve`."""

    evolution: Evolution
    watching: Sequence[Callback]
    seed: int
    breeding: Breeding
    stats: tools.Statistics | tools.MultiStatistics | None
    halloffame: tools.HallOfFame | None
    checkpoint: Checkpoint | None
    keyframes: Keyframes
    verbose: bool

    def __post_init__(self) -> None:
        evolution, breeding = self.evolution, self.breeding
        self._lineage = breeding if isinstance(breeding, Lineage) else None
        self._best_pairs: int | None = 0 if breeding.reproduction.has_groups else None
        toolbox = evolution.toolbox
        self._elitism = _elitism(toolbox, len(evolution.population))
        self._registered = registered = Registered.read(toolbox)
        self._clock: Clock = registered.clock or Clock(toolbox)
        self._clock.reset(evolution.generations if registered.generations is None else registered.generations)
        self._begun = self._started = time.perf_counter()

    def run(self) -> None:
        """Go on to the last generation; callbacks are told of the end, however it comes."""
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
            if self._lineage is not None:
                self._lineage.close()
            raise

    def _go_on(self) -> int:
        """Go back to where the checkpoint ends, and return the first generation that is to be made."""
        if self._lineage is None or self.checkpoint is None or not self.checkpoint.read_past():
            return 0
        go_on(self.evolution, self._lineage, self._clock, self._elitism, self.checkpoint, self.watching)
        self._begun = self._started - self.evolution.elapsed
        if "best_pairs" not in self.evolution.row:  # a run of before there was this column
            self._best_pairs = None
        tell(self.watching, "on_generation", self.evolution)  # they may have seen this generation before, or not
        self._started = time.perf_counter()
        return self.evolution.generation + 1

    def _generation(self, generation: int) -> None:
        """Breed, score and log a generation, and tell of it."""
        evolution, checkpoint = self.evolution, self.checkpoint
        evolution.generation = generation
        self._check_unchanged(generation)
        places = self._breed(generation) if generation else []
        _score(evolution, self.breeding, self._elitism, self.watching)
        drawn = self._lineage is not None and not is_warm(self._lineage.breeder)
        if not generation and self._lineage is not None and drawn and not is_serial(evolution.toolbox.map):
            reference = reference_of(evolution, evolution.population[0].fitness.wvalues)
            if reference is not None:
                self._lineage.refer(*reference)
        if self.halloffame is not None:
            self.halloffame.update(evolution.population)
        kept = checkpoint is not None
        _record(evolution, self._clock, self.stats, self._begun, self._started, self._best_pairs, kept=kept)
        evolution.same_bytes &= self.breeding.same_bytes
        if self.verbose:
            print(evolution.logbook.stream)
        self._started = self._begun + evolution.elapsed  # what callbacks take counts for the next generation
        if checkpoint is not None and self._lineage is not None:
            checkpoint.append(kept_of(evolution, self._lineage, self._clock, places, self.watching))
        tell(self.watching, "on_generation", evolution)
        if checkpoint is not None and self._lineage is not None:
            self.keyframes.keep(self._lineage, checkpoint, self.watching)

    def _check_unchanged(self, generation: int) -> None:
        """Raise ValueError if something was registered anew in mid-run that this run does not take over."""
        now, names = Registered.read(self.evolution.toolbox), ["elites", "elite_batches"]
        remedy = "a run keeps those that it began with"
        if self._lineage is not None:
            names += ["clone", "mate", "mates", "mutate", "reproduction", "step", "weigh"]
            remedy += ", unless breeding='plain' lets operators change"
        for name in names:
            if not _alike(getattr(now, name), getattr(self._registered, name)):
                raise ValueError(f"{name} was registered anew before generation {generation}: {remedy}")

    def _breed(self, generation: int) -> list[int]:
        """Let the children take the places of the population, and return those of their parents under a checkpoint."""
        evolution, reproduction = self.evolution, self.breeding.reproduction
        toolbox, population = evolution.toolbox, evolution.population
        rng = stream(self.seed, Purpose.SELECT, generation)
        kept = self._elitism.choose(population)
        chosen = reproduction.choose(population, len(population) - len(kept), toolbox, rng, self._clock)
        if self._best_pairs is not None:
            self._best_pairs = reproduction.groups_with(max(population, key=attrgetter("fitness")), chosen)
        evolution.parents = len({id(member) for member in chosen})
        self.breeding.replace(population, chosen, kept, generation, self._clock.sigma)
        if self.checkpoint is None:
            return []
        return [member.recipe.place for member in (*chosen, *kept)]
