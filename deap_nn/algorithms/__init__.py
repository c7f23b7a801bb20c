"""The generational loop."""

from deap_nn.core.optional import lazy

__getattr__, __all__ = lazy(
    __name__,
    {
        "algorithms.evolving": ["evolve"],
        "algorithms.loop": ["COLUMNS", "PROGRESS_SECONDS"],
        "breeding.reproduction": ["vary"],
        "callbacks.base": ["Callback", "Evolution"],
        "core.errors": ["WORST"],
    },
)
