"""What `evolve` refuses, and how it names it: arguments, callbacks, statistics, functions registered in mid-run."""

import copy

import numpy as np
import pytest
from deap import tools
from limits import evolve
from own_callbacks import Watch
from wirings import AROUND, members, plain_toolbox, wired

from deap_nn import Checkpoint, CheckpointError, elementwise, recombination_weights
from deap_nn.breeding.reproduction import AroundCentre


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 1), "population"),
        ((members(), -1), "ngen"),
        ((members(), 2.0), "ngen must be an integer of at least 0, got 2.0"),
        ((members(), 1, {"cxpb": True}), "cxpb must be a number, got True"),
        ((members(), 1, {"mutpb": -0.1}), "mutpb must be between 0 and 1, got -0.1"),
        ((members(), 1, {"seed": -1}), "seed"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    population, ngen, *keywords = arguments
    with pytest.raises((TypeError, ValueError), match=message):
        evolve(population, plain_toolbox(), ngen, **({"seed": 1} | dict(*keywords)))


def test_a_run_that_is_refused_leaves_no_cache_and_the_population_as_it_was(toolbox, tmp_path):
    (tmp_path / "cache").mkdir()
    population = toolbox.population(n=6)
    former = list(population)

    def refused(error, **words):
        with pytest.raises(error):
            evolve(population, toolbox, 1, cache=tmp_path / "cache", **words)
        assert not list((tmp_path / "cache").iterdir())
        assert all(member is one for member, one in zip(population, former, strict=True))

    refused(TypeError, callbacks=[3])
    with Checkpoint(tmp_path / "used"):
        refused(CheckpointError, checkpoint=tmp_path / "used")


def test_a_selection_of_another_number_is_refused():
    with pytest.raises(ValueError, match="select must return 10 individuals, got 3"):
        evolve(members(), plain_toolbox(select=lambda individuals, k: individuals[:3]), 2, seed=1)


def test_statistics_with_the_names_of_our_columns_must_be_numbers():
    statistics = tools.Statistics(lambda individual: individual.fitness.values)
    statistics.register("min", np.min, axis=0)  # DEAP's own way, a list of one
    _, logbook = evolve(members(), plain_toolbox(), 1, seed=1, stats=statistics)
    assert all(isinstance(value, float) for value in logbook.select("min"))
    for wrong in (np.shape, lambda values: "small"):
        statistics.register("max", wrong)
        with pytest.raises(ValueError, match="stats: column 'max' must be a number, or have another name, got "):
            evolve(members(), plain_toolbox(), 1, seed=1, stats=statistics)


@pytest.mark.parametrize("select", [tools.selBest, tools.selNSGA2])
def test_a_selection_that_would_take_everybody_is_refused(toolbox, select):
    toolbox.register("select", select)
    said = f"select: {select.__name__} would take all members: register one that draws"
    with pytest.raises(ValueError, match=said):
        evolve(toolbox.population(n=4), toolbox, 1, seed=1)


@pytest.mark.parametrize("operator", [tools.mutFlipBit, tools.mutPolynomialBounded])
def test_a_mutation_of_numbers_is_refused(toolbox, operator):
    said = rf"^mutate: {operator.__name__} is for numbers: register elementwise\({operator.__name__}\)$"
    with pytest.raises(TypeError, match=said):
        toolbox.register("mutate", operator, indpb=0.5)
    with pytest.raises(TypeError, match=said):
        evolve(members(), plain_toolbox(mutate=operator), 1, seed=1)
    toolbox.register("mutate", elementwise(operator), indpb=0.5)
    with pytest.raises(ValueError, match=r"individual\[0\] must be float32 .*, got 4: .* elementwise\(operator\)"):
        tools.mutUniformInt(members()[0], low=4, up=4, indpb=1.0)


def test_a_statistic_that_cannot_be_kept_is_named(toolbox, tmp_path):
    statistics = tools.Statistics(lambda individual: individual.fitness.values)
    statistics.register("odd", lambda values: object())
    evolve(toolbox.population(n=4), toolbox, 1, seed=1, stats=statistics)
    with pytest.raises(TypeError, match="Object of type object is not JSON serializable"):
        evolve(toolbox.population(n=4), toolbox, 1, seed=1, stats=statistics, checkpoint=tmp_path)


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


@pytest.mark.parametrize(
    ("name", "value", "registered"),
    [
        ("mates", 4, {}),
        ("reproduction", AroundCentre(2.0), {}),
        ("step", 2.0, AROUND),
        ("recombination_weights", recombination_weights, AROUND),
    ],
)
def test_a_setting_that_changes_in_mid_run_is_named(name, value, registered):
    toolbox = wired(**registered)
    watch = Watch(lambda evolution: setattr(toolbox, name, value))
    with pytest.raises(ValueError, match=f"{name} was registered again before generation 1: it cannot change"):
        evolve(toolbox.population(n=6), toolbox, 2, seed=1, callbacks=[watch])


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
