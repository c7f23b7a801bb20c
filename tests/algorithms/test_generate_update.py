"""DEAP's ``eaGenerateUpdate`` on a made toolbox: the same members as under `evolve`."""

import pickle
from functools import partial

import numpy as np
import pytest
from deap import algorithms, tools
from wirings import evolve_toolbox, scored

from deap_nn import ES, SelfAdaptive, make_toolbox, mutGaussianAdaptive
from deap_nn.genome.population import LightMember

GENERATIONS = 4


def statistics():
    found = tools.Statistics(lambda individual: individual.fitness.values[0])
    for name, function in (("min", np.min), ("avg", np.mean), ("max", np.max)):
        found.register(name, function)
    return found


@pytest.fixture
def four(mlp):
    """Make a toolbox of four members."""
    return partial(mlp, ES(), batch_size=16, population=4, generations=2)


@pytest.mark.parametrize("members", [2, 7])
def test_the_fitness_is_that_of_evolve(digits, members):
    words = {"algorithm": ES(casewise=False), "seed": 3, "batch_size": 16}  # the loop passes one fitness
    toolbox = make_toolbox("mlp", digits, **words)
    population, expected = evolve_toolbox(toolbox, n=members, ngen=GENERATIONS)
    toolbox = make_toolbox("mlp", digits, population=members, generations=GENERATIONS, **words)
    hall = tools.HallOfFame(2)
    found, logbook = algorithms.eaGenerateUpdate(
        toolbox, ngen=GENERATIONS + 1, halloffame=hall, stats=statistics(), verbose=False
    )
    for name in ("min", "avg", "max"):
        assert logbook.select(name) == expected.select(name)
    assert [member.flat.tobytes() for member in found] == [member.flat.tobytes() for member in population]
    assert hall[0].fitness.values[0] == min(expected.select("min"))


def test_the_members_stay_light_until_they_are_read(mlp):
    toolbox = mlp(ES(), batch_size=16, population=8, generations=2)
    toolbox = pickle.loads(pickle.dumps(toolbox))
    for _ in range(3):
        population = scored(toolbox, toolbox.generate())
        assert all(isinstance(individual, LightMember) for individual in population)
        toolbox.update(population)
    sent = pickle.loads(pickle.dumps(population))
    assert not any(isinstance(individual, LightMember) for individual in sent)
    assert all(isinstance(individual, LightMember) for individual in population)
    assert [one.flat.tobytes() for one in sent] == [one.flat.tobytes() for one in population]


def test_a_fitness_that_is_no_number_is_the_worst(four):
    made = []
    for worst in (np.nan, np.inf):
        toolbox = four()
        for _ in range(2):
            population = toolbox.generate()
            for individual, value in zip(population, (2.0, worst, 1.0, 3.0), strict=True):
                individual.fitness.values = (value,)
            toolbox.update(population)
        made.append([individual.flat.tobytes() for individual in toolbox.generate()])
    assert made[0] == made[1]


def test_members_that_are_changed_move_the_centre_as_they_are(mlp):
    def run(change):
        toolbox = mlp(ES(projected=False), batch_size=16, population=8, generations=3)
        for generation in range(3):
            population = scored(toolbox, toolbox.generate())
            if generation == 1:
                change(population)
            toolbox.update(population)
        return toolbox.generate()[0].flat.copy()

    def read(population):
        for individual in population[:3]:
            assert individual.flat.size

    plain = run(lambda population: None)
    assert run(read).tobytes() == plain.tobytes()

    def shift_the_best(population):
        best = max(population, key=lambda individual: individual.fitness)
        best.flat[:] += np.float32(1.0)

    assert np.mean(run(shift_the_best) - plain) > 0.1


@pytest.mark.parametrize("ngen", [1, 5])
def test_evolve_in_between_begins_a_new_run(mlp, ngen):
    toolbox = mlp(ES(), batch_size=16, population=8, generations=3)
    first = algorithms.eaGenerateUpdate(toolbox, ngen=4, stats=statistics(), verbose=False)[1]
    evolve_toolbox(toolbox, n=8, ngen=ngen)
    again = algorithms.eaGenerateUpdate(toolbox, ngen=4, stats=statistics(), verbose=False)[1]
    assert again.select("min") == first.select("min")


@pytest.mark.parametrize("given", [{}, {"population": 8}, {"generations": 8}])
def test_without_the_numbers_it_says_so(mlp, given):
    toolbox = mlp(ES(), batch_size=16, **given)
    with pytest.raises(ValueError, match=r"^generate needs the size of the run: .*population=N, generations=G"):
        toolbox.generate()


def test_a_population_that_does_not_fit_is_refused(four):
    toolbox = four()
    population = toolbox.generate()
    with pytest.raises(ValueError, match="population must have a valid fitness in all its members"):
        toolbox.update(population)
    with pytest.raises(ValueError, match="population must have the 4 members that generate gives, got 3"):
        toolbox.update(population[:3])
    with pytest.raises(ValueError, match="population must have the 4 members of make_toolbox, got 5"):
        evolve_toolbox(toolbox, n=5, ngen=2)


def test_what_nothing_calls_is_refused(mlp, four):
    for name in ("mate", "select"):
        toolbox = four()
        with pytest.raises(AttributeError, match=f"no attribute '{name}': DEAP's loop for 'es' is eaGenerateUpdate"):
            getattr(toolbox, name)
        toolbox.register(name, tools.selBest)
        population = scored(toolbox, toolbox.generate())
        with pytest.raises(ValueError, match=f"{name} is not called if a toolbox has a step"):
            toolbox.update(population)
        with pytest.raises(ValueError, match=f"{name} is not called if a toolbox has a step"):
            evolve_toolbox(toolbox, n=4, ngen=1)
    toolbox = mlp(ES(), batch_size=16)
    with pytest.raises(ValueError, match=r"cxpb is not for an evolution strategy, .* got 0\.5"):
        evolve_toolbox(toolbox, n=4, ngen=1, cxpb=0.5)
    own = four()
    own.register("mutate", mutGaussianAdaptive, sigma=SelfAdaptive(0.1, 0.01))
    with pytest.raises(ValueError, match="mutate: SelfAdaptive is not for an evolution strategy"):
        own.update(scored(own, own.generate()))
    own.register("generate", list)
    with pytest.raises(ValueError, match="generate is not called by evolve"):
        evolve_toolbox(own, n=4, ngen=1)
