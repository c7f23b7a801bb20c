"""A study from the outside: what is run, what is skipped, what is written, and what is refused."""

import csv
import fcntl
import json
import os
import shutil

import numpy as np
import pytest
from conftest import made_digits, not_for_ever, run_here, status_of, well
from small_run import SWEEP
from sweep import digest_of, read_study, runs_left, settings_of

from deap_nn.runs.files import read_config

pytestmark = pytest.mark.xdist_group("sweep")  # one process makes the study for all

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
    answer = well(run_here(SWEEP, folder / "small.toml", *options, cwd=folder))
    return folder, answer


@pytest.fixture
def out(swept, tmp_path):
    """A copy of the folder of its runs."""
    return shutil.copytree(swept[0] / "out", tmp_path / "out")


@pytest.fixture
def sweep(here, digits_file, tmp_path, out):
    """Run the study, or another one, into the copy."""

    def call(*options, study=STUDY, data=digits_file):
        (tmp_path / "small.toml").write_text(study)
        return here(SWEEP, "small.toml", "--data", data, "--output", out, *options)

    return call


def refused(answer, said):
    assert (answer.returncode, said in answer.stderr.splitlines()[-1]) == (2, True), answer.stderr


def test_every_setting_is_run_with_every_seed_into_one_table(swept):
    folder, answer = swept
    rows = rows_of(folder / "out" / "runs.csv")
    assert [(row["setting"], row["seed"], row["gen"]) for row in rows] == [
        (setting, seed, gen) for seed in "12" for setting in ("mean", "mask-4") for gen in "0123"
    ]
    assert [row["evaluations"] for row in rows[:4]] == ["0", "8", "16", "24"]
    results = rows_of(folder / "out" / "results.csv")
    for row in results:
        status = status_of(folder / "out" / f"{row['setting']}-{row['seed']}")
        assert float(row["test_error"]) == status["test_error"]
        assert (row["evaluations"], row["digits"]) == ("24", str(3 * 64))
        last = [found for found in rows if found["setting"] == row["setting"] and found["seed"] == row["seed"]][-1]
        readouts = rows_of(folder / "out" / f"{row['setting']}-{row['seed']}" / "readouts.csv")[-1]
        assert [float(last["best"]), float(last["mean"])] == [
            float(readouts[kind]) for kind in ("best member", "mean of the parents")
        ]
    assert (folder / "out" / "study.png").read_bytes()[:4] == b"\x89PNG"
    medians = {line.split()[0]: line.split()[2] for line in answer.stdout.splitlines()[1:]}
    for setting, shown in medians.items():
        errors = [float(row["validation_error"]) for row in results if row["setting"] == setting]
        assert shown == f"{np.quantile(errors, 0.5):.4f}"


def test_digests_are_of_the_settings_and_of_the_data(swept):
    options = read_study(str(swept[0] / "small.toml")).settings["mean"]
    settings = {seed: settings_of([*options, f"--seed={seed}"]) for seed in (1, 2)}
    found, row = digest_of(settings[1]), rows_of(swept[0] / "out" / "results.csv")[0]
    assert found == digest_of(settings[2]) == row["options"]
    assert read_config(swept[0] / "out" / "mean-1", "--output")["data"]["sha256"].startswith(row["data"])
    assert digest_of(settings[1] | {"sigma": 9.0}) != found


def test_what_is_finished_is_skipped_and_what_is_not_is_done(out, sweep):
    kept = out / "mean-1" / "logbook.csv"
    times = kept.stat().st_mtime_ns
    shutil.rmtree(out / "mask-4-2")
    before = (out / "runs.csv").read_bytes()
    spoilt("status.json", seconds=60)(out / "mean-1")
    spoilt("status.json", seconds=180)(out / "mask-4-1")
    study = out.parent / "small.toml"
    study.write_text(STUDY)
    assert runs_left(read_study(str(study)), out) == "1 of 4 runs are left, some 3 min"
    assert runs_left(read_study(str(study)), out / "none") == "4 of 4 runs are left"
    well(sweep("--only-draw"))
    assert len(rows_of(out / "runs.csv")) == 12
    answer = well(sweep())
    assert [line for line in answer.stderr.splitlines() if " of 4: " in line] == ["4 of 4: mask-4, seed 2"]
    assert answer.stderr.endswith("; 0 of 4 runs are left, some 0 min\n")
    assert (out / "runs.csv").read_bytes() == before
    assert kept.stat().st_mtime_ns == times


def spoilt(name, **changes):
    def spoil(folder):
        kept = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(kept | changes))

    return spoil


def broken_off(folder):
    spoilt("status.json", state="running")(folder)
    (folder / "best.npz").unlink()


def a_folder_alone(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def killed_before_it_had_settings(folder):
    a_folder_alone(folder)
    (folder / "status.json").write_text('{"state": "running"}')


@pytest.mark.parametrize("spoil", [broken_off, killed_before_it_had_settings, a_folder_alone])
def test_a_run_that_is_not_whole_is_resumed_or_begun_again(out, sweep, spoil):
    broken = out / "mean-2"
    expected = (broken / "best.npz").read_bytes()
    spoil(broken)
    well(sweep())
    assert (broken / "best.npz").read_bytes() == expected


def a_file(folder):
    shutil.rmtree(folder)
    folder.write_text("mine")


def of_the_user(folder):
    a_folder_alone(folder)
    (folder / "mine").touch()


def without_settings_and_checkpoint(folder):
    shutil.rmtree(folder / "checkpoint")
    (folder / "config.json").unlink()
    (folder / "status.json").write_text('{"state": "interrupted"}')


def without_checkpoint(folder):
    shutil.rmtree(folder / "checkpoint")
    spoilt("status.json", state="running")(folder)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (a_file, " is no run's folder: move it away"),
        (of_the_user, " is no run's folder: move it away"),
        (without_settings_and_checkpoint, " has lost its config.json: put it back, or move it away"),
        (without_checkpoint, ": argument --resume: "),
        (spoilt("status.json", asked_generations=9), " is a run of other settings, with generations 9 and not 3"),
        (spoilt("config.json", batch_size=10), " is a run of other settings, with batch_size 10 and not 64"),
        (spoilt("config.json", data={"sha256": "f00"}), " is a run on other data than"),
    ],
)
def test_what_is_no_run_of_the_study_is_named_and_kept(out, sweep, spoil, said):
    spoil(out / "mean-2")
    before = sorted(out.rglob("*"))
    refused(sweep(), f"mean-2{said}")
    assert set(before) <= set(out.rglob("*"))


def test_runs_on_other_data_or_of_other_settings_are_not_those_of_the_study(out, sweep, tmp_path):
    np.savez(tmp_path / "other.npz", **made_digits(seed=5)._asdict())
    shutil.rmtree(out / "mask-4-2")
    refused(sweep(data="other.npz"), "mean-1 is a run on other data than")
    other = STUDY.replace("generations = 3", "generations = 4")
    refused(sweep(study=other), "is a run of other settings, with generations 3 and not 4")
    refused(sweep("--output", "small.toml"), "argument --output: small.toml")


def test_a_study_is_run_by_one_sweep_at_a_time_and_drawn_by_any(out, sweep):
    with open(out / ".lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        refused(sweep(), "is in use by another sweep")
        with open(os.devnull, "ab") as shared:  # which any user of the machine may lock
            fcntl.flock(shared, fcntl.LOCK_EX)
            with not_for_ever():
                assert sweep("--only-draw").returncode == 0


def test_the_figure_goes_by_what_the_study_says(out, sweep):
    drawn = (out / "study.png").read_bytes()
    assert sweep("--only-draw", study="by = 'gen'\n" + STUDY).returncode == 0
    assert (out / "study.png").read_bytes() != drawn
