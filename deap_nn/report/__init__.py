"""A run as a page, as figures, and in a browser."""

from deap_nn.core.optional import lazy

__getattr__, __all__ = lazy(
    __name__,
    {
        "report.__main__": ["main", "parse_arguments"],
        "report.figures": ["draw_fitness", "draw_run", "draw_weights"],
    },
)
