"""DEAP's own loops, unmodified, on the weights of a network: by any map, or under ``python -m scoop``."""

import random

from deap import algorithms, tools

from deap_nn import grouping, make_toolbox
from deap_nn.maps import add_map_options, chosen_map
from deap_nn.maps.scoop import prepare_worker
from deap_nn.process import workers
from deap_nn.process.cli import Parser, integer, picture, run_command

prepare_worker()

toolbox = make_toolbox("mlp", "mnist5k", seed=1)


def main() -> int:
    """Run each loop for a few generations, print the best fitness of its hall of fame, and draw their logbooks."""
    loops = {
        "eaSimple": (algorithms.eaSimple, {"cxpb": 0.9, "mutpb": 0.9}),
        "eaMuPlusLambda": (algorithms.eaMuPlusLambda, {"mu": 10, "lambda_": 20, "cxpb": 0.5, "mutpb": 0.4}),
        "eaMuCommaLambda": (algorithms.eaMuCommaLambda, {"mu": 10, "lambda_": 20, "cxpb": 0.5, "mutpb": 0.4}),
    }
    parser = Parser("Run DEAP's own loops on the weights of a network.")
    parser.add_argument("generations", nargs="?", type=integer(1), default=5, help="generations of each loop")
    parser.add_argument("--population", type=integer(10), default=20, metavar="N", help="initial members of each loop")
    parser.add_argument("--output", type=picture, metavar="FILE.png", help="draw the best by generation there")
    add_map_options(parser)
    options = parser.parse_args()
    statistics = tools.Statistics(lambda individual: individual.fitness.values[0])
    statistics.register("min", min)
    best = {}
    with chosen_map(options) as map_:
        toolbox.register("map", grouping(map_))
        if workers.running_under_scoop():
            from scoop import futures

            toolbox.register("map", futures.map)  # SCOOP's own will do, too
        for name, (loop, settings) in loops.items():
            random.seed(1)  # DEAP's loops draw from Python's global generator
            hall, population = tools.HallOfFame(3), toolbox.population(n=options.population)
            settings |= {"ngen": options.generations, "stats": statistics, "halloffame": hall, "verbose": False}
            _, logbook = loop(population, toolbox, **settings)
            best[name] = logbook.select("gen", "min")
            print(f"{name}: {hall[0].fitness.values[0]!r}")
    if options.output:
        from figures import Panel, draw_panels

        draw_panels([Panel("generation", "best cross-entropy on a mini-batch (nats)", best)], options.output)
    return 0


if __name__ == "__main__":
    run_command(main)
