"""The compiled passes around a centre give the bits of the operators that they stand for."""

from functools import partial

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deap_nn import Individual, NoiseTable, initNormal, mutGaussianAdaptive, recombination_weights
from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.kinds import Centre, Child, packed
from deap_nn.breeding.reproduction import AroundCentre
from deap_nn.genome.vectors import empty_vector
from deap_nn.operators.compiled.centre import mutate_around, recombine
from deap_nn.operators.compiled.common import LARGE


def not_known_to_the_pass(individual, *, rng, **keywords):
    return mutGaussianAdaptive(individual, rng=rng, **keywords)


def bred(breeder, recipe, centre):
    out = empty_vector(centre.size)
    recipe.breed(breeder, [centre], out)
    return out


@example(
    shapes=((130, 130), (), (7,), (200, 201), (3,)),
    sigma=0.3,
    seed=1,
    scaled=True,
    places=[5, 4, 9, 8],
    step=6.0,
    weights=partial(recombination_weights, parents=2),
)
@example(
    shapes=((LARGE + 21,), (3,)),
    sigma=0.3,
    seed=1,
    scaled=False,
    places=[1, 0, 2],
    step=1.0,
    weights=recombination_weights,
)
@given(
    shapes=st.lists(st.lists(st.integers(1, 6), max_size=3).map(tuple), min_size=1, max_size=5).map(tuple),
    sigma=st.floats(0, 10),
    seed=st.integers(0, 1000),
    scaled=st.booleans(),
    places=st.lists(st.integers(0, 9), min_size=1, max_size=10, unique=True),
    step=st.floats(0.1, 20),
    weights=st.sampled_from([recombination_weights, partial(recombination_weights, parents=2)]),
)
def test_the_passes_equal_the_operators(shapes, sigma, seed, scaled, places, step, weights):
    centre = Individual([np.random.default_rng(seed).standard_normal(shape) for shape in shapes]).flat
    centre[0] = np.float32(-0.0)
    scale = [0.5 + i for i in range(len(shapes))] if scaled else None
    common = seed, 0, shapes, Individual, partial(initNormal)
    keywords = {"sigma": 0.0, "noise": NoiseTable(1, centre.size), "scale": scale}
    around = AroundCentre(step, weights)
    fused = Breeder(*common, partial(mutGaussianAdaptive, **keywords), 1.0, 1.0, around)
    apart = Breeder(*common, partial(not_known_to_the_pass, **keywords), 1.0, 1.0, around)
    assert (fused.fused, apart.fused) == (True, False)
    pair = [Child(3, place, (7,), sigma) for place in (4, 5)]
    twins = [empty_vector(centre.size), empty_vector(centre.size)]
    fused.reproduction.breed(fused, pair, [centre], twins)
    for recipe, twin in zip(pair, twins, strict=True):
        assert twin.tobytes() == bred(fused, recipe, centre).tobytes() == bred(apart, recipe, centre).tobytes()
    recipe = Centre(3, (7,), sigma, packed(places))
    assert bred(fused, recipe, centre).tobytes() == bred(apart, recipe, centre).tobytes()


def test_a_recombination_of_some_is_step_times_as_far_as_their_mean():
    centre = np.random.default_rng(1).standard_normal(60).astype(np.float32)
    mutation = partial(mutGaussianAdaptive, sigma=0.0, noise=NoiseTable(1, 60))
    common = 1, 0, ((6, 10),), Individual, partial(initNormal), mutation, 1.0, 1.0
    for step in (1.0, 4.0):
        breeder = Breeder(*common, AroundCentre(step))
        children = [bred(breeder, Child(2, place, (7,), 0.5), centre) for place in (0, 3, 3)]
        found = bred(breeder, Centre(2, (7,), 0.5, packed((0, 3, 3)), whole=False), centre)
        assert np.allclose(found, centre + step * (np.mean(children, axis=0) - centre), atol=1e-5)


def test_the_next_centre_goes_towards_the_better_half_and_away_from_the_worse():
    centre = np.random.default_rng(1).standard_normal(60).astype(np.float32)
    mutation = partial(mutGaussianAdaptive, sigma=0.0, noise=NoiseTable(1, 60))
    common = 1, 0, ((6, 10),), Individual, partial(initNormal), mutation, 1.0, 1.0
    breeder = Breeder(*common, AroundCentre(4.0, recombination_weights))
    ranked = [4, 0, 3, 1, 2]
    children = np.array([bred(breeder, Child(2, place, (7,), 0.5), centre) for place in ranked], np.float64)
    found = bred(breeder, Centre(2, (7,), 0.5, packed(ranked)), centre)
    first, second = np.log(2.5), np.log(2.5 / 2)
    move = (first * (children[0] - children[4]) + second * (children[1] - children[3])) / (2 * (first + second))
    assert np.allclose(found, centre + 4.0 * move, atol=1e-5)
    alone = bred(breeder, Centre(2, (7,), 0.5, packed([3])), centre)
    assert np.allclose(alone, centre + 4.0 * (children[2] - centre), atol=1e-5)
    noises = children - centre
    assert abs(np.corrcoef(noises)[np.triu_indices(5, 1)]).max() < 0.6  # each has its own


def test_what_does_not_fit_is_refused():
    vector, factors = empty_vector(6), np.ones(1, np.float32)
    key = {"seed": 1, "generation": 1}
    drawn = {"drawn": np.zeros(1, np.int64), "counts": np.ones(1), "step": 1.0}
    with pytest.raises(ValueError, match="must have 6 weights"):
        mutate_around([vector], empty_vector(5), empty_vector(9), factors, ((2, 3),), **key, places=[0])
    with pytest.raises(ValueError, match="must have 6 weights"):
        recombine(empty_vector(5), vector, empty_vector(9), factors, ((2, 3),), **key, **drawn)
    with pytest.raises(ValueError, match="one or two, each with a place, got 3"):
        mutate_around([vector] * 3, vector, empty_vector(9), factors, ((2, 3),), **key, places=[0, 1, 2])
    with pytest.raises(ValueError, match="each with a place, got 1 and 2 places"):
        mutate_around([vector], vector, empty_vector(9), factors, ((2, 3),), **key, places=[0, 1])
    with pytest.raises(ValueError, match="table of noise"):
        recombine(vector, vector, empty_vector(5), factors, ((2, 3),), **key, **drawn)
