"""A run goes on where nobody reads its output any more, or where a shell has closed it."""

import json
import shlex
import subprocess
import sys

import pytest
from conftest import MNIST, alone, run_here

PATHS = {"PATH": "/usr/bin:/bin"}
SIZES = "--model mlp --population 8 --generations 4 --seed 3"


@pytest.mark.parametrize("ending", ["2>&1 | head -1", pytest.param("2>&-", marks=pytest.mark.long), ">&- 2>&- <&-"])
def test_a_run_ends_in_order(tmp_path, digits_file, finished_without, ending):
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(MNIST))} {SIZES} --data {shlex.quote(str(digits_file))}"
    line = f"{command} --output run {ending}; exit ${{PIPESTATUS[0]}}"
    answer = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False, env=alone(tmp_path) | PATHS
    )
    assert answer.returncode == 0, answer.stderr
    assert "Traceback" not in answer.stderr
    assert "BrokenPipe" not in answer.stderr
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"
    for name in ("logbook.csv", "best.npz"):
        assert (tmp_path / "run" / name).read_bytes() == (finished_without / name).read_bytes()


@pytest.fixture(scope="module")
def finished_without(tmp_path_factory, digits_file):
    """The same run, whose output is read."""
    folder = tmp_path_factory.mktemp("read") / "run"
    answer = run_here(MNIST, *SIZES.split(), "--data", digits_file, "--output", folder, cwd=folder.parent)
    assert answer.returncode == 0, answer.stderr
    return folder
