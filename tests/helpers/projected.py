"""Runs of `es` with projected steps, for several test modules."""

from limits import evolve
from own_callbacks import Watch

from deap_nn import ES, make_toolbox

MEMBERS, GENERATIONS = 8, 5

PROJECTED = ES(projected=True)


def made(digits, algorithm=PROJECTED, **words):
    usual = {"seed": 3, "batch_size": 16, "generations": GENERATIONS}
    return make_toolbox("mlp", digits, algorithm, **usual | words)


def run(toolbox, generations=GENERATIONS, **words):
    means = []
    watch = Watch(lambda evolution: means.append(evolution.mean(evolution.population).flat.tobytes()))
    callbacks = [watch, *words.pop("callbacks", [])]
    population, logbook = evolve(toolbox.population(n=MEMBERS), toolbox, generations, callbacks=callbacks, **words)
    return [member.flat.tobytes() for member in population], list(logbook), means
