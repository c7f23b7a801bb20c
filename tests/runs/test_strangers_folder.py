"""A run's folder may come from anybody: what is in it is data, and nothing outside it is touched for it."""

import contextlib
import io
import json
import os
import shutil
import signal
import zipfile

import numpy as np
import pytest
from conftest import MNIST, run_here

from deap_nn import Layout, RunDirectory, read_run, read_weights, replay
from deap_nn.algorithms.resuming import check_keyframe
from deap_nn.breeding.store import keyframes
from deap_nn.breeding.store.keyframes import write_keyframe
from deap_nn.callbacks.run_directory import predictions
from deap_nn.callbacks.run_directory.predictions import MOST_CLASSES
from deap_nn.core.errors import InputError
from deap_nn.core.files import open_plain, printable, read_plain
from deap_nn.models.reference import load_model
from deap_nn.models.tensorflow import keras
from deap_nn.models.weight_files import WeightsError
from deap_nn.predict import MOST_PIXELS, read_picture
from deap_nn.runs import generations as checkpoint
from deap_nn.runs.checkpoint import Checkpoint
from deap_nn.runs.failing import fail
from deap_nn.runs.generations import MAGIC, CheckpointError
from deap_nn.runs.reading import read_arrays, read_columns, read_json

FILES = ("config.json", "status.json", "logbook.csv", "timing.csv", "readouts.csv", "filters.npz", "trace.npz")
RECORDS = "checkpoint/generations"


@pytest.fixture
def folder(finished_run, tmp_path):
    """A copy of a run, as if it had been unpacked from somebody's archive."""
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture
def outside(tmp_path):
    """What is the user's own, and must stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine").write_text("mine\n")
    return tmp_path / "outside"


def resume(folder, digits_file, *options, generations=9):
    return run_here(
        MNIST,
        "--resume",
        folder,
        "--generations",
        generations,
        "--data",
        digits_file,
        "--no-progress",
        *options,
        cwd=folder.parent,
    )


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def only_line(answer, status=2):
    assert answer.returncode == status, answer.stderr
    lines = answer.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


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
    answer = resume(folder, digits_file, "--regardless")
    assert answer.returncode == 0, answer.stderr
    assert sorted(contents(outside)) == [(outside / "mine").relative_to(outside)]
    assert (folder / "checkpoint" / "damaged-2").read_bytes() == bytes(content)


def test_a_keyframe_is_not_written_where_a_link_leads(outside, tmp_path):
    (tmp_path / "keyframe-3.partial").symlink_to(outside / "mine")
    write_keyframe(tmp_path / "keyframe-3", 3, "history", [1], lambda key: np.ones(5, np.float32))
    assert (outside / "mine").read_text() == "mine\n"
    assert not (tmp_path / "keyframe-3").is_symlink()


def test_the_note_of_a_failed_run_is_not_written_where_a_link_leads(folder, outside):
    (folder / "status.json").write_text('{"state": "running"}')
    (folder / ".status.json.partial").symlink_to(outside / "mine")
    fail(folder / "status.json", "too long")
    assert json.loads((folder / "status.json").read_text())["error"] == "too long"
    assert (outside / "mine").read_text() == "mine\n"


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


def replayed(folder, digits_file):
    options = ["--generation", 1, "--output", folder.parent / "out.npz", "--data", digits_file]
    return run_here(replay.__file__, folder, *options, cwd=folder.parent)


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


def test_the_cache_of_another_is_not_touched(folder, outside, digits_file):
    (outside / "deap_nn-0-x").mkdir()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"cache": str(outside), "cache_size": 100}))
    before, at = contents(outside), outside.stat().st_mtime_ns
    assert resume(folder, digits_file).returncode == 0
    assert contents(outside) == before
    assert outside.stat().st_mtime_ns == at


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


def bomb(path, kind, *names):
    """Write a small archive whose arrays take, by their heads, 256 MiB each and more."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": kind, "fortran_order": False, "shape": (32 << 20, 8)}
                np.lib.format.write_array_header_1_0(member, header)
                member.write(bytes(1 << 20))


@pytest.mark.parametrize("path", [{"a": 1}, [1], 7, True, "\ud800", "a\0b", "a" * 5000], ids=repr)
def test_a_path_of_data_that_is_none_is_refused_in_one_line(folder, tmp_path, path):
    config = json.loads((folder / "config.json").read_text())
    config["data"]["path"] = path
    (folder / "config.json").write_text(json.dumps(config))
    answer = run_here(MNIST, "--resume", folder, "--generations", 9, cwd=tmp_path)
    assert "no such file or folder" in only_line(answer)
    out = ["--generation", 1, "--output", tmp_path / "out.npz"]
    assert "no such file or folder" in only_line(run_here(replay.__file__, folder, *out, cwd=tmp_path))


def test_a_small_file_that_unpacks_to_all_memory_is_refused(folder):
    bomb(folder / "answers.npz", "|u1", "confusion", "samples", "labels", "answers", "probabilities")
    with pytest.raises(InputError, match="unpacks to more than 67,108,864 bytes"):
        read_arrays(folder / "answers.npz")
    answer = run_here("-m", "deap_nn.report", folder, cwd=folder.parent)
    assert "answers.npz: cannot be read (unpacks" in only_line(answer)


def test_filters_of_all_memory_are_not_read_and_made_again(folder, digits_file):
    whole = shutil.copytree(folder, folder.parent / "whole")
    assert resume(whole, digits_file).returncode == 0
    bomb(folder / "filters.npz", "<f2", "generations", "filters", "matrix")
    answer = resume(folder, digits_file)
    assert "filters.npz: cannot be read (unpacks to more than 67,108,864 bytes): it is recomputed" in answer.stderr
    assert (folder / "filters.npz").read_bytes() == (whole / "filters.npz").read_bytes()


def test_first_weights_of_all_memory_are_refused(tmp_path):
    layout = Layout(("kernel", "bias"), ((3, 2), (2,)))
    bomb(tmp_path / "init.npz", "<f4", *layout.names)
    with pytest.raises(WeightsError, match=r"damaged, or no file of weights .unpacks to more than 67,108,864"):
        read_weights(tmp_path / "init.npz", layout)


def test_a_network_whose_parts_take_all_memory_is_refused(folder):
    with zipfile.ZipFile(folder / "best.keras", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/note", bytes(80 << 20))
    with pytest.raises(
        ValueError, match=r"best.keras: cannot be loaded \(ValueError: unpacks to 8.,.* at most 67,108,8"
    ):
        load_model(folder / "best.keras")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on saving
def test_a_network_whose_layers_take_all_memory_is_refused(tmp_path):
    parts = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(9), keras.layers.Dense(7)]
    keras.Sequential(parts).save(tmp_path / "small.keras")
    with zipfile.ZipFile(tmp_path / "small.keras") as small, zipfile.ZipFile(tmp_path / "large.keras", "w") as large:
        for name in small.namelist():  # the layer after that one is not for so many, which Keras finds late
            large.writestr(name, small.read(name).replace(b'"units": 9', b'"units": 9999999'))
    with pytest.raises(ValueError, match=r"ValueError: has layers of 31,3.* bytes, at most 67,108,864 are made"):
        load_model(tmp_path / "large.keras")
    assert load_model(tmp_path / "small.keras").count_params() == 785 * 9 + 10 * 7


def test_of_a_log_that_is_written_again_only_the_beginning_is_read(folder, digits_file, monkeypatch):
    monkeypatch.setattr("deap_nn.runs.config.SMALL_BYTES", 1 << 16)
    before = (folder / "logbook.csv").read_bytes()
    os.truncate(folder / "logbook.csv", 10 << 30)  # of nothing, which takes no room
    assert resume(folder, digits_file).returncode == 0
    assert (folder / "logbook.csv").read_bytes().startswith(before)
    assert (folder / "logbook.csv").stat().st_size < 2 * len(before)


@pytest.mark.parametrize(
    ("name", "value", "resumed", "again"),
    [
        ("population", 10**12, "population was 20 when the run began, and is 1000000000000", "population was 20"),
        ("threads", 10**6, "--threads: must be an integer from 1 to 1024, got '1000000'", "must be at most 1024"),
    ],
)
def test_settings_that_would_take_all_memory_are_refused_before_they_do(
    folder, digits_file, name, value, resumed, again
):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {name: value}))
    assert resumed in only_line(resume(folder, digits_file))
    assert again in only_line(replayed(folder, digits_file))


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
def test_a_keyframe_of_another_kind_is_not_used_and_said_so(folder, digits_file, head):
    start = keyframes.MAGIC + keyframes._HEAD.pack(len(head), keyframes._digest(head)) + head
    (folder / "checkpoint" / "keyframe-3").write_bytes(start.ljust(4092 if b"-1" in head else len(start), b"\0"))
    with pytest.warns(
        UserWarning, match="the keyframe is not used: .*keyframe-3.* head is not a keyframe's|another size"
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


def test_files_of_numbers_are_read_up_to_what_the_settings_imply(folder):
    path = folder / "logbook.csv"
    rows = len(path.read_text().splitlines())
    os.truncate(path, 65 << 20)  # of nothing, which takes no room
    with pytest.raises(InputError, match="at most 4,194,304 are read"):
        read_columns(path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"generations": 10**7}))
    assert len(read_columns(path)["gen"]) == rows - 1
    (folder / "config.json").write_text("{}")
    (folder / "status.json").unlink()
    with pytest.raises(InputError, match="at most 67,108,864 are read"):
        read_columns(path)
    path.write_text(",".join(map(str, range(100_001))) + "\n")
    with pytest.raises(InputError, match="has 100,001 columns, at most 100,000 are read"):
        read_columns(path)
    os.truncate(folder / "config.json", 17 << 20)
    with pytest.raises(InputError, match="at most 16,777,216 are read"):
        read_json(folder / "config.json")


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


def test_a_picture_is_of_a_known_format_and_size(tmp_path):
    from PIL import Image

    Image.new("L", (30, 30), 255).save(tmp_path / "picture.ico")
    with pytest.raises(InputError, match="must be a picture in PNG, JPEG"):
        read_picture(str(tmp_path / "picture.ico"))
    Image.new("1", (MOST_PIXELS // 1000 + 1, 1000)).save(tmp_path / "large.png")
    with pytest.raises(InputError, match="has 50,001,000 pixels, at most 50,000,000 are read"):
        read_picture(str(tmp_path / "large.png"))


def test_predictions_of_very_many_classes_are_not_kept(tmp_path, monkeypatch):

    def write(classes):
        found = (None, np.zeros(3, int), np.full((3, classes), 1 / classes))
        monkeypatch.setattr(predictions, "_predicted", lambda *arguments: found)
        predictions.write_predictions(tmp_path / f"{classes}.npz", None, None)

    write(MOST_CLASSES)
    write(MOST_CLASSES + 1)
    assert [path.name for path in tmp_path.iterdir()] == [f"{MOST_CLASSES}.npz"]
    assert read_arrays(tmp_path / f"{MOST_CLASSES}.npz")["confusion"].shape == (MOST_CLASSES,) * 2


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


def test_a_record_of_all_memory_is_refused(folder, monkeypatch):
    monkeypatch.setattr("deap_nn.runs.generations.LARGEST_RECORD", 100)
    with pytest.raises(CheckpointError, match="too many to be read"):
        Checkpoint(folder / "checkpoint")


def test_an_archive_with_two_arrays_of_a_name_or_a_large_head_is_refused(tmp_path):
    small, large = io.BytesIO(), io.BytesIO()
    np.save(small, np.zeros(3))
    np.save(large, np.zeros(1 << 20))
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        archive.writestr("a.npy", small.getvalue())
        archive.writestr("a", large.getvalue())
    with pytest.raises(InputError, match="has two arrays a"):
        read_arrays(tmp_path / "twice.npz")
    with zipfile.ZipFile(tmp_path / "head.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x02\x00" + (1 << 30).to_bytes(4, "little") + b" " * 999)
    with pytest.raises(InputError, match="with a header of 1,073,741,824 bytes"):
        read_arrays(tmp_path / "head.npz")


@pytest.mark.parametrize(
    "changed",
    [
        {"environment": []},
        {"environment": {}},
        {"environment": {"variables": {}, "versions": {}, "threads": ["a"], "processor": ""}},
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
