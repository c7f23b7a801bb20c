"""Evolve the weights of a network that reads digits.

Run it with ``python -m scoop experiments/mnist.py`` to use every core, or with plain ``python``.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deap.base import Toolbox
from mnist_options import config_of, parse_arguments
from mnist_resume import check_data, leave_out_this_end, open_checkpoint, tested_before
from terminal import Terminal

from deap_nn import ES, Callback, evolve
from deap_nn.algorithms.make_toolbox import layout_names, toolbox_of
from deap_nn.callbacks.candidates import Candidates
from deap_nn.callbacks.early_stopping import EarlyStopping
from deap_nn.callbacks.predictions import write_predictions
from deap_nn.callbacks.run_directory import RunDirectory
from deap_nn.core.environment import leave_out_extras
from deap_nn.core.errors import InputError
from deap_nn.data.dataset import DataError, Dataset
from deap_nn.data.loading import load_dataset
from deap_nn.maps import chosen_map
from deap_nn.maps.scoop import prepare_worker
from deap_nn.models.weight_files import WeightsError, read_weights
from deap_nn.operators.describe import describe_algorithm
from deap_nn.process import signals, workers
from deap_nn.process.cli import check_new_folder, run_command
from deap_nn.runs.checkpoint import Checkpoint, CheckpointError
from deap_nn.runs.files import FILES, PREDICTIONS_FILE, digest_of, keep_files, kept_files, read_config, read_status

leave_out_extras()
prepare_worker("deap_nn.problems.evaluate", "deap_nn.operators.compiled.crossing", "deap_nn.operators.compiled.centre")

QUICK_PREDICTIONS = 1000
"""The number of validation digits whose predictions an interrupted run saves: few, so that it ends soon."""


def read_data(options: argparse.Namespace) -> Dataset:
    """Return the data that the options name, checked against the batch size."""
    option = "--dataset" if options.data is None else "--data"
    try:
        dataset = load_dataset(options.dataset, options.data)
    except DataError as error:
        raise InputError(f"argument {option}: {error}") from error
    if options.batch_size > len(dataset.x_train):
        raise InputError(
            f"argument --batch-size: must be at most the {len(dataset.x_train)} training digits, "
            f"got {options.batch_size}"
        )
    return dataset


def check_device(options: argparse.Namespace) -> None:
    """Check that the device of the fitness exists, before the folder is made."""
    if options.device == "cpu":
        return
    from deap_nn.models.tensorflow import configure_tensorflow

    try:
        configure_tensorflow(options.threads, options.device)
    except ValueError as error:
        raise InputError(f"argument --{error}") from error


def check_files(options: argparse.Namespace, dataset: Dataset) -> None:
    """Check the files of ``--keras`` and ``--init``, before the folder is made."""
    if options.keras is None and options.init_weights is None:
        return
    from deap_nn.models.outputs import check_fit
    from deap_nn.models.reference import load_model, model_of, reference_of
    from deap_nn.models.tensorflow import configure_tensorflow

    configure_tensorflow(options.threads, options.device)

    try:
        model = load_model(Path(options.keras)) if options.keras is not None else options.model
        reference = reference_of(model)
        check_fit(model_of(reference), dataset.x_train.shape[1:], dataset.classes)
    except (ValueError, TypeError) as error:
        raise InputError(f"argument --keras: {error}") from error
    try:
        if options.init_weights is not None:
            read_weights(options.init_weights, reference.layout, model=reference)
    except WeightsError as error:
        raise InputError(f"argument --init: {error}") from error
    if options.resume is not None:
        config = read_config(options.resume, "--resume")
        for name in FILES:
            path = getattr(options, name)
            if path is not None and config.get(f"{name}_sha256") != digest_of(path):
                raise InputError(f"argument --resume: {path} has changed since the run began")


def make_directory(options: argparse.Namespace) -> RunDirectory:
    """Return the folder of the run: a new one, or that of the run to resume."""
    if options.resume is not None:
        asked = {"asked_generations": options.generations}
        return RunDirectory(options.resume, again=True, **asked, **tested_before(options.resume))
    return fresh_directory(options)


def fresh_directory(options: argparse.Namespace) -> RunDirectory:
    """Make the folder of a run: that of ``--output``, or a new one under ``runs/``."""
    folder = options.output
    if folder is None:
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-seed{options.seed}"
        names = itertools.chain([stem], (f"{stem}-{i}" for i in itertools.count(2)))
        folder = next(path for path in (Path("runs", name) for name in names) if not os.path.lexists(path))
    return RunDirectory(check_new_folder(folder, "--output"), asked_generations=options.generations)


def settings(options: argparse.Namespace, dataset: Dataset, toolbox: Toolbox) -> dict[str, Any]:
    """Return the content of ``config.json``."""
    chosen = config_of(options)
    return {
        **chosen,
        **({"step": toolbox.step} if isinstance(options.algorithm, ES) else {}),
        **{f"{name}_sha256": digest_of(chosen[name]) for name in FILES if chosen[name] is not None},
        "algorithm": describe_algorithm(toolbox),
        "centred_layers": toolbox.problem.centred_layers,
        "cxpb": 1.0,
        "mutpb": 1.0,
        "adaptation": repr(toolbox.clock.adaptation),
        "validation_size": toolbox.assess.func.validation_size,
        "noise_sha256": toolbox.mutate.keywords["noise"].sha256(),
        "data": dataset.describe(),
        "workers": workers.worker_count(toolbox.map),
    }


def summary(options: argparse.Namespace, toolbox: Toolbox) -> str:
    """Return a line about the run: its networks and its main settings; ``config.json`` has all of them."""
    algorithm, layers = toolbox.algorithm, " and ".join(toolbox.problem.moved_layers.values())
    sigma = "sigma follows the error" if algorithm.schedule == "error" else f"{algorithm.schedule} sigma"
    if isinstance(algorithm, ES):
        parts = ["children of one centre", sigma]
    else:
        crossover = (
            "no crossover" if algorithm.crossover == "none" else f"{algorithm.crossover} crossover of {toolbox.mates}"
        )
        parts = [crossover, sigma, f"the best boosted {algorithm.boost:g} x"]
    if algorithm.projected and layers:
        parts.append(f"{layers} move by each " + ("sample's loss" if algorithm.casewise else "child's rank"))
    networks = f"{options.population} networks of {toolbox.layout.size:,} weights"
    return f"{options.preset}: {networks}; {', '.join(parts)}"


def wired(options: argparse.Namespace, dataset: Dataset) -> Toolbox:
    """Return the toolbox of the run; this imports TensorFlow."""
    config = config_of(options)
    if options.resume is not None:
        config = read_config(options.resume, "--resume")
        config |= kept_files(options.resume, config)
    return toolbox_of(config, dataset)


def run(
    options: argparse.Namespace,
    dataset: Dataset,
    directory: RunDirectory,
    checkpoint: Checkpoint | None,
    toolbox: Toolbox,
    terminal: Terminal,
) -> None:
    """Evolve, and write the whole run into its folder."""
    terminal.begin(directory, summary(options, toolbox), dataset, options.dataset, can_resume=checkpoint is not None)
    if options.resume is None:
        keep_files(directory.path, config_of(options))
        directory.write_config(settings(options, dataset, toolbox))
    directory.trace_weights(toolbox.layout, options.seed)
    candidates = Candidates(toolbox, directory.path / "readouts.csv")
    callbacks: list[Callback] = [directory, candidates]
    criteria = {name: getattr(options, name) for name in ("target", "patience", "max_seconds")}
    if any(value is not None for value in criteria.values()):
        callbacks.insert(0, EarlyStopping(**criteria))
    if terminal.bar is not None:
        callbacks.append(terminal.bar)
    with keeping_result(directory, toolbox, candidates, terminal):
        population = toolbox.population(n=options.population)
        evolve(
            population,
            toolbox,
            options.generations,
            seed=options.seed,
            callbacks=callbacks,
            checkpoint=checkpoint,
            force=options.force,
        )
        leave_out_this_end(directory.status)


@contextlib.contextmanager
def keeping_result(
    directory: RunDirectory, toolbox: Toolbox, candidates: Candidates, terminal: Terminal
) -> Iterator[None]:
    """Score and save the result of the body, which is the run; save it also if the run fails or is interrupted."""
    directory.keeps_best = False
    try:
        with signals.heeding_signals():
            yield
            for split, name in (("train", "training"), ("test", "test")):
                directory.enter(f"scoring the {name} digits")
                directory.status[f"{name}_error"] = toolbox.error_rate(candidates.individual, split, map=toolbox.map)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            terminal.interrupted(directory)
        if candidates.individual is not None:
            try:
                save_result(directory, toolbox, candidates, size=QUICK_PREDICTIONS)
            except Exception as second:  # the first error ended the run, and is the one that is raised
                error.add_note(f"and then: {type(second).__name__}: {second}")
                if not isinstance(error, Exception):  # for an interrupt no traceback shows the note
                    warnings.warn(f"the result is not whole: {type(second).__name__}: {second}", stacklevel=2)
        raise
    save_result(directory, toolbox, candidates)
    directory.close("finished")


def save_result(directory: RunDirectory, toolbox: Toolbox, candidates: Candidates, *, size: int | None = None) -> None:
    """Write the best candidate with its errors and its predictions, and the pictures."""
    from deap_nn.problems.evaluate import network_weights
    from deap_nn.report.figures import draw_run

    directory.enter("saving the result")
    status = {"validation_error": candidates.validation_error, "generation": candidates.generation}
    directory.tell(**status, readout=candidates.kind)
    weights = network_weights(toolbox.problem, candidates.individual)
    directory.write_weights(layout_names(toolbox.layout, weights))
    directory.write_model(toolbox.to_model(candidates.individual))
    write_predictions(directory.path / PREDICTIONS_FILE, toolbox, candidates.individual, size=size)
    directory.enter("drawing")
    draw_run(directory.path)


def main() -> int:
    """Run the experiment of the command line, and return the exit status."""
    options = parse_arguments()
    with Terminal(quiet=options.no_progress) as terminal:
        return evolve_digits(options, terminal)


def evolve_digits(options: argparse.Namespace, terminal: Terminal) -> int:
    """Do a run, and return the exit status."""
    if options.output is not None:
        check_new_folder(options.output, "--output")
    dataset = read_data(options)
    check_device(options)
    check_files(options, dataset)
    checkpoint: Checkpoint | None = None
    if options.resume is not None:
        check_data(options.resume, dataset.reference.sha256, force=options.force)
        checkpoint = open_checkpoint(options.resume, options.population)
        if "asked_generations" not in read_status(options.resume):  # lost: an earlier resume may have had more of them
            options.generations = max(options.generations, len(checkpoint.past) - 1)
    with signals.interruptible(), chosen_map(options) as map_:
        terminal.show("importing TensorFlow")
        toolbox = wired(options, dataset)
        toolbox.register("map", map_)
        with make_directory(options) as directory:  # not before: an interrupted import leaves nothing
            if options.resume is None:
                checkpoint = Checkpoint(directory.path / "checkpoint")
            with contextlib.closing(checkpoint) if checkpoint is not None else contextlib.nullcontext():
                try:
                    run(options, dataset, directory, checkpoint, toolbox, terminal)
                except CheckpointError as error:
                    if options.resume is None:
                        raise
                    raise InputError(f"argument --resume: {error}") from error
    return 0


if __name__ == "__main__":
    run_command(main)
