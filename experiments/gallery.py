"""The options that experiments of the gallery share."""

from deap_nn.core.seeding import MAX_SEED
from deap_nn.maps import add_map_options
from deap_nn.process.cli import Parser, integer, picture


def gallery_parser(purpose: str, generations: int, population: int, *, seeded: bool = False) -> Parser:
    """Return the parser of an experiment, with its default numbers of generations and of members."""
    parser = Parser(purpose)
    add = parser.add_argument
    add("--generations", type=integer(1), default=generations, metavar="N", help="generations at most")
    add("--population", type=integer(4), default=population, metavar="N", help="members of a population")
    if seeded:
        add("--seed", type=integer(0, MAX_SEED), default=1, metavar="N", help="seed of all random numbers")
    add("--output", type=picture, metavar="FILE.png", help="draw the result there")
    add_map_options(parser)
    return parser
