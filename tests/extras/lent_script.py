"""A script on a Dask cluster of its own, whose workers are killed once each has the arrays that the script holds."""

import os
import signal
import time

import numpy as np

from deap_nn import Dataset, evolve, make_toolbox, open_map


def process(_):
    time.sleep(0.2)
    return os.getpid()


def main():
    rng = np.random.default_rng(1)
    parts = [(rng.random((n, 28, 28, 1)), np.arange(n) % 10) for n in (60, 20, 20)]
    toolbox = make_toolbox("mlp", Dataset(*(array for part in parts for array in part)), seed=1, batch_size=16)
    with open_map("dask", workers=2) as map_:
        processes = set(map_(process, range(8)))
        toolbox.register("map", map_)
        evolve(toolbox.population(n=8), toolbox, 1, seed=1)
        time.sleep(3)  # Dask keeps one copy where nobody works
        for each in processes:
            os.kill(each, signal.SIGKILL)
        _, logbook = evolve(toolbox.population(n=8), toolbox, 2, seed=1)
    print(len(processes), "workers killed:", logbook.select("min"))
    toolbox.register("map", map)
    _, logbook = evolve(toolbox.population(n=8), toolbox, 2, seed=1)
    print("without any:", logbook.select("min"))


if __name__ == "__main__":
    main()
