"""Groups of four small genomes are bred in one call, with the bits of a call for each."""

from functools import partial

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reference_loop import reference
from wirings import FOUR_WITH_OPPOSITES, LAYOUT, TABLE, Together, result, wired

from deap_nn import SelfAdaptive, cxMask, cxScanning, mutGaussianAdaptive
from deap_nn.breeding.founders import breeder_of
from deap_nn.breeding.kinds import Child
from deap_nn.breeding.reproduction import Pairs
from deap_nn.genome.vectors import empty_vector
from deap_nn.operators.compiled import crossing
from deap_nn.operators.compiled.crossing import cross_and_mutate, scan_groups

FOUR = {"mate": cxScanning, "mates": 4}
OWN_SIGMAS = {"mutate": partial(mutGaussianAdaptive, sigma=SelfAdaptive(0.3, 0.01), noise=TABLE)}
BOUNDED = {"mutate": partial(mutGaussianAdaptive, sigma=0.5, noise=TABLE, bounds=(-0.2, 0.2))}
ALWAYS = {"cxpb": 1.0, "mutpb": 1.0}


@pytest.mark.parametrize(
    ("registered", "options", "groups"),
    [
        (FOUR, ALWAYS | {"n": 16}, {4}),
        (FOUR, ALWAYS | {"n": 15}, {3}),  # the last group has three children
        (FOUR, ALWAYS | {"n": 3}, {0}),
        (FOUR_WITH_OPPOSITES, ALWAYS | {"n": 16}, {4}),
        (FOUR | BOUNDED, ALWAYS | {"n": 16}, {4}),
        (FOUR | OWN_SIGMAS, ALWAYS | {"n": 16}, {0}),  # each child has another sigma
        (FOUR, {"cxpb": 0.5, "mutpb": 1.0, "n": 16}, {0}),
        (FOUR, {"cxpb": 1.0, "mutpb": 0.5, "n": 16}, {0}),
        ({"mate": cxMask}, ALWAYS | {"n": 16}, {0}),
    ],
)
def test_many_groups_are_those_of_the_plain_way(monkeypatch, registered, options, groups):
    written, breed = [], Pairs.breed_many

    def noting(*arguments):
        written.append(breed(*arguments))
        return written[-1]

    monkeypatch.setattr(Pairs, "breed_many", noting)
    made = result(wired(**registered, evaluate=Together(leaves_weights=True)), **options)
    assert made == reference(wired(**registered), **options)
    assert set(written[1:]) == groups  # after the founders


@pytest.mark.parametrize(
    ("second", "written"),
    [((3, 4, 0.1), 2), ((3, 4, 0.2), 1), ((2, 4, 0.1), 1), ((3, 8, 0.1), 1)],
    ids=["the next group", "another sigma", "another generation", "a later group"],
)
def test_one_call_takes_groups_side_by_side(second, written):
    ids = (1, 2, 3, 4)
    genomes = {key: np.full(LAYOUT.size, key, np.float32) for key in ids}
    toolbox = wired(**FOUR)
    breeder = breeder_of(toolbox.population(n=8), toolbox, seed=1, **ALWAYS)
    runs = []
    for start, (generation, place, sigma) in ((0, (3, 0, 0.1)), (4, second)):
        children = [Child(generation, place + turn, ids[turn:] + ids[:turn], sigma) for turn in range(4)]
        runs.append((start, children))
    outs = np.full((8, LAYOUT.size), np.nan, np.float32)
    assert breeder.reproduction.breed_many(breeder, runs, genomes, outs) == written
    assert np.isnan(outs).any(axis=1).sum() == 8 - 4 * written


def test_larger_genomes_are_bred_group_by_group(monkeypatch):
    called, scan = [], crossing.scan_groups

    def noting(*arguments, **keywords):
        called.append(arguments)
        scan(*arguments, **keywords)

    monkeypatch.setattr(crossing, "scan_groups", noting)
    toolbox = wired(**FOUR, evaluate=Together(leaves_weights=True))
    at_once = result(toolbox)
    assert len(called) == 6
    monkeypatch.setattr(crossing, "SMALL", LAYOUT.size - 1)
    assert result(toolbox) == at_once
    assert len(called) == 6


@example(shapes=((130, 100), (), (7,), (3,)), count=3, seed=1)
@given(
    shapes=st.lists(st.lists(st.integers(1, 6), max_size=3).map(tuple), min_size=1, max_size=5).map(tuple),
    count=st.integers(0, 5),
    seed=st.integers(0, 1000),
)
def test_one_call_gives_the_bits_of_a_call_for_each_group(shapes, count, seed):
    rng = np.random.default_rng(seed)
    size = sum(int(np.prod(shape)) for shape in shapes)
    pool = rng.standard_normal((6, size), dtype=np.float32)
    groups = rng.integers(0, len(pool), (count, 4))
    table = rng.standard_normal(4 * size, dtype=np.float32)
    factors = rng.random(len(shapes), dtype=np.float32)
    outs = np.full((4 * count, size), np.nan, np.float32)
    key = {"seed": seed, "generation": 7}
    scan_groups(outs, pool, groups, table, factors, shapes, **key, place=20)
    for number, group in enumerate(groups):
        four = [empty_vector(size) for _ in range(4)]
        cross_and_mutate(four, [pool[i] for i in group], table, factors, shapes, **key, place=20 + 4 * number)
        assert np.array_equal(four, outs[4 * number : 4 * number + 4])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"outs": np.zeros((7, 9), np.float32)}, "must have four parents"),
        ({"outs": np.zeros((8, 8), np.float32)}, "must have 9 weights"),
        ({"outs": np.zeros((8, 18), np.float32)[:, ::2]}, "contiguous memory"),
        ({"pool": np.zeros((5, 8), np.float32)}, "must have 9 weights"),
        ({"pool": np.zeros((5, 18), np.float32)[:, ::2]}, "contiguous memory"),
        ({"groups": np.array([[0, 1, 2, 3], [1, 2, 3, 5]])}, "four parents among 5"),
        ({"groups": np.array([[0, 1, 2, 3], [1, 2, 3, -1]])}, "four parents among 5"),
        ({"groups": np.zeros((2, 3), np.int64)}, "must have four parents"),
        ({"table": np.zeros(8, np.float32)}, "table of noise must have"),
        ({"factors": np.ones(2, np.float32)}, "a factor for each"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, message):
    given = {"outs": np.zeros((8, 9), np.float32), "pool": np.zeros((5, 9), np.float32)}
    given |= {"groups": np.zeros((2, 4), np.int64), "table": np.zeros(9, np.float32), "factors": np.ones(1, np.float32)}
    key = {"seed": 1, "generation": 1, "place": 0}
    scan_groups(*given.values(), ((3, 3),), **key)
    with pytest.raises(ValueError, match=message):
        scan_groups(*(given | wrong).values(), ((3, 3),), **key)
