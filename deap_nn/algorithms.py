"""The generational loop: breed, score, select, log."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import reprlib
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from numbers import Real
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from deap import base, tools

from deap_nn.adaptation import adapting
from deap_nn.algorithm_names import describe_algorithm
from deap_nn.checkpoint import Checkpoint
from deap_nn.clock import Clock, Scoring, told_of
from deap_nn.elitism import Elitism
from deap_nn.environment import Expected, this_process
from deap_nn.evolution import Callback, Evolution, checked_callbacks, tell, telling_start_and_end
from deap_nn.founders import breeder_of
from deap_nn.generate_update import check_named
from deap_nn.limits import WORST, EvaluationError
from deap_nn.lineage import Lineage
from deap_nn.logbooks import record, statistic
from deap_nn.made_toolbox import MadeToolbox, check_called
from deap_nn.maps.tasks import MapError
from deap_nn.mating import mates_of
from deap_nn.members import centre_of, mean_around
from deap_nn.parallel import (
    heeding_signals,
    holding_signals,
    is_serial,
    keeping_order,
    out_of_memory,
    pickler,
    worker_count,
)
from deap_nn.progress import ProgressBar, in_notebook
from deap_nn.recipes import weigh_of
from deap_nn.resuming import KEYFRAME_BYTES, KEYFRAME_SECONDS, Keyframes, begun_with, go_on, kept_of, reference_of
from deap_nn.seeding import Purpose, check_seed, seeded, stream
from deap_nn.selection import operator_of
from deap_nn.settings_record import environment_of
from deap_nn.variation import in_order, unscored, vary
from deap_nn.weights import check_count, check_number, check_probability

COLUMNS = ("gen", "nevals", "min", "avg", "std", "max", "train_error", "val_error", "sigma", "best_pairs")
"""The columns of a logbook. A toolbox without ``assess`` has no errors, one whose mutation has no ``sigma`` lacks that,
and ``best_pairs``, the number of groups in which the best of the generation before is a parent, needs groups."""


__all__ = ["COLUMNS", "WORST", "Callback", "Evolution", "evolve", "vary"]

_NOTHING = object()
"""What is given where there is no answer."""

PROGRESS_SECONDS = 0.5
"""While a generation is scored, callbacks are told no more often."""


def _lineage(
    population: list[Any], toolbox: base.Toolbox, seed: int, cxpb: float, mutpb: float, options: Mapping[str, Any]
) -> Lineage | str:
    """Return the lineage of a run by recipes, or why it has to be the plain way."""
    breeder = breeder_of(population, toolbox, seed=seed, cxpb=cxpb, mutpb=mutpb)
    if isinstance(breeder, str):
        return breeder
    try:
        pickler(toolbox.map)((breeder, toolbox.evaluate))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        reason = f"what is registered cannot travel: {error}"
        warnings.warn(f"weights are sent instead of recipes, since {reason}", stacklevel=3)
        return reason
    lineage = Lineage(breeder, toolbox.map, workers=worker_count(toolbox.map), **options)
    population[:] = lineage.present([member.recipe for member in population])
    return lineage


def _check_signs(population: Sequence[Any], toolbox: base.Toolbox) -> None:
    """Raise ValueError where one value is to be minimised, as `make_toolbox`'s on labelled data, and not."""
    evaluate, weights = operator_of(toolbox.evaluate), population[0].fitness.weights
    fitness = getattr(evaluate.problem, "fitness", None) if getattr(type(evaluate), "is_of_problem", False) else None
    if fitness is not None and (len(weights) != 1 or weights[0] > 0):
        raise ValueError(
            f"population must have a fitness of one value that is minimised, as {fitness} is, got {weights}"
        )


def _elitism(toolbox: base.Toolbox, size: int) -> Elitism:
    """Return how members of a population of some size live on."""
    elites, batches = getattr(toolbox, "elites", 0), getattr(toolbox, "elite_batches", 1)
    if not 0 <= elites < size:
        raise ValueError(f"elites must be at least 0 and below the population of {size}, got {elites!r}")
    if batches < 1:
        raise ValueError(f"elite_batches must be at least 1, got {batches!r}")
    return Elitism(elites, batches)


def _score(evolution: Evolution, elitism: Elitism, watching: Iterable[Callback]) -> None:
    population, evaluate = evolution.population, evolution.toolbox.evaluate
    evolution.scored, told = 0, time.monotonic()
    plainly = not isinstance(getattr(evolution.map, "__self__", None), Lineage)  # else the worker names the child
    answers = iter(_naming(evolution) if plainly else evolution.map(evaluate, population))
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


def _naming(evolution: Evolution) -> Iterator[Any]:
    """Yield answers; what a map raises names the generation, and the child where the map goes one by one."""
    evaluate = evolution.toolbox.evaluate
    if not any(told_of(evaluate)):
        evaluate = Scoring(evaluate, evolution.generation)
    try:
        yield from evolution.map(evaluate, evolution.population)
    except Exception as error:
        if isinstance(error, EvaluationError | MapError) or out_of_memory(error):
            raise
        child = f", child {evolution.scored}" if worker_count(evolution.map) == 1 else ""
        raise EvaluationError.of(f"generation {evolution.generation}{child}", error) from error


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
    toolbox, population = evolution.toolbox, evolution.population
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
    if hasattr(toolbox, "assess"):
        row.update(toolbox.assess(best, evolution.generation, map=evolution.map))
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


def evolve(
    population: list[Any],
    toolbox: base.Toolbox,
    ngen: int,
    *,
    seed: int | None = None,
    cxpb: float = 1.0,
    mutpb: float = 1.0,
    stats: tools.Statistics | tools.MultiStatistics | None = None,
    halloffame: tools.HallOfFame | None = None,
    callbacks: Iterable[Callback] = (),
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    breeding: Literal["recipes", "plain"] = "recipes",
    group_size: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    cache_size: int | None = None,
    timeout: float | None = None,
    keyframe_seconds: float | None = KEYFRAME_SECONDS,
    keyframe_bytes: int = KEYFRAME_BYTES,
    progress: bool | None = None,
    verbose: bool = False,
    force: bool = False,
) -> tuple[list[Any], tools.Logbook]:
    """Evolve a population by generations, each replaced by its children and scored on a new mini-batch.

    The random numbers of every mating and mutation are a function of (seed, generation, pair or child), so a result
    does not depend on the map, the number of workers or their timing. An operator is given its stream as ``rng`` if it
    takes one. Every member is scored in every generation.

    Parameters
    ----------
    population : list
        Individuals; replaced in place by each next generation.
    toolbox : deap.base.Toolbox
        With ``clone``, ``mate``, ``mutate``, ``select``, ``evaluate`` and ``map``. ``mate`` is called with two
        individuals, as in DEAP's loops; one whose signature takes ``*individuals`` with the number that the toolbox'
        ``mates`` says. As many parents are drawn as there are members: selections that take the best of more, such as
        DEAP's ``selNSGA2``, are for its own loops. Of several objectives the first decides under `make_toolbox`'s
        selections, and is logged. ``assess``, if there is one, adds columns about the best. If there is a number
        ``elites``, that number of the best live on unchanged at the last places of the next generation and are scored
        again there; their fitness is a running mean, of which a new mini-batch is one part in ``elite_batches``, 1 if
        left out.
    ngen : int
        Generations after the initial one, at least 0.
    seed : int, optional
        The run's seed; that of a toolbox by `make_toolbox` if left out.
    cxpb, mutpb : float
        The probabilities that a group is mated and that a child is mutated, 0 to 1. In a toolbox with a ``step``, where
        children come from one centre, `cxpb` plays no part.
    stats : deap.tools.Statistics, optional
        Adds its columns or chapters to the logbook.
    halloffame : deap.tools.HallOfFame, optional
        Sees every generation.
    callbacks : iterable of Callback
        Told in this order.
    checkpoint : Checkpoint or path-like, optional
        Where to keep each generation: a folder, or one that was opened and is left open. One that has generations goes
        on after the last: with the same arguments the result is that of a run that was never broken. It needs breeding
        by recipes, no hall of fame, and an `ngen` that it has not gone beyond.
    breeding : {"recipes", "plain"}
        Whether the map is sent recipes, and children are bred where they are scored, or their weights. Both give the
        same result: ``mate`` sees weights without a fitness in either, and one with an attribute ``fitter_first`` is
        given the fitter of two first. Recipes need a population fresh from a toolbox whose ``population`` is
        `initPopulation`'s, as `make_toolbox` registers it; any other is bred the plain way. Under recipes a member's
        weights are made when somebody looks at them, and what a callback writes to them is not inherited, nor can the
        next generation be bred from what it puts into the population. With a checkpoint, weights that nobody has looked
        at may be lost in a later generation: copy a member that is to be kept, or let `Callback.members` name it.
    group_size : int, optional
        Members in a task of the map; chosen well if left out.
    cache : path-like, optional
        The folder in which this host's processes share the parents' weights; shared memory if left out.
    cache_size : int, optional
        How many bytes that may take; three quarters of what is free there if left out.
    timeout : float, optional
        How many seconds an evaluation may take, or one of a group of small networks; no limit if left out. It needs
        breeding by recipes.
    keyframe_seconds : float, optional
        With a checkpoint: the parents' weights are kept too once breeding them again would take longer, so that going
        on never takes much longer. None keeps none.
    keyframe_bytes : int
        What takes more is not kept.
    progress : bool, optional
        Whether to add a `ProgressBar` to the callbacks. If left out there is one in a notebook, and none elsewhere.
    verbose : bool
        Whether to print the algorithm and, as DEAP's loops do, the logbook's stream.
    force : bool
        Whether to go on where a process, or the run's past, has other versions, or other threads or variables of
        TensorFlow, with which the same seed may give other last bits. Of the processes this is known under recipes.

    Returns
    -------
    population : list
        The same list.
    logbook : deap.tools.Logbook
        A record per generation, with the columns of ``COLUMNS``.

    Raises
    ------
    ValueError
        If the population is empty, a number out of range, a checkpoint that of another run, `seed` not that of the
        toolbox, or something registered that the toolbox' algorithm does not call.
    EvaluationError
        If an evaluation raises, takes too long or returns no fitness: it names the generation and the child.
    EnvironmentDiffersError
        If a process computes otherwise than this one, unless `force` says to go on; another processor is a warning.
    CallbackError
        If a callback raises: it names its class and method, and is raised from what that raised.

    Examples
    --------
    >>> from deap_nn import make_toolbox
    >>> toolbox = make_toolbox("mlp", "mnist5k", seed=1)
    >>> population, logbook = evolve(toolbox.population(n=4), toolbox, 2, seed=1)
    >>> logbook.select("gen")
    [0, 1, 2]
    """
    seed = _seed_of(toolbox, seed)
    if not population:
        raise ValueError("population must not be empty")
    ngen = check_count(ngen, "ngen", 0)
    begun = begun_with(checkpoint) if checkpoint is not None else None
    if isinstance(toolbox, MadeToolbox):
        toolbox.plan(len(population), ngen if begun is None else begun)
    group_size = None if group_size is None else check_count(group_size, "group_size")
    cache_size = None if cache_size is None else check_count(cache_size, "cache_size", 0)
    keyframe_bytes = check_count(keyframe_bytes, "keyframe_bytes", 0)
    cache = None if cache is None else Path(cache)
    if cache is not None and not cache.is_dir():
        raise ValueError(f"cache must be a folder, got {cache}")
    check_probability(cxpb, "cxpb")
    check_probability(mutpb, "mutpb")
    if timeout is not None and not 0 < check_number(timeout, "timeout") < math.inf:
        raise ValueError(f"timeout must be a positive number of seconds, got {timeout!r}")
    if keyframe_seconds is not None and not check_number(keyframe_seconds, "keyframe_seconds") >= 0:
        raise ValueError(f"keyframe_seconds must be at least 0, got {keyframe_seconds!r}")
    for name, given, method in (("stats", stats, "compile"), ("halloffame", halloffame, "update")):
        if given is not None and not hasattr(given, method):
            raise TypeError(f"{name} must have a method {method}, got {given!r}")
    if breeding not in ("recipes", "plain"):
        raise ValueError(f"breeding must be 'recipes' or 'plain', got {breeding!r}")
    _check_signs(population, toolbox)
    check_called(toolbox, len(population))
    check_named(toolbox)
    if checkpoint is not None and halloffame is not None:
        raise ValueError("halloffame cannot be kept in a checkpoint")
    lineage: Lineage | str = "breeding is 'plain'"
    if breeding == "recipes":
        force = force or getattr(checkpoint, "regardless", False)
        options: dict[str, Any] = {"group_size": group_size, "place": cache, "size": cache_size, "timeout": timeout}
        options["expected"] = Expected(environment_of(toolbox), this_process(), force)
        lineage = _lineage(population, toolbox, seed, cxpb, mutpb, options)
    if isinstance(lineage, str):
        for name, given in (("checkpoint", checkpoint is not None), ("timeout", timeout is not None)):
            if given:
                raise ValueError(f"{name} needs breeding by recipes: {lineage}")
    if verbose:
        print(describe_algorithm(toolbox, len(population)))
    probabilities = {"cxpb": cxpb, "mutpb": mutpb}
    evolution = Evolution(
        toolbox, population, ngen, keeping_order(toolbox.map), settings={"seed": seed, **probabilities}
    )
    if isinstance(lineage, Lineage):
        evolution.map, evolution.look, evolution.mean = lineage.map, lineage.look, lineage.mean
    watching = checked_callbacks(callbacks)
    if progress is None:
        progress = in_notebook() and not any(isinstance(callback, ProgressBar) for callback in watching)
    if progress:
        watching.append(ProgressBar())
    with contextlib.ExitStack() as stack:
        if isinstance(checkpoint, str | os.PathLike):
            checkpoint = stack.enter_context(Checkpoint(checkpoint, regardless=force))
        elif checkpoint is not None:
            checkpoint.regardless |= force
        run = _Run(
            evolution,
            watching,
            seed=seed,
            probabilities=probabilities,
            lineage=lineage if isinstance(lineage, Lineage) else None,
            stats=stats,
            halloffame=halloffame,
            checkpoint=checkpoint,
            keyframes=Keyframes(keyframe_seconds, keyframe_bytes),
            verbose=verbose,
        )
        run.run()
    return population, evolution.logbook


def _seed_of(toolbox: base.Toolbox, seed: int | None) -> int:
    """Return the seed of a run: the given one, or that of the toolbox, with which a given one has to agree."""
    known = getattr(toolbox, "seed", None)
    if seed is None:
        if known is None:
            raise ValueError("seed must be given where the toolbox is not by make_toolbox, which has one")
        return check_seed(known)
    if isinstance(toolbox, MadeToolbox) and check_seed(seed) != known:
        raise ValueError(f"seed must be that of the toolbox, {known}, or left out, got {seed}")
    return check_seed(seed)


class _Run:
    """One call of `evolve`."""

    def __init__(
        self,
        evolution: Evolution,
        watching: Sequence[Callback],
        *,
        seed: int,
        probabilities: Mapping[str, float],
        lineage: Lineage | None,
        stats: tools.Statistics | tools.MultiStatistics | None,
        halloffame: tools.HallOfFame | None,
        checkpoint: Checkpoint | None,
        keyframes: Keyframes,
        verbose: bool,
    ) -> None:
        self.evolution = evolution
        self._watching = watching
        self._seed = seed
        self._probabilities = probabilities
        self._lineage = lineage
        self._stats = stats
        self._halloffame = halloffame
        self._checkpoint = checkpoint
        self._keyframes = keyframes
        self._verbose = verbose
        self._centre: Any = None
        self._best_pairs: int | None = 0
        toolbox = evolution.toolbox
        self._elitism = _elitism(toolbox, len(evolution.population))
        self._clock: Clock = getattr(toolbox, "clock", None) or Clock(toolbox)
        named = getattr(toolbox, "generations", None)
        self._clock.reset(evolution.generations if named is None else named)
        self._begun = self._started = time.perf_counter()

    def run(self) -> None:
        """Go on to the last generation; callbacks are told of the end, however it comes."""
        evolution = self.evolution
        try:
            with telling_start_and_end(self._watching, evolution):
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
        if self._lineage is None or self._checkpoint is None or not self._checkpoint.read_past():
            return 0
        go_on(self.evolution, self._lineage, self._clock, self._elitism, self._checkpoint, self._watching)
        self._begun = self._started - self.evolution.elapsed
        if "best_pairs" not in self.evolution.row:  # a run of before there was this column
            self._best_pairs = None
        tell(self._watching, "on_generation", self.evolution)  # they may have seen this generation before, or not
        self._started = time.perf_counter()
        return self.evolution.generation + 1

    def _generation(self, generation: int) -> None:
        """Breed, score and log a generation, and tell of it."""
        evolution, checkpoint = self.evolution, self._checkpoint
        evolution.generation = generation
        places = self._breed(generation) if generation else []
        _score(evolution, self._elitism, self._watching)
        if not generation and self._lineage is not None and not is_serial(evolution.toolbox.map):
            reference = reference_of(evolution, evolution.population[0].fitness.wvalues)
            if reference is not None:
                self._lineage.refer(*reference)
        if self._halloffame is not None:
            self._halloffame.update(evolution.population)
        pairs = None if getattr(evolution.toolbox, "step", None) is not None else self._best_pairs
        kept = checkpoint is not None
        _record(evolution, self._clock, self._stats, self._begun, self._started, pairs, kept=kept)
        if self._lineage is not None and not self._lineage.same_bytes:
            evolution.same_bytes = False
        if self._verbose:
            print(evolution.logbook.stream)
        self._started = self._begun + evolution.elapsed  # what callbacks take counts for the next generation
        if checkpoint is not None and self._lineage is not None:
            checkpoint.append(kept_of(evolution, self._lineage, self._clock, places, self._watching))
        tell(self._watching, "on_generation", evolution)
        if checkpoint is not None and self._lineage is not None:
            self._keyframes.keep(self._lineage, checkpoint, self._watching)

    def _breed(self, generation: int) -> list[int]:
        """Let the children take the places of the population, and return those of their parents under a checkpoint."""
        toolbox, population = self.evolution.toolbox, self.evolution.population
        rng = stream(self._seed, Purpose.SELECT, generation)
        kept = self._elitism.choose(population)
        wanted = len(population) - len(kept)
        weigh, around_centre = weigh_of(toolbox), getattr(toolbox, "step", None) is not None
        if weigh is None:
            drawn = adapting(seeded(toolbox.select, rng), self._clock)(population, wanted)
            if len(drawn) != wanted:
                raise ValueError(f"select must return {wanted} individuals, got {len(drawn)}")
            chosen = list(drawn) if around_centre else in_order(drawn, toolbox.mate)
        else:  # all count, best first
            chosen = sorted(population, key=attrgetter("fitness"), reverse=True)
            self._clock.advance(population)
        if not around_centre and self._best_pairs is not None:
            best, mates = max(population, key=attrgetter("fitness")), mates_of(toolbox)
            groups = (chosen[start : start + mates] for start in range(0, len(chosen), mates))
            self._best_pairs = sum(any(parent is best for parent in group) for group in groups)
        self.evolution.parents = len({id(member) for member in chosen})
        if self._lineage is not None:
            population[:] = self._lineage.children([*chosen, *kept], generation, self._clock.sigma)
            return [member.recipe.place for member in (*chosen, *kept)] if self._checkpoint is not None else []
        population[:] = [*chosen, *kept]  # those that were not chosen are not needed any more
        if around_centre:
            centre = centre_of(chosen, self._centre, toolbox.step, weigh)
            self._centre, chosen = centre, [centre] * len(chosen)
            around = {"centre": centre, "step": toolbox.step, "weigh": weigh, "size": len(population)}
            self.evolution.mean = partial(mean_around, **around)
        children = vary(chosen, toolbox, seed=self._seed, generation=generation, **self._probabilities)
        population[:] = [*children, *unscored(map(toolbox.clone, kept))]
        return []
