"""A run's folder may come from anybody: what is in it is data, and nothing outside it is touched for it."""

import json
import re

import numpy as np
import pytest
from conftest import MNIST, run_here, well
from strangers import contents, only_line, resume

from deap_nn import RunDirectory, read_run, replay
from deap_nn.algorithms.resuming import check_keyframe
from deap_nn.breeding import keyframes
from deap_nn.breeding.keyframes import write_keyframe
from deap_nn.core.errors import InputError
from deap_nn.core.files import open_append, printable
from deap_nn.runs.files import read_arrays, read_json


@pytest.fixture
def outside(tmp_path):
    """What is the user's own, and must stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine").write_text("mine\n")
    return tmp_path / "outside"


def test_a_link_in_the_place_of_a_file_that_is_written_leads_nowhere(folder, outside, digits_file):
    for name in ("logbook.csv", "timing.csv", "readouts.csv", "trace.npz", "report.html", "best.npz"):
        (folder / name).unlink()
        (folder / name).symlink_to(outside / "mine")
    before = contents(outside)
    resume(folder, digits_file)
    assert contents(outside) == before


@pytest.mark.parametrize("name", ["new", "mine"])
@pytest.mark.parametrize("place", ["checkpoint", "checkpoint/generations", "status.json"])
def test_a_link_in_the_place_of_what_is_read_and_written_leads_nowhere(folder, outside, digits_file, place, name):
    path = folder / place
    if place == "checkpoint":
        path.rename(outside / "kept")
        path.symlink_to(outside / "kept")
    else:
        path.unlink()
        path.symlink_to(outside / name)
    before = contents(outside)
    resume(folder, digits_file)
    assert contents(outside) == before


def test_a_keyframe_is_not_written_where_a_link_leads(outside, tmp_path):
    (tmp_path / "keyframe-3.partial").symlink_to(outside / "mine")
    write_keyframe(tmp_path / "keyframe-3", 3, "history", [1], lambda key: np.ones(5, np.float32))
    assert (outside / "mine").read_text() == "mine\n"
    assert not (tmp_path / "keyframe-3").is_symlink()


def with_data_at(folder, path):
    config = json.loads((folder / "config.json").read_text())
    config["data"]["path"] = path
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("path", [[1], "a\0b"], ids=repr)
def test_a_path_of_data_that_is_none_is_refused_in_one_line(folder, tmp_path, path):
    with_data_at(folder, path)
    answer = run_here(MNIST, "--resume", folder, "--generations", 9, cwd=tmp_path)
    assert re.search("no such file or folder|data must be a text", only_line(answer))
    out = ["--generation", 1, "--output", tmp_path / "out.npz"]
    assert "no such file or folder" in only_line(run_here(replay.__file__, folder, *out, cwd=tmp_path))


@pytest.mark.parametrize(
    "head",
    [
        b"[" * 100_000,
        b"[]",
        b'{"generation": "x", "history": "", "weights": 1, "members": []}',
        b'{"generation": 1, "history": "", "weights": -1, "members": [[1, ""]]}',
    ],
)
def test_a_keyframe_of_another_kind_is_not_used_and_said_so(folder, head):
    start = keyframes.MAGIC + keyframes._HEAD.pack(len(head), keyframes._digest(head)) + head
    (folder / "checkpoint" / "keyframe-3").write_bytes(start.ljust(4092 if b"-1" in head else len(start), b"\0"))
    with pytest.warns(
        UserWarning, match="the keyframe is not used: .*keyframe-3.* (?:head is not a keyframe's|another size)"
    ):
        assert check_keyframe(folder / "checkpoint", 8) is None


def test_a_status_that_is_no_text_is_written_again(folder, digits_file):
    (folder / "status.json").write_bytes(b"\xff\xfe\x00")
    well(resume(folder, digits_file))
    assert read_run(folder).state == "finished"


def test_a_folder_that_is_not_gone_on_with_keeps_its_status_whatever_it_is(folder):
    (folder / "status.json").write_bytes(b"\xff\xfe\x00")
    with RunDirectory(folder, again=True):
        pass
    assert (folder / "status.json").read_bytes() == b"\xff\xfe\x00"


def test_names_cannot_move_the_cursor(folder, digits_file):
    with_data_at(folder, "\x1b[2J\x1b]0;owned\x07x.npz")
    answer = run_here(MNIST, "--resume", folder, "--generations", 9, cwd=folder.parent)
    line = only_line(answer)
    assert r"\x1b[2J\x1b]0;owned\x07x.npz" in line
    assert line.isprintable()
    assert printable("naïve 数 \u202e\n") == "naïve 数 \\u202e\\n"


def test_no_link_is_appended_to(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "new")
    with pytest.raises(OSError, match="link"):
        open_append(tmp_path / "link")
    assert not (tmp_path / "new").exists()


def test_arrays_that_run_code_are_not_read(tmp_path):
    np.savez(tmp_path / "best.npz", kernel=np.array([print], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"best.npz: cannot be read \(Object arrays cannot be loaded"):
        read_arrays(tmp_path / "best.npz")


def test_a_deep_file_of_settings_is_refused(folder):
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"config.json: cannot be read"):
        read_json(folder / "config.json")
