"""Sends groups of recipes to the workers of a map, and sends them again with the data that a worker lacks."""

from __future__ import annotations

import hashlib
import itertools
import pickle
import pickletools
import reprlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from deap_nn.breeding.kinds import KINDS, Genome, Mirror
from deap_nn.breeding.store.ancestors import LackingError
from deap_nn.breeding.store.genomes import Genomes
from deap_nn.breeding.store.known import Known, is_large
from deap_nn.breeding.task import MOST_CONTEXTS, Context, Group, SentContext, Task, run_group, run_here
from deap_nn.core.environment import environment, environment_digest
from deap_nn.core.errors import EvaluationError
from deap_nn.core.registered import at
from deap_nn.genome.vectors import MOST_TOGETHER
from deap_nn.process.workers import is_serial, pickler, worker_count

Map = Callable[..., Iterable[Any]]

MOST_TASKS = 128
"""The most tasks per process in one call of the map, which makes and sends all of them at once."""

MOST_SENT = 1 << 31
"""The most bytes of copies of a keyframe that are sent at a time. One copy is always sent."""

WORTHWHILE_WEIGHTS = 1_600_000
"""A task with fewer weights takes longer to send than to carry out."""


def group_sizes(members: int, workers: int, *, weights: int, mates: int) -> Iterator[int]:
    """Yield the number of members of each task: enough to be worth sending, and few towards the end.

    Each is a share of the members left, so that the processes end at about the same time (guided self-scheduling:
    C. D. Polychronopoulos and D. J. Kuck, IEEE Transactions on Computers C-36, 1987).

    Parameters
    ----------
    members, workers : int
        The number of members to score, and of processes that score them.
    weights, mates : int
        The number of weights of a member, and of its parents.
    """
    most = 16 if weights >= 1_000_000 else MOST_TOGETHER
    largest = max(mates, most // mates * mates)
    smallest = min(WORTHWHILE_WEIGHTS // max(1, weights), -(-members // (2 * workers)))
    while members:
        size = max(smallest, -(-members // (4 * workers)))
        if workers == 1:
            size = largest  # there is nothing to balance
        elif size > 1:
            size += -size % mates  # whole groups of parents: siblings are bred in one pass
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
        self._travels: Any = None
        self._warned_of: set[str] = set()  # hosts
        self._shares_noise = shares_noise
        self._digests: set[bytes] = set()
        self._contexts: dict[bytes, tuple[SentContext, bytes]] = {}

    @cached_property
    def _breeder(self) -> bytes:
        """The pickled breeder, which only other processes need."""
        return self._dumps((self._genomes.breeder, self._shares_noise))

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], recipe_of: Callable[[Any], Genome | None]
    ) -> Iterator[Any]:
        """Map a function over members, or over tuples that begin with one; recipes are sent instead of weights.

        The function scores in the run's present generation, see `scoring`.

        Parameters
        ----------
        function : callable
            The function to map.
        items : sequence
            The members or tuples.
        recipe_of : callable
            Returns the recipe of a member, or None if it does not give the member's weights: then weights are sent.
        """
        recipes = [recipe_of(_member_of(item)) for item in items]
        whole = self._of_whole(function, [item for item, recipe in zip(items, recipes, strict=True) if recipe is None])
        made = [(item, recipe) for item, recipe in zip(items, recipes, strict=True) if recipe is not None]
        sent = [(recipe, *item[1:]) if isinstance(item, tuple) else recipe for item, recipe in made]
        answers = self._of_recipes(function, sent)
        if not whole:
            yield from answers
            return
        for recipe in recipes:
            yield whole.pop() if recipe is None else next(answers)

    def _of_whole(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """Return the results for items that are sent with their weights, in reverse order: `map` pops them."""
        if not items:
            return []
        return list(self._map(at(function, self._known.generation), items))[::-1]

    def _of_recipes(self, function: Callable[[Any], Any], sent: Sequence[Any]) -> Iterator[Any]:
        if not sent:
            return
        mates = self._genomes.breeder.reproduction.mates
        sizes = list(group_sizes(len(sent), self._workers, weights=self._genomes.size, mates=mates))
        groups = [tuple(sent[end - size : end]) for size, end in zip(sizes, itertools.accumulate(sizes), strict=True)]
        if is_serial(self._map):
            generation = self._known.generation  # a caller may take the last answers in a later one
            for group in groups:
                yield from self._here(function, group, generation)
            return
        context, digest = self._context(self._dumps(at(function, 0)))
        at_once = MOST_TASKS * self._workers
        for start in range(0, len(groups), at_once):
            yield from self._answers(digest, context, groups[start : start + at_once])

    def _here(self, function: Callable[[Any], Any], group: tuple[Any, ...], generation: int) -> list[Any]:
        try:
            return run_here(Context(self._genomes, function), group, generation, self._known)
        except LackingError as error:
            raise self._lacking() from error

    def _lacking(self) -> LackingError:
        return LackingError(f"generation {self._known.generation} cannot be bred: recipes of its ancestors are missing")

    def _answers(self, digest: bytes, context: SentContext, groups: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Send groups to the workers, a second time with the data that a worker lacks; yield the results in order."""
        known = digest in self._digests
        self._digests.add(digest)
        tasks = [
            self._task(digest, None if known else context, group, whole=False)._replace(number=number)
            for number, group in enumerate(groups)
        ]
        # A map may return answers out of order, and a task that was repeated twice.
        lacking: dict[int, tuple[Any, ...]] = {}
        waiting: dict[int, list[Any]] = {}
        twice: list[Any] = []
        due = 0  # the number of the group whose answers are next
        for answer in self._map(run_group, tasks):
            self._note(answer)
            if answer.values is None:
                lacking[answer.number] = groups[answer.number]
            elif answer.number < due or answer.number in waiting:
                twice += answer.values
            else:
                waiting[answer.number] = answer.values
            while due in waiting:
                yield from waiting.pop(due)
                due += 1
        content: bytes | None = None
        keyframe, whole = self._known.keyframe, bool(lacking) and not self._known.has_large_recipes()
        while lacking:
            again = [
                self._task(digest, context, group, whole=whole, large=True)._replace(number=number)
                for number, group in lacking.items()
            ]
            if content is not None:  # several copies: a host that lacks the file may get any of the tasks
                copies = max(1, MOST_SENT // max(1, len(content)))
                again[:copies] = [task._replace(content=content) for task in again[:copies]]
            answers = self._values(self._map(run_group, again))
            if content is not None and len(answers) < len(lacking):  # at last this process does them
                answers = self._values(map(run_group, again))
            waiting.update(answers)
            lacking = {number: group for number, group in lacking.items() if number not in answers}
            if lacking and not whole:  # the large recipes were not enough: send all ancestors
                whole = True
                continue
            if lacking and (content is not None or keyframe is None):
                raise self._lacking()
            # A host without the keyframe's file gets it with one task, and keeps it for its other processes.
            content = keyframe.read_bytes() if lacking and keyframe is not None else None
        while due in waiting:
            yield from waiting.pop(due)
            due += 1
        if due < len(groups) or twice:
            what = "no answer to a task" if due < len(groups) else "more answers than there are tasks"
            raise EvaluationError(f"generation {self._known.generation}: the map gave {what}")

    def _values(self, answers: Iterable[Group]) -> dict[int, list[Any]]:
        """Return the results by the numbers of their tasks, without tasks for which a worker lacks data."""
        found: dict[int, list[Any]] = {}
        for answer in answers:
            self._note(answer)
            if answer.values is not None:
                found[answer.number] = answer.values
        return found

    def _note(self, answer: Group) -> None:
        """Warn once per host of another environment; raise EvaluationError if the answer is not a `Group`."""
        if not isinstance(answer, Group):
            answered = f"{reprlib.repr(answer)} to a task: a worker may have another version of deap_nn"
            raise EvaluationError(f"generation {self._known.generation}: the map answered {answered}")
        if answer.environment is not None and answer.host not in self._warned_of:
            self._warned_of.add(answer.host)
            here = environment()
            name = next(name for name, value in here.items() if answer.environment.get(name) != value)
            differs = f"{name} is {answer.environment.get(name)!r} there and {here[name]!r} here"
            warnings.warn(f"a process on {answer.host} may compute other last bits: {differs}", stacklevel=2)

    def _task(
        self, digest: bytes, context: SentContext | None, items: tuple[Any, ...], *, whole: bool, large: bool = False
    ) -> Task:
        """Return the task of a group with the recipes of its parents, or of all its ancestors if `whole`.

        Large recipes are left out unless `large`.
        """
        known = self._known
        recipes = [item if isinstance(item, KINDS) else item[0] for item in items]
        parents = {parent for recipe in recipes for parent in recipe.parents}
        if whole:
            ancestors = known.ancestry(parents)
        elif large:  # a host that lacks the step breeds all parents of the generation for it
            ancestors = known.ancestry(parents, known.generation - 1)
        else:
            found = {key: known.recipes[key] for key in parents & known.recipes.keys()}
            centroids = {recipe.centroid for recipe in found.values() if isinstance(recipe, Mirror)}
            found |= {key: known.recipes[key] for key in centroids & known.recipes.keys()}  # for other hosts
            ancestors = {key: recipe for key, recipe in found.items() if not is_large(recipe)}
        useful = parents | {parent for recipe in ancestors.values() for parent in recipe.parents}
        useful |= {recipe.id for recipe in recipes}
        slots = tuple((key, known.slots[key]) for key in sorted(useful) if key in known.slots)
        keyframe = str(known.keyframe) if known.keyframe is not None else None
        places = self._genomes.token, str(self._genomes.place), environment_digest(), digest, context, known.generation
        return Task(*places, items, tuple(ancestors.values()), slots, keyframe, known.keyframe_history)

    def check_travels(self, evaluate: Callable[[Any], Any]) -> None:
        """Raise EvaluationError if ``evaluate`` cannot be pickled for another process; the same one is checked once."""
        if is_serial(self._map) or evaluate is self._travels:
            return
        try:
            self._dumps(at(evaluate, 0))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            reason = f"generation {self._known.generation}: evaluate cannot be pickled: {error}"
            raise EvaluationError(f"{reason}: define it at the top of a module") from error
        self._travels = evaluate

    def _context(self, function: bytes) -> tuple[SentContext, bytes]:
        """Return the context of a pickled function, and the digest under which workers keep it."""
        key = hashlib.blake2b(function).digest()  # the function may hold much data
        if key not in self._contexts:
            # Other references to an object can change the memo of its pickle, and so the digest of the same function:
            # `optimize` removes unused entries of the memo.
            context = self._breeder, pickletools.optimize(function)
            known_by = b"".join((self._genomes.token.encode(), *context[:2]))  # another run has other genomes
            self._contexts[key] = context, hashlib.sha256(known_by).digest()[:12]
            while len(self._contexts) > MOST_CONTEXTS:
                self._contexts.pop(next(iter(self._contexts)))
        return self._contexts[key]


def _member_of(item: Any) -> Any:
    """Return the member of an item, without the other elements of a tuple."""
    return item[0] if isinstance(item, tuple) else item
