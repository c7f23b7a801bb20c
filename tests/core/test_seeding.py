"""Streams are a function of their key alone."""

import functools
import inspect
import random

import numpy as np
import pytest
from wirings import passing

from deap_nn.breeding.breeder import founder
from deap_nn.core.seeding import MAX_SEED, Purpose, check_seed, stream, takes


def test_every_part_of_the_key_makes_another_stream():
    keys = [(1, Purpose.MATE, 2, 3), (2, Purpose.MATE, 2, 3), (1, Purpose.MUTATE, 2, 3), (1, Purpose.MATE, 3, 3)]
    keys += [(1, Purpose.MATE, 2, 4), (MAX_SEED, Purpose.MATE, 2, 3), (1, Purpose.MATE, 3, 2)]
    drawn = [stream(*key).bytes(16) for key in keys]
    assert len(set(drawn)) == len(keys)
    assert [stream(*key).bytes(16) for key in keys] == drawn


def test_neighbouring_streams_do_not_overlap():
    long = stream(1, Purpose.MATE, 0, 0).integers(0, 2**63, 50_000)
    other = stream(1, Purpose.MATE, 0, 1).integers(0, 2**63, 50_000)
    assert not np.intersect1d(long, other).size
    assert np.intersect1d(long, stream(1, Purpose.MATE, 0, 0).integers(0, 2**63, 10)).size == 10


def test_a_founder_that_takes_its_place_and_draws_from_anywhere():
    def individual(place):
        return place, random.random()

    random.seed(1)
    state = random.getstate()
    drawn = [founder(individual, 1, place) for place in (3, 4, 3)]
    assert [place for place, _ in drawn] == [3, 4, 3]
    assert drawn[0] == drawn[2]
    assert drawn[0][1] != drawn[1][1]
    assert random.getstate() == state


def draws(individual, *, rng):
    return individual, rng


def names_it(individual):
    rng = individual
    return rng


def as_if(function):
    def disguised(*arguments, **keywords):
        return function(*arguments, **keywords)

    disguised.__signature__ = inspect.signature(function)
    return disguised


class Called:
    def __call__(self, individual, rng):
        return individual, rng


@pytest.mark.parametrize(
    "operator",
    [draws, functools.partial(draws), passing(draws), functools.partial(passing(draws)), as_if(draws), Called()],
)
def test_a_function_that_takes_a_keyword_is_known_by_its_signature(operator):
    assert takes(operator, "rng")
    assert not takes(operator, "place")
    assert not takes(names_it, "rng")


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 1.5, True])
def test_bad_seeds_raise(seed):
    with pytest.raises(ValueError, match="seed must be an integer from 0"):
        check_seed(seed)
