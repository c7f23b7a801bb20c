"""With a setting changed that decides a number no run goes on, and none is replayed; the others may change."""

import dataclasses
import json
import shutil

import pytest
from conftest import MNIST, run_here
from deap import tools
from small_toolbox import small

from deap_nn import GA, Annealed, RunDirectory, evolve, replay
from deap_nn.data.loading import split_validation
from deap_nn.runs.checkpoint import CheckpointError, read_generations
from deap_nn.runs.files import read_arrays


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def change(folder, **settings):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))


CHANGED = [
    ({"batch_size": 32}, "batch_size was 64 when the run began, and is 32"),
    ({"sigma": 0.2}, "mutate.sigma was"),
    ({"schedule": "constant"}, "mutate.sigma was"),
    ({"fitness": "error"}, "fitness was 'cross_entropy' when the run began, and is 'error'"),
    ({"scale": "widest"}, "mutate.scale was"),
    ({"crossover": "biased", "mates": 2}, "mate was 'cxScanning' when the run began, and is 'cxBiased'"),
    ({"parents": 11}, "select.parents was 0.5 when the run began, and is 11"),
    ({"population": 22}, "population was 20 when the run began, and is 22"),
]


@pytest.mark.parametrize(("settings", "named"), CHANGED, ids=lambda v: ",".join(v) if isinstance(v, dict) else None)
def test_a_changed_setting_ends_resume_and_replay_in_one_line(folder, digits_file, settings, named):
    change(folder, **settings)
    before = contents(folder)
    resumed = run_here(
        MNIST, "--resume", folder, "--generations", 9, "--no-progress", "--data", digits_file, cwd=folder.parent
    )
    out = folder.parent / "out.npz"
    replayed = run_here(
        replay.__file__, folder, "--generation", 2, "--output", out, "--data", digits_file, cwd=folder.parent
    )
    for answer in (resumed, replayed):
        assert answer.returncode == 2, answer.stderr
        (line,) = answer.stderr.splitlines()
        assert named in line
    assert contents(folder) == before
    assert not out.exists()


def test_a_replay_that_differs_from_the_log_ends_with_status_1(folder, digits_file, monkeypatch, capsys):
    records = read_generations(folder / "checkpoint")
    records[2] = dataclasses.replace(records[2], wvalues=records[2].wvalues - 0.5)
    monkeypatch.setattr(replay, "read_generations", lambda path: records)
    options = ["--generation", "2", "--output", str(folder / "out.npz"), "--data", str(digits_file)]
    monkeypatch.setattr("sys.argv", ["replay.py", str(folder), *options])
    assert replay.main() == 1
    assert ", which differs from the logged " in capsys.readouterr().out
    assert read_arrays(folder / "out.npz").keys() == read_arrays(folder / "best.npz").keys()


def test_what_does_not_decide_a_number_may_change(folder, digits_file):
    whole = shutil.copytree(folder, folder.parent / "whole")
    changed = {"workers": 9, "target": 1e-9, "patience": 90, "max_seconds": 1e6, "output": "elsewhere"}
    change(folder, **changed, data={**json.loads((folder / "config.json").read_text())["data"], "path": "elsewhere"})
    for place in (folder, whole):
        options = ["--generations", 9, "--no-progress", "--data", digits_file]
        answer = run_here(MNIST, "--resume", place, *options, cwd=folder.parent)
        assert answer.returncode == 0, answer.stderr
    for name in ("logbook.csv", "readouts.csv", "best.npz"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def penalised(evaluate, individual):
    return (evaluate(individual)[0] + 1.0,)


def test_the_number_of_generations_is_no_setting(digits, tmp_path):
    toolbox = small(digits, algorithm=GA(sigma=Annealed(0.1, 0.01)))
    evolve(toolbox.population(n=8), toolbox, 2, checkpoint=tmp_path)
    again = small(digits, algorithm=GA(sigma=Annealed(0.1, 0.01)))
    _, logbook = evolve(again.population(n=8), again, 4, checkpoint=tmp_path)
    assert logbook.select("gen") == [0, 1, 2, 3, 4]


def test_a_script_is_held_to_its_settings_too(digits, tmp_path):
    toolbox = small(digits)
    evolve(toolbox.population(n=8), toolbox, 1, checkpoint=tmp_path)
    other = small(digits)
    other.register("select", tools.selTournament, tournsize=3)
    with pytest.raises(CheckpointError, match="select was 'selRankBoosted' when the run began, and is 'selTournament'"):
        evolve(other.population(n=8), other, 2, checkpoint=tmp_path)
    wrapped = small(digits)
    wrapped.register("evaluate", penalised, wrapped.evaluate)
    with pytest.raises(CheckpointError, match="evaluate was None when the run began, and is 'penalised'"):
        evolve(wrapped.population(n=8), wrapped, 2, checkpoint=tmp_path)


def test_other_data_are_a_difference_unless_forced(digits, tmp_path):
    from conftest import made_digits

    toolbox = small(digits)
    evolve(toolbox.population(n=8), toolbox, 1, checkpoint=tmp_path)
    others = split_validation(made_digits(seed=5), name="others")
    other = small(others)
    with pytest.raises(CheckpointError, match="data was"):
        evolve(other.population(n=8), other, 2, checkpoint=tmp_path)
    evolve(other.population(n=8), other, 2, checkpoint=tmp_path, force=True)


def test_a_refused_run_leaves_its_folder_as_it_was(digits, tmp_path):
    toolbox = small(digits)
    with RunDirectory(tmp_path / "run") as directory:
        kept = tmp_path / "run" / "checkpoint"
        evolve(toolbox.population(n=8), toolbox, 1, checkpoint=kept, callbacks=[directory])
    before = contents(tmp_path / "run")
    other = small(digits, algorithm=GA(boost=5.0))
    with pytest.raises(CheckpointError), RunDirectory(tmp_path / "run", again=True) as directory:
        evolve(other.population(n=8), other, 2, checkpoint=kept, callbacks=[directory])
    assert contents(tmp_path / "run") == before
