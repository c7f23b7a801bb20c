"""A child is its recipe: the same bits however, wherever and whenever it is bred."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
from own_callbacks import Watch
from reference_loop import reference
from wirings import (
    FOUR_WITH_OPPOSITES,
    LAYOUT,
    Squares,
    Together,
    evolve_toolbox,
    made_breeder,
    mutation,
    result,
    sum_of_squares,
    wired,
)

from deap_nn import (
    NoiseTable,
    cxScanning,
    evolve,
    mutGaussianAdaptive,
)
from deap_nn.breeding import lineage, slots
from deap_nn.breeding.ancestry import Ancestry
from deap_nn.breeding.genomes import Genomes
from deap_nn.breeding.task import forget, genomes_by_run
from deap_nn.core.logbooks import rows_of


@pytest.mark.parametrize(("registered", "generations"), [({}, 100), (FOUR_WITH_OPPOSITES, 30)])
def test_recipes_alone_give_a_member_back_after_many_generations(tmp_path, registered, generations):
    population, _ = evolve(wired(**registered).population(n=12), wired(**registered), generations, seed=1)
    lineage = population[1].make.__self__
    alone = Genomes(lineage.breeder, "alone", tmp_path)
    alone.recipes = dict(lineage.known.recipes)
    assert alone.bred(population[0].recipe).tobytes() == population[0].flat.tobytes()
    alone.cache.remove()


def lodge(monkeypatch):
    """Let children have slots of their own, however small and however many parents they have."""
    monkeypatch.setattr(slots, "LODGED_WEIGHTS", 1)
    monkeypatch.setattr(slots, "LODGED_MATES", 1)


def count(monkeypatch, note):
    """Note each recipe that is bred alone: siblings are bred together."""
    breed_with = Genomes._breed_with

    def noting(self, parents, recipes, outs):
        if len(recipes) == 1:
            note(recipes[0])
        breed_with(self, parents, recipes, outs)

    monkeypatch.setattr(Genomes, "_breed_with", noting)


OVERWRITTEN = Counter()


class Overwritten(Squares):
    """The same; each slot is used again before what it holds is scored there, as a late task would."""

    def __call__(self, individual):
        (genomes,) = genomes_by_run.values()
        for recipe in genomes._in_slots:
            slot = genomes.slots[recipe.id]
            if genomes.cache.read(slot, recipe.id) is individual.flat and not OVERWRITTEN[recipe]:
                OVERWRITTEN[recipe] += 1
                with genomes.cache.writing(slot, 12345) as room:
                    room[:] = 7
        return super().__call__(individual)


@pytest.mark.parametrize("evaluate", [Squares(), sum_of_squares], ids=["leaves weights", "may change weights"])
def test_a_member_with_a_slot_is_not_bred_again_as_a_parent(monkeypatch, evaluate):
    bred = Counter()

    count(monkeypatch, lambda recipe: bred.update([recipe.generation]))
    toolbox = wired(mate=cxScanning, mates=4, evaluate=evaluate)
    before = result(toolbox)
    alone, bred = dict(bred), Counter()
    lodge(monkeypatch)
    assert result(toolbox) == before
    assert alone[2] > 0
    assert (bred[2] == 0) == hasattr(evaluate, "leaves_weights")


@pytest.mark.parametrize("leaves_weights", [True, False])
def test_a_parent_that_was_scored_in_the_last_group_is_copied(monkeypatch, leaves_weights):
    bred = Counter()

    count(monkeypatch, lambda recipe: bred.update([recipe.generation]))
    registered = {"mate": cxScanning, "mates": 4}
    made = result(wired(**registered, evaluate=Together(leaves_weights)))
    assert made == reference(wired(**registered))
    assert bred[0] >= 12
    assert (sum(bred.values()) == bred[0]) == leaves_weights


def test_a_group_that_was_overwritten_is_not_copied():
    watch = Watch(lambda run: list(run.map(Together(leaves_weights=False), run.population)))
    made = result(wired(evaluate=Together(leaves_weights=True)), callbacks=[watch])
    assert made == reference(wired())


def test_a_genome_whose_slot_is_used_again_while_it_is_scored_is_scored_again(monkeypatch):
    lodge(monkeypatch)
    forget()
    OVERWRITTEN.clear()
    assert result(wired(evaluate=Overwritten())) == reference(wired())
    assert len(OVERWRITTEN) == 6 * 12


def test_children_have_a_fifth_of_the_cache(monkeypatch):
    lodge(monkeypatch)
    monkeypatch.setattr(lineage, "slots_in", lambda *_: 40)
    lodged = []

    def note(run):
        known = run.population[0].make.__self__.known
        lodged.append(len([key for key in known.slots if key >> 32 == run.generation]))

    assert result(wired(evaluate=Squares()), callbacks=[Watch(note)]) == reference(wired())
    assert lodged == [0] + [8] * 6


def test_two_runs_of_one_seed_in_a_process_have_genomes_of_their_own():
    def run(sigma, ngen):
        return evolve_toolbox(wired(mutate=mutation(sigma)), ngen=ngen)

    _, alone = run(0.3, 5)
    kept = [run(sigma, 3) for sigma in (0.1, 0.6)]  # their members hold on to what made them
    _, after = run(0.3, 5)
    assert rows_of(after) == rows_of(alone)
    assert len(kept) == 2


def test_a_history_tells_a_run_from_others():
    def history(drawn=(0, 1, 1, 2), sigma=0.1, inputs=b"some", **more):
        toolbox = wired()
        ancestry = Ancestry(made_breeder(toolbox, **more))
        ancestry.remember(drawn, sigma, inputs)
        return ancestry.history

    others = [{"drawn": (0, 1, 2, 1)}, {"sigma": 0.2}, {"inputs": b"other"}, {"seed": 2}, {"cxpb": 0.5}, {"mutpb": 0.5}]
    assert len({history(), *(history(**other) for other in others)}) == 7


def test_a_noise_vector_with_gaps_and_a_float32_sigma_change_nothing():
    numbers = np.random.default_rng(2).standard_normal(2 * (1 << 20), dtype=np.float32)
    for noise in (numbers[::2], numbers[::-1], NoiseTable(1, LAYOUT.size)):
        for sigma in (np.float32(0.1), 0.3):
            scale = [1 / 3, 0.7, 0.9]
            keywords = {"sigma": sigma, "noise": noise, "scale": scale}
            recipes = result(wired(mutate=partial(mutGaussianAdaptive, **keywords)), n=6, ngen=2)
            plain = reference(wired(mutate=partial(mutGaussianAdaptive, **keywords)), n=6, ngen=2)
            assert recipes == plain
