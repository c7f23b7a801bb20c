"""What is written once is on the disk before it counts, and what is not can be made again from the records."""

import os
import shutil
from pathlib import Path

import pytest
from conftest import MNIST, run_here, well
from strangers import only_line, resume
from wirings import evolve_toolbox

from deap_nn import RunDirectory, read_run
from deap_nn.core.files import write_json, write_text, write_with
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


def test_each_file_of_a_run_that_is_written_once_is_durable(mlp, tmp_path, disk):
    with RunDirectory(tmp_path / "run") as directory:
        options = {"checkpoint": tmp_path / "run" / "checkpoint", "keyframe_weights": 0.0}
        evolve_toolbox(mlp(), n=4, ngen=2, callbacks=[directory], **options)
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


ROWS = ("logbook.csv", "timing.csv", "readouts.csv", "logbook.json", "trace.npz")


def resumed(folder, digits_file, generations=8):
    return well(resume(folder, digits_file, generations=generations)).stderr


def test_what_is_written_each_generation_is_made_again_from_the_records(finished_run, digits_file, tmp_path):
    folder = shutil.copytree(finished_run, tmp_path / "run")
    whole = shutil.copytree(finished_run, tmp_path / "whole")
    for number, name in enumerate((*ROWS, "status.json")):
        (folder / name).unlink()
        if number % 2:
            (folder / name).write_bytes(b"")
    for place in (folder, whole):
        resumed(place, digits_file, 10)
    for name in ("logbook.csv", "readouts.csv", "logbook.json", "filters.npz", "trace.npz"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    lines = (finished_run / "timing.csv").read_text().splitlines()
    assert (folder / "timing.csv").read_text().splitlines()[: len(lines) - 1] == lines[:-1]  # in the last one is memory
    assert read_run(folder).state == "finished"


@pytest.mark.parametrize(
    ("lost", "content"),
    [
        (("logbook.json", "timing.csv"), b""),
        (("trace.npz",), None),
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
    assert f"the run in {folder} is finished; --generations above 8 continues it" in only_line(again)


def test_a_run_whose_lost_status_had_more_generations_keeps_those_it_has(finished_run, digits_file, tmp_path):
    folder = shutil.copytree(finished_run, tmp_path / "run")
    resumed(folder, digits_file, 10)
    before = (folder / "logbook.csv").read_bytes()
    (folder / "status.json").unlink()
    resumed(folder, digits_file)
    assert (folder / "logbook.csv").read_bytes() == before
    assert read_run(folder).state == "finished"
