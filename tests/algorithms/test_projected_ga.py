"""Steps of the centroid of `ga` along the inputs of dense layers: the same bytes in each way to run it."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from own_callbacks import Watch
from projected import GENERATIONS, MEMBERS, made
from reference_loop import reference
from wirings import OtherHost, evolve_toolbox, mapping

from deap_nn import GA, SelfAdaptive
from deap_nn.algorithms import resuming
from deap_nn.breeding.kinds import Centroid
from deap_nn.breeding.reproduction import Pairs
from deap_nn.callbacks.base import Callback
from deap_nn.genome.layer_inputs import unpacked_inputs
from deap_nn.runs.checkpoint import CheckpointError, read_generations

USUAL = GA()


def run(digits, algorithm=USUAL, generations=GENERATIONS, map_=None, members=MEMBERS, bounds=None, **more):
    toolbox = made(digits, algorithm, **({} if bounds is None else {"bounds": bounds}))
    if map_ is not None:
        toolbox.register("map", map_)
    population, logbook = evolve_toolbox(toolbox, n=members, ngen=generations, **more)
    return [member.flat.tobytes() for member in population], list(logbook)


@pytest.fixture(scope="module")
def expected(digits):
    return run(digits)


@pytest.mark.parametrize(
    ("algorithm", "bounds"),
    [
        (GA(), None),
        (GA(opposites=0.0), None),
        (GA(mates=2), None),
        (GA(mates=3), None),
        (GA(centred=True, projected=True), (-0.5, 0.5)),
        (GA(crossover="average"), None),
        (GA(sigma=SelfAdaptive(0.1, 0.01)), None),
    ],
    ids=str,
)
def test_projected_steps_have_the_bytes_of_the_plain_loop(digits, algorithm, bounds):
    found = run(digits, algorithm, members=12, bounds=bounds)
    assert found == reference(made(digits, algorithm, bounds=bounds), n=12, ngen=GENERATIONS, seed=3)
    plain = replace(algorithm, projected=False)
    assert found[0] != run(digits, plain, members=12, bounds=bounds)[0]


def test_groups_and_children_that_stay_as_they_are_move_along_too(digits):
    found = run(digits, members=12, cxpb=0.6, mutpb=0.7)
    probabilities = {"cxpb": 0.6, "mutpb": 0.7}
    assert found == reference(made(digits, USUAL), n=12, ngen=GENERATIONS, seed=3, **probabilities)


class Counting(Pairs):
    """A strategy of one's own, which knows nothing of steps and needs a vector for each parent of a recipe."""

    def breed(self, breeder, children, parents, outs):
        assert len(children[0].parents) == len(parents)
        super(Pairs, self).breed(breeder, children, parents, outs)


def test_a_strategy_of_ones_own_gets_the_moved_parents(digits, expected):
    toolbox = made(digits, USUAL)
    toolbox.reproduction = Counting(toolbox.mate, toolbox.mates)
    population, _ = evolve_toolbox(toolbox, n=MEMBERS, ngen=GENERATIONS)
    assert [member.flat.tobytes() for member in population] == expected[0]


def test_workers_and_groups_have_the_same_bytes(digits, expected):
    assert run(digits, map_=mapping) == expected
    for group_size in (4, 8):
        assert run(digits, map_=mapping, group_size=group_size) == expected


@pytest.mark.filterwarnings("ignore:the cache has no room")
def test_a_cache_with_less_room_than_parents_changes_nothing(digits, monkeypatch, expected):
    monkeypatch.setattr("deap_nn.breeding.lineage.slots_in", lambda *_: 4)
    assert run(digits) == expected


def test_another_host_makes_the_centroids_from_recipes_of_one_generation(digits, tmp_path, expected):
    """It has the centroid before, so it needs no layer inputs of earlier generations."""
    sent = []
    elsewhere = OtherHost(tmp_path, sent)
    assert run(digits, map_=elsewhere, group_size=4) == expected
    elsewhere.forget()
    inputs = [
        (task.generation, [one.generation for one in task.known.values() if isinstance(one, Centroid)]) for task in sent
    ]
    found = [(generation, found) for generation, found in inputs if found]
    assert found == [(generation, [generation - 1]) for generation in range(3, GENERATIONS + 1)]


def test_a_host_that_loses_its_cache_makes_the_same_centroids_again(digits, tmp_path, expected):
    """It needs the right recipe of the centroid before, which was projected from still another one."""
    elsewhere = OtherHost(tmp_path, [])
    assert run(digits, map_=elsewhere, group_size=4, callbacks=[lambda evolution: elsewhere.forget()]) == expected


def test_a_keyframe_is_made_if_layer_inputs_take_much_memory(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "RECIPE_BYTES", 3 * 16 * (784 + 64 + 64 + 10))
    frames = []
    watch = Watch(lambda evolution: frames.append(sorted(path.name for path in tmp_path.glob("keyframe-*"))))
    run(digits, generations=6, checkpoint=tmp_path, callbacks=[watch])
    assert frames[1] == []
    assert frames[-1]


def centroids_of_a_run(digits, algorithm=USUAL):
    """Return, for each generation, the centroid and the mean of its parents' weights, and the members."""
    found = []

    def note(evolution):
        lineage = evolution.mean.__self__
        if evolution.generation:
            both = [lineage.weights(recipe) for recipe in lineage.ancestry.carriers(evolution.generation)[:2]]
            found.append((both[-1], both[0], np.stack([member.flat for member in evolution.population])))

    toolbox = made(digits, algorithm)
    evolve_toolbox(toolbox, n=MEMBERS, ngen=4, callbacks=[Watch(note)])
    return found, toolbox.layout


def test_the_centroid_of_the_next_generation_lies_along_the_inputs_of_the_mini_batch(digits):
    """The pixels of 16 digits span 16 directions of 784; the mean of the parents has moved in all others too."""
    found, layout = centroids_of_a_run(digits)
    for (before, *_), (after, mean, _) in itertools.pairwise(found):
        first = [np.float64(layout.unpack(after)[0]) - layout.unpack(before)[0] for after in (after, mean)]
        projected, raw = (np.linalg.svd(step, compute_uv=False) for step in first)
        assert projected[15] > 100 * projected[16]
        assert raw[15] < 3 * raw[16]
        assert after[-10:].tobytes() == mean[-10:].tobytes()  # biases


def test_children_have_the_centroid_as_their_mean(digits):
    """Without mutation each locus of a group's children has the values of its four parents, once each."""
    found, _ = centroids_of_a_run(digits, GA(sigma=1e-12, schedule="constant"))
    for centroid, mean, children in found[1:]:
        np.testing.assert_allclose(children.mean(axis=0, dtype=np.float64), centroid, atol=1e-6)
        assert np.abs(centroid - mean).max() > 1e-4


def test_it_is_resumed_and_its_checkpoint_has_the_inputs(digits, tmp_path, expected):
    run(digits, generations=2, checkpoint=tmp_path)
    first, toolbox = read_generations(tmp_path), made(digits, USUAL)
    assert not first[0].inputs
    for generation in first[1:]:
        assert set(unpacked_inputs(generation.inputs, toolbox.layout.shapes)) == {0, 2}
    assert run(digits, checkpoint=tmp_path) == expected
    with pytest.raises(CheckpointError, match=r"case_step was 30\.0 when the run began, and is None"):
        run(digits, GA(projected=False, sigma=0.128, scale="fixed"), checkpoint=tmp_path)


def test_a_keyframe_in_place_of_the_first_generations_gives_the_same_bytes(digits, tmp_path, expected):
    run(digits, generations=3, checkpoint=tmp_path, keyframe_weights=0)
    assert list(tmp_path.glob("keyframe-*"))
    assert run(digits, checkpoint=tmp_path) == expected


class Recalled(Callback):
    """Recalls a member of each generation when the run is resumed."""

    def restore(self, evolution, states):
        self.found = [evolution.member(generation, 5) for generation in range(evolution.generation + 1)]

    def members(self):
        return getattr(self, "found", [])


def test_members_of_earlier_generations_are_recalled(digits, tmp_path):
    seen = []
    watch = Watch(lambda evolution: seen.append(evolution.population[5].flat.tobytes()))
    run(digits, generations=4, checkpoint=tmp_path, callbacks=[watch])
    recalled = Recalled()
    run(digits, checkpoint=tmp_path, callbacks=[recalled])
    assert [member.flat.tobytes() for member in recalled.found] == seen


def test_cases_move_all_children_alike_and_change_nothing_else(digits):
    """Parents, masks, noise and opposites are those of steps by rank as long as the fitness is: to generation 2."""
    toolboxes = [made(digits, GA(casewise=casewise)) for casewise in (True, False)]
    by_cases, by_rank = (evolve_toolbox(toolbox, n=MEMBERS, ngen=2)[0] for toolbox in toolboxes)
    assert [child.recipe for child in by_cases] == [child.recipe for child in by_rank]
    shifts = [[a - b for a, b in zip(*pair, strict=True)] for pair in zip(by_cases, by_rank, strict=True)]
    for place, of_children in enumerate(map(np.stack, zip(*shifts, strict=True))):
        np.testing.assert_allclose(of_children, np.broadcast_to(of_children[0], of_children.shape), atol=1e-6)
        assert (np.abs(of_children[0]).max() > 1e-3) == (place in (0, 2))  # the kernels
