"""Only a run's own processes reach its broker on one host: by a folder that is for its user only."""

import contextlib
import fcntl
import os
import pickle
import re
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import zmq
from brokers import messages_get_through

from deap_nn.maps.scoop.sockets import PREFIX, Folder, sweep
from deap_nn.process.private_folders import ABANDONED_SECONDS

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
    with open("origin", "wb") as file:
        file.write(sys.modules["scoop"].worker)
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
def running(folder, *, script=SCRIPT):
    """A run that waits for its input in mid-way, and what it has printed of its start."""
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(script)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, *LAUNCH, "script.py"], cwd=folder, **pipes)
    said = process.stderr.readline()
    try:
        yield process, said
    finally:
        process.terminate()
        process.communicate(timeout=20)


def go_on(folder):
    (folder / "go").touch()


def own(process):
    """A run's processes."""
    return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]


CODE = b"cos\nmkdir\n(S'run by the broker'\ntR."
"""A pickle that makes a folder when it is read."""

BEFORE_COMING = [[b"T", b"id", b"task"], [b"SU", b""], [b"V", *map(pickle.dumps, ("key", 1, b"one"))]]
"""Messages that a worker may send, but none that has not come."""

BAD = [
    [b"I", pickle.dumps(7)],
    [b"I", pickle.dumps({"headless": "x"})],
    [b"I", pickle.dumps({"headless": True})],
    [b"I", b"no pickle"],
    [b"I", CODE],
    [b"I"],
    [b"I", pickle.dumps({}), b"more"],
    [b"SU", pickle.dumps(7)],
    [b"SU", CODE],
    [b"SU", b"\xff"],
    [b"SU", b"abc"],
    [b"SU", b"ab" * 4_000_000 + b"x"],
    [b"SU"],
    [b"SR"],
    [b"SR", b"x" * 4_000_000],
    [b"SD", b"x" * 2000],
    [b"T", b"x"],
    [b"T", b"x" * 4_000_000, b"task"],
    [b"T", b"id", b"task", b"more"],
    [b"RP"],
    [b"RP", b"answer", b"nobody"],
    [b"RP", b"answer", b"x" * 300],
    [b"RP", b"answer", b""],
    [b"V", b"key"],
    [b"V", b"key", b"value", b"one"],
    [b"V", pickle.dumps([]), pickle.dumps(1), pickle.dumps(b"one")],
    [b"V", pickle.dumps("key"), b"\x80\x04.", pickle.dumps(b"one")],
    [b"V", pickle.dumps("key"), pickle.dumps(1), pickle.dumps(b"another")],
    [b"RQ", b"more"],
    [b"S"],
    [b"S", b"more"],
    [b"C", CODE],
    [b"BI", b"y"],
    [b"TIMEOUT"],
    [b"RQ" * 2_000_000],
    [b""],
]
"""Messages of one that has come that no worker sends."""

NO_TASKS = [b"", b"garbage", pickle.dumps(7), b"\x80\x04.", b"." * 4_000_000]
"""What workers and the script cannot take as a task or an answer."""

NO_TASK = r"launch: a message to process \d+ is dropped: it holds no task"
NO_CONSTANT = r"launch: a constant for process \d+ is dropped: ModuleNotFoundError"


class TestOneHost:
    """A run of one host."""

    def test_nothing_listens_that_another_user_reaches(self, temporary, tmp_path):
        with running(tmp_path) as (process, said):
            assert process.stdout.readline() == "8555 3\n"
            place = Path(re.search(r"; broker in (\S+), for this user only", said)[1])
            assert place.parent == temporary
            found = place.lstat()
            assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o700, os.getuid())
            for one in own(process):
                assert [c for c in one.net_connections("inet") if c.status == psutil.CONN_LISTEN] == []
                abstract = [c.laddr for c in one.net_connections("unix") if str(c.laddr).startswith(("@", "\0"))]
                assert abstract == []
                assert str(place) not in " ".join(one.cmdline())
            assert messages_get_through(f"ipc://{place}/task")  # who may enter the folder may talk to it
            go_on(tmp_path)
            assert process.stdout.readline() == "8555\n"
            assert process.wait(20) == 0
        assert list(temporary.glob(f"{PREFIX}*")) == []

    def test_a_bad_message_is_dropped_with_one_line(self, temporary, tmp_path):
        """The messages of a peer that may enter the folder; a dozen of them once ended the broker or the run."""
        with running(tmp_path) as (process, said):
            assert process.stdout.readline() == "8555 3\n"
            place = re.search(r"broker in (\S+),", said)[1]
            origin = (tmp_path / "origin").read_bytes()
            context = zmq.Context()

            def peer(name):
                socket = context.socket(zmq.DEALER)
                socket.linger = 1000
                socket.identity = name
                socket.connect(f"ipc://{place}/task")
                return socket

            one = peer(b"one")
            for message in BEFORE_COMING:
                one.send_multipart(message)
            one.send_multipart([b"I", pickle.dumps({})])
            for message in BAD:
                one.send_multipart(message)
            lines = [process.stderr.readline() for _ in range(len(BEFORE_COMING) + len(BAD))]
            assert all(line.startswith("launch: a message to the broker is dropped: ") for line in lines), lines

            other = peer(origin)  # a name that is taken
            other.send_multipart([b"S"])
            name = pickle.dumps((b"one", 1), pickle.HIGHEST_PROTOCOL)
            for frame in NO_TASKS:
                one.send_multipart([b"T", name, frame])
                one.send_multipart([b"RP", frame, origin])
            one.send_multipart([b"V", pickle.dumps("name"), b"cnosuchmodule\nname\n.", pickle.dumps(b"one")])
            context.destroy(linger=1000)
            go_on(tmp_path)
            assert process.stdout.readline() == "8555\n"
            assert process.wait(20) == 0
            lines = process.stderr.read().splitlines()
            assert [len(re.findall(said, "\n".join(lines))) for said in (NO_TASK, NO_CONSTANT)] == [
                2 * len(NO_TASKS),
                3,
            ]
            assert len(lines) == 2 * len(NO_TASKS) + 3
            assert not (tmp_path / "run by the broker").exists()

    def test_runs_at_the_same_time_have_a_folder_each(self, temporary, tmp_path):
        with running(tmp_path / "a") as (first, one), running(tmp_path / "b") as (second, other):
            assert one.split("broker in ")[1] != other.split("broker in ")[1]
            assert [process.stdout.readline() for process in (first, second)] == ["8555 3\n"] * 2
            go_on(tmp_path / "a")
            assert first.wait(20) == 0
            go_on(tmp_path / "b")
            assert second.stdout.readline() == "8555\n"
            assert second.wait(20) == 0


PLAIN = """
import os, sys, time, warnings
from {module} import {name}
warnings.simplefilter("ignore")
from scoop import futures
def square(x):
    time.sleep(0.05)
    return x * x
if __name__ == "__main__":
    print("the script begins", flush=True)
    for _ in range(2):
        print(sum({map}(square, range(30))), flush=True)
    print("the script waits", flush=True)
    while not os.path.exists("go"):
        time.sleep(0.05)
"""


@pytest.mark.parametrize(
    ("module", "name", "map"),
    [
        ("deap_nn.maps.scoop", "current_map", "current_map()"),
        ("deap_nn.maps", "open_map", "open_map().__enter__()"),
        ("deap_nn", "selLogRank", "futures.map"),
    ],
)
def test_under_scoops_own_launcher_only_its_broker_listens_which_is_said(tmp_path, module, name, map):
    """A user's script that imports the package at its top, and does nothing else for that."""
    (tmp_path / "script.py").write_text(PLAIN.format(module=module, name=name, map=map))
    command = [sys.executable, "-m", "scoop", "-n", "2", "script.py"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:
        lines = []
        try:
            while "the script waits\n" not in lines and (line := process.stdout.readline()):
                lines += [line] if "launcher" not in line and "Launching" not in line else []
            listening = {
                one.pid: len([c for c in one.net_connections("inet") if c.status == psutil.CONN_LISTEN])
                for one in own(process)
            }
        finally:
            go_on(tmp_path)
        lines += process.stdout.readlines()
    assert listening.pop(process.pid) == 2  # the broker is in the launcher
    assert set(listening.values()) == {0}
    said = (
        "script.py: warning: the broker of python -m scoop listens on every network interface and runs any code that "
        "it receives: use python -m deap_nn.launch script.py, which admits only this run's processes\n"
    )
    assert [line for line in lines if "launcher" not in line] == [
        "the script begins\n",
        said,
        *["8555\n"] * 2,
        "the script waits\n",
    ]


class TestFolder:
    """The folder of a run's sockets."""

    def test_what_killed_runs_left_is_removed_by_the_next(self, temporary):
        held, left = Folder(), Folder()
        (left.path / "task").write_text("")
        os.close(left._lock)  # as the end of its process does
        other = Folder()
        assert not left.path.exists()
        assert held.path.exists()
        for folder in (held, other):
            folder.close()
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize(
        "kind",
        ["fifo as lock", "link as lock", "folder as lock", "fifo", "link", "file", "open folder", "another's", "none"],
    )
    def test_something_else_by_that_name_is_neither_waited_for_nor_followed(self, temporary, monkeypatch, kind):
        odd, elsewhere = temporary / f"{PREFIX}odd", temporary / "elsewhere"
        elsewhere.mkdir(mode=0o700)
        (elsewhere / "lock").write_text("kept")
        odd.mkdir(mode=0o700)
        if kind == "fifo as lock":
            os.mkfifo(odd / "lock")
        elif kind == "link as lock":
            (odd / "lock").symlink_to(elsewhere / "lock")
        elif kind == "folder as lock":
            (odd / "lock").mkdir()
        elif kind in ("open folder", "another's"):
            (odd / "lock").write_text("")
            odd.chmod(0o777 if kind == "open folder" else 0o700)
        elif kind != "none":
            odd.rmdir()
            {"fifo": os.mkfifo, "link": lambda path: path.symlink_to(elsewhere), "file": Path.touch}[kind](odd)
        if kind == "another's":
            found, real = odd.lstat(), Path.lstat
            theirs = SimpleNamespace(st_mode=found.st_mode, st_uid=found.st_uid + 1)
            monkeypatch.setattr(Path, "lstat", lambda path: theirs if path == odd else real(path))
        threads = threading.Thread(target=sweep, args=(temporary,), daemon=True)
        threads.start()
        threads.join(10)
        assert not threads.is_alive()
        assert (elsewhere / "lock").read_text() == "kept"
        assert os.path.lexists(odd)
        if kind == "none":
            os.utime(odd, (0, time.time() - 2 * ABANDONED_SECONDS))
            sweep(temporary)
            assert not odd.exists()

    def test_a_path_that_is_too_long_for_a_socket_is_not_taken(self, monkeypatch, tmp_path):
        long = tmp_path / ("x" * 100)
        long.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(long))
        folder = Folder()
        assert folder.path.parent == Path("/tmp")
        with open(folder.path / "lock") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.close()
