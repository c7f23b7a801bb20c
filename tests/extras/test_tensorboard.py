"""Runs in a real TensorBoard."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from own_callbacks import Stop, chapters
from wirings import evolve_toolbox

from deap_nn import Callback, make_toolbox
from deap_nn.callbacks.loggers import TensorBoardLogger, written_in
from deap_nn.models.tensorflow import tf

COLUMNS = ["nevals", "min", "avg", "std", "max", "train_error", "val_error", "sigma", "best_pairs"]


def evolved(digits, folder, logger, *callbacks, ngen=4, stats=None):
    """A run with a checkpoint, resumed if there is one; returns its logbook."""
    toolbox, watching = make_toolbox("mlp", digits, seed=1), [*callbacks, logger]
    return evolve_toolbox(toolbox, n=4, ngen=ngen, stats=stats, callbacks=watching, checkpoint=folder)[1]


def values_in(folder, *, torn=False):
    """What is written, by tag: pairs of step and value, in the order of the files; a torn end is left out."""
    found = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        with contextlib.suppress(*[tf.errors.DataLossError] * torn):
            for record in tf.data.TFRecordDataset(str(file)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                for value in event.summary.value:
                    found.setdefault(value.tag, []).append((event.step, tf.make_ndarray(value.tensor)))
    return found


def test_events_are_the_logbook_and_the_best(digits, tmp_path):
    class Keep(Callback):
        def on_generation(self, evolution):
            self.best = {name: matrix.copy() for name, matrix in evolution.best_weights.items()}

    keep = Keep()
    logger = TensorBoardLogger(tmp_path / "log", every=3)
    logbook = evolved(digits, tmp_path / "checkpoint", logger, keep, stats=chapters())
    found = values_in(tmp_path / "log")
    scalars = [*COLUMNS, "fitness.largest", "size.largest"]
    weights = [f"weights/{name}" for name in keep.best]
    assert set(found) == {*scalars, *weights}
    assert [step for step, _ in found["min"]] == [0, 1, 2, 3, 4]
    assert [value.item() for _, value in found["min"]] == [np.float32(value) for value in logbook.select("min")]
    largest = logbook.chapters["fitness"].select("largest")
    assert [value.item() for _, value in found["fitness.largest"]] == [np.float32(value) for value in largest]
    for tag, matrix in zip(weights, keep.best.values(), strict=True):
        assert [step for step, _ in found[tag]] == [0, 3, 4]  # when it is time, and at the end
        buckets = found[tag][-1][1]
        assert buckets[:, 2].sum() == matrix.size
        assert buckets[0, 0] == pytest.approx(matrix.min())
        assert buckets[-1, 1] == pytest.approx(matrix.max())


@pytest.mark.parametrize("torn", [False, True])
def test_a_resumed_run_writes_no_generation_twice(digits, tmp_path, torn):
    log = tmp_path / "log"
    evolved(digits, tmp_path / "unbroken", TensorBoardLogger(tmp_path / "whole", every=1))
    with pytest.raises(KeyboardInterrupt):
        evolved(digits, tmp_path / "checkpoint", TensorBoardLogger(log, every=1), Stop(2))
    if torn:  # as where it was killed: the last generation, and a part of the one before, are lost
        [file] = log.glob("events.out.tfevents.*")
        file.write_bytes(file.read_bytes()[: int(0.6 * file.stat().st_size)])
        before = written_in(log)
        assert ("min", 0) in before
        assert ("min", 2) not in before
    evolved(digits, tmp_path / "checkpoint", TensorBoardLogger(log, every=1))
    steps = {tag: [step for step, _ in found] for tag, found in values_in(log, torn=torn).items()}
    assert all(len(found) == len(set(found)) for found in steps.values())
    whole, written = written_in(tmp_path / "whole"), written_in(log)
    missing = whole - written
    assert not written - whole
    if torn:  # the weights of a generation that is past are not made again
        assert missing
        assert all(tag.startswith("weights/") and step < 2 for tag, step in missing)
    else:
        assert not missing


def test_a_run_that_began_without_it_is_logged_from_its_beginning(digits, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        evolved(digits, tmp_path / "checkpoint", Callback(), Stop(2))
    evolved(digits, tmp_path / "checkpoint", TensorBoardLogger(tmp_path / "log"))
    assert [step for step, _ in values_in(tmp_path / "log")["val_error"]] == [0, 1, 2, 3, 4]


def test_a_run_is_seen_in_a_real_tensorboard(digits, tmp_path):
    evolved(digits, tmp_path / "checkpoint", TensorBoardLogger(tmp_path / "logs" / "first"), ngen=3)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", tmp_path / "logs", "--port", port]
    board = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        tags = asked(port, "scalars/tags", lambda found: "val_error" in found.get("first", {}))
        assert set(tags["first"]) == set(COLUMNS)
        rows = asked(port, "scalars/scalars?run=first&tag=val_error", lambda found: len(found) == 4)
        assert [step for _, step, _ in rows] == [0, 1, 2, 3]
        assert len(asked(port, "histograms/tags", lambda found: found.get("first"))["first"]) == 4
    finally:
        board.terminate()
        board.wait()


def asked(port, question, enough):
    """What TensorBoard answers, once it has read enough."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugin/{question}", timeout=30) as answer:
                found = json.load(answer)
                if enough(found):
                    return found
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{question} was not answered")
