"""The generation is a value that travels: few objects hold its number, and no worker writes to an evaluation."""

import gc
import random

import numpy as np
import pytest
from deap import algorithms
from own_callbacks import Watch
from wirings import TABLE, wired

from deap_nn import Annealed, adapting, cxMask, evolve, make_toolbox, mutGaussianAdaptive, selRankBoosted
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.core.registered import InGeneration
from deap_nn.problems.evaluate import Evaluate

LAST = 13
"""No other number of the runs below; a small integer is one object in Python."""


def holders(others):
    """The classes of the package's objects that hold the number `LAST` in an attribute, without those of `others`."""
    gc.collect()
    known = set(map(id, others))
    ours = [
        one for one in gc.get_objects() if str(type(one).__module__).startswith("deap_nn.") and id(one) not in known
    ]
    held = [(type(one).__name__, *pair) for one in ours for pair in getattr(one, "__dict__", {}).items()]
    of_genomes = ("Lineage", "bred_since")  # a centre a generation
    return sorted(kind for kind, name, value in held if value is LAST and (kind, name) != of_genomes)


def of_ones_own():
    sigma, rng = Annealed(0.3, 0.1, 20), np.random.default_rng(1)
    toolbox = wired()
    toolbox.register("mate", cxMask, rng=rng)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=sigma, noise=TABLE, rng=rng)
    toolbox.register("select", adapting(selRankBoosted, sigma), parents=4, rng=rng)
    return toolbox


def made(preset):
    return lambda digits: make_toolbox("mlp", digits, ALGORITHMS[preset](), seed=1, batch_size=16)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (made("ga"), ["Clock", "Evaluate", "Evolution"]),
        (made("es"), ["Clock", "Evaluate", "Evolution"]),
        (lambda digits: of_ones_own(), ["Clock", "Evolution"]),
    ],
    ids=["ga", "es", "of one's own"],
)
def test_at_most_three_objects_of_a_run_hold_the_generation(digits, make, expected):
    found, others = [], gc.get_objects()
    toolbox = make(digits)

    def look(evolution):
        if evolution.generation == LAST:
            found.append(holders(others))
            evolution.stop = "seen"

    evolve(toolbox.population(n=6), toolbox, 20, seed=1, callbacks=[Watch(look)])
    assert found == [expected]


@pytest.mark.parametrize(
    ("make", "expected"),
    [(made("ga"), ["Clock", "Evaluate"]), (lambda digits: of_ones_own(), ["Adapting"])],
    ids=["ga", "of one's own"],
)
def test_one_object_counts_them_in_a_loop_of_deap(digits, make, expected):
    others, toolbox = gc.get_objects(), make(digits)
    random.seed(1)
    algorithms.eaSimple(toolbox.population(n=6), toolbox, 0.9, 1.0, LAST, verbose=False)
    assert holders(others) == expected


def test_a_task_is_scored_in_its_generation_and_leaves_the_evaluation_as_it_was(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    evaluate, individual = toolbox.evaluate.func, toolbox.individual()
    wanted = {}
    for generation in (3, 0):
        evaluate.generation = generation
        wanted[generation] = evaluate(individual)
    assert wanted[3] != wanted[0]
    before = dict(vars(evaluate))
    assert InGeneration(toolbox.evaluate, 3)(individual) == wanted[3]
    assert vars(evaluate) == before
    assert evaluate(individual) == wanted[0]


def of_attribute(individual):
    return (of_attribute.generation,)


of_attribute.generation = 0


def test_a_function_of_ones_own_has_the_generation_of_its_task_in_its_attribute():
    assert InGeneration(of_attribute, 5)(None) == (5,)


class Derived(Evaluate):
    """An evaluation that adds its generation."""

    def __call__(self, individual):
        return (super().__call__(individual)[0] + self.generation,)


def test_an_evaluation_reads_the_generation_of_its_task(digits):
    toolbox, seen = made("ga")(digits), []
    usual = Evaluate(toolbox.problem)
    toolbox.register("evaluate", Derived(toolbox.problem))

    def look(evolution):
        first, generation = evolution.population[0], evolution.generation
        seen.append(first.fitness.values[0] == InGeneration(usual, generation)(first)[0] + generation)

    evolve(toolbox.population(n=4), toolbox, 2, callbacks=[Watch(look)])
    assert seen == [True] * 3
