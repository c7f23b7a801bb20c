"""Runs are read back from their folders, alone or several in a frame, and show themselves."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from own_callbacks import chapters
from wirings import members, plain_toolbox, wired

from deap_nn import Population, evolve, read_run, read_runs, to_dataframe
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.core.logbooks import read_csv, rows_of
from deap_nn.genome.vectors import Layout


def made_run(folder, seed=1, *, ngen=3, **settings):
    """A finished run without TensorFlow."""
    layout = Layout.of(members()[0])
    with RunDirectory(folder) as directory:
        directory.trace_weights(layout, 1)
        directory.write_config({"seed": seed, **settings})
        population, logbook = evolve(
            members(), plain_toolbox(), ngen, seed=seed, stats=chapters(), callbacks=[directory]
        )
        best = min(population, key=lambda individual: individual.fitness.values)
        directory.write_weights(dict(zip(layout.names, best, strict=True)))
        directory.close("finished", test_error=0.25)
    return best, logbook


def test_what_a_script_wrote_itself_stays(tmp_path):
    made_run(tmp_path / "own", population=99)
    assert read_run(tmp_path / "own").config["population"] == 99

    def fail():
        with RunDirectory(tmp_path / "failed") as directory:
            evolve(members(), plain_toolbox(), 1, seed=1, callbacks=[directory])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert read_run(tmp_path / "failed").state == "failed"
    assert (tmp_path / "failed" / "best.npz").exists()
    assert "traceback" in read_run(tmp_path / "failed").status
    assert "traceback" not in read_runs(tmp_path / "failed").results()


def test_a_run_is_read_back(tmp_path):
    best, logbook = made_run(tmp_path / "run", seed=4, population=10)
    run = read_run(str(tmp_path / "run"))
    assert (run.name, run.state) == ("run", "finished")
    assert run.config["population"] == 10
    assert run.status["test_error"] == 0.25
    assert rows_of(run.logbook) == rows_of(logbook)
    assert run.logbook.header == logbook.header
    assert run.logbook.chapters["fitness"].select("largest") == logbook.chapters["fitness"].select("largest")
    assert run.timing["gen"] == [0, 1, 2, 3]
    assert run.readouts == {}
    assert run.trace.weights.shape == (4, 9)
    assert run.trace.matrices == ["matrix_0"] * 9
    assert np.array_equal(run.weights["matrix_0"], best[0])
    frame = run.to_dataframe()
    pd.testing.assert_frame_equal(frame[list(to_dataframe(logbook))], to_dataframe(logbook))
    assert frame["seconds"].tolist() == run.timing["seconds"]


def test_what_the_experiment_writes_is_read_back(finished_run):
    run = read_run(finished_run)
    assert run.config["seed"] == 3
    assert {name: run.logbook.select(name) for name in ("gen", "val_error")} == {
        name: values for name, values in read_csv(finished_run / "logbook.csv").items() if name in ("gen", "val_error")
    }
    frame = run.to_dataframe()
    assert len(frame) == 9
    assert frame["best member"].notna().tolist() == [gen in run.readouts["gen"] for gen in frame["gen"]]
    with np.load(finished_run / "best.npz") as best:
        assert set(run.weights) == set(best.files)
    assert run.trace.weights.shape == (9, 100)


def test_a_run_in_progress_is_read_as_far_as_it_is(tmp_path):
    made_run(tmp_path / "run")
    for name in ("trace.npz", "best.npz", "timing.csv", "logbook.json"):
        (tmp_path / "run" / name).unlink()
    status = tmp_path / "run" / "status.json"
    status.write_text(json.dumps({"state": "running"}))
    path = tmp_path / "run" / "logbook.csv"
    path.write_text(path.read_text()[:-20])
    run = read_run(tmp_path / "run")
    assert run.state == "running"
    assert run.to_dataframe()["gen"].tolist() == [0, 1, 2]
    assert (run.trace, run.weights, run.timing) == (None, {}, {})
    path.unlink()
    assert len(run.logbook) == 3  # it is kept
    assert len(read_run(tmp_path / "run").logbook) == 0
    assert read_run(tmp_path / "run").to_dataframe().empty
    status.unlink()
    assert read_run(tmp_path / "run").state == "unknown"


@pytest.mark.parametrize("read", [read_run, read_runs])
def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path, read):
    with pytest.raises(ValueError, match=r"missing: is not a folder$"):
        read(tmp_path / "missing")
    (tmp_path / "empty" / "part").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"empty: is not the folder of a run[^\n]*$"):
        read(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("config.json", "[1]", "is not an object"),
        ("logbook.csv", "gen,min\n0,many\n", "line 2: min is not a number: 'many'"),
        ("timing.csv", "", "has no header line"),
        ("best.npz", "no archive", "cannot be read"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, name, text, reason):
    made_run(tmp_path / "run", ngen=0)
    (tmp_path / "run" / name).write_text(text)
    run, attribute = read_run(tmp_path / "run"), name.partition(".")[0].replace("best", "weights")
    with pytest.raises(ValueError, match=rf"^[^\n]*{name}: cannot be read \([^\n]*\)$") as raised:
        getattr(run, attribute)
    assert reason in str(raised.value)


def test_several_runs_are_one_frame_with_what_they_differ_in(tmp_path):
    for seed in (1, 2):
        follow = {"noise_sha256": str(seed), "schedule": "linear", "adaptation": f"Annealed({seed})"}
        made_run(
            tmp_path / "study" / f"wide-{seed}",
            seed,
            **follow,
            sigma=0.1,
            width=64,
            data={"name": "made", "train": seed},
        )
        made_run(
            tmp_path / "study" / f"slim-{seed}", seed, **follow, sigma=0.2, width=64, mates=3, data={"name": "made"}
        )
    (tmp_path / "study" / "results.csv").touch()
    (tmp_path / "study" / "keras").mkdir()
    runs = read_runs(tmp_path / "study")
    assert [run.name for run in runs] == ["slim-1", "slim-2", "wide-1", "wide-2"]
    frame = runs.to_dataframe()
    assert list(frame)[:6] == ["run", "seed", "config.sigma", "mates", "data.train", "gen"]
    assert len(frame) == 16
    assert frame.index.tolist() == list(range(16))
    assert frame.groupby("run")["config.sigma"].first().to_dict() == {
        "slim-1": 0.2,
        "slim-2": 0.2,
        "wide-1": 0.1,
        "wide-2": 0.1,
    }
    assert frame.loc[frame["run"] == "wide-2", "seed"].tolist() == [2] * 4
    wide = read_run(tmp_path / "study" / "wide-2").to_dataframe()
    assert frame.loc[frame["run"] == "wide-2", "min"].tolist() == wide["min"].tolist()
    results = runs.results()
    assert results[["run", "state", "test_error"]].values.tolist()[0] == ["slim-1", "finished", 0.25]
    assert len(results) == 4


def test_runs_may_be_named_one_by_one_and_have_the_same_name(tmp_path):
    for folder in ("a", "b"):
        made_run(tmp_path / folder / "run", ngen=0)
    runs = read_runs([tmp_path / "a", tmp_path / "b" / "run"])
    assert runs.to_dataframe()["run"].tolist() == [str(tmp_path / "a" / "run"), str(tmp_path / "b" / "run")]
    shutil.rmtree(tmp_path / "a")
    with RunDirectory(tmp_path / "begun") as directory:
        directory.close("interrupted")
    assert read_runs([tmp_path / "begun"]).to_dataframe().columns.tolist() == ["run", "seed"]
    assert read_runs(tmp_path / "begun").results()["state"].tolist() == ["interrupted"]


def test_a_population_and_a_run_show_themselves(tmp_path, toolbox, finished_run):
    population = toolbox.population(n=12)
    evolve(population, toolbox, 1, seed=1)
    html = population._repr_html_()
    assert "12 members, 12 scored" in html
    assert html.count("<tr>") == 11
    best = min(range(12), key=lambda place: population[place].fitness.values)
    assert f'<th scope="row">1</th><td>{best}</td>' in html
    made_run(tmp_path / "<script>", ngen=0)
    for html in (read_run(tmp_path / "<script>")._repr_html_(), read_runs(tmp_path)._repr_html_()):
        assert "&lt;script&gt;" in html
        assert "<script>" not in html
        assert "finished" in html
        assert "<img" not in html
    html = read_run(finished_run)._repr_html_()
    assert 'alt="fitness by generation"' in html
    assert len(html) < 200_000


def test_members_of_a_hand_wired_toolbox_are_a_population_too():
    made = wired().population(n=3)
    assert isinstance(made, Population)
    assert "3 members, 0 scored" in made._repr_html_()


def test_a_folder_that_is_not_there_cannot_be_gone_on_with(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such folder to resume: '.*none'$"):
        RunDirectory(tmp_path / "none", again=True)
    assert not (tmp_path / "none").exists()
