"""A run's folder may come from anybody: what is in it is data, and nothing outside it is touched for it."""

import contextlib
import json
import os
import shutil
import signal

import numpy as np
import pytest
from conftest import MNIST, run_here
from strangers import only_line, replayed, resume

from deap_nn import RunDirectory, read_run, replay
from deap_nn.algorithms.resuming import check_keyframe
from deap_nn.breeding.store import keyframes
from deap_nn.breeding.store.keyframes import write_keyframe
from deap_nn.core.errors import InputError
from deap_nn.core.files import open_plain, printable, read_plain
from deap_nn.runs import generations as checkpoint
from deap_nn.runs.generations import MAGIC
from deap_nn.runs.reading import read_json

RECORDS = "checkpoint/generations"


@pytest.fixture
def outside(tmp_path):
    """What is the user's own, and must stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine").write_text("mine\n")
    return tmp_path / "outside"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("name", ["logbook.csv", "timing.csv", "readouts.csv", "trace.npz", "report.html", "best.npz"])
def test_a_link_in_the_place_of_a_file_that_is_written_leads_nowhere(folder, outside, digits_file, name):
    (folder / name).unlink()
    (folder / name).symlink_to(outside / "mine")
    before = contents(outside)
    resume(folder, digits_file)
    assert contents(outside) == before


@pytest.mark.parametrize("name", ["new", "mine"])
@pytest.mark.parametrize("place", ["checkpoint", RECORDS, "config.json", "status.json"])
def test_a_link_in_the_place_of_what_is_read_first_is_refused(folder, outside, digits_file, place, name):
    path = folder / place
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(outside if place == "checkpoint" else outside / name)
    before = contents(outside)
    line = only_line(resume(folder, digits_file))
    assert "links are not followed" in line or "has no checkpoint" in line
    assert contents(outside) == before


def test_records_with_a_second_name_are_not_appended_to(folder, outside, digits_file):
    os.link(folder / RECORDS, outside / "other")
    before = contents(outside)
    assert "second name (a hard link)" in only_line(resume(folder, digits_file))
    assert contents(outside) == before


def test_damage_is_kept_aside_where_no_link_leads(folder, outside, digits_file):
    content = bytearray((folder / RECORDS).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / RECORDS).write_bytes(content)
    (folder / "checkpoint" / "damaged").symlink_to(outside / "new")
    answer = resume(folder, digits_file, "--force")
    assert answer.returncode == 0, answer.stderr
    assert sorted(contents(outside)) == [(outside / "mine").relative_to(outside)]
    assert (folder / "checkpoint" / "damaged-2").read_bytes() == bytes(content)


def test_a_keyframe_is_not_written_where_a_link_leads(outside, tmp_path):
    (tmp_path / "keyframe-3.partial").symlink_to(outside / "mine")
    write_keyframe(tmp_path / "keyframe-3", 3, "history", [1], lambda key: np.ones(5, np.float32))
    assert (outside / "mine").read_text() == "mine\n"
    assert not (tmp_path / "keyframe-3").is_symlink()


class Waits(BaseException):
    """It waits; no handler of errors may take it for one."""


@contextlib.contextmanager
def in_a_minute():
    """Raise in the body if it waits, as the opening of a pipe does, which a signal ends."""

    def waits(number, frame):
        raise Waits

    before = signal.signal(signal.SIGALRM, waits)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read_all(folder, digits_file):
    found = read_run(folder)
    with contextlib.suppress(InputError):
        return found.config, found.status, found.logbook, found.timing, found.trace


def reported(folder, digits_file):
    return run_here("-m", "deap_nn.report", folder, cwd=folder.parent)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (resume, "config.json"),
        (resume, "status.json"),
        (resume, "logbook.csv"),
        (resume, RECORDS),
        (resume, "filters.npz"),
        (reported, "status.json"),
        (reported, "answers.npz"),
        (reported, RECORDS),
        (replayed, RECORDS),
        (replayed, "config.json"),
        (read_all, "config.json"),
        (read_all, "timing.csv"),
    ],
)
def test_nothing_waits_for_a_pipe(folder, digits_file, command, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with in_a_minute():
        command(folder, digits_file)


@pytest.mark.parametrize("path", ["/dev/zero", "pipe", "huge"])
def test_data_are_a_regular_file_of_some_size(folder, path, tmp_path):
    if path == "pipe":
        os.mkfifo(tmp_path / path)
    if path == "huge":
        (tmp_path / path).touch()
        os.truncate(tmp_path / path, (4 << 30) + 1)
    config = json.loads((folder / "config.json").read_text())
    config["data"]["path"] = str(tmp_path / path)
    (folder / "config.json").write_text(json.dumps(config))
    answer = run_here(MNIST, "--resume", folder, "--generations", 9, cwd=tmp_path)
    assert "must be a folder, or a regular file of at most 4,294,967,296 bytes" in only_line(answer)
    out = ["--generation", 1, "--output", tmp_path / "out.npz"]
    assert "must be a folder, or a regular file" in only_line(run_here(replay.__file__, folder, *out, cwd=tmp_path))


@pytest.mark.parametrize("path", [{"a": 1}, [1], 7, True, "\ud800", "a\0b", "a" * 5000], ids=repr)
def test_a_path_of_data_that_is_none_is_refused_in_one_line(folder, tmp_path, path):
    config = json.loads((folder / "config.json").read_text())
    config["data"]["path"] = path
    (folder / "config.json").write_text(json.dumps(config))
    answer = run_here(MNIST, "--resume", folder, "--generations", 9, cwd=tmp_path)
    assert "no such file or folder" in only_line(answer)
    out = ["--generation", 1, "--output", tmp_path / "out.npz"]
    assert "no such file or folder" in only_line(run_here(replay.__file__, folder, *out, cwd=tmp_path))


@pytest.mark.parametrize(
    "head",
    [
        b"[" * 100_000,
        b"[]",
        b'{"generation": "x", "history": "", "weights": 1, "members": []}',
        b'{"generation": 1e999, "history": "", "weights": 1, "members": []}',
        b'{"generation": 1, "history": "", "weights": -1, "members": [[1, ""]]}',
        b'{"generation": 1, "history": "", "weights": 1, "members": [[1, "no digest"]]}',
    ],
)
def test_a_keyframe_of_another_kind_is_not_used_and_said_so(folder, head):
    start = keyframes.MAGIC + keyframes._HEAD.pack(len(head), keyframes._digest(head)) + head
    (folder / "checkpoint" / "keyframe-3").write_bytes(start.ljust(4092 if b"-1" in head else len(start), b"\0"))
    with pytest.warns(
        UserWarning, match="the keyframe is not used: .*keyframe-3.* (?:head is not a keyframe's|another size)"
    ):
        assert check_keyframe(folder / "checkpoint", 8) is None


def test_very_many_keyframes_are_reported_in_one_line(folder):
    for number in ("0", "1", "2", "\N{SUPERSCRIPT TWO}", "9" * 200):
        (folder / "checkpoint" / f"keyframe-{number}").touch()
    with pytest.warns(UserWarning, match="keyframe-2 is no keyframe of this version, nor are 2 others$") as warned:
        assert check_keyframe(folder / "checkpoint", 8) is None
    assert len(warned) == 1


def test_a_table_with_a_second_name_is_not_appended_to(folder, outside, digits_file):
    for name in (RECORDS, "logbook.csv", "timing.csv", "status.json"):  # a run that has no generation yet
        (folder / name).unlink()
    os.link(outside / "mine", folder / "timing.csv")
    answer = resume(folder, digits_file)
    assert answer.returncode == 0, answer.stderr
    assert len((folder / "timing.csv").read_text().splitlines()) == 11
    assert (outside / "mine").read_text() == "mine\n"


def test_a_status_that_is_no_text_is_named_and_written_again(folder, digits_file):
    (folder / "status.json").write_bytes(b"\xff\xfe\x00")
    answer = resume(folder, digits_file)
    assert answer.returncode == 0, answer.stderr
    assert "status.json cannot be read" in answer.stderr
    assert read_run(folder).state == "finished"


@pytest.mark.parametrize("name", ["logbook.csv", "trace.npz", "report.html"])
def test_a_folder_in_the_place_of_a_file_is_refused_before_anything_is_written(folder, digits_file, name):
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    before = contents(folder)
    said = only_line(resume(folder, digits_file))
    assert f"{name} is a folder, but the run writes a file there: move it away" in said
    assert contents(folder) == before


def test_a_folder_that_is_not_gone_on_with_keeps_its_status_whatever_it_is(folder):
    (folder / "status.json").write_bytes(b"\xff\xfe\x00")
    with RunDirectory(folder, again=True):
        pass
    assert (folder / "status.json").read_bytes() == b"\xff\xfe\x00"


def test_names_cannot_move_the_cursor(folder, digits_file):
    config = json.loads((folder / "config.json").read_text())
    config["data"]["path"] = "\x1b[2J\x1b]0;owned\x07x.npz"
    (folder / "config.json").write_text(json.dumps(config))
    answer = run_here(MNIST, "--resume", folder, "--generations", 9, cwd=folder.parent)
    line = only_line(answer)
    assert r"\x1b[2J\x1b]0;owned\x07x.npz" in line
    assert line.isprintable()
    assert printable("naïve 数 \u202e\n") == "naïve 数 \\u202e\\n"


def test_plain_files_are_regular_files(tmp_path):
    (tmp_path / "file").write_text("here")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_plain(tmp_path / "file", 4) == b"here"
    for name, reason in (("pipe", "not a regular file"), ("link", "is a link"), (".", "not a regular file")):
        with pytest.raises(OSError, match=reason):
            open_plain(tmp_path / name)
    with pytest.raises(OSError, match="has 4 bytes, at most 3 are read"):
        read_plain(tmp_path / "file", 3)
    with pytest.raises(OSError, match="is a link"):
        open_plain(tmp_path / "link", os.O_WRONLY | os.O_APPEND)


@pytest.mark.parametrize(
    "changed",
    [
        {"settings": [1]},
        {"states": [1]},
        {"states": {"RunDirectory 0": 1}},
        {"row": 3},
        {"adaptation": None},
    ],
    ids=str,
)
def test_a_record_of_another_kind_is_refused_in_one_line(folder, digits_file, changed):
    rewrite_first(folder / RECORDS, changed)
    assert "generation 0" in only_line(resume(folder, digits_file))


def test_a_deep_file_of_settings_is_refused(folder):
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"config.json: cannot be read"):
        read_json(folder / "config.json")


def rewrite_first(path, changed):
    """Change entries of the first record, and all that says that it is whole."""
    content = path.read_bytes()
    place = len(MAGIC)
    length, _, _ = checkpoint._FRAME.unpack_from(content, place)
    body = content[place + checkpoint._FRAME.size :][:length]
    rest = content[place + checkpoint._FRAME.size + length :]
    size, *shape = checkpoint._SIZES.unpack_from(body)
    start = checkpoint._SIZES.size
    text = json.dumps(json.loads(body[start : start + size]) | changed).encode()
    body = checkpoint._SIZES.pack(len(text), *shape) + text + body[start + size :]
    path.write_bytes(content[:place] + checkpoint._frame(0, body) + body + rest)
