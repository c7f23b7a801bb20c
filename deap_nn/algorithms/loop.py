"""One run: breed, score, record."""

from __future__ import annotations

import itertools
import math
import reprlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from deap import tools

from deap_nn.algorithms.resuming import go_on, keep_keyframe, kept_of
from deap_nn.breeding.breeder import self_adaptive_of
from deap_nn.breeding.kinds import LOCAL
from deap_nn.breeding.lineage import Lineage
from deap_nn.callbacks.base import Callback, Evolution, tell, telling_start_and_end
from deap_nn.core.errors import WORST, EvaluationError, warn_user
from deap_nn.core.logbooks import as_number, record
from deap_nn.core.registered import Registered, evaluation_of
from deap_nn.core.seeding import Purpose, stream
from deap_nn.operators.adaptation import Clock, clock_of
from deap_nn.operators.cases import Counted, Scored
from deap_nn.operators.describe import name_of
from deap_nn.operators.ranking import fitness_key
from deap_nn.process.signals import heeding_signals, holding_signals
from deap_nn.runs.checkpoint import Checkpoint

COLUMNS = ("gen", "nevals", "min", "avg", "std", "max", "train_error", "val_error", "sigma", "best_pairs")
"""The columns of a logbook. The errors need an ``assess``, and ``sigma`` a mutation with a ``sigma``. ``best_pairs`` is
the number of groups in which the best member of the previous generation is a parent; it needs groups."""

PROGRESS_SECONDS = 0.5
"""The least time between two calls of the callbacks' ``on_progress`` while a generation is scored, in seconds."""


def _checked(values: Any, weights: Sequence[float], evolution: Evolution) -> tuple[float, ...]:
    """Return fitness values as finite floats; NaN and those beyond ``WORST`` become the worst value."""
    if type(values) is tuple and len(values) == len(weights):
        for value in values:
            if type(value) is not float or not -WORST <= value <= WORST:
                break
        else:
            return values  # nearly always; the rest takes ten times as long
    is_tuple = isinstance(values, tuple | list) and len(values) == len(weights)
    if not is_tuple or not all(isinstance(value, Real) for value in values):
        wanted = f"evaluate must return a tuple of {len(weights)} number(s), got {reprlib.repr(values)}"
        raise EvaluationError(f"generation {evolution.generation}, child {evolution.scored}: {wanted}")
    pairs = zip(map(float, values), weights, strict=True)
    return tuple([value if -WORST <= value <= WORST else math.copysign(WORST, -weight) for value, weight in pairs])


def _kept_parts(registered: Any) -> list[Any]:
    """Return the parts of a registered value that stay during a run; a ``sigma`` that is a number may change."""
    if not isinstance(registered, partial):
        return [registered]
    words = [word for word in sorted(registered.keywords.items()) if word[0] not in ("sigma", "rng")]
    return [registered.func, self_adaptive_of(registered), *registered.args, *itertools.chain(*words)]


@dataclass(eq=False)
class Run:
    """One call of `evolve`."""

    evolution: Evolution
    watching: Sequence[Callback]
    lineage: Lineage
    stats: tools.Statistics | tools.MultiStatistics | None
    halloffame: tools.HallOfFame | None
    checkpoint: Checkpoint | None
    force: bool
    verbose: bool

    def __post_init__(self) -> None:
        evolution, lineage = self.evolution, self.lineage
        self._best_pairs: int | None = 0 if lineage.reproduction.has_groups else None
        registered = Registered.read(evolution.toolbox)
        self._fixed = self._fixed_now()
        self._clock: Clock = registered.clock or clock_of(registered.select) or Clock()
        self._clock.toolbox = evolution.toolbox
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
            if self.verbose and evolution.stop is not None:
                print(evolution.stop)
            if evolution.not_finite:
                warn_user(f"{evolution.not_finite} fitness values were not finite, and counted as the worst")
        except BaseException:
            self.lineage.close()  # after a finished run members may still be read, which breeds their weights
            raise

    def _go_on(self) -> int:
        """Restore the last generation of the checkpoint, and return the number of the next one."""
        if self.checkpoint is None or not (past := self.checkpoint.past):
            return 0
        folder = self.checkpoint.path.parent
        go_on(self.evolution, self.lineage, self._clock, past, folder, self.watching, force=self.force)
        self._begun = self._started - self.evolution.elapsed
        # The run may have stopped before all callbacks had this generation: each must accept it twice.
        tell(self.watching, "on_generation", self.evolution)
        self._started = time.perf_counter()
        return self.evolution.generation + 1

    def _generation(self, generation: int) -> None:
        """Breed, score and log a generation, then call the callbacks."""
        evolution, checkpoint = self.evolution, self.checkpoint
        evolution.generation = generation
        self._check_unchanged(generation)
        places = self._breed(generation) if generation else []
        registered, inputs = Registered.read(evolution.toolbox), b""
        if generation and registered.layer_inputs is not None:
            by_cases = registered.moves_by_cases
            inputs = self.lineage.layer_inputs(registered.layer_inputs, generation, by_cases=by_cases)
        self.lineage.ancestry.take_inputs(self._score(inputs))
        if self.halloffame is not None:
            self.halloffame.update(evolution.population)
        self._record()
        if self.verbose:
            print(evolution.logbook.stream)
        self._started = self._begun + evolution.elapsed  # the callbacks' time counts for the next generation
        if checkpoint is not None:  # before the callbacks: their files then never have a row that the checkpoint lacks
            checkpoint.append(kept_of(evolution, self.lineage, self._clock, places, self.watching))
        tell(self.watching, "on_generation", evolution)
        if checkpoint is not None:
            keep_keyframe(self.lineage, checkpoint, self.watching)

    def _fixed_now(self) -> dict[str, list[Any]]:
        """Return the parts of the registered values that must stay, by name."""
        registered = Registered.read(self.evolution.toolbox)
        return {
            name: _kept_parts(getattr(registered, name)) for name in ("layer_inputs", "case_step", *self.lineage.fixed)
        }

    def _check_unchanged(self, generation: int) -> None:
        """Raise ValueError if a registered value that must stay has changed during the run."""
        for name, now in self._fixed_now().items():
            then = self._fixed[name]
            if len(now) != len(then) or not all(a is b or np.array_equal(a, b) for a, b in zip(now, then, strict=True)):
                change = f"{name} was registered again before generation {generation}"
                raise ValueError(f"{change}: it cannot change during a run")

    def _breed(self, generation: int) -> list[int]:
        """Replace the population by its children; under a checkpoint return the kinds and places of their parents."""
        evolution, reproduction = self.evolution, self.lineage.reproduction
        toolbox, population = evolution.toolbox, evolution.population
        rng = stream(evolution.settings["seed"], Purpose.SELECT, generation)
        self._clock.advance(population)
        chosen = reproduction.choose(population, toolbox, rng, self.lineage.opposites)
        if self._best_pairs is not None:
            self._best_pairs = reproduction.groups_with(max(population, key=fitness_key(population)), chosen)
        evolution.parents = len({id(member) for member in chosen})
        self.lineage.replace(population, chosen, generation, self._clock.sigma)
        return [] if self.checkpoint is None else [member.recipe.id & LOCAL for member in chosen]

    def _score(self, inputs: bytes) -> bytes:
        """Score the members; return the layer inputs, with the changes that samples ask for if layers move by cases."""
        evolution, population = self.evolution, self.evolution.population
        evolution.scored, last_call = 0, time.monotonic()
        registered, counted = Registered.read(evolution.toolbox), list[Counted]()
        evaluate = registered.evaluate
        if registered.moves_by_cases:
            evaluate = evaluation_of(evaluate).by_cases(inputs)
        answers = self.lineage.map(evaluate, population)
        for individual, answer in zip(population, answers, strict=True):
            values = answer.values if isinstance(answer, Scored | Counted) else answer
            individual.fitness.values = _checked(values, individual.fitness.weights, evolution)
            counted += [answer] if isinstance(answer, Counted) else []
            evolution.scored += 1
            if time.monotonic() - last_call > PROGRESS_SECONDS:
                tell(self.watching, "on_progress", evolution)
                last_call = time.monotonic()
        evolution.answers = [one.answers for one in counted]
        worst = sum(abs(individual.fitness.values[0]) == WORST for individual in population)
        if worst == len(population):
            problem = evaluation_of(registered.evaluate).problem
            named = problem.objectives[0].name if problem is not None else name_of(registered.evaluate)
            raise EvaluationError(f"generation {evolution.generation}: {named} gave no member a finite fitness")
        evolution.not_finite += worst
        step = registered.case_step
        return inputs if step is None or not counted else self.lineage.step_by_cases(inputs, counted, step)

    def _record(self) -> None:
        """Log the generation, and set the run's best member without a gap for a signal."""
        evolution, population = self.evolution, self.evolution.population
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
        if (assess := Registered.read(evolution.toolbox).assess) is not None:
            row.update(assess(best, evolution.generation, map=evolution.map))
        if (sigma := self._clock.sigma) is not None:
            row["sigma"] = sigma
        if self._best_pairs is not None:
            row["best_pairs"] = self._best_pairs
        for name, value in (self.stats.compile(population) if self.stats is not None else {}).items():
            row[name] = as_number(name, value) if name in COLUMNS else value
        with holding_signals():
            evolution.best = best
            evolution.evaluations += len(population)
            now = time.perf_counter()
            evolution.seconds, evolution.elapsed = now - self._started, now - self._begun
            evolution.logbook.header = list(row)
            record(evolution.logbook, row)
