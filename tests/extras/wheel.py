"""Use wheel and sdist as a new user would: in a fresh environment, in an empty folder, without the source tree.

``python tests/extras/wheel.py dist/*.whl dist/*.tar.gz`` does so with each Python that is there, and stops with the
first thing that does not work.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CONSTRAINTS, WITHOUT = TESTS.parent / "constraints.txt", TESTS / "helpers" / "without_tensorflow.py"

KERAS = """
import keras, numpy as np
from deap_nn import KerasProblem, RunDirectory, evolve, make_toolbox

x = np.random.default_rng(1).standard_normal((600, 4)).astype("float32")
y = (x[:, 0] * x[:, 1] > 0).astype(int)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(2)])
problem = KerasProblem(model, x, y, loss="cross_entropy")
toolbox = make_toolbox(problem, seed=1)
with RunDirectory("mine", settings={"seed": 1}) as directory:
    population, logbook = evolve(toolbox.population(n=100), toolbox, 100, callbacks=[directory])
model = keras.models.load_model("mine/best.keras")
right = (model.predict(x, verbose=0).argmax(axis=1) == y).mean()
assert right > 0.8, right
"""

DEAP = """
import random
import numpy as np
from deap import algorithms, base, creator, tools
from deap_nn import Layout, WeightList, cxMask, initScaled, mutGaussianAdaptive, selRankBoosted, to_csv

random.seed(1)
creator.create("FitnessMin", base.Fitness, weights=(-1.0,))
creator.create("Individual", WeightList, fitness=creator.FitnessMin)
layout, rng = Layout(("w1", "b1", "w2"), ((2, 8), (8,), (8, 1))), np.random.default_rng(1)
x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), np.array([[0], [1], [1], [0.0]])
toolbox = base.Toolbox()
toolbox.register("individual", initScaled, creator.Individual, layout, rng=rng)
toolbox.register("population", tools.initRepeat, list, toolbox.individual)
toolbox.register("evaluate", lambda w: (float(np.mean((np.tanh(x @ w[0] + w[1]) @ w[2] - y) ** 2)),))
toolbox.register("mate", cxMask, rng=rng)
toolbox.register("mutate", mutGaussianAdaptive, sigma=0.1, rng=rng)
toolbox.register("select", selRankBoosted, parents=20, rng=rng)
hall = tools.HallOfFame(1)
_, logbook = algorithms.eaSimple(toolbox.population(n=100), toolbox, 0.9, 1.0, 60, halloffame=hall, verbose=False)
to_csv(logbook, "logbook.csv")
assert hall[0].fitness.values[0] < 0.05, hall[0].fitness
"""

SWEEP = """
from deap_nn import ES, GA, RunDirectory, evolve, make_toolbox, read_runs

for algorithm in (GA(), ES()):
    for seed in (1, 2):
        toolbox = make_toolbox("mlp", "mnist5k", algorithm, seed=seed)
        name = algorithm.name
        with RunDirectory(f"sweep/{name}-{seed}", settings={"seed": seed, "preset": name}) as directory:
            evolve(toolbox.population(n=30), toolbox, 10, callbacks=[directory])
frame = read_runs("sweep").to_dataframe()
print(frame.groupby(["preset", "gen"])["val_error"].median().unstack(0).tail(3))
assert len(frame) == 4 * 11
"""

DASK = """
from deap_nn import evolve, make_toolbox, open_map

toolbox = make_toolbox("mlp", "mnist5k", seed=1)
if __name__ == "__main__":
    from dask.distributed import LocalCluster

    _, serial = evolve(toolbox.population(n=20), toolbox, 3, seed=1)
    again = make_toolbox("mlp", "mnist5k", seed=1)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with open_map("dask", address=cluster.scheduler_address) as map_:
            again.register("map", map_)
            _, shared = evolve(again.population(n=20), again, 3, seed=1)
    assert serial == shared
"""

TYPED = """
import keras  # type: ignore[import-untyped]  # Keras has no types
import numpy as np
from deap import tools  # type: ignore[import-untyped]  # DEAP has no types

from deap_nn import Callback, Evolution, Individual, KerasProblem, RunDirectory, evolve, make_toolbox, open_map
from deap_nn import read_run, to_csv


class Noting(Callback):
    def on_generation(self, evolution: Evolution) -> None:
        print(evolution.row["min"])


def run(seed: int) -> Individual:
    x = np.random.default_rng(seed).standard_normal((60, 4)).astype(np.float32)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    problem = KerasProblem(model, x, (x[:, 0] > 0).astype(int), loss="cross_entropy")
    toolbox = make_toolbox(problem, seed=seed)
    statistics = tools.Statistics(lambda individual: individual.fitness.values[0])
    statistics.register("median", np.median)
    with open_map("serial") as map_, RunDirectory(f"typed-{seed}") as directory:
        toolbox.register("map", map_)
        population, logbook = evolve(
            toolbox.population(n=6), toolbox, 2, stats=statistics, callbacks=[Noting(), directory]
        )
    to_csv(logbook, "typed.csv")
    best: Individual = min(population, key=lambda individual: individual.fitness.values)
    assert np.array_equal(best[0], problem.to_model(best).get_weights()[0])
    print(read_run(directory.path).state)
    return best


if __name__ == "__main__":
    print(run(1).flat.shape)
"""

MISSING = "import importlib.util as u; assert not any(map(u.find_spec, ('tensorflow', 'scoop', 'tqdm', 'matplotlib')))"

PYTHONS = ("python3.11", "python3.12", "python3.13")


def pythons() -> list[str]:
    """Return the Pythons that are there, this one first."""
    found, versions = [sys.executable], [sys.version_info[:2]]
    for name in PYTHONS:
        asked = [name, "-c", "import ensurepip, sys; print(*sys.version_info[:2])"]
        try:
            done = subprocess.run(asked, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            print(f"{name} is not there")
            continue
        version = tuple(map(int, done.stdout.split()))
        if version not in versions:
            found.append(name)
            versions.append(version)
    return found


class Place:
    """An environment of its own and an empty folder to work in, which cannot see the source tree."""

    def __init__(self, place: str, python: str) -> None:
        self.environment, self.folder = Path(place, "environment"), Path(place, "empty")
        self.folder.mkdir()
        self.variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.variables["PATH"] = f"{self.environment / 'bin'}{os.pathsep}{self.variables['PATH']}"
        self.call(python, "-m", "venv", self.environment)

    def call(self, *command: object) -> str:
        """Run a command in the folder, and return what it printed."""
        print("$", *command, flush=True)
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env=self.variables,
            text=True,
            stdout=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{done.stdout}exit status {done.returncode}")
        return done.stdout

    def install(self, *named: object) -> None:
        """Install packages, in the versions that are tested."""
        self.call("python", "-m", "pip", "install", "--quiet", "--constraint", CONSTRAINTS, *named)

    def check(self) -> None:
        """See that it is the installed package that is imported, and that it brings no TensorFlow by itself."""
        where = self.call("python", "-c", "import deap_nn, sys; print(deap_nn.__file__, 'tensorflow' in sys.modules)")
        assert where.startswith(str(self.environment)), where
        assert where.endswith("False\n"), where


def use_whole(wheel: Path, python: str) -> None:
    """Install the wheel and what it needs, and do what its users do."""
    with tempfile.TemporaryDirectory() as path:
        place = Place(path, python)
        call, folder = place.call, place.folder
        place.install(f"{wheel}[dask,pandas]", "mypy")
        place.check()
        for name, script in (("own", KERAS), ("loop", DEAP), ("sweep", SWEEP), ("cluster", DASK), ("typed", TYPED)):
            Path(folder, f"{name}.py").write_text(script)
            print(call("python", f"{name}.py"), end="")
        assert len(KERAS.strip().splitlines()) < 20
        print(call("mypy", "--strict", "typed.py"), end="")
        page = Path(folder, "mine", "report.html")
        assert "</html>" in page.read_text(encoding="utf-8")
        page.unlink()
        for path in call("deap-nn", "report", "mine", "sweep/ga-1").splitlines():
            assert Path(folder, path).stat().st_size > 0, path
        assert page.exists()
        for command in ("launch", "replay", "report"):
            assert call("deap-nn", command, "--help").startswith("usage: ")


def use_bare(archive: Path, python: str) -> None:
    """Install wheel or sdist alone, with DEAP, NumPy and numba, and breed there."""
    with tempfile.TemporaryDirectory() as path:
        place = Place(path, python)
        place.install("--no-deps", archive)
        place.install("deap", "numpy", "numba")
        place.check()
        place.call("python", "-c", MISSING)
        print(place.call("python", WITHOUT), end="")


def main(wheel: str, sdist: str) -> None:
    """Use both with each Python that is there."""
    for python in pythons():
        use_whole(Path(wheel).resolve(), python)
        for archive in (wheel, sdist):
            use_bare(Path(archive).resolve(), python)


if __name__ == "__main__":
    main(*sys.argv[1:])
    print("all of it works")
