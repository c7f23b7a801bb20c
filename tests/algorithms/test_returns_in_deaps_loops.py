"""An operator or an evaluation that forgets its return is named under DEAP's own loops too."""

import copy
import pickle
import warnings

import pytest
from deap import algorithms

from deap_nn import evolve, make_toolbox
from deap_nn.operators.by_name import takes_many


def keep(individual, scale=1.0):
    """Change an individual in place, and return nothing."""
    individual[0] *= scale


def swap(first, second):
    """Exchange the first matrices, and return nothing."""
    first[0], second[0] = copy.copy(second[0]), copy.copy(first[0])


def silent(individual):
    """Score nothing."""


@pytest.mark.parametrize(
    ("alias", "function", "end"),
    [
        ("mutate", keep, r"keep with return \(individual,\)"),
        ("mate", swap, "swap with return first, second"),
        ("evaluate", silent, r"silent with return \(value,\)"),
    ],
)
def test_a_forgotten_return_is_named_before_deaps_loop_fails(digits, alias, function, end):
    toolbox = make_toolbox("mlp", digits, seed=1)
    toolbox.register(alias, function)
    said = f"^{alias} returned None, which DEAP's loops do not take: end {end}$"
    with pytest.warns(UserWarning, match=said), pytest.raises(TypeError, match=r"NoneType|unpack"):
        algorithms.eaSimple(toolbox.population(n=4), toolbox, 1, 1.0, 1, verbose=False)


def test_a_loop_of_ones_own_may_ignore_what_is_returned_and_is_told_once(digits):
    toolbox = make_toolbox("mlp", digits, seed=1)
    toolbox.register("mutate", lambda individual: keep(individual, 2.0))
    individual = toolbox.individual()
    wanted = 2 * individual[0]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        toolbox.mutate(individual)
        toolbox.mutate(toolbox.individual())
    assert (individual[0] == wanted).all()
    assert len(said) == 1


def test_what_returns_its_individuals_is_as_it_was(digits):
    def half(individual, scale):
        return (keep(individual, scale) or individual,)

    toolbox = make_toolbox("mlp", digits, seed=1)
    toolbox.register("mutate", half, scale=0.5)
    mutated = toolbox.mutate(individual := toolbox.individual())
    assert mutated == (individual,)
    assert (toolbox.mutate.func, toolbox.mutate.keywords) == (half, {"scale": 0.5})
    assert type(toolbox.select) is type(make_toolbox("mlp", digits, seed=1).mutate)  # operators of ours are not wrapped


def test_a_decorated_crossover_takes_as_many_when_it_is_unpickled():
    toolbox = make_toolbox("mlp", "mnist5k", seed=1)
    assert takes_many(toolbox.mate)
    toolbox.decorate("mate", lambda mate: Plain(mate))
    assert takes_many(toolbox.mate)
    assert takes_many(pickle.loads(pickle.dumps(toolbox.mate)))


class Plain:
    """A decoration that hides how many individuals a crossover takes."""

    def __init__(self, mate):
        self.mate = mate

    def __call__(self, *several):
        return self.mate(*several)


def test_a_keyword_of_a_users_mutation_may_not_change_in_a_run(digits):
    toolbox = make_toolbox("mlp", digits, seed=1)
    toolbox.register("mutate", scaled, scale=0.5)

    def change(evolution):
        evolution.toolbox.mutate.keywords["scale"] = 2.0

    with pytest.raises(ValueError, match=r"^mutate was registered again before generation 2: it cannot change"):
        evolve(toolbox.population(n=4), toolbox, 3, on_generation=lambda e: e.generation == 1 and change(e))


def scaled(individual, scale):
    """Multiply the first matrix by a number."""
    keep(individual, scale)
    return (individual,)
