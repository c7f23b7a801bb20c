"""A made toolbox: its founders, its clock, what it shows of itself, and whatever somebody registers anew is used."""

import copy
import functools
import math
import pickle

import numpy as np
import pytest
from deap import base, creator, tools

from deap_nn import ES, GA, Annealed, ErrorScaled, Individual, WeightList, evolve, make_toolbox, mutGaussianAdaptive
from deap_nn.core.seeding import takes
from deap_nn.models.tensorflow import keras
from deap_nn.problems.evaluate import Evaluate

creator.create("MinimisedInToolboxTests", base.Fitness, weights=(-1.0,))
creator.create("GenomeInToolboxTests", WeightList, fitness=creator.MinimisedInToolboxTests)


def test_a_users_creator_class_is_used(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, container=creator.GenomeInToolboxTests, init="normal")
    individual = toolbox.individual()
    assert type(individual).__name__ == "GenomeInToolboxTests"
    assert 0.9 < individual.flat.std() < 1.1
    population, _ = evolve(toolbox.population(n=4), toolbox, 1, seed=1)
    assert all(isinstance(member, creator.GenomeInToolboxTests) for member in population)
    assert type(copy.deepcopy(population[0])) is creator.GenomeInToolboxTests


def test_populations_of_one_seed_are_the_same_however_large(digits, toolbox):
    small, large = toolbox.population(n=2), make_toolbox("mlp", digits, seed=1).population(n=4)
    assert small == large[:2]
    assert small + toolbox.population(n=2, start=2) == large
    assert large[0] != large[1]
    assert make_toolbox("mlp", digits, seed=2).population(n=1) != small[:1]


def test_select_moves_the_minibatch_and_the_mutation(digits):
    toolbox = make_toolbox("mlp", digits, GA(fitness="error", sigma=ErrorScaled(0.5), parents=1.0), seed=1)
    population = toolbox.population(n=4)
    adaptation = toolbox.mutate.keywords["sigma"]
    assert adaptation.sigma == 0.5
    first = [toolbox.evaluate(individual) for individual in population]
    for individual, values in zip(population, first, strict=True):
        individual.fitness.values = values
    toolbox.select(population, 4)
    assert toolbox.evaluate.func.generation == 1
    assert adaptation.sigma == 0.5 * min(first)[0]
    assert [toolbox.evaluate(individual) for individual in population] != first


def test_the_default_sigma_goes_by_the_fitness(digits):
    assert make_toolbox("mlp", digits, seed=1).clock.adaptation.fitness == "cross_entropy"
    assert make_toolbox("mlp", digits, GA(fitness="error"), seed=1).clock.adaptation.fitness == "error"
    annealed = Annealed(0.2, 0.1, 5)
    toolbox = make_toolbox("mlp", digits, GA(sigma=annealed), seed=1)
    toolbox.clock.adaptation.update([], 5)
    assert (toolbox.clock.sigma, annealed.sigma) == (pytest.approx(0.1), 0.2)
    assert make_toolbox("mlp", digits, GA(sigma=0.25, schedule="constant"), seed=1).clock.sigma == 0.25


def test_functions_that_are_registered_again_follow_the_run(toolbox):
    adaptation = ErrorScaled(0.7, fitness="cross_entropy")
    evaluate = Evaluate(toolbox.problem)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=adaptation)
    toolbox.register("evaluate", evaluate)
    _, logbook = evolve(toolbox.population(n=6), toolbox, 3, seed=1)
    assert logbook[-1]["sigma"] == adaptation.sigma == pytest.approx(0.7 * (1 - math.exp(-logbook[-2]["min"])))


def test_a_decorated_evaluate_follows_the_mini_batches(digits):
    def log(*decorators):
        toolbox = make_toolbox("mlp", digits, seed=1)
        for decorator in decorators:
            toolbox.decorate("evaluate", decorator)
        return evolve(toolbox.population(n=4), toolbox, 3, seed=1)[1]

    usual = log()
    assert log(tools.DeltaPenalty(lambda individual: True, 100.0)) == usual
    assert log(*[tools.DeltaPenalty(lambda individual: True, 100.0)] * 2) == usual
    assert len(set(usual.select("min"))) == 4


def test_a_decorated_select_is_not_passed_over(digits):
    called = []

    def noting(select):
        @functools.wraps(select)
        def noted(*arguments, **keywords):
            called.append(keywords)
            return select(*arguments, **keywords)

        return noted

    toolbox = make_toolbox("mlp", digits, seed=1)
    toolbox.decorate("select", noting)
    evolve(toolbox.population(n=4), toolbox, 2)
    assert len(called) == 2
    assert toolbox.clock.generation == 2


def test_the_toolbox_pickles(toolbox):
    population = toolbox.population(n=2)
    again = pickle.loads(pickle.dumps(toolbox))
    assert again.population(n=2) == population
    assert again.evaluate(population[0]) == toolbox.evaluate(population[0])


def test_data_may_be_a_path_or_a_name(digits_file):
    assert make_toolbox("mlp", digits_file, seed=1).problem.data.path == str(digits_file)
    assert make_toolbox("mlp", str(digits_file), seed=1).problem.data.path == str(digits_file)
    assert make_toolbox("mlp", "mnist5k", seed=1).problem.data.name == "mnist5k"


def test_functions_that_take_an_rng():
    toolbox = base.Toolbox()
    toolbox.register("with_rng", lambda a, *, rng: a)
    toolbox.register("bound", lambda a, *, rng: a, rng=None)
    toolbox.register("without", tools.cxTwoPoint)
    toolbox.register("builtin", min)
    assert [takes(getattr(toolbox, name), "rng") for name in ("with_rng", "bound", "without", "builtin")] == [
        True,
        True,
        False,
        False,
    ]


def test_individuals_have_a_fitness_of_their_own():
    a, b = Individual([[1.0]]), Individual([[1.0]])
    a.fitness.values = (1.0,)
    assert not b.fitness.valid
    assert pickle.loads(pickle.dumps(a)).fitness.values == (1.0,)


def test_arrays_will_do_for_sequences_of_numbers(digits):
    made = []
    for kind in (list, np.array):
        toolbox = make_toolbox("mlp", digits, GA(scale=kind([1.0, 0.5, 1.0, 0.5])), seed=1)
        made.append(toolbox.mutate(toolbox.individual())[0].flat.tobytes())
    assert made[0] == made[1]
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10, use_bias=False)])
    start = np.random.default_rng(1).random((1, 784, 10), np.float32)
    toolbox = make_toolbox(model, digits, seed=1, init=start)
    assert np.array_equal(toolbox.population(n=2)[0][0], start[0])


@pytest.mark.parametrize(("n", "start", "name"), [(-1, 0, "n"), (2.5, 0, "n"), (2, -1, "start")])
def test_a_population_of_a_negative_size_is_refused(toolbox, n, start, name):
    with pytest.raises(ValueError, match=rf"^{name} must be an integer of at least 0, got"):
        toolbox.population(n=n, start=start)


def test_a_toolbox_shows_its_operators_and_where_it_is(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    operators = "mate cxScanning, mutate mutGaussianAdaptive, select selRankBoosted"
    sizes = "weights 50,890, batch 16, generation {}, sigma {}, fitness cross_entropy"
    assert repr(toolbox) == f"<toolbox 'ga': {sizes.format(0, 0.128)}, {operators}>"
    _, logbook = evolve(toolbox.population(n=6), toolbox, 2)
    toolbox.register("evaluate", lambda individual: (0.0,))
    toolbox.register("select", tools.selTournament, tournsize=2)
    sigma = f"{logbook[-1]['sigma']:.4g}"
    now = f"weights 50,890, batch 16, generation 2, sigma {sigma}, evaluate <lambda>"
    assert repr(toolbox) == f"<toolbox 'ga': {now}, {operators.replace('selRankBoosted', 'selTournament')}>"


def test_so_does_that_of_an_evolution_strategy(digits):
    toolbox = make_toolbox("mlp", digits, ES(), seed=1, population=4, generations=3)
    assert repr(toolbox) == (
        "<toolbox 'es': population 4, weights 50,890, batch 64, generation 0, sigma 0.4, fitness cross_entropy, "
        "mutate mutGaussianAdaptive, recombination_weights recombination_weights>"
    )
    toolbox = make_toolbox("mlp", digits, GA(sigma=Annealed(0.4, 0.1)), seed=1)
    toolbox.next_generation([])
    assert "sigma" not in repr(toolbox)  # it depends on a number of generations that is not known
