"""What is registered anew in mid-run is used from then on, or refused by its name."""

import copy

import pytest
from own_callbacks import Watch
from wirings import wired

from deap_nn import evolve
from deap_nn.core.errors import EvaluationError


def registering(name, function, at=2):
    """A callback that registers something anew after a generation, and notes the calls of it."""
    calls = []

    def noting(*arguments, **keywords):
        calls.append(name)
        return function(*arguments, **keywords)

    def register(evolution):
        if evolution.generation == at:
            evolution.toolbox.register(name, noting)

    return Watch(register), calls


scored_meanwhile = []


def scored_one(individual):
    scored_meanwhile.append(1)
    return (1.0,)


def test_an_evaluation_of_mid_run_that_cannot_travel_is_named():
    toolbox = wired()
    callback, _ = registering("evaluate", scored_one)
    with pytest.raises(EvaluationError, match=r"^generation 3: evaluate cannot be pickled: .*local object"):
        evolve(toolbox.population(n=6), toolbox, 4, seed=1, callbacks=[callback])


MEANWHILE = {
    "mate": lambda first, second: (first, second),
    "mutate": lambda individual: (individual,),
    "clone": copy.deepcopy,
    "select": lambda population, k: population[:k],
    "evaluate": lambda individual: (1.0,),
}


@pytest.mark.parametrize("name", MEANWHILE)
def test_what_is_registered_in_mid_run_is_used_the_plain_way(name):
    toolbox = wired()
    callback, calls = registering(name, MEANWHILE[name])
    _, logbook = evolve(toolbox.population(n=6), toolbox, 4, seed=1, breeding="plain", callbacks=[callback])
    assert calls
    assert len(logbook) == 5


@pytest.mark.parametrize("name", MEANWHILE)
def test_what_is_registered_in_mid_run_is_used_or_refused_by_recipes(name):
    toolbox = wired()
    callback, calls = registering(name, MEANWHILE[name])
    if name == "evaluate":  # it travels, so it is of the top of a module

        def register(evolution):
            if evolution.generation == 2:
                evolution.toolbox.register("evaluate", scored_one)

        scored_meanwhile.clear()
        _, logbook = evolve(toolbox.population(n=6), toolbox, 4, seed=1, callbacks=[Watch(register)])
        assert len(scored_meanwhile) == 12
        assert logbook.select("avg")[-2:] == [1.0, 1.0]
        return
    if name == "select":
        evolve(toolbox.population(n=6), toolbox, 4, seed=1, callbacks=[callback])
        assert calls
        return
    with pytest.raises(ValueError, match=f"{name} was registered again before generation 3: .* breeding='plain'"):
        evolve(toolbox.population(n=6), toolbox, 4, seed=1, callbacks=[callback])
    assert not calls
