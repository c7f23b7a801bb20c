"""What would take all memory is refused, or not read, before it does: archives, networks, logs, settings, pictures."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
from conftest import run_here
from strangers import only_line, replayed, resume

from deap_nn import Layout, read_weights
from deap_nn.callbacks.run_directory import predictions
from deap_nn.callbacks.run_directory.predictions import MOST_CLASSES
from deap_nn.core.errors import InputError
from deap_nn.models.weight_files import WeightsError
from deap_nn.runs.checkpoint import Checkpoint
from deap_nn.runs.generations import CheckpointError
from deap_nn.runs.reading import read_arrays, read_columns, read_json


def bomb(path, kind, *names):
    """Write a small archive whose arrays take, by their heads, 256 MiB each and more."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": kind, "fortran_order": False, "shape": (32 << 20, 8)}
                np.lib.format.write_array_header_1_0(member, header)
                member.write(bytes(1 << 20))


def test_a_small_file_that_unpacks_to_all_memory_is_refused(folder):
    bomb(folder / "answers.npz", "|u1", "confusion", "samples", "labels", "answers", "probabilities")
    with pytest.raises(InputError, match="unpacks to more than 67,108,864 bytes"):
        read_arrays(folder / "answers.npz")
    answer = run_here("-m", "deap_nn.report", folder, cwd=folder.parent)
    assert "answers.npz: cannot be read (unpacks" in only_line(answer)


def test_filters_of_all_memory_are_not_read(folder, digits_file):
    bomb(folder / "filters.npz", "<f2", "generations", "filters", "matrix")
    assert resume(folder, digits_file).returncode == 0
    assert read_arrays(folder / "filters.npz")["generations"][0] > 0  # they begin again


def test_first_weights_of_all_memory_are_refused(tmp_path):
    layout = Layout(("kernel", "bias"), ((3, 2), (2,)))
    bomb(tmp_path / "init.npz", "<f4", *layout.names)
    with pytest.raises(WeightsError, match=r"damaged, or no file of weights .unpacks to more than 67,108,864"):
        read_weights(tmp_path / "init.npz", layout)


def test_of_a_log_that_is_written_again_only_the_beginning_is_read(folder, digits_file, monkeypatch):
    monkeypatch.setattr("deap_nn.runs.config.SMALL_BYTES", 1 << 16)
    before = (folder / "logbook.csv").read_bytes()
    os.truncate(folder / "logbook.csv", 10 << 30)  # of nothing, which takes no room
    assert resume(folder, digits_file).returncode == 0
    assert (folder / "logbook.csv").read_bytes().startswith(before)
    assert (folder / "logbook.csv").stat().st_size < 2 * len(before)


@pytest.mark.parametrize(
    ("name", "value", "resumed", "again"),
    [
        ("population", 10**12, "population was 20 when the run began, and is 1000000000000", "population was 20"),
        ("threads", 10**6, "--threads: must be an integer from 1 to 1024, got '1000000'", "must be at most 1024"),
    ],
)
def test_settings_that_would_take_all_memory_are_refused_before_they_do(
    folder, digits_file, name, value, resumed, again
):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {name: value}))
    assert resumed in only_line(resume(folder, digits_file))
    assert again in only_line(replayed(folder, digits_file))


def test_files_of_numbers_are_read_up_to_what_the_settings_imply(folder):
    path = folder / "logbook.csv"
    rows = len(path.read_text().splitlines())
    os.truncate(path, 65 << 20)  # of nothing, which takes no room
    with pytest.raises(InputError, match="at most 4,194,304 are read"):
        read_columns(path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"generations": 10**7}))
    assert len(read_columns(path)["gen"]) == rows - 1
    (folder / "config.json").write_text("{}")
    (folder / "status.json").unlink()
    with pytest.raises(InputError, match="at most 67,108,864 are read"):
        read_columns(path)
    path.write_text(",".join(map(str, range(100_001))) + "\n")
    with pytest.raises(InputError, match="has 100,001 columns, at most 100,000 are read"):
        read_columns(path)
    os.truncate(folder / "config.json", 17 << 20)
    with pytest.raises(InputError, match="at most 16,777,216 are read"):
        read_json(folder / "config.json")


def test_predictions_of_very_many_classes_are_not_kept(tmp_path, monkeypatch):

    def write(classes):
        found = (None, np.zeros(3, int), np.full((3, classes), 1 / classes))
        monkeypatch.setattr(predictions, "_predicted", lambda *arguments: found)
        predictions.write_predictions(tmp_path / f"{classes}.npz", None, None)

    write(MOST_CLASSES)
    write(MOST_CLASSES + 1)
    assert [path.name for path in tmp_path.iterdir()] == [f"{MOST_CLASSES}.npz"]
    assert read_arrays(tmp_path / f"{MOST_CLASSES}.npz")["confusion"].shape == (MOST_CLASSES,) * 2


def test_a_record_of_all_memory_is_refused(folder, monkeypatch):
    monkeypatch.setattr("deap_nn.runs.generations.LARGEST_RECORD", 100)
    with pytest.raises(CheckpointError, match="too many to be read"):
        Checkpoint(folder / "checkpoint")


def test_an_archive_with_two_arrays_of_a_name_or_a_large_head_is_refused(tmp_path):
    small, large = io.BytesIO(), io.BytesIO()
    np.save(small, np.zeros(3))
    np.save(large, np.zeros(1 << 20))
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        archive.writestr("a.npy", small.getvalue())
        archive.writestr("a", large.getvalue())
    with pytest.raises(InputError, match="has two arrays a"):
        read_arrays(tmp_path / "twice.npz")
    with zipfile.ZipFile(tmp_path / "head.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x02\x00" + (1 << 30).to_bytes(4, "little") + b" " * 999)
    with pytest.raises(InputError, match="with a header of 1,073,741,824 bytes"):
        read_arrays(tmp_path / "head.npz")
