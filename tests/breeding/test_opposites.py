"""Opposites: parents that are bad members, mirrored at the mean of their generation's parents."""

import contextlib
import copy
import pickle
from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from limits import evolve
from reference_loop import reference
from wirings import (
    FOUR_WITH_OPPOSITES,
    HALF,
    OtherHost,
    Squares,
    members,
    mutation,
    result,
    wired,
)

from deap_nn import (
    Individual,
    SelfAdaptive,
    selRankBoosted,
)
from deap_nn.breeding.genomes import Genomes
from deap_nn.breeding.kinds import Mean, Mirror
from deap_nn.breeding.lineage import Lineage
from deap_nn.breeding.slots import GenomeCache
from deap_nn.genome.population import LightMember, mean_of
from deap_nn.genome.vectors import empty_vector, mirror
from deap_nn.operators import selection
from deap_nn.operators.compiled import common
from deap_nn.operators.compiled.centre import average


def mean_by_numpy(genomes, counts):
    """Return the mean, summed in float64 in the order of the genomes and rounded to float32."""
    total = np.zeros(genomes[0].size)
    for genome, count in zip(genomes, counts, strict=True):
        total += count * genome.astype(np.float64)
    return (total / sum(counts)).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", [0, 1, 101, 1 << 15, (1 << 16) + 3])
def test_the_mean_is_that_of_numpy_to_the_bit(monkeypatch, size, threads):
    monkeypatch.setattr(common, "LARGE", 1 if threads > 1 else 1 << 20)
    monkeypatch.setattr(common, "processors", lambda: threads)
    rng = np.random.default_rng(size)
    genomes = [(rng.standard_normal(size) * 10.0**i).astype(np.float32) for i in range(-3, 4)]
    counts = rng.integers(1, 50, len(genomes)).tolist()
    out = empty_vector(size)
    average(genomes, counts, out)
    assert out.tobytes() == mean_by_numpy(genomes, counts).tobytes()


WHOLE = arrays(np.float32, 9, elements=st.integers(-(1 << 20), 1 << 20).map(float))


@given(WHOLE, WHOLE)
def test_the_mirror_image_of_a_mirror_image_is_the_vector(vector, centre):
    found = vector.copy()
    mirror(found, centre)
    assert found.tolist() == [2 * m - x for m, x in zip(centre.tolist(), vector.tolist(), strict=True)]
    mirror(found, centre)
    assert found.tolist() == vector.tolist()


def test_a_large_vector_is_mirrored_to_its_end():
    vector, centre = np.random.default_rng(1).standard_normal((2, (1 << 17) + 5)).astype(np.float32)
    expected = np.float32(2) * centre - vector
    mirror(vector, centre)
    assert vector.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("parents", "share", "ranks"),
    [
        (6, 0.5, [0, -9, 1, -8, 2, -7]),
        (7, 0.3, [0, -9, 1, -8, 2, 3, 4]),
        (3, 0.5, [0, -9, -8]),
        (1, 0.5, [0]),
        (None, 0.5, [0, -9, 1, -8, 2, -7, 3, -6, 4, -5]),
        (50, 0.2, [0, -9, 1, -8, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_the_best_and_the_opposites_of_the_worst_alternate(monkeypatch, parents, share, ranks):
    ranked, drawn = members(), []

    def in_order(weights, pairs, rng):
        drawn.append(weights)
        return np.arange(weights.size)[:, None]

    for place, member in enumerate(ranked):
        member.fitness.values = (float(place),)
    monkeypatch.setattr(selection, "_draw_pairs", in_order)
    shuffled = [ranked[place] for place in np.random.default_rng(1).permutation(10)]
    centre = mean_of(shuffled).flat

    def mirror(worst):
        return [Individual.from_flat(2 * centre - one.flat, one.shapes) for one in worst]

    words = {"parents": parents, "opposites": share, "boost": 3.0, "mirror": mirror}
    chosen = selRankBoosted(shuffled, 10, **words, rng=np.random.default_rng(1))
    (weights,) = drawn
    assert weights.size == len(ranks)
    assert len(ranks) == 1 or weights[0] > 2 * weights[1]  # the boost is the best's
    for one, rank in zip(chosen, ranks, strict=True):
        if rank >= 0:
            assert one is ranked[rank]
            continue
        assert all(one is not member for member in ranked)
        assert not one.fitness.valid
        assert one.flat.tobytes() == (2 * centre - ranked[-rank].flat).tobytes()
    words["mirror"] = lambda worst: None  # generation 0
    assert selRankBoosted(shuffled, 10, **words, rng=np.random.default_rng(1)) == ranked[: len(ranks)]


def test_other_shares_and_other_individuals_are_refused():
    rng, own = np.random.default_rng(1), members()
    for member in own:
        member.fitness.values = (float(member.flat[0]),)
    for share in (-0.1, 0.6, float("nan")):
        with pytest.raises(ValueError, match=r"opposites must be a share of the parents between 0 and 0\.5, got "):
            selRankBoosted(own, 2, opposites=share, rng=rng)


def opposites_of(record):
    """Return a selection that notes the parents: by place in the generation before, and their weights."""

    def select(individuals, k, *, rng, mirror):
        chosen = HALF(individuals, k, rng=rng, mirror=mirror)
        each = {id(member): member for member in individuals}
        record.append(([member.flat.copy() for member in individuals], [(one, id(one) in each) for one in chosen]))
        return chosen

    return select


def test_an_opposite_is_a_member_mirrored_at_the_mean_of_its_generations_parents():
    record = []
    population, _ = evolve(wired().population(n=12), wired(select=opposites_of(record)), 6, seed=1)
    assert len(population) == 12
    assert all(own for _, own in record[0][1])  # founders have no parents
    generations = [before for before, _ in record]
    sources = [], []
    for number, (_, chosen) in enumerate(record):
        mirrored = [one for one, own in chosen if not own]
        assert bool(mirrored) == bool(number)
        for one in mirrored:
            place = one.recipe.place
            centre = mean_by_numpy(*sources)
            assert one.flat.tobytes() == (2 * centre - generations[number][place]).tobytes()
            assert not one.fitness.valid
        # The parents of the next generation by their ids.
        weights = {one.recipe.id: one.flat.copy() for one, _ in chosen}
        count = Counter(one.recipe.id for one, _ in chosen)
        sources = [weights[key] for key in sorted(weights)], [count[key] for key in sorted(count)]


def test_a_light_opposite_is_read_copied_and_sent_as_any_member():
    seen = []

    def select(individuals, k, *, rng, mirror):
        chosen = HALF(individuals, k, rng=rng, mirror=mirror)
        for one in [one for one in chosen if isinstance(one.recipe, Mirror)][:1]:
            assert isinstance(one, LightMember)
            sent, twin = pickle.loads(pickle.dumps(one)), copy.copy(one)
            assert type(sent) is type(twin) is Individual
            assert sent == twin
            seen.append(one.strategy == individuals[one.recipe.place].strategy)
        return chosen

    own = mutation(SelfAdaptive(0.3, 0.01))
    found = result(wired(select=select, mutate=own))
    assert seen == [True] * 5
    assert found == result(wired(select=HALF, mutate=own))


def test_threads_breed_no_opposite_before_the_centroid(tmp_path):
    population, _ = evolve(wired(**FOUR_WITH_OPPOSITES).population(n=12), wired(**FOUR_WITH_OPPOSITES), 4, seed=1)
    lineage = population[0].make.__self__
    alone = Genomes(lineage.breeder, "alone", tmp_path)
    alone.recipes = dict(lineage.known.recipes)
    keys = sorted(lineage.known.parents)
    made = alone._ancestors(keys, lambda breed, recipes: [breed(one) for one in [*recipes][::-1]])
    alone.cache.remove()
    assert any(isinstance(lineage.known.recipes[key], Mirror) for key in keys)
    for key in keys:
        assert made[key].tobytes() == lineage.weights(lineage.known.recipes[key]).tobytes()


def test_no_opposites_are_those_of_a_selection_without_the_option():
    assert result(wired(select=partial(HALF, opposites=0.0))) == result(wired()) != result(wired(select=HALF))


def test_another_host_makes_the_centroid_without_a_second_task(tmp_path):
    expected, sent = result(wired(**FOUR_WITH_OPPOSITES)), []

    elsewhere = OtherHost(tmp_path, sent)
    assert result(wired(**FOUR_WITH_OPPOSITES, map=elsewhere), group_size=12) == expected
    elsewhere.forget()
    assert Counter(task.generation for task in sent) == dict.fromkeys(range(7), 1)
    centroids = [sum(isinstance(recipe, Mean) for recipe in task.known.values()) for task in sent]
    assert centroids == [0, 0, 1, 1, 1, 1, 1]


def test_a_resumed_run_breeds_each_centroid_with_the_opposites_that_need_it(tmp_path, monkeypatch):
    lines, line = [], Lineage.line
    monkeypatch.setattr(Lineage, "line", lambda self, wanted: lines.append(line(self, wanted)) or lines[-1])
    result(wired(**FOUR_WITH_OPPOSITES), ngen=4, checkpoint=tmp_path)
    assert result(wired(**FOUR_WITH_OPPOSITES), checkpoint=tmp_path) == result(wired(**FOUR_WITH_OPPOSITES))
    (found,) = lines
    for generation, recipes in enumerate(found):
        means = [recipe for recipe in recipes if isinstance(recipe, Mean)]
        mirrors = [recipe for recipe in recipes if isinstance(recipe, Mirror)]
        assert {recipe.generation for recipe in recipes if recipe not in means} == {generation}
        assert bool(mirrors) == bool(generation)
        assert {recipe.centroid for recipe in mirrors} <= {mean.id for line in found[: generation + 1] for mean in line}


# Opposites that are made of their members in the slots that these were bred into.


@pytest.fixture
def plain():
    return reference(wired(**FOUR_WITH_OPPOSITES))


@pytest.fixture
def lodged(monkeypatch):
    """A toolbox whose children have slots of their own, however small they are."""
    monkeypatch.setattr("deap_nn.breeding.slots.LODGED_WEIGHTS", 1)
    return wired(**FOUR_WITH_OPPOSITES, evaluate=Squares())


@pytest.fixture
def bred(monkeypatch):
    """The recipes that are bred one by one."""
    noted, breed = [], Genomes._breed_with

    def noting(self, parents, recipes, outs):
        noted.extend(recipes if len(recipes) == 1 else [])
        breed(self, parents, recipes, outs)

    monkeypatch.setattr(Genomes, "_breed_with", noting)
    return noted


def test_an_opposite_is_made_of_its_member_in_the_slot_of_both(plain, lodged, bred):
    assert result(lodged) == plain
    assert sum(isinstance(recipe, Mean) for recipe in bred) == 5
    assert not any(isinstance(recipe, Mirror) for recipe in bred)


def test_a_member_that_is_a_parent_too_keeps_its_slot(lodged, bred):
    def select(individuals, k, *, rng, mirror):
        chosen = HALF(individuals, k, rng=rng, mirror=mirror)
        mirrored = {one.recipe.place for one in chosen if isinstance(one.recipe, Mirror)}
        twins = [one for one in individuals if one.recipe.place in mirrored] * k
        return [*chosen[: k // 2], *(twins or chosen)][:k]

    expected = result(wired(**FOUR_WITH_OPPOSITES | {"select": select}))
    bred.clear()
    lodged.register("select", select)
    assert result(lodged) == expected
    assert any(isinstance(recipe, Mirror) for recipe in bred)  # not made of the slot that its member needs


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_member_that_is_lost_before_it_is_mirrored_is_bred_again(monkeypatch, plain, lodged, when):
    lost, writing = [], GenomeCache.writing

    def losing(self, slot, key, *, over=None):
        if over is not None and key not in lost and len(lost) < 8:
            lost.append(key)
            with writing(self, slot, 12345) as room:
                room[:] = 7
            if when == "while":  # as it is after a process was killed here
                with contextlib.suppress(ZeroDivisionError), writing(self, slot, 1) as room:
                    room[:] = 1 / 0
        return writing(self, slot, key, over=over)

    monkeypatch.setattr(GenomeCache, "writing", losing)
    assert result(lodged) == plain
    assert len(lost) == 8


def test_an_opposite_is_not_made_of_a_centroid_whose_slot_is_used_again(monkeypatch, plain, lodged):
    at_work, lost, breed_from = [], [], Genomes._breed_from

    def noting(self, recipes, *others, **keywords):
        at_work[:] = [(self, recipes[0].parents[-1])] if isinstance(recipes[0], Mirror) else []
        breed_from(self, recipes, *others, **keywords)

    def losing(vector, centre):
        if len(lost) < 3:
            (genomes, centroid), *_ = at_work
            lost.append(centroid)
            with genomes.cache.writing(genomes.slots[centroid], 12345) as room:
                room[:] = 7
        mirror(vector, centre)

    monkeypatch.setattr(Genomes, "_breed_from", noting)
    monkeypatch.setattr("deap_nn.breeding.genomes.mirror", losing)
    assert result(lodged) == plain
    assert len(lost) == 3
