"""Any logbook goes to CSV and JSON, and files appear whole or not at all."""

import contextlib
import csv
import json
import math
import os
import resource
import sys

import numpy as np
import pytest
from deap import tools

from deap_nn import to_csv, to_json
from deap_nn.core import files
from deap_nn.core.files import append_text, write_all, write_text, write_with
from deap_nn.core.logbooks import read_csv


@pytest.fixture
def logbook():
    statistics = tools.MultiStatistics(fitness=tools.Statistics(len), size=tools.Statistics(sum))
    statistics.register("avg", np.mean)
    statistics.register("max", np.max)
    book = tools.Logbook()
    book.header = ["gen", "evals"]
    for generation in range(3):
        book.record(evals=np.int64(30), gen=generation, **statistics.compile([[1, 2], [3.5, generation]]))
    return book


def test_csv_has_chapters_as_columns_and_numbers_as_numbers(logbook, tmp_path):
    to_csv(logbook, tmp_path / "log.csv")
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["gen", "evals", "fitness.avg", "fitness.max", "size.avg", "size.max"]
    assert rows[2] == {
        "gen": "2",
        "evals": "30",
        "fitness.avg": "2.0",
        "fitness.max": "2",
        "size.avg": "4.25",
        "size.max": "5.5",
    }
    assert read_csv(tmp_path / "log.csv")["size.avg"] == [3.25, 3.75, 4.25]


def test_json_says_the_same(logbook, tmp_path):
    to_json(logbook, tmp_path / "log.json")
    rows = json.loads((tmp_path / "log.json").read_text())
    assert rows[1] == {"gen": 1, "evals": 30, "fitness.avg": 2.0, "fitness.max": 2, "size.avg": 3.75, "size.max": 4.5}


def test_a_chapter_missing_in_a_record_stays_empty(tmp_path):
    book = tools.Logbook()
    book.record(gen=0, part={"a": 1})
    book.record(gen=1)
    book.record(gen=2, part={"a": 3})
    to_csv(book, tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_text() == "gen,part.a\n0,1\n1,\n2,3\n"


def test_a_record_of_nan_or_an_array_keeps_its_chapters(tmp_path):
    book = tools.Logbook()
    for generation in range(2):
        book.record(gen=generation, avg=math.nan, best=np.inf, mean=np.array([1.0, np.nan]), part={"a": generation})
    to_json(book, tmp_path / "log.json")
    rows = json.loads((tmp_path / "log.json").read_text(), parse_constant=pytest.fail)
    assert rows[1] == {"gen": 1, "avg": None, "best": None, "mean": [1.0, None], "part.a": 1}


def test_floats_are_read_back_exactly(tmp_path):
    book = tools.Logbook()
    book.record(x=np.float64(0.1) + 0.2, y=np.float32(0.1), z=1e-300)
    to_csv(book, tmp_path / "log.csv")
    columns = read_csv(tmp_path / "log.csv")
    assert columns == {"x": [0.1 + 0.2], "y": [float(np.float32(0.1))], "z": [1e-300]}


def test_an_empty_logbook_makes_empty_files(tmp_path):
    to_csv(tools.Logbook(), tmp_path / "log.csv")
    to_json(tools.Logbook(), tmp_path / "log.json")
    assert (tmp_path / "log.csv").read_text() == ""
    assert json.loads((tmp_path / "log.json").read_text()) == []


def test_reading_leaves_out_a_torn_row_and_names_a_bad_field(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("gen,min\n0,1.5\n1,")
    assert read_csv(path) == {"gen": [0.0], "min": [1.5]}
    path.write_text("gen,min\n0,many\n")
    with pytest.raises(ValueError, match="line 2: min is not a number: 'many'"):
        read_csv(path)
    path.write_text("")
    with pytest.raises(ValueError, match="no header line"):
        read_csv(path)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail(partial):
        partial.write_text("new")
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        write_with(path, fail)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def test_an_interrupt_at_any_point_leaves_the_old_file_or_the_new_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    seen = set()
    for point in range(10_000):
        path.write_text("old")
        if not _interrupted(lambda: write_text(path, "new"), point):
            break
        assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"], f"instruction {point}"
        seen.add(path.read_text())
    assert point > 100
    assert seen == {"old", "new"}
    assert path.read_text() == "new"


def _interrupted(write, point):
    """Interrupt `write` before an instruction, by number, of those that replace a file; say whether it came to it."""
    left = point

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename not in (files.__file__, contextlib.__file__):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    try:
        sys.settrace(trace)
        write()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("write", [to_csv, to_json])
def test_a_link_that_the_user_names_is_followed_and_a_pipe_is_written_to(logbook, tmp_path, write):
    write(logbook, tmp_path / "plain")
    wanted = (tmp_path / "plain").read_bytes()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "file")
    write(logbook, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "file").read_bytes() == wanted
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(logbook, tmp_path / "pipe")
        assert os.read(reader, 2 * len(wanted)) == wanted
    finally:
        os.close(reader)
    assert not (tmp_path / "pipe").is_file()


def test_a_path_that_is_no_file_or_has_a_long_suffix(logbook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("", ".", "/"):
        with pytest.raises(OSError, match=r"directory|busy|Permission"):
            to_csv(logbook, path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    to_csv(logbook, tmp_path / "loop")
    to_csv(logbook, tmp_path / f"log.{'x' * 240}")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.long
def test_more_than_one_call_of_the_system_takes_is_written_whole():
    file = os.memfd_create("large")
    try:
        size = (2 << 30) + 5
        write_all(file, bytes(size))
        assert os.fstat(file).st_size == size
    finally:
        os.close(file)


def test_what_is_appended_is_whole_or_nothing(tmp_path):
    path = tmp_path / "log.csv"
    append_text(path, "gen\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            append_text(path, "0123456789\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "gen\n"
    append_text(path, "1\n")
    assert path.read_text() == "gen\n1\n"


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
