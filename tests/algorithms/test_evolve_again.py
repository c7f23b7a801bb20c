"""A second run where there was one: in the same checkpoint, the same folder, with the same population."""

import errno
import os
import signal

import numpy as np
import pytest
from own_callbacks import Stop, Watch
from wirings import evolve_toolbox, logged, members, plain_toolbox, wired

from deap_nn import (
    Callback,
    CallbackError,
    Checkpoint,
    Individual,
    WeightList,
    cxScanning,
    evolve,
    read_run,
)
from deap_nn.callbacks.candidates import Candidates
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.runs.checkpoint import MAGIC, CheckpointError, read_first, read_generations


def run(ngen, *, n=6, seed=1, toolbox=None, **keywords):
    toolbox = toolbox or wired()
    return evolve_toolbox(toolbox, n=n, ngen=ngen, seed=seed, **keywords)


def test_an_open_checkpoint_is_gone_on_with_as_often_as_one_likes(tmp_path):
    _, expected = run(7)
    with Checkpoint(tmp_path) as checkpoint:
        for ngen in (2, 5, 5, 7):
            _, logbook = run(ngen, checkpoint=checkpoint)
    assert logbook == expected
    with Checkpoint(tmp_path) as checkpoint:
        assert [generation.number for generation in checkpoint.past] == list(range(8))


def test_a_resumed_run_continues_to_count(tmp_path):
    seen = []
    watch = Watch(lambda evolution: seen.append((evolution.generation, evolution.parents, evolution.evaluations)))
    for ngen in (2, 3):
        run(ngen, checkpoint=tmp_path, callbacks=[watch])
    assert seen[2] == seen[3]  # callbacks get the last generation again
    assert [evaluations for _, _, evaluations in seen] == [6, 12, 18, 18, 24]


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("number", [0, 1])
def test_a_run_of_any_call_of_population_resumes_with_its_own_founders(mlp, tmp_path, number, call):
    def made():
        toolbox = mlp(batch_size=16)
        return [toolbox, *(toolbox.population(n=6) for _ in range(call))]

    toolbox, *_, founders = made()
    expected = logged(*evolve(founders, toolbox, 3))
    toolbox, *_, founders = made()
    evolve(founders, toolbox, number, checkpoint=tmp_path)
    later = toolbox.population(n=6)
    assert later[0].recipe != made()[-1][0].recipe
    assert logged(*evolve(later, toolbox, 3, checkpoint=tmp_path)) == expected


def test_fewer_generations_than_there_are_is_refused(tmp_path):
    run(4, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=rf"^ngen must be at least the 4 generations of {tmp_path}, got 2$"):
        run(2, checkpoint=tmp_path)
    assert len(run(4, checkpoint=tmp_path)[1]) == 5


def test_a_record_that_is_being_written_is_no_damage(tmp_path, monkeypatch):
    run(3, checkpoint=tmp_path)
    path = tmp_path / "generations"
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    real, calls = os.fstat, []

    def fstat(handle):
        seen = real(handle)
        calls.append(handle)
        if len(calls) == 1:  # it is open, and its size was asked for: the writer ends meanwhile
            path.write_bytes(content)
        return seen

    monkeypatch.setattr("deap_nn.runs.checkpoint.os.fstat", fstat)
    assert [generation.number for generation in read_generations(tmp_path)] == [0, 1, 2]
    monkeypatch.undo()
    assert len(read_generations(tmp_path)) == 4


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("generation", [0, 2])
def test_an_interrupt_while_a_generation_is_kept_spoils_nothing(tmp_path, when, generation):
    class Interrupting:
        """A file that is interrupted where it is written to."""

        def __init__(self, file, wanted):
            self.file, self.wanted = file, wanted

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, record):
            self.wanted -= 1
            if self.wanted == -1 and when == "before":
                signal.raise_signal(signal.SIGINT)
            written = self.file.write(record)
            if self.wanted == -1 and when == "after":
                signal.raise_signal(signal.SIGINT)
            return written

    with Checkpoint(tmp_path) as checkpoint:
        checkpoint._file = Interrupting(checkpoint._file, generation)
        with pytest.raises(KeyboardInterrupt):
            run(5, checkpoint=checkpoint)
        assert run(5, checkpoint=checkpoint)[1] == run(5)[1]


def test_a_checkpoint_of_another_format_is_refused_in_one_line(tmp_path):
    run(3, checkpoint=tmp_path)
    path = tmp_path / "generations"
    content = path.read_bytes().replace(MAGIC, b"deap_nn checkpoint 2\n")
    path.write_bytes(content)
    for read in (read_generations, read_first, lambda folder: run(5, checkpoint=folder)):
        with pytest.raises(CheckpointError, match=f"^{tmp_path} has no checkpoint of this version: move it away, .*$"):
            read(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "other", [{"seed": 2}, {"cxpb": 0.5}, {"mutpb": 0.5}, {"toolbox": wired(mates=4, mate=cxScanning)}]
)
def test_a_checkpoint_of_another_run_is_refused_and_nothing_is_lost(tmp_path, other):
    run(3, checkpoint=tmp_path)
    content = (tmp_path / "generations").read_bytes()
    with pytest.raises(CheckpointError, match=r"is of a run with other settings: (seed|cxpb|mutpb|mate) was "):
        run(5, checkpoint=tmp_path, **other)
    assert (tmp_path / "generations").read_bytes() == content
    assert run(5, checkpoint=tmp_path)[1] == run(5)[1]


def test_a_failure_to_reach_the_disk_is_raised_and_the_checkpoint_closed_all_the_same(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path)
    run(1, checkpoint=checkpoint)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, os.strerror(errno.EIO))))
        with pytest.raises(OSError, match="Input/output error"):
            checkpoint.close()
    Checkpoint(tmp_path).close()


class Interrupt(Callback):
    def on_progress(self, evolution):
        raise KeyboardInterrupt


def test_a_population_whose_run_ended_in_generation_0_can_be_run_again(monkeypatch, tmp_path):
    toolbox = wired()
    expected = evolve_toolbox(toolbox, n=6, ngen=3)[1]
    population = toolbox.population(n=6)
    monkeypatch.setattr("deap_nn.algorithms.loop.PROGRESS_SECONDS", -1)
    with pytest.raises(KeyboardInterrupt):
        evolve(population, toolbox, 3, seed=1, callbacks=[Interrupt()])
    assert evolve(population, toolbox, 0, seed=1)[1] == expected[:1]
    assert evolve(population, toolbox, 3, seed=1, checkpoint=tmp_path)[1] == expected
    assert evolve(population, toolbox, 3, seed=1, checkpoint=tmp_path / "other")[1] != expected  # a warm start


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            lambda population: population.__setitem__(2, [1.0]),
            "must be of WeightLists, lists of weight matrices, got list: deap.algorithms.eaSimple",
        ),
        (lambda population: population.__setitem__(2, WeightList(population[0])), "of one class"),
        (lambda population: population.__setitem__(2, Individual([[1.0]])), "of the same shapes"),
        (lambda population: setattr(population[0], "speed", population[0].flat[0]), "has an attribute 'speed'"),
    ],
)
def test_the_reason_why_a_population_has_no_recipes_is_reported(tmp_path, spoil, reason):
    toolbox = wired()
    population = toolbox.population(n=4)
    spoil(population)
    with pytest.raises(ValueError, match=f"^population .*{reason}"):
        evolve(population, toolbox, 1, seed=1, checkpoint=tmp_path)


def test_a_folder_with_a_run_is_not_written_over_by_another(tmp_path):
    folder = tmp_path / "run"
    with RunDirectory(folder) as directory:
        evolve(members(), plain_toolbox(), 2, seed=1, callbacks=[directory])
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}

    def go_on(checkpoint=None):
        toolbox = wired() if checkpoint else plain_toolbox()
        population = toolbox.population(n=6) if checkpoint else members()
        with RunDirectory(folder, again=True) as directory:
            evolve(population, toolbox, 3, seed=1, callbacks=[directory], checkpoint=checkpoint)

    for checkpoint in (None, tmp_path / "new", tmp_path / "new"):
        with pytest.raises(
            CallbackError, match="has a run that this one does not resume: pass its checkpoint to evolve"
        ):
            go_on(checkpoint)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    run(0, checkpoint=tmp_path / "bare")
    with pytest.raises(CallbackError, match="the checkpoint is of a run without a RunDirectory"):
        go_on(tmp_path / "bare")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    assert read_run(folder).logbook.select("gen") == [0, 1, 2]


def test_callbacks_may_come_and_change_places_when_a_run_resumes(tmp_path):
    folder = tmp_path / "run"
    with RunDirectory(folder) as directory:
        run(3, checkpoint=tmp_path / "kept", callbacks=[directory])
    stopping = EarlyStopping(patience=100)
    with RunDirectory(folder, again=True) as directory:
        run(5, checkpoint=tmp_path / "kept", callbacks=[stopping, directory])
    assert read_run(folder).logbook.select("gen") == list(range(6))
    assert np.isfinite(stopping.state()["lowest"])
    assert read_run(folder).status["asked_generations"] == 5


def test_the_last_best_member_of_an_interrupted_run_is_scored():
    toolbox, errors = wired(), iter([0.5, 0.4])
    toolbox.register("error_rate", lambda *_, **__: next(errors))
    candidates = Candidates(toolbox)
    with pytest.raises(KeyboardInterrupt):
        run(9, toolbox=toolbox, callbacks=[candidates, Stop(3)])
    assert (candidates.generation, candidates.validation_error, candidates.kind) == (3, 0.4, "best member")


def test_patience_counts_the_generations_before_a_resume(tmp_path):
    toolbox, errors = wired(), iter(np.linspace(0.1, 0.9, 9))
    toolbox.assess = lambda *_, **__: {"val_error": next(errors)}
    for generations in (2, 8):
        _, logbook = run(generations, toolbox=toolbox, checkpoint=tmp_path, callbacks=[EarlyStopping(patience=3)])
    assert logbook[-1]["gen"] == 3


def test_callbacks_forget_the_run_before(tmp_path):
    stopping, again = EarlyStopping(patience=2), {"before": [0.1, 0.2, 0.3], "after": [0.9, 0.8, 0.7, 0.6]}
    toolbox = wired()
    toolbox.register("error_rate", lambda individual, split, **_: 0.1 if "before" in again else 0.5)
    candidates = Candidates(toolbox, tmp_path / "readouts.csv")
    for name in list(again):
        errors = iter(again[name])
        toolbox.assess = lambda *_, errors=errors, **__: {"val_error": next(errors)}
        _, logbook = run(3, toolbox=toolbox, callbacks=[candidates, stopping])
        assert len(logbook) == len(again.pop(name))
        assert [row["gen"] for row in candidates.rows] == [0, len(logbook) - 1]
    assert (candidates.validation_error, candidates.generation) == (0.5, 0)
    lines = (tmp_path / "readouts.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["gen", "0", "3"]


@pytest.mark.parametrize(("last", "rows"), [(4, [0, 4]), (25, [0, 25])])
@pytest.mark.parametrize("first", [True, False])
def test_the_last_generation_is_scored_once_with_either_order_of_callbacks(first, last, rows):
    toolbox = wired()
    toolbox.register("error_rate", lambda individual, split, **_: float(np.abs(individual.flat).sum()))
    candidates, stopping = Candidates(toolbox), EarlyStopping(patience=100)
    callbacks = [candidates, stopping] if first else [stopping, candidates]
    ends = {last: "here"}
    stopping.on_generation = lambda evolution: setattr(evolution, "stop", ends.get(evolution.generation))
    run(30, toolbox=toolbox, callbacks=callbacks)
    assert [row["gen"] for row in candidates.rows] == rows
    stopping.on_start = lambda evolution: setattr(evolution, "stop", "before it begins")
    assert run(30, toolbox=toolbox, callbacks=callbacks)[1] == []
