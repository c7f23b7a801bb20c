"""What a DEAP user's own operators do is done both ways, or named in one line."""

from functools import partial

import numpy as np
import pytest
from deap import tools
from reference_loop import reference
from wirings import LAYOUT, TABLE, result, wired

from deap_nn import (
    WeightList,
    cxScanning,
    elementwise,
    evolve,
    mutGaussianAdaptive,
)
from deap_nn.core.errors import EvaluationError
from deap_nn.core.seeding import takes

OWN = np.random.default_rng(5)


def numbers(individual, *, rng=None):
    rng = OWN if rng is None else rng
    individual[:] = [value + rng.standard_normal() for value in individual]
    return (individual,)


def test_elementwise_hands_the_stream_to_its_operator():
    assert takes(elementwise(numbers), "rng")
    assert not takes(elementwise(tools.mutGaussian, mu=0, sigma=1, indpb=1), "rng")
    assert result(wired(mutate=elementwise(numbers))) == reference(wired(mutate=elementwise(numbers)))


def test_the_compiled_pass_takes_what_it_knows():
    def made(loop):
        try:
            return loop(wired(mutate=partial(mutGaussianAdaptive, noise=TABLE)))
        except TypeError as error:
            return str(error)

    assert made(result) == made(reference)


def test_a_function_that_is_changed_in_place_is_named():
    def change(run):
        run.toolbox.mutate.keywords["indpb"] = 0.0

    toolbox = wired()
    with pytest.raises(ValueError, match="mutate was registered again before generation 1: it cannot change"):
        evolve(toolbox.population(n=8), toolbox, 3, seed=1, callbacks=[change])


IN_A_TUPLE = r"mutate must return its individual in a tuple, got {}: end <lambda> with return \(individual,\)"


def the_same_twice(first, second):
    return first, first


def an_array(individual):
    return (np.zeros(LAYOUT.size, np.float32),)


def other_shapes(individual):
    return (WeightList([np.zeros((2, 2))]),)


def longer(individual):
    individual.append(np.zeros(2, np.float32))
    return (individual,)


@pytest.mark.parametrize(
    ("registered", "said"),
    [
        ({"mate": lambda first, second: ()}, "mate must return its 2 individuals, got 0"),
        ({"mate": lambda first, second: 5}, "mate must return its 2 individuals, got int"),
        ({"mate": lambda first, second: None}, "2 individuals, got NoneType from .*: end it with a return"),
        ({"mutate": lambda individual: None}, IN_A_TUPLE.format("NoneType")),
        ({"mutate": lambda individual: individual}, IN_A_TUPLE.format("Individual")),
        ({"mutate": lambda individual: ()}, IN_A_TUPLE.format("tuple")),
        ({"individual": lambda: None}, "^individual must return an individual, not None: end <lambda> with a return$"),
        ({"select": lambda members, k: None}, "^select must return a list of individuals, not None: end <lambda> with"),
        ({"mate": the_same_twice}, "mate must return 2 different individuals, got the same one twice from the_same"),
        ({"mutate": an_array}, r"mutate must return its individual with the shapes .*, got ndarray from an_array"),
        ({"mutate": other_shapes}, r"mutate must return its individual with the shapes .* got \(\(2, 2\),\) from"),
        ({"mutate": longer}, r"mutate must return its individual with the shapes .* from longer"),
    ],
)
def test_what_an_operator_returns_is_checked(registered, said):
    with pytest.raises((TypeError, ValueError, EvaluationError), match=said):
        result(wired(**registered))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mates", 1, "toolbox.mates must be an integer of at least 2, got 1"),
        ("mates", 2.7, "toolbox.mates must be an integer of at least 2, got 2.7"),
        ("mates", "3", "toolbox.mates must be an integer of at least 2, got '3'"),
        ("mates", 300, "toolbox.mates must be at most 256, got 300"),
    ],
)
def test_numbers_that_a_script_sets_are_checked_before_the_run(name, value, said):
    called = []
    toolbox = wired(mate=cxScanning, evaluate=called.append)
    setattr(toolbox, name, value)
    with pytest.raises((TypeError, ValueError), match=f"^{said}$"):
        evolve(toolbox.population(n=4), toolbox, 1, seed=1)
    assert called == []
