"""Only a run's own processes reach its broker: on one host by a folder, on several by a key."""

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

from deap_nn.maps.scoop import repairs
from deap_nn.maps.scoop.messages import reason_to_drop
from deap_nn.maps.scoop.sockets import PREFIX, Endpoint, Folder, public_broker, sweep, worker_name
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


def messages_get_through(address, endpoint=None, *, seconds=1.0):
    """Whether a broker answers to one who comes, as a worker does."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    if endpoint is not None:
        endpoint.secure(socket)
    try:
        socket.connect(address)
        socket.send_multipart([b"I", pickle.dumps({})])
        return bool(socket.poll(int(1000 * seconds)))
    finally:
        context.destroy(linger=0)


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


TASK = b"\x80\x04\x8c\x0cscoop._types\x94\x8c\x06Future\x94\x93\x94)\x81\x94."
"""A pickle, well formed, of a task."""


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


@pytest.fixture(scope="module")
def broker():
    """Where a broker listens by TCP, here for one host only."""
    broker, endpoint = public_broker("127.0.0.1")

    def run():
        while True:
            try:
                return broker.run()
            except zmq.ZMQError as error:  # a test has gone before its last answer: the launcher's broker goes on too
                if error.errno != zmq.EHOSTUNREACH:
                    raise

    threading.Thread(target=run, daemon=True).start()
    yield endpoint
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    endpoint.secure(socket)
    socket.connect(endpoint.task)
    socket.send(b"S")
    context.destroy(linger=1000)


class TestSeveralHosts:
    """Who gets through to a broker that listens by TCP."""

    def test_the_key_of_the_run_is_let_in_and_no_other(self, broker):
        server = broker.server
        public, secret = (key.decode() for key in zmq.curve_keypair())
        assert messages_get_through(broker.task, broker, seconds=10)
        assert not messages_get_through(broker.task)
        assert not messages_get_through(broker.task, Endpoint(broker.task, broker.info, server, public, secret))
        other = zmq.curve_keypair()[0].decode()
        wrong = Endpoint(broker.task, broker.info, other, broker.public, broker.secret)
        assert not messages_get_through(broker.task, wrong)
        assert messages_get_through(broker.task, broker, seconds=10)

    def test_news_of_the_run_are_for_those_with_the_key(self, broker):
        public, secret = (key.decode() for key in zmq.curve_keypair())
        context = zmq.Context()

        def socket_of(kind, endpoint, address):
            socket = context.socket(kind)
            socket.linger = 0
            if endpoint is not None:
                endpoint.secure(socket)
            if kind == zmq.SUB:
                socket.subscribe(b"")
            socket.connect(address)
            return socket

        endpoints = [broker, None, Endpoint(broker.task, broker.info, broker.server, public, secret)]
        news, *others = (socket_of(zmq.SUB, endpoint, broker.info) for endpoint in endpoints)
        sender = socket_of(zmq.DEALER, broker, broker.task)
        try:
            heard, until = 0, time.monotonic() + 60
            while heard < 10:
                assert time.monotonic() < until
                sender.send_multipart([b"V", b"key", b"value", b"name"])
                heard += bool(news.poll(100) and news.recv_multipart())
            assert not any(other.poll(100) for other in others)
        finally:
            context.destroy(linger=0)


def test_names_of_workers_differ():
    assert len({worker_name() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ([b"new", b"I", pickle.dumps({})], None),
        ([b"w", b"RQ"], None),
        ([b"w", b"T", b"id", b"task"], None),
        ([b"w", b"RP", b"answer", b"host:1:ab"], None),
        ([b"w", b"V", pickle.dumps("key"), pickle.dumps([1]), pickle.dumps(b"w", 5)], None),
        ([b"host:1:ab", b"S"], None),
        ([b"w", b"S"], "only the script's own process ends a run"),
        ([b"w"], "it is no message of a worker"),
        ([b"new", b"RQ"], "its sender is no worker of this run"),
        ([b"w", b"T", b"id"], "it has 3 frames"),
        ([b"w", b"T", b"x" * 1025, b"task"], "it names no task"),
        ([b"w", b"RP", b"answer", b"new"], "it is for no worker of this run"),
        ([b"w", b"V", pickle.dumps(1), pickle.dumps(1), pickle.dumps(b"w")], "it holds no constant"),
        ([b"w", b"I", pickle.dumps([])], "it has other settings than a worker's"),
    ],
)
def test_what_a_broker_cannot_take_has_a_reason(message, said):
    assert reason_to_drop(message, {b"w", b"host:1:ab"}, b"host:1:") == said


@pytest.mark.parametrize(
    ("message", "dropped", "requests"),
    [
        ([b"T", b"garbage"], True, 1),
        ([b"RP", b"garbage", b"name"], True, 0),
        ([b"T", TASK], False, 0),  # the script's fault, which it hears of
        ([b"SA", b"garbage", b"N"], False, 0),
        ([], False, 0),
    ],
)
def test_a_worker_that_drops_a_task_asks_for_another(capsys, message, dropped, requests):
    asked = []

    def receive():
        raise AttributeError("no such class")

    socket = SimpleNamespace(received=message)
    communicator = SimpleNamespace(
        socket=socket, _recv=receive, pumpInfoSocket=None, sendRequest=lambda: asked.append(1)
    )
    repairs._forgive(communicator)
    with contextlib.nullcontext() if dropped else pytest.raises(AttributeError, match="no such class"):
        assert communicator._recv() is None
    assert len(asked) == requests
    assert len(capsys.readouterr().err.splitlines()) == dropped
    assert not communicator.receiving


def test_an_endpoint_is_one_line():
    endpoint = Endpoint("tcp://a:1", "tcp://a:2", "s", "p", "q")
    assert Endpoint.from_text(endpoint.to_text()) == endpoint
    assert "\n" not in endpoint.to_text()
