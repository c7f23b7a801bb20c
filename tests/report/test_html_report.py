"""A run as one page: the data are right, nothing gets out of its place, and what is missing is left out."""

import base64
import json
import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from report_pages import CONFIG, HOSTILE, Page, bare
from wirings import members, plain_toolbox

from deap_nn import Callback, evolve
from deap_nn.callbacks.predictions import write_curve
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.core.errors import InputError
from deap_nn.core.logbooks import read_csv
from deap_nn.process.cli import run_command
from deap_nn.report import __main__
from deap_nn.report.html import MOST_POINTS, describe_run, make_page, sought_by, write_comparison, write_report

PARTS = {"weights", "filters", "answers", "timing", "readouts"}


def unpacked(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def test_a_run_writes_the_page_that_is_drawn_again_from_its_files(finished_run, tmp_path):
    folder = tmp_path / finished_run.name
    shutil.copytree(finished_run, folder)
    (folder / "report.html").unlink()
    write_report(folder)
    assert (folder / "report.html").read_bytes() == (finished_run / "report.html").read_bytes()
    assert (folder / "report.html").stat().st_size < 450_000


def test_filters_without_images_are_left_out(finished_run, tmp_path):
    folder = shutil.copytree(finished_run, tmp_path / "run")
    with np.load(folder / "filters.npz") as file:
        kept = dict(file)
    del kept["images"]
    np.savez(folder / "filters.npz", **kept)
    assert "filters" not in describe_run(folder)


def test_the_page_has_what_the_files_have(finished_run):
    page = Page((finished_run / "report.html").read_text())
    run, logbook = page.data, read_csv(finished_run / "logbook.csv")
    assert run.keys() >= PARTS
    assert run["config"] == json.loads((finished_run / "config.json").read_text())
    for name, values in logbook.items():
        assert np.allclose(run["logbook"][name], values, rtol=1e-5, atol=0)
    assert run["seconds"] == pytest.approx(np.cumsum(read_csv(finished_run / "timing.csv")["seconds"]), abs=1e-3)
    assert run["readouts"]["mean of the parents"][0] is None
    with np.load(finished_run / "trace.npz") as trace:
        assert unpacked(run["weights"]["values"], "<f4").tobytes() == trace["weights"].tobytes()
        assert run["weights"]["matrices"] == trace["matrices"].tolist()
    with np.load(finished_run / "filters.npz") as kept:
        sought = sought_by(kept["filters"][::2].astype(np.float32), kept["images"])
    assert run["filters"]["generations"] == [0, 2, 4, 6, 8]
    levels = unpacked(run["filters"]["levels"], np.int8).reshape(sought.shape)
    shown, inside = levels / 127 * run["filters"]["largest"], np.abs(levels) < 127
    assert np.abs(shown - sought)[inside].max() < run["filters"]["largest"] / 200
    assert inside.mean() > 0.99
    with np.load(finished_run / "answers.npz") as answers:
        assert run["answers"]["confusion"] == answers["confusion"].tolist()
        digits = run["answers"]["digits"]
        assert unpacked(digits["images"], np.uint8).tobytes() == answers["images"].tobytes()
    before = run["answers"]["before"]
    assert before["generations"] == [0]
    assert 1 - np.trace(before["confusion"][0]) / 80 == pytest.approx(run["readouts"]["best member"][0])
    assert np.array(before["answers"]).shape == (1, len(digits["samples"]))
    assert run["answers"]["misread"] / run["answers"]["samples"] == pytest.approx(run["status"]["validation_error"])


def test_hidden_units_look_for_what_excites_them():
    wide = np.random.default_rng(1).integers(0, 256, (5, 10, 10), np.uint8)
    images = np.concatenate([wide[:, i : i + 4, j : j + 4] for i in (0, 6) for j in (0, 6)])
    filters = np.zeros((2, 3, 4, 4), np.float32)
    filters[:, 0, 0, 0], filters[0, 1, 1, 1], filters[1, 1, 2, 2], filters[:, 2, 3, 3] = 1, 1, -1, -1
    found = sought_by(filters, wide)
    for row, unit, pixel, sign in ((0, 0, 1, 1), (1, 0, 2, -1)):  # the second unit changed, and comes first
        order = np.argsort(sign * images[:, pixel, pixel].astype(int), kind="stable")
        expected = images[order[-2:]].mean(axis=0) - images[order[:2]].mean(axis=0)
        np.testing.assert_allclose(found[row, unit], expected / 255, atol=1e-6)


def test_nothing_is_loaded_from_elsewhere(finished_run):
    text = (finished_run / "report.html").read_text()
    assert all(address.startswith(("#", "data:")) for address in Page(text).addresses)
    assert "default-src 'none'" in text


def test_no_name_gets_out_of_its_place(tmp_path):
    folder = bare(tmp_path / "run", CONFIG | {"model": HOSTILE, "data": {"name": HOSTILE}})
    (folder / "status.json").write_text(json.dumps({"state": HOSTILE, "error": HOSTILE}))
    page = Page(write_report(folder).read_text())
    assert page.tags.count("script") == 2
    assert page.data["config"]["model"] == page.data["status"]["error"] == HOSTILE
    titled = Page(make_page({"name": "x"}, HOSTILE))
    assert titled.title == HOSTILE


def test_each_part_is_there_with_its_file_alone(finished_run, tmp_path):
    for file, part in (("trace.npz", "weights"), ("filters.npz", "filters"), ("answers.npz", "answers")):
        folder = bare(tmp_path / part)
        shutil.copy(finished_run / file, folder / file)
        assert describe_run(folder).keys() & PARTS == {part}


def test_a_torn_row_and_a_run_in_its_first_generation_are_shown(finished_run, tmp_path):
    folder = bare(tmp_path / "run", rows=1)
    with open(folder / "logbook.csv", "a") as file:
        file.write("1,4,0.")
    (folder / "timing.csv").write_text("gen,seconds\n0,1.5\n1,")
    run = Page(write_report(folder).read_text()).data
    assert run["logbook"]["gen"] == [0]
    assert run["seconds"] == [1.5]


def test_numbers_that_json_has_no_word_for_are_left_out(tmp_path):
    folder = bare(tmp_path / "run")
    (folder / "logbook.csv").write_text("gen,min,avg\n0,nan,inf\n1234567,1,2\n")
    assert describe_run(folder)["logbook"] == {"gen": [0, 1234567], "min": [None, 1.0], "avg": [None, 2.0]}
    (folder / "config.json").write_text('{"fitness": "error", "sigma": Infinity}')
    assert Page(write_report(folder).read_text()).data["config"]["sigma"] is None


def test_a_page_of_a_large_run_stays_small(tmp_path):
    folder, rows = bare(tmp_path / "run", rows=200_000), 200_000
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(1000, 100)).astype(np.float32)
    np.savez(folder / "trace.npz", weights=weights, matrices=np.array(["kernel"] * 100))
    (folder / "timing.csv").write_text("gen,seconds\n" + "".join(f"{i},0.123456789\n" for i in range(rows)))
    path = write_report(folder)
    assert path.stat().st_size < 2_000_000
    data = Page(path.read_text()).data
    generations = data["logbook"]["gen"]
    assert len(generations) <= MOST_POINTS + 1
    assert (generations[0], generations[-1]) == (0, rows - 1)
    assert data["weights"]["generations"][-1] == 999


def test_runs_are_compared_in_one_page(finished_run, tmp_path):
    other = bare(tmp_path / "run", rows=2000)
    page = Page(write_comparison([finished_run, other], tmp_path / "page.html").read_text())
    names = [run["name"] for run in page.data["runs"]]
    assert names == [str(finished_run), str(other)]  # both are called run
    assert len(page.data["runs"][1]["logbook"]["gen"]) <= 401
    assert page.data["runs"][0]["status"]["state"] == "finished"
    assert "filters" not in page.data["runs"][0]
    with pytest.raises(InputError, match=r"argument --output: .* cannot be written"):
        write_comparison([other], tmp_path / "nowhere" / "page.html")


def test_the_command_draws_and_compares(finished_run, run, tmp_path):
    folders = [bare(tmp_path / name) for name in ("a", "b")]
    write_curve(folders[0] / "answers.npz", np.eye(2), np.ones(2), lambda x: x[:, 0])
    answer = run("-m", "deap_nn.report", *folders)
    assert answer.returncode == 0, answer.stderr
    drawn = [str(folder / name) for folder in folders for name in ("fitness.png", "report.html")]
    assert answer.stdout.split() == [*drawn, "comparison.html"]
    assert (tmp_path / "comparison.html").exists()


def test_the_command_waits_for_the_first_generation(tmp_path, monkeypatch):
    with RunDirectory(tmp_path / "run") as directory:
        goes_on = partial(evolve, members(), plain_toolbox(), 0, seed=1, callbacks=[directory])
        monkeypatch.setattr(__main__, "time", SimpleNamespace(sleep=lambda seconds: goes_on()))
        monkeypatch.setattr("sys.argv", ["report.py", str(tmp_path / "run")])
        assert __main__.main() == 0
    assert (tmp_path / "run" / "fitness.png").exists()


def test_the_reason_of_an_end_is_reported_and_not_that_there_is_nothing_to_report(tmp_path):
    def fail(folder, rows):
        with RunDirectory(folder):
            if rows:
                shutil.copy(bare(tmp_path / "rows") / "logbook.csv", folder)
            raise ZeroDivisionError

    for rows in (False, True):  # no generation, and some without the settings
        with pytest.raises(ZeroDivisionError):
            fail(tmp_path / f"{rows}", rows)
        assert not (tmp_path / f"{rows}" / "report.html").exists()


def test_the_page_of_a_run_in_progress_is_rewritten(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("deap_nn.callbacks.run_directory.PAGE_SECONDS", 0)
    monkeypatch.setattr("deap_nn.callbacks.run_directory.PAGE_SHARE", float("inf"))

    class Reader(Callback):
        def on_generation(self, evolution):
            seen.append((tmp_path / "run" / "report.html").read_text())

    with RunDirectory(tmp_path / "run") as directory:
        evolve(members(), plain_toolbox(), 3, seed=1, callbacks=[directory, Reader()])
    assert [Page(text).data["logbook"]["gen"] for text in seen] == [list(range(last + 1)) for last in range(4)]
    assert all(Page(text).data["status"]["state"] == "running" for text in seen)
    ended = (tmp_path / "run" / "report.html").read_text()
    assert Page(ended).data["status"]["state"] == "finished"


def test_a_page_is_not_rewritten_each_generation(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("deap_nn.callbacks.run_directory.try_report", lambda *_, **__: written.append(1))
    with RunDirectory(tmp_path / "run") as directory:
        evolve(members(), plain_toolbox(), 30, seed=1, callbacks=[directory])
    assert len(written) == 2  # after the first generation, and at the end


def test_a_run_is_not_lost_for_its_report(tmp_path):
    def damaged(folder):
        with RunDirectory(folder) as directory:
            shutil.copy(bare(tmp_path / "rows") / "logbook.csv", folder)
            (folder / "config.json").write_text("{")
            directory.close("finished")

    said = f"report.html is not written: {tmp_path / 'run' / 'config.json'}"
    with pytest.warns(UserWarning, match=said):
        damaged(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("logbook.csv", None, "No such file"),
        ("logbook.csv", "gen,min\n0,1\n", "has no avg"),
        ("logbook.csv", "gen,min,avg\n0,1", "has no row"),
        ("logbook.csv", "gen,min,avg\n0,1,\xff\n", "cannot be read"),
        ("timing.csv", "gen,seconds\n0,x\n", "seconds is not a number"),
        ("trace.npz", "PK", "cannot be read"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, name, content, said):
    folder = bare(tmp_path / "run")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content, encoding="latin-1")
    with pytest.raises(InputError) as raised:
        write_report(folder)
    assert str(folder / name) in str(raised.value)
    assert said in str(raised.value)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "argument DIR: nowhere is not the folder of a run"),
        (["a", "nowhere"], "argument DIR: nowhere is not the folder of a run"),
        (["a", "b"], "argument DIR: b is not the folder of a run"),
        (["a", "ended"], "argument DIR: the run in ended ended before its first generation"),
        (["a", "--output", "x.html"], "argument --output: needs several DIR, which are compared in that file"),
    ],
)
def test_bad_input_is_reported_in_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    bare(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "ended").mkdir()
    (tmp_path / "ended" / "status.json").write_text('{"state": "interrupted"}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["report.py", *arguments])
    with pytest.raises(SystemExit) as stopped:
        run_command(__main__.main)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"report.py: error: {said}\n"
