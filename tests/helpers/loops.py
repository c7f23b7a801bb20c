"""DEAP's loops, for the tests of what selects in them."""

import random

from deap import algorithms


def simple(toolbox, population, ngen):
    return algorithms.eaSimple(population, toolbox, 0.9, 1.0, ngen, verbose=False)[0]


def plus(toolbox, population, ngen):
    return algorithms.eaMuPlusLambda(population, toolbox, len(population), 12, 0.3, 0.7, ngen, verbose=False)[0]


def comma(toolbox, population, ngen):
    return algorithms.eaMuCommaLambda(population, toolbox, 6, 12, 0.3, 0.7, ngen, verbose=False)[0]


def var_and(toolbox, population, ngen):
    scored(toolbox, population)
    for _ in range(ngen):
        population = algorithms.varAnd(toolbox.select(population, len(population)), toolbox, 0.9, 1.0)
        scored(toolbox, population)
    return population


def written_out(toolbox, population, ngen):
    """The loop of DEAP's tutorial."""
    scored(toolbox, population)
    for _ in range(ngen):
        offspring = list(map(toolbox.clone, toolbox.select(population, len(population))))
        for child1, child2 in zip(offspring[::2], offspring[1::2], strict=False):
            if random.random() < 0.5:
                toolbox.mate(child1, child2)
                del child1.fitness.values
                del child2.fitness.values
        for mutant in offspring:
            if random.random() < 0.7:
                toolbox.mutate(mutant)
                del mutant.fitness.values
        scored(toolbox, [individual for individual in offspring if not individual.fitness.valid])
        population[:] = offspring
    return population


def scored(toolbox, population):
    for individual, values in zip(population, toolbox.map(toolbox.evaluate, population), strict=True):
        individual.fitness.values = values


LOOPS = [simple, plus, comma, var_and, written_out]
