"""What a DEAP user's own operators, containers and callbacks do is done, or named in one line."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from deap import base, creator, tools
from wirings import LAYOUT, TABLE, result, sum_of_squares, wired

from deap_nn import (
    Callback,
    Individual,
    WeightList,
    cxBiased,
    cxMask,
    cxScanning,
    elementwise,
    evolve,
    initNormal,
    make_toolbox,
    mutGaussianAdaptive,
)
from deap_nn.breeding.founders import initPopulation
from deap_nn.core.logbooks import rows_of
from deap_nn.core.seeding import seeded, takes
from deap_nn.operators.elitism import Elitism

OWN = np.random.default_rng(5)


def drawing_from_its_own(individual):
    individual.flat[:] += OWN.standard_normal(LAYOUT.size).astype(np.float32)
    return (individual,)


def founding_from_its_own():
    return Individual([OWN.standard_normal(shape) for shape in LAYOUT.shapes])


def mating_by_its_own(first, second):
    first.flat[:] = np.where(OWN.random(LAYOUT.size) < 0.5, first.flat, second.flat)
    return first, second


@pytest.mark.parametrize(
    ("registered", "name"),
    [
        ({"mutate": drawing_from_its_own}, "drawing_from_its_own"),
        ({"individual": founding_from_its_own}, "founding_from_its_own"),
        ({"mate": mating_by_its_own}, "mating_by_its_own"),
    ],
)
def test_an_operator_with_a_generator_of_its_own_is_named(registered, name):
    said = f"{name} makes another genome of the same random stream: let it take rng as a keyword"
    with pytest.raises(ValueError, match=said):
        result(wired(**registered))
    result(wired(**registered), breeding="plain")


def numbers(individual, *, rng=None):
    rng = OWN if rng is None else rng
    individual[:] = [value + rng.standard_normal() for value in individual]
    return (individual,)


def test_elementwise_hands_the_stream_to_its_operator():
    assert takes(elementwise(numbers), "rng")
    assert not takes(elementwise(tools.mutGaussian, mu=0, sigma=1, indpb=1), "rng")
    assert result(wired(mutate=elementwise(numbers))) == result(wired(mutate=elementwise(numbers)), breeding="plain")


class Counting:
    """The sum of squares, which counts its calls and keeps the generations that it scores in."""

    generation = 0

    def __init__(self):
        self.seen = []

    def __call__(self, individual):
        self.seen.append(self.generation)
        return sum_of_squares(individual)


@pytest.mark.parametrize("breeding", ["recipes", "plain"])
def test_without_worker_processes_the_registered_object_itself_scores(breeding):
    counting = Counting()
    result(wired(evaluate=counting), n=4, ngen=2, breeding=breeding)
    assert counting.seen == [0] * 4 + [1] * 4 + [2] * 4


class KeepsTheBest:
    """The sum of squares, which keeps the individual with the lowest."""

    best, value = None, 1e9

    def __call__(self, individual):
        (value,) = sum_of_squares(individual)
        if value < self.value:
            self.value, self.best = value, individual
        return (value,)


@pytest.mark.parametrize("breeding", ["recipes", "plain"])
def test_what_an_evaluate_keeps_stays_what_it_scored(breeding):
    keeping = KeepsTheBest()
    result(wired(evaluate=keeping), breeding=breeding, **({"group_size": 3} if breeding == "recipes" else {}))
    assert sum_of_squares(keeping.best) == (keeping.value,)


def test_answers_that_are_taken_later_are_of_the_generation_in_which_they_were_asked_for():
    counting, asked, taken = Counting(), [], []

    def ask(run):
        if run.generation == 1:
            asked.append(iter(run.map(counting, list(run.population))))
        if run.generation in (1, 3):
            taken.extend(next(asked[0]) for _ in range(2))

    toolbox = wired()
    evolve(toolbox.population(n=4), toolbox, 3, seed=1, group_size=1, on_generation=ask)
    assert len(taken) == 4
    assert counting.seen == [1] * 4


@pytest.fixture
def stepped():
    creator.create("SteppedFitness", base.Fitness, weights=(-1.0,))
    creator.create("Stepped", WeightList, fitness=creator.SteppedFitness, step=float)
    yield creator.Stepped
    del creator.Stepped, creator.SteppedFitness


def by_step(individual, *, rng):
    individual.step = max(individual.step, 0.05) * float(np.exp(0.2 * rng.standard_normal()))
    individual.flat[:] += np.float32(individual.step) * rng.standard_normal(LAYOUT.size, dtype=np.float32)
    return (individual,)


def test_attributes_of_a_container_are_bred_in_the_plain_way(stepped):
    seen = []
    for breeding in ("recipes", "plain"):
        toolbox = wired(individual=partial(initNormal, stepped, LAYOUT), mutate=by_step)
        population, logbook = evolve(toolbox.population(n=8), toolbox, 3, seed=1, breeding=breeding)
        seen.append(([member.step for member in population], rows_of(logbook)))
    assert seen[0] == seen[1]
    assert min(seen[0][0]) > 0


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


@pytest.mark.parametrize("words", [{}, {"sigma": 0.1, "mirrored": True}], ids=["no sigma", "mirrored"])
def test_the_compiled_pass_takes_what_it_knows(words):
    def made(**options):
        try:
            return result(wired(mutate=partial(mutGaussianAdaptive, noise=TABLE, **words)), **options)
        except TypeError as error:
            return str(error)

    assert made() == made(breeding="plain")


def passing(function):
    return lambda *arguments, **keywords: function(*arguments, **keywords)


def test_a_decorated_crossover_keeps_the_order_of_its_individuals(digits):
    def made(*decorators, **words):
        toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16, **words)
        toolbox.decorate("mate", *decorators)
        return [row["min"] for row in evolve(toolbox.population(n=12), toolbox, 3, breeding="plain")[1]]

    biased = {"crossover": "biased", "indpb": 0.0, "sigma": 0.0}
    assert made(passing, **biased) == made(**biased)
    assert made(passing) == made()


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


def scored_as(value):
    kind = type("Lowest", (base.Fitness,), {"weights": (-1.0,)})
    return SimpleNamespace(fitness=kind((value,)))


def test_an_elite_keeps_its_mean_in_a_population_that_is_sorted():
    elitism = Elitism(1, 10)
    members = [scored_as(3.0), scored_as(1.0), scored_as(2.0)]
    elitism.scored(members)
    assert elitism.choose(members) == [members[1]]
    assert elitism.averaged(2, (3.0,)) == (2.0,)
    members = [scored_as(9.0), scored_as(8.0), scored_as(2.0)]
    elitism.scored(members)
    members.reverse()  # as a callback that sorts them
    assert elitism.choose(members) == [members[0]]
    assert elitism.averaged(2, (5.0,)) == (3.0,)


def test_a_function_that_is_changed_in_place_is_named():
    def change(run):
        run.toolbox.mutate.keywords["indpb"] = 0.0

    toolbox = wired()
    with pytest.raises(ValueError, match="mutate was registered again before generation 1: it cannot change"):
        evolve(toolbox.population(n=8), toolbox, 3, seed=1, on_generation=change)
    toolbox = wired()
    evolve(toolbox.population(n=8), toolbox, 3, seed=1, on_generation=change, breeding="plain")


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


def the_same_twice(first, second):
    return first, first


def an_array(individual):
    return (np.zeros(LAYOUT.size, np.float32),)


def other_shapes(individual):
    return (WeightList([np.zeros((2, 2))]),)


def longer(individual):
    individual.append(np.zeros(2, np.float32))
    return (individual,)


@pytest.mark.parametrize("breeding", ["recipes", "plain"])
@pytest.mark.parametrize(
    ("registered", "said"),
    [
        ({"mate": the_same_twice}, "mate must return 2 different individuals, got the same one twice from the_same"),
        ({"mutate": an_array}, r"mutate must return its individual with the shapes .*, got ndarray from an_array"),
        ({"mutate": other_shapes}, r"mutate must return its individual with the shapes .* got \(\(2, 2\),\) from"),
        ({"mutate": longer}, r"mutate must return its individual with the shapes .* from longer"),
    ],
)
def test_what_an_operator_returns_is_checked_both_ways(registered, said, breeding):
    with pytest.raises(ValueError, match=said):
        result(wired(**registered), breeding=breeding)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mates", 1, "toolbox.mates must be an integer of at least 2, got 1"),
        ("mates", 2.7, "toolbox.mates must be an integer of at least 2, got 2.7"),
        ("mates", "3", "toolbox.mates must be an integer of at least 2, got '3'"),
        ("mates", 300, "toolbox.mates must be at most 256, got 300"),
        ("elites", 0.25, "elites must be an integer of at least 0, got 0.25"),
        ("elites", None, "elites must be an integer of at least 0, got None"),
        ("elite_batches", 1.5, "elite_batches must be an integer of at least 1, got 1.5"),
    ],
)
def test_numbers_that_a_script_sets_are_checked_before_the_run(name, value, said):
    called = []
    toolbox = wired(mate=cxScanning, evaluate=called.append)
    setattr(toolbox, name, value)
    with pytest.raises((TypeError, ValueError), match=f"^{said}$"):
        evolve(toolbox.population(n=4), toolbox, 1, seed=1)
    assert called == []


@pytest.mark.parametrize("given", [{"halloffame": tools.HallOfFame}, {"stats": tools.Statistics}])
def test_a_class_in_place_of_an_object_is_named(given):
    [(name, kind)] = given.items()
    with pytest.raises(TypeError, match=rf"^{name} must have a method .*: {kind.__name__}\(...\) makes one$"):
        evolve(wired().population(n=4), wired(), 1, seed=1, **given)


def test_biased_and_mask_are_still_what_they_are():
    assert result(wired(mate=cxBiased)) == result(wired(mate=cxBiased), breeding="plain")
    assert result(wired(mate=cxMask)) == result(wired(mate=cxMask), breeding="plain")


class FirstWeights(Callback):
    """The first weight of the best member of each generation; a resumed run asks for the earlier ones again."""

    def __init__(self):
        self.seen = {}

    def _note(self, generation, flat):
        self.seen[generation] = float(flat[0])

    def on_generation(self, evolution):
        self._note(evolution.generation, evolution.look(evolution.best))

    def restore(self, evolution, states):
        self.seen = {}
        for generation in range(evolution.generation):
            assert evolution.revisit(generation, partial(self._note, generation))


@pytest.mark.parametrize("turned", [True, False])
def test_the_best_founder_is_found_again_whatever_the_order(tmp_path, turned):
    def made(ngen):
        toolbox, seen = wired(), FirstWeights()
        population = toolbox.population(n=8)
        if turned:
            population.reverse()
        evolve(population, toolbox, ngen, seed=1, checkpoint=tmp_path, callbacks=[seen])
        return seen.seen

    first = made(2)
    again = made(4)
    assert {generation: again[generation] for generation in first} == first
