"""An editable install: the clone may be called as the package is, and Python may start in the folder above it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest
from conftest import ROOT


@pytest.mark.long
def test_the_package_is_found_from_the_folder_above_a_clone_of_its_name(tmp_path):
    clone, site = tmp_path / "deap_nn", tmp_path / "site"
    shutil.copytree(ROOT / "deap_nn", clone / "deap_nn", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    venv.create(site)
    python = site / "bin" / "python"
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    folder = subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip()
    # The packages of this environment, but not what it has installed as editable: that is in .pth files.
    (tmp_path / "folder.pth").write_text(sysconfig.get_path("purelib"))
    shutil.move(tmp_path / "folder.pth", folder)
    quiet = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    command = [sys.executable, "-m", "pip", "--python", python, "install", *quiet, "--editable", clone]
    subprocess.run(command, check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-W", "error", "-c", "import deap_nn; print(deap_nn.evolve.__name__, deap_nn.__file__)"]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert answer.stdout.split() == ["evolve", str(clone / "deap_nn" / "__init__.py")], answer.stderr
