"""A run goes on from its checkpoint as if it had never been broken."""

import contextlib
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import MNIST
from deap import tools
from own_callbacks import Count, Stop
from strangers import resume
from wirings import WIRINGS, Shrinking, evolve_toolbox, mutation, result, wired

from deap_nn import (
    Callback,
)
from deap_nn.runs.checkpoint import MAGIC, Checkpoint, CheckpointError, Generation
from deap_nn.runs.files import read_config, requested_generations


@pytest.mark.parametrize("registered", WIRINGS.values(), ids=WIRINGS)
@pytest.mark.parametrize(
    ("probabilities", "n"), [({}, 12), ({"cxpb": 0.6, "mutpb": 0.7}, 7)], ids=["always", "sometimes"]
)
def test_a_run_broken_anywhere_resumes_to_the_same_bytes(tmp_path, registered, probabilities, n):
    whole = Count()
    expected = result(wired(**registered()), n=n, ngen=8, callbacks=[whole], **probabilities)
    for first, second in ((0, 1), (1, 5), (4, 8), (7, 7)):
        folder = tmp_path / f"{first}-{second}"
        for stop in (first, second, None):
            toolbox, count = wired(**registered()), Count()
            callbacks = [count, Stop(stop)]
            with contextlib.nullcontext() if stop is None else pytest.raises(KeyboardInterrupt):
                found = result(toolbox, n=n, ngen=8, callbacks=callbacks, checkpoint=folder, **probabilities)
        assert found == expected
        assert (count.seen, count.total) == (whole.seen, whole.total)


def test_a_finished_run_may_have_more_generations(tmp_path):
    for ngen in (0, 3, 8):
        found = result(wired(), ngen=ngen, checkpoint=tmp_path)
    assert found == result(wired(), ngen=8)


def test_a_member_of_an_earlier_generation_is_given_back(tmp_path):
    kept = {}

    class Keep(Callback):
        def on_generation(self, evolution):
            kept[evolution.generation] = [member.flat.copy() for member in evolution.population]

    evolve_toolbox(wired(), callbacks=[Keep()], checkpoint=tmp_path)
    found = {}

    class Recall(Callback):
        def restore(self, evolution, states):
            assert len(states) == 7
            for generation, members in kept.items():
                found[generation] = [evolution.member(generation, place).flat for place in range(len(members))]

    recall = Recall()
    recall.on_generation = lambda evolution: found.setdefault("afterwards", evolution.member)
    evolve_toolbox(wired(), callbacks=[recall], checkpoint=tmp_path)
    assert found.pop("afterwards") is None  # the places of all generations would grow with the run
    assert found.keys() == kept.keys()
    for generation, members in kept.items():
        assert all((a == b).all() for a, b in zip(members, found[generation], strict=True))


@pytest.fixture
def written(tmp_path):
    """Return the path of a checkpoint of three generations, and where each record ends."""
    checkpoint = Checkpoint(tmp_path / "run")
    ends = [len(MAGIC)]
    for number in range(3):
        values = {"number": number, "sigma": 0.1 + number, "adaptation": {"error": 1 / 3}, "row": {"gen": number}}
        arrays = {"wvalues": np.full((5, 2), -number / 7), "chosen": np.arange(5, dtype=np.uint32)}
        values |= {"seconds": 0.5, "elapsed": 1.5, "evaluations": 5, "states": {"a": {}}, "history": "of the run"}
        checkpoint.append(Generation(**values, **arrays))
        ends.append(checkpoint.path.stat().st_size)
    checkpoint.close()
    return checkpoint.path, ends


def test_what_is_read_is_what_was_written(written):
    checkpoint = Checkpoint(written[0].parent)
    assert not checkpoint.cut_off
    assert [generation.number for generation in checkpoint.past] == [0, 1, 2]
    last = checkpoint.past[-1]
    assert (last.sigma, last.adaptation, last.row, last.states) == (2.1, {"error": 1 / 3}, {"gen": 2}, {"a": {}})
    assert last.history == "of the run"
    assert last.wvalues.tolist() == [[-2 / 7, -2 / 7]] * 5
    assert last.chosen.tolist() == [0, 1, 2, 3, 4]
    checkpoint.close()


def test_a_torn_last_record_is_cut_off(written):
    path, ends = written
    content = path.read_bytes()
    for size in {*range(0, ends[-1], 7), *ends[:-1]}:
        path.write_bytes(content[:size])
        checkpoint = Checkpoint(path.parent)
        whole = sum(end <= size for end in ends[1:])
        assert len(checkpoint.past) == whole
        assert checkpoint.cut_off == (size > len(MAGIC) and size not in ends)
        checkpoint.close()
        assert path.stat().st_size == ends[whole]


def test_a_record_that_could_not_be_written_whole_is_cut_off(written, monkeypatch):
    path, ends = written
    with Checkpoint(path.parent) as checkpoint:
        file, following = checkpoint._file, replace(checkpoint.past[-1], number=3)
        parts = [lambda record: file.write(record[:20])]
        monkeypatch.setattr(
            checkpoint, "_file", SimpleNamespace(write=lambda record: parts.pop()(record), fileno=file.fileno)
        )
        with pytest.raises(IndexError):  # in place of a full disk
            checkpoint.append(following)
        monkeypatch.undo()
        assert path.stat().st_size == ends[-1]
        checkpoint.append(following)
        assert len(checkpoint.past) == 4


def test_generations_are_flushed_to_the_disk_once_a_second(written, monkeypatch):
    flushed, now = [], [100.0]
    with Checkpoint(written[0].parent) as checkpoint:
        monkeypatch.setattr("deap_nn.runs.checkpoint.os.fsync", lambda _: flushed.append(now[0]))
        monkeypatch.setattr("deap_nn.runs.checkpoint.time.monotonic", lambda: now[0])
        for number, now[0] in enumerate((100.0, 100.5, 101.5, 102.0), start=3):
            checkpoint.append(replace(checkpoint.past[-1], number=number))
        assert flushed == [100.0, 101.5]


def test_damage_is_named_with_its_place(written):
    path, ends = written
    content = path.read_bytes()
    for place in [*range(len(MAGIC), len(MAGIC) + 20), *range(len(MAGIC), ends[2], 7)]:
        damaged = bytearray(content)
        damaged[place] ^= 0x40
        path.write_bytes(damaged)
        whole = sum(end <= place for end in ends[1:])
        with pytest.raises(CheckpointError, match=rf"^{path} is damaged at byte {ends[whole]}, in generation {whole}$"):
            Checkpoint(path.parent)
        assert path.read_bytes() == damaged
    for content in (b"another program's file, of some length", b"12 generations\n"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=f"^{path.parent} has no checkpoint of this version: move it away, "):
            Checkpoint(path.parent)
        assert path.read_bytes() == content


def test_a_last_record_whose_content_did_not_reach_the_disk_is_cut_off(written):
    path, ends = written
    content = bytearray(path.read_bytes())
    content[-9:] = bytes(9)
    path.write_bytes(content)
    with Checkpoint(path.parent) as checkpoint:
        assert (checkpoint.cut_off, len(checkpoint.past)) == (True, 2)
    assert path.stat().st_size == ends[2]


def test_sigmas_of_numpy_are_kept_and_gone_on_with(tmp_path):
    class Own(Shrinking):
        """An adaptation of somebody's own, that speaks NumPy."""

        def update(self, individuals, generation):
            self.sigma = np.float32(self.sigma) * np.float32(0.9)

    for name, sigma in (("number", np.float32(0.1)), ("double", np.float64(0.1)), ("own", Own())):
        folder = tmp_path / name
        for ngen in (3, 6):
            toolbox = wired(mutate=mutation(sigma))
            found = result(toolbox, n=6, ngen=ngen, checkpoint=folder)
        assert found == result(toolbox, n=6)


def test_a_folder_is_opened_and_closed_and_an_open_checkpoint_left_open(tmp_path):
    def log(ngen, checkpoint=None):
        return evolve_toolbox(wired(), n=6, ngen=ngen, checkpoint=checkpoint)[1]

    log(2, tmp_path / "run")
    assert log(4, str(tmp_path / "run")) == log(4)
    with Checkpoint(tmp_path / "run") as checkpoint:
        assert [generation.number for generation in checkpoint.past] == [0, 1, 2, 3, 4]
        log(5, checkpoint)
        with pytest.raises(CheckpointError, match="in use by another run"):
            log(5, tmp_path / "run")
    assert log(5, tmp_path / "run") == log(5)


@pytest.mark.parametrize("content", [b"", b"deap_nn"])
def test_a_checkpoint_killed_before_its_first_record_is_begun_again(tmp_path, content):
    (tmp_path / "generations").write_bytes(content)
    with Checkpoint(tmp_path) as checkpoint:
        assert checkpoint.past == []


def test_what_a_checkpoint_cannot_do_is_refused(tmp_path):
    toolbox, checkpoint, full = wired(), Checkpoint(tmp_path), tools.HallOfFame(1)
    full.insert(toolbox.population(n=1)[0])
    with pytest.raises(ValueError, match="halloffame must be empty under a checkpoint, which restores it, got 1"):
        evolve_toolbox(toolbox, n=4, ngen=1, checkpoint=checkpoint, halloffame=full)
    evolve_toolbox(toolbox, n=4, ngen=1, checkpoint=checkpoint)
    checkpoint.close()
    checkpoint = Checkpoint(tmp_path)
    with pytest.raises(ValueError, match="population was 4 when the run began, and is 6"):
        evolve_toolbox(toolbox, n=6, ngen=1, checkpoint=checkpoint)
    checkpoint.close()


OPTIONS = ["--model", "mlp", "--population", 20, "--seed", 3, "--no-progress"]
FILES = ["logbook.csv", "logbook.json", "trace.npz", "filters.npz", "best.npz", "readouts.csv", "answers.npz"]


def test_sigterm_leaves_a_run_that_resumes(warm, here, digits_file, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    data = ["--data", digits_file, "--generations", 30]
    assert here(MNIST, *OPTIONS, *data, "--output", whole).returncode == 0
    command = [sys.executable, MNIST, *OPTIONS, *data, "--output", broken]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (broken / "logbook.csv").exists() or (broken / "logbook.csv").read_text().count("\n") <= 5:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    assert '"interrupted"' in (broken / "status.json").read_text()
    assert warm(MNIST, "--resume", broken).returncode == 0
    for name in FILES:
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name
    timing = (broken / "timing.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in timing[1:]] == list(map(str, range(31)))


def test_generations_that_were_requested_later_are_known(folder, digits_file):
    assert resume(folder, digits_file, generations=9).returncode == 0
    config = read_config(folder, "--resume")
    assert (config["generations"], requested_generations(folder, config)) == (8, 9)
