"""What an evaluation may do: raise, return nonsense, take for ever. The run ends in order and names the child."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from deap import base, creator
from wirings import LAYOUT, sum_of_squares, wired

from deap_nn import WeightList, evolve, initNormal
from deap_nn.core.errors import WORST, EvaluationError
from deap_nn.process import time_limit as limits
from deap_nn.process.time_limit import time_limit
from deap_nn.runs import failing

creator.create("FitnessInLimitsTests", base.Fitness, weights=(1.0, -1.0))
creator.create("GenomeInLimitsTests", WeightList, fitness=creator.FitnessInLimitsTests)


class Faulty:
    """An evaluation that does something to one child of one generation."""

    leaves_weights = True

    def __init__(self, act, scores_groups=False):
        self.act, self.generation, self.scored, self.scores_groups = act, 0, 0, scores_groups

    def __call__(self, individual):
        place, self.scored = self.scored % 12, self.scored + 1
        values = sum_of_squares(individual)
        return self.act(values) if (self.generation, place) == (2, 7) else values

    def many(self, genomes):
        return self.act(None) if self.generation == 2 else [(float(np.square(genome).sum()),) for genome in genomes]


def divide(values):
    return (values[0] / 0,)


def outcome(act, breeding="recipes", **options):
    toolbox = wired(evaluate=Faulty(act))
    population, logbook = evolve(toolbox.population(n=12), toolbox, 3, seed=1, breeding=breeding, **options)
    return population, logbook


@pytest.mark.parametrize("breeding", ["recipes", "plain"])
def test_what_it_raises_names_generation_and_child(breeding):
    with pytest.raises(EvaluationError) as found:
        outcome(divide, breeding)
    assert str(found.value) == "generation 2, child 7: ZeroDivisionError: float division by zero"
    assert any("in divide" in note for note in found.value.__notes__)


def test_what_a_group_raises_names_its_children():
    toolbox = wired(evaluate=Faulty(divide, scores_groups=True))
    with pytest.raises(EvaluationError, match=r"^generation 2, child 0 to 4: TypeError"):
        evolve(toolbox.population(n=12), toolbox, 3, seed=1, group_size=5)


@pytest.mark.parametrize(
    "answer",
    [None, 3.0, "0.5", (), (1.0, 2.0), ("1",), (None,), np.array([1.0]), (np.array([1.0]),), {"fitness": 1.0}, (1j,)],
    ids=repr,
)
@pytest.mark.parametrize("breeding", ["recipes", "plain"])
def test_what_is_no_fitness_is_named(answer, breeding):
    with pytest.raises(EvaluationError, match=r"^generation 2, child 7: evaluate must return a tuple of 1 number"):
        outcome(lambda values: answer, breeding) if breeding == "plain" else outcome(Answer(answer))


class Answer:
    def __init__(self, answer):
        self.answer = answer

    def __call__(self, values):
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [np.nan, np.inf, -np.inf, 1e300, np.float32(np.nan), pytest.param(10**400, id="more than a float holds")],
    ids=repr,
)
def test_nan_and_infinity_are_the_worst_fitness(answer):
    _, logbook = outcome(Answer((answer,)))
    worst = logbook[2]["max"]
    assert worst == WORST
    assert np.isfinite([logbook[2][name] for name in ("min", "avg", "std", "max")]).all()
    assert logbook[2]["min"] < 1e6
    assert logbook[3]["max"] < 1e6  # it has no children


def test_the_worst_of_what_is_maximised_is_low():
    def evaluate(individual):
        return (np.nan, np.nan)

    toolbox = wired(evaluate=evaluate)
    toolbox.register("individual", initNormal, creator.GenomeInLimitsTests, LAYOUT)
    with pytest.warns(UserWarning, match="ErrorScaled needs an error that is minimised"):
        population, _ = evolve(toolbox.population(n=4), toolbox, 1, seed=1, breeding="plain")
    assert {member.fitness.values for member in population} == {(-WORST, WORST)}


def wait(values):
    time.sleep(60)


def test_what_takes_too_long_ends_the_run_and_is_no_fitness():
    begun = time.monotonic()
    with pytest.raises(EvaluationError, match=r"^generation 2, child 7: no fitness within 0.2 s$"):
        outcome(wait, timeout=0.2)
    assert time.monotonic() - begun < 30


def test_a_limit_that_is_kept_changes_nothing():
    population, logbook = outcome(Answer((1.0,)), timeout=100.0)
    expected, _ = outcome(Answer((1.0,)))
    assert [member.flat.tobytes() for member in population] == [member.flat.tobytes() for member in expected]
    assert len(logbook) == 4
    for bad in (0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="timeout must be a positive number of seconds"):
            outcome(divide, timeout=bad)
    with pytest.raises(ValueError, match="timeout needs breeding by recipes"):
        outcome(divide, breeding="plain", timeout=1.0)


def test_a_limit_leaves_an_alarm_of_the_user_as_it_was():
    def rings(*_):
        raise AssertionError

    before = signal.signal(signal.SIGALRM, rings)
    try:
        signal.setitimer(signal.ITIMER_REAL, 300, 7)
        with time_limit(600.0, "nothing"):
            time.sleep(0.1)
        left, every = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < left < 299.95
        assert every == pytest.approx(7, abs=0.01)
        assert signal.getsignal(signal.SIGALRM) is rings
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_limit_is_over_with_its_body():
    with time_limit(0.05, "nothing"):
        pass
    time.sleep(0.1)  # an alarm would end the test
    with time_limit(None, "nothing"):
        pass
    with pytest.raises(EvaluationError, match=r"slow: no fitness within 0\.05 s"), time_limit(0.05, "slow"):
        time.sleep(5)


STUCK = """
import hashlib, resource, signal
from deap_nn.process import time_limit as limits
{before}
limits.STUCK_SECONDS = 0.3
with limits.time_limit(0.2, "generation 5, child 1"):
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


HANG_UP_IGNORED = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"  # as under nohup
NO_QUEUES = "resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0)); signal.signal(signal.SIGHUP, signal.SIG_DFL)"


@pytest.mark.parametrize(
    ("before", "status"),
    [("", 1), (HANG_UP_IGNORED, 1), (NO_QUEUES, 1), (f"{NO_QUEUES}; {HANG_UP_IGNORED}", -signal.SIGKILL)],
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such queues")
def test_a_call_that_never_notices_ends_its_process(before, status):
    command = [sys.executable, "-c", STUCK.format(before=before)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    reason = "generation 5, child 1: no fitness within 0.2 s"
    assert (answer.returncode, answer.stdout, answer.stderr) == (status, "", f"error: {reason}\n")


FORKED = """
import hashlib, os, signal, time
from deap_nn.process import time_limit as limits
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # what ends a forked one, also where the tests run under nohup
limits.STUCK_SECONDS = 0.3
with limits.time_limit(9, "the parent"):
    pass
children = []
for i in range(5):
    children.append(os.fork())
    if not children[-1]:
        with limits.time_limit(9 if i < 4 else 0.2, f"child {i}"):
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1) if i == 4 else time.sleep(3)
        os._exit(0)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], flush=True)
with limits.time_limit(0.2, "the parent again"):
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such queues")
def test_processes_that_are_forked_have_limits_of_their_own():
    answer = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=False)
    assert (answer.returncode, answer.stdout) == (1, "[0, 0, 0, 0, 1]\n")
    reasons = [f"error: {who}: no fitness within 0.2 s" for who in ("child 4", "the parent again")]
    assert answer.stderr.splitlines() == reasons


LOOKING_ON = """
from pathlib import Path
from deap_nn.process import time_limit as limits
opened = []
for i in range(5):
    limits.to_tell[:] = [("", f"/nowhere/{i}")]
    with limits.time_limit(9, "it"):
        names = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        opened.append(sum(name.startswith("/deap_nn-") for name in names))
print(opened)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows here what is open")
def test_the_watchdog_leaves_nothing_open():
    answer = subprocess.run([sys.executable, "-c", LOOKING_ON], capture_output=True, text=True, timeout=60, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "[1, 1, 1, 1, 1]\n", "")


def test_a_call_that_notices_late_is_too_late(monkeypatch):
    monkeypatch.setattr(limits, "STUCK_SECONDS", 60.0)  # a busy machine may take several times the seconds aimed at
    begun = time.monotonic()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000)
    rounds = int(100_000 * 1.5 / (time.monotonic() - begun))
    with pytest.raises(EvaluationError, match=r"slow: no fitness within 0\.2 s"), time_limit(0.2, "slow"):
        hashlib.pbkdf2_hmac("sha256", b"", b"", rounds)


HOLDING = """
import collections, itertools, json, pathlib, sys
from deap_nn.process import time_limit as limits
limits.STUCK_SECONDS = 1.0
status = pathlib.Path(sys.argv[1])
status.write_text(json.dumps({"state": "running", "generations": 4}))
limits.to_tell.append((sys.argv[2], str(status)))
with limits.time_limit(100.0, "generation 5, child 0"):
    pass
with limits.time_limit(0.2, "generation 5, child 1"):
    collections.deque(itertools.repeat(0), maxlen=0)  # lets neither a signal nor a thread come in
"""


def test_a_call_that_holds_python_itself_is_named_and_ends_its_process(tmp_path):
    status = tmp_path / "status.json"
    command = [sys.executable, "-c", HOLDING, status, failing.__file__]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    reason = "generation 5, child 1: no fitness within 0.2 s"
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", f"error: {reason}\n")
    assert json.loads(status.read_text()) == {"state": "failed", "generations": 4, "error": reason}
    assert list(tmp_path.iterdir()) == [status]


STOPPED = """
import time
from deap_nn.process import time_limit as limits
limits.STUCK_SECONDS = 0.3
with limits.time_limit(2.0, "it"):
    before = now = time.monotonic()
    print("begun", flush=True)
    while now - before < 3.0:  # until it was stopped for so long
        before, now = now, time.monotonic()
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells here who is stopped")
def test_a_process_that_was_stopped_has_its_time_again():
    process = subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(5)
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=60) == ("done\n", None)
    assert process.returncode == 0


def test_a_limit_needs_no_watchdog(monkeypatch):
    def fail(*arguments, **options):
        raise OSError("no more processes")

    limits._watchdog.cache_clear()
    monkeypatch.setattr(limits.subprocess, "Popen", fail)
    warned = pytest.warns(UserWarning, match="no watchdog was started, .* is not ended: no more processes")
    with warned, pytest.raises(EvaluationError, match="it: no fitness"), time_limit(0.1, "it"):
        time.sleep(5)
    limits._watchdog.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells here whose children there are")
def test_the_watchdog_ends_with_the_process_it_watches():
    code = "import os\nfrom deap_nn.process.time_limit import time_limit\n"
    code += "with time_limit(9, 'it'): print(open(f'/proc/self/task/{os.getpid()}/children').read(), flush=True)\n"
    code += "os._exit(3)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    onlooker = int(answer.stdout)
    until = time.monotonic() + 10
    while Path(f"/proc/{onlooker}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{onlooker}").exists()
