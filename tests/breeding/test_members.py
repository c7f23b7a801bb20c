"""What a callback may do with members: score changed copies, keep them, write to them."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from limits import evolve
from own_callbacks import Watch
from wirings import result, sum_of_squares, wired

from deap_nn import Callback, Individual, make_toolbox
from deap_nn.breeding.store.ancestors import LackingError
from deap_nn.core.logbooks import rows_of
from deap_nn.genome.population import LightMember


class Squares:
    """Notes in which generation it was asked."""

    generation = 0

    def __call__(self, individual):
        return (*sum_of_squares(individual), self.generation)


def test_what_is_mapped_is_scored_as_it_is():
    found, wanted = [], []

    def look(evolution):
        best, evaluate = evolution.best, evolution.toolbox.evaluate
        changed = copy.deepcopy(best)
        changed.flat[:] = np.arange(changed.flat.size)
        (mutated,) = evolution.toolbox.mutate(copy.deepcopy(best), rng=np.random.default_rng(1))
        fresh = Individual([matrix + 1 for matrix in best])
        same, light = copy.deepcopy(best), evolution.population[-1]
        some = [changed, mutated, same, fresh, light]
        found.extend(evolution.map(evaluate, some[:3]))
        found.extend(evolution.map(evaluate, some))
        found.extend(evolution.map(Squares(), some))
        wanted.extend([*map(sum_of_squares, some[:3]), *map(sum_of_squares, some)])
        wanted.extend((*sum_of_squares(individual), evolution.generation) for individual in some)

    result(wired(), callbacks=[Watch(look)])
    assert found == wanted
    assert len({values[0] for values in wanted[:3]}) == 3


def test_copies_that_are_as_they_were_travel_as_recipes(monkeypatch):
    sent = []

    def look(evolution):
        sent.clear()
        some = [copy.deepcopy(evolution.best), evolution.best, evolution.population[-1]]
        assert list(evolution.map(evolution.toolbox.evaluate, some)) == [one.fitness.values for one in some]

    def noting(function, tasks):
        tasks = list(tasks)
        sent.extend(type(task).__name__ for task in tasks)
        return map(function, tasks)

    result(wired(map=noting), callbacks=[Watch(look)])
    assert set(sent) == {"Task"}


def test_a_member_that_cannot_be_made_any_more_says_what_to_do(tmp_path):
    kept = []
    watch = Watch(lambda evolution: kept.append(evolution.best))
    evolve(wired().population(n=12), wired(), 6, seed=1, callbacks=[watch], checkpoint=tmp_path, keyframe_seconds=0)
    assert isinstance(kept[1], LightMember)
    with pytest.raises(
        LackingError, match=r"of generation 1 can no longer be bred in generation 6: copy it in its own"
    ):
        kept[1].flat  # noqa: B018  (it raises)


def test_a_copy_outlives_what_a_keyframe_forgets(tmp_path):
    kept, found = [], []

    def look(evolution):
        kept.append(copy.deepcopy(evolution.best))
        found.append(list(evolution.map(evolution.toolbox.evaluate, kept)))

    options = {"callbacks": [Watch(look)], "checkpoint": tmp_path, "keyframe_seconds": 0}
    evolve(wired().population(n=12), wired(), 6, seed=1, **options)
    assert found[-1] == [sum_of_squares(individual) for individual in kept]


class Doubled:
    """A fitness of one's own around one that has a mini-batch a generation."""

    def __init__(self, evaluate):
        self.evaluate = evaluate

    def __call__(self, individual):
        return (2 * self.evaluate(individual)[0],)


def test_what_is_sent_with_its_weights_is_scored_on_the_same_mini_batch(digits):
    found = []

    def look(evolution):
        twin, changed = copy.deepcopy(evolution.best), copy.deepcopy(evolution.best)
        changed.flat[0] += 1
        *_, (of_best,) = evolution.map(evolution.toolbox.evaluate, [changed, twin])
        found.append(of_best == evolution.best.fitness.values[0])
        found.append(evolution.map(evolution.toolbox.evaluate, [changed]) is not None)

    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("evaluate", Doubled(toolbox.evaluate))
    evolve(toolbox.population(n=6), toolbox, 4, seed=1, callbacks=[Watch(look)])
    kept = []

    def of_an_earlier_one(evolution):
        kept.append(copy.deepcopy(evolution.best))
        (value,) = next(iter(evolution.map(evolution.toolbox.evaluate, [kept[0]])))
        wanted = copy.copy(toolbox.evaluate.func.evaluate.func)
        wanted.generation = evolution.generation
        found.append(value == 2 * wanted(kept[0])[0])

    evolve(toolbox.population(n=6), toolbox, 4, seed=1, callbacks=[Watch(of_an_earlier_one)])
    assert found == [True] * 15


def test_threads_may_map_changed_members_beside_light_ones():
    def look(evolution):
        changed = copy.deepcopy(evolution.best)
        changed.flat[:] = 1
        tasks = [(member, i) for member in (changed, *evolution.population) for i in range(20)]
        answers = list(evolution.map(first, tasks))
        assert answers == [first((member, i)) for member, i in tasks]

    with ThreadPoolExecutor(8) as pool:
        result(wired(map=pool.map), callbacks=[Watch(look)])


def first(task):
    return float(task[0].flat[0]), task[1]


@pytest.mark.parametrize("seconds", [0, None])
def test_what_is_written_to_a_member_is_in_no_keyframe(tmp_path, seconds):
    class Halving(Callback):
        best = None

        def on_generation(self, evolution):
            self.best = evolution.best
            self.best.flat[:] = 0

        def members(self):
            return () if self.best is None else (self.best,)

    options = {"callbacks": [Halving()], "checkpoint": tmp_path, "keyframe_seconds": seconds}
    toolbox = wired()
    _, logbook = evolve(toolbox.population(n=12), toolbox, 6, seed=1, **options)
    assert rows_of(logbook) == result(wired())[1]
