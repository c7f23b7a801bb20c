"""The shell's commands of a page; those of Python run in the page's own process, which has imported TensorFlow."""

import shlex
import subprocess
import sys

import forking


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
    before = sys.argv, sys.path.copy()
    status = forking.run(arguments) if arguments else 0
    sys.argv, sys.path[:] = before
    if status:
        sys.exit(status)
