"""Use a wheel as a new user would: in a fresh environment, in an empty folder, without the source tree.

``python tests/extras/wheel.py dist/*.whl`` stops with the first thing that does not work.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"

KERAS = """
import keras, numpy as np
from deap_nn import KerasProblem, RunDirectory, evolve, make_toolbox, preset

x = np.random.default_rng(1).standard_normal((600, 4)).astype("float32")
y = (x[:, 0] * x[:, 1] > 0).astype(int)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(2)])
problem = KerasProblem(model, x, y, loss="cross_entropy")
toolbox = make_toolbox(problem, seed=1, **preset("default", population=100, generations=100, matrices=2))
with RunDirectory("mine", settings={"seed": 1}) as directory:
    population, logbook = evolve(toolbox.population(n=100), toolbox, 100, seed=1, callbacks=[directory])
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
from deap_nn import RunDirectory, evolve, make_toolbox, preset, read_runs

for name in ("default", "mask"):
    for seed in (1, 2):
        settings = preset(name, population=30, generations=10, matrices=2)
        toolbox = make_toolbox("mlp", "mnist5k", seed=seed, **settings)
        with RunDirectory(f"sweep/{name}-{seed}", settings={"seed": seed, "preset": name}) as directory:
            evolve(toolbox.population(n=30), toolbox, 10, seed=seed, callbacks=[directory])
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
from deap_nn import Callback, Evolution, Individual, KerasProblem, evolve, make_toolbox, preset, to_csv


class Told(Callback):
    def on_generation(self, evolution: Evolution) -> None:
        print(evolution.row["min"])


def run(seed: int) -> Individual:
    toolbox = make_toolbox("mlp", "mnist5k", seed=seed, **preset("mask", population=6, generations=2, matrices=2))
    population, logbook = evolve(toolbox.population(n=6), toolbox, 2, seed=seed, callbacks=[Told()])
    to_csv(logbook, "typed.csv")
    best: Individual = min(population, key=lambda individual: individual.fitness.values)
    return best


if __name__ == "__main__":
    print(run(1).flat.shape)
"""


def main(wheel: str) -> None:
    """Install the wheel in an environment of its own, and do what its users do."""
    with tempfile.TemporaryDirectory() as place:
        environment, folder = Path(place, "environment"), Path(place, "empty")
        folder.mkdir()
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        clean["PATH"] = f"{environment / 'bin'}{os.pathsep}{clean['PATH']}"

        def call(*command: object) -> str:
            print("$", *command, flush=True)
            done = subprocess.run(
                [str(part) for part in command], cwd=folder, env=clean, text=True, stdout=subprocess.PIPE, check=True
            )
            return done.stdout

        call(sys.executable, "-m", "venv", environment)
        named = f"{Path(wheel).resolve()}[dask,pandas]"
        call("python", "-m", "pip", "install", "--quiet", "--constraint", CONSTRAINTS, named, "mypy")
        where = call("python", "-c", "import deap_nn, sys; print(deap_nn.__file__, 'tensorflow' in sys.modules)")
        assert where.startswith(str(environment)), where
        assert where.endswith("False\n"), where
        for name, script in (("own", KERAS), ("loop", DEAP), ("sweep", SWEEP), ("cluster", DASK), ("typed", TYPED)):
            Path(folder, f"{name}.py").write_text(script)
            print(call("python", f"{name}.py"), end="")
        assert len(KERAS.strip().splitlines()) < 20
        print(call("mypy", "--strict", "typed.py"), end="")
        for path in call("deap-nn", "report", "mine", "sweep/mask-1").splitlines():
            assert Path(folder, path).stat().st_size > 0, path
        page = Path(folder, "mine", "report.html").read_text(encoding="utf-8")
        assert "</html>" in page
        for command in ("launch", "predict", "replay", "report"):
            assert call("deap-nn", command, "--help").startswith("usage: ")


if __name__ == "__main__":
    main(sys.argv[1])
    print("all of it works")
