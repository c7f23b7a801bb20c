"""How strong mutation is, and how that follows a run."""

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from deap import algorithms, base, creator
from reference_loop import reference
from wirings import LAYOUT, evolve_toolbox, logged, sum_of_squares, wired

from deap_nn import (
    Annealed,
    Constant,
    ErrorScaled,
    FitnessMin,
    Individual,
    OneFifth,
    SelfAdaptive,
    WeightList,
    cxMask,
    initNormal,
    mutGaussianAdaptive,
    selRankBoosted,
)
from deap_nn.operators.adaptation import Adaptation


def evaluated(*values):
    members = [SimpleNamespace(fitness=FitnessMin()) for _ in values]
    for member, value in zip(members, values, strict=True):
        member.fitness.values = (value,)
    return members


@pytest.mark.parametrize(
    ("adaptation", "expected"),
    [
        (Constant(0.3), [0.3, 0.3, 0.3]),
        (ErrorScaled(0.2), [0.2, 0.1, 0.04]),
        (ErrorScaled(0.2, fitness="cross_entropy"), [0.2, 0.2 * (1 - math.exp(-0.5)), 0.2 * (1 - math.exp(-0.2))]),
        (Annealed(0.4, 0.1, 2), [0.4, 0.2, 0.1, 0.1]),
        (OneFifth(0.4, 0.01), [0.4, 0.4, 0.4 * math.exp(0.3 / 1.6)]),
        (OneFifth(0.4, 0.01, damping=0.5), [0.4, 0.4, 0.4 * math.exp(0.3 / 0.4)]),
    ],
    ids=repr,
)
def test_adaptations_follow_the_run_and_restore_their_state(adaptation, expected):
    assert isinstance(adaptation, Adaptation)
    states = []
    for generation, wished in enumerate(expected):
        if generation:
            adaptation.update(evaluated(0.9, 0.5 if generation == 1 else 0.2), generation)
        assert adaptation.sigma == pytest.approx(wished)
        states.append(adaptation.state())
    for state, wished in zip(states, expected, strict=True):
        adaptation.restore(state)
        assert adaptation.sigma == pytest.approx(wished)
    assert pickle.loads(pickle.dumps(adaptation)).sigma == adaptation.sigma


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-1), "sigma"),
        (lambda: Annealed(0, 1, 5), "above 0"),
        (lambda: Annealed(1, 0.1, 0), "generations"),
        (lambda: ErrorScaled(math.nan), "factor"),
        (lambda: ErrorScaled(0.1, fitness="loss"), "fitness"),
        (lambda: ErrorScaled(0.1).update([], 1), "individuals"),
        (lambda: OneFifth(0.1, 0.2), "floor must be above 0 and at most sigma"),
        (lambda: OneFifth(0.1, 0.01, damping=0), "damping"),
        (lambda: OneFifth(0.1, 0.01).update([], 1), "individuals"),
        (lambda: SelfAdaptive(0.1, 0.01, rate=math.inf), "rate"),
    ],
)
def test_adaptations_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_success_is_to_be_better_than_the_best_fifth_before():
    rule = OneFifth(0.4, 0.01)
    rule.update(evaluated(*range(11)), 1)
    rule.update(evaluated(0, 1, 2, 3), 2)
    assert rule.sigma == pytest.approx(0.4 * math.exp((2 / 4 - 0.2) / 1.6))


@pytest.mark.parametrize(("fitness", "value", "error"), [("error", 3, 1), ("error", -1, 0), ("cross_entropy", -1e6, 0)])
def test_an_error_is_taken_as_one_between_0_and_1(fitness, value, error):
    scaled = ErrorScaled(0.5, fitness=fitness)
    scaled.update(evaluated(value), 1)
    assert scaled.sigma == 0.5 * error


def test_the_amount_has_bounds():
    rule = OneFifth(0.1, 0.05, damping=0.01)
    for value in range(20):
        rule.update(evaluated(value), value)
    assert rule.sigma == pytest.approx(0.05)
    for value in range(20, 0, -1):
        rule.update(evaluated(value), value)
    assert rule.sigma == np.finfo(np.float32).max


def test_an_amount_of_ones_own_is_log_normal_and_has_a_floor():
    own = SelfAdaptive(0.1, 0.001, rate=0.3)
    made = np.array(own.inherited([0.1] * 3000 + [0.001] * 3000, 7, 2))
    logs = np.log(made[:3000] / 0.1)
    assert abs(logs.mean()) < 5 * 0.3 / math.sqrt(3000)
    assert logs.std() == pytest.approx(0.3, rel=0.07)
    assert (made[3000:] >= np.float32(0.001)).all()
    assert 0.4 < np.mean(made[3000:] == np.float32(0.001)) < 0.6
    assert own.sigma == pytest.approx(np.median(made))
    assert own.inherited([0.1] * 3000, 7, 2) == made[:3000].tolist()
    assert own.inherited([0.1] * 3000, 7, 3) != made[:3000].tolist()
    own.reset()
    assert own.sigma == 0.1


def test_deaps_own_loop_keeps_each_ones_amount_beside_it():
    rng = np.random.default_rng(1)
    toolbox = base.Toolbox()
    toolbox.register("mate", cxMask, rng=rng)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=SelfAdaptive(0.1, 0.01, rate=0.5), rng=rng)
    toolbox.register("select", selRankBoosted, rng=rng)
    toolbox.register("evaluate", sum_of_squares)
    population = [initNormal(Individual, LAYOUT, rng=rng) for _ in range(30)]
    population, _ = algorithms.eaSimple(population, toolbox, 1.0, 1.0, 4, verbose=False)
    amounts = np.array([member.strategy for member in population])
    assert len(set(amounts)) > 20
    toolbox.mutate.keywords["sigma"].update(population, 5)
    assert toolbox.mutate.keywords["sigma"].sigma == np.median(amounts)
    assert np.log(amounts / 0.1).std() > 0.5  # of four generations' changes


def test_the_noise_is_as_strong_as_the_own_amount_says():
    made = []
    for seed in range(300):
        individual = Individual([np.zeros(400)])
        mutGaussianAdaptive(individual, sigma=SelfAdaptive(0.1, 0.01), rng=np.random.default_rng(seed))
        made.append(individual.flat.std() / individual.strategy)
    assert np.mean(made) == pytest.approx(1, rel=0.01)


creator.create("InAdaptationTests", WeightList, fitness=FitnessMin, strategy=None)


def test_a_class_may_say_that_there_is_a_strategy():
    toolbox = wired()
    toolbox.register("individual", initNormal, creator.InAdaptationTests, LAYOUT)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=SelfAdaptive(0.1, 0.01))
    population, logbook = evolve_toolbox(toolbox, n=8, ngen=3)
    assert logged(population, logbook) == reference(toolbox, n=8, ngen=3)
    assert len({member.strategy for member in population}) == 8


def test_a_part_of_an_adaptation_is_no_sigma():
    with pytest.raises(TypeError, match=r"^sigma must be a number, got namespace"):
        mutGaussianAdaptive(WeightList([[1.0]]), sigma=SimpleNamespace(reset=print), rng=np.random.default_rng(1))
