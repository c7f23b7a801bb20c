"""What a run keeps for its report: filters by generation, and the predictions of its result."""

from types import SimpleNamespace

import numpy as np
import pytest
from limits import evolve
from own_callbacks import Stop
from wirings import evolve_toolbox

from deap_nn import GA, Callback, Checkpoint, KerasProblem, Layout, RunDirectory, make_toolbox
from deap_nn.callbacks import predictions, traces
from deap_nn.callbacks.predictions import write_curve_of, write_predictions
from deap_nn.callbacks.traces import FilterTrace, first_filters, image_shape
from deap_nn.data.dataset import Dataset
from deap_nn.data.minibatches import batch_indices
from deap_nn.problems import groups
from deap_nn.report.html import describe_run


@pytest.fixture(scope="module")
def toolbox(mlp):
    return mlp(GA(parents=6), batch_size=16)


def read(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize(
    ("shapes", "sample", "found"),
    [
        (((5, 5, 1, 32), (32,)), (28, 28), (32, 5, 5, 1)),
        (((3, 3, 3, 8),), (32, 32, 3), (8, 3, 3, 3)),
        (((784, 64), (64,)), (28, 28), (16, 28, 28, 1)),
        (((192, 5),), (8, 8, 3), (5, 8, 8, 3)),
        (((16,), (5, 5, 1, 4)), (28, 28, 1), (4, 5, 5, 1)),
        (((100_000, 2),), (1000, 100), (1, 1000, 100, 1)),
        (((784, 64),), (784,), None),
        (((64, 10),), (28, 28), None),
        (((1, 1, 1, 4),), (28, 28), None),
        (((7,),), (28, 28), None),
        (((5, 5, 1, 4),), (4, 9), None),
    ],
)
def test_filters_are_those_of_the_first_layer_if_it_sees_images(shapes, sample, found):
    layout = Layout(tuple(f"matrix {i}" for i in range(len(shapes))), shapes)
    filters = first_filters(layout, sample)
    assert (filters[1].shape if filters else None) == found


def test_a_dense_filter_lies_as_the_image_does():
    _, places = first_filters(Layout(("bias", "kernel"), ((3,), (6, 2))), (2, 3))
    assert places[1, :, :, 0].tolist() == [[4, 6, 8], [10, 12, 14]]
    assert image_shape((1, 5)) is None


def test_a_filter_is_the_mean_of_its_channels_and_no_larger_than_float16_holds(tmp_path):
    trace = FilterTrace(
        tmp_path / "filters.npz", *first_filters(Layout(("kernel",), ((2, 2, 3, 1),)), (8, 8, 3)), np.eye(8)
    )
    flat = np.r_[1e6 * np.ones(3), np.arange(9)]
    trace.keep(SimpleNamespace(row={"gen": 0}, best=flat, look=np.asarray))
    assert read(tmp_path / "filters.npz")["filters"].ravel().tolist() == [65504, 1, 4, 7]


class Best(Callback):
    """Remember the best member's weights of each generation."""

    def __init__(self):
        self.seen = {}

    def on_generation(self, evolution):
        self.seen[evolution.generation] = evolution.look(evolution.best).copy()


class Kept(Callback):
    """Keeps filters as a run's folder does."""

    def __init__(self, path, toolbox):
        self.trace = FilterTrace(path, *first_filters(toolbox.layout, (28, 28)), np.eye(28))

    def restore(self, evolution, states):
        self.trace.restore(evolution.generation)

    def on_generation(self, evolution):
        self.trace.keep(evolution)

    def on_end(self, evolution):
        self.trace.keep(evolution, last=True)


def test_a_limited_number_of_rows_is_kept_and_they_are_the_best_members(toolbox, tmp_path, monkeypatch):
    monkeypatch.setattr(traces, "MOST_ROWS", 6)
    best, path = Best(), tmp_path / "filters.npz"
    trace = Kept(path, toolbox)
    evolve_toolbox(toolbox, n=8, ngen=13, callbacks=[best, trace])
    kept = read(path)
    assert kept["generations"].tolist() == [0, 4, 8, 12, 13]
    assert kept["filters"].dtype == np.float16
    assert str(kept["matrix"]) == "hidden/kernel"
    for generation, filters in zip(kept["generations"].tolist(), kept["filters"], strict=True):
        kernel = best.seen[generation][: 784 * 64].reshape(28, 28, 64)
        assert np.array_equal(filters, np.moveaxis(kernel, -1, 0)[:16].astype(np.float16))


def test_a_resumed_run_keeps_the_same_rows(toolbox, tmp_path, monkeypatch):
    monkeypatch.setattr(traces, "MOST_ROWS", 6)

    def run(folder, stop=None):
        folder.mkdir(exist_ok=True)
        checkpoint = Checkpoint(folder / "checkpoint")
        trace = Kept(folder / "filters.npz", toolbox)
        try:
            evolve(toolbox.population(n=8, start=0), toolbox, 14, callbacks=[trace, Stop(stop)], checkpoint=checkpoint)
        except KeyboardInterrupt:
            assert stop in read(folder / "filters.npz")["generations"]
        finally:
            checkpoint.close()

    run(tmp_path / "whole")
    for stop in (4, 9, 13, None):
        run(tmp_path / "broken", stop)
    assert (tmp_path / "broken" / "filters.npz").read_bytes() == (tmp_path / "whole" / "filters.npz").read_bytes()


@pytest.mark.parametrize("content", [None, b"PK\x03\x04 and no more"], ids=["missing", "torn"])
def test_a_lost_file_of_filters_begins_again(toolbox, tmp_path, content):
    def run(stop=None):
        callbacks = [Kept(tmp_path / "filters.npz", toolbox), Stop(stop)]
        evolve_toolbox(toolbox, n=8, ngen=7, checkpoint=tmp_path / "checkpoint", callbacks=callbacks)

    with pytest.raises(KeyboardInterrupt):
        run(4)
    (tmp_path / "filters.npz").unlink()
    if content is not None:
        (tmp_path / "filters.npz").write_bytes(content)
    run()
    assert read(tmp_path / "filters.npz")["generations"].tolist() == [4, 5, 6, 7]


def test_filters_are_kept_of_images_alone(toolbox, tmp_path, monkeypatch):
    monkeypatch.setattr("deap_nn.callbacks.run_directory.samples_of", lambda toolbox: np.zeros((3, 784)))
    evolve_toolbox(toolbox, n=4, ngen=1, callbacks=[RunDirectory(tmp_path / "run")])
    assert not (tmp_path / "run" / "filters.npz").exists()


def test_answers_add_up_to_the_validation_error(toolbox, digits, tmp_path, monkeypatch):
    individual = toolbox.population(n=1)[0]
    write_predictions(tmp_path / "answers.npz", toolbox, individual)
    found, (x, y) = read(tmp_path / "answers.npz"), digits.part("validation")
    confusion = found["confusion"]
    assert confusion.sum(axis=1).tolist() == np.bincount(y, minlength=10).tolist()
    assert 1 - confusion.trace() / len(y) == pytest.approx(toolbox.error_rate(individual, "validation"))
    assert 0 < len(found["samples"]) <= predictions.MOST_MISREAD
    assert np.array_equal(found["images"], x[found["samples"]])
    assert np.array_equal(found["labels"], y[found["samples"]])
    assert (found["labels"] != found["answers"]).all()
    for label in set(found["labels"].tolist()):
        sure = found["probabilities"][found["labels"] == label, 0]
        assert (np.diff(sure) <= 0).all()
    assert (found["probabilities"][:, 0] > found["probabilities"][:, 1]).all()
    with monkeypatch.context() as patched:
        patched.setattr(predictions, "MOST_CLASSES", 9)
        write_predictions(tmp_path / "of_many_classes.npz", toolbox, individual)
    assert not (tmp_path / "of_many_classes.npz").exists()
    write_predictions(tmp_path / "fewer.npz", toolbox, individual, size=30)
    fewer = read(tmp_path / "fewer.npz")
    assert fewer["confusion"].sum() == 30
    assert fewer["samples"].max() < 30
    first = dict.fromkeys(found["labels"].tolist())
    assert found["labels"][: len(first)].tolist() == sorted(first)  # the surest of each class come first


@pytest.mark.parametrize("grouped", [1, 1_000_000])
def test_answers_of_members_are_kept_from_their_scoring(mlp, digits, tmp_path, monkeypatch, grouped):
    monkeypatch.setattr(groups, "GROUPED_WEIGHTS", grouped)
    monkeypatch.setattr(predictions, "SCORED_EVERY", 1)
    toolbox, labels = mlp(GA(stratified=False, fitness="error"), batch_size=60, seed=grouped), digits.y_train

    class Reader(Callback):
        def on_generation(self, evolution):
            batch = labels[batch_indices(toolbox.seed, evolution.generation, 60, len(labels))]
            assert len(evolution.answers) == (6 if evolution.generation else 0)  # founders do not move by cases
            for place, (member, answers) in enumerate(zip(evolution.population, evolution.answers, strict=False)):
                assert np.mean(answers != batch) == pytest.approx(member.fitness.values[0])
                self.row = read(tmp_path / "run" / "members.npz")["rows"][-1]
                firsts = [np.flatnonzero(batch == label)[0] for label in self.row[:, 0]]
                assert self.row[:, 1 + place].tolist() == answers[firsts].tolist()

    reader = Reader()
    evolve_toolbox(toolbox, n=6, ngen=3, callbacks=[RunDirectory(tmp_path / "run"), reader])
    assert reader.row.shape == (10, 1 + 6 + 14 * 14)
    assert read(tmp_path / "run" / "answers-by-generation.npz")["generations"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("inputs", [1, 2])
def test_of_few_inputs_the_curve_is_kept(tmp_path, inputs):
    x = np.random.default_rng(1).random((30, inputs), np.float32)
    problem = KerasProblem(dense(inputs, 1), x, x[:, :1], loss="mse", validation_split=0.4)
    toolbox = make_toolbox(problem, seed=1, batch_size=4)
    best = toolbox.population(n=1)[0]
    model = toolbox.to_model(best)
    write_curve_of(tmp_path / "answers.npz", toolbox, model)
    found, last = read(tmp_path / "answers.npz"), x[18:]
    np.testing.assert_allclose(found["found"], model(last)[:, 0], rtol=1e-5)
    corner = np.array([[last[:, 0].min(), *last[:, 1:].max(axis=0)]])
    np.testing.assert_allclose(found["grid"][0 if inputs == 1 else (-1, 0)], model(corner)[0, 0], rtol=1e-5)
    assert found["constant"] == pytest.approx(last[:, 0].var())


def test_a_network_that_misreads_nothing_has_no_misread_samples(digits, mlp, tmp_path):
    individual = mlp().population(n=1)[0]
    model = mlp().to_model(individual)
    right = model.predict(digits.x_validation.reshape(-1, 28, 28, 1) / 255.0, verbose=0).argmax(axis=1)
    parts = {f"{axis}_{name}": getattr(digits, f"{axis}_{name}") for axis in "xy" for name in ("train", "test")}
    data = Dataset(**parts, x_validation=digits.x_validation, y_validation=right)
    write_predictions(tmp_path / "answers.npz", make_toolbox("mlp", data, seed=1), individual)
    found = read(tmp_path / "answers.npz")
    assert found["confusion"].trace() == len(right)
    assert found["images"].shape == (0, 28, 28)
    (tmp_path / "config.json").write_text('{"fitness": "error"}')
    (tmp_path / "logbook.csv").write_text("gen,min,avg\n0,1,1\n")
    answers = describe_run(tmp_path)["answers"]
    assert (answers["misread"], "digits" in answers) == (0, False)


def test_samples_that_are_no_bytes_are_scaled_and_what_is_no_image_has_none(tmp_path):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(90, 4, 5, 3)), np.arange(90) % 3
    for name, samples in (("images", x), ("rows", x.reshape(90, 60))):
        parts = [part for i in range(3) for part in (samples[30 * i : 30 * i + 30], y[30 * i : 30 * i + 30])]
        data = Dataset(*parts, name=name)
        toolbox = make_toolbox(dense(60 if name == "rows" else (4, 5, 3)), data, seed=1, batch_size=16)
        write_predictions(tmp_path / f"{name}.npz", toolbox, toolbox.population(n=1)[0])
    images = read(tmp_path / "images.npz")["images"]
    assert (images.dtype, images.shape[1:]) == (np.uint8, (4, 5))
    assert images.max() - images.min() > 50
    assert "images" not in read(tmp_path / "rows.npz")


def dense(shape, units=3):
    from deap_nn.models.tensorflow import keras

    shape = (shape,) if isinstance(shape, int) else shape
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(units)])
