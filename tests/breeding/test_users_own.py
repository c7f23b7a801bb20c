"""A DEAP user's own evaluations, containers, callbacks, threads and operators under the loop."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from deap import base, creator, tools
from reference_loop import reference
from wirings import LAYOUT, TABLE, evolve_toolbox, result, sum_of_squares, wired

from deap_nn import Individual, WeightList, cxScanning, elementwise, initNormal, mutGaussianAdaptive
from deap_nn.breeding.founders import initPopulation
from deap_nn.core.errors import EvaluationError
from deap_nn.core.seeding import seeded, takes


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

    evolve_toolbox(wired(), n=4, ngen=3, group_size=1, callbacks=[ask])
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
        evolve_toolbox(toolbox, n=8, ngen=3)


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


OWN = np.random.default_rng(5)


def numbers(individual, *, rng=None):
    rng = OWN if rng is None else rng
    individual[:] = [value + rng.standard_normal() for value in individual]
    return (individual,)


def test_elementwise_hands_the_stream_to_its_operator():
    assert takes(elementwise(numbers), "rng")
    assert not takes(elementwise(tools.mutGaussian, mu=0, sigma=1, indpb=1), "rng")
    assert result(wired(mutate=elementwise(numbers))) == reference(wired(mutate=elementwise(numbers)))


def test_the_compiled_pass_takes_what_it_knows():
    def made(loop):
        try:
            return loop(wired(mutate=partial(mutGaussianAdaptive, noise=TABLE)))
        except TypeError as error:
            return str(error)

    assert made(result) == made(reference)


def test_a_function_that_is_changed_in_place_is_named():
    def change(run):
        run.toolbox.mutate.keywords["indpb"] = 0.0

    toolbox = wired()
    with pytest.raises(ValueError, match="mutate was registered again before generation 1: it cannot change"):
        evolve_toolbox(toolbox, n=8, ngen=3, callbacks=[change])


IN_A_TUPLE = r"mutate must return its individual in a tuple, got {}: end <lambda> with return \(individual,\)"


def the_same_twice(first, second):
    return first, first


def an_array(individual):
    return (np.zeros(LAYOUT.size, np.float32),)


def other_shapes(individual):
    return (WeightList([np.zeros((2, 2))]),)


def longer(individual):
    individual.append(np.zeros(2, np.float32))
    return (individual,)


@pytest.mark.parametrize(
    ("registered", "said"),
    [
        ({"mate": lambda first, second: ()}, "mate must return its 2 individuals, got 0"),
        ({"mate": lambda first, second: 5}, "mate must return its 2 individuals, got int"),
        ({"mate": lambda first, second: None}, "2 individuals, got NoneType from .*: end it with a return"),
        ({"mutate": lambda individual: None}, IN_A_TUPLE.format("NoneType")),
        ({"mutate": lambda individual: individual}, IN_A_TUPLE.format("Individual")),
        ({"mutate": lambda individual: ()}, IN_A_TUPLE.format("tuple")),
        ({"individual": lambda: None}, "^individual must return an individual, not None: end <lambda> with a return$"),
        ({"select": lambda members, k: None}, "^select must return a list of individuals, not None: end <lambda> with"),
        ({"mate": the_same_twice}, "mate must return 2 different individuals, got the same one twice from the_same"),
        ({"mutate": an_array}, r"mutate must return its individual with the shapes .*, got ndarray from an_array"),
        ({"mutate": other_shapes}, r"mutate must return its individual with the shapes .* got \(\(2, 2\),\) from"),
        ({"mutate": longer}, r"mutate must return its individual with the shapes .* from longer"),
    ],
)
def test_what_an_operator_returns_is_checked(registered, said):
    with pytest.raises((TypeError, ValueError, EvaluationError), match=said):
        result(wired(**registered))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mates", 1, "toolbox.mates must be an integer of at least 2, got 1"),
        ("mates", 2.7, "toolbox.mates must be an integer of at least 2, got 2.7"),
        ("mates", "3", "toolbox.mates must be an integer of at least 2, got '3'"),
        ("mates", 300, "toolbox.mates must be at most 256, got 300"),
    ],
)
def test_numbers_that_a_script_sets_are_checked_before_the_run(name, value, said):
    called = []
    toolbox = wired(mate=cxScanning, evaluate=called.append)
    setattr(toolbox, name, value)
    with pytest.raises((TypeError, ValueError), match=f"^{said}$"):
        evolve_toolbox(toolbox, n=4, ngen=1)
    assert called == []
