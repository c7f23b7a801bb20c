"""Members that live on unchanged: scored again, by the mean of their last batches."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_callbacks import Watch
from wirings import wired

from deap_nn import Individual, SelfAdaptive, cxMean, evolve, mutGaussianAdaptive, selMirrored
from deap_nn.operators.elitism import Elitism


class Drifting:
    """A fitness of another batch in each generation: the weights' mean square and something by generation."""

    def __init__(self):
        self.generation, self.calls = 0, Counter()

    def __call__(self, individual):
        self.calls[self.generation] += 1
        noise = np.random.default_rng([self.generation, int(np.abs(individual.flat[:3].sum()) * 1e6)]).random()
        return (float(np.square(individual.flat).mean()) + noise,)


def run(elites, batches, breeding, n=9):
    seen, evaluate = [], Drifting()
    toolbox = wired(evaluate=evaluate, elites=elites, elite_batches=batches)

    def watch(evolution):
        evaluate.generation = evolution.generation + 1  # the map is in this process
        seen.append([(member.flat.tobytes(), member.fitness.values[0]) for member in evolution.population])

    evolve(toolbox.population(n=n), toolbox, 6, seed=1, breeding=breeding, callbacks=[Watch(watch)], group_size=100)
    return seen, evaluate


@pytest.mark.parametrize("breeding", ["plain", "recipes"])
@pytest.mark.parametrize(("elites", "batches"), [(1, 1), (3, 1), (2, 3), (8, 100)])
def test_the_best_live_on_and_are_scored_again(elites, batches, breeding):
    seen, evaluate = run(elites, batches, breeding)
    known = {}
    for generation, (before, after) in enumerate(itertools.pairwise(seen), start=1):
        best = sorted(before, key=lambda member: member[1])[:elites]
        assert [weights for weights, _ in after[-elites:]] == [weights for weights, _ in best]
        lived = {}
        for i, (weights, old) in enumerate(best):
            evaluate.generation = generation
            individual = Individual([np.frombuffer(weights, np.float32)])
            (new,) = evaluate(individual)
            count = min(known.get((generation - 1, before.index((weights, old))), 1), batches - 1)
            place = len(after) - elites + i
            assert after[place][1] == pytest.approx((old * count + new) / (count + 1))
            lived[generation, place] = min(count + 1, batches)
        known = lived
    assert len({weights for weights, _ in seen[-1]}) > 1


def test_no_member_is_scored_more_often_than_once_a_generation():
    _, evaluate = run(3, 2, "plain")
    assert set(evaluate.calls.values()) == {9}


@given(scores=st.lists(st.floats(0, 10), min_size=1, max_size=12), batches=st.integers(1, 5))
def test_the_fitness_is_a_running_mean_of_the_batches(scores, batches):
    class Member:
        def __init__(self, value):
            self.fitness = self
            self.values = (value,)

        def __gt__(self, other):
            return self.values < other.values

        def __lt__(self, other):
            return self.values > other.values

    elitism, (first, *rest) = Elitism(1, batches), scores
    member, mean, count = Member(first), first, 1
    for score in rest:
        elitism.choose([member])
        member = Member(*elitism.averaged(0, (score,)))
        weight = min(count, batches - 1)
        mean, count = (mean * weight + score) / (weight + 1), count + 1
        assert member.values[0] == pytest.approx(mean)
    if batches >= len(scores):
        assert mean == pytest.approx(np.mean(scores))


@pytest.mark.parametrize(
    ("registered", "message"),
    [
        ({"elites": 9}, "elites must be at least 0 and below the population of 9, got 9"),
        ({"elites": -1}, "elites must be an integer of at least 0, got -1"),
        (
            {"elites": 1, "step": 1.0, "mate": cxMean, "select": selMirrored},
            "elites must be 0 if children come from one centre",
        ),
        ({"elites": 1, "elite_batches": 0}, "elite_batches must be an integer of at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(registered, message):
    toolbox = wired(**registered)
    with pytest.raises(ValueError, match=message):
        evolve(toolbox.population(n=9), toolbox, 1, seed=1)


def test_an_own_sigma_is_not_for_one_centre():
    toolbox = wired(step=1.0, mate=cxMean, select=selMirrored)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=SelfAdaptive(0.1, 0.01))
    with pytest.raises(ValueError, match="SelfAdaptive is not for"):
        evolve(toolbox.population(n=9), toolbox, 1, seed=1)
