"""Opposites that are made of their members in the slots that these were bred into."""

import contextlib

import pytest
from reference_loop import reference
from wirings import FOUR_WITH_OPPOSITES, HALF, Squares, result, wired

from deap_nn.breeding.kinds import Mean, Mirror
from deap_nn.breeding.store import ancestors
from deap_nn.breeding.store.ancestors import Ancestors
from deap_nn.breeding.store.slots import GenomeCache
from deap_nn.genome.vectors import mirror


@pytest.fixture
def plain():
    return reference(wired(**FOUR_WITH_OPPOSITES))


@pytest.fixture
def lodged(monkeypatch):
    """A toolbox whose children have slots of their own, however small they are."""
    monkeypatch.setattr("deap_nn.breeding.store.slot_table.LODGED_WEIGHTS", 1)
    return wired(**FOUR_WITH_OPPOSITES, evaluate=Squares())


@pytest.fixture
def bred(monkeypatch):
    """The recipes that are bred one by one."""
    noted, breed = [], Ancestors._breed_with

    def noting(self, parents, recipes, outs):
        noted.extend(recipes if len(recipes) == 1 else [])
        breed(self, parents, recipes, outs)

    monkeypatch.setattr(Ancestors, "_breed_with", noting)
    return noted


def test_an_opposite_is_made_of_its_member_in_the_slot_of_both(plain, lodged, bred):
    assert result(lodged) == plain
    assert sum(isinstance(recipe, Mean) for recipe in bred) == 5
    assert not any(isinstance(recipe, Mirror) for recipe in bred)


def test_a_member_that_is_a_parent_too_keeps_its_slot(lodged, bred):
    def select(individuals, k, *, rng, mirror):
        chosen = HALF(individuals, k, rng=rng, mirror=mirror)
        mirrored = {one.recipe.place for one in chosen if isinstance(one.recipe, Mirror)}
        twins = [one for one in individuals if one.recipe.place in mirrored] * k
        return [*chosen[: k // 2], *(twins or chosen)][:k]

    expected = result(wired(**FOUR_WITH_OPPOSITES | {"select": select}))
    bred.clear()
    lodged.register("select", select)
    assert result(lodged) == expected
    assert any(isinstance(recipe, Mirror) for recipe in bred)  # not made of the slot that its member needs


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_member_that_is_lost_before_it_is_mirrored_is_bred_again(monkeypatch, plain, lodged, when):
    lost, writing = [], GenomeCache.writing

    def losing(self, slot, key, *, over=None):
        if over is not None and key not in lost and len(lost) < 8:
            lost.append(key)
            with writing(self, slot, 12345) as room:
                room[:] = 7
            if when == "while":  # as it is after a process was killed here
                with contextlib.suppress(ZeroDivisionError), writing(self, slot, 1) as room:
                    room[:] = 1 / 0
        return writing(self, slot, key, over=over)

    monkeypatch.setattr(GenomeCache, "writing", losing)
    assert result(lodged) == plain
    assert len(lost) == 8


def test_an_opposite_is_not_made_of_a_centroid_whose_slot_is_used_again(monkeypatch, plain, lodged):
    at_work, lost, breed_from = [], [], Ancestors._breed_from

    def noting(self, recipes, *others, **keywords):
        at_work[:] = [(self, recipes[0].parents[-1])] if isinstance(recipes[0], Mirror) else []
        breed_from(self, recipes, *others, **keywords)

    def losing(vector, centre):
        if len(lost) < 3:
            (genomes, centroid), *_ = at_work
            lost.append(centroid)
            with genomes.cache.writing(genomes.slots[centroid], 12345) as room:
                room[:] = 7
        mirror(vector, centre)

    monkeypatch.setattr(Ancestors, "_breed_from", noting)
    monkeypatch.setattr(ancestors, "mirror", losing)
    assert result(lodged) == plain
    assert len(lost) == 3
