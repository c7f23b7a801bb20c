"""The baselines: what they do is what they are named after, in the frame of the experiment."""

import copy
import csv
import json
import sys

import numpy as np
import pytest
from conftest import MNIST, ROOT, quiet, status_of, well
from small_run import FILES, SWEEP
from strangers import only_line

from deap_nn import GA, Individual, WeightList, make_toolbox
from deap_nn.breeding.breeder import founder
from deap_nn.callbacks.base import Evolution
from deap_nn.core.logbooks import read_csv
from deap_nn.data.minibatches import batch_indices
from deap_nn.models.tensorflow import keras

sys.path.append(str(ROOT / "experiments"))
import baseline_methods as methods
import baselines
import own_operators as own

SCRIPT = ROOT / "experiments" / "baselines.py"
SMALL = ["--model", "mlp", "--no-progress", "--seed", 3]
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


@pytest.mark.parametrize(("mirrored", "scale"), [(True, "none"), (True, "fan_in"), (False, "none")])
def test_the_strategy_goes_down_the_gradient_that_its_population_sees(digits, mirrored, scale):
    toolbox = mlp(digits, GA(scale=scale))
    network = founder(toolbox.individual, 3, 0)
    options = {"mirrored": mirrored, "falling": (0.25, 0.5, 8)}
    strategy = methods.OpenAIES(toolbox, network, keras.optimizers.SGD(4.0), 6, 0.02, **options)
    for generation, sigma, rate in ((0, 0.02, 4.0), (4, 0.01, 4 * 0.5**0.5), (8, 0.005, 2.0), (9, 0.005, 2.0)):
        centre = strategy.network.flat.copy()
        around = methods.Around(toolbox, 3, generation, sigma)
        members = np.empty((6, centre.size), np.float32)
        for i, member in enumerate(members):
            around.write([member], centre, (i if mirrored else 2 * i,))
        noise = members - centre
        if mirrored:
            np.testing.assert_allclose(noise[::2], -noise[1::2], atol=1e-6 * max(1, np.abs(centre).max()))
        own = noise[::2] if mirrored else noise
        assert np.abs(np.corrcoef(own)[np.triu_indices(len(own), 1)]).max() < 0.05
        unit = 1 if scale == "none" else (2 / 784) ** 0.5
        assert noise[:, : 784 * 64].std() == pytest.approx(sigma * unit, rel=0.05)
        toolbox.evaluate.func.generation = generation
        scores = strategy.step(generation)
        kind = type(strategy.network)
        assert scores == [toolbox.evaluate(kind.from_flat(one.copy(), network.shapes))[0] for one in members]
        step = rate * methods.centred_ranks(scores) @ noise / (6 * sigma**2)
        np.testing.assert_allclose(strategy.network.flat, centre - step, atol=2e-3 * np.abs(step).max())


def test_centred_ranks():
    assert methods.centred_ranks([30.0, 10.0, 20.0]).tolist() == [0.5, -0.5, 0.0]
    assert methods.centred_ranks([2.0, 1.0, 2.0, 3.0, 0.0]).tolist() == [0.125, -0.25, 0.125, 0.5, -0.5]


def test_random_search_keeps_the_best_that_it_saw_on_the_batch(digits):
    toolbox = mlp(digits)
    search = methods.RandomSearch(toolbox, founder(toolbox.individual, 3, 0), 5)
    toolbox.evaluate.func.generation = 1
    scores = search.step(1)
    drawn = [0, *range(6, 10)]
    assert scores == [toolbox.evaluate(founder(toolbox.individual, 3, place))[0] for place in drawn]
    assert search.network == founder(toolbox.individual, 3, drawn[int(np.argmin(scores))])
    toolbox.evaluate.func.generation = 2
    again = [drawn[int(np.argmin(scores))], *range(11, 15)]
    assert search.step(2) == [toolbox.evaluate(founder(toolbox.individual, 3, place))[0] for place in again]


def test_cma_es_moves_its_mean_to_better_networks_by_a_noise_of_each_weight(digits):
    toolbox = mlp(digits, GA(scale="fan_in"))
    first = founder(toolbox.individual, 3, 0)
    search = methods.CMAES(toolbox, copy.deepcopy(first), 20, 0.05)
    seen, toolbox.map = [], lambda call, members: map(call, [seen.append(one) or one for one in members])
    scores = search.step(0)
    assert scores == [toolbox.evaluate(one)[0] for one in seen]
    for one, unit in ((0, 784), (2, 64)):
        noise = np.std([member[one] - first[one] for member in seen])
        assert noise == pytest.approx(0.05 * (2 / unit) ** 0.5, rel=0.05)
    best = np.array([seen[place].flat for place in np.argsort(scores)[:10]])
    mean = np.average(best, axis=0, weights=np.log(10.5) - np.log(np.arange(1, 11)))
    np.testing.assert_allclose(search.network.flat, mean, atol=1e-6)
    assert np.unique(search._strategy.stds).size > first.flat.size / 2


def test_a_method_is_that_of_the_options(digits):
    toolbox = mlp(digits)

    def method(*given):
        options = baselines.make_parser().parse_args(["--seed", "3", "--method", *given])
        return baselines.method_of(baselines.complete(options), toolbox)

    descent, usual = method("sgd", "--momentum", "0.9"), method("openai-es")
    strategy = method("openai-es", "--final-sigma", "0.005", "--final-rate", "0.0025", "--sampling", "independent")
    assert descent.network == strategy.network == founder(toolbox.individual, 3, 0)
    assert descent._model.optimizer.momentum == 0.9
    assert (strategy._falling, strategy._mirrored) == ((0.25, 0.25, 100), False)
    assert (usual._falling, usual._mirrored) == ((1.0, 1.0, 100), True)


def test_a_run_that_is_interrupted_has_the_network_of_its_last_row(digits):
    toolbox = mlp(digits)
    options = baselines.complete(baselines.make_parser().parse_args(["--method", "adam", "--model", "mlp"]))
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
    assert len(evolution.logbook) == 3
    assert evolution.best == seen[2] != seen[3]


LONG = [pytest.param(method, marks=pytest.mark.long) for method in ("openai-es", "cma-es")]


@pytest.mark.parametrize("method", ["sgd", "random", *LONG])
def test_a_run_leaves_what_the_experiment_leaves_with_any_workers(here, run, tmp_path, digits_file, method):
    sizes = ["--population", 10] if method in ("openai-es", "random", "cma-es") else []
    options = ["--method", method, *SMALL, *sizes, "--generations", 30, "--data", digits_file, "--output"]
    answer = here(SCRIPT, *options, "a")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert {path.name for path in (tmp_path / "a").iterdir()} == FILES - {"checkpoint", "members.npz"}
    columns, timing = read_csv(tmp_path / "a" / "logbook.csv"), read_csv(tmp_path / "a" / "timing.csv")
    assert columns["gen"] == timing["gen"] == list(range(31))
    assert columns["nevals"][0] == 1
    assert set(columns["nevals"][1:]) == {10 if sizes else 1}
    status = status_of(tmp_path / "a")
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
        well(run("-m", "deap_nn.launch", "-n", 2, SCRIPT, *options, "two"))
        for name in ("logbook.csv", "best.npz", "readouts.csv", "trace.npz"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--method"),
        (
            ["--method", "lbfgs"],
            "argument --method: must be sgd, adam, openai-es, random, cma-es or noise, got 'lbfgs'",
        ),
        (["--method", "adam", "--population", "20"], "argument --population: needs --method openai-es or random"),
        (["--method", "openai-es", "--population", "3"], "argument --population: must be even, got 3"),
        (["--method", "sgd", "--final-sigma", "0.1"], "argument --final-sigma: needs --method openai-es, got sgd"),
        (["--method", "openai-es", "--rate", "0", "--final-rate", "0.1"], "--final-rate: needs a --rate above 0"),
    ],
)
def test_bad_input_is_one_line_and_status_2(here, tmp_path, digits_file, options, said):
    answer = here(SCRIPT, *options, "--data", digits_file, "--output", "run")
    assert said in only_line(answer)
    assert answer.stdout == ""
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
"""


def test_a_study_has_baselines_too_and_begins_a_broken_one_again(here, tmp_path, digits_file):
    (tmp_path / "small.toml").write_text(STUDY)
    sweep = SWEEP, "small.toml", "--data", digits_file, "--output", "out"
    answer = well(here(*sweep))
    with open(tmp_path / "out" / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["evaluations"] for row in rows if row["setting"] == "adam"] == ["0", "1", "2", "3"]
    assert [row["evaluations"] for row in rows if row["setting"] == "es"] == ["0", "6", "12", "18"]
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


def test_noise_in_place_of_a_crossover_has_the_mean_and_variance_of_the_parents():
    parents = [Individual([np.full((400, 500), value, np.float32)]) for value in (0.0, 1.0, 1.0, 4.0)]
    children = own.cxNoise(*parents, rng=np.random.default_rng(1))
    assert all(child is parent for child, parent in zip(children, parents, strict=True))
    for child in children:
        assert child.flat.mean() == pytest.approx(1.5, abs=0.02)
        assert child.flat.var() == pytest.approx(2.25, abs=0.03)
    assert np.corrcoef(children[0].flat, children[1].flat)[0, 1] == pytest.approx(0, abs=0.02)


def test_ga_runs_with_noise_in_place_of_its_crossover(here, tmp_path, digits_file):
    given = *SMALL, "--generations", 3, "--population", 12, "--data", digits_file, "--output"
    quiet(here(SCRIPT, "--method", "noise", "--mates", 3, *given, "run"))
    assert here(MNIST, "--mates", 3, *given, "ga").returncode == 0
    own, of_ga = (read_csv(tmp_path / name / "logbook.csv") for name in ("run", "ga"))
    assert own["nevals"] == [12] * 4
    assert own["min"][0] == of_ga["min"][0]  # the founders
    assert own["min"][1:] != of_ga["min"][1:]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["mates"], config["rate"]) == (3, None)
    status = status_of(tmp_path / "run")
    assert status["state"] == "finished"
    assert 0 <= status["test_error"] <= 1
