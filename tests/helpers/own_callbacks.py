"""Callbacks, statistics and a screen of tests of what a run calls, counts and prints."""

import numpy as np
from deap import tools

from deap_nn import Callback


class Watch(Callback):
    """Call a function in each generation."""

    def __init__(self, function):
        self.function = function

    def on_generation(self, evolution):
        self.function(evolution)


class Stop(Callback):
    """End the run by an exception after a generation, before or after the other callbacks are called."""

    def __init__(self, generation):
        self.generation = generation

    def on_generation(self, evolution):
        if evolution.generation == self.generation:
            raise KeyboardInterrupt


class Count(Callback):
    """Something to be restored: which generations were seen, and the sum of the best."""

    def __init__(self):
        self.seen, self.total = [], 0.0

    def on_generation(self, evolution):
        self.seen.append([evolution.generation, evolution.parents])
        self.total += evolution.row["min"]

    def state(self):
        return {"seen": self.seen, "total": self.total}

    def restore(self, evolution, states):
        self.seen, self.total = list(states[-1]["seen"]), states[-1]["total"]
        assert [[seen for seen, _ in state["seen"]] for state in states] == [list(range(i)) for i in range(len(states))]


class Screen:
    """A text file that may be a terminal."""

    def __init__(self, terminal):
        self.terminal, self.text = terminal, ""

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


class Failing(Callback):
    """Fails in one method; notes the calls of its methods."""

    def __init__(self, *methods, error=None):
        self.methods, self.error, self.called = methods, error or ZeroDivisionError("of course"), []

    def _tell(self, method):
        self.called.append(method)
        if method in self.methods:
            raise self.error

    def on_start(self, evolution):
        self._tell("on_start")

    def on_generation(self, evolution):
        self._tell("on_generation")

    def on_end(self, evolution):
        self.ended_by = evolution.error
        self._tell("on_end")

    def state(self):
        self._tell("state")
        return {}

    def restore(self, evolution, states):
        self._tell("restore")

    def members(self):
        self._tell("members")
        return ()


def chapters(*names):
    statistics = tools.MultiStatistics(
        fitness=tools.Statistics(lambda i: i.fitness.values[0]), size=tools.Statistics(len)
    )
    for name in names or ["largest"]:
        statistics.register(name, np.max)
    return statistics
