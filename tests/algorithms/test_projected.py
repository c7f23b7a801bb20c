"""Steps of `es` along the inputs of dense layers: the same bytes in each way to run it; the inputs."""

import itertools
import json

import numpy as np
import pytest
from conftest import MNIST, quiet
from own_callbacks import Watch
from projected import GENERATIONS, MEMBERS, made, run
from reference_loop import reference
from wirings import evolve_toolbox, mapping

from deap_nn import ES, Annealed, KerasProblem, make_toolbox, usual_step
from deap_nn.breeding.kinds import KINDS, Centre
from deap_nn.core.logbooks import read_csv
from deap_nn.genome.layer_inputs import unpacked_inputs
from deap_nn.models.tensorflow import keras
from deap_nn.operators.compiled import projection
from deap_nn.runs.checkpoint import CheckpointError, read_generations


@pytest.fixture(scope="module")
def expected(digits):
    return run(made(digits))


def test_a_projected_step_is_not_the_step(digits, expected):
    assert expected[:2] == reference(made(digits), n=MEMBERS, ngen=GENERATIONS, seed=3)
    assert expected[0] != run(made(digits, ES(projected=False)))[0]


def test_a_map_that_may_be_parallel_has_the_same_bytes(digits, expected):
    toolbox = made(digits)
    toolbox.register("map", mapping)
    assert run(toolbox) == expected


def test_the_mean_of_all_is_the_centre_that_the_next_generation_is_bred_from(digits, monkeypatch):
    centres, project = {}, projection.project

    def noting(moved, centre, shapes, inputs):
        project(moved, centre, shapes, inputs)
        centres[moved.tobytes()] = inputs

    monkeypatch.setattr(projection, "project", noting)
    some = []
    of_some = Watch(lambda evolution: some.append(evolution.mean(evolution.population[:3]).flat.tobytes()))
    *_, means = run(made(digits), callbacks=[of_some])
    assert set(means[1:]) <= set(centres)
    assert not set(some) & set(centres)
    assert all(centres.values())


def test_a_step_changes_the_first_layer_along_the_inputs_of_the_mini_batch_only(digits):
    """The pixels of 16 digits span 16 directions of 784."""
    toolbox, means = made(digits), []
    watch = Watch(lambda evolution: means.append(evolution.mean(evolution.population)[0].copy()))
    evolve_toolbox(toolbox, n=MEMBERS, ngen=3, callbacks=[watch])
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
        shapes = {place: (step.inputs.shape, step.changes.shape) for place, step in found.items()}
        assert shapes == {0: ((16, 784), (16, 64)), 2: ((16, 64), (16, 10))}
    population, logbook, means = run(made(digits), checkpoint=tmp_path)
    assert (population, logbook) == expected[:2]
    assert means == expected[2][2:]  # the last generation before the resume is told again
    same = {"scale": "widest", "sigma": Annealed(0.4, 0.1), "step": usual_step(MEMBERS, GENERATIONS, 2, projected=True)}
    with pytest.raises(CheckpointError, match=r"case_step was 30\.0 when the run began, and is None"):
        run(made(digits, ES(projected=False, **same)), checkpoint=tmp_path)


def test_a_keyframe_in_place_of_the_first_generations_gives_the_same_bytes(digits, tmp_path, expected):
    run(made(digits), 3, checkpoint=tmp_path, keyframe_weights=0)
    assert list(tmp_path.glob("keyframe-*"))
    assert run(made(digits), checkpoint=tmp_path)[:2] == expected[:2]


def test_a_process_without_the_centre_breeds_it_from_the_recipe(digits, expected):
    """Its inputs make a recipe large: it is sent when a process lacks it."""
    toolbox, sent = made(digits), []

    def elsewhere(function, tasks):
        tasks = list(tasks)
        if tasks[0].generation > 1 and isinstance(tasks[0].items[0], KINDS):  # they score
            known = [recipe for task in tasks for recipe in task.known.values()]
            sent.append([len(recipe.inputs) for recipe in known if isinstance(recipe, Centre)])
        return map(function, [task._replace(slots={}) for task in tasks])

    toolbox.register("map", elsewhere)
    assert run(toolbox) == expected
    assert not any(sent[::3])
    assert all(min(sizes) > 16 * 784 for sizes in [*sent[1::3], *sent[2::3]])
    assert len(sent) == 3 * (GENERATIONS - 1)


@pytest.mark.parametrize("preset", ["es", "ga"])
def test_a_run_of_the_command_is_the_same_with_two_processes_and_is_replayed(here, warm, digits_file, tmp_path, preset):
    options = ["--model", "mlp", "--preset", preset, "--projected", "yes", "--population", 12, "--generations", 4]
    options += ["--batch-size", 16, "--no-progress", "--data", digits_file]
    plain = here(MNIST, *options, "--output", tmp_path / "plain")
    workers = "--map", "processes", "--workers", 2
    run = warm(MNIST, *options, *workers, "--output", tmp_path / "run")
    assert (plain.returncode, plain.stderr, run.returncode, run.stderr) == (0, "", 0, "")
    assert (tmp_path / "run" / "logbook.csv").read_bytes() == (tmp_path / "plain" / "logbook.csv").read_bytes()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["projected"] is True
    assert ", a step of 30.0 by cases along the inputs of hidden and output, " in config["algorithm"]
    for number, chosen in enumerate((("--member", 5), ("--mean",))):
        target = "--output", tmp_path / f"{number}.npz"
        answer = quiet(here("-m", "deap_nn.replay", tmp_path / "run", "--generation", 4, *chosen, *target))
        assert "differs" not in answer.stdout
    last = list(read_csv(tmp_path / "run" / "readouts.csv")["mean of the parents"])[-1]
    assert f"validation error rate {last:.4f}" in answer.stdout


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"garbage-and-more", ValueError, "layer inputs do not fit dense layers"),
        (b"", ValueError, "projected: no dense layer has one row of inputs for each sample"),
        (None, TypeError, "layer_inputs must return the bytes of packed_inputs, got NoneType"),
    ],
)
def test_what_layer_inputs_of_ones_own_answer_is_checked_before_it_is_kept(digits, answer, error, message):
    toolbox = made(digits)
    toolbox.register("layer_inputs", lambda individual, generation, **_: answer)
    generations = []
    with pytest.raises(error, match=message):
        run(toolbox, callbacks=[Watch(lambda run: generations.append(run.generation))])
    assert generations == [0]


def test_layer_inputs_stay_the_same_during_a_run(digits):
    toolbox = made(digits)

    def again(evolution):
        toolbox.register("layer_inputs", made(digits).layer_inputs)

    with pytest.raises(ValueError, match="layer_inputs was registered again before generation 1"):
        run(toolbox, callbacks=[Watch(again)])


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def projected(model, x):
    """Make a toolbox of a model whose layers are projected along mini-batches of 12 samples."""
    problem = KerasProblem(model, x, np.arange(len(x)) % 2, loss="cross_entropy", centred=True)
    return make_toolbox(problem, algorithm=ES(projected=True), seed=1, batch_size=12)


def test_positions_are_no_samples():
    """Each of the 12 samples has two positions of 40 inputs, and the layer gets them as 24 rows."""
    inputs = keras.Input((2, 40))
    hidden = keras.layers.Dense(3)(keras.ops.reshape(inputs, (-1, 40)))
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(keras.ops.reshape(hidden, (-1, 6))))
    toolbox = projected(model, drawn(60, 2, 40))
    with pytest.raises(ValueError, match="projected: no dense layer has one row of inputs for each sample"):
        evolve_toolbox(toolbox, n=4, ngen=1)


def test_a_kernel_with_lora_is_refused():
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(5)])
    model.layers[0].enable_lora(2)
    with pytest.raises(ValueError, match=r"projected needs a Dense layer with inputs of shape \(samples, inputs\)"):
        projected(model, drawn(60, 40))


def test_a_convolutional_network_is_projected_in_its_dense_layers(digits):
    inputs = keras.Input((28, 28, 1))
    hidden = keras.layers.Flatten()(keras.layers.Conv2D(2, 5, strides=3, activation="relu")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Dense(24, "relu")(hidden)))
    toolbox = make_toolbox(model, digits, ES(centred=True, projected=True), seed=1, batch_size=20)
    (individual,) = toolbox.population(n=1)
    found = unpacked_inputs(toolbox.layer_inputs(individual, 2), toolbox.layout.shapes)
    assert {place: step.inputs.shape for place, step in found.items()} == {2: (20, 128), 4: (20, 24)}


def test_layer_inputs_are_those_of_the_centred_layers(in_groups):
    layers = [keras.Input((40,)), keras.layers.Dense(30, "tanh"), keras.layers.Dense(2)]
    toolbox = projected(keras.Sequential(layers), drawn(90, 40) + 2)
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
        norms = np.linalg.norm(wanted, axis=1, keepdims=True)
        wanted /= norms + 0.1 * norms.mean()
        np.testing.assert_allclose(found[place].inputs, wanted / np.linalg.norm(wanted, 2), atol=0.004)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "es", "--centred", "no", "--projected", "yes"], "argument --projected: needs centred layers"),
        (["--preset", "es", "--projected", "no", "--casewise", "yes"], "argument --casewise: needs projected steps of"),
    ],
)
def test_the_command_refuses_what_cannot_be_projected(here, tmp_path, options, message):
    answer = here(MNIST, "--model", "mlp", *options, "--output", tmp_path / "run")
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"mnist.py: error: {message}")
    assert not (tmp_path / "run").exists()
