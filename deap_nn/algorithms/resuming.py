"""The state of a run in its checkpoint: how it is recorded and restored."""

from __future__ import annotations

import json
import re
import reprlib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
from deap import base, tools

from deap_nn.breeding.keyframes import Keyframe, KeyframeError
from deap_nn.breeding.lineage import Lineage
from deap_nn.callbacks.base import Callback, Evolution, naming
from deap_nn.core.environment import environment
from deap_nn.core.files import plain
from deap_nn.core.logbooks import last_record, record
from deap_nn.core.registered import Registered
from deap_nn.operators.adaptation import Clock
from deap_nn.operators.describe import as_json, digest, named, settings_of
from deap_nn.operators.selection import operator_of
from deap_nn.runs.checkpoint import Checkpoint, CheckpointError, Generation, keyframes_in

KEYFRAME_WEIGHTS = 3 * 10**10
"""A keyframe is made when the parents to recompute would have more weights than this, which takes some 20 s."""

KEYFRAME_BYTES = 2 << 30
"""The most bytes of a keyframe."""

KEYFRAME_RECIPES, RECIPE_BYTES = 20_000, 1 << 24
"""A keyframe is also made if it releases so many recipes, some megabytes, or so many bytes of layer inputs."""


def _named(watching: Iterable[Callback]) -> Iterator[tuple[str, Callback]]:
    """Yield each callback with its name in a checkpoint: its class, and its number among those of this class."""
    seen: Counter[str] = Counter()
    for callback in watching:
        name = type(callback).__name__
        yield f"{name} {seen[name]}", callback
        seen[name] += 1


def _members(watching: Iterable[Callback]) -> list[Any]:
    """Return the members that callbacks will need when they are restored."""
    members: list[Any] = []
    for callback in watching:
        with naming(callback, "members"):
            members += callback.members()
    return members


def _settings_of(evolution: Evolution) -> dict[str, Any]:
    return settings_record(evolution.toolbox, evolution.population, **evolution.settings) | environment()


def kept_of(
    evolution: Evolution, lineage: Lineage, clock: Clock, places: Sequence[int], watching: Iterable[Callback]
) -> Generation:
    """Return the checkpoint's record of the last logged generation."""
    states: dict[str, Any] = {}
    if not evolution.generation:
        places = [member.recipe.place for member in evolution.population]
    for name, callback in _named(watching):
        with naming(callback, "state"):
            states[name] = plain(dict(callback.state()))
            json.dumps(states[name])
    return Generation(
        number=evolution.generation,
        sigma=clock.sigma,
        adaptation=plain(clock.state()),
        row=last_record(evolution.logbook),
        seconds=evolution.seconds,
        elapsed=evolution.elapsed,
        evaluations=evolution.evaluations,
        states=states,
        history=lineage.ancestry.history,
        wvalues=np.array([member.fitness.wvalues for member in evolution.population], dtype=np.float64),
        chosen=np.array(places, dtype=np.uint32),
        settings={} if evolution.generation else _settings_of(evolution),
        inputs=lineage.ancestry.inputs(lineage.generation),
    )


def go_on(
    evolution: Evolution,
    lineage: Lineage,
    clock: Clock,
    past: Sequence[Generation],
    folder: Path,
    watching: Iterable[Callback],
    *,
    force: bool,
) -> None:
    """Restore a run as it was when the last generation of its past was logged."""
    last, population = past[-1], evolution.population
    check_settings(past[0].settings, _settings_of(evolution), folder, force=force)
    if last.number > evolution.generations:
        least = f"the {last.number} generations of {folder}"
        raise CheckpointError(f"ngen must be at least {least}, got {evolution.generations}")
    lineage.remember([record.bred for record in past[1:]], check_keyframe(folder, last.number))
    if lineage.ancestry.history != last.history:
        own = "the toolbox's mates, and around a centre its parents and step "
        own += "(the step follows from make_toolbox(generations=N)),"
        same = f"seed, cxpb, mutpb, the population's seed or weights and sigmas, {own} must be the same"
        raise CheckpointError(f"{folder} is of another run: {same}")
    ancestry, founders = lineage.ancestry, past[0].chosen.tolist()
    members = ancestry.members(last.number) if last.number else [ancestry.member(0, place) for place in founders]
    population[:] = lineage.present(members)
    for member, wvalues in zip(population, last.wvalues.tolist(), strict=True):
        member.fitness.wvalues = tuple(wvalues)
    for generation in past:
        evolution.logbook.header = list(generation.row)
        record(evolution.logbook, generation.row)
    evolution.generation, evolution.evaluations = last.number, last.evaluations
    evolution.parents = last.parents
    evolution.seconds, evolution.elapsed = last.seconds, last.elapsed
    evolution.best = max(population, key=attrgetter("fitness"))
    evolution.member = lineage.recall
    clock.restore(last.number, last.adaptation)
    for name, callback in _named(watching):
        with naming(callback, "restore"):
            callback.restore(evolution, [generation.states.get(name, {}) for generation in past])
    wanted = _members(watching)
    lineage.replay(lineage.line(wanted) if last.number else [], wanted)
    evolution.member = None
    lineage.forget()


def check_keyframe(folder: Path, generation: int) -> Path | None:
    """Return the newest undamaged keyframe in a checkpoint's folder of at most a generation, or None."""
    for path in keyframes_in(folder):
        try:
            if Keyframe(path).generation <= generation:
                return path
        except (KeyframeError, OSError) as error:
            warnings.warn(f"the keyframe is not used: {error}", stacklevel=3)
    return None


class KeptHall(Callback):
    """A hall of fame in a checkpoint, as the place and the fitness of each member; a resume recomputes the weights.

    Parameters
    ----------
    hall : deap.tools.HallOfFame
        The run's hall of fame, empty: a resume fills it.
    """

    def __init__(self, hall: tools.HallOfFame) -> None:
        if hall.items:
            raise ValueError(f"halloffame must be empty under a checkpoint, which restores it, got {len(hall.items)}")
        self._hall = hall

    def state(self) -> dict[str, Any]:
        """Return the generation, the place and the weighted fitness values of each member, best first."""
        found = [(member.recipe, member.fitness.wvalues) for member in self._hall.items]
        return {"members": [[recipe.generation, recipe.place, list(values)] for recipe, values in found]}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Fill the hall of fame with the members that the last state names."""
        for generation, place, values in states[-1].get("members", ()):
            member = cast(Any, evolution.member)(generation, place)
            member.fitness.wvalues = tuple(values)
            self._hall.items.append(member)  # `insert` would copy it, and so breed the weights one by one
            self._hall.keys.insert(0, member.fitness)

    def members(self) -> Sequence[Any]:
        """Return the members."""
        return list(self._hall.items)


def keep_keyframe(lineage: Lineage, checkpoint: Checkpoint, watching: Iterable[Callback]) -> None:
    """Make a keyframe if recomputing the parents would take too long, or if it releases enough recipes."""
    if not lineage.generation:
        return
    recipes, size = lineage.dispensable
    few = recipes < KEYFRAME_RECIPES and size < RECIPE_BYTES
    if few and lineage.bred_since * lineage.genomes.size <= KEYFRAME_WEIGHTS:
        return
    others = [member for member in _members(watching) if hasattr(member, "recipe")]
    if 4 * lineage.genomes.size * (len(lineage.known.parents) + len(others)) <= KEYFRAME_BYTES:
        checkpoint.sync()  # a crash must not leave a keyframe of a generation that the checkpoint has lost
        lineage.keep_keyframe(checkpoint.keyframe_path(lineage.generation), others)
        checkpoint.keep_newest_keyframe()


OF_PROBLEM = ("batch_size", "centred", "stratified", "precision", "device", "threads")

OPERATORS = ("individual", "mate", "mutate", "select", "recombination_weights", "evaluate")


def settings_record(
    toolbox: base.Toolbox, population: Sequence[Any], *, seed: int, cxpb: float, mutpb: float
) -> dict[str, Any]:
    """Return the settings that decide a number of the logbook or a weight, by name, ready for JSON.

    Numbers, texts and the names of functions are recorded as they are; arrays, data and models by a digest. The number
    of generations, the map and the paths of files are left out. Of a user's own functions it records the names and
    arguments, not the code.

    Parameters
    ----------
    toolbox : deap.base.Toolbox
        The run's toolbox.
    population : sequence
        The members; their number and the weights of their fitness are recorded.
    seed, cxpb, mutpb
        As `evolve` has them.
    """
    registered = Registered.read(toolbox)
    found: dict[str, Any] = {
        "population": len(population),
        "fitness_weights": list(map(float, population[0].fitness.weights)),
        "seed": int(seed),
        "cxpb": float(cxpb),
        "mutpb": float(mutpb),
        "mates": as_json(registered.mates),
        "resting": as_json(registered.resting),
        "step": as_json(registered.step),
        "projected": registered.layer_inputs is not None,
        "case_step": as_json(registered.case_step),
    }
    for name in OPERATORS:
        operator = getattr(registered, name)
        if operator is not None and not (name == "evaluate" and own_problem(operator) is not None):
            found |= _of_operator(name, operator)
    if registered.reproduction is not None:  # a user's own strategy
        found["reproduction"] = settings_of(registered.reproduction)
    return found | _of_evaluation(toolbox)


def check_settings(
    recorded: Mapping[str, Any], present: Mapping[str, Any], folder: Path, *, force: bool = False
) -> None:
    """Raise `CheckpointError` with the name of the first setting that differs.

    Parameters
    ----------
    recorded : mapping
        The settings of a checkpoint.
    present : mapping
        The present settings, from `settings_record`.
    folder : Path
        The checkpoint's folder, for the message.
    force : bool
        Whether the data, the number of threads and the items of `environment` may differ.
    """
    may_be_forced = {"data", "threads", *environment()}
    for name in sorted(recorded.keys() | present.keys(), key=lambda name: (name != "seed", name)):
        was, now, forced = recorded.get(name), present.get(name), name in may_be_forced
        if was != now and json.dumps(was) != json.dumps(now) and not (forced and force):  # NaN is NaN, and 2 is 2.0
            values = f"was {reprlib.repr(was)} when the run began, and is {reprlib.repr(now)}"
            values += "; --force, or force=True, accepts it" if forced else ""
            raise CheckpointError(f"{folder} is of a run with other settings: {name} {values}")


def _of_operator(name: str, registered: Any) -> dict[str, Any]:
    """Return the name and the arguments of a registered function, with those of partial functions inside it."""
    keywords: dict[str, Any] = {}
    inner, arguments = registered, tuple[Any, ...]()
    while inner is not None:
        if isinstance(inner, partial):
            keywords, arguments = inner.keywords | keywords, (*inner.args, *arguments)
        inner = inner.func if isinstance(inner, partial) else getattr(inner, "operator", None)
    if name == "individual":  # they are the container and the layout, which follows from the model
        arguments = ()
    keywords.pop("rng", None)  # it follows from the seed
    found = {name: named(operator_of(registered))}
    found |= {f"{name}.{place}": as_json(value) for place, value in enumerate(arguments)}
    return found | {f"{name}.{key}": as_json(value) for key, value in keywords.items()}


def _of_evaluation(toolbox: base.Toolbox) -> dict[str, Any]:
    """Return the settings of the evaluation."""
    found: dict[str, Any] = {}
    problem = own_problem(toolbox.evaluate)
    assess = Registered.read(toolbox).assess
    size = getattr(getattr(assess, "func", assess), "validation_size", None)
    if size is not None:
        found["validation_size"] = int(size)
    known = problem if problem is not None else own_problem(assess)
    if known is None:
        return found
    found |= {"seed_of_batches": int(known.seed)} | {name: getattr(known, name) for name in OF_PROBLEM}
    if known.images:
        found["fitness"] = known.fitness
    else:
        found["objectives"] = [_of_objective(objective) for objective in known.objectives]
    return found | {"data": known.data.sha256[:16], "model": str(known.model.digest)}


def own_problem(function: Any) -> Any:
    """Return the problem of an evaluation by this package; None for a user's own or a decorated function."""
    unbound = isinstance(function, partial) and not (function.args or function.keywords)
    bare: Any = function.func if unbound else function
    return getattr(bare, "problem", None) if type(bare).__module__.startswith("deap_nn.") else None


def _of_objective(objective: Any) -> str:
    words = [objective.kind, objective.name, str(objective.place)]
    if objective.config:
        unnumbered = re.sub(r'_\d+(?=[/"])', "", objective.config)  # Keras' numbers count the layers of a process
        words.append(digest(unnumbered.encode()))
    if objective.function is not None:
        words.append(named(objective.function))
        words.append(f"({', '.join(objective.names)})")
    return " ".join([*words, *map(_of_objective, objective.parts)])
