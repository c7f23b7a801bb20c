"""Data sets of arrays: what is checked and warned of, and where a reference finds them again."""

import dataclasses
import pickle
from dataclasses import replace

import numpy as np
import pytest
from conftest import made_digits

from deap_nn import Dataset, load_dataset
from deap_nn.data import registry
from deap_nn.data.dataset import DataError
from deap_nn.data.loading import find_dataset
from deap_nn.data.registry import DataReference
from deap_nn.data.samples import split_samples


@pytest.mark.parametrize("loaded_first", [True, False])
def test_what_was_made_of_what_was_loaded_is_lent_to_others(tmp_path, loaded_first):
    np.savez(tmp_path / "digits.npz", **made_digits(seed=9 + loaded_first)._asdict())
    loaded = [load_dataset("mnist5k"), load_dataset("auto", tmp_path / "digits.npz")]
    assert [data.name for data in loaded] == ["mnist5k", "digits.npz"]
    made = [replace(data, x_train=data.x_train[:50], y_train=data.y_train[:50]) for data in loaded]
    lent = registry.made_of_arrays()
    assert not {data.reference for data in loaded} & lent.keys()
    assert {data.reference for data in made} <= lent.keys()
    same = replace(loaded[1], name="mine", path="")  # which no worker finds by its name
    if loaded_first:
        load_dataset("auto", tmp_path / "digits.npz")
    assert same.reference.sha256 == loaded[1].reference.sha256
    assert same.reference in registry.made_of_arrays()
    registry.forget(same.reference)


def test_what_was_lent_is_let_go_of_when_it_is_lent_no_more(monkeypatch):
    monkeypatch.setattr(registry, "HELD", {})
    mine, theirs = (split_samples(np.full((5, 2), value), np.arange(5), validation_split=0) for value in (1.0, 2.0))
    lent = registry.made_of_arrays()
    registry.forget(theirs.reference)
    registry.lend(lent)  # as in a worker, which holds one of the two by itself
    assert {find_dataset(samples.reference) for samples in (mine, theirs)} == {mine, theirs}
    registry.lend({})
    assert find_dataset(mine.reference) is mine
    with pytest.raises(DataError, match="made of arrays"):
        find_dataset(theirs.reference)


def test_a_reference_finds_the_data_again(digits_file, tmp_path, monkeypatch):
    dataset = load_dataset("mnist", digits_file)
    reference = pickle.loads(pickle.dumps(dataset.reference))
    assert len(pickle.dumps(reference)) < 300
    assert find_dataset(reference).reference == reference
    monkeypatch.setattr(registry, "HELD", {})
    assert np.array_equal(find_dataset(reference).x_train, dataset.x_train)
    monkeypatch.setattr(registry, "HELD", {})
    with pytest.raises(DataError, match="other data here"):
        find_dataset(DataReference(reference.name, reference.path, "0" * 64))
    with pytest.raises(DataError, match="made of arrays"):
        find_dataset(DataReference("arrays", "", "0" * 64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.zeros(3, int)}, "4 samples and labels of shape"),
        ({"x_test": np.zeros((0, 5)), "y_test": np.zeros(0, int)}, "test has no samples"),
        ({"x_test": np.zeros((4, 6))}, "samples of shape"),
        ({"x_test": np.zeros((4, 5), np.uint8)}, "test has samples of type uint8, not float64"),
        ({"y_validation": np.zeros(4)}, "not integers"),
        ({"y_validation": np.full(4, -2)}, "not integers"),
    ],
)
def test_arrays_are_checked(change, message):
    parts = {
        f"{kind}_{part}": np.zeros((4, 5)) if kind == "x" else np.zeros(4, int)
        for kind in "xy"
        for part in ("train", "validation", "test")
    }
    assert Dataset(**(parts | {"y_test": np.arange(4)})).classes == 4
    with pytest.raises(DataError, match=message):
        Dataset(**(parts | change))


def test_a_data_set_keeps_its_own_arrays():
    x, y = np.arange(20.0).reshape(4, 5), np.arange(4)
    dataset = Dataset(x, y, x, y, x, y)
    before = dataset.reference.sha256
    x[:], y[:] = 0, 0
    assert dataset.x_train.tolist() == np.arange(20.0).reshape(4, 5).tolist()
    assert dataset.part("test")[1].tolist() == [0, 1, 2, 3]
    assert dataclasses.replace(dataset).reference.sha256 == before
