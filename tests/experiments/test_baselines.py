"""The baselines: what they do is what they are named after, in the frame of the experiment."""

import copy
import csv
import json
import random
import sys

import numpy as np
import pytest
from conftest import ROOT
from deap import algorithms, tools

from deap_nn import GA, WeightList, make_toolbox
from deap_nn.breeding.breeder import founder
from deap_nn.callbacks.base import Evolution
from deap_nn.core.errors import WORST, InputError
from deap_nn.core.logbooks import read_csv
from deap_nn.data.minibatches import batch_indices
from deap_nn.models.tensorflow import keras

sys.path.append(str(ROOT / "experiments"))
import baseline_methods as methods
import baselines

SCRIPT = ROOT / "experiments" / "baselines.py"
SMALL = ["--model", "mlp", "--no-progress", "--seed", 3]
FILES = {"config.json", "status.json", "logbook.csv", "logbook.json", "timing.csv", "readouts.csv", "trace.npz"}
FILES |= {"best.npz", "best.keras", "fitness.png", "weights.png"}
FILES |= {"filters.npz", "answers.npz", "report.html"}


USUAL = GA()


def mlp(digits, algorithm=USUAL, **options):
    return make_toolbox("mlp", digits, algorithm, seed=3, **options)


@pytest.mark.parametrize("method", ["sgd", "adam"])
def test_backpropagation_is_that_of_keras_on_the_mini_batches_of_the_experiment(digits, method):
    toolbox = mlp(digits, GA(centred=False, stratified=False), batch_size=32)
    first = founder(toolbox.individual, 3, 0)
    kinds = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
    found = methods.Backpropagation(toolbox, founder(toolbox.individual, 3, 0), kinds[method](0.01))
    model = toolbox.to_model(first)
    model.compile(kinds[method](0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for generation in range(1, 5):
        toolbox.evaluate.func.generation = generation
        before = toolbox.evaluate(found.network)[0]
        assert found.step(generation) == [pytest.approx(before, rel=1e-5)]
        chosen = batch_indices(3, generation, 32, len(digits.x_train))
        model.train_on_batch(digits.x_train[chosen][..., None] / np.float32(255), digits.y_train[chosen])
    for matrix, expected in zip(found.network, model.get_weights(), strict=True):
        np.testing.assert_allclose(matrix, expected, rtol=1e-5, atol=1e-7)
    assert found.network != first


def test_backpropagation_goes_down_the_gradient_of_a_centred_network(digits):
    toolbox = mlp(digits, GA(centred=True, stratified=True), batch_size=32)
    start = founder(toolbox.individual, 3, 0)
    before = toolbox.evaluate(start)[0]
    found = methods.Backpropagation(toolbox, founder(toolbox.individual, 3, 0), keras.optimizers.SGD(0.01))
    assert found.step(0) == [pytest.approx(before, rel=1e-5)]
    change = found.network.flat - start.flat  # the negative gradient times the rate
    ahead = WeightList.from_flat(start.flat + np.float32(0.1) * change, start.shapes)
    slope = toolbox.evaluate(ahead)[0] - before
    assert slope == pytest.approx(-0.1 * float(change @ change) / 0.01, rel=0.05)
    assert toolbox.evaluate(found.network)[0] < before


@pytest.mark.parametrize("scale", ["none", "fan_in"])
def test_the_strategy_goes_down_the_gradient_that_its_population_sees(digits, scale):
    toolbox = mlp(digits, GA(scale=scale))
    centre = founder(toolbox.individual, 3, 0).flat.copy()
    around = methods.Around(toolbox, 3, 7, 0.02)
    members = []
    for place in range(0, 6, 2):
        pair = np.empty((2, centre.size), np.float32)
        around.write(pair, centre, (place, place + 1))
        np.testing.assert_allclose(pair[0] - centre, centre - pair[1], atol=1e-6)
        members += list(pair)
    noise = np.array(members) - centre
    spread = noise[::2].std(axis=0)[: 784 * 64].mean()
    assert spread == pytest.approx(0.02 * (1 if scale == "none" else np.sqrt(2 / 784)), rel=0.5)
    weights = np.array([0.5, -0.25, 0.75])
    np.testing.assert_allclose(around.sum(weights), weights @ noise[::2], atol=1e-6)
    np.testing.assert_array_equal(around.sum(np.zeros(3)), 0)

    strategy = methods.OpenAIES(toolbox, founder(toolbox.individual, 3, 0), keras.optimizers.SGD(1.0), 6, 0.02)
    toolbox.evaluate.func.generation = 7
    scores = strategy.step(7)
    kind = type(strategy.network)
    expected = [toolbox.evaluate(kind.from_flat(member.copy(), strategy.network.shapes))[0] for member in members]
    assert scores == expected
    gradient = methods.centred_ranks(scores) @ noise / (6 * 0.02**2)
    np.testing.assert_allclose(strategy.network.flat, centre - gradient, atol=1e-3 * np.abs(gradient).max())


def test_the_noise_of_the_strategy_may_be_independent_and_fall(digits):
    toolbox = mlp(digits, GA(scale="none"))
    network = founder(toolbox.individual, 3, 0)
    options = {"mirrored": False, "falling": (0.25, 0.5, 8)}
    strategy = methods.OpenAIES(toolbox, network, keras.optimizers.SGD(4.0), 5, 0.02, **options)
    for generation, sigma, rate in ((0, 0.02, 4.0), (4, 0.01, 4 * 0.5**0.5), (8, 0.005, 2.0), (9, 0.005, 2.0)):
        centre = strategy.network.flat.copy()
        around = methods.Around(toolbox, 3, generation, sigma)
        members = np.empty((5, centre.size), np.float32)
        for i, member in enumerate(members):
            around.write([member], centre, (2 * i,))
        noise = members - centre
        assert np.abs(np.corrcoef(noise)[np.triu_indices(5, 1)]).max() < 0.05  # no pairs
        toolbox.evaluate.func.generation = generation
        scores = strategy.step(generation)
        kind = type(strategy.network)
        assert scores == [toolbox.evaluate(kind.from_flat(one.copy(), network.shapes))[0] for one in members]
        step = rate * methods.centred_ranks(scores) @ noise / (5 * sigma**2)
        np.testing.assert_allclose(strategy.network.flat, centre - step, atol=2e-3 * np.abs(step).max())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--method sgd --final-sigma 0.1", "argument --final-sigma: needs --method openai-es, got sgd"),
        ("--method openai-es --rate 0 --final-rate 0.1", "argument --final-rate: needs a --rate above 0"),
        ("--method openai-es --population 5", "argument --population: must be even, got 5"),
    ],
)
def test_options_that_do_not_fit_a_method_are_named(arguments, line):
    with pytest.raises(InputError, match=line):
        baselines.complete(baselines.make_parser().parse_args(arguments.split()))
    baselines.complete(
        baselines.make_parser().parse_args(["--method", "openai-es", "--population", "5", "--sampling", "independent"])
    )


def test_centred_ranks():
    assert methods.centred_ranks([30.0, 10.0, 20.0]).tolist() == [0.5, -0.5, 0.0]
    assert methods.centred_ranks([2.0, 1.0, 2.0, 3.0, 0.0]).tolist() == [0.125, -0.25, 0.125, 0.5, -0.5]
    assert methods.centred_ranks([1.0, 1.0]).tolist() == [0.0, 0.0]


def test_random_search_keeps_the_best_that_it_saw_on_the_batch(digits):
    toolbox = mlp(digits)
    search = methods.RandomSearch(toolbox, founder(toolbox.individual, 3, 0), 5)
    toolbox.evaluate.func.generation = 1
    scores = search.step(1)
    drawn = [0, *range(6, 10)]
    assert scores == [toolbox.evaluate(founder(toolbox.individual, 3, place))[0] for place in drawn]
    assert search.network == founder(toolbox.individual, 3, drawn[int(np.argmin(scores))])
    toolbox.evaluate.func.generation = 2
    assert search.step(2)[0] == toolbox.evaluate(founder(toolbox.individual, 3, drawn[int(np.argmin(scores))]))[0]


def test_easimple_a_generation_at_a_time_is_easimple(digits):
    toolbox, once = mlp(digits), mlp(digits)
    loop = methods.EASimple(toolbox, 8, 5)
    steps = [loop.step(generation) for generation in (1, 2, 3)]
    random.seed(5)
    statistics = tools.Statistics(lambda individual: individual.fitness.values[0])
    statistics.register("all", list)
    population, logbook = algorithms.eaSimple(once.population(n=8), once, 1.0, 1.0, 3, stats=statistics, verbose=False)
    assert steps == logbook.select("all")[1:]
    assert loop.network == tools.selBest(population, 1)[0]
    assert loop.sigma == once.clock.sigma < 0.128
    assert loop.parents == 8


def test_a_loss_that_is_no_number_is_the_worst_there_is(digits):
    toolbox = mlp(digits)
    descent = methods.Backpropagation(toolbox, founder(toolbox.individual, 3, 0), keras.optimizers.SGD(1e25))
    losses = [descent.step(generation)[0] for generation in range(1, 4)]
    assert losses[0] < 10
    assert losses[1:] == [WORST] * 2


@pytest.mark.parametrize("method", ["adam", "openai-es", "random"])
def test_a_run_that_is_interrupted_has_the_network_of_its_last_row(digits, method):
    toolbox = mlp(digits)
    arguments = ["--method", method, "--model", "mlp", "--seed", "3"]
    options = baselines.complete(baselines.make_parser().parse_args(arguments))
    seen, assess = [], toolbox.assess

    def interrupted(network, generation, **keywords):
        seen.append(copy.deepcopy(network))
        if generation == 3:
            raise KeyboardInterrupt
        return assess(network, generation, **keywords)

    toolbox.register("assess", interrupted)
    way = baselines.method_of(options, toolbox)
    evolution = Evolution(toolbox, [way.network], 9, map)
    with pytest.raises(KeyboardInterrupt):
        baselines.train(evolution, way, [], 0.0)
    assert (evolution.interrupted, len(evolution.logbook)) == (True, 3)
    assert evolution.best == seen[2]
    if method != "random":
        assert seen[3] != seen[2]


LONG = [pytest.param(method, marks=pytest.mark.long) for method in ("openai-es", "easimple")]


@pytest.mark.parametrize("method", ["sgd", "random", *LONG])
def test_a_run_leaves_what_the_experiment_leaves_with_any_workers(here, run, tmp_path, digits_file, method):
    sizes = ["--population", 10] if method in ("openai-es", "random", "easimple") else []
    options = ["--method", method, *SMALL, *sizes, "--generations", 30, "--data", digits_file, "--output"]
    answer = here(SCRIPT, *options, "a")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert {path.name for path in (tmp_path / "a").iterdir()} == FILES
    columns, timing = read_csv(tmp_path / "a" / "logbook.csv"), read_csv(tmp_path / "a" / "timing.csv")
    assert columns["gen"] == timing["gen"] == list(range(31))
    assert columns["nevals"][0] == 1
    assert set(columns["nevals"][1:]) == {10 if sizes else 1}
    status = json.loads((tmp_path / "a" / "status.json").read_text())
    assert status["state"] == "finished"
    assert status["evaluations"] == sum(columns["nevals"])
    readouts = read_csv(tmp_path / "a" / "readouts.csv")
    found = readouts["best member"] + readouts["mean of the parents"][1:]
    assert status["validation_error"] == np.nanmin(np.array(found, float)) < found[0]
    model = keras.models.load_model(tmp_path / "a" / "best.keras")
    with np.load(tmp_path / "a" / "best.npz") as archive:
        assert all((archive[name] == w).all() for name, w in zip(archive, model.get_weights(), strict=True))
    assert json.loads((tmp_path / "a" / "config.json").read_text())["method"] == method
    if sizes:
        answer = run("-m", "deap_nn.launch", "-n", 2, SCRIPT, *options, "two")
        assert answer.returncode == 0, answer.stderr
        for name in ("logbook.csv", "best.npz", "readouts.csv", "trace.npz"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--method"),
        (
            ["--method", "lbfgs"],
            "argument --method: must be sgd, adam, openai-es, random, easimple or blocks, got 'lbfgs'",
        ),
        (["--method", "adam", "--population", "20"], "argument --population: needs --method openai-es or random"),
        (["--method", "random", "--rate", "1"], "argument --rate: needs --method sgd or adam or openai-es"),
        (["--method", "adam", "--momentum", "0.9"], "argument --momentum: needs --method sgd"),
        (["--method", "sgd", "--scale", "fan_in"], "argument --scale: needs --method openai-es"),
        (
            ["--method", "adam", "--precision", "bfloat16"],
            "argument --precision: needs --method openai-es or random",
        ),
        (["--method", "openai-es", "--population", "3"], "argument --population: must be even, got 3"),
        (["--method", "openai-es", "--sigma", "0"], "argument --sigma: must be a number from 1e-06"),
        (["--method", "adam", "--rate", "nan"], "argument --rate: must be a number"),
        (["--method", "adam", "--batch-size", "401"], "argument --batch-size: must be at most"),
        (["--method", "adam", "--data", "nothing.npz"], "argument --data"),
    ],
)
def test_bad_input_is_one_line_and_status_2(here, tmp_path, digits_file, options, said):
    data = [] if "--data" in options else ["--data", digits_file]
    answer = here(SCRIPT, *options, *data, "--output", "run")
    assert (answer.returncode, answer.stdout, len(answer.stderr.splitlines())) == (2, "", 1)
    assert said in answer.stderr
    assert not (tmp_path / "run").exists()


STUDY = """
seeds = [1]
[common]
model = "mlp"
population = 6
generations = 3
precision = "bfloat16"
[settings.ours]
preset = "es"
[settings.adam]
method = "adam"
rate = 0.01
[settings.es]
method = "openai-es"
[settings.exact]
method = "openai-es"
precision = "float32"
"""


def test_a_study_has_baselines_too_and_begins_a_broken_one_again(here, tmp_path, digits_file):
    (tmp_path / "small.toml").write_text(STUDY)
    sweep = ROOT / "experiments" / "sweep.py", "small.toml", "--data", digits_file, "--output", "out"
    answer = here(*sweep)
    assert answer.returncode == 0, answer.stderr
    with open(tmp_path / "out" / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["evaluations"] for row in rows if row["setting"] == "adam"] == ["0", "1", "2", "3"]
    assert [row["evaluations"] for row in rows if row["setting"] == "es"] == ["0", "6", "12", "18"]
    lowest = {name: [row["min"] for row in rows if row["setting"] == name] for name in ("es", "exact")}
    assert [float(value) for value in lowest["es"]] == pytest.approx([float(v) for v in lowest["exact"]], rel=0.05)
    assert lowest["es"] != lowest["exact"]
    config = json.loads((tmp_path / "out" / "adam-1" / "config.json").read_text())
    assert (config["rate"], config["population"], config["precision"]) == (0.01, None, None)
    for setting in ("ours", "es"):
        assert json.loads((tmp_path / "out" / f"{setting}-1" / "config.json").read_text())["precision"] == "bfloat16"
    broken = tmp_path / "out" / "es-1"
    expected = (broken / "best.npz").read_bytes()
    (broken / "status.json").write_text('{"state": "running"}')
    (broken / "best.npz").unlink()
    assert here(*sweep).returncode == 0
    assert (broken / "best.npz").read_bytes() == expected
    (tmp_path / "small.toml").write_text(STUDY.replace("0.01", "0.02"))
    answer = here(*sweep)
    assert answer.returncode == 2
    assert "is a run of other settings, with rate 0.01 and not 0.02" in answer.stderr
