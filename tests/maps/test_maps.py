"""Maps other than SCOOP's: the same bytes, the number of workers, and how they end."""

import os
import pickle
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from conftest import FINISHED, MNIST, XOR, alive, ended, interrupt, quiet, start, status_of, well

from deap_nn import Individual, open_map
from deap_nn.breeding import task as genome_tasks
from deap_nn.breeding.task import UnknownPartError, unpickled
from deap_nn.core import environment
from deap_nn.core.errors import EvaluationError
from deap_nn.maps import dask
from deap_nn.maps.tasks import SharedMap
from deap_nn.process import workers

KEPT = ("logbook.csv", "best.npz", "trace.npz")

SCRIPT = Path(__file__).with_name("own_script.py")


def test_processes_give_the_bytes_of_one(warm, tmp_path, digits_file, finished_run):
    chosen = ["--map", "processes", "--workers", 2]
    quiet(warm(MNIST, *FINISHED, "--data", digits_file, "--output", tmp_path / "run", *chosen))
    for name in KEPT:
        assert (tmp_path / "run" / name).read_bytes() == (finished_run / name).read_bytes()
    config = (tmp_path / "run" / "config.json").read_text()
    assert '"workers": 2' in config
    assert '"map"' not in config


def test_a_script_of_ones_own_gives_the_same_with_each(run):
    serial = well(run(SCRIPT, "serial", "", "{}"))
    assert serial.stdout.startswith("1 workers: [")
    processes = run(SCRIPT, "processes", "", '{"workers": 2}')
    assert processes.stdout == serial.stdout.replace("1 workers", "2 workers"), processes.stderr


GUARDED = """
import os
import keras, numpy as np
from deap_nn import KerasProblem, evolve, make_toolbox, open_map
from deap_nn.breeding.slots import default_place

def run(problem, map_=map):
    toolbox = make_toolbox(problem, seed=1, batch_size=20)
    toolbox.register("map", map_)
    return evolve(toolbox.population(n=6), toolbox, 2, seed=1)[1].select("min", "val_error")

def problem(seed):
    x = np.random.default_rng(seed).standard_normal((30_000, 3))  # more than a pipe takes at a time
    return KerasProblem(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), x, (x[:, 0] > 0).astype(int))

if __name__ == "__main__":
    one, other = os.getpid(), os.getpid() + 1  # data that no other run of this script has
    first = problem(one)
    before = set(default_place().glob("deap_nn-*/*"))
    with open_map("processes", workers=1) as map_:
        there = [run(first, map_)]
        second = problem(other)  # made while there are workers
        there += [run(second, map_)]
        first.release()
        there += [run(second, map_)]
        folder, = {path.parent for path in set(default_place().glob("deap_nn-*/*")) - before if len(path.name) == 32}
        there += [len(list(folder.iterdir())), run(problem(one), map_)]
    print(there == [run(problem(one)), run(second), run(second), 2, run(problem(one))], folder.exists())
"""


def test_processes_are_lent_what_the_script_makes_as_it_runs(warm, tmp_path):
    (tmp_path / "script.py").write_text(GUARDED)
    answer = warm(tmp_path / "script.py")
    assert (answer.returncode, answer.stdout) == (0, "True False\n"), answer.stderr


THREADS = """
import threading
from deap_nn.maps import open_map

if __name__ == "__main__":
    with open_map("processes", workers=1) as map_:
        for _ in range(2):
            thread = threading.Thread(target=lambda: print(list(map_(abs, [-1, -2]))))
            thread.start()
            thread.join()
"""


def test_processes_outlive_the_thread_that_started_them(run, tmp_path):
    (tmp_path / "script.py").write_text(THREADS)
    answer = run(tmp_path / "script.py")
    assert (answer.returncode, answer.stdout) == (0, "[1, 2]\n" * 2), answer.stderr


def test_what_a_notebook_defines_goes_to_processes_by_itself(monkeypatch):
    main = ModuleType("__main__")  # no file, as under a kernel
    exec("def doubled(x):\n    return 2 * x", vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    with open_map("processes", workers=1) as map_:
        assert list(map_._map(main.doubled, [1, 2])) == [2, 4]
    content = pickle.dumps(main.doubled)
    del main.doubled
    with pytest.raises(
        UnknownPartError, match=r"cannot find a class or function of a task \(Can't get attribute 'doubled'"
    ):
        unpickled(content)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("raise", "EvaluationError: generation 0, child [0-9]+: ZeroDivisionError: division by zero"),
        ("die", "MapError: processes: a worker was killed: start fewer workers if memory ran out"),
    ],
)
def test_a_worker_that_fails_is_reported_in_a_line(run, fault, line):
    answer = run(SCRIPT, "processes", fault, '{"workers": 2}')
    assert answer.returncode == 1
    assert re.fullmatch(f"own_script.py: error: {line}\n", answer.stderr), answer.stderr


UNGUARDED = """
import os, sys, time
from pathlib import Path
from deap_nn import open_map

options, failed = {"workers": 2} if sys.argv[1] == "processes" else {}, Path(__file__).with_suffix(f".{sys.argv[1]}")
try:
    with open_map(sys.argv[1], **options) as map_:
        print(list(map_(abs, [-1, -2])))
except Exception:
    failed.write_text(str(os.getpid()))
    raise
# SCOOP's first worker can do all tasks before the second one imports this script.
while not failed.exists() or Path("/proc", failed.read_text()).exists():
    time.sleep(0.1)
"""


def test_a_script_without_a_main_guard_gets_an_error_that_says_so(run, warm, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    why = f'each worker runs {script} as it imports it: put what the script does under if __name__ == "__main__":'
    answer = warm(script, "processes")
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1] == f"deap_nn.core.errors.MapError: processes: {why}"
    assert answer.stderr.count("Traceback") == 1
    answer = run("-m", "deap_nn.launch", "-n", 2, script, "scoop")
    assert f"cannot import {script}: MapError: scoop: {why}\n" in answer.stderr


PROCESSES = ["--map", "processes", "--workers", 2]


def test_processes_end_in_order_when_interrupted(tmp_path):
    process = start([sys.executable, XOR], tmp_path / "run", "--population", 2, *PROCESSES)
    assert len(alive(process.pid)) > 2
    output = interrupt(process, signal.SIGINT)
    assert process.returncode == 130, output
    assert status_of(tmp_path / "run")["state"] == "interrupted"


def test_processes_end_with_the_one_that_started_them(tmp_path):
    process = start([sys.executable, XOR], tmp_path / "run", "--population", 2, *PROCESSES)
    process.kill()
    ended(process)


def test_a_map_says_how_many_share_its_work():
    assert workers.worker_count(map) == 1
    with open_map("serial") as map_:
        assert map_ is map
    with open_map() as map_:
        assert map_ is map
    with open_map("processes", workers=3) as map_:
        assert workers.worker_count(map_) == workers.worker_count(partial(map_)) == 3
    with open_map("processes") as map_:
        assert workers.worker_count(map_) == environment.processors()


def test_an_error_in_the_body_ends_the_processes():
    def break_off():
        with open_map("processes", workers=1) as map_:
            assert list(map_(signal.getsignal, [signal.SIGINT])) == [signal.SIG_IGN]  # Ctrl-C is for this process
            raise KeyError(*map_(process_id, [0]))

    with pytest.raises(KeyError) as caught:
        break_off()
    with pytest.raises(ProcessLookupError):
        os.kill(caught.value.args[0], 0)


class OddError(Exception):
    """An exception that cannot be unpickled: pickle calls it with its one argument, the message."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")

    def __reduce__(self):  # Dask lets other exceptions unpickle without a call
        return OddError, self.args


def raise_odd(_):
    raise OddError("a", "b")


def test_an_error_that_cannot_be_sent_is_named():
    with open_map("processes", workers=1) as map_:
        with pytest.raises(EvaluationError, match=r"^a task: OddError: a and b"):
            list(map_(raise_odd, [1]))
        with pytest.raises(ZeroDivisionError):
            list(map_(inverse, [0]))
    with pytest.raises(EvaluationError, match=r"^a task: OddError: a and b"):
        list(SharedMap(map)(raise_odd, [Individual([[1.0]])]))


def inverse(x):
    return 1 / x


def process_id(_):
    return os.getpid()


def test_a_run_that_ends_waits_for_the_task_of_another(monkeypatch):
    """Workers of a shared Dask cluster forget a run between tasks, not while one makes use of what they hold."""

    monkeypatch.setattr(dask, "BUSY_SECONDS", 0.05)
    forgotten = []
    monkeypatch.setattr(genome_tasks, "forget", lambda: forgotten.append(genome_tasks.busy._is_owned()))
    monkeypatch.setattr(dask.registry, "lend", forgotten.append)
    with ThreadPoolExecutor(1) as other:
        other.submit(genome_tasks.busy.acquire).result()
        dask._forget()
        assert not forgotten
        other.submit(genome_tasks.busy.release).result()
    dask._forget()
    assert forgotten == [True, {}]
    assert genome_tasks.busy.acquire(blocking=False)
    genome_tasks.busy.release()
