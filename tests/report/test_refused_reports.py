"""What no report can be made of is named in one line: damaged files, arrays that do not fit, wrong arguments."""

import sys

import numpy as np
import pytest
from report_pages import bare

from deap_nn.core.errors import InputError
from deap_nn.report import __main__
from deap_nn.report.html import write_report


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("logbook.csv", None, "No such file"),
        ("logbook.csv", "gen,min\n0,1\n", "has no avg"),
        ("logbook.csv", "gen,min,avg\n0,1", "has no row"),
        ("logbook.csv", "gen,min,avg\n0,1,\xff\n", "cannot be read"),
        ("logbook.csv", 'gen,min,avg\n"0,1\n', "cannot be read"),
        ("timing.csv", "gen,seconds\n0,x\n", "seconds is not a number"),
        ("timing.csv", "gen\n0\n", "has no seconds"),
        ("status.json", "[", "cannot be read"),
        ("status.json", "[]", "is not an object"),
        ("config.json", "[]", "is not an object"),
        ("trace.npz", "PK", "cannot be read"),
        ("filters.npz", "PK\x03\x04 and no more", "cannot be read"),
        ("answers.npz", "", "cannot be read"),
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
    ("name", "arrays", "said"),
    [
        ("filters.npz", {"generations": [0, 1], "filters": np.zeros((1, 2, 3, 3)), "matrix": "x"}, "differ in number"),
        ("filters.npz", {"generations": [0], "matrix": "x"}, "has no filters"),
        ("answers.npz", {"confusion": np.eye(3)}, "has no samples"),
        ("trace.npz", {"weights": np.zeros((3, 4)), "matrices": ["kernel"]}, "differ in number"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, name, arrays, said):
    folder = bare(tmp_path / "run")
    np.savez(folder / name, **arrays)
    with pytest.raises(InputError, match=said):
        write_report(folder)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "argument DIR: nowhere is not a folder"),
        (["a", "nowhere"], "argument DIR: nowhere is not a folder"),
        (["a", "b"], "b/config.json: cannot be read (No such file or directory)"),
        (["a", "--output", "x.html"], "argument --output: needs several DIR, which are compared in that file"),
    ],
)
def test_bad_input_is_reported_in_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    from deap_nn.process.cli import run_command

    bare(tmp_path / "a")
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["report.py", *arguments])
    with pytest.raises(SystemExit) as stopped:
        run_command(__main__.main)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"report.py: error: {said}\n"


@pytest.mark.parametrize(
    ("code", "status", "said"), [("boom", 1, "report.py: error: boom\n"), (None, 0, ""), (3, 3, "")]
)
def test_an_exit_with_a_message_is_an_error(monkeypatch, capsys, code, status, said):
    from deap_nn.process.cli import run_command

    monkeypatch.setattr("sys.argv", ["report.py"])
    with pytest.raises(SystemExit) as stopped:
        run_command(lambda: sys.exit(code))
    assert stopped.value.code == status
    assert capsys.readouterr().err == said
