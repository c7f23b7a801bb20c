"""Who descends from whom, from what a checkpoint keeps."""

from dataclasses import replace

import numpy as np
import pytest

from deap_nn import GA, Callback, Checkpoint, RunDirectory, evolve, make_toolbox
from deap_nn.report.family import LEVELS, Family, describe_family, parents_of
from deap_nn.runs.generations import CheckpointError, Generation, read_generations


def generation(number, chosen, fitness=None):
    wvalues = -np.array(fitness or [float(i) for i in range(len(chosen) or 4)])[:, None]
    return Generation(number, None, {}, {}, 1.0, 1.0, 0, {}, "", wvalues, np.array(chosen, np.uint32))


PAST = [generation(0, []), generation(1, [0, 1, 0, 2]), generation(2, [1, 3, 3, 3])]
"""Four members, mated in twos: generation 1 comes of 0 and 1, and of 0 and 2; nobody of 3."""


def test_the_parents_are_those_side_by_side():
    assert parents_of(PAST[1], mates=2).tolist() == [[0, 1], [0, 1], [0, 2], [0, 2]]
    assert parents_of(generation(1, [3, 2, 1]), mates=2).tolist() == [[3, 2], [3, 2], [1, 1]]
    assert parents_of(generation(1, [3, 2]), mates=1).tolist() == [[3], [2]]
    opposite = generation(2, [1 << 31 | 3, 2])  # it counts as its member
    assert parents_of(opposite, mates=2).tolist() == [[3, 2], [3, 2]]


def test_shares_are_those_of_equal_parents():
    ancestry = Family(PAST, mates=2)
    founders, middle, last = ancestry.shares(2, np.array([1.0, 0, 0, 0]))
    assert last.tolist() == [1, 0, 0, 0]
    assert middle.tolist() == [0, 0.5, 0, 0.5]
    assert founders.tolist() == [0.5, 0.25, 0.25, 0]
    assert ancestry.founders() == [4, 3, 3]
    alone = Family([*PAST, generation(3, [2, 2, 2, 2])], mates=2)
    assert alone.founders() == [4, 3, 3, 2]


def test_around_a_centre_all_come_of_the_one_drawn_most_often():
    ancestry = Family(PAST, mates=2, around_centre=True)
    founders, middle, _ = ancestry.shares(2, np.array([1.0, 0, 0, 0]))
    assert middle.tolist() == [0, 0.25, 0, 0.75]
    assert founders.tolist() == [1, 0, 0, 0]
    assert ancestry.founders() == [4, 1, 1]
    tied = Family([PAST[0], generation(1, [3, 1, 1, 3])], mates=2, around_centre=True)
    assert tied.shares(1, np.array([1.0, 0, 0, 0]))[0].tolist() == [0, 0, 0, 1]


def test_around_a_centre_the_better_half_are_parents_by_their_weight():
    past = [generation(0, [], [0.0] * 5), generation(1, [2, 0, 1, 3, 4]), generation(2, [3, 4, 0, 1, 2])]
    config = {"step": 2.0, "sampling": "independent"}
    founders, middle, _ = Family.of(past, config).shares(2, np.array([1.0, 0, 0, 0, 0]))
    first, second = np.log(2.5), np.log(2.5 / 2)
    assert middle == pytest.approx([0, 0, 0, first / (first + second), second / (first + second)])
    assert founders.tolist() == [0, 0, 1, 0, 0]
    assert Family.of(past, config | {"parents": 1}).shares(2, np.eye(5)[0])[1].tolist() == [0, 0, 0, 1, 0]
    status = {"generation": 2, "readout": "mean of the parents"}
    tree = describe_family(past, config, status)["tree"]
    assert [(member["place"], member["share"]) for member in tree[0]["members"]] == [
        (0, pytest.approx(first / (first + second), abs=1e-5)),
        (1, pytest.approx(second / (first + second), abs=1e-5)),
    ]


def test_a_family_names_the_kept_member():
    family = describe_family(PAST, {"mates": 2}, {"generation": 2, "readout": "best member"})
    assert (family["of"], family["generation"], family["ancestors"]) == ("best member", 2, [3, 2, 1])
    assert family["founders"] == [{"place": 0, "share": 0.5}, {"place": 1, "share": 0.25}, {"place": 2, "share": 0.25}]
    assert [[member["place"] for member in level["members"]] for level in family["tree"]] == [[0], [1, 3], [0, 1, 2]]
    assert family["tree"][1]["edges"] == [[0, 0], [0, 1], [1, 0], [1, 2]]
    mean = describe_family(PAST, {"mates": 2}, {"generation": 2, "readout": "mean of the parents"})
    assert [member["place"] for member in mean["tree"][0]["members"]] == [0, 1]  # generation 2 has two parents
    assert describe_family(PAST, {"mates": 2}, {})["generation"] == 2
    assert describe_family(PAST[:2], {"mates": 2}, {"generation": 7})["generation"] == 1


@pytest.mark.parametrize("config", [{"mates": 3_000_000}, {"mates": -1}])
def test_a_family_of_impossible_numbers_is_refused_before_it_is_made(config):
    with pytest.raises(ValueError, match=r"config.json has -?\d+ mates"):
        describe_family(PAST, config, {})
    with pytest.raises(ValueError, match=r"config.json has"):
        describe_family(PAST, {"ancestry": config}, {})


@pytest.mark.parametrize(
    "options",
    [
        {"mates": 2},
        {"mates": 2, "opposites": 0.5},
        {"preset": "es", "step": 2.0, "sampling": "mirrored"},
        {"crossover": "none"},
    ],
)
def test_the_parents_are_those_that_were_bred_from(digits, tmp_path, options):
    class Look(Callback):
        def on_generation(self, evolution):
            recipes = [member.recipe for member in evolution.population]
            seen.append([{key & 0x7FFFFFFF for key in recipe.group} for recipe in recipes])

    seen, toolbox = [], make_toolbox("mlp", digits, GA(parents=6), seed=1, batch_size=16, **options)
    checkpoint = Checkpoint(tmp_path)
    evolve(toolbox.population(n=10), toolbox, LEVELS + 3, seed=1, callbacks=[Look()], checkpoint=checkpoint)
    checkpoint.close()
    past = read_generations(tmp_path)
    config = {"mates": None if "step" in options else 2, **options}
    ancestry = Family.of(past, config)
    if "step" in options:
        founder = ancestry.shares(1, np.eye(10)[0])[0]
        assert seen[1] == [{int(founder.argmax())}] * 10
        return
    mated = 1 if options.get("crossover") == "none" else 2
    for number in range(1, len(past)):
        own = parents_of(past[number], mates=mated)
        assert all(set(found.tolist()) <= expected for found, expected in zip(own, seen[number], strict=True))
        assert mated == 1 or [set(found.tolist()) for found in own] == seen[number]
    family = describe_family(past, config, {})
    assert len(family["tree"]) == LEVELS
    assert (family["ancestors"] == [1] * len(past)) == (mated == 1)


@pytest.mark.parametrize("options", [{"mates": 2}, {"preset": "es"}], ids=["mates", "centre"])
def test_the_founders_may_be_any_members_in_any_order(digits, tmp_path, options):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16, **options)
    every, chosen = toolbox.population(n=12), [7, 3, 11, 5, 4, 2]
    with RunDirectory(tmp_path / "run") as directory:
        given = {"seed": 1, "callbacks": [directory], "checkpoint": tmp_path / "run" / "checkpoint"}
        evolve([every[place] for place in chosen], toolbox, 3, **given)
    assert (tmp_path / "run" / "report.html").exists()
    past = read_generations(tmp_path / "run" / "checkpoint")
    assert past[0].chosen.tolist() == chosen
    assert past[0].parents == 0
    family = describe_family(past, {"mates": 2, "step": 2.0 if "preset" in options else None}, {})
    drawn = past[1].chosen.tolist()
    named = {chosen[founder["place"]] for founder in family["founders"]}
    assert named == set(drawn) if "mates" in options else named == {max(drawn, key=drawn.count)}
    with pytest.raises(ValueError, match="parents of generation 1 are not in generation 0"):
        Family([replace(past[0], chosen=past[0].chosen + 50), *past[1:]], mates=2)
    with RunDirectory(tmp_path / "run", again=True) as directory:
        given = {"seed": 1, "callbacks": [directory], "checkpoint": tmp_path / "run" / "checkpoint"}
        _, logbook = evolve([every[place] for place in chosen], toolbox, 4, **given)
    assert logbook.select("gen") == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("generations", [0, 2])
def test_a_run_goes_on_with_its_founders_in_their_order_alone(digits, tmp_path, generations):
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    every, found = toolbox.population(n=12), []
    for name, more in (("parts", [(0, [7, 3, 11, 5]), (2, [7, 3, 11, 5])]), ("whole", [(2, [7, 3, 11, 5])])):
        for ngen, chosen in more:
            _, logbook = evolve([every[place] for place in chosen], toolbox, ngen, seed=1, checkpoint=tmp_path / name)
        found.append(logbook.select("min"))
    assert found[0] == found[1]
    evolve(toolbox.population(n=4), toolbox, generations, seed=1, checkpoint=tmp_path / "other")
    for chosen in ([0, 2, 1, 3], [4, 5, 6, 7]):
        with pytest.raises(CheckpointError, match="the population must have the run's founders in their order"):
            evolve([every[place] for place in chosen], toolbox, 3, seed=1, checkpoint=tmp_path / "other")
