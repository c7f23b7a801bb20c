"""How the cost of a child grows: with the population, with the generations, and in the main process.

Run it with ``python benchmarks/scale.py``. The main process' own cost is measured with a map that pickles each task and
answers at once, so that nothing but selection, recipes, tasks and the logbook is left; the bytes are those of every
message that SCOOP's processes send each other, counted at their sockets.
"""

import os
import pickle
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from common import ES, HERE, SCOOP, finished, mnist, passes, quiet, run, steady

from deap_nn import GA, Callback, Evolution, evolve, make_toolbox
from deap_nn.breeding.kinds import KINDS, place_of


class Answers:
    """A map whose workers cost nothing: each task is pickled and unpickled, and so is what it would answer."""

    def __call__(self, function: object, tasks: Iterable[Any]) -> Iterator[list[Any]]:
        for task in list(tasks):
            items = pickle.loads(pickle.dumps(task, pickle.HIGHEST_PROTOCOL)).items
            answers = [(1.0 + place_of(item.id) % 7,) if isinstance(item, KINDS) else 3 for item in items]
            yield pickle.loads(pickle.dumps(answers, pickle.HIGHEST_PROTOCOL))


def own_cost(members: int) -> float:
    """Return the main process' milliseconds a child of the CNN."""
    toolbox = make_toolbox("mnist_deep", "mnist5k", GA(mates=2, parents=members // 10), seed=1)
    toolbox.register("map", Answers())
    seconds: list[float] = []

    class Watch(Callback):
        def on_generation(self, evolution: Evolution) -> None:
            seconds.append(evolution.seconds)

    evolve(toolbox.population(n=members), toolbox, 6, seed=1, callbacks=[Watch()])
    return steady(seconds, members)


def bytes_sent(folder: Path, preset: str, members: int, generations: int) -> float:
    """Return the bytes that all processes send through SCOOP, over the children."""
    environment = {**os.environ, "COUNTED": str(folder)}
    finished(quiet((sys.executable, *SCOOP, HERE / "counted.py", preset, members, generations), env=environment))
    return sum(map(float, (path.read_text() for path in folder.glob("*.bytes")))) / (members * generations)


def growth(folder: Path, name: str, *options: object, parents: int | None = None) -> dict[str, float]:
    """Return how the cost of a child grows with the population and with the generations."""
    chosen = (*options, *(() if parents is None else ("--parents", parents)))
    hundred = steady(mnist(folder / "100", "--population", 100, *chosen, "--generations", 8), 100)
    thousand = steady(mnist(folder / "1000", "--population", 1000, *chosen, "--generations", 5), 1000)
    long = mnist(folder / "long", "--population", 30, *options, "--generations", 306)
    early, late = statistics.median(long[5:16]), statistics.median(long[295:306])
    return {
        f"milliseconds a child, 100 members{name}": hundred,
        f"milliseconds a child, 1,000 members{name}": thousand,
        f"1,000 members over 100, a child{name}": thousand / hundred,
        f"milliseconds a child, generations 5 to 15{name}": 1e3 * early / 30,
        f"milliseconds a child, generations 295 to 305{name}": 1e3 * late / 30,
        f"generation 300 over generation 10, a child{name}": late / early,
    }


def measure(folder: Path) -> dict[str, float]:
    """Measure all once, two parents crossed by a mask if nothing else is said."""
    rows = growth(folder / "two", "", parents=100) | growth(folder / "default", ", --preset es", *ES)
    code = f"import sys; sys.path[:0] = [{str(HERE)!r}]; from scale import own_cost; print(own_cost(1000))"
    quietly = {"capture_output": True, "text": True, "check": True}
    own = float(subprocess.run([sys.executable, "-c", code], **quietly).stdout)
    rows["milliseconds of the main process a child, 1,000 members"] = own
    rows["milliseconds of the main process a child, of a forward pass"] = own / passes(1)
    for name, preset in (("", "ga"), (", --preset es", "es")):
        counted = folder / f"bytes {preset}"
        counted.mkdir()
        rows[f"bytes through SCOOP a child, both ways{name}"] = bytes_sent(counted, preset, 400, 3)
    return rows


if __name__ == "__main__":
    run(__file__, measure, unit="the CNN, two workers")
