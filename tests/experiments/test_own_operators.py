"""The operators of one's own in ``experiments/own_operators.py``, and the methods of the baselines that have them."""

import json
import sys

import numpy as np
from conftest import ROOT

from deap_nn import Individual
from deap_nn.core.logbooks import read_csv

sys.path.append(str(ROOT / "experiments"))
import own_operators as own

SCRIPT = ROOT / "experiments" / "baselines.py"


def test_each_block_of_a_child_is_that_of_one_parent_and_no_value_is_lost():
    shapes = (5, 8), (3,), (70,)
    parents = [Individual([np.full(shape, float(k), np.float32) for shape in shapes]) for k in range(4)]
    children = own.cxBlocks(*parents, size=16, rng=np.random.default_rng(1))
    assert all(child is parent for child, parent in zip(children, parents, strict=True))
    assert np.sort([child.flat for child in children], axis=0).T.tolist() == [[0, 1, 2, 3]] * 113
    blocks = [
        (start, min(start + 16, stop))
        for first, stop in ((0, 40), (40, 43), (43, 113))
        for start in range(first, stop, 16)
    ]
    for child in children:
        found = [set(child.flat[start:stop].tolist()) for start, stop in blocks]
        assert all(len(values) == 1 for values in found)
        assert len(set.union(*found)) > 1


def test_the_baselines_run_ga_with_it(here, tmp_path, digits_file):
    given = "--model", "mlp", "--generations", 3, "--population", 12, "--centred", "yes", "--seed", 3, "--no-progress"
    answers = [
        here(
            SCRIPT, "--method", "blocks", "--mates", 3, "--block", 100, *given, "--data", digits_file, "--output", name
        )
        for name in ("run", "again")
    ]
    assert [answer.returncode for answer in answers] == [0, 0], answers[0].stderr
    runs = [read_csv(tmp_path / name / "logbook.csv") for name in ("run", "again")]
    assert runs[0] == runs[1]
    assert runs[0]["nevals"] == [12] * 4
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["mates"], config["block"], config["rate"]) == (3, 100, None)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "finished"
    assert 0 <= status["test_error"] <= 1
    ga = here(ROOT / "experiments" / "mnist.py", *given, "--stratified", "no", "--data", digits_file, "--output", "ga")
    assert ga.returncode == 0, ga.stderr
    of_ga = read_csv(tmp_path / "ga" / "logbook.csv")
    assert of_ga["min"][0] == runs[0]["min"][0]  # the founders
    assert of_ga["min"][1:] != runs[0]["min"][1:]
