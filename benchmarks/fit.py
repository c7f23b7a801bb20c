"""What a fit of `EvolvedClassifier` costs beside its evaluations: the first in a process, of new shapes, and again.

Run it with ``python benchmarks/fit.py``. The digits and then the iris flowers of scikit-learn are fitted twice,
for 2 and for 200 generations, in a new process that has imported TensorFlow. The time of the calls of TensorFlow's
functions is left out, that of tracing them is not.
"""

import json
import sys
from pathlib import Path

from common import finished, quiet, run

FITS = """
import json, sys, time, warnings
from sklearn.datasets import load_digits, load_iris
from tensorflow.python.eager.context import Context
from deap_nn.estimators import EvolvedClassifier
warnings.simplefilter("ignore")
spent, call = [], Context.call_function

def timed(*arguments, **keywords):
    begun = time.process_time()
    try:
        return call(*arguments, **keywords)
    finally:
        spent.append(time.process_time() - begun)

Context.call_function = timed
seconds = []
for load in (load_digits, load_digits, load_iris, load_iris):
    samples = load(return_X_y=True)
    spent.clear()
    begun = time.process_time()
    EvolvedClassifier(generations=int(sys.argv[1]), random_state=1).fit(*samples)
    seconds.append(time.process_time() - begun - sum(spent))
print(json.dumps(seconds))
"""


def measure(folder: Path) -> dict[str, float]:
    """Measure each fit once."""
    rows = {}
    for generations in (2, 200):
        output = finished(quiet((sys.executable, "-c", FITS, generations)))
        names = ("first in the process", "the same shapes", "new shapes", "the same new shapes")
        for name, seconds in zip(names, json.loads(output.splitlines()[-1]), strict=True):
            rows[f"{generations} generations, {name}"] = seconds
    return rows


if __name__ == "__main__":
    run(__file__, measure, unit="CPU seconds of a fit beside TensorFlow's functions")
