"""Opposites and the mean of the parents in the plain way of breeding, also of copies of members."""

import copy
import itertools

import numpy as np
import pytest
from own_callbacks import Watch
from wirings import HALF, TABLE, result, wired

from deap_nn import Individual, evolve, mutGaussianAdaptive
from deap_nn.breeding.plain import Plain


def test_the_plain_way_sums_in_the_order_of_ids_too():
    member, first, second, opposite = (Individual([[value]]) for value in (0.0, 2.0**60, 1.0, -(2.0**60)))
    plain = Plain(wired(), map, seed=1, cxpb=1.0, mutpb=1.0)
    plain._opposites = [(opposite, member)]
    # The 1 is lost beside the large number: with the opposite before it the mean is 1/3.
    assert plain._centroid_of([member, first, second], [second, opposite, first]).tolist() == [0.0]


def test_plain_breeding_has_opposites_from_its_begin_or_refuses_them():
    def change(evolution):
        if evolution.generation == 2:
            evolution.toolbox.register("select", HALF)

    with pytest.raises(ValueError, match="select: opposites begin with the run in plain breeding: register it before"):
        result(wired(), callbacks=[Watch(change)], breeding="plain")
    assert result(wired(), callbacks=[Watch(change)]) != result(wired())


def test_copies_of_parents_count_as_the_parents():
    def select(individuals, k, *, rng):
        return copy.deepcopy(HALF(individuals, k, rng=rng))

    weights = result(wired(select=HALF))[0]
    assert result(wired(select=select))[0] == weights
    assert result(wired(select=select), breeding="plain")[0] == weights


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_mean_is_summed_in_the_order_of_the_members_and_not_of_the_copies(mirrored):
    """In another order the larger weights leave nothing of the last."""
    members = [Individual([np.full((2, 2), weight, dtype=np.float32)]) for weight in (2**60, 2**61, -3 * 2**60, 2)]
    plain = Plain(wired(), map, seed=1, cxpb=1.0, mutpb=1.0)
    copies = [copy.deepcopy(member) for member in members]
    if mirrored:
        plain._size, plain._mirrors, plain._centroid = 4, True, np.zeros(4, dtype=np.float32)
        copies = [copy.deepcopy(opposite) for opposite in plain.opposites(copies)]
    for order in itertools.permutations(copies):
        given = plain._opposites
        assert plain._centroid_of(members, order).tolist() == [-0.5 if mirrored else 0.5] * 4
        plain._opposites = given


def test_copies_that_differ_only_in_their_last_weight_are_two_parents():
    members = [Individual([np.full(100, 1, dtype=np.float32)]) for _ in range(2)]
    members[1].flat[-1] = 3
    plain = Plain(wired(), map, seed=1, cxpb=1.0, mutpb=1.0)
    assert plain._centroid_of(members, copy.deepcopy(members))[-1] == 2


def test_opposites_of_copies_are_those_of_the_members():
    def select(individuals, k, *, rng):
        return HALF([copy.deepcopy(individual) for individual in individuals], k, rng=rng)

    assert result(wired(select=select), breeding="plain")[0] == result(wired(select=HALF))[0]


def test_changed_copies_of_parents_count_with_their_weights():
    def select(individuals, k, *, rng):
        chosen = [copy.deepcopy(parent) for parent in HALF(individuals, k, rng=rng)]
        for parent in chosen:
            parent.flat[:] = 7
        return chosen

    toolbox = wired(select=select)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=0.0, noise=TABLE)
    assert set(evolve(toolbox.population(n=12), toolbox, 2, seed=1, breeding="plain")[0][0].flat) == {7}
