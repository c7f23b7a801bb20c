"""A DEAP user's own evaluations, containers, callbacks and threads under the loop."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from deap import base, creator, tools
from limits import evolve
from wirings import LAYOUT, result, sum_of_squares, wired

from deap_nn import Individual, WeightList, initNormal
from deap_nn.breeding.founders import initPopulation
from deap_nn.core.seeding import seeded


class Counting:
    """The sum of squares, which counts its calls and keeps the generations that it scores in."""

    generation = 0

    def __init__(self):
        self.seen = []

    def __call__(self, individual):
        self.seen.append(self.generation)
        return sum_of_squares(individual)


def test_without_worker_processes_the_registered_object_itself_scores():
    counting = Counting()
    result(wired(evaluate=counting), n=4, ngen=2)
    assert counting.seen == [0] * 4 + [1] * 4 + [2] * 4


class KeepsTheBest:
    """The sum of squares, which keeps the individual with the lowest."""

    best, value = None, 1e9

    def __call__(self, individual):
        (value,) = sum_of_squares(individual)
        if value < self.value:
            self.value, self.best = value, individual
        return (value,)


def test_what_an_evaluate_keeps_stays_what_it_scored():
    keeping = KeepsTheBest()
    result(wired(evaluate=keeping), group_size=3)
    assert sum_of_squares(keeping.best) == (keeping.value,)


def test_answers_that_are_taken_later_are_of_the_generation_in_which_they_were_asked_for():
    counting, asked, taken = Counting(), [], []

    def ask(run):
        if run.generation == 1:
            asked.append(iter(run.map(counting, list(run.population))))
        if run.generation in (1, 3):
            taken.extend(next(asked[0]) for _ in range(2))

    toolbox = wired()
    evolve(toolbox.population(n=4), toolbox, 3, seed=1, group_size=1, callbacks=[ask])
    assert len(taken) == 4
    assert counting.seen == [1] * 4


@pytest.fixture
def stepped():
    creator.create("SteppedFitness", base.Fitness, weights=(-1.0,))
    creator.create("Stepped", WeightList, fitness=creator.SteppedFitness, step=float)
    yield creator.Stepped
    del creator.Stepped, creator.SteppedFitness


def test_members_of_a_container_with_attributes_are_refused(stepped):
    toolbox = wired(individual=partial(initNormal, stepped, LAYOUT))
    with pytest.raises(ValueError, match=r"individuals have an attribute 'step', and recipes have none: .*eaSimple"):
        evolve(toolbox.population(n=8), toolbox, 3, seed=1)


def test_founders_keep_what_the_function_sets(stepped):
    def particle(*, rng):
        made = initNormal(stepped, LAYOUT, rng=rng)
        made.speed = [0.5] * LAYOUT.size
        made.smax = 2.0
        return made

    toolbox = base.Toolbox()
    toolbox.register("individual", particle)
    members = initPopulation(toolbox, 1, 3)
    assert [member.smax for member in members] == [2.0] * 3
    assert len(members[2].speed) == LAYOUT.size


def test_threads_read_a_light_member_once():
    started = threading.Barrier(8)

    def write(place):
        started.wait(60)
        member.flat[place] = 7.0

    for _ in range(20):
        member = wired().population(n=1)[0]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(write, range(8)))
        assert member.flat[:8].tolist() == [7.0] * 8
        assert type(member) is Individual


def test_threads_draw_from_the_global_state_in_turn():
    drawing = threading.Event()

    def slowly():
        drawing.set()
        time.sleep(0.2)
        return random.random()

    def more_slowly():
        time.sleep(0.4)
        return random.random()

    alone = seeded(slowly, np.random.default_rng(1))()
    drawing.clear()
    random.seed(7)
    before = random.getstate()
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(seeded(slowly, np.random.default_rng(1)))
        assert drawing.wait(60)
        slower = threads.submit(seeded(more_slowly, np.random.default_rng(2)))
        assert slow.result() == alone != slower.result()
    assert random.getstate() == before


@pytest.mark.parametrize("given", [{"halloffame": tools.HallOfFame}, {"stats": tools.Statistics}])
def test_a_class_in_place_of_an_object_is_named(given):
    [(name, kind)] = given.items()
    with pytest.raises(TypeError, match=rf"^{name} must have a method .*: {kind.__name__}\(...\) makes one$"):
        evolve(wired().population(n=4), wired(), 1, seed=1, **given)
