"""DEAP's own loops, unmodified, on the weights of a network: serially, or under ``python -m scoop``."""

import random

from deap import algorithms, tools

from deap_nn import make_toolbox, parallel
from deap_nn.commands import Parser, integer, run_command

parallel.prepare_worker()

toolbox = make_toolbox("mlp", "mnist5k", seed=1)
if parallel.running_under_scoop():
    from scoop import futures

    toolbox.register("map", futures.map)


def main() -> int:
    """Run each loop for a few generations and print the best fitness of its hall of fame."""
    loops = {
        "eaSimple": (algorithms.eaSimple, {"cxpb": 0.9, "mutpb": 0.9}),
        "eaMuPlusLambda": (algorithms.eaMuPlusLambda, {"mu": 10, "lambda_": 20, "cxpb": 0.5, "mutpb": 0.4}),
        "eaMuCommaLambda": (algorithms.eaMuCommaLambda, {"mu": 10, "lambda_": 20, "cxpb": 0.5, "mutpb": 0.4}),
    }
    parser = Parser("Run DEAP's own loops on the weights of a network.")
    parser.add_argument("generations", nargs="?", type=integer(1), default=5, help="generations of each loop")
    ngen = parser.parse_args().generations
    for name, (loop, settings) in loops.items():
        random.seed(1)  # DEAP's loops draw from Python's global generator
        hall = tools.HallOfFame(3)
        loop(toolbox.population(n=20), toolbox, ngen=ngen, halloffame=hall, verbose=False, **settings)
        print(f"{name}: {hall[0].fitness.values[0]!r}")
    return 0


if __name__ == "__main__":
    run_command(main)
