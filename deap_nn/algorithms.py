"""The generational loop: breed, score, select, log."""

from __future__ import annotations

import contextlib
import math
import pickle
import reprlib
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from deap import base, tools

from deap_nn.checkpoint import Checkpoint, Generation, keyframes_in
from deap_nn.keyframes import Keyframe, KeyframeError
from deap_nn.limits import EvaluationError
from deap_nn.lineage import Lineage
from deap_nn.logbooks import plain
from deap_nn.parallel import holding_signals, out_of_memory, worker_count
from deap_nn.recipes import happens
from deap_nn.seeding import Purpose, check_seed, seeded, stream
from deap_nn.toolbox import Clock, breeder_of

COLUMNS = ("gen", "nevals", "min", "avg", "std", "max", "train_error", "val_error", "sigma")
"""The columns of a logbook, of which a toolbox without ``assess`` or an adaptation lacks the last."""


PROGRESS_SECONDS = 0.5
"""While a generation is scored, callbacks are told no more often."""

WORST = 1e100
"""What a fitness of NaN or infinity counts as, with the sign that is worse; also the largest that is ever told."""

KEYFRAME_SECONDS = 20.0
KEYFRAME_BYTES = 2 << 30
"""When a keyframe is made, and how large one may be, unless `evolve` is told otherwise."""


@dataclass
class Evolution:
    """Where a run stands: what its callbacks see.

    A callback that sets ``stop`` to a reason ends the run after the generation. ``best`` is the best member of the last
    generation that was logged, and ``row`` its record; ``scored`` counts the scored members of the present one. In
    a run that goes on from a checkpoint ``member(generation, place)`` gives a member of an earlier generation back.
    """

    toolbox: base.Toolbox
    population: list[Any]
    generations: int
    map: Callable[..., Iterable[Any]]
    logbook: tools.Logbook = field(default_factory=tools.Logbook)
    generation: int = 0
    evaluations: int = 0
    best: Any = None
    seconds: float = 0.0
    elapsed: float = 0.0
    stop: str | None = None
    interrupted: bool = False
    scored: int = 0
    member: Callable[[int, int], Any] | None = None

    @property
    def row(self) -> dict[str, Any]:
        """The logbook's record of this generation."""
        last: dict[str, Any] = self.logbook[-1]
        return last

    @property
    def last(self) -> bool:
        """Whether this is the last generation."""
        return self.generation >= self.generations or self.stop is not None


class Callback:
    """What is told of a run; each method may be left out."""

    def on_start(self, evolution: Evolution) -> None:
        """Before the initial population is scored."""

    def on_generation(self, evolution: Evolution) -> None:
        """After a generation was scored and logged; generation 0 is the initial population."""

    def on_progress(self, evolution: Evolution) -> None:
        """While a generation is being scored, at most twice a second."""

    def on_end(self, evolution: Evolution) -> None:
        """After the last generation, or when an exception ends the run."""

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint is to keep of it, ready for JSON: asked for before each ``on_generation``."""
        return {}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Go on where a run was left: `states` are what ``state`` returned, of each generation up to this one.

        The next call is ``on_generation``, for the last generation of the checkpoint, which may have been seen before.
        """

    def members(self) -> Sequence[Any]:
        """Return the members whose weights ``restore`` will ask for: a keyframe keeps them."""
        return ()


def vary(
    chosen: Sequence[Any], toolbox: base.Toolbox, *, seed: int, generation: int, cxpb: float = 1.0, mutpb: float = 1.0
) -> list[Any]:
    """Clone, mate and mutate the chosen parents, each pair and child with random streams of its own.

    Parameters
    ----------
    chosen : sequence
        Parents; places 2i and 2i+1 are mated. They are left unchanged.
    toolbox : deap.base.Toolbox
        With ``clone``, ``mate`` and ``mutate``.
    seed, generation : int
        The key of the streams.
    cxpb, mutpb : float
        The probabilities that a pair is mated and that a child is mutated.

    Returns
    -------
    list
        As many children, without a valid fitness.
    """
    children = [toolbox.clone(parent) for parent in chosen]
    for pair in range(len(children) // 2):
        if happens(cxpb, seed, generation, 2 * pair):
            mate = seeded(toolbox.mate, stream(seed, Purpose.MATE, generation, pair))
            children[2 * pair : 2 * pair + 2] = mate(*children[2 * pair : 2 * pair + 2])
    for place, child in enumerate(children):
        if happens(mutpb, seed, generation, 2 * place + 1):
            (children[place],) = seeded(toolbox.mutate, stream(seed, Purpose.MUTATE, generation, place))(child)
    for child in children:
        del child.fitness.values
        vars(child).pop("recipe", None)
    return children


def _lineage(
    population: list[Any], toolbox: base.Toolbox, seed: int, cxpb: float, mutpb: float, options: Mapping[str, Any]
) -> Lineage | None:
    """Return the lineage of a run by recipes, or None where it has to be the plain way."""
    breeder = breeder_of(population, toolbox, seed=seed, cxpb=cxpb, mutpb=mutpb)
    if breeder is None:
        return None
    try:
        pickle.dumps((breeder, toolbox.evaluate))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        warnings.warn(
            f"weights are sent instead of recipes, since what is registered cannot travel: {error}", stacklevel=3
        )
        return None
    lineage = Lineage(breeder, toolbox.map, workers=worker_count(toolbox.map), **options)
    population[:] = lineage.members([member.recipe for member in population])
    return lineage


def _score(evolution: Evolution, watching: Iterable[Callback]) -> None:
    population, evaluate = evolution.population, evolution.toolbox.evaluate
    evolution.scored, told = 0, time.monotonic()
    answers = evolution.map(evaluate, population)
    if evolution.map is evolution.toolbox.map:  # the plain way; by recipes it is the worker who names the child
        answers = _naming(evolution, answers)
    for place, (individual, values) in enumerate(zip(population, answers, strict=True)):
        individual.fitness.values = _checked(values, individual.fitness.weights, evolution.generation, place)
        evolution.scored += 1
        if time.monotonic() - told > PROGRESS_SECONDS:
            for callback in watching:
                callback.on_progress(evolution)
            told = time.monotonic()


def _naming(evolution: Evolution, answers: Iterable[Any]) -> Iterator[Any]:
    """Yield answers; what a map raises names the generation, and the child where the map goes one by one."""
    try:
        yield from answers
    except Exception as error:
        if isinstance(error, EvaluationError) or out_of_memory(error):
            raise
        child = f", child {evolution.scored}" if worker_count(evolution.map) == 1 else ""
        raise EvaluationError.of(f"generation {evolution.generation}{child}", error) from error


def _checked(values: Any, weights: Sequence[float], generation: int, place: int) -> tuple[float, ...]:
    """Return fitness values as finite floats; NaN and infinity are the worst there is."""
    if not isinstance(values, tuple | list) or len(values) != len(weights) or not all(map(_is_number, values)):
        wanted = f"evaluate must return a tuple of {len(weights)} number(s)"
        raise EvaluationError(f"generation {generation}, child {place}: {wanted}, got {reprlib.repr(values)}")
    worst = (-math.copysign(WORST, weight) for weight in weights)
    found = ((float(value), bad) for value, bad in zip(values, worst, strict=True))
    return tuple(min(max(value, -WORST), WORST) if math.isfinite(value) else bad for value, bad in found)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real)


def _record(evolution: Evolution, clock: Clock, stats: Any, begun: float, started: float) -> None:
    """Log the generation, and with the same stroke make its best the run's."""
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
    if stats is not None:
        row.update(stats.compile(population))
    with holding_signals():
        evolution.best = best
        evolution.evaluations += len(population)
        now = time.perf_counter()
        evolution.seconds, evolution.elapsed = now - started, now - begun
        evolution.logbook.header = list(row)
        evolution.logbook.record(**row)


def _named(watching: Iterable[Callback]) -> Iterator[tuple[str, Callback]]:
    """Yield each callback with the name that a checkpoint knows it by."""
    for place, callback in enumerate(watching):
        yield f"{place} {type(callback).__name__}", callback


def _kept(evolution: Evolution, clock: Clock, places: Sequence[int], watching: Iterable[Callback]) -> Generation:
    """Return what a checkpoint keeps of the generation that was logged last."""
    return Generation(
        number=evolution.generation,
        sigma=clock.sigma,
        adaptation=clock.adaptation.state() if clock.adaptation is not None else {},
        row=plain(evolution.row),
        seconds=evolution.seconds,
        elapsed=evolution.elapsed,
        evaluations=evolution.evaluations,
        states={name: callback.state() for name, callback in _named(watching)},
        wvalues=np.array([member.fitness.wvalues for member in evolution.population], dtype=np.float64),
        chosen=np.array(places, dtype=np.uint32),
    )


def _go_on(
    evolution: Evolution, lineage: Lineage, clock: Clock, checkpoint: Checkpoint, watching: Iterable[Callback]
) -> None:
    """Put a run back where its last generation was logged."""
    past = checkpoint.past
    last, population = past[-1], evolution.population
    if len(population) != len(last.wvalues):
        raise ValueError(f"the checkpoint has {len(last.wvalues)} members, the population {len(population)}")
    keyframe = check_keyframe(checkpoint.path.parent, last.number)
    lineage.remember([(generation.chosen, generation.sigma) for generation in past[1:]], keyframe)
    if last.number:
        line = lineage.line()
        seconds = lineage.seconds_to_breed(sum(map(len, line)))
        if seconds > KEYFRAME_SECONDS:
            warnings.warn(
                f"{sum(map(len, line))} genomes are bred again, which takes about {seconds:.0f} s", stacklevel=3
            )
        population[:] = lineage.replay(line)
    for member, wvalues in zip(population, last.wvalues.tolist(), strict=True):
        member.fitness.wvalues = tuple(wvalues)
    for generation in past:
        evolution.logbook.header = list(generation.row)
        evolution.logbook.record(**generation.row)
    evolution.generation, evolution.evaluations = last.number, last.evaluations
    evolution.seconds, evolution.elapsed = last.seconds, last.elapsed
    evolution.best = max(population, key=attrgetter("fitness"))
    evolution.member = lineage.recall
    clock.restore(last.number, last.adaptation)
    for name, callback in _named(watching):
        callback.restore(evolution, [generation.states.get(name, {}) for generation in past])


def check_keyframe(folder: Path, generation: int) -> Path | None:
    """Return the newest keyframe in a checkpoint's folder that is whole, and not newer than a generation.

    One that is damaged is said to be so, and not used.
    """
    for path in keyframes_in(folder):
        try:
            if Keyframe(path).generation <= generation:
                return path
        except (KeyframeError, OSError) as error:
            warnings.warn(f"the keyframe is not used: {error}", stacklevel=3)
    return None


@dataclass(frozen=True)
class _Keyframes:
    """When keyframes are made, and how large they may be."""

    seconds: float | None
    most: int

    def keep(self, lineage: Lineage, checkpoint: Checkpoint, watching: Iterable[Callback]) -> None:
        """Make a keyframe, if breeding the parents again would take long enough."""
        if self.seconds is None or not lineage.generation or lineage.seconds_to_breed() <= self.seconds:
            return
        others = [member for callback in watching for member in callback.members() if hasattr(member, "recipe")]
        if lineage.keyframe_bytes(others) <= self.most:
            checkpoint.sync()  # a keyframe is of no use to a checkpoint that does not reach so far
            lineage.keep_keyframe(checkpoint.keyframe_path(lineage.generation), others)
            checkpoint.keep_newest_keyframe()


def _end(watching: Iterable[Callback], evolution: Evolution) -> None:
    for callback in watching:
        callback.on_end(evolution)


def evolve(
    population: list[Any],
    toolbox: base.Toolbox,
    ngen: int,
    *,
    seed: int,
    cxpb: float = 1.0,
    mutpb: float = 1.0,
    stats: tools.Statistics | tools.MultiStatistics | None = None,
    halloffame: tools.HallOfFame | None = None,
    callbacks: Iterable[Callback] = (),
    checkpoint: Checkpoint | None = None,
    breeding: Literal["recipes", "plain"] = "recipes",
    group_size: int | None = None,
    cache: Path | None = None,
    cache_size: int | None = None,
    timeout: float | None = None,
    keyframe_seconds: float | None = KEYFRAME_SECONDS,
    keyframe_bytes: int = KEYFRAME_BYTES,
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
        With ``clone``, ``mate``, ``mutate``, ``select``, ``evaluate`` and ``map``; ``assess``, if there is one, adds
        columns about the best.
    ngen : int
        Generations after the initial one, at least 0.
    seed : int
        The run's seed.
    cxpb, mutpb : float
        The probabilities that a pair is mated and that a child is mutated, 0 to 1.
    stats : deap.tools.Statistics, optional
        Adds its columns or chapters to the logbook.
    halloffame : deap.tools.HallOfFame, optional
        Sees every generation.
    callbacks : iterable of Callback
        Told in this order; one that raises ends the run.
    checkpoint : Checkpoint, optional
        Where to keep each generation. One that has generations goes on after the last: with the same arguments the
        result is that of a run that was never broken. It needs breeding by recipes, and no hall of fame.
    breeding : {"recipes", "plain"}
        Whether the map is sent recipes, and children are bred where they are scored, or their weights. Both give the
        same result. Recipes need a population fresh from a toolbox whose ``population`` is `initPopulation`'s, as
        `make_toolbox` registers it; any other is bred the plain way. Under recipes a member's weights are made when
        somebody looks at them, and what a callback writes to them is not inherited.
    group_size : int, optional
        Members in a task of the map; chosen well if left out.
    cache : Path, optional
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

    Returns
    -------
    population : list
        The same list.
    logbook : deap.tools.Logbook
        A record per generation, with the columns of ``COLUMNS``.

    Raises
    ------
    ValueError
        If the population is empty, or a number out of range.
    EvaluationError
        If an evaluation raises, takes too long or returns no fitness: it names the generation and the child.

    Examples
    --------
    >>> from deap_nn import make_toolbox
    >>> toolbox = make_toolbox("mlp", "mnist5k", seed=1)
    >>> population, logbook = evolve(toolbox.population(n=4), toolbox, 2, seed=1)
    >>> logbook.select("gen")
    [0, 1, 2]
    """
    seed = check_seed(seed)
    if not population:
        raise ValueError("population must not be empty")
    if ngen < 0:
        raise ValueError(f"ngen must be at least 0, got {ngen!r}")
    for name, value in (("cxpb", cxpb), ("mutpb", mutpb)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
    if timeout is not None and not 0 < timeout < math.inf:
        raise ValueError(f"timeout must be a positive number of seconds, got {timeout!r}")
    if keyframe_seconds is not None and not keyframe_seconds >= 0:
        raise ValueError(f"keyframe_seconds must be at least 0, got {keyframe_seconds!r}")
    watching = list(callbacks)
    clock: Clock = getattr(toolbox, "clock", None) or Clock(toolbox)
    clock.reset()
    if breeding not in ("recipes", "plain"):
        raise ValueError(f"breeding must be 'recipes' or 'plain', got {breeding!r}")
    lineage = None
    if breeding == "recipes":
        options = {"group_size": group_size, "place": cache, "size": cache_size, "timeout": timeout}
        lineage = _lineage(population, toolbox, seed, cxpb, mutpb, options)
    if checkpoint is not None and (lineage is None or halloffame is not None):
        raise ValueError("a checkpoint needs breeding by recipes, and no halloffame")
    if timeout is not None and lineage is None:
        raise ValueError("timeout needs breeding by recipes")
    keyframes = _Keyframes(keyframe_seconds, keyframe_bytes)
    evolution = Evolution(toolbox, population, ngen, toolbox.map if lineage is None else lineage.map)
    begun = started = time.perf_counter()
    for callback in watching:
        callback.on_start(evolution)
    chosen: list[Any] = []
    try:
        behind = 0
        if lineage is not None and checkpoint is not None and checkpoint.past:
            _go_on(evolution, lineage, clock, checkpoint, watching)
            behind = evolution.generation
            begun = started - evolution.elapsed
        for generation in range(behind, ngen + 1):
            if evolution.logbook and generation == behind:  # what the checkpoint ends with: callbacks see it again
                for callback in watching:
                    callback.on_generation(evolution)
                if evolution.stop is not None:
                    break
                started = time.perf_counter()
                continue
            evolution.generation = generation
            if generation:
                rng = stream(seed, Purpose.SELECT, generation)
                chosen = seeded(toolbox.select, rng)(population, len(population))
                if clock.generation < generation:  # somebody registered another select, which moves no clock
                    clock.advance(population)
                population.clear()  # those that were not chosen are not needed any more
                if lineage is None:
                    children = vary(chosen, toolbox, seed=seed, generation=generation, cxpb=cxpb, mutpb=mutpb)
                else:
                    children = lineage.children(chosen, generation, clock.sigma)
                population[:] = children
                del children
            _score(evolution, watching)
            if halloffame is not None:
                halloffame.update(population)
            _record(evolution, clock, stats, begun, started)
            started = begun + evolution.elapsed  # what callbacks take counts for the next generation
            if checkpoint is not None:
                places = [member.recipe.place for member in chosen]
                checkpoint.append(_kept(evolution, clock, places, watching))
            chosen = []
            for callback in watching:
                callback.on_generation(evolution)
            if checkpoint is not None and lineage is not None:
                keyframes.keep(lineage, checkpoint, watching)
            if evolution.stop is not None:
                break
    except BaseException as error:
        evolution.interrupted = isinstance(error, KeyboardInterrupt)
        with contextlib.suppress(*[OSError] * isinstance(error, OSError)):  # a full disk is full for all
            _end(watching, evolution)
        if lineage is not None:
            lineage.close()
        raise
    _end(watching, evolution)
    return population, evolution.logbook
