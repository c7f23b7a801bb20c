"""The state of a run in its checkpoint: how it is recorded and restored."""

from __future__ import annotations

import json
import os
import reprlib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
from deap import tools

from deap_nn.algorithms.settings_record import check_settings, projects, settings_record
from deap_nn.algorithms.toolbox.clock import Clock
from deap_nn.breeding.lineage import Lineage
from deap_nn.breeding.store.keyframes import Keyframe, KeyframeError
from deap_nn.callbacks.base import Callback, Evolution, naming
from deap_nn.core.environment import environment
from deap_nn.core.files import plain
from deap_nn.core.logbooks import last_record, record
from deap_nn.runs.checkpoint import Checkpoint
from deap_nn.runs.generations import CheckpointError, Generation, keyframes_in, read_generations

KEYFRAME_SECONDS = 20.0
KEYFRAME_BYTES = 2 << 30
"""A keyframe is made when recomputing the parents would take longer than this, unless it would be larger."""

LONG_SECONDS = 20.0
"""A resume that takes longer to recompute genomes says so."""

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


def _checked_state(state: Any) -> dict[str, Any]:
    """Return the state of a callback with plain numbers; TypeError if it is not a dictionary that JSON can hold."""
    if not isinstance(state, Mapping):
        raise TypeError(f"it must return a dictionary, got {reprlib.repr(state)}")
    made: dict[str, Any] = plain(state)
    json.dumps(made)
    return made


def kept_of(
    evolution: Evolution, lineage: Lineage, clock: Clock, places: Sequence[int], watching: Iterable[Callback]
) -> Generation:
    """Return the checkpoint's record of the last logged generation."""
    states = {}
    if not evolution.generation:
        places = [member.recipe.place for member in evolution.population]
    for name, callback in _named(watching):
        with naming(callback, "state"):
            states[name] = _checked_state(callback.state())
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
        settings=None if evolution.generation else _settings_of(evolution),
        inputs=lineage.ancestry.inputs,
    )


def begun_with(checkpoint: Checkpoint | str | os.PathLike[str]) -> int | None:
    """Return the number of generations of the schedule in a checkpoint, or None if the checkpoint records none."""
    if isinstance(checkpoint, Checkpoint):
        past = checkpoint.read_past()
    else:
        path = Path(checkpoint, "generations")
        past = read_generations(checkpoint) if path.is_file() and path.stat().st_size else []
    found = past[0].adaptation.get("generations") if past else None
    return None if found is None else int(found)


def go_on(
    evolution: Evolution,
    lineage: Lineage,
    clock: Clock,
    checkpoint: Checkpoint,
    watching: Iterable[Callback],
) -> None:
    """Restore a run as it was when its last generation was logged."""
    past = checkpoint.read_past()
    last, population = past[-1], evolution.population
    check_settings(past[0].settings, _settings_of(evolution), checkpoint.path.parent, force=checkpoint.force)
    if len(population) != len(last.wvalues):
        raise CheckpointError(f"the checkpoint has {len(last.wvalues)} members, the population {len(population)}")
    founders = [member.recipe.place for member in population]
    if len(past[0].chosen) and past[0].chosen.tolist() != founders:  # older checkpoints lack them
        raise CheckpointError(f"{checkpoint.path.parent}: the population must have the run's founders in their order")
    if last.number > evolution.generations:
        least = f"the {last.number} generations of {checkpoint.path.parent}"
        raise CheckpointError(f"ngen must be at least {least}, got {evolution.generations}")
    projected = projects(evolution.toolbox)
    if any(bool(record.inputs) != projected for record in past[1:]):
        raise CheckpointError(f"{checkpoint.path.parent} is of a run with projected={not projected}")
    keyframe = check_keyframe(checkpoint.path.parent, last.number)
    lineage.past.remember([record.bred for record in past[1:]], keyframe)
    if lineage.ancestry.history != last.history:
        own = "the toolbox's mates, and around a centre its parents and step "
        own += "(the step follows from make_toolbox(generations=N)),"
        same = f"seed, cxpb, mutpb, the population's seed or weights and sigmas, {own} must be the same"
        raise CheckpointError(f"{checkpoint.path.parent} is of another run: {same}")
    if last.number:
        population[:] = lineage.past.last_members()
    for member, wvalues in zip(population, last.wvalues.tolist(), strict=True):
        member.fitness.wvalues = tuple(wvalues)
    for generation in past:
        evolution.logbook.header = list(generation.row)
        record(evolution.logbook, generation.row)
    evolution.generation, evolution.evaluations = last.number, last.evaluations
    evolution.parents = last.parents
    evolution.seconds, evolution.elapsed = last.seconds, last.elapsed
    evolution.best = max(population, key=attrgetter("fitness"))
    evolution.member = lineage.past.recall
    clock.restore(last.number, last.adaptation)
    for name, callback in _named(watching):
        with naming(callback, "restore"):
            callback.restore(evolution, [generation.states.get(name, {}) for generation in past])
    wanted = _members(watching)
    line = lineage.past.line(wanted) if last.number else []
    genomes = sum(map(len, line))
    if genomes and lineage.past.seconds_to_breed(genomes) > LONG_SECONDS:
        takes = f"takes about {lineage.past.seconds_to_breed(genomes):.0f} s"
        warnings.warn(f"recomputing {genomes} genomes {takes}", stacklevel=3)
    lineage.past.replay(line, wanted)
    evolution.member = None
    lineage.past.forget()
    past.clear()  # it takes memory, and the logbook and the lineage now hold all that is needed


def check_keyframe(folder: Path, generation: int) -> Path | None:
    """Return the newest undamaged keyframe in a checkpoint's folder of at most a generation, or None.

    A warning names the first damaged keyframe, and the number of others.
    """
    found, damaged = None, list[str]()
    for path in keyframes_in(folder):
        try:
            if Keyframe(path).generation <= generation:
                found = path
                break
        except (KeyframeError, OSError) as error:
            damaged.append(str(error))
    if damaged:
        others = f", nor are {len(damaged) - 1} others" if damaged[1:] else ""
        warnings.warn(f"the keyframe is not used: {damaged[0]}{others}", stacklevel=3)
    return found


def check_hall(hall: Any) -> None:
    """Raise ValueError if a checkpoint cannot keep and restore a hall of fame, or the hall is not empty."""
    if missing := [name for name in ("items", "keys") if not isinstance(getattr(hall, name, None), list)]:
        raise ValueError(
            f"halloffame under a checkpoint needs lists items and keys, as deap.tools.HallOfFame has them: "
            f"{type(hall).__name__} lacks {' and '.join(missing)}"
        )
    if hall.items:
        raise ValueError(f"halloffame must be empty under a checkpoint, which restores it, got {len(hall.items)}")


class KeptHall(Callback):
    """A hall of fame in a checkpoint, as the place and the fitness of each member; a resume recomputes the weights.

    Parameters
    ----------
    hall : deap.tools.HallOfFame
        The run's hall of fame.
    """

    def __init__(self, hall: tools.HallOfFame) -> None:
        self._hall = hall

    def state(self) -> dict[str, Any]:
        """Return the generation, the place and the weighted fitness values of each member, best first."""
        found = [(member.recipe, member.fitness.wvalues) for member in self._hall.items]
        return {"members": [[recipe.generation, recipe.place, list(values)] for recipe, values in found]}

    def restore(self, evolution: Evolution, states: Sequence[Mapping[str, Any]]) -> None:
        """Fill the hall of fame with the members that the last state names."""
        if "members" not in states[-1]:
            warnings.warn("the run began without a hall of fame: it gets members from now on only", stacklevel=2)
        for generation, place, values in states[-1].get("members", ()):
            member = cast(Any, evolution.member)(generation, place)
            member.fitness.wvalues = tuple(values)
            self._hall.items.append(member)  # `insert` would copy it, and so breed the weights one by one
            self._hall.keys.insert(0, member.fitness)

    def members(self) -> Sequence[Any]:
        """Return the members."""
        return list(self._hall.items)


@dataclass
class Kept:
    """A run's checkpoint, and its keyframes.

    Parameters
    ----------
    lineage : Lineage
        The run's lineage: a checkpoint needs recipes.
    checkpoint : Checkpoint
        The checkpoint of the run.
    """

    lineage: Lineage
    checkpoint: Checkpoint
    _warned: bool = field(default=False, init=False)

    def keep_keyframe(self, watching: Iterable[Callback]) -> None:
        """Make a keyframe if recomputing the parents would take too long, or if it releases enough recipes."""
        lineage, checkpoint = self.lineage, self.checkpoint
        if not lineage.generation:
            return
        few = lineage.past.dispensable < KEYFRAME_RECIPES and lineage.past.dispensable_bytes < RECIPE_BYTES
        if few and lineage.past.seconds_to_breed() <= KEYFRAME_SECONDS:
            return
        others = [member for member in _members(watching) if hasattr(member, "recipe")]
        size = lineage.past.keyframe_bytes(others)
        if size > KEYFRAME_BYTES:
            if not self._warned:
                self._warned = True
                takes = f"it would take {size >> 20} MiB"
                warnings.warn(f"no keyframe is kept, {takes}: resuming may take long", stacklevel=3)
        else:
            checkpoint.sync()  # a crash must not leave a keyframe of a generation that the checkpoint has lost
            lineage.past.keep_keyframe(checkpoint.keyframe_path(lineage.generation), others)
            checkpoint.keep_newest_keyframe()
