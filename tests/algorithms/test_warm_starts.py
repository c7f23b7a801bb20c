"""A run starts from given or evolved members, and keeps a hall of fame, to the same bytes."""

import copy

import numpy as np
import pytest
from deap import tools
from limits import evolve
from reference_loop import reference
from wirings import LAYOUT, evolve_toolbox, logged, mapping, mutation, wired

from deap_nn import (
    CheckpointError,
    Individual,
    SelfAdaptive,
    cxScanning,
)
from deap_nn.core.logbooks import rows_of


@pytest.mark.parametrize("keyframes", [None, 0.0])
@pytest.mark.parametrize("kind", [lambda: tools.HallOfFame(4), tools.ParetoFront])
def test_a_hall_of_fame_is_kept_and_restored_at_resume(tmp_path, keyframes, kind):
    def run(ngen, **options):
        toolbox, hall = wired(), kind()
        evolve_toolbox(toolbox, n=8, ngen=ngen, halloffame=hall, **options)
        keys = [fitness.wvalues for fitness in hall.keys]
        return [(type(member), member.flat.tobytes(), member.fitness.wvalues) for member in hall], keys

    kept = {"checkpoint": tmp_path / "kept", "keyframe_weights": keyframes}
    for ngen in (2, 5, 5):
        assert run(ngen, **kept) == run(ngen)
    assert len(run(5)[0]) == (4 if kind is not tools.ParetoFront else 1)


def test_a_hall_of_fame_that_comes_later_gets_members_from_then_on(tmp_path):
    toolbox, hall = wired(), tools.HallOfFame(3)
    evolve_toolbox(toolbox, n=6, ngen=2, checkpoint=tmp_path)
    evolve_toolbox(toolbox, n=6, ngen=3, halloffame=hall, checkpoint=tmp_path)
    assert {member.recipe.generation for member in hall} == {3}


def warm_populations():
    evolved_one = wired().population(n=8)
    evolve(evolved_one, wired(), 3, seed=1)
    rng = np.random.default_rng(1)
    by_hand = [Individual([rng.normal(size=shape) for shape in LAYOUT.shapes]) for _ in range(8)]
    read = wired().population(n=8)
    read[3].flat[0] = 7.0
    return {"evolved": evolved_one, "by hand": by_hand, "changed": read, "two": [*evolved_one[:3], *by_hand[:5]]}


@pytest.mark.parametrize("kind", ["evolved", "by hand", "changed", "two"])
@pytest.mark.parametrize("options", [{}, {"mates": 4, "mate": cxScanning}], ids=["pairs", "four"])
def test_a_warm_start_goes_by_recipes_to_the_same_bytes(tmp_path, kind, options):
    given = [copy.deepcopy(member) for member in warm_populations()[kind]]

    def run(ngen, population, **how):
        return logged(*evolve(population, wired(map=mapping, **options), ngen, seed=1, **how))

    whole = run(5, copy.deepcopy(given))
    assert whole == reference(wired(**options), population=copy.deepcopy(given), ngen=5)
    assert run(5, copy.deepcopy(given)) == whole
    assert run(5, warm_populations()[kind]) == whole
    for keyframes in (None, 0.0):
        kept = {"checkpoint": tmp_path / str(keyframes), "keyframe_weights": keyframes}
        run(2, copy.deepcopy(given), **kept)
        if keyframes is None:
            with pytest.raises(CheckpointError, match="the population's seed or weights"):
                run(5, copy.deepcopy([given[0], *given[:0:-1]]), **kept)
        assert run(5, copy.deepcopy(given), **kept) == whole


def with_own_sigmas():
    own = mutation(SelfAdaptive(0.3, 0.01))
    return wired(map=mapping, mutate=own)


def own_sigmas():
    evolved_one, toolbox, mixed = with_own_sigmas().population(n=8), with_own_sigmas(), wired().population(n=8)
    evolve(evolved_one, toolbox, 4, seed=1)
    for place, member in enumerate(mixed[:5]):
        member.strategy = 0.1 + place / 10  # the member stays light
    return {"evolved": evolved_one, "set": mixed, "some": [*mixed[5:], *map(copy.deepcopy, evolved_one[:5])]}


@pytest.mark.parametrize("kind", ["evolved", "set", "some"])
def test_a_warm_start_keeps_the_sigma_of_each_member(tmp_path, kind):
    def run(ngen, population, **how):
        hall = tools.HallOfFame(3)
        found = evolve(population, with_own_sigmas(), ngen, seed=1, halloffame=hall, **how)
        members = [(member.flat.tobytes(), getattr(member, "strategy", 0.3)) for member in (*found[0], *hall)]
        return members, rows_of(found[1])

    whole = run(5, own_sigmas()[kind])
    assert len({sigma for _, sigma in whole[0]}) > 6
    expected = [weights for weights, _ in whole[0]][:8], whole[1]
    assert reference(with_own_sigmas(), population=own_sigmas()[kind], ngen=5) == expected
    for keyframes in (None, 0.0):
        kept = {"checkpoint": tmp_path / str(keyframes), "keyframe_weights": keyframes}
        run(0 if keyframes is None else 2, own_sigmas()[kind], **kept)
        other = [copy.deepcopy(member) for member in own_sigmas()[kind]]
        other[7].strategy = 0.25
        if keyframes is None:
            with pytest.raises(CheckpointError, match="the population's seed or weights and sigmas"):
                run(5, other, **kept)
        assert run(5, own_sigmas()[kind], **kept) == whole


def test_members_with_an_attribute_of_their_own_are_refused():
    for drawn in (True, False):
        population, toolbox = wired().population(n=4), wired(map=mapping)
        population[2].tag = "own"
        if not drawn:
            population = [copy.deepcopy(member) for member in population]
        said = "population has an attribute 'tag', and recipes have none: deap.algorithms.eaSimple breeds whole ind"
        with pytest.raises(ValueError, match=said):
            evolve(population, toolbox, 0, seed=1)
        assert population[2].tag == "own"


def test_a_warm_start_without_room_says_why(monkeypatch):
    population = warm_populations()["by hand"]
    monkeypatch.setattr("deap_nn.breeding.founders.free_bytes", lambda place: 0)
    with pytest.raises(ValueError, match=r"population: its weights take 0.0 MiB, and .* has room for 0.0: set TMPDIR"):
        evolve(population, wired(map=mapping), 1, seed=1)
