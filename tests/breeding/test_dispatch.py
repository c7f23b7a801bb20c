"""Recipes on their way to the workers of a map, and what is sent again."""

import gc
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import evolve, limited
from own_callbacks import Watch
from reference_loop import reference
from wirings import FOUR_WITH_OPPOSITES, OtherHost, made_breeder, result, wired

from deap_nn.breeding import dispatch
from deap_nn.breeding.kinds import Centre, Founder
from deap_nn.breeding.lineage import Lineage
from deap_nn.breeding.task import MOST_CONTEXTS
from deap_nn.core.errors import EvaluationError
from deap_nn.process.workers import worker_count


@given(
    members=st.integers(0, 2000),
    workers=st.integers(1, 9),
    weights=st.sampled_from([3_000_000, 50_000]),
    mates=st.sampled_from([2, 3, 4]),
    block=st.sampled_from([1, 4]),
)
def test_groups_hold_everybody_and_keep_siblings_and_blocks_together(members, workers, weights, mates, block):
    sizes = list(dispatch.group_sizes(members, workers, weights=weights, mates=mates, block=block))
    assert sum(sizes) == members
    assert all(size >= 1 for size in sizes)
    assert max(sizes, default=0) <= (16 if weights == 3_000_000 else 256)
    assert sizes == sorted(sizes, reverse=True)
    whole = [size for size in sizes if size > 1]
    assert all(size % mates == 0 for size in whole[:-1])
    assert all(size % block == 0 for size in sizes[:-1])
    assert sizes.count(1) <= 4 * workers


@pytest.mark.parametrize("registered", [{}, FOUR_WITH_OPPOSITES], ids=["pairs", "four with opposites"])
@pytest.mark.parametrize("group_size", [1, 3, 5, 100])
def test_groups_and_threads_change_nothing(registered, group_size):
    expected = reference(wired(**registered))
    assert result(wired(**registered), group_size=group_size) == expected
    with ThreadPoolExecutor(3) as pool:
        assert result(wired(**registered, map=pool.map), group_size=group_size) == expected


def test_a_large_population_is_given_to_the_map_in_parts(monkeypatch):
    monkeypatch.setattr(dispatch, "MOST_TASKS", 2)
    monkeypatch.setattr("deap_nn.breeding.dispatch.worker_count", lambda map_: 1)
    calls = []

    def noting(function, tasks):
        calls.append(len(list(tasks)))
        return map(function, tasks)

    assert result(wired(map=noting), group_size=3, n=20) == reference(wired(), n=20)
    assert [count for count in calls if count] == 7 * [2, 2, 2, 1]  # nothing lacks, so nothing is sent again


def test_work_is_shared_out_for_any_map_but_the_built_in_one():
    assert worker_count() == worker_count(map) == worker_count(partial(map)) == 1
    with ThreadPoolExecutor(3) as pool:
        assert worker_count(pool.map) == os.cpu_count()


def test_a_task_is_small():
    sizes = []

    def measured(function, tasks):
        tasks = list(tasks)
        sizes.append((len(tasks), sum(len(pickle.dumps(task, pickle.HIGHEST_PROTOCOL)) for task in tasks)))
        return [function(task) for task in tasks]

    evolve(wired().population(n=64), wired(map=measured), 4, seed=1, group_size=8)
    later = [size for tasks, size in sizes[2:] if tasks == 8]
    assert later
    assert max(later) / 64 < 200  # bytes a child


def test_a_centre_too_large_for_every_task_reaches_a_host_that_lacks_it(tmp_path, monkeypatch):
    """A host without the cache is sent the recipe of the centre first, and all its ancestors only if it knows none."""
    monkeypatch.setattr("deap_nn.breeding.ancestry.MOST_DRAWN", 8)
    around = {"step": 2.5}
    expected, sent = result(wired(**around)), []

    elsewhere = OtherHost(tmp_path, sent)
    assert result(wired(**around, map=elsewhere), group_size=4) == expected
    elsewhere.forget()
    centres = [
        sum(isinstance(recipe, Centre) for recipe in task.known.values()) for task in sent if task.generation == 6
    ]
    assert set(centres) == {0, 1}


def test_a_host_keeps_runs_apart_that_differ_in_what_it_is_not_sent(tmp_path):
    elsewhere = OtherHost(tmp_path, [])
    for twice in (0, 10):  # the parents have the same ids and slots, and other mates

        def select(population, k, twice=twice):
            return [population[place] for place in sorted([*range(11), twice])]

        assert result(wired(map=elsewhere, select=select), ngen=2) == reference(wired(select=select), ngen=2)
    elsewhere.forget()


def shifted(individual, by):
    return float(individual.flat[0]) + by


def test_a_host_may_be_sent_more_functions_than_it_keeps(tmp_path):
    def look(evolution):
        for by in [*range(MOST_CONTEXTS), MOST_CONTEXTS, 0, 0]:
            sent.clear()
            if not by:
                elsewhere.forget()
            found = list(evolution.map(partial(shifted, by=by), evolution.population))
            assert found == [shifted(member, by) for member in evolution.population]
            assert len(sent) <= 2  # once without the function, and once with it

    sent = []
    elsewhere = OtherHost(tmp_path, sent)
    result(wired(map=elsewhere), ngen=1, group_size=12, callbacks=[Watch(look)])
    elsewhere.forget()


def test_a_cache_stays_until_what_is_mapped_is_done(tmp_path):
    toolbox = wired()
    breeder = made_breeder(toolbox)
    with limited(cache=tmp_path, group_size=1):
        lineage = Lineage(breeder, map)
        lineage.replace([], lineage.present([Founder(place) for place in range(4)]), 1, 0.1)
        answers = lineage.map(toolbox.evaluate, iter(lineage.members([Founder(0)] * 2)))
        next(answers)
    closing, lineage = lineage.close, None
    gc.collect()
    assert closing.alive
    assert len(list(answers)) == 1
    gc.collect()
    assert not closing.alive
    assert not list(tmp_path.iterdir())


def backwards(function, items):
    """A map that answers in another order, as ``imap_unordered`` of a pool may."""
    return [function(item) for item in items][::-1]


def only_first(function, items):
    return [function(item) for item in items][:1]


def first_twice(function, items):
    answers = [function(item) for item in items]
    return [*answers, answers[0]]


def test_answers_out_of_order_are_put_at_their_places():
    assert result(wired(map=backwards), group_size=2) == reference(wired())


@pytest.mark.parametrize(("map_", "said"), [(only_first, "no answer to a task"), (first_twice, "more answers")])
def test_too_few_and_too_many_answers_are_an_error(map_, said):
    with pytest.raises(EvaluationError, match=f"^generation 0: the map gave {said}"):
        result(wired(map=map_), group_size=2)
