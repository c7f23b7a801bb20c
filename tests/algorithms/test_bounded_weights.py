"""Weights between bounds: they stay there in each way of breeding and in DEAP's loops, or a warning says where not."""

import functools
import random
from functools import partial

import numpy as np
import pytest
from reference_loop import reference
from wirings import HALF, LAYOUT, TABLE, logged, simple, wired

from deap_nn import (
    ES,
    GA,
    Article,
    CheckpointError,
    Individual,
    SelfAdaptive,
    evolve,
    initNormal,
    make_toolbox,
    mutGaussianAdaptive,
)
from deap_nn.core.logbooks import rows_of

BOUNDED = [
    GA(mates=2),
    GA(mates=4),
    Article(fitness="cross_entropy"),
    GA(crossover="average", init="normal"),
    GA(crossover="split", sigma=SelfAdaptive(0.3, 0.01)),
]


def within(member, bounds):
    return bool((member.flat >= np.float32(bounds[0])).all() and (member.flat <= np.float32(bounds[1])).all())


@pytest.mark.parametrize("given", BOUNDED, ids=str)
def test_bounded_weights_have_the_bytes_of_the_plain_loop_also_resumed(digits, tmp_path, given):
    """As with the ``gene_space`` of PyGAD."""

    def toolbox():
        return make_toolbox("mlp", digits, given, seed=1, bounds=(-0.1, 0.05))

    def run(ngen, **options):
        made = toolbox()
        population = made.population(n=6)
        found = evolve(population, made, ngen, **options)
        assert all(within(member, (-0.1, 0.05)) for member in population)
        return [member.flat.tobytes() for member in population], rows_of(found[1])

    assert all(within(member, (-0.1, 0.05)) for member in toolbox().population(n=4))
    whole = run(3)
    assert whole == reference(toolbox(), n=6, ngen=3)
    run(1, checkpoint=tmp_path / "kept")
    assert run(3, checkpoint=tmp_path / "kept") == whole
    made = make_toolbox("mlp", digits, given, seed=1, bounds=(-0.1, 0.06))
    with pytest.raises(CheckpointError, match=r"individual.bounds was \[-0.1, 0.05\] when the run began, and is"):
        evolve(made.population(n=6), made, 4, checkpoint=tmp_path / "kept")


@pytest.mark.parametrize("probabilities", [{"mutpb": 0.2}, {"mutpb": 0, "cxpb": 0}], ids=str)
def test_children_of_opposites_that_are_not_mutated_stay_within_bounds(digits, probabilities):
    toolbox = make_toolbox("mlp", digits, GA(opposites=0.5), seed=1, bounds=(-0.3, 0.3))
    found = logged(*evolve(toolbox.population(n=20), toolbox, 3, **probabilities))
    assert np.abs(np.frombuffer(b"".join(found[0]), np.float32)).max() <= np.float32(0.3)
    assert found == reference(toolbox, n=20, ngen=3, **probabilities)


def passing(mutate):
    @functools.wraps(mutate)
    def passed(*arguments, **keywords):
        return mutate(*arguments, **keywords)

    return passed


def test_a_decorated_mutation_of_ones_own_keeps_its_bounds():
    bounds = np.array([-0.3, 0.3])
    own = wired(individual=partial(initNormal, Individual, LAYOUT, bounds=bounds), select=HALF)
    own.register("mutate", mutGaussianAdaptive, sigma=0.5, noise=TABLE, bounds=bounds)
    own.decorate("mutate", passing)
    population, _ = evolve(own.population(n=12), own, 3, seed=1, mutpb=0.2)
    assert all(within(member, bounds) for member in population)


def test_bounded_weights_stay_so_in_deaps_loops_and_around_given_ones(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, bounds=(-0.2, 0.2))
    given = toolbox.population(n=1)[0]
    random.seed(1)
    population, _ = simple(toolbox.population(n=6), toolbox)
    assert all(within(member, (-0.2, 0.2)) for member in population)
    around = make_toolbox("mlp", digits, seed=1, bounds=(-0.1, 0.1), init=[*given]).population(n=2)
    assert all(within(member, (-0.1, 0.1)) for member in around)
    assert np.array_equal(around[0].flat, given.flat.clip(-0.1, 0.1))


def test_an_evolution_strategy_refuses_bounds(digits):
    with pytest.raises(ValueError, match="bounds need a genetic algorithm: they would move the centre"):
        make_toolbox("mlp", digits, ES(), seed=1, bounds=(-1, 1))
    toolbox = make_toolbox("mlp", digits, ES(), seed=1)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=0.1, bounds=(-1, 1))
    with pytest.raises(ValueError, match="mutate: bounds are not for an evolution strategy"):
        evolve(toolbox.population(n=4), toolbox, 1)
