"""Charts of the gallery draw what they are given; its commands give the same on any map, and say what they miss."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from figures import Panel, draw_genealogy, draw_images, draw_panels
from PIL import Image

from deap_nn.report.figures import COLOURS


def test_islands_give_the_same_on_any_map(run, warm, here):
    options = [ROOT / "experiments" / "islands.py", "--generations", 4, "--population", 6, "--every", 2]
    serial = here(*options)
    assert serial.returncode == 0, serial.stderr
    assert run("-m", "scoop", "-n", 2, *options).stdout == serial.stdout
    assert warm(*options, "--map", "processes", "--workers", 2).stdout == serial.stdout


def test_cartpole_says_what_is_missing(tmp_path):
    code = (
        "import sys, runpy; sys.modules['gymnasium'] = None; sys.argv = ['cartpole.py'];"
        f"runpy.run_path({str(ROOT / 'experiments' / 'cartpole.py')!r}, run_name='__main__')"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert answer.returncode == 2
    line = "cartpole.py: error: gymnasium is not installed: pip install -c constraints.txt -e '.[gymnasium]'\n"
    assert answer.stderr == line


def dots_of(path, colour):
    """How many dots of a picture have just this colour."""
    wanted = tuple(bytes.fromhex(colour.removeprefix("#")))
    with Image.open(path) as image:
        return {found: count for count, found in image.convert("RGB").getcolors(1 << 20)}.get(wanted, 0)


def test_charts_draw_what_they_are_given(tmp_path):
    panel = Panel("x", "y", {"a": ([0, 1], [1, 2])}, bands={"a": ([0, 1], [0.5, 1], [1.5, 3])}, marks=[0.5], log=True)
    sizes = []
    for count in (1, 2):
        draw_panels([panel] * count, tmp_path / "panels.png")
        with Image.open(tmp_path / "panels.png") as image:
            sizes.append(image.size[0])
    assert sizes[0] < sizes[1]
    with pytest.raises(ValueError, match="panels must not be empty"):
        draw_panels([], tmp_path / "none.png")
    draw_images(panel, [np.eye(3)] * 5, tmp_path / "images.png", title="five", names=list("abcde"))
    assert dots_of(tmp_path / "images.png", COLOURS[0]) > 100
    blue = []
    for founders in ([1], [1, 2], [1, 2, 4]):
        family = {3: founders} | {number: [] for number in founders}
        draw_genealogy({number: int(number == 3) for number in family}, family, tmp_path / "family.png", best=3)
        blue.append(dots_of(tmp_path / "family.png", COLOURS[0]))
    assert 0 < blue[0] < blue[1] < blue[2]
    assert dots_of(tmp_path / "family.png", COLOURS[1]) > 100  # the best
    assert not (tmp_path / "none.png").exists()
