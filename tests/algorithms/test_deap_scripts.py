"""Scripts in the form of DEAP's documentation, with the mistakes and the operators that such scripts have."""

import random

import numpy as np
import pytest
from deap import algorithms, tools
from wirings import members, plain_toolbox

from deap_nn import Individual, evolve, make_toolbox


def simple(population, toolbox):
    return algorithms.eaSimple(population, toolbox, cxpb=0.9, mutpb=1.0, ngen=2, verbose=False)


def evolved(population, toolbox, **options):
    return evolve(population, toolbox, 2, seed=1, **options)


def assigning(value):
    def mutate(individual):
        individual[0] = value
        return (individual,)

    return mutate


@pytest.mark.parametrize("loop", [simple, evolved])
@pytest.mark.parametrize(
    ("value", "got"),
    [
        (3.0, "got 3.0"),
        (np.float32(3), r"got np.float32\(3.0\)"),
        ([[0.0] * 3] * 3, r"got \[\[0.0"),
        (np.zeros((3, 3)), r"got float64 of the shape \(3, 3\)"),
        (np.zeros((3, 2), np.float32), r"got float32 of the shape \(3, 2\)"),
    ],
)
def test_a_matrix_is_replaced_only_by_one_of_its_kind(value, got, loop):
    random.seed(1)
    toolbox = plain_toolbox(mate=tools.cxTwoPoint, mutate=assigning(value))
    population = [Individual([member[0], np.zeros(3)]) for member in members()]
    with pytest.raises(ValueError, match=rf"individual\[0\] must be float32 of the shape \(3, 3\), {got}") as raised:
        loop(population, toolbox)
    assert "\n" not in str(raised.value)
    assert all(member.flat.size == 12 for member in population)


def test_a_slice_takes_matrices_of_the_same_kind():
    individual = Individual([np.zeros((2, 3)), np.zeros(3), np.ones(3)])
    individual[1:] = individual[:0:-1]
    assert individual.flat[-6:].tolist() == [1, 1, 1, 0, 0, 0]
    with pytest.raises(ValueError, match="individual keeps its 3 matrices: got 1 for 2"):
        individual[1:] = [individual[1]]
    with pytest.raises(ValueError, match=r"individual\[2\] must be float32 of the shape \(3,\), got float32"):
        individual[::-1] = list(individual)
    assert individual.shapes == ((2, 3), (3,), (3,))


@pytest.mark.parametrize("breeding", ["recipes", "plain"])
def test_a_population_of_another_toolbox_is_refused_by_a_line(digits, breeding):
    toolbox, other = (make_toolbox(model, digits, seed=1) for model in ("mlp", "lenet5"))
    shapes = r"\(\(784, 64\), \(64,\), .*\) of the toolbox, got \(\(5, 5, 1, 6\), \(6,\), .*\)$"
    for population in (other.population(n=4), [*toolbox.population(n=3), *other.population(n=1)]):
        with pytest.raises(ValueError, match=f"^population must have the shapes {shapes}"):
            evolved(population, toolbox, breeding=breeding)
