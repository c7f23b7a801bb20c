"""Adaptations follow the population in every loop that selects, and a toolbox' generation with them."""

import random

import numpy as np
import pytest
from deap import base, creator, tools
from loops import LOOPS, comma, plus, scored
from wirings import evolve_toolbox

from deap_nn import (
    ErrorScaled,
    Layout,
    OneFifth,
    WeightList,
    adapting,
    cxMask,
    evolve,
    initScaled,
    mutGaussianAdaptive,
    selRankBoosted,
)

creator.create("FitnessOfAdapting", base.Fitness, weights=(-1.0,))
creator.create("IndividualOfAdapting", WeightList, fitness=creator.FitnessOfAdapting)

LAYOUT = Layout(("w1", "b1", "w2"), ((1, 6), (6,), (6, 1)))
X = np.linspace(-3, 3, 20, dtype=np.float32)[:, None]


def error(w):
    """A share of 1 at most, as an error rate is."""
    return (float(np.tanh(np.mean((np.tanh(X @ w[0] + w[1]) @ w[2] - np.sin(X)) ** 2))),)


def by_hand(sigma, *, held=True):
    """A toolbox that nobody but its user has wired, as DEAP's examples do."""
    toolbox, rng = base.Toolbox(), np.random.default_rng(1)
    toolbox.register("individual", initScaled, creator.IndividualOfAdapting, LAYOUT, rng=rng)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register("evaluate", error)
    toolbox.register("mate", cxMask, rng=rng)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=sigma, rng=rng)
    toolbox.register("select", adapting(selRankBoosted, sigma) if held else selRankBoosted, parents=6, rng=rng)
    return toolbox


class Recorder:
    """An adaptation that notes what it is shown."""

    def __init__(self):
        self.sigma, self.seen = 0.1, []

    def update(self, individuals, generation):
        self.seen.append((generation, len(individuals), min(one.fitness.values[0] for one in individuals)))

    def reset(self):
        self.seen = []

    def state(self):
        return {"seen": float(len(self.seen))}

    def restore(self, state):
        self.seen = self.seen[: int(state["seen"])]


@pytest.mark.parametrize("loop", LOOPS)
def test_an_adaptation_sees_each_population_once(loop):
    recorder = Recorder()
    toolbox = by_hand(recorder)
    random.seed(1)
    loop(toolbox, toolbox.population(n=6), 5)
    assert [generation for generation, _, _ in recorder.seen] == [1, 2, 3, 4, 5]
    assert {size for _, size, _ in recorder.seen} == ({18} if loop is plus else {12} if loop is comma else {6})


def test_a_selection_of_deaps_draws_from_the_generator_that_it_is_given():
    members = by_hand(0.1).population(n=20)
    scored(by_hand(0.1), members)
    select = adapting(tools.selTournament, Recorder())
    chosen = [select(members, 20, tournsize=2, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    first, again, other = [[id(one) for one in some] for some in chosen]
    assert first == again != other


@pytest.mark.parametrize("loop", LOOPS)
def test_sigma_follows_the_error(loop):
    sigma = ErrorScaled(0.5)
    toolbox = by_hand(sigma)
    random.seed(1)
    population = loop(toolbox, toolbox.population(n=20), 15)
    assert sigma.sigma < 0.25
    assert sigma.sigma == pytest.approx(0.5 * min(individual.fitness.values[0] for individual in population), rel=0.6)


class TestUnderEvolve:
    """`evolve` updates what ``mutate`` has, whether or not the selection does as well."""

    @pytest.mark.parametrize("held", [("mutate",), ("select",), ("mutate", "select")])
    def test_once_a_generation(self, held):
        recorder = Recorder()
        toolbox = by_hand(recorder if "mutate" in held else 0.1, held=False)
        if "select" in held:
            toolbox.register("select", adapting(selRankBoosted, recorder), parents=4, rng=np.random.default_rng(1))
        for _ in range(2):
            evolve_toolbox(toolbox, n=8, ngen=4)
            assert [generation for generation, _, _ in recorder.seen] == [1, 2, 3, 4]

    def test_a_toolbox_by_hand(self):
        sigma = ErrorScaled(0.5)
        _, logbook = evolve_toolbox(by_hand(sigma))
        follows = [0.5, *(0.5 * best for best in logbook.select("min")[:-1])]
        assert logbook.select("sigma") == pytest.approx(follows)

    @pytest.mark.parametrize("stop", [None, 2])
    def test_all_of_a_selection_are_reset_and_kept(self, mlp, tmp_path, stop):
        """Beside that of the mutation: two runs on one toolbox are the same, and so is a resumed one."""
        rule = OneFifth(0.1, 0.001)
        toolbox = mlp(batch_size=16)
        toolbox.register("select", adapting(selRankBoosted, rule, rule), parents=4, rng=np.random.default_rng(1))
        evolve(toolbox.population(n=8, start=0), toolbox, 4)
        expected = rule.state()
        for generations in (4,) if stop is None else (stop, 4):
            place = None if stop is None else tmp_path
            evolve(toolbox.population(n=8, start=0), toolbox, generations, checkpoint=place)
        assert rule.state() == expected != OneFifth(0.1, 0.001).state()
