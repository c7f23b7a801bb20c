"""What the README says is run as it stands there."""

import importlib
import json
import re

import pytest
from conftest import ROOT
from genomes import OPERATORS

README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


def test_it_is_short():
    assert len(README.encode()) <= 10_240
    assert len(BLOCKS) == 3


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)
    assert len(links) > 20
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


def block_with(words):
    (block,) = (block for block in BLOCKS if words in block)
    return block


def test_the_code_runs(warm, tmp_path):
    """Of the block without a test of its own below."""
    (block,) = set(BLOCKS) - {block_with("evolve_model("), block_with("current_map")}
    (tmp_path / "script.py").write_text(block)
    answer = warm("script.py", warnings=["UserWarning"])
    assert answer.returncode == 0, answer.stderr


def test_the_deap_script_is_shared_by_both_workers_under_scoop(run, warm, tmp_path):
    block = block_with("current_map")
    head = "def evaluate(w):\n"
    assert head in block
    noting = f"{head}    open(f'scored-{{os.getpid()}}', 'a').close()\n"
    (tmp_path / "script.py").write_text("import os\n" + block.replace(head, noting))
    answer = run("-m", "scoop", "-n", 2, "script.py")
    shared = (tmp_path / "logbook.csv").read_text()
    assert len(shared.splitlines()) == 52, answer.stderr
    assert len(list(tmp_path.glob("scored-*"))) == 2
    serial = warm("script.py", warnings=["UserWarning"])
    assert serial.returncode == 0, serial.stderr
    assert (tmp_path / "logbook.csv").read_text() == shared


def test_the_keras_example_is_that_of_the_script_beside_its_figures(here, tmp_path):
    """With fewer generations and epochs than the figures are of."""
    block = block_with("evolve_model(")
    assert "generations=200," in block
    (tmp_path / "script.py").write_text(block.replace("generations=200,", "generations=10,"))
    example = here("script.py")
    assert (example.returncode, example.stderr) == (0, "")
    accuracy = float(re.search(r"accuracy: ([\d.e-]+)", example.stdout).group(1))
    (command,) = re.findall(r"`python (experiments/keras_model\.py)`", README)
    answer = here(ROOT / command, "--seeds", 1, "--generations", 10, "--epochs", 10)
    assert (answer.returncode, answer.stderr) == (0, "")
    found = re.fullmatch(r"seed 1: accuracy on validation samples: ga (0\.\d{3}), Adam (0\.\d{3})\n", answer.stdout)
    by_ga, by_adam = map(float, found.groups())
    assert by_ga == pytest.approx(accuracy, abs=1e-3)
    assert 0.4 < by_adam < 1


def test_every_operator_is_in_the_table():
    page = (DOCS / "operators.md").read_text()
    for operator in OPERATORS:
        assert re.search(rf"\| `{operator.name}` \| \S.* \| \S.* \|", page)


@pytest.mark.long
def test_deaps_loops_give_the_same_under_scoop(run, warm):
    script = ROOT / "experiments" / "deap_loops.py"
    serial = warm(script, 2)
    assert serial.returncode == 0, serial.stderr
    assert serial.stdout.count("\n") == 3
    assert run("-m", "scoop", "-n", 2, script, 2).stdout == serial.stdout


def test_every_experiment_says_what_it_does():
    for script in (ROOT / "experiments").glob("*.py"):
        assert script.name in (DOCS / "gallery.md").read_text() or "__main__" not in script.read_text()


def test_the_table_of_what_was_measured_is_that_of_the_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    table = importlib.import_module("table")
    results = json.loads(table.RESULTS.read_text())
    page = (DOCS / "speed.md").read_text()
    assert table.BEGIN + table.table(results) + table.END in page
    rows = re.findall(r"^\| .*: its time over ours \|.*$", README, re.M)
    assert len(rows) == 4
    assert all(f"{row}\n" in page for row in rows)
    assert results["machine"]["versions"].keys() >= {"tensorflow", "numpy", "scoop"}
    # A ratio is that of two figures of the same repeat.
    assert table.over([2.0, 30.0, 4.0], [1.0, 10.0, 1.0]) == "3 (2 to 4)"
    assert table.figure([1.0, 1234.5, 0.5]) == "1 (0.5 to 1,234)"


def test_constraints_are_names_and_versions():
    for path in (ROOT / "constraints.txt", *(ROOT / "benchmarks" / "peers").glob("*.txt")):
        for line in path.read_text().splitlines():
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)


def test_examples_of_docstrings_are_tests(pytestconfig):
    """They are run with all others; here only that they are there for each public function."""
    assert pytestconfig.option.doctestmodules
    assert "deap_nn" in pytestconfig.getini("testpaths")
