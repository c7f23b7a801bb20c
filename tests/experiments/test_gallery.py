"""The gallery of experiments: each in a small setting, with its map and its picture, in this process."""

import copy
import importlib.util
import random
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, well
from deap import tools
from deap.benchmarks.tools import hypervolume
from PIL import Image
from strangers import only_line

from deap_nn import Individual


@pytest.fixture(scope="module")
def scripts():
    """Import each experiment once."""
    loaded = {}

    def load(name):
        if name not in loaded:
            spec = importlib.util.spec_from_file_location(f"gallery_{name}", ROOT / "experiments" / f"{name}.py")
            loaded[name] = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded[name])
        return loaded[name]

    yield load
    for module in loaded.values():
        del sys.modules[module.__name__]


@pytest.fixture
def shown(scripts, monkeypatch, capsys, tmp_path, noted_map):
    """Run an experiment's main function with a map; what it prints and its picture come back."""

    def call(name, *arguments):
        picture = tmp_path / f"{name}.png"
        given = [*map(str, arguments), "--map", "serial", "--output", str(picture)]
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *given])
        script = scripts(name)
        if hasattr(script, "toolbox"):  # what is registered in it stays
            monkeypatch.setattr(script, "toolbox", copy.copy(script.toolbox))
        assert script.main() == 0
        assert {(asked, size > 0) for asked, _, size in noted_map} == {("serial", True)}
        with Image.open(picture) as image:
            assert image.format == "PNG"
            assert len(np.unique(np.asarray(image.convert("L")))) > 20  # something is drawn
        return capsys.readouterr().out

    return call


def test_deaps_loops_are_drawn(shown):
    assert shown("deap_loops", 1, "--population", 10).count("\n") == 3


def test_islands_learn_and_are_drawn(shown):
    printed = shown("islands", "--generations", 12, "--population", 12, "--islands", 3, "--every", 5)
    errors = [float(line.split()[-1]) for line in printed.splitlines()[:3]]
    assert max(errors) < 0.9  # the first are about 1
    assert re.search(r"the best network classifies \d+\.\d% of the points correctly\n", printed)


def test_islands_give_the_same_under_scoop(run, here):
    options = [ROOT / "experiments" / "islands.py", "--generations", 4, "--population", 6, "--every", 2]
    serial = well(here(*options))
    assert run("-m", "scoop", "-n", 2, *options).stdout == serial.stdout


def test_cartpole_says_what_is_missing(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    line = "cartpole.py: error: gymnasium is not installed: pip install -c constraints.txt -e '.[gymnasium]'"
    assert only_line(here(ROOT / "experiments" / "cartpole.py")) == line


def test_migration_sends_the_best_of_an_island_to_the_next(scripts):
    islands = scripts("islands")
    random.seed(1)
    toolbox = islands.make_toolbox(1)
    first = [toolbox.population(n=8, start=start) for start in (0, 8)]
    apart = [[copy.deepcopy(member) for member in island] for island in first]
    found = islands.evolve_islands(first, islands.make_toolbox(1), 2, 1)
    assert found.shape == (3, 2)
    assert any(one is other for one in first[0] for other in first[1])
    islands.evolve_islands(apart, islands.make_toolbox(1), 2, 0)
    assert not any(one is other for one in apart[0] for other in apart[1])


def test_the_front_of_error_against_size_is_true(scripts, shown):
    nsga2 = scripts("nsga2")
    printed = shown("nsga2", "--training", 3, "--population", 8, "--generations", 2)
    assert re.match(r"trained: error 0\.\d+ with 970 weights\nfront: error 0\.\d+ with \d+ weights, 0\.\d+ on", printed)
    random.seed(1)
    toolbox = nsga2.make_pruning_toolbox(nsga2.train(1))
    first, last = nsga2.fronts(toolbox, 8, 4)
    for individual in (last[0], last[-1]):
        error, size = individual.fitness.values
        model = nsga2.problem.to_model(nsga2.pruned(individual))
        assert sum(np.count_nonzero(matrix) for matrix in model.get_weights()) == size < 970
        predicted = model.predict(nsga2.x[:2450], verbose=0).argmax(axis=1)
        assert error == pytest.approx(np.mean(predicted != nsga2.y[:2450]), abs=1e-6)
    assert hypervolume(last, [1.0, 970.0]) > hypervolume(first, [1.0, 970.0])


def test_a_population_that_nsga2_cannot_pair_is_refused(scripts, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["nsga2.py", "--population", "10"])
    with pytest.raises(ValueError, match="argument --population: must be a multiple of 4, got 10"):
        scripts("nsga2").main()


def test_a_history_of_numbers_has_the_tree_of_deaps_and_no_weights(scripts):
    clock = SimpleNamespace(generation=0)
    history = scripts("genealogy").HistoryOfNumbers(clock)

    def recorded(history):
        clock.generation = 0
        founders = [Individual([np.zeros(1)]) for _ in range(4)]
        history.update(founders)
        clock.generation = 1
        children = history.decorator(lambda *pair: pair)(*copy.deepcopy(founders[:2]))
        history.decorator(lambda child: (child,))(children[0])
        return history.genealogy_tree, [history.getGenealogy(member) for member in (*founders, *children)]

    assert recorded(history) == recorded(tools.History())
    assert not any(isinstance(one, Individual) for one in history.genealogy_history.values())
    assert history.lived() == [1, 2, 3, 4, 6, 7]  # 5 was the child before it was mutated
    assert history.family(7) == {7: [1, 2], 1: [], 2: []}


def test_the_family_of_the_best_is_drawn(shown):
    printed = shown("genealogy", "--generations", 4, "--population", 8)
    ancestors, others = map(int, re.search(r"(\d+) of (\d+) others are its ancestors", printed).groups())
    assert 3 <= ancestors < others
    assert re.search(r"[1-8] of 8 founders have a part in it\n", printed)


def test_chapters_are_printed_and_drawn(scripts, shown):
    printed = shown("multi_statistics", "--generations", 2, "--population", 8).splitlines()
    assert re.split(r"\s+", printed[0].strip()) == ["fitness", "size"]
    rows = [line.split() for line in printed if re.match(r"\d", line)]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    for row in rows:
        low, middle, high = map(float, row[2:5])
        assert 0 < low < middle < high
        small, usual, large = map(float, row[5:8])
        assert 0 < small < usual < large


def test_a_network_without_a_gradient_learns(scripts, shown):
    printed = shown("binary_weights", "--generations", 20, "--population", 40)
    first, last = map(float, re.match(r"test error (\S+) at first, (\S+) after 20", printed).groups())
    assert first > 0.8
    assert last < first - 0.1
    module = scripts("binary_weights")
    genomes = np.random.default_rng(1).standard_normal((2, module.LAYOUT.size), np.float32)
    hidden, threshold, output = module.binary(genomes)
    assert {*np.unique(hidden), *np.unique(output)} == {-1.0, 1.0}
    assert np.array_equal(threshold, np.round(threshold))
    inputs, labels = (part[:50] for part in module.TEST)  # one after the other they are the same networks
    for row in range(2):
        on = (inputs @ hidden[row] > threshold[row]).astype(np.float32)
        votes = on @ output[row]
        share = [(v[label] == v.max()) / np.sum(v == v.max()) for v, label in zip(votes, labels, strict=True)]
        assert module.error_rates(genomes, inputs, labels)[row] == pytest.approx(1 - np.mean(share))


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("picture.jpg", "must be a file that ends in .png"),
        ("none/picture.png", "must be in a folder that can be"),
        (f"{sys.executable}/picture.png", "must be in a folder that can be"),
    ],
)
def test_a_picture_that_cannot_be_written_is_refused_at_once(scripts, monkeypatch, tmp_path, output, reason):
    monkeypatch.setattr(sys, "argv", ["islands.py", "--output", str(tmp_path / output)])
    with pytest.raises(ValueError, match=f"argument --output: {re.escape(reason)}"):
        scripts("islands").main()


def test_cma_is_compared_with_the_presets(scripts, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cma_es.py", "--generations", "2", "--population", "6", "--seeds", "1"])
    assert scripts("cma_es").main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["CMA-ES", "ga", "es"]
    assert all(
        re.search(r"error 0\.\d{3} of the best, 0\.\d{3} of the mean of the better half$", line) for line in lines
    )
