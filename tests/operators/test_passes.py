"""The compiled passes give the bits of the operators that they stand for."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from genomes import ANY_SHAPES, SEVERAL_BLOCKS, size_of
from hypothesis import example, given
from hypothesis import strategies as st

from deap_nn import Individual, NoiseTable, cxMask, cxScanning, initNormal, mutGaussianAdaptive, recombination_weights
from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.kinds import Centre, Child, packed
from deap_nn.breeding.reproduction import AroundCentre, Pairs
from deap_nn.genome.vectors import empty_vector, split_vector
from deap_nn.operators.compiled.centre import mutate_around, recombine
from deap_nn.operators.compiled.common import LARGE
from deap_nn.operators.compiled.crossing import cross_and_mutate

BEYOND_THE_CACHES = ((7,), (1001, 1003), (3,), (5, 5))
CROSSED = {
    "mask": Pairs(partial(cxMask, indpb=0.5)),
    "none": Pairs(partial(cxMask, indpb=0.0)),
    "scan": Pairs(partial(cxScanning), 4),
}
HALVES = [recombination_weights, partial(recombination_weights, parents=2)]


def not_known_to_the_pass(individual, *, rng, **keywords):
    return mutGaussianAdaptive(individual, rng=rng, **keywords)


def breeders(reproduction, shapes, *, seed=3, scaled=True, mutpb=1.0):
    """Two breeders of the same children: by compiled passes, and by the operators one after the other."""
    words = {"sigma": 0.0, "noise": NoiseTable(1, size_of(shapes))}
    words["scale"] = [0.5 + i for i in range(len(shapes))] if scaled else None
    made = [
        Breeder(seed, 0, shapes, Individual, partial(initNormal), partial(mutate, **words), 1.0, mutpb, reproduction)
        for mutate in (mutGaussianAdaptive, not_known_to_the_pass)
    ]
    assert [breeder.fused for breeder in made] == [True, False]
    return made


def bred(breeder, recipe, parents):
    out = empty_vector(parents[0].size)
    recipe.breed(breeder, parents, out)
    return out


def check(reproduction, shapes, *, sigma=0.1, seed=3, shift=None, **options):
    fused, apart = breeders(reproduction, shapes, seed=seed, **options)
    mates, size = reproduction.mates, size_of(shapes)
    *parents, step = np.random.default_rng(seed).standard_normal((mates + 1, size), dtype=np.float32)
    parents[0][0] = np.float32(-0.0)
    ids = tuple(range(1, mates + 1))
    if reproduction.shares_parents:
        parents, ids = parents[:1], ids[:1]

    def turned(turn):
        return [*parents[turn:], *parents[:turn], *([] if shift is None else [step])]

    recipes = [Child(3, 2 * mates + i, ids[i:] + ids[:i], sigma, shift) for i in range(mates)]
    expected = [bred(apart, recipe, turned(turn)).tobytes() for turn, recipe in enumerate(recipes)]
    for first, last in combinations(range(mates + 1), 2):
        outs = [empty_vector(size + beyond)[beyond:] for beyond in range(last - first)]
        fused.reproduction.breed(fused, recipes[first:last], turned(first), outs)
        assert [out.tobytes() for out in outs] == expected[first:last]


@example(name="mask", shapes=SEVERAL_BLOCKS, sigma=0.3, seed=1, scaled=True, shift=None)
@example(name="scan", shapes=SEVERAL_BLOCKS, sigma=0.3, seed=1, scaled=True, shift=None)
@given(
    name=st.sampled_from(list(CROSSED)),
    shapes=ANY_SHAPES,
    sigma=st.floats(0, 10),
    seed=st.integers(0, 1000),
    scaled=st.booleans(),
    shift=st.sampled_from([None, 99]),
)
def test_one_pass_crosses_and_mutates_and_moves_the_parents_before(name, **drawn):
    check(CROSSED[name], **drawn)


@pytest.mark.parametrize("shift", [None, 99])
@pytest.mark.parametrize("name", CROSSED)
def test_a_genome_larger_than_the_caches_has_the_same_bits(name, shift):
    assert size_of(BEYOND_THE_CACHES) > LARGE
    check(CROSSED[name], BEYOND_THE_CACHES, shift=shift)


@pytest.mark.parametrize("name", CROSSED)
def test_children_that_are_not_mutated_are_moved_too(name):
    for seed in range(6):
        check(CROSSED[name], ((130, 100), (3,)), seed=seed, shift=99, mutpb=0.5)


@example(shapes=SEVERAL_BLOCKS, sigma=0.3, seed=1, scaled=True, places=[5, 4, 9, 8], step=6.0, weights=HALVES[1])
@example(shapes=((LARGE + 21,), (3,)), sigma=0.3, seed=1, scaled=False, places=[1, 0, 2], step=1.0, weights=HALVES[0])
@given(
    shapes=ANY_SHAPES,
    sigma=st.floats(0, 10),
    seed=st.integers(0, 1000),
    scaled=st.booleans(),
    places=st.lists(st.integers(0, 9), min_size=1, max_size=10, unique=True),
    step=st.floats(0.1, 20),
    weights=st.sampled_from(HALVES),
)
def test_a_centre_has_children_and_moves_as_by_the_operators(shapes, sigma, seed, scaled, places, step, weights):
    around = AroundCentre(step, weights)
    check(around, shapes, sigma=sigma, seed=seed, scaled=scaled)
    centre = np.random.default_rng(seed).standard_normal(size_of(shapes), dtype=np.float32)
    made = [
        bred(breeder, Centre(3, (7,), sigma, packed(places)), [centre]).tobytes()
        for breeder in breeders(around, shapes, seed=seed, scaled=scaled)
    ]
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("ranked", "whole", "shares"),
    [
        ([0, 3, 3], False, [1 / 3, 1 / 3, 1 / 3]),  # a recombination of some
        ([4, 0, 3, 1, 2], True, np.log([2.5, 1.25, 1, 0.8, 0.4]) / (2 * np.log(2.5 * 1.25))),
        ([3], True, [1.0]),
    ],
)
def test_a_centre_moves_by_step_times_the_weighted_mean(ranked, whole, shares):
    breeder, _ = breeders(AroundCentre(4.0), ((6, 10),))
    centre = np.random.default_rng(1).standard_normal(60).astype(np.float32)
    noises = np.array([bred(breeder, Child(2, place, (7,), 0.5), [centre]) for place in ranked], np.float64) - centre
    found = bred(breeder, Centre(2, (7,), 0.5, packed(ranked), whole=whole), [centre])
    assert np.allclose(found, centre + 4.0 * (np.asarray(shares) @ noises), atol=1e-5)
    if len(ranked) == 5:
        assert abs(np.corrcoef(noises)[np.triu_indices(5, 1)]).max() < 0.6  # each has its own


@pytest.mark.parametrize(("generation", "resting"), [(3, 2), (4, 0), (5, 2)])
def test_the_first_matrices_are_mutated_every_so_many_generations(generation, resting):
    shapes, centre = ((6, 10), (3,), (4, 4)), np.random.default_rng(1).standard_normal(79).astype(np.float32)
    recipes = [*(Child(generation, place, (7,), 0.5) for place in range(3))]
    recipes.append(Centre(generation, (7,), 0.5, packed([2, 0, 1]), whole=True))
    for recipe in recipes:
        made = [bred(breeder, recipe, [centre]) for breeder in breeders(AroundCentre(4.0, resting=(2, 4)), shapes)]
        assert made[0].tobytes() == made[1].tobytes()
        parts = zip(split_vector(made[0], shapes), split_vector(centre, shapes), strict=True)
        assert [np.array_equal(*pair) for pair in parts] == [place < resting for place in range(3)]


@pytest.mark.parametrize("wrong", ["out", "parent", "step", "table", "factors"])
def test_sizes_that_do_not_fit_are_refused(wrong):
    given = {"table": np.zeros(9, np.float32), "factors": np.ones(1, np.float32), "shapes": ((3, 3),)}
    sizes = {"out": 9, "parent": 9, "step": 9} | ({wrong: 8} if wrong in ("out", "parent", "step") else {})
    if wrong in given:
        given[wrong] = np.zeros(8, np.float32)
    out, parent, step = (np.zeros(size, np.float32) for size in sizes.values())
    given |= {"seed": 1, "generation": 1}
    for mates in (2, 4):
        with pytest.raises(ValueError, match="must have"):
            cross_and_mutate([out], [parent] * mates, place=0, step=step, **given)
    if wrong != "step":
        with pytest.raises(ValueError, match="must have"):
            mutate_around([out], parent, places=[0], **given)
        with pytest.raises(ValueError, match="must have"):
            recombine(out, parent, drawn=np.zeros(1, np.int64), counts=np.ones(1), step=1.0, **given)
