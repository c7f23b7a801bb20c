"""The steps of `es`, projected onto the inputs of dense layers: the same bytes in each way to run it."""

import itertools
import json

import numpy as np
import pytest
from conftest import MNIST
from deap import algorithms
from limits import evolve
from own_callbacks import Watch
from projected import GENERATIONS, MEMBERS, made, run
from reference_loop import reference
from wirings import mapping, scored

from deap_nn import ES, Annealed, Individual, open_map, usual_step
from deap_nn.breeding.kinds import KINDS, Centre
from deap_nn.breeding.reproduction import AroundCentre
from deap_nn.callbacks.base import Callback
from deap_nn.core.logbooks import read_csv
from deap_nn.genome.layer_inputs import unpacked_inputs
from deap_nn.operators.compiled import projection
from deap_nn.runs.checkpoint import CheckpointError, read_generations


@pytest.fixture(scope="module")
def expected(digits):
    return run(made(digits))


def test_a_projected_step_is_not_the_step(digits, expected):
    assert expected[:2] == reference(made(digits), n=MEMBERS, ngen=GENERATIONS, seed=3)
    assert expected[0] != run(made(digits, ES(projected=False)))[0]


def test_workers_have_the_same_bytes(digits, expected):
    toolbox = made(digits)
    toolbox.register("map", mapping)
    assert run(toolbox) == expected
    with open_map("processes", workers=2) as map_:
        toolbox = made(digits)
        toolbox.register("map", map_)
        assert run(toolbox) == expected


class Own(AroundCentre):
    """A strategy of one's own."""

    def breed(self, breeder, children, parents, outs):
        super().breed(breeder, children, parents, outs)


def test_a_strategy_of_ones_own_is_projected(digits):
    def own():
        toolbox = made(digits, ES(projected=True, step=2.0))
        toolbox.reproduction = Own(2.0, toolbox.recombination_weights)
        return toolbox

    assert run(own()) == run(made(digits, ES(projected=True, step=2.0)))


def test_the_time_of_a_resume_counts_the_projection(digits, tmp_path, monkeypatch):
    calls = []

    def note(evolution):
        lineage = evolution.mean.__self__
        monkeypatch.setattr(projection, "project", lambda *arguments: calls.append(len(arguments[3])))
        assert lineage.past.seconds_to_breed() > 0
        monkeypatch.undo()

    toolbox = made(digits)
    evolve(toolbox.population(n=MEMBERS), toolbox, 2, callbacks=[Watch(lambda e: e.generation == 2 and note(e))])
    assert len(calls) == 3
    assert min(calls) > 16 * 784


def test_the_mean_of_all_is_the_centre_that_the_next_generation_is_bred_from(digits, monkeypatch):
    centres, project = {}, projection.project

    def noting(moved, centre, shapes, inputs):
        project(moved, centre, shapes, inputs)
        centres[moved.tobytes()] = inputs

    monkeypatch.setattr(projection, "project", noting)
    *_, means = run(made(digits))
    assert set(means[1:]) <= set(centres)
    assert all(centres.values())


def test_a_step_changes_the_first_layer_along_the_inputs_of_the_mini_batch_only(digits):
    """The pixels of 16 digits span 16 directions of 784."""
    toolbox, means = made(digits), []
    watch = Watch(lambda evolution: means.append(evolution.mean(evolution.population)[0].copy()))
    evolve(toolbox.population(n=MEMBERS), toolbox, 3, callbacks=[watch])
    for before, after in itertools.pairwise(means[1:]):
        values = np.linalg.svd((after - before).astype(np.float64), compute_uv=False)
        assert values[15] > 100 * values[16]


def test_it_is_resumed_and_its_checkpoint_has_the_inputs(digits, tmp_path, expected):
    run(made(digits), 2, checkpoint=tmp_path)
    first = read_generations(tmp_path)
    assert not first[0].inputs
    toolbox = made(digits)
    for generation in first[1:]:
        found = unpacked_inputs(generation.inputs, toolbox.layout.shapes)
        assert {place: rows.shape for place, rows in found.items()} == {0: (16, 784), 2: (16, 64)}
    population, logbook, means = run(made(digits), checkpoint=tmp_path)
    assert (population, logbook) == expected[:2]
    assert means == expected[2][2:]  # the last generation before the resume is told again
    same = {"scale": "widest", "sigma": Annealed(0.4, 0.1), "step": usual_step(MEMBERS, GENERATIONS, 2, projected=True)}
    with pytest.raises(CheckpointError, match="projected was True when the run began, and is False"):
        run(made(digits, ES(projected=False, **same)), checkpoint=tmp_path)


def test_a_keyframe_in_place_of_the_first_generations_gives_the_same_bytes(digits, tmp_path, expected):
    run(made(digits), 3, checkpoint=tmp_path, keyframe_seconds=0)
    assert list(tmp_path.glob("keyframe-*"))
    assert run(made(digits), checkpoint=tmp_path)[:2] == expected[:2]


class Recalled(Callback):
    """Recalls the mean of all members of a generation when the run is resumed."""

    def __init__(self, generation, wvalues):
        ranked = np.argsort(-wvalues[:, 0], kind="stable").tolist()
        self._of, self.mean = (generation, ranked), None

    def restore(self, evolution, states):
        self.mean = evolution.member(*self._of)

    def members(self):
        return [] if self.mean is None else [self.mean]


def test_the_mean_of_an_earlier_generation_is_recalled(digits, tmp_path, expected):
    run(made(digits), 3, checkpoint=tmp_path)
    recalled = Recalled(2, read_generations(tmp_path)[2].wvalues)
    run(made(digits), checkpoint=tmp_path, callbacks=[recalled])
    assert recalled.mean.flat.tobytes() == expected[2][2]


def test_a_process_without_the_centre_breeds_it_from_the_recipe(digits, expected):
    """Its inputs make a recipe large: it is sent when a process lacks it."""
    toolbox, sent = made(digits), []

    def elsewhere(function, tasks):
        tasks = list(tasks)
        if tasks[0].generation > 1 and isinstance(tasks[0].items[0], KINDS):  # they score
            known = [recipe for task in tasks for recipe in task.known]
            sent.append([len(recipe.inputs) for recipe in known if isinstance(recipe, Centre)])
        return map(function, [task._replace(slots=()) for task in tasks])

    toolbox.register("map", elsewhere)
    assert run(toolbox) == expected
    assert not any(sent[::2])
    assert all(min(sizes) > 16 * 784 for sizes in sent[1::2])
    assert len(sent) == 2 * (GENERATIONS - 1)


def test_deaps_loop_has_the_fitness_of_evolve(digits):
    _, expected, _ = run(made(digits))
    toolbox = made(digits, population=MEMBERS, generations=GENERATIONS)
    best = []
    toolbox.register("evaluate", noting, toolbox.evaluate, best)
    algorithms.eaGenerateUpdate(toolbox, ngen=GENERATIONS + 1, verbose=False)
    found = [min(best[start : start + MEMBERS]) for start in range(0, len(best), MEMBERS)]
    assert found == [row["min"] for row in expected]


def noting(evaluate, best, individual):
    values = evaluate(individual)
    best.append(values[0])
    return values


def test_members_that_are_read_or_replaced_by_equal_ones_give_the_same_centre(digits):
    def centre(change):
        toolbox = made(digits, population=MEMBERS, generations=3)
        for _ in range(2):
            population = scored(toolbox, toolbox.generate())
            change(population)
            toolbox.update(population)
        return toolbox.generate()[0].flat.copy()

    def unread(population):
        return None

    def read(population):
        assert all(individual.flat.size for individual in population)

    def replaced(population):
        for place, individual in enumerate(population):
            population[place] = Individual(list(individual))
            population[place].fitness.values = individual.fitness.values

    assert centre(read).tobytes() == centre(unread).tobytes() == centre(replaced).tobytes()


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("es", ", projected onto the inputs of dense layers, "),
        ("ga", ", parents moved along the inputs of dense layers, "),
    ],
)
def test_a_run_of_the_command_is_the_same_with_two_processes_and_is_replayed(
    here, warm, digits_file, tmp_path, preset, said
):
    options = ["--model", "mlp", "--preset", preset, "--projected", "yes", "--population", 12, "--generations", 4]
    options += ["--batch-size", 16, "--no-progress", "--data", digits_file]
    plain = here(MNIST, *options, "--output", tmp_path / "plain")
    workers = "--map", "processes", "--workers", 2
    run = warm(MNIST, *options, *workers, "--output", tmp_path / "run")
    assert (plain.returncode, plain.stderr, run.returncode, run.stderr) == (0, "", 0, "")
    assert (tmp_path / "run" / "logbook.csv").read_bytes() == (tmp_path / "plain" / "logbook.csv").read_bytes()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["projected"] is True
    assert said in config["algorithm"]
    for number, chosen in enumerate((("--member", 5), ("--mean",))):
        target = "--output", tmp_path / f"{number}.npz"
        answer = here("-m", "deap_nn.replay", tmp_path / "run", "--generation", 4, *chosen, *target)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert "differs" not in answer.stdout
    last = list(read_csv(tmp_path / "run" / "readouts.csv")["mean of the parents"])[-1]
    assert f"validation error {last:.4f}" in answer.stdout
