"""Weights between bounds: they stay there in each way of breeding and in DEAP's loops, or a warning says where not."""

import random
from functools import partial

import numpy as np
import pytest
from reference_loop import reference
from wirings import HALF, LAYOUT, TABLE, evolve_toolbox, passing, result, simple, wired

from deap_nn import (
    ES,
    GA,
    Article,
    CheckpointError,
    Individual,
    SelfAdaptive,
    evolve,
    initNormal,
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
def test_bounded_weights_have_the_bytes_of_the_plain_loop_also_resumed(mlp, tmp_path, given):
    """As with the ``gene_space`` of PyGAD."""

    def toolbox():
        return mlp(given, bounds=(-0.1, 0.05))

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
    made = mlp(given, bounds=(-0.1, 0.06))
    with pytest.raises(CheckpointError, match=r"individual.bounds was \[-0.1, 0.05\] when the run began, and is"):
        evolve_toolbox(made, n=6, ngen=4, checkpoint=tmp_path / "kept")


@pytest.mark.parametrize("probabilities", [{"mutpb": 0.2}, {"mutpb": 0, "cxpb": 0}], ids=str)
def test_children_of_opposites_that_are_not_mutated_stay_within_bounds(mlp, probabilities):
    toolbox = mlp(GA(opposites=0.5), bounds=(-0.3, 0.3))
    found = result(toolbox, n=20, ngen=3, **probabilities)
    assert np.abs(np.frombuffer(b"".join(found[0]), np.float32)).max() <= np.float32(0.3)
    assert found == reference(toolbox, n=20, ngen=3, **probabilities)


def test_a_decorated_mutation_of_ones_own_keeps_its_bounds():
    bounds = np.array([-0.3, 0.3])
    own = wired(individual=partial(initNormal, Individual, LAYOUT, bounds=bounds), select=HALF)
    own.register("mutate", mutGaussianAdaptive, sigma=0.5, noise=TABLE, bounds=bounds)
    own.decorate("mutate", passing)
    population, _ = evolve_toolbox(own, ngen=3, mutpb=0.2)
    assert all(within(member, bounds) for member in population)


def test_bounded_weights_stay_so_in_deaps_loops_and_around_given_ones(mlp):
    toolbox = mlp(bounds=(-0.2, 0.2))
    given = toolbox.population(n=1)[0]
    random.seed(1)
    population, _ = simple(toolbox.population(n=6), toolbox)
    assert all(within(member, (-0.2, 0.2)) for member in population)
    around = mlp(bounds=(-0.1, 0.1), init=[*given]).population(n=2)
    assert all(within(member, (-0.1, 0.1)) for member in around)
    assert np.array_equal(around[0].flat, given.flat.clip(-0.1, 0.1))


def test_an_evolution_strategy_refuses_bounds(mlp):
    with pytest.raises(ValueError, match="bounds need a genetic algorithm: they would move the centre"):
        mlp(ES(), bounds=(-1, 1))
    toolbox = mlp(ES())
    toolbox.register("mutate", mutGaussianAdaptive, sigma=0.1, bounds=(-1, 1))
    with pytest.raises(ValueError, match="mutate: bounds are not for an evolution strategy"):
        evolve_toolbox(toolbox, n=4, ngen=1)
