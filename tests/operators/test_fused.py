"""The compiled pass gives the bits of crossover and mutation, whatever the shapes; its noise comes from one table."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deap_nn import Individual, NoiseTable, cxMask, cxScanning, initNormal, mutGaussianAdaptive
from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.kinds import Child, are_siblings
from deap_nn.breeding.reproduction import Pairs
from deap_nn.core.seeding import Purpose, stream
from deap_nn.genome.vectors import empty_vector
from deap_nn.operators.compiled.common import LARGE
from deap_nn.operators.compiled.crossing import cross_and_mutate


@example(shapes=((130, 130), (), (7,), (200, 201), (3,)), indpb=0.5, sigma=0.3, seed=1, scaled=True)
@given(
    shapes=st.lists(st.lists(st.integers(1, 6), max_size=3).map(tuple), min_size=1, max_size=5).map(tuple),
    indpb=st.sampled_from([0.5, 0.0]),
    sigma=st.floats(0, 10),
    seed=st.integers(0, 1000),
    scaled=st.booleans(),
)
def test_the_fused_pass_equals_crossover_and_mutation(shapes, indpb, sigma, seed, scaled):
    rng = np.random.default_rng(seed)
    parents = [Individual([rng.standard_normal(shape) for shape in shapes]) for _ in range(2)]
    parents[0].flat[0] = np.float32(-0.0)
    size = parents[0].flat.size
    scale = [0.5 + i for i in range(len(shapes))] if scaled else None
    common = seed, 0, shapes, Individual, partial(initNormal)
    pairs = Pairs(partial(cxMask, indpb=indpb))
    keywords = {"sigma": 0.0, "noise": NoiseTable(1, size), "scale": scale}
    fused = Breeder(*common, partial(mutGaussianAdaptive, **keywords), 1.0, 1.0, pairs)
    apart = Breeder(*common, partial(not_known_to_the_pass, **keywords), 1.0, 1.0, pairs)
    assert (fused.fused, apart.fused) == (True, False)
    recipes = [Child(3, 4, (1, 2), sigma), Child(3, 5, (2, 1), sigma)]
    twins = [empty_vector(size), empty_vector(size)]
    fused.reproduction.breed(fused, recipes, [parent.flat for parent in parents], twins)
    for side, recipe in enumerate(recipes):
        sources = [parents[side].flat, parents[1 - side].flat]
        children = [empty_vector(size), empty_vector(size)]
        recipe.breed(fused, sources, children[0])
        recipe.breed(apart, sources, children[1])
        assert children[0].tobytes() == children[1].tobytes() == twins[side].tobytes()


@example(shapes=((130, 130), (), (7,), (200, 201), (3,)), sigma=0.3, seed=1, scaled=True)
@example(shapes=((LARGE + 21,), (3,)), sigma=0.3, seed=1, scaled=False)
@given(
    shapes=st.lists(st.lists(st.integers(1, 6), max_size=3).map(tuple), min_size=1, max_size=5).map(tuple),
    sigma=st.floats(0, 10),
    seed=st.integers(0, 1000),
    scaled=st.booleans(),
)
def test_the_scanning_pass_equals_crossover_and_mutation(shapes, sigma, seed, scaled):
    rng = np.random.default_rng(seed)
    parents = [Individual([rng.standard_normal(shape) for shape in shapes]).flat for _ in range(4)]
    parents[0][0] = np.float32(-0.0)
    size = parents[0].size
    scale = [0.5 + i for i in range(len(shapes))] if scaled else None
    common = seed, 0, shapes, Individual, partial(initNormal)
    pairs = Pairs(partial(cxScanning), 4)
    keywords = {"sigma": 0.0, "noise": NoiseTable(1, size), "scale": scale}
    fused = Breeder(*common, partial(mutGaussianAdaptive, **keywords), 1.0, 1.0, pairs)
    apart = Breeder(*common, partial(not_known_to_the_pass, **keywords), 1.0, 1.0, pairs)
    assert (fused.fused, apart.fused) == (True, False)
    ids = (1, 2, 3, 4)
    recipes = [Child(3, 8 + turn, ids[turn:] + ids[:turn], sigma) for turn in range(4)]
    assert all(are_siblings(one, other) for one, other in pairwise(recipes))
    expected = []
    for turn, recipe in enumerate(recipes):
        sources = parents[turn:] + parents[:turn]
        children = [empty_vector(size), empty_vector(size)]
        recipe.breed(fused, sources, children[0])
        recipe.breed(apart, sources, children[1])
        assert children[0].tobytes() == children[1].tobytes()
        expected.append(children[0].tobytes())
    for first in range(4):
        for last in range(first + 1, 5):
            outs = [empty_vector(size + beyond)[beyond:] for beyond in range(last - first)]
            fused.reproduction.breed(
                fused, recipes[first:last], parents[first:] + parents[:first], outs[: last - first]
            )
            assert [out.tobytes() for out in outs] == expected[first:last]


@pytest.mark.parametrize("wrong", ["out", "twin", "parent", "table", "factors"])
def test_the_compiled_pass_refuses_what_does_not_fit(wrong):
    vectors = {name: np.zeros(9, np.float32) for name in ("out", "twin", "parent", "other", "table")}
    vectors["factors"] = np.ones(1, np.float32)
    key = {"seed": 1, "generation": 1, "place": 0, "masked": True}
    cross_and_mutate([vectors["out"], vectors["twin"]], *list(vectors.values())[2:], ((3, 3),), **key)
    vectors[wrong] = np.zeros(8, np.float32)
    with pytest.raises(ValueError, match="must have"):
        cross_and_mutate([vectors["out"], vectors["twin"]], *list(vectors.values())[2:], ((3, 3),), **key)


@pytest.mark.parametrize("indpb", [0.5, 0.0])
@pytest.mark.parametrize("beyond_alignment", [0, 1, 5])
def test_the_pass_past_the_caches_gives_the_same_bits(indpb, beyond_alignment):
    shapes = ((7,), (1001, 1003), (3,), (5, 5))
    rng = np.random.default_rng(1)
    parents = [Individual([rng.standard_normal(shape) for shape in shapes]) for _ in range(2)]
    size = parents[0].flat.size
    assert size > LARGE
    table = NoiseTable(1, size).array()
    outs = [empty_vector(size + beyond_alignment)[beyond_alignment:], empty_vector(size + 3)[3:]]
    factors = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    key = {"seed": 3, "generation": 2, "place": 6}
    cross_and_mutate(outs, parents[0].flat, parents[1].flat, table, factors, shapes, **key, masked=indpb > 0)
    cxMask(*parents, indpb=indpb, rng=stream(3, Purpose.MATE, 2, 3))
    for place, (child, out) in enumerate(zip(parents, outs, strict=True), start=6):
        noise = NoiseTable(1, size)
        rng = stream(3, Purpose.MUTATE, 2, place)
        mutGaussianAdaptive(child, sigma=1.0, scale=[0.1, 0.2, 0.3, 0.4], noise=noise, rng=rng)
        assert out.tobytes() == child.flat.tobytes()


def not_known_to_the_pass(individual, *, rng, **keywords):
    return mutGaussianAdaptive(individual, rng=rng, **keywords)


def test_the_processes_of_a_host_read_one_table_of_noise(tmp_path):
    table = NoiseTable(5, 1000).pinned()
    numbers = table.array()
    table.share(tmp_path / "nowhere")
    assert table.array() is numbers
    table.share(tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == numbers.tobytes()
    mapped = table.array()
    assert mapped is not numbers
    assert not mapped.flags.writeable
    assert mapped.tobytes() == numbers.tobytes()
    with open(path, "r+b") as file:  # what another process had made otherwise would be seen and refused
        file.write(b"1234")
    table.share(tmp_path)
    with pytest.raises(ValueError, match="differs from the run's"):
        table.array()
