"""Note in the status of a run that it failed, when its own process cannot: ``python failing.py FILE REASON``.

The watchdog of an evaluation starts it, before it ends the process (`deap_nn.process.time_limit`). It imports nothing
of the package, so that it takes no time.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path


def fail(path: Path, reason: str) -> None:
    """Write a reason into the ``status.json`` of a run, if it is there and says that the run is going on."""
    with contextlib.suppress(OSError, ValueError, KeyError):  # a run without a status has none to be told in
        status = json.loads(path.read_text(encoding="utf-8"))
        if status["state"] == "running":
            partial = path.with_name(".status.json.partial")
            partial.unlink(missing_ok=True)
            with open(partial, "x", encoding="utf-8") as file:  # a link there would be followed otherwise
                file.write(json.dumps(status | {"state": "failed", "error": reason}, indent=1) + "\n")
            partial.replace(path)


if __name__ == "__main__":
    fail(Path(sys.argv[1]), sys.argv[2])
