"""Sends groups of recipes to the workers of a map, and sends them again with the data that a worker lacks."""

from __future__ import annotations

import hashlib
import itertools
import math
import pickle
import pickletools
import reprlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any

from deap_nn.breeding.ancestry import Known
from deap_nn.breeding.genomes import Genomes
from deap_nn.breeding.kinds import KINDS, Genome
from deap_nn.breeding.task import MOST_CONTEXTS, Context, Group, SentContext, Task, run_group, run_here
from deap_nn.core.environment import environment, environment_digest
from deap_nn.core.errors import EvaluationError
from deap_nn.core.registered import at, evaluation_of
from deap_nn.genome.vectors import MOST_TOGETHER
from deap_nn.process.workers import is_serial, pickler, worker_count

Map = Callable[..., Iterable[Any]]

MOST_TASKS = 128
"""The most tasks per process in one call of the map, which makes and sends all of them at once."""

MOST_SENT = 1 << 31
"""The most bytes of copies of a keyframe that are sent at a time. One copy is always sent."""

WORTHWHILE_WEIGHTS = 1_600_000
"""A task with fewer weights takes longer to send than to carry out."""


def group_sizes(members: int, workers: int, *, weights: int, mates: int, block: int = 1) -> Iterator[int]:
    """Yield the number of members of each task: enough to be worth sending, and few towards the end.

    Each is a share of the members left, so that the processes end at about the same time (guided self-scheduling:
    C. D. Polychronopoulos and D. J. Kuck, IEEE Transactions on Computers C-36, 1987).

    Parameters
    ----------
    members, workers : int
        The number of members to score, and of processes that score them.
    weights, mates : int
        The number of weights of a member, and of its parents.
    block : int
        The number of members that must not be in two tasks.
    """
    most, whole = 16 if weights >= 1_000_000 else MOST_TOGETHER, math.lcm(block, mates)
    largest = max(whole, most // whole * whole)
    smallest = min(WORTHWHILE_WEIGHTS // max(1, weights), -(-members // (2 * workers)))
    while members:
        size = max(smallest, -(-members // (4 * workers)))
        if workers == 1:
            size = largest  # there is nothing to balance
        elif size > 1 or block > 1:
            size += -size % whole  # whole groups of parents: siblings are bred in one pass
        yield min(size, largest, members)
        members -= min(size, largest, members)


class Dispatch:
    """Sends the members of a run to a map as recipes, a group to a task.

    Parameters
    ----------
    genomes : Genomes
        The genomes of this process: they have the run's name, breeder, cache and genome size.
    map : callable
        The toolbox's map.
    known : Known
        The known ancestors; the caller keeps them up to date.
    shares_noise : bool
        Whether the noise table lies in the cache.
    """

    def __init__(self, genomes: Genomes, map: Map, known: Known, *, shares_noise: bool = False) -> None:
        self._genomes = genomes
        self._map = map
        self._known = known
        self._workers = worker_count(map)
        self._dumps = pickler(map)
        self._warned_of: set[str] = set()  # hosts
        self._shares_noise = shares_noise
        self._contexts: dict[bytes, tuple[bytes, SentContext]] = {}

    @cached_property
    def _breeder(self) -> bytes:
        """The pickled breeder, which only other processes need."""
        return self._dumps((self._genomes.breeder, self._shares_noise))

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], recipes: Sequence[Genome | None]
    ) -> Iterator[Any]:
        """Return the results of a function for members, or for tuples that begin with one; recipes are sent for them.

        The function scores in the run's present generation, see `scoring`.

        Parameters
        ----------
        function : callable
            The function to map.
        items : sequence
            The members or tuples.
        recipes : sequence
            The recipe of each member, or None if it does not give the member's weights: then weights are sent.
        """
        both, generation = [*zip(items, recipes, strict=True)], self._known.generation
        sent = [
            (recipe, *item[1:]) if isinstance(item, tuple) else recipe for item, recipe in both if recipe is not None
        ]
        results = itertools.chain.from_iterable(self._of_groups(function, sent, generation))
        whole = [item for item, recipe in both if recipe is None]
        if not whole:
            return results
        of_whole = iter(list(self._map(at(function, generation), whole)))
        return (next(of_whole) if recipe is None else next(results) for recipe in recipes)

    def _of_groups(self, function: Callable[[Any], Any], sent: Sequence[Any], generation: int) -> Iterator[list[Any]]:
        """Yield the results of each group; a caller may take the last ones in a later generation."""
        form = {"mates": self._genomes.breeder.reproduction.mates, "block": evaluation_of(function).block}
        sizes = list(group_sizes(len(sent), self._workers, weights=self._genomes.size, **form))
        groups = [tuple(sent[end - size : end]) for size, end in zip(sizes, itertools.accumulate(sizes), strict=True)]
        here = partial(run_here, Context(self._genomes, function), generation=generation, known=self._known)
        if is_serial(self._map):
            yield from map(here, groups)
            return
        at_once = MOST_TASKS * self._workers
        for start in range(0, len(groups), at_once):
            yield from self._answers(function, groups[start : start + at_once], generation, here)

    def _answers(
        self,
        function: Callable[[Any], Any],
        groups: Sequence[tuple[Any, ...]],
        generation: int,
        here: Callable[..., Any],
    ) -> Iterator[list[Any]]:
        """Send groups to the workers, again with more data if a worker lacks some; yield the results in order."""
        digest, context, is_new = self._context(function, generation)
        left, found, due = dict(enumerate(groups)), dict[int, list[Any]](), 0
        # At first the recipes of parents; then those since the last generation, of all ancestors, and a keyframe.
        for attempt, since in enumerate((None, generation - 1, 0, 0)):
            if not left:
                break
            sent = context if is_new or attempt else None
            tasks = [self._task(number, group, generation, since, digest, sent) for number, group in left.items()]
            if attempt == 3 and self._known.keyframe is not None:
                # A host without the keyframe's file gets it with one task, and keeps it for its other processes. There
                # are several copies: a host that lacks the file may get any of the tasks.
                content = self._known.keyframe.read_bytes()
                copies = max(1, MOST_SENT // max(1, len(content)))
                tasks[:copies] = [task._replace(content=content) for task in tasks[:copies]]
            unanswered = set(left)
            for answer in self._map(run_group, tasks):
                if not isinstance(answer, Group) or answer.number not in unanswered:
                    raise EvaluationError(f"generation {generation}: the map gave more answers: {reprlib.repr(answer)}")
                unanswered.remove(answer.number)
                self._note(answer)
                if answer.values is not None:
                    found[answer.number] = answer.values
                    del left[answer.number]
                while due in found:  # a map may return answers out of order
                    yield found.pop(due)
                    due += 1
            if unanswered:
                raise EvaluationError(f"generation {generation}: the map gave no answer to a task")
        for number in range(due, len(groups)):  # at last this process does those that are left
            yield found[number] if number in found else here(left[number])

    def _note(self, answer: Group) -> None:
        """Warn once per host of another environment."""
        if answer.environment is not None and answer.host not in self._warned_of:
            self._warned_of.add(answer.host)
            here = environment()
            name = next(name for name, value in here.items() if answer.environment.get(name) != value)
            differs = f"{name} is {answer.environment.get(name)!r} there and {here[name]!r} here"
            warnings.warn(f"a process on {answer.host} may compute other last bits: {differs}", stacklevel=2)

    def _task(
        self,
        number: int,
        items: tuple[Any, ...],
        generation: int,
        since: int | None,
        digest: bytes,
        context: SentContext | None,
    ) -> Task:
        """Return the task of a group with the recipes of its parents, or of its ancestors since a generation."""
        known = self._known
        recipes = [item if isinstance(item, KINDS) else item[0] for item in items]
        parents = {parent for recipe in recipes for parent in recipe.parents}
        ancestors = known.near(parents) if since is None else known.ancestry(parents, since)
        useful = parents.union(*[recipe.parents for recipe in ancestors.values()], [recipe.id for recipe in recipes])
        return Task(
            number,
            self._genomes.token,
            str(self._genomes.place),
            environment_digest(),
            digest,
            context,
            generation,
            items,
            ancestors,
            {key: known.slots[key] for key in useful & known.slots.keys()},
            str(known.keyframe) if known.keyframe is not None else None,
            known.keyframe_history,
        )

    def _context(self, mapped: Callable[[Any], Any], generation: int) -> tuple[bytes, SentContext, bool]:
        """Return the context of a function, the digest under which workers keep it, and whether it is new to them."""
        try:
            function = self._dumps(at(mapped, 0))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            reason = f"generation {generation}: evaluate cannot be pickled: {error}"
            raise EvaluationError(f"{reason}: define it at the top of a module") from error
        key = hashlib.blake2b(function).digest()  # the function may hold much data
        is_new = key not in self._contexts
        if is_new:
            # Other references to an object can change the memo of its pickle, and so the digest of the same function:
            # `optimize` removes unused entries of the memo.
            context = self._breeder, pickletools.optimize(function)
            known_by = b"".join((self._genomes.token.encode(), *context))  # another run has other genomes
            self._contexts[key] = hashlib.sha256(known_by).digest()[:12], context
            while len(self._contexts) > MOST_CONTEXTS:
                self._contexts.pop(next(iter(self._contexts)))
        return *self._contexts[key], is_new
