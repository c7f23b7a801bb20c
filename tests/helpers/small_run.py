"""What tests of the experiment share: a run that takes a moment, its files, its scripts, and the order of tests."""

import pytest
from conftest import ROOT

in_turn = pytest.mark.xdist_group("in turn")
"""For tests of several processes, or that stop them: as all of the files that `conftest.py` names."""

SWEEP = ROOT / "experiments" / "sweep.py"
RESULTS = ROOT / "experiments" / "results.py"

SETTING = ["--model", "mlp", "--population", 12, "--generations", 3, "--seed", 5]

FILES = {
    "config.json",
    "logbook.csv",
    "logbook.json",
    "timing.csv",
    "readouts.csv",
    "trace.npz",
    "filters.npz",
    "answers-by-generation.npz",
    "members.npz",
    "answers.npz",
    "report.html",
    "fitness.png",
    "weights.png",
    "best.npz",
    "best.keras",
    "checkpoint",
    "status.json",
}
