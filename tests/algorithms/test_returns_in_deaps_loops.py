"""An operator or an evaluation that forgets its return is named under DEAP's own loops too."""

import copy
import pickle
import warnings
from functools import partial, wraps

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
        ("mutate", keep, r"keep return \(individual,\)"),
        ("mate", swap, "swap return first, second"),
        ("evaluate", silent, r"silent return \(value,\)"),
    ],
)
def test_a_forgotten_return_is_named_before_deaps_loop_fails(digits, alias, function, end):
    toolbox = make_toolbox("mlp", digits, seed=1)
    toolbox.register(alias, function)
    said = f"^{alias} returned None, which DEAP's loops do not take: let {end}$"
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
    assert type(toolbox.mate) is type(make_toolbox("mlp", digits, seed=1).mutate) is partial  # ours are not wrapped


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
        evolve(toolbox.population(n=4), toolbox, 3, callbacks=[lambda e: e.generation == 1 and change(e)])


def scaled(individual, scale):
    """Multiply the first matrix by a number."""
    keep(individual, scale)
    return (individual,)


def counted(function):
    """Return a decorated function, whose attribute is the number of its calls."""

    @wraps(function)
    def counting(*given, **words):
        counting.calls += 1
        return function(*given, **words)

    counting.calls = 0
    return counting


@pytest.mark.parametrize("alias", ["mutate", "evaluate"])
@pytest.mark.parametrize("assigned", [True, False])
def test_what_is_registered_around_a_registered_function_is_called(digits, alias, assigned):
    toolbox = make_toolbox("mlp", digits, seed=1)
    toolbox.register("mutate", scaled, scale=0.5)
    around = counted(getattr(toolbox, alias))
    if assigned:
        setattr(toolbox, alias, around)
    else:
        toolbox.register(alias, around)
    getattr(toolbox, alias)(toolbox.individual())
    assert around.calls == 1


@pytest.mark.parametrize("another", [True, False])
def test_a_registered_mutation_is_registered_with_another_argument(digits, another):
    toolbox = make_toolbox("mlp", digits, seed=1)
    toolbox.register("mutate", scaled, scale=0.5)
    other = make_toolbox("mlp", digits, seed=1) if another else toolbox
    other.register("mutate", toolbox.mutate, scale=0.25)
    individual = toolbox.individual()
    wanted = 0.25 * individual[0]
    other.mutate(individual)
    assert (individual[0] == wanted).all()


def test_a_copy_of_a_toolbox_made_in_a_run_is_not_in_one(digits):
    toolbox, copies = make_toolbox("mlp", digits, seed=1), []
    evolve(toolbox.population(n=4), toolbox, 0, callbacks=[lambda e: copies.append(copy.deepcopy(e.toolbox))])
    copies[0].register("mutate", keep)
    with pytest.warns(UserWarning, match="let keep return"):
        copies[0].mutate(toolbox.individual())
