"""What `scale.py` runs under SCOOP: a few generations, with the bytes counted that this process sends."""

import os
import sys
from pathlib import Path

import zmq

SENT = [0]
COUNTED = Path(os.environ["COUNTED"])


def _counting(method):
    def call(self, message, *arguments, **keywords):
        parts = message if isinstance(message, list) else [message]
        SENT[0] += sum(map(len, parts))
        (COUNTED / f"{os.getpid()}.bytes").write_text(str(SENT[0]))
        return method(self, message, *arguments, **keywords)

    return call


zmq.Socket.send_multipart = _counting(zmq.Socket.send_multipart)

from deap_nn import ES, GA, evolve, make_toolbox  # noqa: E402  (after the sockets are counted)
from deap_nn.maps.scoop import prepare_worker  # noqa: E402  (after the sockets are counted)

prepare_worker()


def main() -> None:
    name, members, generations = sys.argv[1], *map(int, sys.argv[2:])
    toolbox = make_toolbox("mnist_deep", "mnist5k", GA(mates=2) if name == "ga" else ES(), seed=1)
    population = toolbox.population(n=members)
    evolve(population, toolbox, generations - 1)


if __name__ == "__main__":
    main()
