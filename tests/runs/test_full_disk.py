"""A disk that is full: no part of a row or a line stays, and none is written twice."""

import errno
import resource

import numpy as np
import pytest

from deap_nn import Callback, CallbackError, evolve, make_toolbox
from deap_nn.callbacks import traces
from deap_nn.callbacks.candidates import Candidates
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.core.logbooks import read_csv


def test_a_row_that_cannot_be_written_whole_is_not_written_twice(digits, tmp_path, monkeypatch):
    toolbox = make_toolbox("mlp", digits, seed=1)
    directory = RunDirectory(tmp_path / "run")
    directory.trace_weights(toolbox.layout, 1)
    timings, append = [], traces.append_text

    def full_once(path, text):
        timings.extend([path] if path.name == "timing.csv" else [])
        if len(timings) == 2:
            timings.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        append(path, text)

    monkeypatch.setattr(traces, "append_text", full_once)
    with pytest.raises(CallbackError, match=r"RunDirectory.on_generation: OSError: .*No space left"):
        evolve(toolbox.population(n=4), toolbox, 9, seed=1, callbacks=[directory])
    directory.close("failed")
    for name in ("logbook.csv", "timing.csv"):
        assert read_csv(directory.path / name)["gen"] == [0, 1, 2]  # the last one when there was room again, at the end
    with np.load(directory.path / "trace.npz") as trace:
        assert len(trace["weights"]) == 3


def test_a_full_disk_leaves_no_part_of_a_line_of_candidates(digits, tmp_path):
    toolbox, path = make_toolbox("mlp", digits, seed=1), tmp_path / "readouts.csv"
    before, left = resource.getrlimit(resource.RLIMIT_FSIZE), []

    class Full(Callback):
        def on_generation(self, evolution):
            resource.setrlimit(resource.RLIMIT_FSIZE, (5, before[1]))

        def on_end(self, evolution):
            left.append(path.read_text())
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    try:
        with pytest.raises(CallbackError, match="No space left"):
            evolve(toolbox.population(n=4), toolbox, 9, seed=1, callbacks=[Full(), Candidates(toolbox, path)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left == [""]
    evolve(toolbox.population(n=4), toolbox, 0, seed=1, callbacks=[Candidates(toolbox, path)])
    assert read_csv(path)["gen"] == [0]
