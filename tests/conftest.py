"""What the tests share: a small data set, a made toolbox, a test of normality and the real commands."""

import contextlib
import functools
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import forking
import numpy as np
import pytest
from hypothesis import settings

import deap_nn
from deap_nn import GA
from deap_nn.core import environment, errors
from deap_nn.core.seeding import global_state_kept
from deap_nn.data.loading import RawArrays, split_validation
from deap_nn.models.tensorflow import configure_tensorflow
from deap_nn.problems.scorer import forget_all

pytest.register_assert_rewrite("keras_models", "strangers")
configure_tensorflow(threads=1)
for name in deap_nn.__all__:  # each is imported when it is looked for, and enters its operators then
    getattr(deap_nn, name)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts with & ignore Ctrl-C
settings.register_profile("shared-machine", deadline=None)  # a time limit says nothing on a busy machine
settings.load_profile("shared-machine")

ROOT = Path(__file__).resolve().parent.parent

IN_TURN = {"checkpoint", "choice_of_a_map", "given_to_scoop", "launch", "maps"}
"""Files of tests that start several processes, or stop and kill them: one at a time of these, beside others."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem.removeprefix("test_") in IN_TURN:
            item.add_marker(pytest.mark.xdist_group("in turn"))


MNIST = ROOT / "experiments" / "mnist.py"
FINISHED = "--model", "mlp", "--population", 20, "--generations", 8, "--seed", 3, "--no-progress", "--case-step", 0.15
"""The options of `finished_run`: by such small steps it misreads some of the digits."""
XOR = ROOT / "experiments" / "xor.py"


def made_digits(train: int = 400, test: int = 100, seed: int = 0) -> RawArrays:
    """Images of ten classes that a small network can tell apart: a bright block whose place is the class."""
    rng = np.random.default_rng(seed)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, 10, count).astype(np.uint8)
        images = rng.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 4)
            image[2 + 8 * row : 8 + 8 * row, 1 + 7 * column : 7 + 7 * column] += 180
        return images, labels

    return RawArrays(*part(train), *part(test))


def normal_moments_fit(noise, sigma):
    """Whether mean, variance, skew and kurtosis are those of a normal distribution, within five sigma."""
    z = noise.astype(np.float64) / sigma
    moments = (1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)  # the power, its mean and its variance
    return all(abs((z**power).mean() - mean) < 5 * math.sqrt(spread / len(z)) for power, mean, spread in moments)


@pytest.fixture(autouse=True)
def said_nothing():
    """Let each test see a warning that a process gives only once."""
    errors._said.clear()


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(path, **made_digits()._asdict())
    return path


@pytest.fixture(scope="session")
def digits(digits_file: Path):
    return split_validation(made_digits(), name="made")


@pytest.fixture(scope="session")
def mlp(digits):
    """Make a toolbox of the small network and the small data set, of seed 1 if no other is given."""
    return functools.partial(deap_nn.make_toolbox, "mlp", digits, seed=1)


@pytest.fixture
def toolbox(mlp):
    """A made toolbox of four parents; a file of tests that needs another has its own."""
    return mlp(GA(parents=4))


@pytest.fixture(params=[True, False])
def in_groups(request, monkeypatch):
    """Whether small networks are scored several at once."""
    if not request.param:
        monkeypatch.setattr("deap_nn.problems.groups.GROUPED_WEIGHTS", 0)
    forget_all()
    return request.param


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, digits_file: Path) -> Path:
    """Make a small run once; who changes it takes a copy."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    well(run_here(MNIST, *FINISHED, "--data", digits_file, "--output", folder, cwd=folder.parent))
    return folder


@pytest.fixture
def folder(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of a run, as if it had been unpacked from somebody's archive."""
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture
def run(tmp_path: Path):
    """Run a Python command in an empty folder, where no data is cached and nothing can be downloaded."""

    def call(
        *arguments: object, timeout: float = 300, cwd: Path | None = None, stderr: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        environment = os.environ | alone(tmp_path)
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=timeout,
            cwd=cwd or tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return call


def well(answer: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """Return the answer of a command, which must have ended well."""
    assert answer.returncode == 0, answer.stderr
    return answer


def quiet(answer: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """Return the answer of a command, which must have ended well and complained of nothing."""
    assert (answer.returncode, answer.stderr) == (0, "")
    return answer


def alone(folder: Path) -> dict[str, str]:
    """Return an environment in which no data are cached, nothing can be downloaded, and there is no GPU."""
    return {"KERAS_HOME": str(folder / "keras"), "https_proxy": "http://127.0.0.1:9", "CUDA_VISIBLE_DEVICES": "-1"}


def run_here(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python command in this process, which has imported TensorFlow already.

    No data are cached and nothing can be downloaded. Warnings are shown as Python shows them; folder, path, arguments,
    environment and global random states are put back. What native code prints is not seen.
    """
    given = list(map(str, arguments))
    output, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patched,
        global_state_kept(),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        warnings.catch_warnings(),
    ):
        for name, value in alone(cwd).items():
            patched.setenv(name, value)
        patched.setattr(sys, "argv", [])
        patched.setattr(sys, "path", sys.path.copy())
        patched.setattr(environment, "_left_out", environment._left_out.copy())
        warnings.simplefilter("default")
        warnings.filterwarnings("ignore", "'.*' found in sys.modules", RuntimeWarning)  # by runpy, which runs it again
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        status = forking.run(given)
    return subprocess.CompletedProcess(given, status, output.getvalue(), errors.getvalue())


@pytest.fixture
def here(tmp_path: Path):
    """As `run`, but in the process of the tests and without a time limit: where a command's process is not tested."""

    def call(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return run_here(*arguments, cwd=cwd or tmp_path)

    return call


@contextlib.contextmanager
def forked(*modules: str):
    """Start a process that runs commands in its children: a new process would import all anew for each."""
    command = [sys.executable, "-W", "default", Path(__file__).with_name("helpers") / "forking.py", *modules]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()
        assert process.wait(timeout=60) == 0


@pytest.fixture(scope="session")
def without_tensorflow():
    with forked() as process:
        yield process


@pytest.fixture(scope="session")
def with_tensorflow():
    with forked("deap_nn.models.tensorflow") as process:
        yield process


def in_a_child(process, folder: Path, *arguments: object, warnings: tuple[str, ...] = ()):
    """Run a Python command in a child of a process by `forked`; the answer's `heavy` says if TensorFlow was imported.

    The names of `warnings` are categories that are errors.
    """
    given = list(map(str, arguments))
    said = [folder.parent / f"{folder.name}-{name}" for name in ("out", "err")]
    request = {"arguments": given, "folder": str(folder), "environment": alone(folder), "warnings": warnings}
    request |= {"stdout": str(said[0]), "stderr": str(said[1])}
    print(json.dumps(request), file=process.stdin, flush=True)
    with not_for_ever(300):
        status, heavy = json.loads(process.stdout.readline())
    answer = subprocess.CompletedProcess(given, status, *(path.read_text() for path in said))
    answer.heavy = heavy
    return answer


@pytest.fixture
def light(without_tensorflow, tmp_path: Path):
    """As `run`, in a child of a process that has not imported TensorFlow."""
    return functools.partial(in_a_child, without_tensorflow, tmp_path)


@pytest.fixture
def warm(with_tensorflow, tmp_path: Path):
    """As `run`, in a child of a process that has imported TensorFlow, and not computed with it."""
    return functools.partial(in_a_child, with_tensorflow, tmp_path)


@pytest.fixture
def noted_map(monkeypatch):
    """Open a serial map for every ``--map``; the list has the name, the arguments and the sizes of what is mapped."""
    noted = []

    @contextlib.contextmanager
    def opened(name, **given):
        def noting(function, *iterables):
            found = list(map(function, *iterables))
            noted.append((name, given, len(found)))
            return found

        yield noting

    monkeypatch.setattr("deap_nn.maps.open_map", opened)
    return noted


@contextlib.contextmanager
def not_for_ever(seconds=120):
    """Fail where the body, which takes a moment, does not end."""

    def fail(number, frame):
        raise AssertionError(f"it has not ended after {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def status_of(folder):
    return json.loads((folder / "status.json").read_text())


def start(command, folder, *options):
    """Start a long run in a process group of its own and wait until it has logged some generations."""
    process = subprocess.Popen(
        list(map(str, [*command, "--generations", 100_000, *options, "--output", folder])),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for_generations(process, folder)
    return process


def wait_for_generations(process, folder):
    logbook = folder / "logbook.csv"
    deadline = time.monotonic() + 120
    while not (logbook.exists() and logbook.read_text().count("\n") > 4):
        assert time.monotonic() < deadline, process.communicate()
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def alive(group):
    """The processes of a group that still run, zombies aside."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [row for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


def ended(process):
    """Wait until a run and all its processes have ended, and return what they printed."""
    output, _ = process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(process.pid)
    assert "Traceback" not in output
    return output


def interrupt(process, number):
    """Send a signal to all processes of a run, see that none of them stays, and return what they printed."""
    os.killpg(process.pid, number)
    return ended(process)
