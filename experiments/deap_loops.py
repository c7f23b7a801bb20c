"""DEAP's own loops, unmodified, on the weights of a network: serially, or under ``python -m scoop``."""

import random
import sys

from deap import algorithms, tools

from deap_nn import make_toolbox, parallel

parallel.prepare_worker()

toolbox = make_toolbox("mlp", "mnist5k", seed=1)
if parallel.running_under_scoop():
    from scoop import futures

    toolbox.register("map", futures.map)


def main() -> None:
    """Run each loop for a few generations and print the best fitness of its hall of fame."""
    loops = {
        "eaSimple": (algorithms.eaSimple, {"cxpb": 0.9, "mutpb": 0.9}),
        "eaMuPlusLambda": (algorithms.eaMuPlusLambda, {"mu": 10, "lambda_": 20, "cxpb": 0.5, "mutpb": 0.4}),
        "eaMuCommaLambda": (algorithms.eaMuCommaLambda, {"mu": 10, "lambda_": 20, "cxpb": 0.5, "mutpb": 0.4}),
    }
    ngen = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for name, (loop, settings) in loops.items():
        random.seed(1)  # DEAP's loops draw from Python's global generator
        hall = tools.HallOfFame(3)
        loop(toolbox.population(n=20), toolbox, ngen=ngen, halloffame=hall, verbose=False, **settings)
        print(f"{name}: {hall[0].fitness.values[0]!r}")


if __name__ == "__main__":
    main()
