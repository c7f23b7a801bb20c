"""A child is its recipe: the same bits however, wherever and whenever it is bred."""

import contextlib
import copy
import pickle
from collections import Counter
from functools import partial

import numpy as np
import pytest
from deap import tools
from wirings import LAYOUT, TABLE, Squares, Together, Watch, halve, result, sum_of_squares, wired

from deap_nn import (
    Annealed,
    Individual,
    NoiseTable,
    OneFifth,
    SelfAdaptive,
    cxBiased,
    cxMask,
    cxMatrices,
    cxMean,
    cxScanning,
    cxSplit,
    cxUnits,
    evolve,
    make_toolbox,
    mutGaussianAdaptive,
    recombination_weights,
    selLogRank,
    selMirrored,
    selRankBoosted,
)
from deap_nn.breeding import lineage
from deap_nn.breeding.breeder import Breeder
from deap_nn.breeding.founders import breeder_of, initPopulation
from deap_nn.breeding.lineage import Lineage
from deap_nn.breeding.store import slot_table
from deap_nn.breeding.store.genomes import Genomes
from deap_nn.breeding.task import forget, genomes_by_run
from deap_nn.core.logbooks import rows_of
from deap_nn.genome.members import LightMember
from deap_nn.genome.vectors import empty_vector


def nearly(ind1, ind2, *, rng):
    """A crossover of a user's own that does not say what order it wants."""
    return cxBiased(ind1, ind2, indpb=0.1, rng=rng)


def are_light(evolution):
    members = [member for member in evolution.population if member is not evolution.best]
    assert all(isinstance(member, LightMember) for member in members)


OPERATORS = {
    "fused": lambda: {},
    "any probability": lambda: {"mate": partial(cxMask, indpb=0.2)},
    "drawn noise": lambda: {"mutate": partial(mutGaussianAdaptive, sigma=0.1)},
    "a part of the loci": lambda: {"mutate": partial(mutGaussianAdaptive, sigma=Annealed(0.3, 0.1, 6), indpb=0.3)},
    "DEAP's crossover": lambda: {"mate": tools.cxTwoPoint},
    "split": lambda: {"mate": cxSplit},
    "matrices": lambda: {"mate": partial(cxMatrices, indpb=0.4)},
    "units": lambda: {"mate": cxUnits},
    "biased": lambda: {"mate": cxBiased},
    "a function around biased": lambda: {"mate": nearly},
    "the one-fifth rule": lambda: {"mutate": partial(mutGaussianAdaptive, sigma=OneFifth(0.3, 0.01))},
    "around a centre, one matrix": lambda: {
        "mate": cxMean,
        "mutate": partial(mutGaussianAdaptive, sigma=0.1, noise=TABLE, matrices="one"),
        "step": 1.0,
    },
    "around a centre, by the weights' own size": lambda: {
        "mate": cxMean,
        "mutate": partial(mutGaussianAdaptive, sigma=0.1, noise=TABLE, scale="own"),
        "step": 1.0,
    },
    "one matrix": lambda: {"mutate": partial(mutGaussianAdaptive, sigma=0.1, noise=TABLE, matrices="one")},
    "by the weights' own size": lambda: {"mutate": partial(mutGaussianAdaptive, sigma=0.1, noise=TABLE, scale="own")},
    "each with its own sigma": lambda: {
        "mutate": partial(mutGaussianAdaptive, sigma=SelfAdaptive(0.3, 0.01), noise=TABLE)
    },
    "each with its own sigma, elites": lambda: {
        "mutate": partial(mutGaussianAdaptive, sigma=SelfAdaptive(0.3, 0.01)),
        "elites": 2,
    },
    "elites": lambda: {"elites": 3, "elite_batches": 2},
    "elites, a user's mutation": lambda: {"elites": 1, "mutate": halve, "mate": cxScanning, "mates": 4},
    "a user's mutation": lambda: {"mutate": halve},
    "opposites": lambda: {"select": partial(selRankBoosted, parents=6, opposites=0.5)},
    "opposites of all, each with its own sigma, elites": lambda: {
        "mate": cxBiased,
        "mutate": partial(mutGaussianAdaptive, sigma=SelfAdaptive(0.3, 0.01)),
        "select": partial(selRankBoosted, opposites=0.3),
        "elites": 3,
    },
    "DEAP's selection": lambda: {"select": partial(tools.selTournament, tournsize=3)},
    "around a centre": lambda: {"mate": cxMean, "select": selMirrored, "step": 2.5},
    "around a centre, best few": lambda: {"mate": cxMean, "select": partial(selMirrored, parents=2), "step": 0.5},
    "around a centre, all by weight": lambda: {
        "mate": cxMean,
        "select": selLogRank,
        "recombination_weights": recombination_weights,
        "step": 2.5,
    },
    "around a centre, the ends by weight": lambda: {
        "mate": cxMean,
        "select": selLogRank,
        "recombination_weights": partial(recombination_weights, parents=2),
        "mutate": partial(mutGaussianAdaptive, sigma=0.1),
        "step": 0.5,
    },
    "around a centre, drawn noise": lambda: {
        "mate": cxMean,
        "mutate": partial(mutGaussianAdaptive, sigma=0.1),
        "step": 1.0,
    },
    "around a centre, a user's mutation": lambda: {"mate": cxMean, "mutate": halve, "step": 1.5},
}


@pytest.mark.parametrize("registered", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("probabilities", [{}, {"cxpb": 0.6, "mutpb": 0.7}], ids=["always", "sometimes"])
@pytest.mark.parametrize("n", [12, 7])
def test_recipes_equal_the_plain_way(registered, probabilities, n):
    plain = result(wired(**registered()), n=n, breeding="plain", **probabilities)
    recipes = result(wired(**registered()), n=n, callbacks=[Watch(are_light)], **probabilities)
    assert recipes == plain
    assert len(set(plain[0])) > 1


@pytest.mark.parametrize("breeding", ["recipes", "plain"])
@pytest.mark.parametrize("n", [12, 7])
def test_a_crossover_that_wants_the_fitter_first_is_given_it(breeding, n):
    pairs = []

    def select(individuals, k, *, rng):
        chosen = selRankBoosted(individuals, k, rng=rng)
        pairs.append([min(pair, key=sum_of_squares).flat.tobytes() for pair in zip(chosen[::2], chosen[1::2])])  # noqa: B905  (the last may be alone)
        return chosen

    toolbox = wired(select=select, mate=partial(cxBiased, indpb=0.0), mutate=partial(mutGaussianAdaptive, sigma=0.0))
    children = []

    def watch(evolution):
        children.append([member.flat.tobytes() for member in evolution.population])

    evolve(toolbox.population(n=n), toolbox, 3, seed=1, breeding=breeding, callbacks=[Watch(watch)])
    for fitter, made in zip(pairs, children[1:], strict=True):
        assert [made[2 * i : 2 * i + 2] for i in range(len(fitter))] == [[weights] * 2 for weights in fitter]


def test_a_member_is_an_individual_to_its_readers():
    seen = []

    def look(evolution):
        member = evolution.population[-1]
        assert isinstance(member, LightMember)
        assert isinstance(member, Individual)
        twin, sent = copy.deepcopy(member), pickle.loads(pickle.dumps(evolution.population[-2]))
        assert type(twin) is type(sent) is type(member) is Individual
        assert twin == member
        assert twin.fitness == member.fitness
        assert member[0].shape == (5, 7)
        assert len(evolution.population[-3]) == 3
        assert evolution.population[-4].shapes == LAYOUT.shapes
        assert evolution.population[-5] != evolution.population[-6]
        seen.append(sum_of_squares(member) == member.fitness.values)

    result(wired(), callbacks=[Watch(look)])
    assert seen == [True] * 7


def test_a_hall_of_fame_holds_whole_individuals():
    hall = tools.HallOfFame(4)
    _, logbook = evolve(initPopulation(wired(), 1, 12), wired(), 6, seed=1, halloffame=hall)
    assert len(hall) == 4
    assert all(type(individual) is Individual for individual in hall)
    assert hall[0].fitness.values[0] == min(logbook.select("min"))
    assert all(sum_of_squares(individual) == individual.fitness.values for individual in hall)


def test_what_cannot_travel_falls_back_to_the_plain_way():
    factor = 2.0
    toolbox = wired(evaluate=lambda individual: (factor * sum_of_squares(individual)[0],))
    found = result(toolbox)
    assert found == result(toolbox, breeding="plain")


def test_given_individuals_are_bred_the_plain_way():
    population = [copy.deepcopy(member) for member in wired().population(n=12)]
    evolve(population, wired(), 6, seed=1)
    assert [individual.flat.tobytes() for individual in population] == result(wired(), breeding="plain")[0]


def test_recipes_alone_give_a_member_back_after_100_generations(tmp_path):
    kept = []
    population, _ = evolve(
        wired().population(n=12), wired(), 100, seed=1, callbacks=[Watch(lambda run: kept.append(run.best.recipe))]
    )
    weights = population[0].flat.copy()
    lineage = population[1].make.__self__
    recipes = dict(lineage.known.recipes)
    recipe = population[0].recipe
    assert recipe.generation == 100
    alone = Genomes(lineage.breeder, "alone", tmp_path)
    alone.recipes = recipes
    out = empty_vector(LAYOUT.size)
    alone.breed([recipe], [out])
    alone.cache.remove()
    assert out.tobytes() == weights.tobytes()


class Reader:
    """A function that leaves individuals as they are, and sees which it is given."""

    leaves_weights = True

    def __call__(self, item):
        return item[0].flat.tobytes(), item[1]


def lodge(monkeypatch):
    """Let children have slots of their own, however small and however many parents they have."""
    monkeypatch.setattr(slot_table, "LODGED_WEIGHTS", 1)
    monkeypatch.setattr(slot_table, "LODGED_MATES", 1)


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


@pytest.mark.parametrize("registered", OPERATORS.values(), ids=OPERATORS)
def test_children_with_slots_of_their_own_are_those_of_the_plain_way(monkeypatch, registered):
    lodge(monkeypatch)
    lodged = []
    watch = Watch(lambda run: lodged.append(len(run.population[0].make.__self__.known.slots)))
    here = result(wired(**registered(), evaluate=Squares()), callbacks=[watch])
    assert here == result(wired(**registered()), breeding="plain")
    assert ("step" in registered()) or min(lodged[1:]) > 6  # more than there are parents


@pytest.mark.parametrize("evaluate", [Squares(), sum_of_squares], ids=["leaves weights", "may change weights"])
def test_a_member_with_a_slot_is_not_bred_again_as_a_parent(monkeypatch, evaluate):
    bred = Counter()

    def breed(self, recipe, parents, out, breed=Breeder.breed):
        bred[recipe.generation] += 1
        breed(self, recipe, parents, out)

    monkeypatch.setattr(Breeder, "breed", breed)  # one alone: siblings are bred together
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

    def breed(self, recipe, parents, out, breed=Breeder.breed):
        bred[recipe.generation] += 1
        breed(self, recipe, parents, out)

    monkeypatch.setattr(Breeder, "breed", breed)
    registered = {"mate": cxScanning, "mates": 4}
    made = result(wired(**registered, evaluate=Together(leaves_weights)))
    assert made == result(wired(**registered), breeding="plain")
    assert bred[0] >= 12
    assert (sum(bred.values()) == bred[0]) == leaves_weights


def test_a_group_that_was_overwritten_is_not_copied():
    watch = Watch(lambda run: list(run.map(Together(leaves_weights=False), run.population)))
    made = result(wired(evaluate=Together(leaves_weights=True)), callbacks=[watch])
    assert made == result(wired(), breeding="plain")


def test_a_genome_whose_slot_is_used_again_while_it_is_scored_is_scored_again(monkeypatch):
    lodge(monkeypatch)
    forget()
    OVERWRITTEN.clear()
    assert result(wired(evaluate=Overwritten())) == result(wired(), breeding="plain")
    assert len(OVERWRITTEN) == 6 * 12


def test_children_have_an_eighth_of_the_cache(monkeypatch):
    lodge(monkeypatch)
    monkeypatch.setattr(lineage, "slots_in", lambda *_: 40)
    lodged = []

    def note(run):
        known = run.population[0].make.__self__.known
        lodged.append(len([key for key in known.slots if key >> 32 == run.generation]))

    assert result(wired(evaluate=Squares()), callbacks=[Watch(note)]) == result(wired(), breeding="plain")
    assert lodged == [0] + [5] * 6
    lodged.clear()
    monkeypatch.setattr(slot_table, "LODGED_MATES", 3)
    result(wired(evaluate=Squares()), callbacks=[Watch(note)])
    assert lodged == [0] * 7
    result(wired(evaluate=Squares(), mate=cxScanning, mates=4), callbacks=[Watch(note)])
    assert lodged[7:] == [0] + [5] * 6


def test_two_runs_of_one_seed_in_a_process_have_genomes_of_their_own():
    def run(sigma, ngen):
        toolbox = wired(mutate=partial(mutGaussianAdaptive, sigma=sigma, noise=TABLE))
        return evolve(toolbox.population(n=12), toolbox, ngen, seed=1)

    _, alone = run(0.3, 5)
    kept = [run(sigma, 3) for sigma in (0.1, 0.6)]  # their members hold on to what made them
    _, after = run(0.3, 5)
    assert rows_of(after) == rows_of(alone)
    assert len(kept) == 2


def test_a_member_recalled_again_is_itself_after_twins_too():
    toolbox = wired()
    members = []
    evolve(toolbox.population(n=12), toolbox, 2, seed=1, callbacks=[Watch(lambda run: members.append(run))])
    run = members[-1]
    chosen = [run.population[place] for place in (0, 1, 1, 1, 0, 4, 5, 5, 4, 4)]
    found = list(run.map(Reader(), [(member, i) for i, member in enumerate(chosen)]))
    assert found == [(member.flat.tobytes(), i) for i, member in enumerate(chosen)]


def test_a_noise_vector_with_gaps_and_a_float32_sigma_change_nothing():
    numbers = np.random.default_rng(2).standard_normal(2 * (1 << 20), dtype=np.float32)
    for noise in (numbers[::2], numbers[::-1], NoiseTable(1, LAYOUT.size)):
        for sigma in (np.float32(0.1), 0.3):
            scale = [1 / 3, 0.7, 0.9]
            keywords = {"sigma": sigma, "noise": noise, "scale": scale}
            recipes = result(wired(mutate=partial(mutGaussianAdaptive, **keywords)), n=6, ngen=2)
            plain = result(wired(mutate=partial(mutGaussianAdaptive, **keywords)), n=6, ngen=2, breeding="plain")
            assert recipes == plain


@pytest.mark.parametrize("wrong", [{"mate": partial(cxMask, indpb=1.5)}, {"mate": partial(cxMask, indpb=float("nan"))}])
@pytest.mark.parametrize("breeding", ["plain", "recipes"])
def test_what_an_operator_refuses_is_refused_both_ways(wrong, breeding):
    with pytest.raises(ValueError, match="indpb must be"):
        result(wired(**wrong), breeding=breeding)


class Penalised:
    """Scores groups, but was registered with an argument that ``many`` does not take."""

    scores_groups = True

    def __call__(self, individual, penalty):
        return (sum_of_squares(individual)[0] + penalty * float(individual.flat[0]),)

    def many(self, genomes):
        raise AssertionError


def test_an_evaluate_with_arguments_is_called_with_them():
    assert result(wired(evaluate=partial(Penalised(), penalty=5))) == result(
        wired(evaluate=partial(Penalised(), penalty=5)), breeding="plain"
    )


def test_the_cnn_sized_toolbox_agrees_too(digits):
    def run(**options):
        toolbox = make_toolbox("mlp", digits, seed=1, parents=4)
        population, logbook = evolve(toolbox.population(n=8), toolbox, 3, seed=1, **options)
        return population, rows_of(logbook)

    assert run() == run(breeding="plain")


def test_what_make_toolbox_registers_takes_the_fused_pass(digits):
    for toolbox in (wired(), make_toolbox("mlp", digits, seed=1)):
        breeder = breeder_of(toolbox.population(n=2), toolbox, seed=1, cxpb=1.0, mutpb=1.0)
        assert breeder.fused
        assert len(pickle.dumps(breeder)) < 2000
    toolbox.register("mate", tools.cxTwoPoint)
    assert not breeder_of(toolbox.population(n=2), toolbox, seed=1, cxpb=1.0, mutpb=1.0).fused


def test_a_place_that_is_no_members_is_refused():
    toolbox = wired()
    lineage = Lineage(breeder_of(toolbox.population(n=4), toolbox, seed=1, cxpb=1.0, mutpb=1.0), map)
    with contextlib.closing(lineage), pytest.raises(ValueError, match="place must be that of a member"):
        lineage.past.recall(0, 0xFFFFFFFF)
