"""A small made toolbox, for the tests of what is recorded of its settings."""

from deap_nn import make_toolbox


def small(digits, **arguments):
    return make_toolbox("mlp", digits, **({"seed": 3, "batch_size": 16} | arguments))
