"""What a user sees of breeding by recipes: members that are individuals, closures that travel, what is refused."""

import contextlib
import copy
import pickle
from functools import partial

import pytest
from deap import tools
from own_callbacks import Watch
from reference_loop import reference
from wirings import LAYOUT, evolve_toolbox, made_breeder, result, sum_of_squares, wired

from deap_nn import Evaluation, Individual, evolve
from deap_nn.breeding.founders import initPopulation
from deap_nn.breeding.lineage import Lineage
from deap_nn.genome.population import LightMember


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


class Reader(Evaluation):
    """A function that leaves individuals as they are, and sees which it is given."""

    leaves_weights = True

    def __call__(self, item):
        return item[0].flat.tobytes(), item[1]


def test_a_member_recalled_again_is_itself_after_twins_too():
    toolbox = wired()
    members = []
    evolve_toolbox(toolbox, ngen=2, callbacks=[Watch(lambda run: members.append(run))])
    run = members[-1]
    chosen = [run.population[place] for place in (0, 1, 1, 1, 0, 4, 5, 5, 4, 4)]
    found = list(run.map(Reader(), [(member, i) for i, member in enumerate(chosen)]))
    assert found == [(member.flat.tobytes(), i) for i, member in enumerate(chosen)]


class Penalised(Evaluation):
    """Scores groups, but was registered with an argument that ``many`` does not take."""

    scores_groups = True

    def __call__(self, individual, penalty):
        return (sum_of_squares(individual)[0] + penalty * float(individual.flat[0]),)

    def many(self, genomes):
        raise AssertionError


def test_an_evaluate_with_arguments_is_called_with_them():
    toolbox = wired(evaluate=partial(Penalised(), penalty=5))
    assert result(toolbox) == reference(toolbox)


def test_what_make_toolbox_registers_takes_the_fused_pass(mlp):
    for toolbox in (wired(), mlp()):
        breeder = made_breeder(toolbox)
        assert breeder.fused
        assert breeder.mutate.keywords["noise"].digest  # a worker with another NumPy is refused
        assert len(pickle.dumps(breeder)) < 2000
    toolbox.register("mate", tools.cxTwoPoint)
    assert not made_breeder(toolbox).fused


def test_a_place_that_is_no_members_is_refused():
    lineage = Lineage(made_breeder(wired()), map)
    with contextlib.closing(lineage), pytest.raises(ValueError, match="place must be that of a member"):
        lineage.recall(0, 0xFFFFFFFF)
