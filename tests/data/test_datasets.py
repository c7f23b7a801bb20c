"""Every file is checked, and what is wrong is said in one line that names it."""

import gzip
import hashlib
import http.server
import pickle
import socket
import threading
import time

import numpy as np
import pytest
from conftest import made_digits
from idx_files import STEMS, idx_bytes

from deap_nn import load_dataset
from deap_nn.data import loading
from deap_nn.data.dataset import DataError
from deap_nn.data.loading import RawArrays, split_validation


@pytest.fixture
def idx_folder(tmp_path):
    for stem, array in zip(STEMS, made_digits(), strict=True):
        (tmp_path / stem).write_bytes(idx_bytes(array))
    return tmp_path


@pytest.fixture(autouse=True)
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(loading, "_KERAS_FILES", "http://127.0.0.1:9/")
    return tmp_path / "keras" / "datasets"


def test_idx_gzipped_or_not_and_npz_give_the_same_data(idx_folder, digits_file):
    plain = load_dataset("mnist", idx_folder)
    for stem in STEMS[1:3]:
        (idx_folder / f"{stem}.gz").write_bytes(gzip.compress((idx_folder / stem).read_bytes()))
        (idx_folder / stem).unlink()
    mixed = load_dataset("mnist", idx_folder)
    archive = load_dataset("mnist", digits_file)
    assert plain.reference.sha256 == mixed.reference.sha256 == archive.reference.sha256
    assert (len(plain.x_train), len(plain.x_validation), len(plain.x_test)) == (320, 80, 100)
    assert np.array_equal(plain.x_validation, made_digits().x_train[-80:])


def test_the_last_5000_training_images_are_validation():
    x, y = np.arange(30_000, dtype=np.uint8), np.arange(30_000) % 10
    dataset = split_validation(RawArrays(x, y, x[:10], y[:10]), name="long")
    assert len(dataset.x_train) == 25_000
    assert np.array_equal(dataset.y_validation, y[-5000:])


def test_mnist5k_is_stratified_and_always_the_same():
    dataset = load_dataset("mnist5k")
    for split, each in (("train", 350), ("validation", 50), ("test", 100)):
        x, y = dataset.part(split)
        assert np.bincount(y).tolist() == [each] * 10
        assert x.shape == (10 * each, 28, 28)
        assert x.dtype == np.uint8
    assert not (np.diff(dataset.y_train[:100].astype(int)) == 0).all()
    assert 30 < dataset.x_train.mean() < 36
    assert dataset.reference.sha256 == "f5b60be57bc6320cde6c31aa86423b189eefb4366a70df168d3c9dddab6ef401"


def test_auto_says_why_it_takes_mnist5k():
    dataset = load_dataset("auto")
    assert dataset.name == "mnist5k"
    assert "\n" not in dataset.note
    assert "mnist5k" in dataset.note
    assert "could not be downloaded" in dataset.note


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_without_a_network_the_error_names_other_data(name):
    with pytest.raises(
        DataError, match=r"downloaded: .*; use the data set mnist5k \(no download\) or a file \(--data FILE"
    ):
        load_dataset(name)
    assert "use the" not in load_dataset("auto").note  # it does


def test_auto_takes_mnist_from_the_keras_cache(keras_home, digits_file):
    keras_home.mkdir(parents=True)
    (keras_home / "mnist.npz").write_bytes(digits_file.read_bytes())
    dataset = load_dataset("auto")
    assert dataset.name == "mnist"
    assert str(keras_home) in dataset.note


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve a folder as the place that Keras downloads from."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        monkeypatch.setattr(loading, "_KERAS_FILES", f"http://127.0.0.1:{httpd.server_port}/")
        yield folder
        httpd.shutdown()
        thread.join()


def test_mnist_is_downloaded_once_and_checked(server, keras_home, digits_file, monkeypatch):
    content = digits_file.read_bytes()
    (server / "mnist.npz").write_bytes(content)
    with pytest.raises(DataError, match="download is damaged"):
        load_dataset("mnist")
    assert not list(keras_home.iterdir())
    monkeypatch.setattr(loading, "_MNIST_SHA256", hashlib.sha256(content).hexdigest())
    assert load_dataset("mnist").name == "mnist"
    (server / "mnist.npz").unlink()
    assert len(load_dataset("mnist").x_test) == 100
    assert [entry.name for entry in keras_home.iterdir()] == ["mnist.npz"]


def test_auto_takes_mnist5k_if_the_cache_cannot_be_made(server, digits_file, monkeypatch):
    (server / "mnist.npz").write_bytes(digits_file.read_bytes())
    monkeypatch.setenv("KERAS_HOME", str(server / "mnist.npz" / "keras"))
    assert load_dataset("auto").name == "mnist5k"
    with pytest.raises(DataError, match=r"could not be downloaded: .*Not a directory.*; use the data set mnist5k"):
        load_dataset("mnist")


def test_fashion_mnist_is_downloaded(server):
    def serve(end):
        for stem, array in zip(STEMS, made_digits(), strict=True):
            (server / f"{stem}.gz").write_bytes(gzip.compress(idx_bytes(array)[:end]))

    serve(-1)
    with pytest.raises(DataError, match="bytes of data, by its header"):
        load_dataset("fashion-mnist")
    serve(None)
    assert len(load_dataset("fashion-mnist").x_train) == 320


def test_the_wait_for_a_download_is_bounded(monkeypatch, keras_home):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(loading, "_KERAS_FILES", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        monkeypatch.setattr(loading, "DOWNLOAD_SECONDS", 0.5)
        begun = time.monotonic()
        with pytest.raises(DataError, match=r"took over 0\.5 s|timed out"):
            load_dataset("mnist")
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("stem", "change", "message"),
    [
        (STEMS[0], lambda b: b"\0\0\x0d" + b[3:], rf"{STEMS[0]}: has no header of an IDX file"),
        (STEMS[0], lambda b: b"", rf"{STEMS[0]}: has no header of an IDX file"),
        (STEMS[0], lambda b: b[:6], rf"{STEMS[0]}: has no header of an IDX file"),
        (STEMS[0], lambda b: b[:4] + b"\xff" * 12, rf"{STEMS[0]}: has .* bytes of data, by its header"),
        (STEMS[1], lambda b: b[:-10], rf"{STEMS[1]}: has 390 bytes of data, by its header 400"),
        (STEMS[2], lambda b: b + b"x", rf"{STEMS[2]}: has .* bytes of data, by its header"),
        (STEMS[0], lambda b: idx_bytes(np.zeros((400, 27, 28), np.uint8)), r"x_train must hold .* \(n, 28, 28\)"),
        (STEMS[1], lambda b: idx_bytes(np.zeros(399, np.uint8)), "y_train must hold a label .* each of 400 images"),
        (STEMS[3], lambda b: b[:-1] + b"\x0a", "y_test must hold a label of 0 to 9"),
    ],
)
def test_damaged_idx_files_are_named(idx_folder, stem, change, message):
    path = idx_folder / stem
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        load_dataset("mnist", idx_folder)
    assert str(idx_folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_gzip_file_and_a_missing_file_are_named(idx_folder):
    content = gzip.compress((idx_folder / STEMS[0]).read_bytes())
    (idx_folder / STEMS[0]).unlink()
    with pytest.raises(DataError, match=f"has no {STEMS[0]}"):
        load_dataset("mnist", idx_folder)
    (idx_folder / f"{STEMS[0]}.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"{STEMS[0]}\.gz: cannot be read"):
        load_dataset("mnist", idx_folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": None}, "has no x_test"),
        ({"x_train": np.zeros((400, 28, 28), np.float64)}, "x_train must hold bytes"),
        ({"y_train": np.full(400, 11)}, "y_train must hold a label of 0 to 9"),
        ({"x_train": np.zeros((4, 28, 28), np.uint8), "y_train": np.zeros(4, int)}, "4 training samples, at least 5"),
        (
            {"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": np.zeros(0, np.uint8)},
            "x_test must hold bytes of shape .*, n at least 1",
        ),
        ({"y_test": np.array(["a"] * 100, dtype=object)}, "not a readable .npz file"),
    ],
)
def test_bad_npz_files_are_named(tmp_path, changes, message):
    arrays = made_digits()._asdict() | changes
    np.savez(tmp_path / "bad.npz", **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(DataError, match=message) as caught:
        load_dataset("mnist", tmp_path / "bad.npz")
    assert str(tmp_path / "bad.npz") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_npz_file_or_a_part_of_one_is_named(tmp_path, digits_file):
    whole = digits_file.read_bytes()
    for content in (b"", b"PK\x03\x04 torn", pickle.dumps([1]), whole[: len(whole) // 3], whole[:-5]):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"bad\.npz: not an?"):
            load_dataset("mnist", tmp_path / "bad.npz")


def test_a_missing_path_and_an_unknown_name_raise(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        load_dataset("mnist", tmp_path / "nothing")
    with pytest.raises(DataError, match=r"unknown data set 'mnits', known are auto, mnist.*: did you mean \"mnist\"\?"):
        load_dataset("mnits")
