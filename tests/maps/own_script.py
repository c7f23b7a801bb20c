"""A user's own script, whose evaluate is its own: ``own_script.py MAP FAULT ARGUMENTS``, the last in JSON."""

import json
import os
import signal
import sys

from deap import base

from deap_nn import (
    Individual,
    Layout,
    cxMask,
    evolve,
    initNormal,
    initPopulation,
    mutGaussianAdaptive,
    open_map,
    selRankBoosted,
)
from deap_nn.process import workers
from deap_nn.process.cli import run_command

LAYOUT = Layout(("w",), ((3000,),))
FAULT = sys.argv[2] if __name__ == "__main__" else ""


class Evaluate:
    def __init__(self, fault):
        self.fault = fault
        self.main = os.getpid()

    def __call__(self, individual):
        if self.fault == "raise" and os.getpid() != self.main:
            raise ZeroDivisionError("division by zero")
        if self.fault == "die" and os.getpid() != self.main:
            os.kill(os.getpid(), signal.SIGKILL)
        return (float(individual[0].sum()),)


def main():
    toolbox = base.Toolbox()
    toolbox.register("individual", initNormal, Individual, LAYOUT)
    toolbox.register("population", initPopulation, toolbox, 1)
    toolbox.register("mate", cxMask)
    toolbox.register("mutate", mutGaussianAdaptive, sigma=0.1)
    toolbox.register("select", selRankBoosted)
    toolbox.register("evaluate", Evaluate(FAULT))
    with open_map(sys.argv[1], **json.loads(sys.argv[3])) as map_:
        toolbox.register("map", map_)
        _, logbook = evolve(toolbox.population(n=20), toolbox, 3, seed=1)
        print(workers.worker_count(toolbox.map), "workers:", logbook.select("min"))
    return 0


if __name__ == "__main__":
    run_command(main)
