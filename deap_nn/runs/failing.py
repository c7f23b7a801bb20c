"""Mark a run as failed in its status, when its own process cannot: ``python failing.py FILE REASON``.

The watchdog of an evaluation starts this script before it ends the process (`deap_nn.process.time_limit`). The script
imports nothing of the package, so that it starts fast.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path


def fail(path: Path, reason: str) -> None:
    """Write a reason into the ``status.json`` of a run, if the file exists and has the state "running"."""
    with contextlib.suppress(OSError, ValueError, KeyError):  # without a readable status there is nothing to mark
        status = json.loads(path.read_text(encoding="utf-8"))
        if status["state"] == "running":
            partial = path.with_name(".status.json.partial")
            partial.unlink(missing_ok=True)
            with open(partial, "x", encoding="utf-8") as file:  # "x" follows no link
                file.write(json.dumps(status | {"state": "failed", "error": reason}, indent=1) + "\n")
            partial.replace(path)


if __name__ == "__main__":
    fail(Path(sys.argv[1]), sys.argv[2])
