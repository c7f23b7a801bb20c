"""A map that shares individuals by files sends names, and weights only where it must."""

import contextlib
import copy
import pickle
import threading
import time

import numpy as np

from deap_nn import Individual, WeightList
from deap_nn.breeding.slots import GenomeCache
from deap_nn.maps.tasks import SharedMap, forget


def seen(individual):
    return type(individual), individual.flat.sum(), individual.shapes, individual.fitness.values, individual.sigma


def torn(cache, slot, key, read=GenomeCache.read):
    """What is read while another process writes into the slot."""
    found = read(cache, slot, key)
    if found is not None:
        with cache.writing(slot, key + 99) as room:
            room[:] = 0
    return found


def test_a_shared_map_sends_names_and_weights_where_it_must(tmp_path, monkeypatch):
    individuals = [Individual([np.full((40, 30), i), np.full(9, -i)]) for i in range(6)]
    for i, individual in enumerate(individuals):
        individual.fitness.values = (i,)
        individual.sigma = 0.5
    sent, reads = [], [GenomeCache.read]

    def sending(function, tasks):
        tasks = pickle.loads(pickle.dumps(list(tasks)))
        sent.append(len(pickle.dumps(tasks)))
        with monkeypatch.context() as there:
            there.setattr(GenomeCache, "read", reads[-1])
            return [function(task) for task in tasks]

    shared = SharedMap(sending, tmp_path)
    assert list(shared(seen, individuals)) == list(map(seen, individuals))
    assert sent[0] < 6 * 800 < 6 * individuals[0].flat.nbytes
    for read in (lambda *_: None, torn):  # the first as on a host that has none of them
        reads.append(read)
        assert list(shared(seen, individuals)) == list(map(seen, individuals))
    mixed = [*individuals, WeightList([np.zeros(2)])]
    assert list(shared(len, mixed)) == [2] * 6 + [1]
    assert list(shared(len, ["ab", "c"])) == [2, 1]
    assert list(SharedMap(map, tmp_path)(pow, [2, 3], [4, 2])) == [16, 9]
    assert list(tmp_path.iterdir())
    shared.close()
    assert not list(tmp_path.iterdir())


def test_a_shared_map_keeps_apart_what_threads_map(tmp_path, monkeypatch):
    found, writing = [], GenomeCache.writing

    @contextlib.contextmanager
    def slowly(*given):
        with writing(*given) as room:
            yield room
        time.sleep(0.001)

    monkeypatch.setattr(GenomeCache, "writing", slowly)

    def repeat(value):
        for _ in range(20):
            found.append(list(shared(total, [Individual([np.full(90_000, value)])])) == [90_000 * value])

    with contextlib.closing(SharedMap(map, tmp_path)) as shared:
        threads = [threading.Thread(target=repeat, args=(value,)) for value in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [True] * 60


def test_a_copy_of_a_shared_map_has_a_cache_of_its_own(tmp_path):
    individuals = [Individual([np.full(9, i)]) for i in range(3)]
    with contextlib.closing(SharedMap(map, tmp_path)) as shared:
        assert list(shared(total, individuals)) == [0, 9, 18]
        twin = copy.deepcopy(shared)
    with contextlib.closing(twin):
        assert list(twin(total, individuals)) == [0, 9, 18]
        assert list(tmp_path.iterdir())
    assert isinstance(pickle.loads(pickle.dumps(SharedMap(map))), SharedMap)


def test_a_map_may_be_closed_after_its_process_has_forgotten_all_maps(tmp_path):
    """As one is that an exception has kept alive until the process does the task of another map."""
    shared = SharedMap(map, tmp_path)
    assert list(shared(total, [Individual([[1.0, 2.0]])])) == [3.0]
    forget()
    shared.close()
    assert not list(tmp_path.iterdir())


def total(individual):
    return float(individual.flat.sum())


def test_a_shared_map_copies_a_member_when_its_task_is_taken(tmp_path, monkeypatch):
    copied, counts = [], []
    writing = GenomeCache.writing
    monkeypatch.setattr(GenomeCache, "writing", lambda self, slot, key: copied.append(slot) or writing(self, slot, key))

    def one_by_one(function, tasks):
        for task in tasks:
            counts.append(len(copied))
            yield function(task)

    with contextlib.closing(SharedMap(one_by_one, tmp_path)) as shared:
        assert list(shared(len, [WeightList([np.zeros(9)]) for _ in range(4)])) == [1] * 4
    assert counts == [1, 2, 3, 4]
