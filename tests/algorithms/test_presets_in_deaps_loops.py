"""The algorithms by name in DEAP's loops: each runs in its own kind of loop, and says so where it is in another."""

import random
from functools import partial

import pytest
from deap import algorithms, tools
from wirings import Counted, scored

from deap_nn import make_toolbox
from deap_nn.algorithms.algorithm import ALGORITHMS


def in_turn(vary):
    """A loop of a user's own, which gives each generation to a function that selects and varies."""

    def loop(population, toolbox, halloffame, stats):
        logbook = tools.Logbook()
        scored(toolbox, population)
        halloffame.update(population)
        logbook.record(gen=0, **stats.compile(population))
        for generation in range(1, 4):
            population = vary(population, toolbox)
            scored(toolbox, [individual for individual in population if not individual.fitness.valid])
            halloffame.update(population)
            logbook.record(gen=generation, **stats.compile(population))
        return population, logbook

    return loop


def written_out(population, toolbox):
    """A generation as DEAP's tutorial has it."""
    offspring = list(map(toolbox.clone, toolbox.select(population, len(population))))
    for child1, child2 in zip(offspring[::2], offspring[1::2], strict=True):
        if random.random() < 0.9:
            toolbox.mate(child1, child2)
            del child1.fitness.values, child2.fitness.values
    for mutant in offspring:
        if random.random() < 0.9:
            toolbox.mutate(mutant)
            del mutant.fitness.values
    return offspring


SIZES = {"mu": 8, "lambda_": 12, "cxpb": 0.5, "mutpb": 0.4, "ngen": 3, "verbose": False}

LOOPS = {
    "eaSimple": partial(algorithms.eaSimple, cxpb=0.9, mutpb=0.9, ngen=3, verbose=False),
    "eaMuPlusLambda": partial(algorithms.eaMuPlusLambda, **SIZES),
    "eaMuCommaLambda": partial(algorithms.eaMuCommaLambda, **SIZES),
    "varAnd": in_turn(lambda population, toolbox: algorithms.varAnd(toolbox.select(population, 12), toolbox, 0.9, 0.9)),
    "varOr": in_turn(
        lambda population, toolbox: algorithms.varOr(toolbox.select(population, 8), toolbox, 12, 0.5, 0.4)
    ),
    "a loop written out": in_turn(written_out),
}


@pytest.mark.parametrize("preset", ["ga", "article"])
@pytest.mark.parametrize("loop", LOOPS)
def test_deaps_loops_run_on_pairs(digits, preset, loop):
    toolbox = make_toolbox("mlp", digits, ALGORITHMS[preset](), seed=1, batch_size=16)
    calls = {name: Counted(getattr(toolbox, name).func) for name in ("mate", "mutate")}
    for name, counted in calls.items():
        toolbox.register(name, counted, **getattr(toolbox, name).keywords)
    random.seed(1)
    hall, statistics = tools.HallOfFame(3), tools.Statistics(lambda individual: individual.fitness.values[0])
    statistics.register("min", min)
    population, logbook = LOOPS[loop](toolbox.population(n=12), toolbox, halloffame=hall, stats=statistics)
    assert len(logbook) == 4
    assert len(population) in (8, 12)
    assert all(individual.fitness.valid for individual in population)
    assert all(individual.shapes == toolbox.layout.shapes for individual in population)
    assert (len(hall), hall[0].fitness.values[0]) == (3, min(logbook.select("min")))
    assert calls["mate"].given == {2}
    assert calls["mutate"].given == {1}
    assert toolbox.clock.generation == toolbox.evaluate.func.generation == 3
    assert toolbox.clock.sigma != 0.1  # it follows the error
