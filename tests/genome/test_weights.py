"""The genome behaves as a list in every DEAP operator, and as one vector everywhere else."""

import copy
import pickle
import random
from functools import partial

import numpy as np
import pytest
from deap import base, cma, creator, tools
from hypothesis import given
from hypothesis import strategies as st

from deap_nn import Layout, WeightList
from deap_nn.genome.vectors import split_vector

creator.create("MinimisedInTests", base.Fitness, weights=(-1.0,))
creator.create("GenomeInTests", WeightList, fitness=creator.MinimisedInTests)

SHAPES = ((3, 4), (4,), (4, 2), (2,), ())
shapes = st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=6).map(tuple)


def genome(start: float = 0.0, shapes=SHAPES, cls=None):
    cls = cls or creator.GenomeInTests
    size = sum(int(np.prod(shape)) for shape in shapes)
    return cls(split_vector(np.arange(start, start + size, dtype=np.float32), shapes))


def test_matrices_are_views_of_flat():
    individual = genome()
    assert individual.flat.dtype == np.float32
    assert individual.flat.flags.c_contiguous
    assert individual.flat.ctypes.data % 64 == 0
    individual.flat[:] = 7
    assert all((matrix == 7).all() for matrix in individual)
    assert individual.shapes == SHAPES


def test_construction_copies_and_converts():
    source = np.ones((2, 2))
    individual = WeightList([source])
    source[:] = 5
    assert individual[0].dtype == np.float32
    assert individual.flat.tolist() == [1, 1, 1, 1]


def test_equality_answers_one_bool():
    a, b = genome(), genome()
    assert (a == b) is True
    assert (a != b) is False
    b[2][0, 0] += 1
    assert (a == b) is False
    assert (a != b) is True
    assert (a == genome(shapes=SHAPES[:-1])) is False
    assert (a == 3) is False
    assert a == list(a)
    with pytest.raises(TypeError):
        hash(a)


def test_in_index_count_and_remove_of_matrices():
    individual = genome()
    assert np.array([12, 13, 14, 15]) in individual
    assert np.zeros(4) not in individual
    assert individual.index([12, 13, 14, 15]) == 1
    assert individual.count(individual[2]) == 1
    with pytest.raises(ValueError, match="no matrix"):
        individual.index(np.zeros(4))
    individual.remove(individual[0])
    assert individual.flat.size == sum(matrix.size for matrix in individual) == 15


def test_order_is_that_of_the_first_weight_that_differs():
    a, b = genome(0), genome(0)
    assert not a < b
    assert a <= b
    assert a >= b
    b[1][2] += 1
    assert a < b
    assert b > a
    assert not a >= b
    assert sorted([(1.0, b), (1.0, a)])[0][1] is a
    assert genome(shapes=SHAPES[:2]) < genome()


def test_slicing_behaves():
    individual = genome()
    assert [matrix.shape for matrix in individual[1:3]] == [(4,), (4, 2)]
    individual[0:2] = [np.zeros((3, 4), np.float32), np.zeros(4, np.float32)]
    assert individual.flat[:16].tolist() == [0] * 16
    assert individual.flat[16] == 16


def test_hall_of_fame_holds_five_different_members():
    rng = np.random.default_rng(1)
    hall = tools.HallOfFame(5)
    population = [genome() for _ in range(8)]
    for generation in range(200):
        for individual in population:
            # Few distinct genomes, so that the same one comes back again and again.
            individual.flat[:] = rng.integers(0, 12)
            individual.fitness.values = (float(individual.flat[0]) + generation % 3,)
        hall.update(population)
    assert len(hall) == 5
    assert all(a != b for i, a in enumerate(hall) for b in hall[:i])


def test_mig_ring_moves_members_between_islands():
    islands = [[genome(100 * island + 10 * i) for i in range(3)] for island in range(3)]
    for island in islands:
        for i, individual in enumerate(island):
            individual.fitness.values = (i,)
    tools.migRing(islands, 1, tools.selBest)
    assert [island[0].flat[0] for island in islands] == [200, 0, 100]


@pytest.mark.parametrize("cross", [tools.cxOnePoint, tools.cxTwoPoint, lambda a, b: tools.cxUniform(a, b, 0.5)])
@pytest.mark.parametrize("seed", range(5))
def test_deap_crossovers_lose_no_locus(cross, seed):
    random.seed(seed)
    a, b = genome(0), genome(1000)
    before = np.sort(np.stack([a.flat, b.flat]), axis=0)
    cross(a, b)
    kept_b = [matrix.copy() for matrix in b]
    for matrix in a:  # in place, before anybody reads .flat
        matrix += 0.25
    assert all(np.array_equal(mine, kept) for mine, kept in zip(b, kept_b, strict=True))
    for matrix in a:
        matrix -= 0.25
    for individual in (a, b):
        assert individual.flat.shape == (27,)
        assert individual.flat.flags.c_contiguous
        assert all(np.shares_memory(matrix, individual.flat) for matrix in individual)
    assert not np.shares_memory(a.flat, b.flat)
    assert np.array_equal(np.sort(np.stack([a.flat, b.flat]), axis=0), before)
    assert a.flat[0] != b.flat[0]


@given(shapes, st.integers(0, 5))
def test_flat_follows_a_rebound_element(shapes, place):
    individual = genome(shapes=shapes, cls=WeightList)
    place %= len(shapes)
    individual[place] = np.full(shapes[place], 99.0, np.float32)
    expected = np.concatenate([np.ravel(matrix) for matrix in individual])
    assert individual.flat.dtype == np.float32
    assert np.array_equal(individual.flat, expected)
    assert np.shares_memory(individual[place], individual.flat)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, *(lambda x, p=p: pickle.loads(pickle.dumps(x, p)) for p in range(2, 6))]
)
def test_copies_keep_values_fitness_and_attributes(duplicate):
    individual = genome()
    individual[1] = np.full(4, 2.5, np.float32)
    individual.fitness.values = (0.25,)
    individual.sigma = 0.125
    twin = duplicate(individual)
    assert twin == individual
    assert twin.shapes == individual.shapes
    assert twin.fitness.values == (0.25,)
    assert twin.fitness is not individual.fitness
    assert twin.sigma == 0.125
    assert not np.shares_memory(twin.flat, individual.flat)
    twin[0][:] = -1
    assert individual.flat[0] == 0


def test_shallow_copy_shares_matrices_until_packed():
    individual = genome()
    individual.fitness.values = (1.0,)
    twin = copy.copy(individual)
    twin[0] = np.zeros((3, 4), np.float32)
    assert individual.flat[1] == 1
    assert twin.flat[1] == 0
    assert twin.fitness.values == (1.0,)


def test_pickle_is_at_most_one_percent_larger_than_the_weights():
    individual = WeightList([np.zeros((3136, 1024)), np.zeros(1024), np.zeros((5, 5, 32, 64))])
    assert len(pickle.dumps(individual, pickle.HIGHEST_PROTOCOL)) <= 1.01 * individual.flat.nbytes


def test_layout_says_sizes_offsets_and_fan_ins():
    layout = Layout(("conv", "bias", "dense"), ((5, 5, 3, 8), (8,), (20, 10)))
    assert layout.sizes == (600, 8, 200)
    assert layout.offsets == (0, 600, 608)
    assert layout.size == 808
    assert layout.fan_ins == (75, 1, 20)
    views = layout.views(np.arange(808, dtype=np.float32))
    assert views[2][0, 0] == 608
    assert pickle.loads(pickle.dumps(layout)) == layout


@pytest.mark.parametrize(
    ("names", "shapes", "message"),
    [
        (("a",), ((1,), (2,)), "equal in number"),
        (("a", "a"), ((1,), (2,)), "differ"),
        (("a",), ((0, 2),), "at least 1"),
    ],
)
def test_layout_refuses(names, shapes, message):
    with pytest.raises(ValueError, match=message):
        Layout(names, shapes)


def test_layout_views_refuse_another_size():
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        Layout(("a",), ((2, 2),)).views(np.zeros(5, dtype=np.float32))


def test_a_vector_makes_a_whole_individual():
    """One of DEAP's creator had the class of its fitness for a fitness, which the first score changed for all."""
    one, other = (creator.GenomeInTests.from_flat(np.arange(6.0), ((2, 2), (2,))) for _ in range(2))
    one.fitness.values = (1.0,)
    assert not other.fitness.valid
    assert isinstance(creator.GenomeInTests.fitness, type)
    assert (one.flat.dtype, one.shapes) == (np.float32, ((2, 2), (2,)))
    flat = np.zeros(6, np.float32)
    assert creator.GenomeInTests.from_flat(flat, ((6,),)).flat is flat
    for wrong in (np.zeros(5), np.zeros((2, 3))):
        with pytest.raises(ValueError, match=r"flat must have the shape \(6,\), got"):
            WeightList.from_flat(wrong, ((2, 2), (2,)))


def test_numbers_are_no_matrices():
    strategy = cma.Strategy(centroid=[0.0] * 6, sigma=0.5)
    with pytest.raises(TypeError, match=r"^matrices must be arrays, got 6 numbers: .* or WeightList.from_flat makes"):
        strategy.generate(creator.GenomeInTests)
    made = strategy.generate(partial(creator.GenomeInTests.from_flat, shapes=((2, 2), (2,))))
    assert made[0].shapes == ((2, 2), (2,))
    scalars = WeightList([np.array(1.0)])
    assert WeightList(scalars).shapes == scalars.shapes == ((),)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (np.array([1 + 2j]), "weights must be real numbers, got complex128"),
        (np.array([1.0, None]), "weights must be real numbers, got object"),
        (np.array(["1.0"]), "weights must be real numbers, got <U3"),
    ],
)
def test_what_would_be_lost_is_refused(matrix, said):
    with pytest.raises(TypeError, match=said):
        WeightList([matrix])
    with pytest.raises(TypeError, match=said):
        WeightList.from_flat(matrix, ((matrix.size,),))
