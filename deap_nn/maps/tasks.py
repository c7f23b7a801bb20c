"""Common parts of the maps: individuals by name, tasks as bytes, the data of these, and the set-up of a worker."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from deap_nn.breeding.slots import GenomeCache, default_place, free_bytes, slots_in, sweep
from deap_nn.breeding.task import unpickled
from deap_nn.core.errors import call_sendably
from deap_nn.core.registered import evaluation_of
from deap_nn.core.seeding import busy
from deap_nn.data.registry import LENT, DataReference, lend, made_of_arrays
from deap_nn.genome.vectors import Shape, copied_vector
from deap_nn.genome.weight_list import WeightList
from deap_nn.process.workers import dumps, end_with_parent


@dataclass(eq=False)
class TaskMap:
    """A map that sends its tasks as bytes.

    Parameters
    ----------
    send : callable
        Lets the workers apply `call` to each of some payloads, and yields the results in order.
    count : callable
        Returns the current number of processes that share the work.
    dumps : callable
        Pickles a task, in a form that ``pickle.loads`` can read in a worker.
    """

    send: Callable[[Sequence[bytes]], Iterable[Any]]
    count: Callable[[], int]
    dumps: Callable[[Any], bytes] = dumps

    @property
    def workers(self) -> int:
        """The current number of processes that share the work."""
        return self.count()

    def __call__(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
        """Return the function's results in order, as ``map`` does."""
        return self.send([self.dumps((function, arguments)) for arguments in zip(*iterables, strict=False)])


def call(payload: bytes) -> Any:
    """Do a task, in a worker."""
    function, arguments = unpickled(payload)  # from the process that started the worker, or its scheduler
    return call_sendably(function, *arguments)


def call_with(payload: bytes, references: Sequence[DataReference], *data: Any) -> Any:
    """Do a task in a worker with the data sets that the main process holds as arrays, and no earlier ones."""
    with busy:  # no data set is released during a task
        lend(dict(zip(references, data, strict=True)))
        return call(payload)


def call_with_files(payload: bytes, files: Mapping[DataReference, Path]) -> Any:
    """Do a task in a worker that reads the data sets of the main process from files, unless it has them."""
    with busy:
        lend({one: LENT[one] if one in LENT else _read(path) for one, path in files.items()})
        return call(payload)


def _read(path: Path) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)  # noqa: S301  (the main process, which started this one, has written it)


class Lending:
    """Sends each data set that the main process holds as arrays to the workers once, and not with each task.

    Parameters
    ----------
    put : callable
        Called with a data set; returns a reference to it for the workers.
    drop : callable
        Called with the reference of a data set that the main process holds no longer.
    """

    def __init__(self, put: Callable[[Any], Any], drop: Callable[[Any], object] = lambda reference: None) -> None:
        self._put, self._drop = put, drop
        self._lent: dict[DataReference, Any] = {}

    def __call__(self) -> dict[DataReference, Any]:
        """Return the workers' references of the data sets."""
        held = made_of_arrays()
        for gone in self._lent.keys() - held.keys():
            self._drop(self._lent.pop(gone))
        for new in held.keys() - self._lent.keys():
            self._lent[new] = self._put(held[new])
        return dict(self._lent)


def be_worker() -> None:
    """Ignore Ctrl-C, which a terminal sends to every process, and end when the main process has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))  # the process has inherited blocked signals
    parent = multiprocessing.parent_process()
    if parent is None:  # a rank of MPI, started by its launcher
        end_with_parent(signal.SIGKILL)
        return
    # The parent death signal of Linux would come when the starting thread ends; the sentinel is of the whole process.
    sentinel = parent.sentinel
    threading.Thread(target=lambda: [multiprocessing.connection.wait([sentinel]), os._exit(1)], daemon=True).start()


Map = Callable[..., Iterable[Any]]


class Named(NamedTuple):
    """An individual without its weights: their slot in a cache, and its other attributes."""

    token: str
    place: str
    slot: int
    key: int
    kind: type[WeightList]
    shapes: tuple[Shape, ...]
    extras: dict[str, Any]


_caches: dict[str, GenomeCache] = {}


def _individual(named: Named) -> WeightList | None:
    """Return a copy of the individual, or None if its weights are not, or no longer, on this host."""
    size = sum(prod(shape) for shape in named.shapes)
    if named.token not in _caches:
        forget()
        _caches[named.token] = GenomeCache(named.token, size, Path(named.place))
    cache = _caches[named.token]
    found = cache.read(named.slot, named.key)
    if found is None:
        return None
    flat = copied_vector(found)
    # The read takes no lock: if the slot has another key now, the copy may be torn.
    if not cache.holds(named.slot, named.key):
        return None
    individual = named.kind._wrapped(flat, named.shapes)
    vars(individual).update(named.extras)
    return individual


def forget() -> None:
    """Close the caches of earlier maps in this process."""
    for token in list(_caches):
        _caches.pop(token).close()


class CallNamed:
    """Calls a function with a named individual; returns None if the individual is not available on this host."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.may_be_done_twice = evaluation_of(function).may_be_done_twice

    def __call__(self, named: Named) -> tuple[Any] | None:
        """Return the result in a tuple, or None."""
        individual = _individual(named)
        if individual is None:
            return None
        return (call_sendably(self.function, individual),)


class SharedMap:
    """Map a function over individuals: workers on this host get their names, workers elsewhere their weights.

    Items other than `WeightList` s of the same shapes are mapped unchanged.

    Parameters
    ----------
    map : callable
        The map that sends tasks, such as ``scoop.futures.map``.
    place : Path, optional
        The folder of the cache. Default: shared memory, or the temporary folder if that has more room.
    """

    def __init__(self, map: Map, place: Path | None = None) -> None:
        self._map = map
        self._place = place or default_place()
        self._key = 0
        self._lock = threading.RLock()  # two threads would write into one slot
        self._token, self._size, self._room = "", 0, 0
        self._finalizer = weakref.finalize(self, _close, "")

    def __call__(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterable[Any]:
        """Return the function's results in order, as ``map`` does."""
        if len(iterables) != 1:
            return self._map(function, *iterables)
        items = list(iterables[0])
        if not all(isinstance(item, WeightList) for item in items) or len({item.shapes for item in items}) != 1:
            return self._map(function, items)
        with self._lock:
            return self._by_names(function, items)

    def _by_names(self, function: Callable[..., Any], items: list[WeightList]) -> list[Any]:
        names: list[Named] = []
        answers: dict[int, Any] = {}
        for number, answer in enumerate(self._map(CallNamed(function), self._naming(items, names))):
            if answer is not None:
                answers[names[number].slot] = answer[0]
        lacking = [slot for slot in range(len(items)) if slot not in answers]
        answers.update(zip(lacking, self._map(function, [items[slot] for slot in lacking]), strict=True))
        return [answers[slot] for slot in range(len(items))]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the map without its cache: a copy starts with an empty one."""
        return SharedMap, (self._map, self._place)

    def _naming(self, items: Iterable[WeightList], names: list[Named]) -> Iterator[Named]:
        """Yield the names of the individuals that fit, lazily: workers start before the last one is copied."""
        for slot, item in enumerate(items):
            name = self._name(slot, item)
            if name is not None:
                names.append(name)
                yield name

    def _name(self, slot: int, item: WeightList) -> Named | None:
        """Write an individual's weights into a slot and return its name; None if there is no room."""
        item = item.transient()
        flat = item.flat
        cache = self._cache_for(flat.size)
        if slot >= self._room:
            return None
        self._key += 1
        with cache.writing(slot, self._key) as room:
            if room is not None:
                room[:] = flat
        if not cache.holds(slot, self._key):
            return None
        return Named(self._token, str(self._place), slot, self._key, type(item), item.shapes, item._extras())

    def _cache_for(self, size: int) -> GenomeCache:
        if self._size != size or self._token not in _caches:
            self.close()
            sweep(self._place)
            self._token, self._size = uuid.uuid4().hex, size
            _caches[self._token] = GenomeCache(self._token, size, self._place)
            self._room = slots_in(free_bytes(self._place), size)
            self._finalizer = weakref.finalize(self, _close, self._token)
        return _caches[self._token]

    @property
    def workers(self) -> int | None:
        """The number of processes that share the work, if the wrapped map has it."""
        return getattr(self._map, "workers", None)

    @property
    def dumps(self) -> Callable[[Any], bytes] | None:
        """The function that pickles for the workers, if the wrapped map has one."""
        return getattr(self._map, "dumps", None)

    def close(self) -> None:
        """Remove the weights of the last call; the next call makes a new cache."""
        self._finalizer()


def _close(token: str) -> None:
    """Remove the weights, when the map is garbage-collected or the program ends."""
    if token in _caches:
        _caches.pop(token).remove()
