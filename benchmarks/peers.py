"""What a child costs here and elsewhere: the same networks, a batch of 64, a whole generation, two cores.

Run it with ``make bench-peers`` once, which makes an environment for each peer, and ``python benchmarks/peers.py``.
Ours includes validation and logging, theirs breeding, selection and scoring. The CNN is measured with 200 members here
and in the naive port, and with fewer where a generation would take minutes: there a child costs the same.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from common import ES, EXPERIMENTS, has_bfloat16, mnist, peer_output, run, steady

MEMBERS = 200
SIZES = ("--population", MEMBERS, "--generations", 9)

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
    output, _ = peer_output(name, network, members, generations, way=way, scoop=scoop)
    found = next(line for line in output.splitlines() if line.startswith('{"seconds"'))
    return 1e3 * statistics.median(json.loads(found)["seconds"]) / members


def measure(folder: Path) -> dict[str, float]:
    """Measure all once."""
    rows = {
        "CNN: deap_nn": steady(mnist(folder / "ours", *SIZES, "--parents", 20), MEMBERS),
        "CNN: deap_nn, --preset es": steady(mnist(folder / "default", *SIZES, *ES), MEMBERS),
        "CNN: naive DEAP, TensorFlow and SCOOP": peer("naive", "cnn", MEMBERS, 1, scoop=True),
        "CNN: evosax SimpleGA, lax.map": peer("evosax_ga", "cnn", 20, 2, way="map"),
        "CNN: evosax SimpleGA, vmap": peer("evosax_ga", "cnn", 8, 2, way="vmap"),
        "CNN: EvoTorch GeneticAlgorithm, one by one": peer("evotorch_ga", "cnn", 8, 2),
        "CNN: EvoTorch GeneticAlgorithm, vmap": peer("evotorch_ga", "cnn", 8, 2, way="vmap"),
        "CNN: PyGAD with kerasga": peer("pygad_ga", "cnn", 5, 2),
        "mlp, 1,000 members: deap_nn": steady(
            mnist(folder / "mlp", "--model", "mlp", "--population", 1000, "--generations", 12), 1000
        ),
        "mlp, 1,000 members: deap_nn, --preset es": steady(
            mnist(folder / "mlpd", "--model", "mlp", "--population", 1000, "--generations", 12, *ES), 1000
        ),
        "mlp, 1,000 members: evosax SimpleGA, lax.map": peer("evosax_ga", "mlp", 1000, 5, way="map"),
        "mlp, 1,000 members: evosax SimpleGA, vmap": peer("evosax_ga", "mlp", 1000, 5, way="vmap"),
        "XOR, 200 members, a generation, serial: deap_nn": float(
            subprocess.run([sys.executable, "-c", XOR, EXPERIMENTS], check=True, capture_output=True, text=True).stdout
        ),
        "XOR, 200 members, a generation, serial: evosax SimpleGA, vmap": 200
        * peer("evosax_ga", "xor", 200, 500, way="vmap"),
    }
    if has_bfloat16():
        quick = (*SIZES, "--precision", "bfloat16")
        rows["CNN: deap_nn in bfloat16"] = steady(mnist(folder / "b", *quick, "--parents", 20), MEMBERS)
        rows["CNN: deap_nn in bfloat16, --preset es"] = steady(mnist(folder / "db", *quick, *ES), MEMBERS)
    return rows


if __name__ == "__main__":
    run(__file__, measure, unit="milliseconds a child, two cores, where nothing else is said")
