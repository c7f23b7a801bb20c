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
from deap_nn.algorithms.algorithm import ALGORITHMS, MODELS
from deap_nn.core.arguments import options_of
from deap_nn.models.built_in import BUILT_IN

LIMITS = [
    (GA, "fitness", ["error", "cross_entropy"], ["accuracy"]),
    (GA, "sigma", [0, 0.1], [-0.1, float("nan"), float("inf")]),
    (GA, "schedule", ["error", "one-fifth"], ["errors", ""]),
    (GA, "final_sigma", [0.01], [-1, 1e39]),
    (GA, "scale", ["none", "fixed"], ["fan_out"]),
    (GA, "centred", [], ["maybe", 2]),
    (GA, "stratified", [], ["maybe"]),
    (GA, "projected", [], ["maybe"]),
    (GA, "casewise", [], ["maybe"]),
    (GA, "case_step", [1e-6, 2], [0, 1e7]),
    (GA, "parents", [1, 7, 0.5, 1.0], [0, -1, 0.0, 1.5, "all"]),
    (GA, "mates", [2, 256], [1, 257, 2.5]),
    (GA, "crossover", ["mask", "none"], ["two-point", "cxMask"]),
    (GA, "pressure", [1, 2], [0.99, 2.01]),
    (GA, "boost", [1, 100], [0, -1]),
    (GA, "opposites", [0, 0.5], [0.7, -0.1]),
    (GA, "spread", [0, 1], [1.5, -0.5]),
    (ES, "parents", [1, 0.5], [0, 1.5]),
    (ES, "step", [1e-6, 2], [0, 1e7]),
    (ES, "features_every", [1, 300], [0, 1.5]),
]


@pytest.mark.parametrize(("kind", "name", "accepted", "refused"), LIMITS)
def test_limits_are_the_same_in_python_and_on_the_command_line(kind, name, accepted, refused):
    option = options_of(kind)[name]
    for value in accepted:
        assert getattr(kind(**{name: value}), name) == value == option.parse(str(value))
    for value in refused:
        with pytest.raises(ValueError, match=re.escape(f"{name} must be {option.allowed}, got {value!r}")):
            kind(**{name: value})
        with pytest.raises(argparse.ArgumentTypeError, match=re.escape(f"must be {option.allowed}, got '{value}'")):
            option.parse(str(value))


def test_every_setting_has_limits():
    """But for ``init``, which ``--init`` of the command line takes together with files."""
    for kind in ALGORITHMS.values():
        assert {field.name for field in dataclasses.fields(kind)} == options_of(kind).keys() | {"init"}
        tested = {name for owner, name, *_ in LIMITS if owner is GA or kind is ES}
        assert options_of(kind).keys() <= tested
    with pytest.raises(ValueError, match=r"^init must be 'scaled' or 'normal', got 'zeros'$"):
        GA(init="zeros")


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        (GA, {"final_sigma": 0.1, "schedule": "error"}, "final_sigma needs a schedule that is linear, geometric, one"),
        (GA, {"final_sigma": 0.0, "sigma": 0.1}, "final_sigma must be above 0 if sigma is, got 0.0"),
        (GA, {"final_sigma": 0.1, "sigma": 0}, "final_sigma must be above 0 if sigma is, got 0.1"),
        (
            GA,
            {"final_sigma": 0.2, "sigma": 0.1, "schedule": "one-fifth"},
            "final_sigma must be at most sigma, 0.1, got 0.2",
        ),
        (GA, {"sigma": Constant(0.1), "schedule": "error"}, "sigma must be a number with a schedule or a final_sigma"),
        (GA, {"projected": True, "centred": False}, "projected needs centred layers"),
        (GA, {"mates": 3, "crossover": "units"}, "mates must be 2 if crossover is units, got 3: more need mask or"),
        (GA, {"spread": 0.5, "init": "normal"}, "spread below 1 is for founders of init='scaled', got 0.5"),
        (ES, {"schedule": "self-adaptive"}, "schedule must not be self-adaptive: the children of one centre share"),
        (ES, {"sigma": SelfAdaptive(0.1, 0.01)}, "schedule must not be self-adaptive"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_by_name(kind, words, said):
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        kind(**words)
    assert "\n" not in str(caught.value)


SCORED = {"centred": True, "stratified": True, "projected": True, "casewise": True}
MEANS = {"projected": False, "casewise": False}
PROJECTED = {"ga": (0.128, None, "fixed"), "es": (0.4, 0.1, "widest")}
PLAIN = {"ga": (0.1, None, "fan_in"), "es": (0.5, 0.025, "fan_in")}
OWN = PLAIN | {"es": PROJECTED["es"]}

DECIDED = [
    ("mlp", 64, {}, SCORED, PROJECTED),
    ("lenet5", 400, {}, SCORED, PROJECTED),
    ("mnist_deep", 3137, {}, SCORED, PROJECTED),
    ("mlp", 64, {"projected": False}, SCORED | MEANS, PLAIN),
    ("mlp", 64, {"casewise": False}, SCORED | {"casewise": False}, PROJECTED),
    ("mlp", 64, {"centred": False}, SCORED | {"centred": False} | MEANS, PLAIN),
    ("mlp", 64, {"stratified": False}, SCORED | {"stratified": False}, PROJECTED),
    ("mlp", 1, {}, SCORED | {"centred": False} | MEANS, PLAIN),
    (None, 64, {}, dict.fromkeys(SCORED, False), PLAIN),
    (None, 64, {"centred": True}, {"centred": True, "stratified": False} | MEANS, PLAIN),
    (None, 64, {"centred": True, "projected": True}, SCORED | {"stratified": False}, OWN),
    (None, 64, {"centred": True, "casewise": True}, SCORED | {"stratified": False}, OWN),
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
    assert Article().resolved("mlp", 64) == Article(schedule="error") == Article().resolved(None, 1)


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
        (GA(sigma=0.1, schedule="constant"), Constant(0.1)),
        (GA(schedule="linear"), Annealed(0.128, 0.0064, shape="linear")),
        (GA(sigma=0.4, schedule="geometric", final_sigma=0.1), Annealed(0.4, 0.1)),
        (GA(sigma=0.2, schedule="one-fifth"), OneFifth(0.2, 0.01)),
        (GA(sigma=0.2, schedule="self-adaptive", final_sigma=0.1), SelfAdaptive(0.2, 0.1)),
        (GA(sigma=OneFifth(0.2, 0.01)), OneFifth(0.2, 0.01)),
        (GA(sigma=0, schedule="self-adaptive"), Constant(0)),
        (ES(), Annealed(0.4, 0.1)),
        (ES(fitness="error"), Annealed(0.8, 0.2)),
        (ES(sigma=0.2), Annealed(0.2, 0.05)),
        (ES(schedule="error"), ErrorScaled(0.4)),
    ],
)
def test_the_adaptation_of_sigma(algorithm, adaptation):
    found = algorithm.resolved("mlp", 64)
    assert repr(found.adaptation()) == repr(adaptation)
    assert found.adaptation() is not found.adaptation()


@pytest.mark.parametrize("kind", [GA, ES])
def test_an_error_rate_has_a_shorter_step_by_cases(kind):
    assert kind().resolved("mlp", 64).case_step == 30
    assert kind(fitness="error").resolved("mlp", 64).case_step == 15
    assert kind(fitness="error", case_step=7.0).resolved("mlp", 64).case_step == 7


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
        assert GA(scale=scale).resolved("mlp", 64).scale is scale
    for scale in ((-1.0,), [np.nan], 3.0):
        with pytest.raises(ValueError, match=r"^scale must be none, fan_in, widest or fixed, got"):
            GA(scale=scale)


def test_the_models_are_the_built_in_ones():
    assert list(MODELS) == list(BUILT_IN)


def test_the_usual_step():
    assert usual_step(100, 300, 4) == 2.0
    assert usual_step(500, 300, 4) == pytest.approx(2 * 5**0.5)
    assert usual_step(200, 3, 4) == usual_step(200, 300, 4) * 10 == pytest.approx(usual_step(200, 6, 2))
    assert usual_step(200, 300, 4, projected=True) == pytest.approx(2.5 * usual_step(200, 300, 4))
    with pytest.raises(ValueError, match="generations must be an integer of at least 1, got 0"):
        usual_step(200, 0, 4)
