"""All children of a generation around one centre, and what each counts in the next."""

from functools import partial

import numpy as np
import pytest
from reference_loop import reference
from wirings import evolve_toolbox, result, wired

from deap_nn import (
    Callback,
    CheckpointError,
    mutGaussianAdaptive,
    recombination_weights,
)
from deap_nn.genome.population import mean_of
from deap_nn.operators.ranking import log_rank_weights


def around(**registered):
    return wired(**{"recombination_weights": recombination_weights, "step": 2.5} | registered)


def half(individuals, k):
    """A selection of a user's own."""
    return sorted(individuals, key=lambda member: member.fitness, reverse=True)[: k // 2] * 2


class Means(Callback):
    """Keep means of members of the last generation, and the centre that comes of it."""

    def on_generation(self, evolution):
        ranked = sorted(evolution.population, key=lambda member: member.fitness, reverse=True)
        if evolution.generation == 2:
            self.best = evolution.mean(ranked[:3]).flat.copy()
            self.plain = mean_of(ranked[:3]).flat.copy()
            self.whole = evolution.mean(evolution.fittest).flat.copy()
            self.other_order = evolution.mean(evolution.population).flat.copy()
            self.members = [member.flat.copy() for member in ranked]


def test_the_mean_of_all_is_the_next_centre_and_that_of_some_goes_towards_them():
    watch = Means()
    evolve_toolbox(around(step=2.0), n=8, ngen=2, callbacks=[watch])
    assert watch.whole.tobytes() == watch.other_order.tobytes()
    ranked, weights = np.array(watch.members, np.float64), recombination_weights(8)
    centre = 2 * watch.plain - watch.best  # of some it lies twice as far from the centre as their mean
    assert np.allclose(watch.whole, centre + 2.0 * weights @ ranked, atol=1e-5)
    assert not np.allclose(watch.whole, watch.best, atol=1e-3)


class MeanOfNoMember(Callback):
    """Ask for it in each generation, the first of which has no parents and so no fittest."""

    def on_generation(self, evolution):
        assert len(evolution.fittest) == evolution.parents
        with pytest.raises(ValueError, match="individuals must not be empty"):
            evolution.mean([] if evolution.generation else evolution.fittest)


@pytest.mark.parametrize("wire", [around, wired])
def test_no_member_has_no_mean(wire):
    evolve_toolbox(wire(), n=8, ngen=2, callbacks=[MeanOfNoMember()])


@pytest.mark.parametrize("number", [1, 2, 3])
def test_few_members_will_do(number):
    found = result(around(), n=number, ngen=3)
    assert found == reference(around(), n=number, ngen=3)
    assert len(set(found[0])) == number


@pytest.mark.parametrize("name", ["mate", "select"])
def test_what_would_not_be_called_is_refused(name):
    toolbox = around(**{name: half})
    with pytest.raises(ValueError, match=f"^{name} is not called if a toolbox has a step"):
        evolve_toolbox(toolbox, n=8, ngen=1)


@pytest.mark.parametrize("parents", [0, -1, 2.5, "x"])
def test_parents_that_are_no_number_are_refused(parents):
    toolbox = around(recombination_weights=partial(recombination_weights, parents=parents))
    with pytest.raises(ValueError, match="parents must be an integer of at least 1"):
        evolve_toolbox(toolbox, n=8, ngen=1)


@pytest.mark.parametrize("weights", [lambda number: np.ones(3), lambda number: [float("nan")] * number])
def test_each_member_has_a_weight(weights):
    toolbox = around(recombination_weights=weights)
    with pytest.raises(ValueError, match="recombination_weights must return a finite weight for each of 8 members"):
        evolve_toolbox(toolbox, n=8, ngen=1)


def first_two(number, kind=list):
    return kind([1.0, -1.0] + [0.0] * (number - 2))


def test_weights_may_be_a_list():
    found = []
    for kind in (list, np.array):
        toolbox = around(recombination_weights=partial(first_two, kind=kind))
        found += [result(toolbox, n=6, ngen=3), reference(toolbox, n=6, ngen=3)]
    assert all(one == found[0] for one in found)


def test_what_all_count_together_is_the_same_wherever_a_centre_is_made():
    """The sums of these 40 weights one after the other, in pairs and exactly differ, and a long step shows it."""
    assert len({float(np.cumsum(log_rank_weights(40))[-1]), float(log_rank_weights(40).sum())}) == 2
    toolbox = around(recombination_weights=log_rank_weights, step=1e6)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=1e-3, noise=toolbox.mutate.keywords["noise"])
    assert result(toolbox, n=40, ngen=3) == reference(toolbox, n=40, ngen=3)


def test_a_run_is_not_gone_on_with_by_other_weights(tmp_path):
    def goes_on(parents, generations):
        toolbox = around(recombination_weights=partial(recombination_weights, parents=parents))
        evolve_toolbox(toolbox, n=90, ngen=generations, checkpoint=tmp_path)

    goes_on(40, 2)
    for parents in (35, None):
        with pytest.raises(CheckpointError, match=r"recombination_weights.parents was 40 when the run began, and is"):
            goes_on(parents, 3)
    goes_on(40, 3)
