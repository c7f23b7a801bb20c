"""``experiments/mnist.py`` on a model of one's own, and around weights of one's own."""

import hashlib
import importlib
import json
import sys
import warnings

import numpy as np
import pytest
from conftest import MNIST, status_of, well

from deap_nn import load_dataset, make_toolbox
from deap_nn.algorithms.make_toolbox import toolbox_of
from deap_nn.core.errors import InputError
from deap_nn.models.tensorflow import keras

layers = keras.layers


def saved(model, path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # Keras
        model.save(path)
    return path


def small_model():
    parts = [layers.Conv2D(4, 5, strides=3), layers.BatchNormalization(), layers.ReLU(), layers.Flatten()]
    return keras.Sequential([keras.Input((28, 28, 1)), *parts, layers.Dense(10)], name="small")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return saved(small_model(), tmp_path_factory.mktemp("model") / "own.keras")


def options(digits_file, *more):
    return [MNIST, "--population", 12, "--data", digits_file, "--no-progress", *more]


REPLAY = ("-m", "deap_nn.replay")


def test_a_saved_model_is_evolved_gone_on_with_and_replayed(here, tmp_path, digits_file, own):
    given = options(digits_file, "--keras", own, "--init", own)
    assert here(*given, "--generations", 4, "--output", tmp_path / "whole").returncode == 0
    assert here(*given, "--generations", 2, "--output", tmp_path / "run").returncode == 0
    answer = well(here(MNIST, "--resume", tmp_path / "run", "--generations", 4, "--no-progress"))
    for name in ("logbook.csv", "best.npz"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["keras"] == str(own)
    assert config["model"] is None
    assert config["init_weights"] == str(own)
    assert config["init_weights_sha256"] == config["keras_sha256"] == hashlib.sha256(own.read_bytes()).hexdigest()
    for copy in ("model.keras", "init.keras"):
        assert (tmp_path / "run" / copy).read_bytes() == own.read_bytes()
    best = keras.models.load_model(tmp_path / "run" / "best.keras")
    x, y = load_dataset("auto", digits_file).part("test")
    outputs = np.argmax(best(x[..., None] / np.float32(255)), axis=1)
    assert np.mean(outputs != y) == pytest.approx(status_of(tmp_path / "run")["test_error"])
    member = tmp_path / "member.npz"
    answer = well(here("-m", "deap_nn.replay", tmp_path / "run", "--generation", 4, "--output", member))
    assert "differs" not in answer.stdout


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_run_starts_around_keras_own_file_of_weights_and_keeps_it(here, tmp_path, digits_file, own):
    first = tmp_path / "first.weights.h5"
    keras.models.load_model(own).save_weights(first)
    run = tmp_path / "run"
    well(here(*options(digits_file, "--keras", own, "--init", first, "--generations", 0, "--output", run)))
    assert (run / "init.weights.h5").read_bytes() == first.read_bytes()
    first.unlink()
    well(here(MNIST, "--resume", run, "--generations", 1, "--no-progress"))


@pytest.fixture
def checked(monkeypatch, digits_file):
    """Parses options and checks the files that they name, as the experiment does before it makes a folder."""
    monkeypatch.syspath_prepend(MNIST.parent)
    mnist, mnist_options = importlib.import_module("mnist"), importlib.import_module("mnist_options")

    def check(*given):
        monkeypatch.setattr(sys, "argv", ["mnist.py", *map(str, given)])
        options_ = mnist_options.parse_arguments()
        mnist.check_files(options_, mnist.read_data(options_))
        return options_

    return check


def test_another_file_than_the_run_began_with_is_refused(here, tmp_path, digits_file, checked):
    file = saved(small_model(), tmp_path / "own.keras")
    assert (
        here(*options(digits_file, "--keras", file, "--generations", 0, "--output", tmp_path / "run")).returncode == 0
    )
    copy = tmp_path / "run" / "model.keras"
    content = copy.read_bytes()
    copy.write_bytes(b"torn")  # it is passed over if the file is there
    assert checked("--resume", tmp_path / "run", "--generations", 2).keras == str(file)
    copy.write_bytes(content)
    file.rename(tmp_path / "elsewhere.keras")  # the folder is whole without it
    assert checked("--resume", tmp_path / "run", "--generations", 2).keras == str(copy)
    gone = tmp_path / "moved"
    (tmp_path / "run").rename(gone)
    well(here(*REPLAY, gone, "--generation", 0, "--output", tmp_path / "member.npz"))
    gone.rename(tmp_path / "run")
    for damage in (lambda: copy.write_bytes(b"torn"), lambda: saved(small_model(), copy), copy.unlink):
        damage()
        with pytest.raises(InputError, match=r"--keras: .*own\.keras: no such file"):
            checked("--resume", tmp_path / "run", "--generations", 2)
    (tmp_path / "elsewhere.keras").rename(file)
    assert checked("--resume", tmp_path / "run", "--generations", 2).keras == str(file)
    saved(small_model(), file)
    with pytest.raises(InputError, match=r"argument --resume: .*own\.keras has changed since the run began"):
        checked("--resume", tmp_path / "run", "--generations", 2)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    with pytest.raises(ValueError, match=r"own\.keras: has changed since the run began"):
        toolbox_of(config, load_dataset("auto", digits_file))


def test_files_that_are_of_no_use_are_named(tmp_path, digits_file, own, checked):
    wrong = saved(keras.Sequential([keras.Input((5,)), layers.Dense(10)], name="of_five"), tmp_path / "wrong.keras")
    (tmp_path / "broken.keras").write_bytes(b"nothing")
    np.savez(tmp_path / "other.npz", a=np.zeros(2))
    for given, message in [
        (["--keras", wrong], "argument --keras: model 'of_five' takes samples of shape (5,), the data have (28, 28)"),
        (["--keras", tmp_path / "none.keras"], f"argument --keras: {tmp_path / 'none.keras'}: no such file"),
        (["--keras", tmp_path / "broken.keras"], f"argument --keras: {tmp_path / 'broken.keras'}: cannot be loaded"),
        (["--keras", own, "--model", "mlp"], "argument --model: not with --keras, which names the model"),
        (["--init", tmp_path / "other.npz"], f"argument --init: {tmp_path / 'other.npz'}: must hold conv1/kernel"),
        (["--keras", own, "--init", wrong], f"argument --init: {wrong}: its weights must have the shapes"),
    ]:
        with pytest.raises(InputError) as caught:
            checked("--data", digits_file, *given)
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)
    assert checked("--data", digits_file, "--keras", own, "--init", own).model is None


def test_a_model_that_draws_while_it_predicts_is_taken(digits_file):
    inputs = keras.Input((28, 28))
    drawing = keras.Model(inputs, layers.Dense(10)(layers.Dropout(0.5)(layers.Flatten()(inputs), training=True)))
    assert make_toolbox(drawing, digits_file, seed=1).individual().flat.size == 7850
