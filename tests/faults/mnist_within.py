"""``experiments/mnist.py`` with the cache in the folder CACHE, and a keyframe after KEYFRAME_WEIGHTS: variables."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "experiments"))

import mnist

from deap_nn.algorithms import resuming
from deap_nn.breeding import lineage
from deap_nn.process.cli import run_command

if "CACHE" in os.environ:
    lineage.default_place = lambda: Path(os.environ["CACHE"])
if "KEYFRAME_WEIGHTS" in os.environ:
    resuming.KEYFRAME_WEIGHTS = float(os.environ["KEYFRAME_WEIGHTS"])

if __name__ == "__main__":
    run_command(mnist.main)
