"""Members in a callback: they are scored, kept, written to, averaged, and put into the population as parents."""

import copy
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from conftest import not_for_ever
from limits import evolve
from own_callbacks import Watch
from reference_loop import reference
from wirings import AROUND, Doubled, evolve_toolbox, logged, result, sum_of_squares, wired

from deap_nn import Callback, Individual, initPopulation, recombination_weights, selRankBoosted
from deap_nn.breeding import slots
from deap_nn.breeding.genomes import LackingError
from deap_nn.breeding.kinds import places_in
from deap_nn.core.logbooks import rows_of
from deap_nn.genome.population import LightMember, mean_of


class Squares:
    """Notes in which generation it was asked."""

    generation = 0

    def __call__(self, individual):
        return (*sum_of_squares(individual), self.generation)


def test_what_is_mapped_is_scored_as_it_is():
    found, wanted = [], []

    def look(evolution):
        best, evaluate = evolution.best, evolution.toolbox.evaluate
        changed = copy.deepcopy(best)
        changed.flat[:] = np.arange(changed.flat.size)
        (mutated,) = evolution.toolbox.mutate(copy.deepcopy(best), rng=np.random.default_rng(1))
        fresh = Individual([matrix + 1 for matrix in best])
        same, light = copy.deepcopy(best), evolution.population[-1]
        some = [changed, mutated, same, fresh, light]
        found.extend(evolution.map(evaluate, some[:3]))
        found.extend(evolution.map(evaluate, some))
        found.extend(evolution.map(Squares(), some))
        wanted.extend([*map(sum_of_squares, some[:3]), *map(sum_of_squares, some)])
        wanted.extend((*sum_of_squares(individual), evolution.generation) for individual in some)

    result(wired(), callbacks=[Watch(look)])
    assert found == wanted
    assert len({values[0] for values in wanted[:3]}) == 3


def test_a_member_that_cannot_be_made_any_more_says_what_to_do(tmp_path):
    kept = []
    watch = Watch(lambda evolution: kept.append(evolution.best))
    evolve(wired().population(n=12), wired(), 6, seed=1, callbacks=[watch], checkpoint=tmp_path, keyframe_weights=0)
    assert isinstance(kept[1], LightMember)
    with pytest.raises(
        LackingError, match=r"of generation 1 can no longer be bred in generation 6: copy it in its own"
    ):
        kept[1].flat  # noqa: B018  (it raises)


def test_a_copy_outlives_what_a_keyframe_forgets(tmp_path):
    kept, found = [], []

    def look(evolution):
        kept.append(copy.deepcopy(evolution.best))
        found.append(list(evolution.map(evolution.toolbox.evaluate, kept)))

    options = {"callbacks": [Watch(look)], "checkpoint": tmp_path, "keyframe_weights": 0}
    evolve(wired().population(n=12), wired(), 6, seed=1, **options)
    assert found[-1] == [sum_of_squares(individual) for individual in kept]


def test_what_is_sent_with_its_weights_is_scored_on_the_same_mini_batch(mlp):
    found = []

    def look(evolution):
        twin, changed = copy.deepcopy(evolution.best), copy.deepcopy(evolution.best)
        changed.flat[0] += 1
        *_, (of_best,) = evolution.map(evolution.toolbox.evaluate, [changed, twin])
        found.append(of_best == evolution.best.fitness.values[0])
        found.append(evolution.map(evolution.toolbox.evaluate, [changed]) is not None)

    toolbox = mlp(batch_size=16)
    toolbox.register("evaluate", Doubled(toolbox.evaluate))
    evolve_toolbox(toolbox, n=6, ngen=4, callbacks=[Watch(look)])
    kept = []

    def of_an_earlier_one(evolution):
        kept.append(copy.deepcopy(evolution.best))
        (value,) = next(iter(evolution.map(evolution.toolbox.evaluate, [kept[0]])))
        wanted = copy.copy(toolbox.evaluate.func.evaluate.func)
        wanted.generation = evolution.generation
        found.append(value == 2 * wanted(kept[0])[0])

    evolve_toolbox(toolbox, n=6, ngen=4, callbacks=[Watch(of_an_earlier_one)])
    assert found == [True] * 15


def test_threads_may_map_changed_members_beside_light_ones():
    def look(evolution):
        changed = copy.deepcopy(evolution.best)
        changed.flat[:] = 1
        tasks = [(member, i) for member in (changed, *evolution.population) for i in range(20)]
        answers = list(evolution.map(first, tasks))
        assert answers == [first((member, i)) for member, i in tasks]

    with ThreadPoolExecutor(8) as pool:
        result(wired(map=pool.map), callbacks=[Watch(look)])


def first(task):
    return float(task[0].flat[0]), task[1]


@pytest.mark.parametrize("seconds", [0, None])
def test_what_is_written_to_a_member_is_in_no_keyframe(tmp_path, seconds):
    class Halving(Callback):
        best = None

        def on_generation(self, evolution):
            self.best = evolution.best
            self.best.flat[:] = 0

        def members(self):
            return () if self.best is None else (self.best,)

    options = {"callbacks": [Halving()], "checkpoint": tmp_path, "keyframe_weights": seconds}
    _, logbook = evolve_toolbox(wired(), **options)
    assert rows_of(logbook) == result(wired())[1]


@pytest.mark.parametrize(
    "put",
    [
        lambda evolution: Individual([np.ones((5, 7)), np.ones(7), np.ones((7, 3))]),
        lambda evolution: evolution.mean(evolution.population[:2]),
    ],
)
@pytest.mark.parametrize("registered", [{}, AROUND], ids=["pairs", "around a centre"])
def test_what_is_put_into_the_population_is_no_parent_by_recipes(put, registered):
    def change(evolution):
        evolution.population[0] = put(evolution)
        evolution.population[0].fitness.values = (0.0,)

    with pytest.raises(
        ValueError, match=r"^population: generation 1 cannot be bred by recipes .* deap.algorithms.eaSimple"
    ):
        result(wired(**registered), callbacks=[Watch(change)])


def test_a_member_of_an_earlier_generation_is_no_parent_by_recipes():
    class Elite(Callback):
        best = None

        def on_generation(self, evolution):
            if self.best is not None:
                evolution.population[0] = copy.deepcopy(self.best)
            self.best = self.best or evolution.best

    with pytest.raises(
        ValueError, match="generation 2 cannot be bred by recipes from individuals put into the one before"
    ):
        result(wired(), callbacks=[Elite()])


@pytest.mark.parametrize("changed", [False, True])
def test_a_copy_may_be_put_back_while_it_has_its_weights(changed):
    def put(evolution):
        twin = copy.deepcopy(evolution.population[0])
        if changed:
            twin.flat[:] = 0
        evolution.population[0] = twin

    if not changed:
        assert result(wired(), callbacks=[Watch(put)]) == result(wired())
        return
    with pytest.raises(ValueError, match=r"generation \d cannot be bred by recipes"):
        result(wired(), callbacks=[Watch(put)])


def test_members_of_another_run_are_no_parents():
    others = []
    toolbox = wired()
    options = {"seed": 5, "callbacks": [Watch(lambda evolution: others.append(list(evolution.population)))]}
    evolve(initPopulation(toolbox, 5, 12), toolbox, 2, **options)
    for made in (lambda member: member, copy.deepcopy):

        def put(evolution, made=made):
            if evolution.generation == 2:
                evolution.population[:4] = map(made, others[2][:4])

        with pytest.raises(ValueError, match="generation 3 cannot be bred by recipes"):
            result(wired(), callbacks=[Watch(put)])


def test_founders_may_come_twice():
    def population():
        toolbox = wired()
        return [*initPopulation(toolbox, 5, 6), *initPopulation(toolbox, 5, 6), *initPopulation(toolbox, 5, 6, start=9)]

    found = logged(*evolve(population(), wired(), 4, seed=1))
    assert found == reference(wired(), population=population(), ngen=4)


def nan(individual):
    """A mutation that goes wrong."""
    individual.flat[0] = np.nan
    return (individual,)


def count_of_nan(individual):
    return (float(np.isnan(individual.flat).sum()),)


def test_a_selection_may_return_copies():
    def same(individuals, k):
        return selRankBoosted(individuals, k, parents=6, rng=np.random.default_rng(1))

    for registered in ({}, {"mutate": nan, "evaluate": count_of_nan}):
        copies = wired(select=lambda individuals, k: copy.deepcopy(same(individuals, k)), **registered)
        assert result(copies)[0] == reference(wired(select=same, **registered))[0]


class TwoMeans(Callback):
    """Keeps two means of generation 2."""

    def __init__(self):
        self.means, self.weights = [], []

    def on_generation(self, evolution):
        if evolution.generation == 2:
            ranked = sorted(evolution.population, key=lambda member: member.fitness, reverse=True)
            self.means = [evolution.mean(ranked[:3]), evolution.mean(ranked[:9])]
            self.weights = [mean.flat.copy() for mean in self.means]

    def members(self):
        return self.means

    def state(self):
        return {"places": [places_in(mean.recipe) for mean in self.means]}

    def restore(self, evolution, states):
        self.means = [evolution.member(2, places) for places in states[-1]["places"]]


@pytest.mark.parametrize("registered", [{}, AROUND], ids=["pairs", "around a centre"])
def test_means_of_one_generation_have_different_ids_in_a_keyframe(tmp_path, registered):
    first, again = TwoMeans(), TwoMeans()
    for ngen, callback in ((5, first), (7, again)):
        options = {"callbacks": [callback], "checkpoint": tmp_path, "keyframe_weights": 0}
        evolve_toolbox(wired(**registered), ngen=ngen, **options)
    assert first.weights[0].tobytes() != first.weights[1].tobytes()
    assert [mean.flat.tobytes() for mean in again.means] == [weights.tobytes() for weights in first.weights]


@pytest.mark.parametrize("registered", [{}, AROUND], ids=["pairs", "around a centre"])
def test_a_member_that_is_there_twice_counts_twice_in_a_mean(registered):
    found = []

    def look(evolution):
        first, second, *_ = all_ = evolution.population
        for some in ([first, first, second], [first, second], [*all_, first], [*all_[:-1], first]):
            found.append(evolution.mean(some).flat)
            np.testing.assert_allclose(found[-1], mean_of(some).flat, rtol=0, atol=1e-6 if registered else 0)

    toolbox = wired(**registered)
    if registered:
        toolbox.register("recombination_weights", recombination_weights)
    result(toolbox, callbacks=[Watch(look)])
    assert len({mean.tobytes() for mean in found}) == 28


@pytest.mark.parametrize("registered", [{}, AROUND], ids=["pairs", "around a centre"])
def test_means_by_recipes_are_of_members_of_their_generation(registered):
    kept = []

    def look(evolution):
        kept.append(evolution.best)
        others = [Individual([np.ones(3)]), evolution.mean(evolution.population), *kept[:-1]]
        for other in others:
            with pytest.raises(ValueError, match=f"^individuals must be members of generation {evolution.generation}$"):
                evolution.mean([evolution.best, other])

    result(wired(**registered), callbacks=[Watch(look)])
    assert len(kept) == 7


def test_a_mean_that_is_read_later_is_made_with_little_room_too(tmp_path, monkeypatch):
    monkeypatch.setattr(slots, "SEGMENT_BYTES", 1)
    monkeypatch.setattr("deap_nn.breeding.lineage.slots_in", lambda *_: 4)
    kept = []

    def look(evolution):
        if evolution.generation == 2:
            weights = np.mean([copy.deepcopy(member).flat.astype(float) for member in evolution.fittest[:14]], axis=0)
            kept.extend([evolution.mean(evolution.fittest[:14]), weights])  # parents of the next generation
        if evolution.generation == 3:
            for member in evolution.population[::3]:
                evolution.look(member)
            with not_for_ever():
                assert kept[0].flat == pytest.approx(kept[1], abs=1e-6)

    with pytest.warns(UserWarning, match="the cache has no room"):
        result(wired(select=partial(selRankBoosted, parents=20)), n=200, cache=tmp_path, callbacks=[Watch(look)])
    assert len(kept) == 2
