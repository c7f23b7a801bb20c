"""The operators of one's own in ``experiments/own_operators.py``, and the methods of the baselines that have them."""

import json
import sys

import numpy as np
import pytest
from conftest import ROOT

from deap_nn import GA, Individual, evolve, make_toolbox
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


@pytest.mark.parametrize("count", [2, 5, 200])
def test_the_weights_of_ranks_fall_and_have_no_sum(count):
    weights = own.rank_weights(count)
    assert weights.sum() == pytest.approx(0)
    assert weights[weights > 0].sum() == pytest.approx(1)
    assert (np.diff(weights) <= 0).all()
    assert weights[0] > 0


@pytest.mark.parametrize("scale", ["fan_in", None])
def test_noise_grows_where_the_fitter_had_more_of_it(scale):
    toolbox = make_toolbox("mlp", "mnist5k", GA(scale=scale), seed=1)
    learning = own.with_learnt_noise(toolbox, 1.0)
    rng, members = np.random.default_rng(2), []
    for member in toolbox.population(n=200):
        before = member.flat.copy()
        (made,) = learning(member, sigma=0.1, rng=rng)
        assert made is member
        noise = toolbox.layout.views(made.flat - before)
        for matrix, step, scale in zip(noise, made.steps, learning._scale, strict=True):
            if matrix.size > 600:
                assert matrix.std() == pytest.approx(0.1 * scale * np.exp(own.SPREAD * step), rel=0.15)
        made.fitness.values = (1.0 - made.steps[2],)  # lower is fitter
        members.append(made)
    learning.learn(members)
    assert int(np.argmax(learning.log)) == 2
    assert learning.log[2] > 0.3
    assert learning.log.sum() == pytest.approx(0)


def test_sigma_still_follows_the_fitness_while_the_factors_are_learnt(digits):
    toolbox = make_toolbox("mlp", digits, seed=1)
    learning = own.with_learnt_noise(toolbox, 1.0)
    _, logbook = evolve(toolbox.population(n=20), toolbox, 6, breeding="plain", callbacks=[learning])
    sigmas = logbook.select("sigma")
    assert sigmas[-1] < sigmas[0] == 0.128
    assert np.abs(learning.log).min() > 0


@pytest.mark.parametrize("given", [{}, {"breeding": "plain", "mutpb": 0.5}], ids=["recipes", "some not mutated"])
def test_it_says_what_it_needs_to_learn(digits, given):
    toolbox = make_toolbox("mlp", digits, seed=1)
    learning = own.with_learnt_noise(toolbox, 1.0)
    with pytest.raises(Exception, match="learnt noise needs breeding='plain', and mutpb=1"):
        evolve(toolbox.population(n=20), toolbox, 2, callbacks=[learning], **given)


METHODS = {"blocks": ["--mates", 3, "--block", 100], "learnt-noise": ["--rate", 0.5]}


@pytest.mark.parametrize("method", METHODS)
def test_the_baselines_run_ga_with_such_an_operator(here, tmp_path, digits_file, method):
    given = "--model", "mlp", "--generations", 3, "--population", 12, "--centred", "yes", "--seed", 3, "--no-progress"
    answers = [
        here(SCRIPT, "--method", method, *METHODS[method], *given, "--data", digits_file, "--output", name)
        for name in ("run", "again")
    ]
    assert [answer.returncode for answer in answers] == [0, 0], answers[0].stderr
    runs = [read_csv(tmp_path / name / "logbook.csv") for name in ("run", "again")]
    assert runs[0] == runs[1]
    assert runs[0]["nevals"] == [12] * 4
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["mates"], config["block"], config["rate"]) == (
        (3, 100, None) if method == "blocks" else (None, None, 0.5)
    )
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "finished"
    assert 0 <= status["test_error"] <= 1
    ga = here(ROOT / "experiments" / "mnist.py", *given, "--stratified", "no", "--data", digits_file, "--output", "ga")
    assert ga.returncode == 0, ga.stderr
    of_ga = read_csv(tmp_path / "ga" / "logbook.csv")
    assert of_ga["min"][0] == runs[0]["min"][0]  # the founders
    assert of_ga["min"][1:] != runs[0]["min"][1:]
