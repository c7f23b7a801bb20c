"""A study from the outside: what is run, what is skipped, what is written, and what is refused."""

import csv
import fcntl
import json
import os
import shutil

import numpy as np
import pytest
from conftest import not_for_ever, run_here
from small_run import SWEEP

STUDY = """
seeds = [1, 2]
[common]
model = "mlp"
population = 8
generations = 3
[settings.mean]
preset = "es"
[settings.mask-4]
preset = "ga"
mates = 4
"""


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def swept(digits_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "small.toml").write_text(STUDY)
    options = "--data", digits_file, "--output", folder / "out"
    answer = run_here(SWEEP, folder / "small.toml", *options, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    return folder, answer


def test_every_setting_is_run_with_every_seed_into_one_table(swept):
    folder, answer = swept
    rows = rows_of(folder / "out" / "runs.csv")
    assert [(row["setting"], row["seed"], row["gen"]) for row in rows] == [
        (setting, seed, gen) for seed in "12" for setting in ("mean", "mask-4") for gen in "0123"
    ]
    assert [row["evaluations"] for row in rows[:4]] == ["0", "8", "16", "24"]
    results = rows_of(folder / "out" / "results.csv")
    for row in results:
        status = json.loads((folder / "out" / f"{row['setting']}-{row['seed']}" / "status.json").read_text())
        assert float(row["test_error"]) == status["test_error"]
        assert (row["evaluations"], row["digits"]) == ("24", str(3 * 64))
        last = [found for found in rows if found["setting"] == row["setting"] and found["seed"] == row["seed"]][-1]
        assert min(float(last["best"]), float(last["mean"])) >= status["validation_error"]
    assert (folder / "out" / "study.png").read_bytes()[:4] == b"\x89PNG"
    medians = {line.split()[0]: line.split()[2] for line in answer.stdout.splitlines()[1:]}
    for setting, shown in medians.items():
        errors = [float(row["validation_error"]) for row in results if row["setting"] == setting]
        assert shown == f"{np.median(errors):.4f}"


def test_what_is_finished_is_skipped_and_what_is_not_is_done(swept, here, digits_file, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / "out", tmp_path / "out")
    kept = tmp_path / "out" / "mean-1" / "logbook.csv"
    times = kept.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "out" / "mask-4-2")
    before = (tmp_path / "out" / "runs.csv").read_bytes()
    (tmp_path / "out" / "runs.csv").unlink()
    arguments = folder / "small.toml", "--data", digits_file, "--output", tmp_path / "out"
    drawn = here(SWEEP, *arguments, "--only-draw")
    assert drawn.returncode == 0, drawn.stderr
    assert len(rows_of(tmp_path / "out" / "runs.csv")) == 12
    answer = here(SWEEP, *arguments)
    assert answer.returncode == 0, answer.stderr
    assert [line for line in answer.stderr.splitlines() if " of 4: " in line] == ["4 of 4: mask-4, seed 2"]
    assert (tmp_path / "out" / "runs.csv").read_bytes() == before
    assert kept.stat().st_mtime_ns == times


def test_what_was_broken_off_is_resumed(swept, here, digits_file, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / "out", tmp_path / "out")
    broken = tmp_path / "out" / "mean-2"
    expected = (broken / "best.npz").read_bytes()
    status = json.loads((broken / "status.json").read_text()) | {"state": "running"}
    (broken / "status.json").write_text(json.dumps(status))
    (broken / "best.npz").unlink()
    answer = here(SWEEP, folder / "small.toml", "--data", digits_file, "--output", tmp_path / "out")
    assert answer.returncode == 0, answer.stderr
    assert (broken / "best.npz").read_bytes() == expected


def test_a_study_is_run_by_one_sweep_at_a_time_and_drawn_by_any(swept, here, digits_file, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / "out", tmp_path / "out")
    arguments = SWEEP, folder / "small.toml", "--data", digits_file, "--output", tmp_path / "out"
    with open(tmp_path / "out" / ".lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        answer = here(*arguments)
        assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
        assert "is in use by another sweep" in answer.stderr
        with open(os.devnull, "ab") as shared:  # which any user of the machine may lock
            fcntl.flock(shared, fcntl.LOCK_EX)
            with not_for_ever():
                assert here(*arguments, "--only-draw").returncode == 0


def test_the_figure_goes_by_what_the_study_says_and_shows_what_is_known(swept, here, digits_file, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / "out", tmp_path / "out")
    drawn = {(tmp_path / "out" / "study.png").read_bytes()}
    added = ["by = 'gen'\n", "[known]\nelsewhere = [3, 0.5]\n"]
    for head, tail in ((added[0], ""), ("", added[1]), (added[0], added[1])):
        (tmp_path / "small.toml").write_text(head + STUDY + tail)
        arguments = tmp_path / "small.toml", "--data", digits_file, "--output", tmp_path / "out", "--only-draw"
        assert here(SWEEP, *arguments).returncode == 0
        drawn.add((tmp_path / "out" / "study.png").read_bytes())
    assert len(drawn) == 4


def test_a_run_without_its_settings_is_resumed_from_its_checkpoint(swept, here, digits_file, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / "out", tmp_path / "out")
    broken = tmp_path / "out" / "mean-2"
    (broken / "config.json").unlink()
    (broken / "status.json").write_text('{"state": "running"}')
    (broken / "notes.txt").write_text("the user's own")
    answer = here(SWEEP, folder / "small.toml", "--data", digits_file, "--output", tmp_path / "out")
    assert answer.returncode == 0, answer.stderr
    assert "config.json is missing: it is restored from the checkpoint" in answer.stderr
    assert (broken / "notes.txt").exists()


def test_a_run_that_was_killed_before_it_had_settings_is_begun_again(swept, here, digits_file, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / "out", tmp_path / "out")
    broken = tmp_path / "out" / "mean-2"
    expected = (broken / "best.npz").read_bytes()
    for path in broken.iterdir():
        if path.is_file() and path.name != "status.json":
            path.unlink()
    (broken / "status.json").write_text('{"state": "running"}')
    answer = here(SWEEP, folder / "small.toml", "--data", digits_file, "--output", tmp_path / "out")
    assert answer.returncode == 0, answer.stderr
    assert (broken / "best.npz").read_bytes() == expected


def test_runs_of_other_settings_are_not_taken_for_those_of_the_study(swept, here, digits_file, tmp_path):
    folder, _ = swept
    (tmp_path / "small.toml").write_text(STUDY.replace("generations = 3", "generations = 4"))
    answer = here(SWEEP, "small.toml", "--data", digits_file, "--output", folder / "out")
    assert answer.returncode == 2
    assert "is a run of other settings, with generations 3 and not 4" in answer.stderr
    answer = here(SWEEP, folder / "small.toml", "--data", digits_file, "--output", "small.toml")
    assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
    assert "argument --output: small.toml" in answer.stderr


def spoilt(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_runs_that_were_gone_on_with_or_changed_are_not_taken(swept, here, digits_file, tmp_path):
    folder, _ = swept
    arguments = SWEEP, folder / "small.toml", "--data", digits_file, "--output", tmp_path / "out", "--only-draw"
    for name, changes, said in (
        ("status.json", {"asked_generations": 9}, "generations 9 and not 3"),
        ("config.json", {"batch_size": 10}, "batch_size 10 and not 64"),
    ):
        shutil.copytree(folder / "out", tmp_path / "out")
        spoilt(tmp_path / "out" / "mean-2", name, **changes)
        answer = here(*arguments)
        assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
        assert f"mean-2 is a run of other settings, with {said}" in answer.stderr
        shutil.rmtree(tmp_path / "out")


def test_a_study_is_of_the_same_data_throughout(swept, here, digits_file, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / "out", tmp_path / "out")
    arguments = SWEEP, folder / "small.toml", "--output", tmp_path / "out"
    shutil.rmtree(tmp_path / "out" / "mask-4-2")
    answer = here(*arguments, "--data", other_digits(digits_file, tmp_path / "other.npz"))
    assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
    assert "mean-1 is a run on other data than" in answer.stderr
    config = json.loads((tmp_path / "out" / "mean-2" / "config.json").read_text())
    spoilt(tmp_path / "out" / "mean-2", "config.json", data=config["data"] | {"sha256": "f00"})
    answer = here(*arguments, "--data", digits_file)
    assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
    assert "mean-2 is a run on other data than" in answer.stderr


def other_digits(digits_file, path):
    with np.load(digits_file) as arrays:
        np.savez(path, **{name: array[::-1] for name, array in arrays.items()})
    return path


def test_a_run_that_has_a_folder_alone_is_begun(swept, here, digits_file, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / "out", tmp_path / "out")
    broken = tmp_path / "out" / "mean-2"
    expected = (broken / "best.npz").read_bytes()
    shutil.rmtree(broken)
    broken.mkdir()
    answer = here(SWEEP, folder / "small.toml", "--data", digits_file, "--output", tmp_path / "out")
    assert answer.returncode == 0, answer.stderr
    assert (broken / "best.npz").read_bytes() == expected


def test_what_is_no_run_is_not_removed(swept, here, digits_file, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / "out", tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "mean-2")
    for make in (lambda path: path.write_text("mine"), lambda path: (path.mkdir(), (path / "mine").touch())):
        make(tmp_path / "out" / "mean-2")
        answer = here(SWEEP, folder / "small.toml", "--data", digits_file, "--output", tmp_path / "out")
        assert (answer.returncode, "mean-2 is no run's folder: move it away" in answer.stderr.splitlines()[-1]) == (
            2,
            True,
        )
        assert (tmp_path / "out" / "mean-2").exists()
        if (tmp_path / "out" / "mean-2").is_file():
            (tmp_path / "out" / "mean-2").unlink()


def test_a_run_that_cannot_be_resumed_without_its_settings_is_not_removed(swept, here, digits_file, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / "out", tmp_path / "out")
    broken = tmp_path / "out" / "mean-2"
    (broken / "status.json").write_text('{"state": "interrupted"}')
    (broken / "config.json").unlink()
    shutil.rmtree(broken / "checkpoint")
    before = sorted(path.name for path in broken.iterdir())
    answer = here(SWEEP, folder / "small.toml", "--data", digits_file, "--output", tmp_path / "out")
    said = "mean-2 has lost its config.json: put it back, or move it away"
    assert (answer.returncode, said in answer.stderr.splitlines()[-1]) == (2, True)
    assert sorted(path.name for path in broken.iterdir()) == before


def test_a_run_that_cannot_be_gone_on_with_is_named(swept, here, digits_file, tmp_path):
    folder, _ = swept
    shutil.copytree(folder / "out", tmp_path / "out")
    spoilt(tmp_path / "out" / "mask-4-2", "status.json", state="running")
    shutil.rmtree(tmp_path / "out" / "mask-4-2" / "checkpoint")
    answer = here(SWEEP, folder / "small.toml", "--data", digits_file, "--output", tmp_path / "out")
    assert answer.returncode == 2
    assert "mask-4-2: argument --resume: " in answer.stderr.splitlines()[-1]
