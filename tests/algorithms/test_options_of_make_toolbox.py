"""Each option of make_toolbox is the operator or the setting that it names."""

import ast
import importlib
import itertools
import math
import random

import numpy as np
import pytest
from conftest import MNIST
from deap import algorithms, tools
from deap_nn.algorithms.toolbox.from_settings import toolbox_of
from deap_nn.algorithms.toolbox.settings import SETTINGS

from deap_nn import (
    ES,
    GA,
    Callback,
    evolve,
    make_toolbox,
    usual_step,
)
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.models.tensorflow import keras
from deap_nn.operators.ranking import number_of_parents
from deap_nn.problems.keras_problem import KerasProblem


@pytest.mark.parametrize(
    ("crossover", "mate", "indpb"),
    [
        ("mask", "cxScanning", None),
        ("biased", "cxBiased", 0.25),
        ("split", "cxSplit", None),
        ("matrices", "cxMatrices", 0.5),
        ("units", "cxUnits", 0.5),
        ("average", "cxMean", None),
        ("none", "cxMask", 0.0),
    ],
)
def test_a_crossover_by_its_name(digits, crossover, mate, indpb):
    toolbox = make_toolbox("mlp", digits, GA(crossover=crossover), seed=1)
    assert toolbox.mate.func.__name__ == mate
    assert toolbox.mate.keywords.get("indpb") == indpb
    if crossover == "none":
        assert make_toolbox("mlp", digits, GA(crossover=crossover), seed=1, indpb=0.0).mate.keywords["indpb"] == 0
    if indpb or crossover == "mask":
        given = make_toolbox("mlp", digits, GA(crossover=crossover), seed=1, indpb=0.1)
        assert given.mate.keywords["indpb"] == 0.1
    assert make_toolbox("mlp", digits, GA(mates=2), seed=1).mate.keywords["indpb"] == 0.5


def test_means_of_as_many_as_are_mated(digits):
    toolbox = make_toolbox(
        "mlp", digits, GA(crossover="average", mates=4, sigma=0.0, schedule="constant", parents=1.0), seed=1
    )
    founders = np.stack([member.flat for member in toolbox.population(n=8)])
    population, _ = evolve(toolbox.population(n=8), toolbox, 1, seed=1)
    for place, member in enumerate(population):
        assert (member.flat == population[place - place % 4].flat).all()
        found = np.linalg.lstsq(founders.T, member.flat, rcond=None)[0]
        assert np.allclose(found[found > 1e-3] * 4, np.round(found[found > 1e-3] * 4), atol=1e-3)
        assert found.sum() == pytest.approx(1, abs=1e-4)


def test_the_best_live_on(digits):
    toolbox = make_toolbox("mlp", digits, seed=1, elites=2, elite_batches=3)
    seen = []

    class Seeing(Callback):
        def on_generation(self, evolution):
            seen.append([(member.fitness.values, member.flat.tobytes()) for member in evolution.population])

    evolve(toolbox.population(n=10), toolbox, 3, seed=1, callbacks=[Seeing()])
    for before, after in itertools.pairwise(seen):
        assert [weights for _, weights in after[-2:]] == [weights for _, weights in sorted(before)[:2]]


@pytest.mark.parametrize("keywords", [{"mutated_matrices": "one"}, {"scale": "own"}])
def test_mutation_is_that_of_the_options(digits, keywords):
    toolbox = make_toolbox("mlp", digits, seed=1, **keywords)
    (individual,) = toolbox.population(n=1)
    before = [matrix.copy() for matrix in individual]
    toolbox.mutate(individual)
    added = [one - other for one, other in zip(individual, before, strict=True)]
    if "scale" in keywords:
        for noise, matrix in zip(added, before, strict=True):
            assert noise.std() == pytest.approx(0.128 * max(0.01, float(np.sqrt(np.mean(matrix**2)))), rel=0.5)
    else:
        assert sum(bool(noise.any()) for noise in added) == 1


@pytest.mark.parametrize(("given", "parents"), [({}, 0.5), ({"parents": None}, None), ({"parents": 4}, 4)])
def test_around_a_centre_half_of_all_count_if_nothing_is_said(digits, given, parents):
    chosen = make_toolbox("mlp", digits, seed=1, **given).select.keywords["parents"]
    around = make_toolbox("mlp", digits, ES(), seed=1, **given).recombination_weights
    assert (chosen, around.keywords["parents"]) == (parents, parents)
    counted = around(20)
    assert np.count_nonzero(counted > 0) == (parents if parents == 4 else 10)


def test_the_usual_step_goes_astray_as_far_with_any_numbers():
    assert usual_step(100, 300, 4) == 2.0 == usual_step(200, 300, 4, "mirrored")
    assert usual_step(500, 300, 4) == pytest.approx(2 * math.sqrt(5))
    assert usual_step(200, 3, 4) == usual_step(200, 300, 4) * 10 == pytest.approx(usual_step(200, 6, 2))
    astray = {round(generations * usual_step(n, generations, 2) ** 2 / n, 6) for n in (2, 50) for generations in (1, 9)}
    assert astray == {24.0}
    with pytest.raises(ValueError, match="sampling must be 'independent' or 'mirrored', got 'paired'"):
        usual_step(200, 300, 4, "paired")
    for i, name in enumerate(("population", "generations", "matrices")):
        numbers = [200, 300, 4]
        numbers[i] = 0
        with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
            usual_step(*numbers)


@pytest.mark.parametrize("name", ["ga", "es", "article", "mask"])
def test_a_preset_is_what_the_experiment_does(digits, name, monkeypatch):
    monkeypatch.syspath_prepend(MNIST.parent)
    mnist_options = importlib.import_module("mnist_options")
    toolbox = make_toolbox("mlp", digits, ALGORITHMS[name](), seed=1, population=20, generations=30)
    options = mnist_options.make_parser().parse_args(
        ["--preset", name, "--population=20", "--generations=30", "--model=mlp"]
    )
    chosen = vars(mnist_options.complete(options)) | {"init": SETTINGS[name]["init"]}
    other = toolbox_of(chosen, digits)
    parents = number_of_parents(SETTINGS[name]["parents"], 20, SETTINGS[name]["fewest"])
    assert chosen["parents"] == parents
    for one in ("mutate", "individual", *(("recombination_weights",) if name == "es" else ("mate", "select"))):
        keywords = [getattr(made, one).keywords for made in (toolbox, other)]
        words_of = [
            {key: repr(value) for key, value in some.items() if key not in ("rng", "noise")} for some in keywords
        ]
        for words in words_of:
            words.pop("sigma", None)  # one knows the generations by the toolbox, the other by its own length
            words.pop("fewest", None)  # of a share
            words.pop("in_loops", None)  # the experiment has no other loop
            if "parents" in words:
                given = ast.literal_eval(words["parents"])
                words["parents"] = number_of_parents(given, 20, SETTINGS[name]["fewest"])
        assert words_of[0] == words_of[1]
        assert getattr(toolbox, one).func.__class__ is getattr(other, one).func.__class__
    results = [evolve(made.population(n=20), made, 3)[1] for made in (toolbox, other)]
    assert results[0] == results[1]
    assert getattr(toolbox, "step", None) == getattr(other, "step", None)
    assert toolbox.problem == other.problem


def test_a_model_of_ones_own_has_the_former_values(digits):
    own = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)])
    x, y = digits.x_train / np.float32(255), digits.y_train
    made = {
        "by name": make_toolbox("mlp", digits, seed=1),
        "own": make_toolbox(own, digits, seed=1),
        "arrays": make_toolbox(own, (x, y), seed=1),
        "problem": make_toolbox(KerasProblem(own, x, y), seed=1),
        "bounded": make_toolbox("mlp", digits, seed=1, bounds=(-1, 1)),
        "one sample": make_toolbox("mlp", digits, seed=1, batch_size=1),
    }
    found = {}
    for name, toolbox in made.items():
        select, spread = toolbox.select.keywords, toolbox.individual.keywords.get("spread", 1.0)
        scoring = toolbox.problem.centred, toolbox.problem.stratified
        found[name] = (*scoring, select["parents"], select["opposites"], spread)
    former = (False, False, 0.25, 0.0, 1.0)
    assert found.pop("by name") == (True, True, 0.5, 0.5, 0.5)
    assert found.pop("one sample") == (False, True, 0.5, 0.5, 0.5)
    assert found == {"own": former, "arrays": former, "problem": former, "bounded": former}
    by_name, of_ones_own = (make_toolbox(model, digits, ES(), seed=1).problem for model in ("mlp", own))
    assert (by_name.centred, by_name.stratified) == (True, True)
    assert (of_ones_own.centred, of_ones_own.stratified) == (False, False)


def test_the_opposites_of_the_preset_are_parents_in_evolve_only(digits):
    """The members of ``eaMuPlusLambda`` need a fitness, which opposites do not have."""
    for given, others in (({}, False), ({"opposites": 0.5}, True)):
        toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16, **given)
        population = toolbox.population(n=12)
        for member in population:
            member.fitness.values = toolbox.evaluate(member)
        chosen = toolbox.select(population, 12)
        best = sorted(population, key=lambda member: member.fitness.values)[:5]  # of 10 parents of 12, half
        assert ({id(member) for member in chosen} <= {id(member) for member in best}) != others
    random.seed(1)
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    plus = {"mu": 6, "lambda_": 8, "cxpb": 0.5, "mutpb": 0.5, "ngen": 3, "verbose": False}
    population, _ = algorithms.eaMuPlusLambda(toolbox.population(n=6), toolbox, **plus)
    assert all(member.fitness.valid for member in population)


def test_no_crossover_leaves_the_parents_apart(digits):
    toolbox = make_toolbox(
        "mlp", digits, GA(crossover="none", sigma=0.0, schedule="constant", opposites=0.0, projected=False), seed=1
    )
    founders = {member.flat.tobytes() for member in toolbox.population(n=6)}
    population, _ = evolve(toolbox.population(n=6), toolbox, 2, seed=1)
    assert {member.flat.tobytes() for member in population} <= founders
    toolbox = make_toolbox("mlp", digits, GA(sigma=0.0, schedule="constant"), seed=1)
    population, _ = evolve(toolbox.population(n=6), toolbox, 2, seed=1)
    assert not {member.flat.tobytes() for member in population} <= founders


def test_tournaments_are_those_of_deap_with_the_streams_of_the_run(digits):
    def run(**options):
        toolbox = make_toolbox("mlp", digits, seed=1, tournsize=4, **options)
        assert toolbox.select.func.operator is tools.selTournament
        population, logbook = evolve(toolbox.population(n=40), toolbox, 3, seed=1)
        return [member.flat.tobytes() for member in population], logbook.select("avg")

    assert run() == run()
    toolbox = make_toolbox("mlp", digits, seed=1, tournsize=4)
    population = toolbox.population(n=40)
    for place, member in enumerate(population):
        member.fitness.values = (float(place),)
    state = random.getstate()
    ranks = [member.fitness.values[0] for member in toolbox.select(population, 4000)]
    assert random.getstate() == state
    assert np.mean(ranks) == pytest.approx(40 / 5 - 0.5, abs=0.6)  # the least of four of forty
