"""A third strategy of reproduction, in a file of its own, under everything that the two of the package run under."""

import json
import pickle
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from own_callbacks import Stop
from wirings import evolve_toolbox, result, wired

from deap_nn import cxMask, evolve, mutGaussianAdaptive, recombination_weights
from deap_nn.breeding.reproduction import AroundCentre, Pairs, Reproduction, reproduction_of
from deap_nn.core.registered import Registered
from deap_nn.operators.describe import settings_of


@dataclass(frozen=True)
class Differences(Reproduction):
    """Groups of three: each child is its parent and a share of the difference of the two others."""

    share: float = 0.5
    mates = 3

    def cross(self, individuals, streams, cxpb):
        if len(individuals) == self.mates:
            whole = [individual.flat.copy() for individual in individuals]
            for place, individual in enumerate(individuals):
                individual.flat[:] += np.float32(self.share) * (whole[place - 2] - whole[place - 1])
        return individuals


def with_differences(share=0.5):
    toolbox = wired()
    del toolbox.mate
    toolbox.reproduction = Differences(share)
    return toolbox


def test_a_strategy_of_ones_own_does_what_it_says():
    toolbox = with_differences()
    toolbox.register("mutate", partial(mutGaussianAdaptive, sigma=0.0), rng=None)
    toolbox.register("select", lambda population, k, rng: population[:k])
    population = toolbox.population(n=7)
    before = [member.flat.copy() for member in toolbox.population(n=7)]
    evolve(population, toolbox, 1, seed=1)
    assert np.array_equal(population[0].flat, before[0] + np.float32(0.5) * (before[1] - before[2]))
    assert np.array_equal(population[4].flat, before[4] + np.float32(0.5) * (before[5] - before[3]))
    assert np.array_equal(population[6].flat, before[6])  # of a group that is not whole


def test_a_run_by_a_strategy_of_ones_own_resumes_to_the_same_bytes(tmp_path):
    expected = result(with_differences(), ngen=8)
    for stop in (0, 3):
        folder = tmp_path / str(stop)
        with pytest.raises(KeyboardInterrupt):
            evolve_toolbox(with_differences(), ngen=8, checkpoint=folder, callbacks=[Stop(stop)])
        assert result(with_differences(), ngen=8, checkpoint=folder) == expected


def test_a_run_does_not_resume_by_another_strategy(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        evolve_toolbox(with_differences(), ngen=8, checkpoint=tmp_path, callbacks=[Stop(3)])
    with pytest.raises(ValueError, match="reproduction"):
        evolve_toolbox(with_differences(share=0.25), ngen=8, checkpoint=tmp_path)


def test_a_toolbox_says_how_it_breeds():
    toolbox = wired()
    assert isinstance(reproduction_of(toolbox), Pairs)
    toolbox.recombination_weights = recombination_weights
    assert Registered.read(toolbox).recombination_weights is None  # a genetic algorithm selects parents
    del toolbox.recombination_weights
    toolbox.step = 2.0
    assert reproduction_of(toolbox) == AroundCentre(2.0)
    toolbox.reproduction = "differences"
    with pytest.raises(TypeError, match=r"toolbox\.reproduction must be a Reproduction, got 'differences'"):
        reproduction_of(toolbox)


def test_a_toolbox_without_a_mate_breeds_nothing():
    toolbox = wired()
    del toolbox.mate
    with pytest.raises(AttributeError, match="no attribute 'mate'"):
        evolve_toolbox(toolbox, n=4, ngen=1)


@pytest.mark.parametrize("strategy", [Pairs(partial(cxMask, indpb=0.5)), AroundCentre(2.0, recombination_weights)])
def test_a_strategy_of_the_package_can_be_given(strategy):
    toolbox, given = wired(), wired()
    if isinstance(strategy, AroundCentre):
        for one in (toolbox, given):
            del one.mate, one.select
        toolbox.step = strategy.step
        toolbox.register("recombination_weights", recombination_weights)
    else:
        toolbox.register("mate", cxMask, indpb=0.5)
    given.reproduction = strategy
    expected, found = (result(one, ngen=5) for one in (toolbox, given))
    assert found[:1] == expected[:1]
    assert settings_of(strategy) == settings_of(pickle.loads(pickle.dumps(strategy)))
    assert "0x" not in json.dumps(settings_of(strategy))  # no address of a process
