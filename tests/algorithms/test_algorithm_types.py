"""The algorithms as types: the limits of each setting, and the values that are decided for a model."""

import argparse
import dataclasses
import re

import numpy as np
import pytest
from keras_models import dense, labels, x_of

from deap_nn import (
    ES,
    GA,
    Annealed,
    Article,
    Constant,
    ErrorScaled,
    Individual,
    KerasProblem,
    OneFifth,
    SelfAdaptive,
    usual_step,
)
from deap_nn.algorithms.algorithm import ALGORITHMS, WIDEST, Algorithm
from deap_nn.core.arguments import options_of
from deap_nn.models.built_in import BUILT_IN
from deap_nn.models.reference import reference_of

LARGEST = "3.40282e+38"
SHARE = "an integer of at least 1, or a share above 0 and up to 1"
SCHEDULES = "error, linear, geometric, constant, one-fifth or self-adaptive"
SCALES = "none, fan_in, widest or fixed"
CROSSOVERS = "mask, biased, split, matrices, units, average or none"

LIMITS = [
    (GA, "fitness", "error or cross_entropy", ["error", "cross_entropy"], ["accuracy", "crossentropy"]),
    (GA, "sigma", f"a number from 0 to {LARGEST}", [0, 0.1], [-0.1, float("nan"), float("inf")]),
    (GA, "schedule", SCHEDULES, ["error", "one-fifth"], ["errors", ""]),
    (GA, "final_sigma", f"a number from 0 to {LARGEST}", [0.01], [-1, float("nan"), 1e39]),
    (GA, "scale", SCALES, ["none", "fixed"], ["fan_out", "own"]),
    (GA, "centred", "yes or no", [], ["maybe", 2]),
    (GA, "stratified", "yes or no", [], ["maybe"]),
    (GA, "projected", "yes or no", [], ["maybe"]),
    (GA, "parents", SHARE, [1, 7, 0.5, 1.0], [0, -1, 0.0, 1.5, "all"]),
    (GA, "mates", "an integer from 2 to 256", [2, 256], [1, 257, 2.5]),
    (GA, "crossover", CROSSOVERS, ["mask", "none"], ["two-point", "mean", "cxMask"]),
    (GA, "pressure", "a number from 1 to 2", [1, 2], [0.99, 2.01]),
    (GA, "boost", "a number from 0.001 to 1e+09", [1, 100], [0, -1]),
    (GA, "opposites", "a number from 0 to 0.5", [0, 0.5], [0.7, -0.1]),
    (GA, "spread", "a number from 0 to 1", [0, 1], [1.5, -0.5]),
    (ES, "parents", SHARE, [1, 0.5], [0, 1.5]),
    (ES, "step", "a number from 1e-06 to 999999", [1e-6, 2], [0, 1e7]),
]


@pytest.mark.parametrize(("kind", "name", "allowed", "accepted", "refused"), LIMITS)
def test_limits_are_the_same_in_python_and_on_the_command_line(kind, name, allowed, accepted, refused):
    option = options_of(kind)[name]
    for value in accepted:
        assert getattr(kind(**{name: value}), name) == value == option.parse(str(value))
    for value in refused:
        with pytest.raises(ValueError, match=re.escape(f"{name} must be {allowed}, got {value!r}")):
            kind(**{name: value})
        with pytest.raises(argparse.ArgumentTypeError, match=re.escape(f"must be {allowed}, got '{value}'")):
            option.parse(str(value))


def test_every_setting_has_limits():
    """But for ``init``, which ``--init`` of the command line takes together with files."""
    for kind in ALGORITHMS.values():
        assert {field.name for field in dataclasses.fields(kind)} == options_of(kind).keys() | {"init"}
        tested = {name for owner, name, *_ in LIMITS if owner is GA or kind is ES}
        assert options_of(kind).keys() <= tested
    with pytest.raises(ValueError, match=r"^init must be 'scaled' or 'normal', got 'zeros'$"):
        GA(init="zeros")


def test_a_setting_that_an_algorithm_has_not_is_no_argument():
    for name in ("crossover", "mates", "pressure", "boost", "opposites", "spread"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            ES(**{name: 2})
    with pytest.raises(TypeError, match="unexpected keyword argument 'step'"):
        GA(step=2.0)


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        (GA, {"final_sigma": 0.1, "schedule": "error"}, "final_sigma needs a schedule that is linear, geometric, one"),
        (GA, {"final_sigma": 0.1, "schedule": "constant"}, "final_sigma needs a schedule .* got constant"),
        (GA, {"final_sigma": 0.0, "sigma": 0.1}, "final_sigma must be above 0 if sigma is, got 0.0"),
        (GA, {"final_sigma": 0.1, "sigma": 0}, "final_sigma must be above 0 if sigma is, got 0.1"),
        (
            GA,
            {"final_sigma": 0.2, "sigma": 0.1, "schedule": "one-fifth"},
            "final_sigma must be at most sigma, 0.1, got 0.2",
        ),
        (GA, {"sigma": Constant(0.1), "schedule": "error"}, "sigma must be a number with a schedule or a final_sigma"),
        (GA, {"sigma": Constant(0.1), "final_sigma": 0.1}, "sigma must be a number with a schedule or a final_sigma"),
        (GA, {"projected": True, "centred": False}, "projected needs centred layers"),
        (GA, {"mates": 3, "crossover": "units"}, "mates must be 2 if crossover is units, got 3: more need mask or"),
        (GA, {"mates": 4, "crossover": "none"}, "mates must be 2 if crossover is none"),
        (GA, {"spread": 0.5, "init": "normal"}, "spread below 1 is for founders of init='scaled', got 0.5"),
        (ES, {"schedule": "self-adaptive"}, "schedule must not be self-adaptive: the children of one centre share"),
        (ES, {"sigma": SelfAdaptive(0.1, 0.01)}, "schedule must not be self-adaptive"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_by_name(kind, words, said):
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        kind(**words)
    assert "\n" not in str(caught.value)


def test_an_algorithm_is_frozen():
    for kind in ALGORITHMS.values():
        with pytest.raises(dataclasses.FrozenInstanceError):
            kind().sigma = 0.2
        assert kind() == kind()
    assert GA() != GA(mates=2)
    assert hash(ES(step=2.0)) == hash(ES(step=2.0))


def test_the_algorithms_by_name():
    assert list(ALGORITHMS.values()) == [GA, ES, Article]
    assert list(ALGORITHMS) == [kind.name for kind in ALGORITHMS.values()]
    assert [(kind.name, kind.around_centre) for kind in (GA, ES, Article)] == [
        ("ga", False),
        ("es", True),
        ("article", False),
    ]
    assert all(issubclass(kind, Algorithm) for kind in ALGORITHMS.values())


SCORED = {"centred": True, "stratified": True, "projected": True}
PROJECTED = {"ga": (0.128, None, "fixed"), "es": (0.4, 0.1, "widest")}
PLAIN = {"ga": (0.1, None, "fan_in"), "es": (0.5, 0.025, "fan_in")}

DECIDED = [
    ("mlp", 64, {}, SCORED, PROJECTED),
    ("mlp", 783, {}, SCORED, PROJECTED),
    ("mlp", 784, {}, SCORED | {"projected": False}, PLAIN),
    ("lenet5", 400, {}, SCORED | {"projected": False}, PLAIN),
    ("mnist_deep", 3135, {}, SCORED, PROJECTED),
    ("mlp", 64, {"projected": False}, SCORED | {"projected": False}, PLAIN),
    ("mlp", 64, {"centred": False}, SCORED | {"centred": False, "projected": False}, PLAIN),
    ("mlp", 64, {"stratified": False}, SCORED | {"stratified": False}, PROJECTED),
    ("mlp", 1, {}, SCORED | {"centred": False, "projected": False}, PLAIN),
    (None, 64, {}, dict.fromkeys(SCORED, False), PLAIN),
    (None, 64, {"centred": True}, {"centred": True, "stratified": False, "projected": False}, PLAIN),
    (None, 64, {"centred": True, "projected": True}, SCORED | {"stratified": False}, PROJECTED),
]


@pytest.mark.parametrize("kind", [GA, ES])
@pytest.mark.parametrize(("model", "batch_size", "given", "scoring", "sigmas"), DECIDED)
def test_scoring_and_sigma_are_decided_by_model_and_mini_batch(kind, model, batch_size, given, scoring, sigmas):
    found = kind(**given).resolved(model, batch_size)
    assert {name: getattr(found, name) for name in SCORED} == scoring
    assert (found.sigma, found.final_sigma, found.scale) == sigmas[kind.name]
    assert found.schedule == {"ga": "error", "es": "geometric"}[kind.name]
    assert (found.fitness, found.init) == ("cross_entropy", "scaled")
    assert found.resolved(model, batch_size) == found == found.resolved("mlp", 64)


@pytest.mark.parametrize(
    ("model", "bounds", "words", "decided"),
    [
        ("mlp", None, {}, (0.5, 4, 0.5, 0.5)),
        (None, None, {}, (0.25, 4, 0.0, 1.0)),
        ("mlp", (-1, 1), {}, (0.25, 4, 0.0, 1.0)),
        ("mlp", None, {"crossover": "units"}, (0.5, 2, 0.5, 0.5)),
        ("mlp", None, {"crossover": "average"}, (0.5, 2, 0.5, 0.5)),
        ("mlp", None, {"init": "normal"}, (0.5, 4, 0.5, 1.0)),
        ("mlp", None, {"parents": 7, "mates": 3, "opposites": 0, "spread": 0.2}, (7, 3, 0, 0.2)),
        (None, None, {"opposites": 0.5, "parents": 1.0}, (1.0, 4, 0.5, 1.0)),
    ],
)
def test_the_parents_of_a_genetic_algorithm_are_decided(model, bounds, words, decided):
    found = GA(**words).resolved(model, 64, bounds)
    assert (found.parents, found.mates, found.opposites, found.spread) == decided
    assert found.resolved("mlp", 64) == found


def test_the_article_is_decided_beforehand():
    found = Article().resolved("mlp", 64)
    assert found == Article(schedule="error") == Article().resolved(None, 1)
    assert dataclasses.asdict(found) == {
        "fitness": "error",
        "init": "normal",
        "sigma": 0.1,
        "schedule": "error",
        "final_sigma": None,
        "scale": "none",
        "centred": False,
        "stratified": False,
        "projected": False,
        "parents": 1.0,
        "mates": 2,
        "crossover": "mask",
        "pressure": 2.0,
        "boost": 100.0,
        "opposites": 0.0,
        "spread": 1.0,
    }


def test_an_evolution_strategy_has_no_bounds():
    with pytest.raises(ValueError, match=r"^bounds need a genetic algorithm: .*, got \(-1, 1\)"):
        ES().resolved("mlp", 64, (-1, 1))


@pytest.mark.parametrize(
    ("loss", "followed", "sigma", "schedule", "final"),
    [
        ("error", "error", 0.1, "error", None),
        ("cross_entropy", "cross_entropy", 0.1, "error", None),
        ("mse", None, 0.1, "self-adaptive", 0.005),
    ],
)
def test_the_loss_of_a_problem_decides_the_schedule(loss, followed, sigma, schedule, final):
    targets = labels() if followed else x_of(3)
    problem = KerasProblem(dense(3), x_of(), targets, loss=loss)
    found = GA().resolved(problem, 64)
    assert (found.fitness, found.sigma, found.schedule, found.final_sigma) == (followed, sigma, schedule, final)
    assert found.resolved(problem, 64) == found
    assert ES().resolved(problem, 64).schedule == "geometric"
    assert Article().resolved(problem, 64).fitness == (followed or "error")
    given = GA(schedule="constant").resolved(problem, 64)
    assert (given.sigma, given.final_sigma) == (0.1, None)
    centred = KerasProblem(dense(3), x_of(), targets, loss=loss, centred=True)
    assert GA().resolved(centred, 64).centred


@pytest.mark.parametrize(
    ("algorithm", "adaptation"),
    [
        (GA(), ErrorScaled(0.128)),
        (GA(sigma=0.1), ErrorScaled(0.1)),
        (GA(sigma=0.1, schedule="constant"), Constant(0.1)),
        (GA(schedule="linear"), Annealed(0.128, 0.0064, shape="linear")),
        (GA(sigma=0.4, schedule="geometric", final_sigma=0.1), Annealed(0.4, 0.1)),
        (GA(sigma=0.2, schedule="one-fifth"), OneFifth(0.2, 0.01)),
        (GA(sigma=0.2, schedule="self-adaptive", final_sigma=0.1), SelfAdaptive(0.2, 0.1)),
        (GA(sigma=OneFifth(0.2, 0.01)), OneFifth(0.2, 0.01)),
        (GA(sigma=0, schedule="self-adaptive"), Constant(0)),
        (ES(), Annealed(0.4, 0.1)),
        (ES(sigma=0.2), Annealed(0.2, 0.05)),
        (ES(sigma=0), Constant(0)),
        (ES(schedule="error"), ErrorScaled(0.4)),
        (Article(), ErrorScaled(0.1)),
    ],
)
def test_the_adaptation_of_sigma(algorithm, adaptation):
    found = algorithm.resolved("mlp", 64)
    assert repr(found.adaptation()) == repr(adaptation)
    assert found.adaptation() is not found.adaptation()


def test_a_final_sigma_is_checked_against_the_first_one_that_is_decided():
    with pytest.raises(ValueError, match=r"^final_sigma must be at most sigma, 0\.128, got 0\.5$"):
        GA(schedule="one-fifth", final_sigma=0.5).resolved("mlp", 64)
    with pytest.raises(ValueError, match=r"^final_sigma needs a schedule that is .*, got error$"):
        GA(final_sigma=0.01).resolved("mlp", 64)


def test_a_used_adaptation_begins_again():
    used = ErrorScaled(0.5, fitness="error")
    population = [Individual([np.zeros(1)]) for _ in range(2)]
    for member in population:
        member.fitness.values = (0.2,)
    used.update(population, 1)
    assert GA(sigma=used).resolved("mlp", 64).adaptation().sigma == 0.5
    assert used.sigma == 0.1


def test_a_scale_may_be_a_factor_for_each_matrix():
    for scale in ((1.0, 0.5), [1.0, 0.5], np.ones(2)):
        assert GA(scale=scale).resolved("mlp", 64).factors is scale
    assert GA(scale="none").factors is None
    for scale in ((-1.0,), [np.nan], 3.0):
        with pytest.raises(ValueError, match=f"^scale must be {SCALES}"):
            GA(scale=scale)


@pytest.mark.parametrize("name", WIDEST)
def test_the_widest_layers_are_those_of_the_built_in_models(name):
    layout = reference_of(name).layout
    assert WIDEST[name] == max(shape[0] for shape in layout.shapes if len(shape) == 2) == max(layout.fan_ins)
    assert list(WIDEST) == list(BUILT_IN)


def test_the_usual_step():
    assert usual_step(100, 300, 4) == 2.0
    assert usual_step(500, 300, 4) == pytest.approx(2 * 5**0.5)
    assert usual_step(200, 3, 4) == usual_step(200, 300, 4) * 10 == pytest.approx(usual_step(200, 6, 2))
    assert usual_step(200, 300, 4, projected=True) == pytest.approx(2.5 * usual_step(200, 300, 4))
    errors = {round(generations * usual_step(n, generations, 2) ** 2 / n, 6) for n in (2, 50) for generations in (1, 9)}
    assert errors == {24.0}
    for i, name in enumerate(("population", "generations", "matrices")):
        numbers = [200, 300, 4]
        numbers[i] = 0
        with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
            usual_step(*numbers)
