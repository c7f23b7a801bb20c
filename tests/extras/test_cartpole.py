"""An agent on Gymnasium's CartPole: it really balances."""

import re

from conftest import ROOT, well

SCRIPT = ROOT / "experiments" / "cartpole.py"


def test_the_agent_balances_and_is_drawn(run, tmp_path):
    answer = well(run(SCRIPT, "--seed", 1, "--output", tmp_path / "pole.png"))
    mean, lowest = re.search(r"mean return of 20 other episodes: (\S+), lowest (\d+), of 500\n", answer.stdout).groups()
    assert float(mean) > 400
    assert int(lowest) <= 500
    assert (tmp_path / "pole.png").stat().st_size > 5000


def test_it_does_the_same_under_scoop(run):
    options = [SCRIPT, "--generations", 2, "--population", 8]
    serial = well(run(*options))
    assert serial.stdout.startswith("2 generations")
    assert run("-m", "scoop", "-n", 2, *options).stdout == serial.stdout
