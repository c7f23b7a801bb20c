"""Individuals that a callback, a selection or a script puts into the population: which of them may be parents."""

import copy

import numpy as np
import pytest
from own_callbacks import Watch
from reference_loop import reference
from wirings import AROUND, logged, result, wired

from deap_nn import Callback, Individual, evolve, initPopulation, selRankBoosted


@pytest.mark.parametrize(
    "put",
    [
        lambda evolution: Individual([np.ones((5, 7)), np.ones(7), np.ones((7, 3))]),
        lambda evolution: evolution.mean(evolution.population[:2]),
    ],
)
@pytest.mark.parametrize("registered", [{}, AROUND], ids=["pairs", "around a centre"])
def test_what_is_put_into_the_population_is_no_parent_by_recipes(put, registered):
    def change(evolution):
        evolution.population[0] = put(evolution)
        evolution.population[0].fitness.values = (0.0,)

    with pytest.raises(
        ValueError, match=r"^population: generation 1 cannot be bred by recipes .* deap.algorithms.eaSimple"
    ):
        result(wired(**registered), callbacks=[Watch(change)])


def test_a_member_of_an_earlier_generation_is_no_parent_by_recipes():
    class Elite(Callback):
        best = None

        def on_generation(self, evolution):
            if self.best is not None:
                evolution.population[0] = copy.deepcopy(self.best)
            self.best = self.best or evolution.best

    with pytest.raises(
        ValueError, match="generation 2 cannot be bred by recipes from individuals put into the one before"
    ):
        result(wired(), callbacks=[Elite()])


@pytest.mark.parametrize("changed", [False, True])
def test_a_copy_may_be_put_back_while_it_has_its_weights(changed):
    def put(evolution):
        twin = copy.deepcopy(evolution.population[0])
        if changed:
            twin.flat[:] = 0
        evolution.population[0] = twin

    if not changed:
        assert result(wired(), callbacks=[Watch(put)]) == result(wired())
        return
    with pytest.raises(ValueError, match=r"generation \d cannot be bred by recipes"):
        result(wired(), callbacks=[Watch(put)])


def test_members_of_another_run_are_no_parents():
    others = []
    toolbox = wired()
    options = {"seed": 5, "callbacks": [Watch(lambda evolution: others.append(list(evolution.population)))]}
    evolve(initPopulation(toolbox, 5, 12), toolbox, 2, **options)
    for made in (lambda member: member, copy.deepcopy):

        def put(evolution, made=made):
            if evolution.generation == 2:
                evolution.population[:4] = map(made, others[2][:4])

        with pytest.raises(ValueError, match="generation 3 cannot be bred by recipes"):
            result(wired(), callbacks=[Watch(put)])


def test_founders_may_come_twice():
    def population():
        toolbox = wired()
        return [*initPopulation(toolbox, 5, 6), *initPopulation(toolbox, 5, 6), *initPopulation(toolbox, 5, 6, start=9)]

    found = logged(*evolve(population(), wired(), 4, seed=1))
    assert found == reference(wired(), population=population(), ngen=4)


def nan(individual):
    """A mutation that goes wrong."""
    individual.flat[0] = np.nan
    return (individual,)


def count_of_nan(individual):
    return (float(np.isnan(individual.flat).sum()),)


def test_a_selection_may_return_copies():
    def same(individuals, k):
        return selRankBoosted(individuals, k, parents=6, rng=np.random.default_rng(1))

    for registered in ({}, {"mutate": nan, "evaluate": count_of_nan}):
        copies = wired(select=lambda individuals, k: copy.deepcopy(same(individuals, k)), **registered)
        assert result(copies)[0] == reference(wired(select=same, **registered))[0]
