"""An operator of a user's own that returns nothing, or something else, is named with what it must return."""

import functools

import pytest

from deap_nn import evolve, make_toolbox
from deap_nn.core.errors import EvaluationError


@pytest.mark.parametrize(("result", "got"), [((), "0"), (None, "NoneType"), (5, "int")])
def test_a_crossover_that_returns_something_else_is_named(digits, result, got):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("mate", functools.partial(returning, result))
    said = f"mate must return its 2 individuals, got {got}"
    with pytest.raises((ValueError, EvaluationError), match=said):
        evolve(toolbox.population(n=8), toolbox, 1)


def returning(result, ind1, ind2):
    return result


def mutated(result, individual):
    return result


def test_a_forgotten_return_is_named(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("mate", functools.partial(returning, None))
    with pytest.raises(
        (ValueError, EvaluationError), match=r"2 individuals, got NoneType from .*: end it with a return"
    ):
        evolve(toolbox.population(n=4), toolbox, 1)
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    said = r"mutate must return its individual in a tuple, got {}: end mutated with return \(individual,\)"
    for result, got in ((None, "NoneType"), (toolbox.individual(), "Individual"), ((), "tuple")):
        toolbox.register("mutate", functools.partial(mutated, result))
        with pytest.raises((ValueError, EvaluationError), match=said.format(got)):
            evolve(toolbox.population(n=4), toolbox, 1)


def test_so_is_that_of_an_individual(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("individual", lambda: None)
    with pytest.raises(
        TypeError, match=r"^individual must return an individual, not None: end <lambda> with a return$"
    ):
        toolbox.population(n=4)


def test_so_is_that_of_a_selection(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("select", lambda individuals, k: None)
    with pytest.raises(TypeError, match=r"^select must return a list of individuals, not None: end <lambda> with"):
        evolve(toolbox.population(n=4), toolbox, 1)
