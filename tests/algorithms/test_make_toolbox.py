"""What `make_toolbox` wires for each setting, what it decides by model and sizes, and the arguments that it refuses."""

import importlib
import random

import numpy as np
import pytest
from conftest import MNIST
from deap import algorithms, base
from keras_models import two_objectives
from wirings import logged, scored

from deap_nn import (
    ES,
    GA,
    Annealed,
    Callback,
    Dataset,
    KerasProblem,
    WeightList,
    cxMask,
    evolve,
    make_toolbox,
    usual_step,
)
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.algorithms.make_toolbox import toolbox_of
from deap_nn.models.tensorflow import keras
from deap_nn.operators.initialisation import fan_in_scales, widest_scales

USUAL = GA()


def made(digits, algorithm=USUAL, **words):
    return make_toolbox("mlp", digits, algorithm, **{"seed": 5, "batch_size": 16} | words)


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
    toolbox = made(digits, GA(crossover=crossover))
    assert toolbox.mate.func.__name__ == mate
    assert toolbox.mate.keywords.get("indpb") == indpb
    two = made(digits, GA(mates=2)).mate
    assert (two.func, two.keywords["indpb"]) == (cxMask, 0.5)


def test_each_operator_has_random_numbers_of_its_own_and_of_the_seed(digits):
    toolboxes = [made(digits, seed=seed) for seed in (5, 6)]
    words = [getattr(one, name).keywords for one in toolboxes for name in ("individual", "mate", "mutate", "select")]
    assert len({word["rng"].random() for word in words}) == 8
    assert [word["noise"].seed for word in words if "noise" in word] == [5, 5, 6, 6]


def test_parents_are_at_least_those_of_one_crossover(digits):
    assert [made(digits, GA(mates=mates)).select.keywords["fewest"] for mates in (4, 16)] == [10, 16]


def test_no_crossover_leaves_the_parents_apart(digits):
    toolbox = made(digits, GA(crossover="none", sigma=0.0, opposites=0.0, projected=False))
    founders = {member.flat.tobytes() for member in toolbox.population(n=6, start=0)}
    population, _ = evolve(toolbox.population(n=6, start=0), toolbox, 2)
    assert {member.flat.tobytes() for member in population} <= founders


def test_parents_are_a_share_or_a_number(digits):
    seen = {}

    class Parents(Callback):
        def on_generation(self, evolution):
            seen[len(evolution.population)] = max(evolution.parents, seen.get(len(evolution.population), 0))

    toolbox = made(digits, GA(parents=0.25))
    for members in (20, 80):
        evolve(toolbox.population(n=members), toolbox, 6, callbacks=[Parents()])
    assert 5 < seen.pop(20) <= 10  # a share is at least 10
    assert 15 <= seen[80] <= 20
    toolbox = made(digits, GA(parents=3))
    evolve(toolbox.population(n=20), toolbox, 6, callbacks=[Parents()])
    assert seen[20] == 3


@pytest.mark.parametrize("name", ["ga", "es", "article"])
def test_a_toolbox_is_the_one_of_the_experiment(digits, name, monkeypatch):
    monkeypatch.syspath_prepend(MNIST.parent)
    options = importlib.import_module("mnist_options")
    arguments = [f"--preset={name}", "--population=20", "--generations=3", "--model=mlp"]
    config = options.config_of(options.parse_arguments(arguments))
    own = make_toolbox("mlp", digits, ALGORITHMS[name](), seed=1, population=20, generations=3)
    toolboxes = own, toolbox_of(config, digits)
    results = [logged(*evolve(toolbox.population(n=20), toolbox, 3)) for toolbox in toolboxes]
    assert results[0] == results[1]
    assert own.algorithm == toolboxes[1].algorithm == ALGORITHMS[name]().resolved("mlp", 64)
    assert own.problem == toolboxes[1].problem


def test_what_was_measured_with_named_models_is_not_decided_for_others(digits):
    own = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)])
    x, y = digits.x_train / np.float32(255), digits.y_train
    toolboxes = {
        "by name": make_toolbox("mlp", digits, seed=1),
        "own": make_toolbox(own, digits, seed=1),
        "arrays": make_toolbox(own, (x, y), seed=1),
        "problem": make_toolbox(KerasProblem(own, x, y), seed=1),
        "bounded": make_toolbox("mlp", digits, seed=1, bounds=(-1, 1)),
        "one sample": make_toolbox("mlp", digits, seed=1, batch_size=1),
    }
    found = {}
    for name, toolbox in toolboxes.items():
        select, spread = toolbox.select.keywords, toolbox.individual.keywords.get("spread", 1.0)
        scoring = toolbox.problem.centred, toolbox.problem.stratified
        found[name] = (*scoring, select["parents"], select["opposites"], spread)
    plain = (False, False, 0.25, 0.0, 1.0)
    assert found.pop("by name") == (True, True, 0.5, 0.5, 0.5)
    assert found.pop("one sample") == (False, True, 0.5, 0.5, 0.5)
    assert found == {"own": plain, "arrays": plain, "problem": plain, "bounded": plain}


def test_opposites_are_parents_in_evolve_only(digits):
    """The members of ``eaMuPlusLambda`` need a fitness, which opposites do not have."""
    toolbox = made(digits)
    population = scored(toolbox, toolbox.population(n=12))
    best = sorted(population, key=lambda member: member.fitness.values)[:5]  # of 10 parents of 12, half
    assert {id(member) for member in toolbox.select(population, 12)} <= {id(member) for member in best}
    random.seed(1)
    toolbox = made(digits)
    plus = {"mu": 6, "lambda_": 8, "cxpb": 0.5, "mutpb": 0.5, "ngen": 3, "verbose": False}
    population, _ = algorithms.eaMuPlusLambda(toolbox.population(n=6), toolbox, **plus)
    assert all(member.fitness.valid for member in population)


def test_step_and_schedule_follow_from_the_run(digits):
    toolbox = made(digits, ES())
    assert toolbox.step == "usual"
    for members, generations in ((8, 3), (12, 6)):
        _, logbook = evolve(toolbox.population(n=members), toolbox, generations)
        assert toolbox.step == usual_step(members, generations, 2, projected=True)
        assert logbook[0]["sigma"] == 0.4
        assert logbook[-1]["sigma"] == pytest.approx(0.1)
    given = made(digits, ES(), generations=12)
    _, logbook = evolve(given.population(n=12), given, 6)
    assert given.step == usual_step(12, 12, 2, projected=True)
    assert logbook[-1]["sigma"] == pytest.approx(0.4 * 0.25**0.5)
    assert made(digits, ES(projected=False), population=8, generations=5).step == usual_step(8, 5, 2)


def test_the_seed_is_that_of_the_toolbox(digits):
    toolbox = made(digits)
    first = logged(*evolve(toolbox.population(n=6, start=0), toolbox, 2))
    assert first == logged(*evolve(toolbox.population(n=6, start=0), toolbox, 2, seed=5))
    with pytest.raises(ValueError, match="seed must be the toolbox's, 5, or left out, got 6"):
        evolve(toolbox.population(n=6), toolbox, 2, seed=6)
    bare = base.Toolbox()
    for name in ("mate", "mutate", "select", "evaluate"):
        setattr(bare, name, getattr(toolbox, name))
    with pytest.raises(ValueError, match="seed must be given"):
        evolve(toolbox.population(n=6), bare, 2)
    with pytest.raises(TypeError, match="seed"):
        make_toolbox("mlp", digits)


def test_a_population_of_the_given_size(digits):
    toolbox = made(digits, population=7)
    assert [len(toolbox.population()), len(toolbox.population(n=3)), len(toolbox.population(5))] == [7, 3, 5]
    with pytest.raises(ValueError, match="n must be given: make_toolbox got no population"):
        made(digits).population()


@pytest.mark.parametrize("algorithm", [GA(sigma=Annealed(0.5, 0.05)), ES()], ids=["ga", "es"])
def test_a_resumed_run_keeps_the_schedule_it_was_begun_with(digits, tmp_path, algorithm):
    def run(ngen, **more):
        toolbox = made(digits, algorithm, **more)
        return evolve(toolbox.population(n=8), toolbox, ngen, checkpoint=tmp_path / "kept" if not more else None)

    _, first = run(3)
    _, resumed = run(6)
    assert resumed[:4] == first
    assert resumed.select("sigma")[3:] == [first[-1]["sigma"]] * 4
    assert resumed == run(6, generations=3)[1]


def test_an_annealed_sigma_needs_a_length_in_deaps_loops(digits):
    toolbox = made(digits, GA(sigma=Annealed(0.5, 0.1)))
    with pytest.raises(ValueError, match=r"Annealed\(0.5, 0.1\) needs the number of generations outside evolve"):
        algorithms.eaSimple(toolbox.population(n=6), toolbox, 0.9, 0.9, 3, verbose=False)
    _, logbook = evolve(toolbox.population(n=6), toolbox, 3)  # the refused loop has not spoilt it
    assert logbook[-1]["sigma"] == pytest.approx(0.1)
    toolbox = made(digits, GA(sigma=Annealed(0.5, 0.05)), generations=3)
    algorithms.eaSimple(toolbox.population(n=6), toolbox, 0.9, 0.9, 3, verbose=False)
    assert toolbox.clock.sigma == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("algorithm", "sigma", "scales"),
    [
        (GA(), 0.128, fan_in_scales),
        (GA(projected=False), 0.1, fan_in_scales),
        (GA(scale=np.ones(4)), 0.128, fan_in_scales),
        (ES(), 0.4, widest_scales),
        (ES(projected=False), 0.5, fan_in_scales),
    ],
)
def test_founders_around_given_weights_are_at_the_first_sigma(digits, algorithm, sigma, scales):
    weights = [np.zeros(shape) for shape in made(digits).layout.shapes]
    toolbox = made(digits, algorithm, init=weights)
    second = toolbox.population(n=2)[1]
    wanted = sigma * np.array(scales(toolbox.layout))
    assert [second[place].std() for place in (0, 2)] == pytest.approx(wanted[[0, 2]], rel=0.1)
    assert toolbox.algorithm.init == "scaled"
    assert getattr(toolbox.algorithm, "spread", 1.0) == 1.0


def test_init_by_name_takes_the_place_of_the_algorithms(digits):
    assert made(digits, GA(), init="normal").algorithm.init == "normal"
    assert made(digits, ALGORITHMS["article"](), init="scaled").individual.func.__name__ == "initScaled"


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"seed": -1}, ValueError, "seed"),
        ({"algorithm": GA}, TypeError, r"algorithm must be GA\(...\), ES\(...\) or Article\(...\), got <class"),
        ({"init": "zeros"}, ValueError, "init must be 'scaled' or 'normal', or a file that ends in .npz, .keras or"),
        ({"batch_size": 321}, ValueError, "batch_size must be at most the 320 training samples"),
        ({"validation_size": 2.5}, ValueError, "validation_size"),
        ({"threads": True}, ValueError, "threads"),
        ({"population": 0}, ValueError, "population must be an integer of at least 1"),
        ({"generations": -1}, ValueError, "generations must be an integer of at least 0"),
        ({"precision": "half"}, ValueError, "precision must be 'float32' or 'bfloat16', got 'half'"),
        ({"device": "tpu"}, ValueError, "device must be 'cpu' or 'gpu', got 'tpu'"),
        ({"data": 5}, TypeError, "data must be"),
        ({"data": ES()}, TypeError, "data comes before algorithm"),
        ({"model": "LeNet-5"}, ValueError, r"lenet5, mlp, got 'LeNet-5': did you mean \"lenet5\"\?"),
        ({"bounds": (1, 1)}, ValueError, r"bounds must be two finite numbers, the lower one first, got \(1, 1\)"),
        ({"algorithm": GA(spread=0.5), "init": "some.npz"}, ValueError, "spread is for founders that are drawn"),
        (
            {"data": (1, 2, 3, 4), "model": keras.Sequential()},
            ValueError,
            r"data must be \(x, y\) or \(x, y, sample_weight\)",
        ),
        ({"data": "mnist6k"}, ValueError, r"data set 'mnist6k', known are auto, .*: did you mean \"mnist5k\"\?"),
        ({"data": None}, TypeError, "data must be a name, a path, a Dataset"),
        ({"container": WeightList}, TypeError, "container must make a WeightList with a fitness"),
        ({"data": Dataset(*[np.zeros((70, 3)), np.arange(70) % 5] * 3)}, ValueError, "takes samples of shape"),
        (
            {"data": Dataset(*[np.zeros((70, 784)), np.arange(70)] * 3)},
            ValueError,
            "has outputs for 10 classes, the data have 70",
        ),
    ],
)
def test_bad_arguments_are_named(digits, keywords, error, message):
    arguments = {"model": "mlp", "data": digits, "seed": 1} | keywords
    with pytest.raises(error, match=message):
        make_toolbox(arguments.pop("model"), arguments.pop("data"), **arguments)


def test_a_fitness_that_is_maximised_is_warned_of(digits):
    with pytest.warns(UserWarning, match="container has a fitness that is maximised, but evaluate returns the cross"):
        make_toolbox("mlp", digits, **two_objectives((1.0,)))
