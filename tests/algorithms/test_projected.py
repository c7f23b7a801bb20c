"""The steps of `es`, projected onto the inputs of dense layers: the same bytes in each way to run it."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import MNIST
from deap import algorithms
from wirings import Watch, mapping, scored

from deap_nn import KerasProblem, evolve, make_toolbox, open_map
from deap_nn.breeding.recipe import CENTRE_PLACE
from deap_nn.core.logbooks import read_csv
from deap_nn.genome.layer_inputs import unpacked_inputs
from deap_nn.models.tensorflow import keras
from deap_nn.operators.compiled import projection
from deap_nn.runs.checkpoint import Checkpoint
from deap_nn.runs.generations import CheckpointError, read_generations

MEMBERS, GENERATIONS = 8, 5


def made(digits, **words):
    usual = {"seed": 3, "batch_size": 16, "preset": "es", "projected": True, "generations": GENERATIONS}
    return make_toolbox("mlp", digits, **usual | words)


def run(toolbox, generations=GENERATIONS, **words):
    means = []
    watch = Watch(lambda evolution: means.append(evolution.mean(evolution.population).flat.tobytes()))
    callbacks = [watch, *words.pop("callbacks", [])]
    population, logbook = evolve(toolbox.population(n=MEMBERS), toolbox, generations, callbacks=callbacks, **words)
    return [member.flat.tobytes() for member in population], list(logbook), means


@pytest.fixture(scope="module")
def expected(digits):
    return run(made(digits))


@pytest.mark.parametrize("sampling", ["independent", "mirrored"])
def test_recipes_and_plain_breeding_have_the_same_bytes(digits, sampling):
    found = run(made(digits, sampling=sampling), breeding="plain")
    assert found == run(made(digits, sampling=sampling))
    assert found[0] != run(made(digits, sampling=sampling, projected=False))[0]


def test_workers_have_the_same_bytes(digits, expected):
    toolbox = made(digits)
    toolbox.register("map", mapping)
    assert run(toolbox) == expected
    with open_map("processes", workers=2) as map_:
        toolbox = made(digits)
        toolbox.register("map", map_)
        assert run(toolbox) == expected


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
    with pytest.raises(CheckpointError, match="projected was True when the run began, and is False"):
        run(made(digits, projected=False), checkpoint=tmp_path)


@pytest.mark.parametrize("change", [lambda inputs: inputs[:-1], lambda inputs: b"\x09" + inputs[1:]])
def test_layer_inputs_of_a_checkpoint_that_do_not_fit_the_network_are_refused(digits, tmp_path, change):
    run(made(digits), 2, checkpoint=tmp_path / "first")
    with Checkpoint(tmp_path / "other") as checkpoint:
        for record in read_generations(tmp_path / "first"):
            checkpoint.append(replace(record, inputs=change(record.inputs)) if record.number == 2 else record)
    with pytest.raises(ValueError, match="generation 2 of the checkpoint: layer inputs "):
        run(made(digits), checkpoint=tmp_path / "other")


def test_a_keyframe_in_place_of_the_first_generations_gives_the_same_bytes(digits, tmp_path, expected):
    run(made(digits), 3, checkpoint=tmp_path, keyframe_seconds=0)
    assert list(tmp_path.glob("keyframe-*"))
    assert run(made(digits), checkpoint=tmp_path)[:2] == expected[:2]


def test_a_process_without_the_centre_breeds_it_from_the_recipe(digits, expected):
    """Its inputs make a recipe large: it is sent when a process lacks it."""
    toolbox, sent = made(digits), []

    def elsewhere(function, tasks):
        tasks = list(tasks)
        sent.extend(recipe for task in tasks for recipe in getattr(task, "known", ()) if recipe.place == CENTRE_PLACE)
        return map(function, [task._replace(slots=()) if hasattr(task, "slots") else task for task in tasks])

    toolbox.register("map", elsewhere)
    assert run(toolbox) == expected
    assert sent
    assert all(len(recipe.inputs) > 16 * 784 for recipe in sent)


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


def test_members_that_are_changed_move_the_centre_as_they_are(digits):
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

    assert centre(read).tobytes() == centre(unread).tobytes()


def test_a_convolutional_network_is_projected_in_its_dense_layers(digits):
    inputs = keras.Input((28, 28, 1))
    hidden = keras.layers.Flatten()(keras.layers.Conv2D(2, 5, strides=3, activation="relu")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Dense(24, "relu")(hidden)))
    toolbox = make_toolbox(model, digits, seed=1, preset="es", batch_size=20, centred=True, projected=True)
    (individual,) = toolbox.population(n=1)
    found = unpacked_inputs(toolbox.layer_inputs(individual, 2), toolbox.layout.shapes)
    assert {place: rows.shape for place, rows in found.items()} == {2: (20, 128), 4: (20, 24)}


@pytest.mark.parametrize("in_groups", [True, False])
def test_layer_inputs_are_those_of_the_centred_layers(digits, monkeypatch, in_groups):
    if not in_groups:
        monkeypatch.setattr("deap_nn.problems.groups.GROUPED_WEIGHTS", 0)
    x = np.random.default_rng(0).standard_normal((90, 40)).astype(np.float32) + 2
    layers = [keras.Input((40,)), keras.layers.Dense(30, "tanh"), keras.layers.Dense(2)]
    problem = KerasProblem(keras.Sequential(layers), x, (x[:, 0] > 2).astype(int), loss="cross_entropy", centred=True)
    toolbox = make_toolbox(problem, seed=1, preset="es", batch_size=12, projected=True)
    (individual,) = toolbox.population(n=1)
    from deap_nn.problems.scorer import scorer

    (batch,), _ = scorer(toolbox.problem)._minibatch(3)
    batch = batch.numpy().astype(np.float64)
    kernel, bias = individual[0], individual[1]
    outputs = batch @ kernel
    hidden = np.tanh(outputs - outputs.mean(axis=0) + bias)
    found = unpacked_inputs(toolbox.layer_inputs(individual, 3), toolbox.layout.shapes)
    for place, wanted in ((0, batch), (2, hidden)):
        wanted = wanted - wanted.mean(axis=0)
        wanted *= 127 / np.abs(wanted).max(axis=1, keepdims=True)
        assert np.abs(found[place] - wanted).max() < 0.51


def test_what_cannot_be_projected_is_refused(digits):
    with pytest.raises(ValueError, match="projected needs preset='es': 'ga' has no centre, got True"):
        make_toolbox("mlp", digits, seed=1, projected=True)
    with pytest.raises(ValueError, match="projected needs centred layers"):
        made(digits, centred=False)
    x = np.zeros((60, 40), np.float32)
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(2)])
    problem = KerasProblem(model, x, np.arange(60) % 2, loss="cross_entropy", centred=True, validation_split=0)
    with pytest.raises(ValueError, match="more inputs than a mini-batch has samples, 40"):
        make_toolbox(problem, seed=1, preset="es", batch_size=40, projected=True)
    with pytest.raises(TypeError, match="projected must be True or False"):
        made(digits, projected="yes")
    toolbox = make_toolbox("mlp", digits, seed=1, batch_size=16)
    toolbox.register("layer_inputs", made(digits).layer_inputs)
    with pytest.raises(ValueError, match="layer_inputs are for children of one centre"):
        evolve(toolbox.population(n=8), toolbox, 1)


def test_a_run_of_the_command_is_the_same_with_two_processes_and_is_replayed(here, warm, digits_file, tmp_path):
    options = ["--model", "mlp", "--preset", "es", "--projected", "yes", "--population", 8, "--generations", 4]
    options += ["--batch-size", 16, "--no-progress", "--ensemble", 0, "--data", digits_file]
    plain = here(MNIST, *options, "--breeding", "plain", "--output", tmp_path / "plain")
    workers = "--map", "processes", "--workers", 2
    run = warm(MNIST, *options, *workers, "--output", tmp_path / "run")
    assert (plain.returncode, plain.stderr, run.returncode, run.stderr) == (0, "", 0, "")
    assert (tmp_path / "run" / "logbook.csv").read_bytes() == (tmp_path / "plain" / "logbook.csv").read_bytes()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["projected"] is True
    assert " projected onto the inputs of dense layers, " in config["algorithm"]
    for number, chosen in enumerate((("--member", 5), ("--mean",))):
        target = "--output", tmp_path / f"{number}.npz"
        answer = here("-m", "deap_nn.replay", tmp_path / "run", "--generation", 4, *chosen, *target)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert "differs" not in answer.stdout
    last = list(read_csv(tmp_path / "run" / "readouts.csv")["mean of the parents"])[-1]
    assert f"validation error {last:.4f}" in answer.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--projected", "yes"], "argument --projected: needs --preset es: ga and article cross parents"),
        (["--preset", "es", "--centred", "no", "--projected", "yes"], "argument --projected: needs --centred yes"),
        (["--preset", "es", "--projected", "perhaps"], "argument --projected: must be yes or no, got 'perhaps'"),
    ],
)
def test_the_command_refuses_what_cannot_be_projected(here, tmp_path, options, message):
    answer = here(MNIST, "--model", "mlp", *options, "--output", tmp_path / "run")
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"mnist.py: error: {message}")
    assert not (tmp_path / "run").exists()
