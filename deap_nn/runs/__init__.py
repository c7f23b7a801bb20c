"""A run on disk: its settings, its records, and reading them back."""

from deap_nn.core.optional import lazy

__getattr__, __all__ = lazy(
    __name__,
    {
        "runs.run": ["LARGEST_PICTURE", "Run", "SHOWN", "Trace", "is_run", "read_run"],
    },
)
