"""What is registered anew in mid-run is used from then on, or refused by its name."""

import copy

import pytest
from own_callbacks import Watch
from wirings import wired

from deap_nn import evolve


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


MEANWHILE = {
    "mate": lambda first, second: (first, second),
    "mutate": lambda individual: (individual,),
    "clone": copy.deepcopy,
    "select": lambda population, k: population[:k],
    "evaluate": lambda individual: (1.0,),
}


@pytest.mark.parametrize("name", MEANWHILE)
def test_what_is_registered_in_mid_run_is_used_or_refused(name):
    toolbox = wired()
    callback, calls = registering(name, MEANWHILE[name])
    if name in ("evaluate", "select"):
        evolve(toolbox.population(n=6), toolbox, 4, seed=1, callbacks=[callback])
        assert calls == ([name] * 12 if name == "evaluate" else [name] * 2)
        return
    with pytest.raises(ValueError, match=f"{name} was registered again before generation 3: it cannot change"):
        evolve(toolbox.population(n=6), toolbox, 4, seed=1, callbacks=[callback])
    assert not calls
