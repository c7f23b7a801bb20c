"""Only a run's own processes reach its broker: by a folder that is for its user only."""

import contextlib
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deap_nn.maps.scoop.launcher import PREFIX, socket_folder

LAUNCH = ("-m", "deap_nn.launch", "-n", "3")

SCRIPT = """
import os, random, sys, time
random.seed(1)  # SCOOP's own names of workers would all be one
from scoop import futures
def square(x):
    time.sleep(0.05)
    return x * x, sys.modules["scoop"].worker
if __name__ == "__main__":
    found = list(futures.map(square, range(30)))
    print(sum(value for value, _ in found), len({name for _, name in found}), flush=True)
    while not os.path.exists("go"):
        time.sleep(0.05)
    print(sum(value for value, _ in futures.map(square, range(30))), flush=True)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files, whose path is as short as a socket needs it."""
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)
    monkeypatch.setattr(tempfile, "tempdir", None)


@contextlib.contextmanager
def running(folder):
    """A run that waits for its input in mid-way."""
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(SCRIPT)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, *LAUNCH, "script.py"], cwd=folder, **pipes)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def go_on(folder):
    (folder / "go").touch()


class TestOfARun:
    """The sockets of a run."""

    def test_nothing_listens_that_another_user_reaches(self, temporary, tmp_path):
        with running(tmp_path) as process:
            assert process.stdout.readline() == "8555 3\n"
            (place,) = temporary.iterdir()
            found = place.lstat()
            assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o700, os.getuid())
            assert {path.name for path in place.iterdir() if path.is_socket()} == {"task", "info"}
            for one in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
                assert [c for c in one.net_connections("inet") if c.status == psutil.CONN_LISTEN] == []
                abstract = [c.laddr for c in one.net_connections("unix") if str(c.laddr).startswith(("@", "\0"))]
                assert abstract == []
            go_on(tmp_path)
            assert process.stdout.readline() == "8555\n"
            assert process.wait(20) == 0
            assert process.stderr.read() == ""
        assert list(temporary.iterdir()) == []


PLAIN = """
import time, warnings
from deap_nn import selLogRank
warnings.simplefilter("ignore")
from scoop import futures
def square(x):
    time.sleep(0.05)
    return x * x
if __name__ == "__main__":
    print("the script begins", flush=True)
    for _ in range(2):
        print(sum(futures.map(square, range(30))), flush=True)
"""


def test_the_first_map_under_scoops_own_launcher_warns_of_its_broker(run, tmp_path):
    """A user's script that imports the package at its top, and does nothing else for that."""
    (tmp_path / "script.py").write_text(PLAIN)
    answer = run("-m", "scoop", "-n", "2", "script.py", cwd=tmp_path, stderr=subprocess.STDOUT)
    said = (
        "script.py: warning: the broker of python -m scoop listens on every network interface and runs any code that "
        "it receives: use python -m deap_nn.launch script.py, which admits only this run's processes\n"
    )
    lines = answer.stdout.splitlines(keepends=True)
    assert [line for line in lines if "launcher" not in line and "Launching" not in line] == [
        "the script begins\n",
        said,
        *["8555\n"] * 2,
    ]


class TestFolder:
    """The folder of a run's sockets."""

    def test_what_killed_runs_left_is_removed_by_the_next(self, temporary):
        left = temporary / f"{PREFIX}left"
        left.mkdir(mode=0o700)
        (left / "lock").touch()
        with socket_folder() as held:
            assert not left.exists()
            with socket_folder() as other:
                assert {str(path) for path in temporary.iterdir()} == {held, other}
        assert list(temporary.iterdir()) == []

    def test_a_path_that_is_too_long_for_a_socket_is_not_taken(self, monkeypatch, tmp_path):
        long = tmp_path / ("x" * 100)
        long.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(long))
        with socket_folder() as folder:
            assert Path(folder).parent == Path("/tmp")
            with open(Path(folder, "lock")) as lock, pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
