"""Send large tasks through SCOOP while its status reports come a thousand times too often; run by a test."""

import sys

import scoop
from scoop import futures

from deap_nn.process import workers

scoop.TIME_BETWEEN_STATUS_REPORTS = 0.002


def length(content):
    """Return the size of what was sent."""
    return len(content)


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        sizes = list(futures.map(length, [bytes(3_000_000 + i) for i in range(20)]))
        assert sizes == [3_000_000 + i for i in range(20)]
    print("all arrived", workers.worker_count())
