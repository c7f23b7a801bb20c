"""Candidates: the best member and the mean of the parents, each through the same recipes as the children."""

import copy
import json
from operator import attrgetter

import numpy as np
import pytest
from limits import evolve
from own_callbacks import Stop
from wirings import OtherHost, evolve_toolbox

from deap_nn import ES, GA, Checkpoint, WeightList
from deap_nn.breeding.genomes import Genomes
from deap_nn.breeding.kinds import Average, Centre
from deap_nn.callbacks.base import Callback, Evolution
from deap_nn.callbacks.candidates import Candidates
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.genome.population import mean_of


@pytest.fixture(scope="module")
def toolbox(mlp):
    return mlp(GA(parents=6, projected=False), batch_size=16)  # with it all errors end at 0


class Watch(Callback):
    """Remember the fittest of each generation, and what a run's mean of them is."""

    def __init__(self):
        self.fittest, self.means = {}, {}

    def on_generation(self, evolution):
        if evolution.parents:
            fittest = evolution.fittest
            self.means[evolution.generation] = evolution.mean(fittest).flat.copy()
            self.fittest[evolution.generation] = [member.flat.copy() for member in fittest]


def test_the_mean_is_that_of_as_many_of_the_best_as_there_are_parents(toolbox):
    watch = Watch()
    evolve_toolbox(toolbox, n=20, ngen=4, callbacks=[watch])
    assert sorted(watch.means) == [1, 2, 3, 4]
    for generation, members in watch.fittest.items():
        assert 4 <= len(members) <= 6
        assert watch.means[generation].tobytes() == mean_of([WeightList([member]) for member in members]).flat.tobytes()


def test_the_mean_of_individuals_is_that_of_their_weights():
    rng = np.random.default_rng(1)
    members = [WeightList([rng.normal(size=(3, 2)), rng.normal(size=4)]) for _ in range(5)]
    before = copy.deepcopy(members)
    made = mean_of(members)
    expected = np.mean([member.flat.astype(np.float64) for member in members], axis=0).astype(np.float32)
    assert made.flat.tobytes() == expected.tobytes()
    assert members == before
    assert made.flat.dtype == np.float32
    with pytest.raises(ValueError, match="individuals must not be empty"):
        mean_of([])
    with pytest.raises(ValueError, match="individuals must have the same shapes"):
        mean_of([members[0], WeightList([np.zeros(10)])])


def test_around_a_centre_the_mean_goes_as_far_as_the_next_centre(mlp):
    toolbox = mlp(ES(step=3.0, projected=False), batch_size=16)
    watch = Watch()
    evolve_toolbox(toolbox, n=20, ngen=4, callbacks=[watch])
    assert sorted(watch.means) == [1, 2, 3, 4]
    mean = mean_of([WeightList([member]) for member in watch.fittest[4]]).flat
    distance = np.linalg.norm(watch.means[4] - watch.means[3]) / np.linalg.norm(mean - watch.means[3])
    assert 1.5 < distance < 6


def test_the_fittest_are_the_best_of_the_population(toolbox):
    population = toolbox.population(n=5)
    for place, member in enumerate(population):
        member.fitness.values = (float(place * 3 % 5),)
    evolution = Evolution(toolbox, population, 3, map, parents=3)
    assert evolution.fittest == sorted(population, key=attrgetter("fitness"), reverse=True)[:3]


def test_the_mean_is_bred_where_it_is_scored(toolbox, tmp_path, monkeypatch):
    """Also by a process that knows of a run what its tasks say and finds no cache."""
    found, tasks_sent = {}, []

    def elsewhere(function, tasks):
        for task in tasks:
            host = OtherHost(tmp_path, tasks_sent)
            yield from host(function, [task])
            host.forget()

    class Score(Callback):
        def on_generation(self, evolution):
            if evolution.generation == 3:
                mean = evolution.mean(evolution.fittest)
                tasks_sent.clear()
                (found["there"],) = evolution.map(total, [mean])
                found["here"] = total(mean)

    monkeypatch.setitem(vars(toolbox), "map", elsewhere)
    evolve_toolbox(toolbox, n=20, ngen=3, callbacks=[Score()])
    assert found["there"] == found["here"]
    lacking, *_, whole = tasks_sent  # at last with all that it needs
    assert {recipe.generation for recipe in lacking.known.values()} == {3}
    assert {recipe.generation for recipe in whole.known.values()} == {0, 1, 2, 3}


def total(individual):
    return individual.flat.tobytes()


def scored(toolbox, folder=None, stop=None, ngen=30, **options):
    candidates = Candidates(toolbox, folder / "readouts.csv" if folder is not None else None)
    checkpoint = Checkpoint(folder / "checkpoint") if folder is not None else None
    callbacks = [candidates, *([Stop(stop)] if stop is not None else [])]
    try:
        population = toolbox.population(n=20, start=0)
        evolve(population, toolbox, ngen, seed=1, callbacks=callbacks, checkpoint=checkpoint, **options)
    except KeyboardInterrupt:
        return None
    finally:
        if checkpoint is not None:
            checkpoint.close()
    return candidates


def test_the_best_and_the_mean_are_scored_and_the_better_is_kept(toolbox):
    recipes = scored(toolbox)
    assert [row["gen"] for row in recipes.rows] == [0, 25, 30]
    assert recipes.rows[0]["mean of the parents"] is None
    errors = {(row[name], row["gen"], name) for row in recipes.rows for name in row if name != "gen" and row[name]}
    least = min(error for error, _, _ in errors)
    assert (recipes.validation_error, recipes.generation, recipes.kind) in errors
    assert recipes.validation_error == least == toolbox.error_rate(recipes.individual, "validation")


def test_an_error_rate_is_that_of_the_first_training_samples(toolbox):
    (network,) = toolbox.population(n=1)
    few, all_of_them, more, whole = (toolbox.error_rate(network, "train", size=size) for size in (70, 320, 1000, None))
    assert few != all_of_them == more == whole
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        toolbox.error_rate(network, "train", size=0)
    with pytest.raises(ValueError, match="split must be"):
        toolbox.error_rate(network, "exam")


@pytest.mark.parametrize(
    ("algorithm", "stop", "keyframe_weights"),
    [(GA(parents=6), 24, None), (ES(parents=6), 25, 0.0), (GA(parents=6), 27, 0.0), (ES(parents=6), 27, None)],
)
def test_a_resumed_run_keeps_the_mean(mlp, tmp_path, algorithm, stop, keyframe_weights):
    toolbox = mlp(algorithm, batch_size=16)
    # From the start a mean that cannot be beaten, so that it has to be given back.
    toolbox.error_rate = PreferMean(toolbox.error_rate)
    whole = scored(toolbox)
    assert (whole.kind, whole.generation) == ("mean of the parents", 25)
    for _ in range(2):  # the second time the file is made again
        assert scored(toolbox, tmp_path, stop=stop, keyframe_weights=keyframe_weights) is None
        (tmp_path / "readouts.csv").rename(tmp_path / "before.csv")
    found = scored(toolbox, tmp_path, keyframe_weights=keyframe_weights)
    assert (found.kind, found.generation, found.validation_error) == ("mean of the parents", 25, 0.0)
    assert found.individual.flat.tobytes() == whole.individual.flat.tobytes()
    assert found.rows == whole.rows
    lines = (tmp_path / "readouts.csv").read_text().splitlines()
    assert lines[0] == "gen,best member,mean of the parents"
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "25", "30"]


def test_what_a_mean_descends_from_is_bred_once(toolbox, tmp_path, monkeypatch):
    bred, breed = [], Genomes._breed_with

    def counted(self, parents, recipes, outs):
        bred.extend(recipe.id for recipe in recipes)
        breed(self, parents, recipes, outs)

    class Recall(Callback):
        def restore(self, evolution, states):
            with monkeypatch.context() as counting:
                counting.setattr(Genomes, "_breed_with", counted)
                evolution.member(15, list(range(6))).flat  # noqa: B018  (to see what it takes)

    for callbacks in ([Stop(20)], [Recall(), Stop(21)]):
        checkpoint = Checkpoint(tmp_path)
        with pytest.raises(KeyboardInterrupt):
            evolve_toolbox(toolbox, n=20, ngen=30, callbacks=callbacks, checkpoint=checkpoint)
        checkpoint.close()
    assert len(bred) > 15
    assert len(set(bred)) == len(bred)


class PreferMean:
    """An error rate of 0 for the first mean that is scored, and of 1 for all else."""

    def __init__(self, error_rate):
        self.error_rate = error_rate

    def __call__(self, individual, split, *, map):
        recipe = getattr(individual, "recipe", None)
        return 0.0 if isinstance(recipe, Average | Centre) and recipe.generation == 25 else 1.0


def test_the_work_at_the_end_is_named_in_the_status(toolbox, tmp_path, monkeypatch):
    named, write = [], RunDirectory._write_status

    def noting(directory, **options):
        named.append(directory.status.get("phase"))
        write(directory, **options)

    monkeypatch.setattr(RunDirectory, "_write_status", noting)
    with RunDirectory(tmp_path / "run") as directory:
        evolve_toolbox(toolbox, ngen=1, callbacks=[directory, Candidates(toolbox)])
        directory.enter("drawing")
        assert json.loads((tmp_path / "run" / "status.json").read_text())["phase"] == "drawing"
    assert named == [None, "scoring the candidates", "drawing", None]
    assert "phase" not in json.loads((tmp_path / "run" / "status.json").read_text())
