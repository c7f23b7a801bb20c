"""Lineage instead of weights: the main process' side of breeding by recipes."""

from __future__ import annotations

import copy
import hashlib
import heapq
import itertools
import pickletools
import time
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from deap_nn.genome_cache import FEWEST_SLOTS, default_place, free_bytes, slots_in, sweep
from deap_nn.genome_tasks import MOST_CONTEXTS, SentContext, Task, busy, contexts, genomes_by_run, run_group
from deap_nn.genomes import Genomes, LackingError
from deap_nn.keyframes import Keyframe, write_keyframe
from deap_nn.members import LightMember, light_members
from deap_nn.parallel import pickler, processors
from deap_nn.pedigree import Pedigree, Places
from deap_nn.recipes import MEAN_PLACE, POOL_PLACE, Breeder, Recipe, drawn_places
from deap_nn.weights import Vector, empty_vector

Map = Callable[..., Iterable[Any]]

_PLACE = 0xFFFFFFFF
"""The part of a recipe's id that is its place."""

MOST_TASKS = 128
"""So many tasks a process are given to the map at a time: a map makes and sends all at once."""

MOST_SENT = 1 << 31
"""So many bytes of a keyframe are sent at a time, or one copy."""

COLD = 2.0
"""One genome after the other takes so much longer to breed than one again and again (measured: 2.05 ms for 1.23)."""

WORTHWHILE_WEIGHTS = 1_600_000
"""A task of fewer weights costs more to send than to do."""


MOST_DRAWN = 1 << 12
"""A pool whose recipe takes more bytes is sent to those who lack it alone."""


class Lineage:
    """The main process' side of a run by recipes: members, ancestors, slots and the map.

    Parameters
    ----------
    breeder : Breeder
        What recipes have in common.
    map : callable
        The toolbox's map.
    workers : int
        How many processes share the work, for the size of groups.
    place : Path, optional
        Where to keep the cache of this host.
    size : int, optional
        How many bytes it may take; what `free_bytes` says if left out.
    group_size : int, optional
        How many members a task has; chosen by the size of the genome and of the population if left out.
    timeout : float, optional
        How many seconds a call of the function that is mapped may take; no limit if left out.
    """

    def __init__(
        self,
        breeder: Breeder,
        map: Map,
        *,
        workers: int = 1,
        place: Path | None = None,
        size: int | None = None,
        group_size: int | None = None,
        timeout: float | None = None,
    ) -> None:
        self.breeder = breeder
        self._map = map
        self._workers = workers
        self._group_size = group_size
        self._timeout = timeout
        place = place or default_place()
        self._place = place
        sweep(place)
        self.token = uuid.uuid4().hex
        self._genomes = Genomes(breeder, self.token, place)
        genomes_by_run[self.token] = self._genomes
        self.close = weakref.finalize(self, _close, self.token, self._genomes)
        room = size if size is not None else free_bytes(place)
        noise = 4 * breeder.noise_table.size if breeder.noise_table is not None else 0
        shares_noise = noise <= room // 4 and slots_in(room - noise, self._genomes.size) >= FEWEST_SLOTS
        if shares_noise:
            self._genomes.share_noise()
            room -= noise
        self._dumps = pickler(map)
        self._breeder = self._dumps((breeder, shares_noise))
        self._slot_count = slots_in(room, self._genomes.size)
        self._free: list[int] = []  # of those that were used, a heap
        self._fresh = 0  # the first that was not
        self._genome_mib = self._genomes.size * 4 / 2**20
        self._warned = False
        if self._slot_count < FEWEST_SLOTS:
            self.close()
            held = f"{self._slot_count} genomes of {self._genome_mib:.1f} MiB, at least {FEWEST_SLOTS} are needed"
            helps = "more --cache-size, another --cache or --breeding plain help"
            raise ValueError(f"cache: {room / 2**20:.1f} MiB in {place} hold {held}: {helps}")
        self.recipes: dict[int, Recipe] = {}
        self._slots: dict[int, int] = {}
        self._before: set[int] = set()
        self._averaged: set[int] = set()
        self._keyframe: Path | None = None
        self._keyframe_history = ""
        self._pedigree = Pedigree(breeder)
        self._bred_since = 0
        self._seconds = 0.0
        self._digests: set[bytes] = set()
        self._contexts: dict[bytes, tuple[SentContext, bytes]] = {}
        self.generation = 0

    @property
    def history(self) -> str:
        """What tells this run, up to its present generation, from others."""
        return self._pedigree.history

    def members(self, recipes: Iterable[Recipe]) -> list[Any]:
        """Return light members, which have a fitness, a recipe and their weights on demand."""
        made = light_members(self.breeder.container, recipes, self.weights, self.breeder.shapes)
        if self.breeder.strength is not None:
            for member in made:
                if member.recipe.sigma is not None:
                    member.strategy = member.recipe.sigma
        return made

    def children(self, chosen: Sequence[Any], generation: int, sigma: float | None) -> list[Any]:
        """Return the children of the chosen parents; those side by side are mated, and the last live on themselves."""
        recipes = [member.recipe for member in chosen]
        self.generation = generation
        for key in self._averaged:
            self.recipes.pop(key, None)
        self._averaged.clear()
        places = [recipe.place for recipe in recipes]
        parents = {recipe.id: recipe for recipe in recipes}
        if self.breeder.step is not None:
            centre = self._pedigree.centre(recipes[0], places)
            parents = {centre.id: centre}
        self._settle(parents)
        bred = self._pedigree.generation(generation, places, [recipe.sigma for recipe in recipes], sigma)
        self._bred_since += len(parents)
        if self.breeder.step is not None:  # what all need is made once for this host
            with busy:
                self._genomes.recipes, self._genomes.slots = self.recipes, self._slots
                self._genomes.keep(parents)
        return self.members(bred)

    def mean(self, members: Iterable[Any]) -> Any:
        """Return the mean of members of this generation as a light member: to be looked at before the next one."""
        members = list(members)
        if not members:
            raise ValueError("individuals must not be empty")
        if self.breeder.step is not None and self.generation:
            ranked = sorted(members, key=attrgetter("fitness"), reverse=True)
            return self.members([self._mean_around([member.recipe for member in ranked])])[0]
        recipes = {member.recipe.id: member.recipe for member in members}
        self._averaged |= recipes.keys() - self.recipes.keys()
        self.recipes.update(recipes)
        return self.members([Recipe(self.generation, MEAN_PLACE, tuple(recipes))])[0]

    def remember(self, past: Sequence[tuple[Places, float | None]], keyframe: Path | None = None) -> None:
        """Take over what a checkpoint says of a run's past, before anything is bred.

        Parameters
        ----------
        past : sequence of (places, sigma)
            For each generation from 1 on, the places of the parents whose places its children take, and the strength
            of mutation.
        keyframe : Path, optional
            Weights that need not be bred again.
        """
        found = Keyframe(keyframe) if keyframe is not None else None
        for generation, (places, sigma) in enumerate(past, start=1):
            self._pedigree.remember(generation, places, sigma)
            if found is None or found.generation != generation:
                continue
            if found.history == self._pedigree.history:
                self._keyframe, self._keyframe_history = keyframe, found.history
                self._genomes.use_keyframe(keyframe, found.history)
            else:
                warnings.warn(f"the keyframe is not used: {keyframe} is of another run", stacklevel=2)

    def forget_past(self) -> None:
        """Let go of what `remember` took over, once nobody asks for a member of an earlier generation any more."""
        self._pedigree.forget()

    def line(self, wanted: Iterable[Any] = ()) -> list[list[Recipe]]:
        """Return the parents of each generation that have to be bred for the last one, and for some earlier members.

        Those that come of the seeds, or of the keyframe, are first.
        """
        line: list[list[Recipe]] = []
        others: dict[int, set[int]] = {}
        for recipe in [member.recipe for member in wanted if isinstance(member, LightMember)]:
            if self.breeder.step is None and not self._genomes.in_keyframe(recipe.id):
                others.setdefault(recipe.generation, set()).update(recipe.averaged or [recipe.place])
        recipe_of = self._pedigree.recipe
        places = set(range(self._pedigree.members))
        if self.breeder.step is not None:  # all have the same
            places &= {0}
        for generation in range(self._pedigree.generations, 0, -1):
            places |= others.get(generation, set())
            parents = sorted({key for place in places for key in recipe_of(generation, place).parents})
            line.append([recipe_of(generation - 1, key & _PLACE) for key in parents])
            if self._keyframe is not None and all(self._genomes.in_keyframe(key) for key in parents):
                break
            places = {key & _PLACE for key in parents}
        return line[::-1]

    def last_members(self) -> list[Any]:
        """Return the members of the last generation of a run that goes on."""
        return self.members(
            map(partial(self._pedigree.recipe, self._pedigree.generations), range(self._pedigree.members))
        )

    def replay(self, line: Sequence[Sequence[Recipe]], wanted: Iterable[Any] = ()) -> None:
        """Breed again what a run that goes on needs, on all processors, and on the way the weights of some members."""
        waiting: dict[int, list[Any]] = {}
        for member in wanted:
            if isinstance(member, LightMember):
                waiting.setdefault(member.recipe.generation, []).append(member)
        for parents in line:
            self.generation = parents[0].generation + 1
            self._settle({recipe.id: recipe for recipe in parents})
            self._bred_since += len(parents)
            with busy:
                self._genomes.recipes, self._genomes.slots = self.recipes, self._slots
                self._genomes.keep((recipe.id for recipe in parents), threads=processors())
            for member in waiting.pop(self.generation, ()):
                member.flat  # noqa: B018  (while what it is bred from is in the cache)
        for members in waiting.values():
            for member in members:
                member.flat  # noqa: B018  (from the keyframe)

    def seconds_to_breed(self, genomes: int | None = None) -> float:
        """Return how long so many genomes take to breed here; those since the last keyframe if left out."""
        if not self._seconds:
            founders, child = [self.weights(Recipe(0, place)) for place in range(2)], empty_vector(self._genomes.size)
            keys = tuple(range(self.breeder.mates))
            parents = [founders[key % 2] for key in keys]
            recipe = Recipe(1, 0, keys)
            if self.breeder.step is not None:  # all the next ones come from are one centre a generation
                recipe, parents = Recipe(1, POOL_PLACE, (0,), None, self._pedigree.drawn), founders[:1]
            took = []
            for _ in range(3):  # the first one also compiles and reads tables
                begun = time.perf_counter()
                self.breeder.breed(recipe, parents, child)
                took.append(time.perf_counter() - begun)
            self._seconds = COLD * min(took)
        return self._seconds * (self._bred_since if genomes is None else genomes)

    def keyframe_bytes(self, others: Iterable[Any] = ()) -> int:
        """Return how much a keyframe of the present generation takes, with some other members."""
        return 4 * self._genomes.size * (len(self._before) + len(list(others)))

    def keep_keyframe(self, path: Path, others: Iterable[Any] = ()) -> None:
        """Write the weights of the present generation's parents, and forget how those came about.

        Parameters
        ----------
        path : Path
            Where to; it has not been there before.
        others : iterable
            Members whose weights are kept too.
        """
        more = {member.recipe.id: member.flat for member in others}
        keys = sorted(self._before | more.keys())
        with busy:
            self._genomes.recipes, self._genomes.slots = self.recipes, self._slots
            history = self._pedigree.history
            write_keyframe(
                path, self.generation, history, keys, lambda key: more[key] if key in more else self._genomes.get(key)
            )
            self._keyframe, self._keyframe_history = path, history
            self._genomes.use_keyframe(path, history)
        self.recipes = {key: self.recipes[key] for key in self._before}
        self._bred_since = 0

    def recall(self, generation: int, place: int | Sequence[int]) -> Any:
        """Return a member of an earlier generation of a run that goes on, or the mean of several."""
        if isinstance(place, int):
            if place >= POOL_PLACE:
                raise ValueError(f"place must be that of a member, got {place}")
            recipe = self._pedigree.recipe(generation, place)
        else:
            recipe = Recipe(generation, MEAN_PLACE, tuple(generation << 32 | i for i in place))
            if self.breeder.step is not None and generation:
                recipe = self._mean_around([self._pedigree.recipe(generation, i) for i in place])
        waiting = [] if self._genomes.in_keyframe(recipe.id) else list(recipe.parents)
        while waiting:
            key = waiting.pop()
            if key not in self.recipes and not self._genomes.in_keyframe(key):
                self.recipes[key] = self._pedigree.recipe(key >> 32, key & _PLACE)
                waiting.extend(self.recipes[key].parents)
        return self.members([recipe])[0]

    def _mean_around(self, recipes: Sequence[Recipe]) -> Recipe:
        """Return the recipe of the pool that some children of one centre make, each drawn once, best first.

        Where they count by weights all of them make the next centre.
        """
        first, places = recipes[0], list(dict.fromkeys(recipe.place for recipe in recipes))
        whole = self.breeder.weigh is not None and len(places) == self._pedigree.members
        place = POOL_PLACE if whole else MEAN_PLACE
        return Recipe(first.generation, place, first.parents, first.sigma, drawn_places(places))

    def _settle(self, parents: dict[int, Recipe]) -> None:
        """Give the parents of a generation their slots; those of the one before keep theirs, to breed them from."""
        self.recipes.update(parents)
        needed = parents.keys() | self._before
        for key in [key for key in self._slots if key not in needed]:
            heapq.heappush(self._free, self._slots.pop(key))
        for key in parents:
            if key in self._slots:
                continue
            if self._free:
                self._slots[key] = heapq.heappop(self._free)
            elif self._fresh < self._slot_count:
                self._slots[key], self._fresh = self._fresh, self._fresh + 1
        homeless = sum(key not in self._slots for key in parents)
        if homeless and not self._warned:
            self._warned = True
            missing = f"{homeless} of {len(parents)} parents of {self._genome_mib:.1f} MiB each"
            helps = "more --cache-size, another --cache or fewer --parents help"
            warnings.warn(
                f"the cache has no room for {missing}, which are bred again whenever they are needed: {helps}",
                stacklevel=2,
            )
        self._before = set(parents)

    def _ancestry(self, keys: Iterable[int]) -> dict[int, Recipe]:
        """Return the recipes of some ids and of all their ancestors."""
        found: dict[int, Recipe] = {}
        waiting = list(keys)
        while waiting:
            key = waiting.pop()
            if key not in found and key in self.recipes:
                found[key] = self.recipes[key]
                waiting.extend(found[key].parents)
        return found

    def _task(
        self,
        digest: bytes,
        context: SentContext | None,
        items: tuple[Any, ...],
        *,
        whole: bool,
        large: bool = False,
    ) -> Task:
        recipes = [item if isinstance(item, Recipe) else item[0] for item in items]
        parents = {parent for recipe in recipes for parent in recipe.parents}
        known = self._ancestry(parents) if whole else {key: self.recipes[key] for key in parents if key in self.recipes}
        if not large:
            known = {key: recipe for key, recipe in known.items() if len(recipe.drawn) <= MOST_DRAWN}
        useful = parents | {parent for recipe in known.values() for parent in recipe.parents}
        slots = tuple((key, self._slots[key]) for key in sorted(useful) if key in self._slots)
        keyframe = str(self._keyframe) if self._keyframe is not None else None
        places = self.token, str(self._place), digest, context, self.generation
        return Task(*places, items, tuple(known.values()), slots, keyframe, self._keyframe_history)

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Map a function over members, or over tuples whose first element is one; recipes travel, not weights.

        A function with an attribute ``generation`` is called with the run's.
        """
        sent = [_as_recipe(item) for item in items]
        if not all(isinstance(item if isinstance(item, Recipe) else item[0], Recipe) for item in sent):
            yield from self._map(function, sent)
            return
        context, digest = self._context(self._dumps(_without_generation(function)))
        sizes = list(self._group_sizes(len(sent)))
        groups = [tuple(sent[end - size : end]) for size, end in zip(sizes, itertools.accumulate(sizes), strict=True)]
        at_once = MOST_TASKS * self._workers
        for start in range(0, len(groups), at_once):
            yield from self._answers(digest, context, groups[start : start + at_once])

    def _answers(self, digest: bytes, context: SentContext, groups: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Send groups to the workers, again with all that they need where they lack it, and yield what is answered."""
        known = digest in self._digests
        self._digests.add(digest)
        tasks = [self._task(digest, None if known else context, group, whole=False) for group in groups]
        lacking: dict[int, tuple[Any, ...]] = {}
        waiting: dict[int, list[Any]] = {}
        for i, answer in enumerate(self._map(run_group, tasks)):
            if answer is None:
                lacking[i] = groups[i]
            elif lacking:
                waiting[i] = answer
            else:
                yield from answer
        content: bytes | None = None
        whole = all(len(self.recipes[key].drawn) <= MOST_DRAWN for key in self._before if key in self.recipes)
        while lacking:
            again = [self._task(digest, context, group, whole=whole, large=True) for group in lacking.values()]
            if content is not None:  # as many copies as are worth it: who lacks it may get any of the tasks
                copies = max(1, MOST_SENT // max(1, len(content)))
                again[:copies] = [task._replace(content=content) for task in again[:copies]]
            answers = dict(zip(lacking, self._map(run_group, again), strict=True))
            if content is not None and None in answers.values():  # the last resort is this process
                answers = dict(zip(lacking, map(run_group, again), strict=True))
            waiting.update({i: answer for i, answer in answers.items() if answer is not None})
            lacking = {i: group for i, group in lacking.items() if answers[i] is None}
            if lacking and not whole:  # what was too large to be sent with every task was not all
                whole = True
                continue
            if lacking and (content is not None or self._keyframe is None):
                raise LackingError(f"generation {self.generation} cannot be made of what is known of its ancestors")
            # A host that has no such file is sent it with one task, and keeps it for the others.
            content = self._keyframe.read_bytes() if lacking and self._keyframe is not None else None
        for i in sorted(waiting):
            yield from waiting[i]

    def _context(self, function: bytes) -> tuple[SentContext, bytes]:
        """Return what a worker needs to know of a pickled function, and its digest."""
        if function not in self._contexts:
            # Which objects pickle memoizes varies with who else holds them; without that the digest would too.
            context = self._breeder, pickletools.optimize(function), self._timeout
            known_by = b"".join((self.token.encode(), *context[:2]))  # another run has genomes of its own
            self._contexts[function] = context, hashlib.sha256(known_by).digest()[:12]
            while len(self._contexts) > MOST_CONTEXTS:
                self._contexts.pop(next(iter(self._contexts)))
        return self._contexts[function]

    def _group_sizes(self, members: int) -> Iterator[int]:
        """Tell how many members each task has: enough to be worth sending, and few towards the end.

        Each is a share of what is left, so that the processes end at about the same time (guided self-scheduling:
        C. D. Polychronopoulos and D. J. Kuck, IEEE Transactions on Computers C-36, 1987).
        """
        mates = self.breeder.mates
        most = 16 if self._genomes.size >= 1_000_000 else 256
        largest = self._group_size or max(mates, most // mates * mates)
        smallest = min(WORTHWHILE_WEIGHTS // max(1, self._genomes.size), -(-members // (2 * self._workers)))
        while members:
            size = self._group_size or max(smallest, -(-members // (4 * self._workers)))
            if self._workers == 1:
                size = largest
            elif size > 1 and not self._group_size:
                size += -size % mates  # all children of a group
            yield min(size, largest, members)
            members -= min(size, largest, members)

    def look(self, member: Any) -> Vector:
        """Return the weights of a member, valid until the next look or task; a light one stays light."""
        if not isinstance(member, LightMember):
            weights: Vector = member.flat
            return weights
        with busy:
            self._genomes.recipes, self._genomes.slots = self.recipes, self._slots
            (individual,) = self._genomes.individuals((member.recipe,), kept=True)
            weights = individual.flat
        return weights

    def weights(self, recipe: Recipe) -> Vector:
        """Return the genome of a recipe, bred here, as a new vector."""
        with busy:
            self._genomes.recipes, self._genomes.slots = self.recipes, self._slots
            flat = empty_vector(self._genomes.size)
            self._genomes.breed((recipe,), (flat,))
        return flat


def _close(token: str, genomes: Genomes) -> None:
    """Remove this host's cache: when nobody refers to the lineage any more, or the program ends."""
    contexts.clear()
    genomes_by_run.pop(token, None)
    if genomes.breeder.noise_table is not None:
        genomes.breeder.noise_table.forget()
    genomes.cache.remove()


def _as_recipe(item: Any) -> Any:
    """Return an item with its member replaced by the member's recipe."""
    if isinstance(item, tuple):
        return (getattr(item[0], "recipe", item[0]), *item[1:])
    return getattr(item, "recipe", item)


def _without_generation(function: Any) -> Any:
    """Return the function, or a copy whose generation is 0, so that its digest stays the same."""
    if isinstance(function, partial):
        return partial(_without_generation(function.func), *function.args, **function.keywords)
    if not hasattr(function, "generation"):
        return function
    still = copy.copy(function)
    still.generation = 0
    return still
