"""Means of members, in a callback: of which members they are, how often each counts, and how long they can be read."""

import copy
from functools import partial

import numpy as np
import pytest
from conftest import not_for_ever
from limits import evolve
from own_callbacks import Watch
from wirings import AROUND, result, wired

from deap_nn import Callback, Individual, recombination_weights, selRankBoosted
from deap_nn.breeding.kinds import places_in
from deap_nn.breeding.store import slots
from deap_nn.genome.population import mean_of


class TwoMeans(Callback):
    """Keeps two means of generation 2."""

    def __init__(self):
        self.means, self.weights = [], []

    def on_generation(self, evolution):
        if evolution.generation == 2:
            ranked = sorted(evolution.population, key=lambda member: member.fitness, reverse=True)
            self.means = [evolution.mean(ranked[:3]), evolution.mean(ranked[:9])]
            self.weights = [mean.flat.copy() for mean in self.means]

    def members(self):
        return self.means

    def state(self):
        return {"places": [places_in(mean.recipe) for mean in self.means]}

    def restore(self, evolution, states):
        self.means = [evolution.member(2, places) for places in states[-1]["places"]]


@pytest.mark.parametrize("registered", [{}, AROUND], ids=["pairs", "around a centre"])
def test_means_of_one_generation_have_different_ids_in_a_keyframe(tmp_path, registered):
    first, again = TwoMeans(), TwoMeans()
    for ngen, callback in ((5, first), (7, again)):
        toolbox = wired(**registered)
        options = {"callbacks": [callback], "checkpoint": tmp_path, "keyframe_seconds": 0}
        evolve(toolbox.population(n=12), toolbox, ngen, seed=1, **options)
    assert first.weights[0].tobytes() != first.weights[1].tobytes()
    assert [mean.flat.tobytes() for mean in again.means] == [weights.tobytes() for weights in first.weights]


@pytest.mark.parametrize("registered", [{}, AROUND], ids=["pairs", "around a centre"])
def test_a_member_that_is_there_twice_counts_twice_in_a_mean(registered):
    found = []

    def look(evolution):
        first, second, *_ = evolution.population
        for some in ([first, first, second], [first, second], [*evolution.population, first]):
            found.append(evolution.mean(some).flat)
            if not registered:
                assert found[-1].tobytes() == mean_of(some).flat.tobytes()

    toolbox = wired(**registered)
    if registered:
        toolbox.register("recombination_weights", recombination_weights)
    result(toolbox, callbacks=[Watch(look)])
    assert len({mean.tobytes() for mean in found}) == 21


@pytest.mark.parametrize("registered", [{}, AROUND], ids=["pairs", "around a centre"])
def test_means_by_recipes_are_of_members_of_their_generation(registered):
    kept = []

    def look(evolution):
        kept.append(evolution.best)
        others = [Individual([np.ones(3)]), evolution.mean(evolution.population), *kept[:-1]]
        for other in others:
            with pytest.raises(ValueError, match=f"^individuals must be members of generation {evolution.generation}$"):
                evolution.mean([evolution.best, other])

    result(wired(**registered), callbacks=[Watch(look)])
    assert len(kept) == 7


def test_a_mean_that_is_read_later_is_made_with_little_room_too(tmp_path, monkeypatch):
    monkeypatch.setattr(slots, "SEGMENT_BYTES", 1)
    monkeypatch.setattr("deap_nn.breeding.lineage.slots_in", lambda *_: 4)
    kept = []

    def look(evolution):
        if evolution.generation == 2:
            weights = np.mean([copy.deepcopy(member).flat.astype(float) for member in evolution.fittest[:14]], axis=0)
            kept.extend([evolution.mean(evolution.fittest[:14]), weights])  # parents of the next generation
        if evolution.generation == 3:
            for member in evolution.population[::3]:
                evolution.look(member)
            with not_for_ever():
                assert kept[0].flat == pytest.approx(kept[1], abs=1e-6)

    toolbox = wired(select=partial(selRankBoosted, parents=20))
    with pytest.warns(UserWarning, match="the cache has no room"):
        result(toolbox, n=200, cache=tmp_path, callbacks=[Watch(look)])
    assert len(kept) == 2
