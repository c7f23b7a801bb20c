"""What is written once is on the disk before it counts, and what is not can be made again from the records."""

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import MNIST, run_here
from limits import evolve

from deap_nn import RunDirectory, make_toolbox, read_run
from deap_nn.core.files import write_json, write_text, write_with
from deap_nn.runs.checkpoint import Checkpoint, read_first
from deap_nn.runs.files import keep_files


class Disk:
    """Notes in their order what is brought to the disk, and what is renamed."""

    def __init__(self, monkeypatch):
        self.done = []
        sync, replace = os.fsync, Path.replace

        def fsync(handle):
            self.done.append(("sync", Path(f"/proc/self/fd/{handle}").readlink().name))
            sync(handle)

        def rename(path, target):
            self.done.append(("rename", path.name, Path(target).name))
            return replace(path, target)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(Path, "replace", rename)

    def is_durable(self, name, folder):
        """Whether a file was brought to the disk before it got its name, and the folder after that."""
        place = next(i for i, what in enumerate(self.done) if what[0] == "rename" and what[2] == name)
        return ("sync", self.done[place][1]) in self.done[:place] and ("sync", folder) in self.done[place:]


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def test_what_is_durable_is_on_the_disk_before_it_has_its_name(tmp_path, disk):
    write_json(tmp_path / "a.json", {}, durable=True)
    write_with(tmp_path / "b", lambda partial: partial.write_bytes(b"b"), durable=True)
    assert disk.is_durable("a.json", tmp_path.name)
    assert disk.is_durable("b", tmp_path.name)
    before = len(disk.done)
    write_text(tmp_path / "c", "c")  # written each generation: the disk is not waited for
    assert [what[0] for what in disk.done[before:]] == ["rename"]


def test_each_file_of_a_run_that_is_written_once_is_durable(digits, tmp_path, disk):
    toolbox = make_toolbox("mlp", digits, seed=1)
    with RunDirectory(tmp_path / "run") as directory:
        options = {"checkpoint": tmp_path / "run" / "checkpoint", "keyframe_weights": 0.0}
        evolve(toolbox.population(n=4), toolbox, 2, callbacks=[directory], **options)
    for name in ("keyframe-1", "keyframe-2"):
        assert disk.is_durable(name, "checkpoint"), name
    for name in ("config.json", "best.npz", "best.keras", "answers.npz"):
        assert disk.is_durable(name, "run"), name
    assert ("sync", "generations") in disk.done
    assert {("sync", "checkpoint"), ("sync", "run"), ("sync", tmp_path.name)} <= set(disk.done)
    last = max(i for i, what in enumerate(disk.done) if what[0] == "rename" and what[2] == "status.json")
    assert ("sync", disk.done[last][1]) in disk.done[:last]


def test_the_copies_of_a_model_and_of_weights_are_durable(tmp_path, disk):
    (tmp_path / "run").mkdir()
    given = {"init_weights": tmp_path / "given.npz", "keras": tmp_path / "given.keras"}
    for path in given.values():
        path.write_bytes(b"weights")
    keep_files(tmp_path / "run", {name: str(path) for name, path in given.items()})
    for name in ("init.npz", "model.keras"):
        assert disk.is_durable(name, "run"), name


@pytest.mark.parametrize("content", [None, b"", b'{"population": 2', b"\xff\xfe", bytes(700)])
def test_settings_that_are_lost_are_made_again_from_the_first_record(finished_run, digits_file, tmp_path, content):
    folder = shutil.copytree(finished_run, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_bytes(content)
    options = ["--resume", folder, "--generations", 9, "--data", digits_file, "--no-progress"]
    answer = run_here(MNIST, *options, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert f"config.json is {'missing' if content is None else 'damaged'}: it is restored" in answer.stderr
    assert json.loads((folder / "config.json").read_text()) == config


def test_a_script_gets_its_settings_back_too(digits, tmp_path):
    def go(ngen, **arguments):
        toolbox = make_toolbox("mlp", digits, seed=1)
        with RunDirectory(tmp_path / "run", **arguments) as directory:
            kept = tmp_path / "run" / "checkpoint"
            evolve(toolbox.population(n=4), toolbox, ngen, callbacks=[directory], checkpoint=kept)

    go(1, settings={"mine": [1, 2]})
    before = (tmp_path / "run" / "config.json").read_bytes()
    (tmp_path / "run" / "config.json").write_bytes(b"")
    with pytest.warns(UserWarning, match="config.json is damaged: it is restored from the checkpoint"):
        go(2, again=True)
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_settings_are_in_the_first_record_alone(finished_run):
    with Checkpoint(finished_run / "checkpoint") as checkpoint:
        kept = ["config" in generation.states["RunDirectory 0"] for generation in checkpoint.past]
    assert kept == [True] + [False] * 8
    assert read_first(finished_run / "checkpoint").states["RunDirectory 0"]["config"] == read_run(finished_run).config


ROWS = ("logbook.csv", "timing.csv", "readouts.csv", "logbook.json", "trace.npz")


def resumed(folder, digits_file, *options):
    given = ["--resume", folder, *options, "--data", digits_file, "--no-progress"]
    answer = run_here(MNIST, *given, cwd=folder.parent)
    assert answer.returncode == 0, answer.stderr
    return answer.stderr


@pytest.mark.parametrize("content", [b"", None], ids=["empty", "missing"])
def test_what_is_written_each_generation_is_made_again_from_the_records(finished_run, digits_file, tmp_path, content):
    folder = shutil.copytree(finished_run, tmp_path / "run")
    whole = shutil.copytree(finished_run, tmp_path / "whole")
    for name in (*ROWS, "status.json"):
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
    for place in (folder, whole):
        resumed(place, digits_file, "--generations", 10)
    for name in ("logbook.csv", "readouts.csv", "logbook.json", "filters.npz", "trace.npz"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    lines = (finished_run / "timing.csv").read_text().splitlines()
    assert (folder / "timing.csv").read_text().splitlines()[: len(lines) - 1] == lines[:-1]  # in the last one is memory
    assert read_run(folder).state == "finished"


@pytest.mark.parametrize(
    ("lost", "content"),
    [
        (("logbook.csv",), None),
        (("logbook.json", "timing.csv"), b""),
        (("readouts.csv",), b""),
        (("trace.npz",), None),
        (("status.json",), b""),
        ((*ROWS, "status.json"), None),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_a_finished_run_that_has_lost_files_makes_them_again(finished_run, digits_file, tmp_path, lost, content):
    folder = shutil.copytree(finished_run, tmp_path / "run")
    for name in lost:
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
    said = resumed(folder, digits_file)
    line = f"{folder / lost[0]} {'is lost: it is' if len(lost) == 1 else 'and others are lost: they are'} made again"
    assert (line in said) is ("status.json" not in lost)
    for name in ("logbook.csv", "logbook.json", "readouts.csv", "trace.npz", "filters.npz", "best.npz", "answers.npz"):
        assert (folder / name).read_bytes() == (finished_run / name).read_bytes(), name
    for name in ("timing.csv", "status.json"):
        assert (folder / name).read_text().count("\n") == (finished_run / name).read_text().count("\n"), name
    one, other = read_run(folder).status, read_run(finished_run).status
    assert {**one, "seconds": 0} == {**other, "seconds": 0}
    again = run_here(MNIST, "--resume", folder, "--data", digits_file, "--no-progress", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (
        2,
        f"mnist.py: error: argument --resume: the run in {folder} is finished; --generations above 8 continues it\n",
    )


def test_a_run_whose_lost_status_had_more_generations_keeps_those_it_has(finished_run, digits_file, tmp_path):
    folder = shutil.copytree(finished_run, tmp_path / "run")
    resumed(folder, digits_file, "--generations", 10)
    before = (folder / "logbook.csv").read_bytes()
    (folder / "status.json").unlink()
    resumed(folder, digits_file)
    assert (folder / "logbook.csv").read_bytes() == before
    assert read_run(folder).state == "finished"
