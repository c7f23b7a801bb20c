"""What each map costs a child, beside breeding and scoring: sending, answering, waiting and the main process' own work.

Run it with ``python benchmarks/maps.py`` where the extras ``dask``, ``ray`` and ``mpi`` are installed, and ``mpiexec``.
Generations of 200 members of the CNN run with each map and two workers on this host. Each worker notes how long it
takes for its tasks, which are breeding and scoring; the rest of a generation is its time less that of the tasks by the
number of workers, a child. Of "serial" it is the main process' own work alone.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

from common import SCOOP, finished, quiet, run

from deap_nn import GA, Callback, evolve, make_toolbox, open_map
from deap_nn.maps import MAPS, STARTING
from deap_nn.maps.scoop import prepare_worker
from deap_nn.process import workers

prepare_worker()

MEMBERS, GENERATIONS, SKIPPED = 200, 10, 3
WORKERS = 2
RANKS = ("mpiexec", "-n", WORKERS + 1)
MPI = {  # Open MPI starts neither as root nor more ranks than there are cores, unless it is told to
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


class Noted:
    """Do a task, and note how long it took."""

    may_be_done_twice = True

    def __init__(self, function, folder):
        self.function = function
        self.folder = folder

    def __call__(self, task):
        begun = time.perf_counter()
        answer = self.function(task)
        with open(Path(self.folder, str(os.getpid())), "a") as file:
            file.write(f"{time.perf_counter() - begun}\n")
        return answer


class NotingMap:
    """A map whose tasks note how long they took."""

    def __init__(self, map_, folder):
        self._map = map_
        self._folder = folder
        self.workers = workers.worker_count(map_)
        self.dumps = workers.pickler(map_)

    def __call__(self, function, tasks):
        return self._map(Noted(function, self._folder), tasks)

    def noted(self):
        """Return the seconds of all tasks so far."""
        return sum(float(line) for path in Path(self._folder).iterdir() for line in path.read_text().split())


class Rest(Callback):
    """Note what of each generation is neither breeding nor scoring."""

    def __init__(self, map_):
        self.map = map_
        self.seconds = []
        self.last = None

    def on_generation(self, evolution):
        now = time.perf_counter(), self.map.noted()
        if self.last is not None:
            self.seconds.append(now[0] - self.last[0] - (now[1] - self.last[1]) / self.map.workers)
        self.last = time.perf_counter(), now[1]


def once(name: str, folder: str) -> None:
    """Print the milliseconds of a child with a map."""
    toolbox = make_toolbox("mnist_deep", "mnist5k", GA(), seed=1)
    with open_map(name, workers=WORKERS if name in STARTING else None) as map_:
        noting = NotingMap(map_, folder)
        toolbox.register("map", noting)
        rest = Rest(noting)
        evolve(toolbox.population(n=MEMBERS), toolbox, GENERATIONS, seed=1, callbacks=[rest])
    print(json.dumps({"rest": 1e3 * statistics.median(rest.seconds[SKIPPED - 1 :]) / MEMBERS}))


def measure(folder: Path) -> dict[str, float]:
    """Measure once with each map."""
    rows = {}
    for name in MAPS:
        (folder / name).mkdir()
        prefix = {
            "scoop": (sys.executable, *SCOOP),
            "mpi": (*RANKS, sys.executable, "-m", "mpi4py.futures"),
        }.get(name, (sys.executable,))
        output = finished(quiet((*prefix, __file__, "--once", name, folder / name), env=os.environ | MPI))
        (line,) = (line for line in output.splitlines() if line.startswith('{"rest"'))
        rows[name] = json.loads(line)["rest"]
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        once(*sys.argv[2:])
    else:
        run(__file__, measure, unit="milliseconds a child of the CNN, beside breeding and scoring")
