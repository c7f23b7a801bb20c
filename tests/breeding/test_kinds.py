"""The kinds of genomes: their ids, and their recipes by id."""

import pickle

from wirings import FOUR_WITH_OPPOSITES, evolve_toolbox, wired

from deap_nn import GA
from deap_nn.breeding.kinds import (
    CENTRE,
    CENTROID,
    MEAN,
    MEMBER,
    MIRROR,
    SHIFT,
    Child,
    Founder,
    Mean,
    Mirror,
    generation_of,
    id_of,
    kind_of,
    place_of,
    rank_of_breeding,
    unpacked,
)


def test_an_id_has_a_generation_a_kind_and_a_place():
    for kind in (MEAN, CENTROID, SHIFT, MEMBER, MIRROR, CENTRE):
        key = id_of(7, kind, 1234567)
        assert (generation_of(key), kind_of(key), place_of(key)) == (7, kind, 1234567)
        assert key < 1 << 63
    assert Founder(3).id == id_of(0, MEMBER, 3)
    assert Child(2, 3, (1,)).id == id_of(2, MEMBER, 3)


def test_genomes_are_bred_after_those_that_they_need():
    child = Child(3, 5, (id_of(2, MEMBER, 7),), shift=id_of(3, SHIFT))
    mirror = Mirror(child, id_of(3, CENTROID))
    assert mirror.parents == (*child.parents, id_of(3, CENTROID))
    for recipe in (child, mirror):
        assert max(map(rank_of_breeding, recipe.parents)) < rank_of_breeding(recipe.id)


def test_a_mean_counts_each_parent_as_often_as_it_was_drawn():
    first = id_of(2, 0)
    drawn = [id_of(2, kind, place) - first for kind, place in ((MEMBER, 9), (MIRROR, 1), (MEMBER, 9), (MEMBER, 2))]
    mean = Mean.of(3, drawn)
    assert mean.parents == (id_of(2, MEMBER, 2), id_of(2, MEMBER, 9), id_of(2, MIRROR, 1))
    assert unpacked(mean.counts) == [1, 2, 1]


def test_a_recipe_is_that_of_its_id_and_pickles(mlp):
    projected = mlp(GA(), batch_size=16)
    for toolbox in (wired(**FOUR_WITH_OPPOSITES), projected):
        population, _ = evolve_toolbox(toolbox, ngen=4)
        lineage = population[0].make.__self__
        for key in lineage.known.parents | {member.recipe.id for member in population}:
            recipe = lineage.ancestry.recipe(key)
            assert recipe.id == key
            assert pickle.loads(pickle.dumps(recipe)) == recipe
            assert recipe == lineage.known.recipes.get(key, recipe)
