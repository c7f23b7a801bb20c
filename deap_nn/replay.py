"""Recompute the weights of any member of a run: ``python -m deap_nn.replay DIR --generation G --output FILE``.

They are bred from the recipes in the run's checkpoint, or from its keyframe.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
from pathlib import Path
from typing import Any

import numpy as np
from deap import base

from deap_nn.algorithms.make_toolbox import layout_names, toolbox_of
from deap_nn.algorithms.resuming import check_keyframe, check_settings, settings_record
from deap_nn.breeding.founders import breeder_of
from deap_nn.breeding.lineage import Lineage
from deap_nn.core.environment import leave_out_extras
from deap_nn.core.errors import InputError
from deap_nn.core.files import writing
from deap_nn.core.registered import Registered
from deap_nn.data.dataset import Dataset
from deap_nn.data.loading import load_dataset
from deap_nn.genome.population import load
from deap_nn.process import signals
from deap_nn.process.cli import Parser, integer, run_command
from deap_nn.runs.checkpoint import CheckpointError, Generation, read_generations
from deap_nn.runs.files import kept_files, read_config


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = Parser(
        "Recompute a member of a run from its recipe, score it, and save its network.",
        "deap-nn replay runs/first --generation 100 --output best.keras",
        "deap-nn replay runs/first --generation 100 --mean --test --output mean.npz",
    )
    add, add_data, add_output = (parser.groups[name].add_argument for name in ("run", "data", "output"))
    add("run", metavar="DIR", help="folder of the run")
    add("--generation", type=integer(0), required=True, metavar="G", help="generation, from 0 (required)")
    add("--member", type=integer(0), metavar="K", help="member of the generation, from 0 [the best]")
    add("--mean", action="store_true", help="mean of the generation's parents, a candidate [a member]")
    add_data("--data", metavar="PATH", help="the run's data, if they have moved [as in config.json]")
    add_data("--test", action="store_true", help="print the test error rate too [validation alone]")
    add_output("--output", required=True, metavar="FILE", help="new .npz file of weights or .keras file (required)")
    options = parser.parse_args()
    if options.mean and options.member is not None:
        raise InputError("argument --mean: not with --member: give one of them")
    return options


def read_past(options: argparse.Namespace) -> list[Generation]:
    """Return the generations of the run's checkpoint, up to that of ``--generation``."""
    if not Path(options.run, "checkpoint").is_dir():
        raise InputError(f"argument DIR: {options.run} has no checkpoint")
    try:
        past = read_generations(Path(options.run, "checkpoint"))
    except CheckpointError as error:
        raise InputError(f"argument DIR: {error}") from error
    if options.generation >= len(past):
        has = f"the run has the generations 0 to {len(past) - 1}" if past else "the run has none yet"
        raise InputError(f"argument --generation: {has}, got {options.generation}")
    if options.mean and not options.generation:
        raise InputError("argument --mean: generation 0 has no parents")
    members = len(past[options.generation].wvalues)
    if options.member is not None and options.member >= members:
        raise InputError(f"argument --member: the generation has the members 0 to {members - 1}, got {options.member}")
    return past[: options.generation + 1]


def read_data(options: argparse.Namespace, config: dict[str, Any]) -> Dataset:
    """Return the run's data."""
    known = config["data"] if isinstance(config.get("data"), dict) else {}
    path = known.get("path")
    try:
        dataset = load_dataset(str(known.get("name", "auto")), options.data or (str(path) if path else None))
    except ValueError as error:
        raise InputError(f"argument --data: {error}") from error
    if dataset.reference.sha256 != known.get("sha256"):
        raise InputError("argument --data: the content differs from the run's data")
    return dataset


def wire(config: dict[str, Any], dataset: Dataset) -> base.Toolbox:
    """Return the toolbox of the run."""
    try:
        return toolbox_of(config, dataset)
    except KeyError as error:
        raise InputError(f"argument DIR: config.json: has no {error.args[0]}") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"argument DIR: config.json: {error}") from error


def breed(options: argparse.Namespace, config: dict[str, Any], toolbox: base.Toolbox, past: list[Generation]) -> Any:
    """Return the member that the options name, and its place in its generation; the places of several for a mean."""
    last = past[-1]
    place: Any = options.member if options.member is not None else int(np.argmax(last.wvalues[:, 0]))
    if options.mean:
        values = last.wvalues.tolist()
        place = heapq.nlargest(last.parents, range(len(values)), key=values.__getitem__)
    toolbox.clock.restore(last.number, last.adaptation)
    probabilities = {"cxpb": 1.0, "mutpb": 1.0}
    population = toolbox.population(n=len(last.wvalues))
    present = settings_record(toolbox, population, seed=config["seed"], **probabilities)
    present["population"] = config.get("population", len(population))
    try:
        check_settings(past[0].settings, present, Path(options.run, "checkpoint"), force=True)
    except CheckpointError as error:
        raise InputError(f"argument DIR: {error}") from error
    breeder = breeder_of(population, toolbox, seed=config["seed"], **probabilities)
    lineage = Lineage(breeder, map)
    with contextlib.closing(lineage):
        keyframe = check_keyframe(Path(options.run, "checkpoint"), last.number)
        lineage.remember([generation.bred for generation in past[1:]], keyframe)
        member = lineage.recall(last.number, place)
        load([member])  # while the lineage's cache is open
    return member, place


@signals.interruptible()  # a plain kill would leave files of its genomes behind
def main() -> int:
    """Recompute the member of the command line, and return the exit status: 1 if its fitness is not the logged one."""
    leave_out_extras()
    options = parse_arguments()
    output = Path(options.output)
    if output.suffix not in (".npz", ".keras"):
        raise InputError(f"argument --output: must end in .npz or .keras, got {output}")
    if output.exists():
        raise InputError(f"argument --output: {output} exists already")
    if not output.absolute().parent.is_dir():
        raise InputError(f"argument --output: {output.absolute().parent} is no folder")
    config = read_config(options.run, "DIR")
    config |= kept_files(options.run, config)
    if "preset" not in config and "model" not in config:
        raise InputError("argument DIR: only runs of experiments/mnist.py can be replayed: other toolboxes are unknown")
    past = read_past(options)
    dataset = read_data(options, config)
    toolbox = wire(config, dataset)
    member, place = breed(options, config, toolbox, past)
    (fitness,) = toolbox.evaluate(member)
    measure, _ = Registered.read(toolbox).measure
    parts = ("validation", "test")[: 1 + options.test]
    errors = ", ".join(f"{part} {measure} {toolbox.error_rate(member, part):.4f}" for part in parts)
    if output.suffix == ".keras":
        with writing(output) as file:
            toolbox.to_model(member).save(file)
    else:
        from deap_nn.problems.evaluate import network_weights

        weights = layout_names(toolbox.layout, network_weights(toolbox.problem, member))
        with writing(output) as file:
            np.savez(file, allow_pickle=False, **weights)
    status, named, scored = 0, "mean of the parents", f"fitness {fitness:.6g}"
    if not options.mean:
        named, logged = f"member {place}", abs(float(past[-1].wvalues[place, 0]))
        if fitness != logged:
            status, scored = 1, f"{scored}, which differs from the logged {logged:.6g}"
    print(f"generation {past[-1].number}, {named}: {scored}, {errors}: {output}")
    return status


if __name__ == "__main__":
    run_command(main)
