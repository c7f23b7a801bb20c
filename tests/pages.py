"""The shell's commands of a page; those of Python run in the page's own process, which has imported TensorFlow."""

import runpy
import shlex
import subprocess
import sys


def shell(block):
    """Run a block for the shell; a line that begins with ``python`` runs here, and the others in bash."""
    waiting = []
    for line in [*block.replace("\\\n", " ").splitlines(), "python"]:
        if not line.startswith("python"):
            waiting.append(line)
            continue
        if waiting:
            subprocess.run(["bash", "-ec", "\n".join(waiting)], check=True)
            waiting = []
        python(shlex.split(line, comments=True)[1:])


def python(arguments):
    """Run a script or a module as ``python`` does; none without arguments."""
    if not arguments:
        return
    before, path, module = sys.argv, sys.path.copy(), arguments[0] == "-m"
    sys.argv = arguments[1:] if module else arguments
    try:
        if module:
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, arguments[0].rpartition("/")[0])
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as stop:
        if stop.code:
            raise
    finally:
        sys.argv, sys.path[:] = before, path
