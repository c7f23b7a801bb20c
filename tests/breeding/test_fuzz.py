"""Damaged files of every kind are read right or refused with an error of ours.

``FUZZED=10000`` in the environment tries so many files of each kind, as ``make test-all`` does.
"""

import contextlib
import gzip
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import made_digits
from idx_files import idx_bytes

from deap_nn.breeding.keyframes import Keyframe, KeyframeError, write_keyframe
from deap_nn.core.errors import InputError
from deap_nn.core.logbooks import read_csv
from deap_nn.data.dataset import DataError
from deap_nn.data.loading import read_idx, read_npz
from deap_nn.runs.checkpoint import Checkpoint, CheckpointError, Generation, read_generations
from deap_nn.runs.files import read_config

COUNT = int(os.environ.get("FUZZED", "300"))


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a file with something done to it: bits, bytes, pieces, its length, or numbers that lie."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        if not changed:
            break
        place = int(rng.integers(len(changed)) if rng.random() < 0.5 else rng.integers(min(64, len(changed))))
        act = rng.integers(6)
        if act == 0:
            changed[place] ^= 1 << int(rng.integers(8))
        elif act == 1:
            changed[place : place + 4] = rng.bytes(4)
        elif act == 2:
            changed[place : place + 4] = bytes(rng.choice([0, 255], 4).tolist())
        elif act == 3:
            del changed[place : place + int(rng.integers(1, 40))]
        elif act == 4:
            changed[place:place] = rng.bytes(int(rng.integers(1, 40)))
        else:
            del changed[place:]
    return bytes(changed)


def check_idx(path):
    array = read_idx(path)
    assert array.dtype == np.uint8
    assert array.size < 10_000


def check_npz(path):
    arrays = read_npz(path)
    assert arrays.x_train.shape[1:] == (28, 28)
    assert arrays.y_test.max() <= 9


def check_config(path):
    config = read_config(path.parent, "--resume")
    assert isinstance(config["versions"], dict)


def check_checkpoint(path):
    for number, generation in enumerate(read_generations(path.parent)):
        assert generation.number == number
    checkpoint = Checkpoint(path.parent)
    assert all(generation.number == number for number, generation in enumerate(checkpoint.past))
    checkpoint.close()


def check_keyframe(path):
    keyframe = Keyframe(path)
    for key in (7, 9):
        genome = keyframe.find(key)
        assert genome is None or genome.tolist() == [key] * 500


def check_logbook(path):
    assert len({len(values) for values in read_csv(path).values()}) == 1


def generation(number: int) -> Generation:
    values = {"number": number, "sigma": 0.1, "adaptation": {"error": 0.5}, "row": {"gen": number}, "states": {}}
    arrays = {"wvalues": np.full((20, 1), -0.5), "chosen": np.arange(20, dtype=np.uint32)}
    return Generation(**values, seconds=0.5, elapsed=1.5, evaluations=20, history="", **arrays)


def write_samples(folder: Path) -> dict[str, Path]:
    """Write a good file of each kind."""
    arrays = made_digits(60, 20)
    for name in ("checkpoint", "config", "frames"):
        (folder / name).mkdir()
    paths = {
        "idx": folder / "images",
        "idx.gz": folder / "images.gz",
        "npz": folder / "digits.npz",
        "packed npz": folder / "packed.npz",
        "config": folder / "config" / "config.json",
        "logbook": folder / "logbook.csv",
        "checkpoint": folder / "checkpoint" / "generations",
        "keyframe": folder / "frames" / "keyframe-3",
    }
    paths["idx"].write_bytes(idx_bytes(arrays.x_train[:10]))
    paths["idx.gz"].write_bytes(gzip.compress(idx_bytes(arrays.x_train[:10])))
    np.savez(paths["npz"], **arrays._asdict())
    np.savez_compressed(paths["packed npz"], **arrays._asdict())
    paths["config"].write_text(json.dumps({"versions": {"numpy": "2"}, "population": 20, "generations": 3}))
    paths["logbook"].write_text("gen,min\n0,0.5\n1,0.25\n")
    checkpoint = Checkpoint(paths["checkpoint"].parent)
    for number in range(3):
        checkpoint.append(generation(number))
    checkpoint.close()
    weights = {key: np.full(500, key, np.float32) for key in (7, 9)}
    write_keyframe(paths["keyframe"], 3, "a run", [7, 9], weights.__getitem__)
    return paths


KINDS = {
    "idx": (check_idx, DataError),
    "idx.gz": (check_idx, DataError),
    "npz": (check_npz, DataError),
    "packed npz": (check_npz, DataError),
    "config": (check_config, InputError),
    "logbook": (check_logbook, ValueError),
    "checkpoint": (check_checkpoint, CheckpointError),
    "keyframe": (check_keyframe, KeyframeError),
}


def test_whole_files_are_read_whole(tmp_path):
    paths = write_samples(tmp_path)
    assert read_csv(paths["logbook"]) == {"gen": [0, 1], "min": [0.5, 0.25]}
    assert [one.number for one in read_generations(paths["checkpoint"].parent)] == [0, 1, 2]
    checkpoint = Checkpoint(paths["checkpoint"].parent)
    assert [one.number for one in checkpoint.past] == [0, 1, 2]
    checkpoint.close()
    keyframe = Keyframe(paths["keyframe"])
    assert [keyframe.find(key).tolist() for key in (7, 9)] == [[7] * 500, [9] * 500]
    assert keyframe.find(8) is None


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_right_or_refused(tmp_path, kind):
    check, refusal = KINDS[kind]
    path = write_samples(tmp_path)[kind]
    content = path.read_bytes()
    check(path)
    rng = np.random.default_rng(sorted(KINDS).index(kind))
    refused = 0
    for _ in range(COUNT):
        path.write_bytes(damaged(content, rng))
        with warnings.catch_warnings(), contextlib.suppress(refusal):
            warnings.simplefilter("ignore")
            refused += 1
            check(path)
            refused -= 1
    assert refused > COUNT / 10
