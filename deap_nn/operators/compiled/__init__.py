"""Compiled passes over genomes, with the same bytes as the operators in NumPy."""

from deap_nn.core.optional import without_collections

with without_collections():
    from numba.core.registry import cpu_target

    # What the first call of a compiled function does: most of numba's modules are imported only then.
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
