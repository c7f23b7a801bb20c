"""A made toolbox: its founders, its clock, its description, and the use of functions registered anew."""

import copy
import functools
import math
import pickle
import random

import numpy as np
import pytest
from deap import algorithms, base, creator, tools
from reference_loop import reference
from wirings import Counted, cx_rows, evolve_toolbox, result

from deap_nn import (
    ES,
    GA,
    Annealed,
    Article,
    Callback,
    ErrorScaled,
    WeightList,
    cxMask,
    elementwise,
    mutGaussianAdaptive,
)
from deap_nn.operators.describe import describe_algorithm
from deap_nn.problems.evaluate import Evaluate

creator.create("MinimisedInToolboxTests", base.Fitness, weights=(-1.0,))
creator.create("GenomeInToolboxTests", WeightList, fitness=creator.MinimisedInToolboxTests)


def test_a_users_creator_class_is_used(mlp):
    toolbox = mlp(container=creator.GenomeInToolboxTests, init="normal")
    individual = toolbox.individual()
    assert type(individual).__name__ == "GenomeInToolboxTests"
    assert 0.9 < individual.flat.std() < 1.1
    population, _ = evolve_toolbox(toolbox, n=4, ngen=1)
    assert all(isinstance(member, creator.GenomeInToolboxTests) for member in population)
    assert type(copy.deepcopy(population[0])) is creator.GenomeInToolboxTests


def test_each_call_of_population_makes_other_members(mlp):
    toolbox = mlp()
    islands = [toolbox.population(n=2) for _ in range(3)]
    assert [*islands[0], *islands[1], *islands[2]] == mlp().population(n=6)
    assert len({member.flat.tobytes() for island in islands for member in island}) == 6
    assert toolbox.population(n=2, start=0) == islands[0]


def test_populations_of_one_seed_are_the_same_however_large(mlp, toolbox):
    small, large = toolbox.population(n=2), mlp().population(n=4)
    assert small == large[:2]
    assert small + toolbox.population(n=2, start=2) == large
    assert large[0] != large[1]
    assert mlp(seed=2).population(n=1) != small[:1]


def test_select_moves_the_minibatch_and_the_mutation(mlp):
    toolbox = mlp(GA(fitness="error", sigma=ErrorScaled(0.5), parents=1.0))
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


def test_functions_that_are_registered_again_follow_the_run(toolbox):
    adaptation = ErrorScaled(0.7, fitness="cross_entropy")
    evaluate = Evaluate(toolbox.problem)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=adaptation)
    toolbox.register("evaluate", evaluate)
    _, logbook = evolve_toolbox(toolbox, n=6, ngen=3)
    assert logbook[-1]["sigma"] == adaptation.sigma == pytest.approx(0.7 * (1 - math.exp(-logbook[-2]["min"])))


def test_a_decorated_evaluate_follows_the_mini_batches(mlp):
    def log(*decorators):
        toolbox = mlp(GA(casewise=False))  # no losses of samples are known
        for decorator in decorators:
            toolbox.decorate("evaluate", decorator)
        return evolve_toolbox(toolbox, n=4, ngen=3)[1]

    usual = log()
    assert log(tools.DeltaPenalty(lambda individual: True, 100.0)) == usual
    assert log(*[tools.DeltaPenalty(lambda individual: True, 100.0)] * 2) == usual
    assert len(set(usual.select("min"))) == 4


def test_a_decorated_select_is_not_passed_over(mlp):
    called = []

    def noting(select):
        @functools.wraps(select)
        def noted(*arguments, **keywords):
            called.append(keywords)
            return select(*arguments, **keywords)

        return noted

    toolbox = mlp()
    toolbox.decorate("select", noting)
    evolve_toolbox(toolbox, n=4, ngen=2)
    assert len(called) == 2
    assert toolbox.clock.generation == 2


def test_the_toolbox_pickles(toolbox):
    population = toolbox.population(n=2)
    again = pickle.loads(pickle.dumps(toolbox))
    assert again.population(n=2, start=0) == population
    assert again.evaluate(population[0]) == toolbox.evaluate(population[0])


@pytest.mark.parametrize(("n", "start", "name"), [(-1, 0, "n"), (2, -1, "start")])
def test_a_population_of_a_negative_size_is_refused(toolbox, n, start, name):
    with pytest.raises(ValueError, match=rf"^{name} must be an integer of at least 0, got"):
        toolbox.population(n=n, start=start)


def test_a_toolbox_shows_its_operators_and_where_it_is(mlp):
    toolbox = mlp(batch_size=16)
    operators = "mate cxScanning, mutate mutGaussianAdaptive, select selRankBoosted"
    sizes = "weights 50,890, batch 16, generation {}, sigma {}, fitness cross_entropy"
    assert repr(toolbox) == f"<toolbox 'ga': {sizes.format(0, 0.128)}, {operators}>"
    _, logbook = evolve_toolbox(toolbox, n=6, ngen=2)
    toolbox.register("evaluate", lambda individual: (0.0,))
    toolbox.register("select", tools.selTournament, tournsize=2)
    sigma = f"{logbook[-1]['sigma']:.4g}"
    now = f"weights 50,890, batch 16, generation 2, sigma {sigma}, evaluate <lambda>"
    assert repr(toolbox) == f"<toolbox 'ga': {now}, {operators.replace('selRankBoosted', 'selTournament')}>"


def test_so_does_that_of_an_evolution_strategy(mlp):
    toolbox = mlp(ES(), population=4, generations=3)
    assert repr(toolbox) == (
        "<toolbox 'es': population 4, weights 50,890, batch 64, generation 0, sigma 0.4, fitness cross_entropy, "
        "mutate mutGaussianAdaptive, recombination_weights recombination_weights>"
    )
    toolbox = mlp(GA(sigma=Annealed(0.4, 0.1)))
    toolbox.next_generation([])
    assert "sigma" not in repr(toolbox)  # it depends on a number of generations that is not known


def test_verbose_prints_the_algorithm_and_the_stream(mlp, capsys):
    toolbox = mlp(batch_size=16)
    evolve_toolbox(
        toolbox, ngen=9, verbose=True, callbacks=[lambda run: vars(run).update(stop={2: "enough"}.get(run.generation))]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == describe_algorithm(toolbox)
    assert lines[1].split("\t")[0].strip() == "gen"
    assert [line.split("\t")[0].strip() for line in lines[2:]] == ["0", "1", "2", "enough"]
    evolve_toolbox(toolbox, ngen=1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("algorithm", "said"),
    [
        (ES(), "evolution strategy (es): mutGaussianAdaptive(sigma=Annealed(0.4, 0.1)), a step of usual by recomb"),
        (ES(centred=False), ", founders by initScaled(), stratified mini-batches"),
        (GA(projected=False), ", founders by initScaled(spread=0.5), centred layers, stratified mini-batches"),
        (Article(), "genetic algorithm (article): 2 parents crossed by cxMask(indpb=0.5), "),
    ],
)
def test_the_sentence_names_what_runs(mlp, algorithm, said):
    assert said in describe_algorithm(mlp(algorithm, batch_size=16))


def test_the_sentence_names_a_function_of_a_users_own(mlp):
    toolbox = mlp(batch_size=16)
    toolbox.register("mate", cx_rows)
    toolbox.register("mutate", elementwise(tools.mutShuffleIndexes), indpb=0.5)
    said = "2 parents crossed by cx_rows(), elementwise mutShuffleIndexes(indpb=0.5), selRankBoosted(pressure=1.5, "
    assert said in describe_algorithm(toolbox)


MEMBERS, GENERATIONS = 12, 4

CROSSOVERS = {
    "cxUniform": (tools.cxUniform, {"indpb": 0.5}),
    "cxMask": (cxMask, {"rng": np.random.default_rng(1)}),
    "cxRows": (cx_rows, {"rng": np.random.default_rng(1)}),
}


@pytest.mark.parametrize("name", CROSSOVERS)
def test_a_crossover_of_two_that_is_registered_again_gets_two(mlp, name):
    function, words = CROSSOVERS[name]
    toolbox = mlp(batch_size=16)
    assert toolbox.mates == 4
    toolbox.register("mate", function, **words)
    found = result(toolbox, n=MEMBERS, ngen=2)
    toolbox.mates = 2
    assert found == reference(toolbox, population=toolbox.population(n=MEMBERS, start=0), ngen=2)
    toolbox = mlp(batch_size=16)
    assert found != result(toolbox, n=MEMBERS, ngen=2)
    counted = Counted(function)
    toolbox.register("mate", counted, **words)
    random.seed(1)
    algorithms.eaSimple(toolbox.population(n=MEMBERS), toolbox, cxpb=1.0, mutpb=1.0, ngen=2, verbose=False)
    assert (counted.calls, counted.given) == (MEMBERS, {2})


def test_best_pairs_counts_the_groups_of_the_best(mlp):
    toolbox = mlp(batch_size=16)
    best, counted = [], []

    class Count(Callback):
        def on_generation(self, evolution):
            recipes = [member.recipe for member in evolution.population]
            if evolution.generation:
                groups = {recipe.place // 4: set(recipe.parents) for recipe in recipes}
                counted.append(sum(best[-1] in group for group in groups.values()))
                assert evolution.row["best_pairs"] == counted[-1]
            best.append(max(evolution.population, key=lambda member: member.fitness).recipe.id)

    evolve_toolbox(toolbox, n=17, ngen=GENERATIONS, callbacks=[Count()])
    assert sum(counted) > 0
