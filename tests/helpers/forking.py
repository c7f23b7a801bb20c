"""Run commands in children of one process, which a test holds by its pipes: ``python forking.py [MODULE]``.

The process has imported the package, and TensorFlow only if the module imports it. A request is a line of JSON:
arguments, folder, environment, and the file for each of stdout and stderr. The answer is a line of JSON: the exit
status, and whether the command has imported TensorFlow.
"""

import builtins
import importlib
import json
import multiprocessing.process
import os
import random
import runpy
import sys
import traceback
import warnings

import deap_nn


def prepare(modules):
    """Import the package, and then some modules."""
    for name in deap_nn.__all__:
        if name not in ("EvolvedClassifier", "EvolvedRegressor"):  # they import TensorFlow
            getattr(deap_nn, name)
    assert "tensorflow" not in sys.modules
    before = random.getstate()
    for name in modules:
        importlib.import_module(name)
    # Keras' rich draws one, so what `random.seed` before the first toolbox gives would depend on what came before.
    assert random.getstate() == before


def run(arguments):
    """Run a command as ``python`` does, and return its exit status."""
    module = arguments[0] == "-m"
    sys.argv = arguments[1:] if module else list(arguments)
    try:
        if module:
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, os.path.dirname(arguments[0]))
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main():
    """Answer requests until there are no more."""
    prepare(sys.argv[1:])
    for line in sys.stdin:
        request = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            os.chdir(request["folder"])
            multiprocessing.process.ORIGINAL_DIR = request["folder"]  # where processes that are spawned find the script
            os.environ.update(request["environment"])
            for number, name in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
                opened = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(opened, number)
            for flag in request["warnings"]:
                warnings.simplefilter("error", vars(builtins)[flag])
            status = run(request["arguments"])
            sys.stdout.flush()
            sys.stderr.flush()
            os.write(writing, json.dumps([status, "tensorflow" in sys.modules]).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        print(answer or json.dumps([-1, False]), flush=True)


if __name__ == "__main__":
    main()
