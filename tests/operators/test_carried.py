"""Parents that are moved by a step before they are crossed: by one compiled pass, and one after the other."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deap_nn import Individual, cxMask, cxScanning, mutGaussianAdaptive
from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.kinds import Child, are_siblings
from deap_nn.breeding.reproduction.pairs import Pairs
from deap_nn.genome.layer_inputs import packed_inputs
from deap_nn.genome.noise import NoiseTable
from deap_nn.genome.vectors import empty_vector, moved_along
from deap_nn.operators.compiled.common import LARGE
from deap_nn.operators.compiled.crossing import cross_and_mutate, scan_and_mutate
from deap_nn.operators.compiled.projection import project
from deap_nn.operators.initialisation import initNormal


def not_known_to_the_pass(individual, *, rng, **keywords):
    return mutGaussianAdaptive(individual, rng=rng, **keywords)


def breeders(shapes, mates, indpb=None, seed=3, mutpb=1.0):
    """Two breeders of the same children: by one compiled pass, and by the operators one after the other."""
    size = sum(int(np.prod(shape)) for shape in shapes)
    words = {"sigma": 0.0, "noise": NoiseTable(1, size), "scale": [0.5 + i for i in range(len(shapes))]}
    mate = partial(cxScanning) if mates == 4 else partial(cxMask, indpb=indpb)
    common = seed, 0, shapes, Individual, partial(initNormal)
    return [
        Breeder(*common, partial(mutate, **words), 1.0, mutpb, Pairs(mate, mates))
        for mutate in (mutGaussianAdaptive, not_known_to_the_pass)
    ]


def check(shapes, mates, indpb=None, seed=3, mutpb=1.0, most=4):
    rng, (fused, apart) = np.random.default_rng(seed), breeders(shapes, mates, indpb, seed, mutpb)
    size = sum(int(np.prod(shape)) for shape in shapes)
    *parents, step = rng.standard_normal((mates + 1, size), dtype=np.float32)
    ids = tuple(range(1, mates + 1))
    recipes = [Child(3, 2 * mates + turn, ids[turn:] + ids[:turn], 0.1, shift=99) for turn in range(mates)]
    assert all(are_siblings(one, other) for one, other in pairwise(recipes))
    expected = []
    moved = [moved_along(parent, step) for parent in parents]
    for turn, recipe in enumerate(recipes):
        out, without = empty_vector(size), empty_vector(size)
        recipe.breed(apart, [*parents[turn:], *parents[:turn], step], out)
        recipe._replace(shift=None).breed(fused, moved[turn:] + moved[:turn], without)
        assert out.tobytes() == without.tobytes()
        expected.append(out.tobytes())
    for last in range(1, min(most, mates) + 1):
        outs = [empty_vector(size + beyond)[beyond:] for beyond in range(last)]
        fused.reproduction.breed(fused, recipes[:last], [*parents, step], outs)
        assert [out.tobytes() for out in outs] == expected[:last]


@given(
    shapes=st.lists(st.lists(st.integers(1, 6), max_size=3).map(tuple), min_size=1, max_size=4).map(tuple),
    seed=st.integers(0, 1000),
    mates_and_chance=st.sampled_from([(4, None), (2, 0.5), (2, 0.3)]),
)
def test_one_pass_has_the_bits_of_parents_moved_before(shapes, seed, mates_and_chance):
    check(shapes, *mates_and_chance, seed)


@pytest.mark.parametrize(("mates", "indpb"), [(4, None), (2, 0.5)])
def test_a_genome_larger_than_the_caches_has_the_same_bits(mates, indpb):
    shapes = ((7,), (1001, 1003), (3,), (5, 5))
    assert sum(map(np.prod, shapes)) > LARGE
    check(shapes, mates, indpb)


@pytest.mark.parametrize("mates", [2, 4])
def test_children_that_are_not_mutated_are_carried_too(mates):
    for seed in range(6):
        check(((130, 100), (3,)), mates, 0.5, seed, mutpb=0.5)


def test_a_step_of_another_size_is_refused():
    nine, step = np.zeros(9, np.float32), np.zeros(8, np.float32)
    key = {"seed": 1, "generation": 1, "place": 0}
    with pytest.raises(ValueError, match="must have 9 weights"):
        scan_and_mutate([nine], [nine] * 4, nine, np.ones(1, np.float32), ((3, 3),), **key, step=step)
    with pytest.raises(ValueError, match="must have 9 weights"):
        cross_and_mutate([nine], nine, nine, nine, np.ones(1, np.float32), ((3, 3),), **key, masked=True, step=step)


def test_a_stride_is_a_factor_on_the_projected_step():
    rng, shapes = np.random.default_rng(1), ((30, 7), (7,))
    before, after = rng.standard_normal((2, 217), dtype=np.float32)
    packed = packed_inputs({0: rng.standard_normal((5, 30))})
    once, twice = after.copy(), after.copy()
    project(once, before, shapes, packed)
    project(twice, before, shapes, packed, stride=2.0)
    np.testing.assert_allclose((twice - before)[:210], 2 * (once - before)[:210], rtol=1e-4, atol=1e-5)
    assert twice[210:].tobytes() == once[210:].tobytes() == after[210:].tobytes()
