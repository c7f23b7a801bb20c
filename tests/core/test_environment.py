"""What decides the last bits beside the settings: versions, TensorFlow's variables and threads, the processor."""

import contextlib
import dataclasses
import json
import shutil

import numpy as np
import pytest
from conftest import MNIST, run_here
from wirings import wired

from deap_nn import GA, Callback, Checkpoint, Constant, KerasProblem, RunDirectory, evolve, make_toolbox, read_run
from deap_nn.algorithms.settings_record import environment_of
from deap_nn.breeding import task as genome_tasks
from deap_nn.core import environment
from deap_nn.core.environment import EnvironmentDiffersError, difference
from deap_nn.maps import open_map
from deap_nn.runs.generations import CheckpointError, read_generations

HERE = environment.environment()


def small(digits, **arguments):
    return make_toolbox("mlp", digits, **({"seed": 3, "batch_size": 16} | arguments))


def go(toolbox, ngen, map_=map, **arguments):
    toolbox.register("map", map_)
    return evolve(toolbox.population(n=8), toolbox, ngen, **arguments)


@pytest.fixture
def elsewhere(monkeypatch):
    """Let tasks be done as if by another process than the one that leads the run."""
    monkeypatch.setattr(genome_tasks, "this_process", lambda: ("elsewhere", 1))


def listing(function, *iterables):
    """A map that is not known to keep the order, or to be that of one process."""
    return list(map(function, *iterables))


def changed(**parts):
    return {name: value | parts[name] if name in parts and isinstance(value, dict) else parts.get(name, value)
            for name, value in HERE.items()}  # fmt: skip  # one entry a line would hide what differs


OTHERS = [
    ({"variables": {"TF_ENABLE_ONEDNN_OPTS": "0"}}, "TF_ENABLE_ONEDNN_OPTS was not set .*, and is '0'"),
    ({"variables": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}, "ONEDNN_MAX_CPU_ISA was not set .*, and is 'AVX2'"),
    ({"variables": {"DNNL_MAX_CPU_ISA": "AVX2"}}, "DNNL_MAX_CPU_ISA was not set .*, and is 'AVX2'"),
    ({"variables": {"XLA_FLAGS": "--x"}}, "XLA_FLAGS was not set .*, and is '--x'"),
    ({"versions": {"numpy": "0.1"}}, "numpy was '.*' where the run began, and is '0.1'"),
    ({"threads": [7, 1]}, "TensorFlow had 1 and 1 threads where the run began, and has 7 and 1"),
]


@pytest.mark.parametrize(("other", "named"), OTHERS, ids=lambda v: next(iter(v)) if isinstance(v, dict) else None)
def test_a_run_is_not_gone_on_with_where_bits_are_other(digits, tmp_path, monkeypatch, other, named):
    go(small(digits), 1, checkpoint=tmp_path)
    assert read_generations(tmp_path)[0].environment == HERE
    monkeypatch.setattr("deap_nn.algorithms.resuming.environment_of", lambda toolbox: changed(**other))
    before = (tmp_path / "generations").read_bytes()
    with pytest.raises(CheckpointError, match=f"{named}.*--force"):
        go(small(digits), 2, checkpoint=tmp_path)
    assert (tmp_path / "generations").read_bytes() == before
    with pytest.warns(UserWarning, match="the last bits of a fitness may differ"):
        go(small(digits), 2, checkpoint=tmp_path, force=True)
    with pytest.warns(UserWarning, match="may differ"), Checkpoint(tmp_path, force=True) as checkpoint:
        go(small(digits), 3, checkpoint=checkpoint)


def made_by(folder, **package):
    """Write a checkpoint again, as if by another version of this package, or by one that did not keep its version."""
    first, *others = read_generations(folder)
    kept = {name: value for name, value in first.environment.items() if name != "package"}
    (folder / "generations").unlink()
    with Checkpoint(folder) as checkpoint:
        for generation in (dataclasses.replace(first, environment=kept | package), *others):
            checkpoint.append(generation)


SAID = f"the run was made with deap-nn 0.0.1, this is {environment.versions()['deap-nn']}"


@pytest.mark.parametrize("settings", ["as they were", "of that version too"])
def test_another_version_of_this_package_warns_once_and_the_command_continues(
    finished_run, here, digits_file, tmp_path, settings
):
    folder = shutil.copytree(finished_run, tmp_path / "run")
    made_by(folder / "checkpoint", package="0.0.1")
    if settings != "as they were":
        config = json.loads((folder / "config.json").read_text())
        config["versions"]["deap-nn"] = "0.0.1"
        (folder / "config.json").write_text(json.dumps(config))
    answer = here(MNIST, "--resume", folder, "--generations", 9, "--no-progress", "--data", digits_file)
    assert (answer.returncode, answer.stderr) == (0, f"mnist.py: warning: {SAID}\n")
    assert len(read_run(folder).logbook) == 10
    assert "same_bytes" not in read_run(folder).status


@pytest.mark.parametrize("package", [{"package": "0.0.1"}, {}], ids=["another", "not kept"])
def test_a_script_is_warned_of_another_version_of_this_package(digits, tmp_path, package):
    _, expected = go(small(digits), 2, checkpoint=tmp_path / "whole")
    go(small(digits), 1, checkpoint=tmp_path / "kept")
    made_by(tmp_path / "kept", **package)
    with pytest.warns(UserWarning, match=f"^{SAID}$") if package else contextlib.nullcontext([1]) as caught:
        _, logbook = go(small(digits), 2, checkpoint=tmp_path / "kept")
    assert len(caught) == 1
    assert logbook == expected


@pytest.mark.parametrize(("other", "named"), OTHERS, ids=lambda v: next(iter(v)) if isinstance(v, dict) else None)
def test_a_process_whose_bits_are_other_is_refused(digits, elsewhere, monkeypatch, other, named):
    monkeypatch.setattr(genome_tasks, "environment", lambda: changed(**other))
    with pytest.raises(EnvironmentDiffersError, match=rf"process \d+ on \S+: {named}"):
        go(small(digits), 1)
    with pytest.warns(RuntimeWarning, match="may compute other last bits") as warned:
        _, logbook = go(small(digits), 2, force=True)
    assert len(warned) == 1
    assert len(logbook) == 3


def test_another_processor_is_a_warning_and_the_folder_says_so(digits, elsewhere, tmp_path, monkeypatch):
    monkeypatch.setattr(genome_tasks, "environment", lambda: changed(processor="another"))
    folder = tmp_path / "run"
    with pytest.warns(RuntimeWarning, match="another processor") as warned, RunDirectory(folder) as directory:
        go(small(digits), 2, callbacks=[directory], checkpoint=folder / "checkpoint")
    assert len(warned) == 1  # once a host
    assert json.loads((folder / "status.json").read_text())["same_bytes"] is False
    monkeypatch.undo()
    with RunDirectory(folder, again=True) as directory:  # what was so remains so
        go(small(digits), 3, callbacks=[directory], checkpoint=folder / "checkpoint")
    assert json.loads((folder / "status.json").read_text())["same_bytes"] is False


def test_a_run_that_resumes_on_another_processor_says_so(digits, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with RunDirectory(folder) as directory:
        go(small(digits), 1, callbacks=[directory], checkpoint=folder / "checkpoint")
    assert "same_bytes" not in read_run(folder).status
    monkeypatch.setattr("deap_nn.algorithms.resuming.environment_of", lambda toolbox: changed(processor="another"))
    with pytest.warns(UserWarning, match="this processor is another"), RunDirectory(folder, again=True) as directory:
        go(small(digits), 2, callbacks=[directory], checkpoint=folder / "checkpoint")
    assert read_run(folder).status["same_bytes"] is False


def test_other_bits_by_the_same_versions_and_variables_are_refused(digits, tmp_path, monkeypatch):
    """Whatever makes them other: the first founder is scored again, by each process and by one that goes on."""
    go(small(digits), 1, checkpoint=tmp_path)
    answers = genome_tasks._answers

    def other(task, context):
        found = answers(task, context)
        return [(value[0] + 1e-12,) for value in found] if isinstance(found[0], tuple) else found

    monkeypatch.setattr(genome_tasks, "_answers", other)
    with pytest.raises(
        EnvironmentDiffersError, match="versions and variables are the same, but a network has another fitness"
    ):
        go(small(digits), 2, checkpoint=tmp_path)
    monkeypatch.undo()
    seen = []

    def later(task, context):  # the process that is asked in generation 1 is another than that of generation 0
        seen.append(task.generation)
        return other(task, context) if any(seen) else answers(task, context)

    monkeypatch.setattr(genome_tasks, "_answers", later)
    with pytest.raises(EnvironmentDiffersError, match="another fitness"):
        go(small(digits), 2, listing)


def test_the_founder_is_scored_again_once_in_a_process(digits, monkeypatch):
    asked = []
    alike = genome_tasks._scores_alike
    monkeypatch.setattr(genome_tasks, "_scores_alike", lambda *given: asked.append(given) or alike(*given))
    go(small(digits), 4, listing)
    assert len(asked) == 1
    go(small(digits), 2, breeding="plain")
    go(small(digits), 2)  # one process agrees with itself
    assert len(asked) == 1


def test_the_founder_is_that_of_the_population_whatever_a_callback_does_with_it(digits):
    class Sorting(Callback):
        def on_generation(self, evolution):
            evolution.population.sort(key=lambda member: member.fitness, reverse=True)

    def backwards(function, *iterables):
        return listing(function, *iterables)[::-1]

    toolbox = small(digits)
    toolbox.register("map", backwards)
    for population in (toolbox.population(n=6, start=10), toolbox.population(n=9)[4:]):
        evolve(population, toolbox, 2, callbacks=[Sorting()])


def test_a_fitness_that_is_other_each_time_is_no_other_process(tmp_path):
    import keras

    rng = np.random.default_rng(1)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    problem = KerasProblem(model, rng.normal(size=(40, 5)), rng.integers(0, 3, 40), loss=noisy)
    for ngen in (2, 3):
        go(make_toolbox(problem, algorithm=GA(sigma=Constant(0.1)), seed=1), ngen, listing, checkpoint=tmp_path)


def noisy(outputs, targets):
    return float(np.random.default_rng().normal())


class OfTheirOwn:
    """An evaluation with an attribute that ours have too."""

    problem = "xor"

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, individual):
        return (self.factor * float(np.abs(individual.flat).sum()),)


def test_an_evaluation_of_ones_own_may_have_any_attribute(digits, tmp_path):
    for ngen in (1, 2):
        toolbox = small(digits)
        toolbox.register("evaluate", OfTheirOwn(2.0))
        del toolbox.assess
        go(toolbox, ngen, listing, checkpoint=tmp_path)


def test_threads_count_only_where_tensorflow_scores_in_this_process(digits):
    toolbox = small(digits)
    toolbox.register("map", map)
    assert environment_of(toolbox)["threads"] == [1, 1]
    toolbox.register("map", listing)
    assert environment_of(toolbox)["threads"] is None
    toolbox.register("map", map)
    toolbox.register("evaluate", OfTheirOwn(2.0))
    assert environment_of(toolbox)["threads"] is None


def test_processes_agree_with_the_one_that_leads(digits, tmp_path):
    _, alone_ = go(small(digits), 2, checkpoint=tmp_path)
    with open_map("processes", workers=1) as map_:
        _, shared = go(small(digits), 3, map_, checkpoint=tmp_path)
    assert shared[:3] == alone_[:3]


def test_a_real_process_with_another_variable_is_refused(monkeypatch):
    """It is started with the variable, as one by ``ssh`` or of a cluster may be; this process is without."""
    named = r"process \d+ on \S+: TF_ENABLE_ONEDNN_OPTS was not set where the run began, and is '0'; --force allows it"
    with open_map("processes", workers=1) as map_:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
        assert list(map_(abs, [-1])) == [1]  # now there is one
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
        with pytest.raises(EnvironmentDiffersError, match=named):
            go(wired(), 1, map_, seed=1)
        with pytest.warns(RuntimeWarning, match="TF_ENABLE_ONEDNN_OPTS was not set .*, and is '0'") as warned:
            _, logbook = go(wired(), 1, map_, seed=1, force=True)
    assert len(warned) == 1
    assert len(logbook) == 2


def test_threads_that_are_not_known_do_not_count():
    assert difference(HERE, changed(threads=None)) is None
    assert difference(changed(processor="another"), HERE) is None
    assert HERE["threads"] == [1, 1]


def test_the_experiment_refuses_other_variables_in_one_line(finished_run, digits_file, tmp_path, monkeypatch):
    folder = shutil.copytree(finished_run, tmp_path / "run")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    options = ["--resume", folder, "--generations", 9, "--data", digits_file, "--no-progress"]
    status = (folder / "status.json").read_bytes()
    answer = run_here(MNIST, *options, cwd=tmp_path)
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert "TF_ENABLE_ONEDNN_OPTS was not set where the run began, and is '0'" in line
    assert (folder / "status.json").read_bytes() == status
    answer = run_here(MNIST, *options, "--force", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert read_run(folder).status["same_bytes"] is False
