"""What a child costs here and elsewhere: the same networks, a batch of 64, a whole generation, two cores.

Run it with ``make bench-peers`` once, which makes an environment for each peer, and ``python benchmarks/peers.py``.
Ours includes validation and logging, theirs breeding, selection and scoring. The CNN is measured with 200 members here
and in the naive port, and with fewer where a generation would take minutes: there a child costs the same.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import EXPERIMENTS, HERE, finished, has_bfloat16, mnist, quiet, run, steady

PEERS = HERE / "peers"
MEMBERS = 200
SIZES = ("--population", MEMBERS, "--parents", 20, "--generations", 4)

XOR = """
import statistics, sys
sys.path.insert(0, sys.argv[1])
import xor
from deap_nn import Callback, evolve
class Watch(Callback):
    seconds = []
    def on_generation(self, evolution):
        self.seconds.append(evolution.seconds)
toolbox = xor.make_toolbox(300, 1)
evolve(toolbox.population(n=200), toolbox, 300, seed=1, callbacks=[Watch()])
print(1e3 * statistics.median(Watch.seconds[5:]))
"""


def peer(name: str, network: str, members: int, generations: int, *, way: str = "", scoop: bool = False) -> float:
    """Return a peer's milliseconds a child."""
    return _peer(name, network, members, generations, way, scoop)[0]


def _peer(name: str, network: str, members: int, generations: int, way: str, scoop: bool) -> tuple[float, str, float]:
    python = HERE.parent / ".venv-peers" / name / "bin" / "python"
    if not python.exists():
        sys.exit(f"{python} is missing: run `make bench-peers` first")
    prefix = ("-m", "scoop", "-n", 2) if scoop else ()
    sizes = ("--members", members, "--generations", generations, "--way", way)
    command = (python, *prefix, PEERS / f"{name}.py", network, *sizes)
    for _ in range(5):
        begun = time.time()
        output = finished(quiet(command, cwd=PEERS))
        found = [line for line in output.splitlines() if line.startswith('{"seconds"')]
        if found:
            return 1e3 * statistics.median(json.loads(found[0])["seconds"]) / members, output, begun
        print(f"{name} did not finish, again:\n{output[-300:]}", file=sys.stderr)  # SCOOP's torn messages
    sys.exit(f"{name} does not finish")


def ours_until_generation_0(folder: Path) -> tuple[float, float]:
    """Return our milliseconds a child, and the seconds from the command to the end of generation 0."""
    begun = time.time()
    ended: list[float] = []

    def watch(pid: int) -> None:
        timing = folder / "timing.csv"
        if not ended and timing.exists() and timing.read_text().count("\n") > 1:
            ended.append(timing.stat().st_mtime if timing.read_text().count("\n") == 2 else time.time())

    return steady(mnist(folder, *SIZES, watch=watch), MEMBERS), ended[0] - begun


def measure(folder: Path) -> dict[str, float]:
    """Measure all once."""
    ours, ours_start = ours_until_generation_0(folder / "ours")
    naive, output, begun = _peer("naive", "cnn", MEMBERS, 1, "", True)
    naive_start = float(output.split("generation 0 ends at ")[1].split()[0]) - begun
    rows = {
        "CNN: deap_nn": ours,
        "CNN: naive DEAP, TensorFlow and SCOOP": naive,
        "CNN: evosax SimpleGA, lax.map": peer("evosax_ga", "cnn", 20, 2, way="map"),
        "CNN: evosax SimpleGA, vmap": peer("evosax_ga", "cnn", 8, 2, way="vmap"),
        "CNN: EvoTorch GeneticAlgorithm, one by one": peer("evotorch_ga", "cnn", 8, 2),
        "CNN: EvoTorch GeneticAlgorithm, vmap": peer("evotorch_ga", "cnn", 8, 2, way="vmap"),
        "CNN: PyGAD with kerasga": peer("pygad_ga", "cnn", 5, 2),
        "mlp, 1,000 members: deap_nn": steady(
            mnist(folder / "mlp", "--model", "mlp", "--population", 1000, "--generations", 12), 1000
        ),
        "mlp, 1,000 members: evosax SimpleGA, lax.map": peer("evosax_ga", "mlp", 1000, 5, way="map"),
        "mlp, 1,000 members: evosax SimpleGA, vmap": peer("evosax_ga", "mlp", 1000, 5, way="vmap"),
        "XOR, 200 members, a generation, serial: deap_nn": float(
            subprocess.run([sys.executable, "-c", XOR, EXPERIMENTS], check=True, capture_output=True, text=True).stdout
        ),
        "XOR, 200 members, a generation, serial: evosax SimpleGA, vmap": 200
        * peer("evosax_ga", "xor", 200, 500, way="vmap"),
        "seconds from the command to the end of generation 0: deap_nn": ours_start,
        "seconds from the command to the end of generation 0: naive": naive_start,
    }
    if has_bfloat16():
        rows["CNN: deap_nn in bfloat16"] = steady(mnist(folder / "b", *SIZES, "--precision", "bfloat16"), MEMBERS)
    return rows


if __name__ == "__main__":
    run(__file__, measure, unit="milliseconds a child, two cores, where nothing else is said")
