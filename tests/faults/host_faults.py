"""Faults of the host: another user, and a power cut.

The other user is ``nobody``, who puts things under the names that a run uses and knocks at its broker. The power cut is
a copy of a disk image, taken while a run writes into the file system on it: what was not brought to the disk is not in
the copy. That file system is ext4 without the habit that brings renamed files to the disk by itself. It needs
``setpriv``, ``ss`` and ``mkfs.ext4``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from real_commands import KEPT, LAUNCH, MNIST, SETTING, Command, kill_all, mounted, must, resume, whole

SMALL = (*SETTING, "--model", "mlp", "--population", 30, "--generations")
AS_NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c")
PLACES = {"/dev/shm": "deap_nn-0-", "/tmp": "deap_nn-scoop-"}
FORMS = {
    "pipe": "os.mkfifo(p)",
    "link": "os.symlink('/etc', p)",
    "file": "open(p, 'w').close()",
    "directory": "os.mkdir(p, 0o777)",
    "directory with a pipe as lock": "os.mkdir(p, 0o777); os.mkfifo(p + '/lock')",
    "directory with a link as lock": "os.mkdir(p, 0o777); os.symlink('/etc/passwd', p + '/lock')",
}
IMAGE_BYTES = 64 << 20


def call(*command: object) -> str:
    """Run a command, and return what it prints."""
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, timeout=300).stdout


def folders_of_runs() -> set[Path]:
    """Return the folders of genomes and of brokers that this user's runs have on this host."""
    return {path for place, prefix in PLACES.items() for path in Path(place).glob(f"{prefix}*")}


def remove(path: Path) -> None:
    """Remove a folder or a file."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def another_user(folder: Path) -> str:
    """Let another user be in the way, in every form, of a run that starts; and knock at one that goes on."""
    made = [Path(place, f"{prefix}{i}nobody") for place, prefix in PLACES.items() for i in range(len(FORMS))]
    try:
        for path, form in zip(made, 2 * list(FORMS.values()), strict=True):
            call(*AS_NOBODY, f"import os; os.umask(0); p = {str(path)!r}; {form}")
        command = Command(folder, *LAUNCH, MNIST, *SMALL, 4, "--output", folder / "beside")
        must(command.wait() == 0, command.said)
        must(all(map(os.path.lexists, made)), "what is another user's is gone")
    finally:
        for path in made:
            remove(path)
    before, there, output = call("ss", "-Hltn"), folders_of_runs(), folder / "knocked"
    command = Command(folder, *LAUNCH, MNIST, *SMALL, 5000, "--output", output)
    try:
        command.rows(output, 3)
        must(call("ss", "-Hltn") == before, "a process of the run listens on TCP")
        fresh = folders_of_runs() - there
        sockets = [path for each in fresh for path in each.iterdir() if path.is_socket()]
        must(bool(sockets), "the broker has no sockets")
        for path in (*fresh, *sockets):
            knock = f"os.listdir({str(path)!r})" if path in fresh else f"s.connect({str(path)!r})"
            tried = f"try: {knock}; print('in')\nexcept OSError as error: print(error.errno)"
            answer = call(*AS_NOBODY, f"import os, socket; s = socket.socket(socket.AF_UNIX)\n{tried}")
            must(answer == "13\n", f"another user at {path} gets {answer}")
        abstract = [line for line in Path("/proc/net/unix").read_text().splitlines() if "@" in line and "deap" in line]
        must(not abstract, abstract)
    finally:
        kill_all(output)  # its folders are left to the next run, which removes them
    return f"{len(made)} things of another user are passed over; no entry to {len(sockets)} sockets and the genomes"


def power_cut(folder: Path) -> str:
    """Cut the power of a disk under a run, and go on from what is on it."""
    expected = whole(folder, (*SMALL, 60))
    for rows in (1, 12):
        image, copy = folder / f"disk-{rows}", folder / f"copy-{rows}"
        with open(image, "wb") as file:
            os.truncate(file.fileno(), IMAGE_BYTES)
        call("mkfs.ext4", "-q", image)
        with mounted(folder, image=image) as place:
            command = Command(folder, *LAUNCH, MNIST, *SMALL, 60, "--output", place / "run")
            command.rows(place / "run", rows)
            time.sleep(1.5)  # records are flushed to the disk once a second
            shutil.copyfile(image, copy)
            kill_all(place)
            command.wait()
        with mounted(folder, image=copy) as place:
            resume(folder, place / "run", expected, KEPT[:2])  # the other files grow with each generation
    return "after two cuts resumed to the same bytes"
