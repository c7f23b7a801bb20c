"""What takes root: another user of the host, and a power cut. Run ``python tests/faults/shared_machine.py``.

The other user is ``nobody``, who puts things under the names that a run uses and knocks at its broker. The power cut is
a copy of a disk image, taken while a run writes into the file system on it: what was not brought to the disk is not in
the copy. That file system is ext4 without the habit that brings renamed files to the disk by itself. It needs Linux,
root, ``setpriv``, ``ss``, ``mkfs.ext4`` and ``mount``; what it makes it removes again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MNIST = ROOT / "experiments" / "mnist.py"
SETTING = ("--model", "mlp", "--dataset", "mnist5k", "--population", "30", "--seed", "5", "--no-progress")
AS_NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
OPTIONS = "loop,data=writeback,noauto_da_alloc,commit=600"
IMAGE_BYTES = 64 << 20

seen: list[tuple[str, bool]] = []


def call(*command: object, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command, and return what it prints."""
    return subprocess.run(list(map(str, command)), check=check, capture_output=True, text=True, timeout=timeout)


def as_nobody(code: str) -> str:
    """Run Python code as another user, and return what it prints."""
    return call(*AS_NOBODY, "/usr/bin/python3", "-c", code, check=False, timeout=60).stdout.strip()


def launched(*arguments: object) -> subprocess.Popen[bytes]:
    """Start a run of the experiment by the launcher."""
    command = [sys.executable, "-m", "deap_nn.launch", "-n", "2", MNIST, *SETTING, *arguments]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(list(map(str, command)), start_new_session=True, **silent)


def wait_for_rows(run: subprocess.Popen[bytes], folder: Path, rows: int) -> None:
    """Wait until a run has logged so many generations."""
    until = time.monotonic() + 300
    while not (folder / "logbook.csv").exists() or (folder / "logbook.csv").read_text().count("\n") <= rows:
        if run.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the run in {folder} ended too early, or takes too long")
        time.sleep(0.05)


def end(run: subprocess.Popen[bytes]) -> None:
    """Kill what was started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def folders_of_runs() -> set[Path]:
    """Return the folders of brokers and of genomes that this user's runs have on this host."""
    return {*Path("/tmp").glob("deap_nn-scoop-*"), *Path("/dev/shm").glob("deap_nn-0-*")}


def another_user(folder: Path) -> None:
    """Let another user be in the way, in every form, of a run that starts; and knock at one that goes on."""
    places = {"/dev/shm": "deap_nn-0-", "/tmp": "deap_nn-scoop-"}
    forms = {
        "pipe": "os.mkfifo(p)",
        "link": "os.symlink('/etc', p)",
        "file": "open(p, 'w').close()",
        "directory": "os.mkdir(p, 0o777)",
        "directory with a pipe as lock": "os.mkdir(p, 0o777); os.mkfifo(p + '/lock')",
        "directory with a link as lock": "os.mkdir(p, 0o777); os.symlink('/etc/passwd', p + '/lock')",
    }
    made = []
    for place, prefix in places.items():
        for number, form in enumerate(forms.values()):
            made.append(Path(place, f"{prefix}{number}nobody"))
            as_nobody(f"import os; os.umask(0); p = {str(made[-1])!r}; {form}")
    try:
        run = launched("--generations", 4, "--output", folder / "beside")
        status = run.wait(300)
        seen.append((f"a run beside {len(made)} things of another user ends with status {status}", status == 0))
        left = [path for path in made if os.path.lexists(path)]
        seen.append(("what is another user's is still there", left == made))
    finally:
        for path in made:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    named = {form: Path("/dev/shm", f"deap_nn-0-taken{number}") for number, form in enumerate(forms)}
    try:
        for form, path in named.items():
            as_nobody(f"import os; os.umask(0); p = {str(path)!r}; {forms[form]}")
            code = (
                "import sys; from pathlib import Path; from deap_nn.breeding.slots import GenomeCache\n"
                f"cache = GenomeCache({path.name.removeprefix('deap_nn-0-')!r}, 8, Path('/dev/shm'))\n"
                "print(cache.folder, oct(cache.folder.stat().st_mode), cache.folder.stat().st_uid); cache.remove()"
            )
            where, *rights = call(sys.executable, "-c", code, timeout=30).stdout.split()
            seen.append((f"a {form} under a run's own name is not taken", where != str(path)))
            seen.append(("  and the other folder is closed to others", rights == ["0o40700", "0"]))
        seen.append(("  and all is still there", all(map(os.path.lexists, named.values()))))
    finally:
        for path in named.values():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    before, there = call("ss", "-Hltn").stdout, folders_of_runs()
    run = launched("--generations", 5000, "--output", folder / "knocked")
    try:
        wait_for_rows(run, folder / "knocked", 3)
        seen.append(("no process of the run listens on TCP", call("ss", "-Hltn").stdout == before))
        broker, cache = sorted(folders_of_runs() - there, key=lambda path: path.name.startswith("deap_nn-0-"))
        sockets = [path for path in broker.iterdir() if path.is_socket()]
        knock = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\n"
        knock += "\n".join(
            f"try: s.connect({str(path)!r}); print('in')\nexcept OSError as error: print(error.errno)"
            for path in sockets
        )
        answers = as_nobody(knock).split()
        seen.append((f"another user at {len(sockets)} sockets of the broker gets {answers}", set(answers) == {"13"}))
        abstract = [line for line in Path("/proc/net/unix").read_text().splitlines() if "@" in line and "deap" in line]
        seen.append(("there is no abstract socket", not abstract))
        listed = as_nobody(f"import os\ntry: print(os.listdir({str(cache)!r}))\nexcept OSError as e: print(e.errno)")
        seen.append(("another user does not see the genomes", listed == "13"))
    finally:
        end(run)
        time.sleep(2)
        for path in folders_of_runs() - there:  # a killed run leaves them to the next one
            shutil.rmtree(path)


@contextlib.contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount the file system of an image."""
    place.mkdir()
    call("mount", "-o", OPTIONS, image, place)
    try:
        yield place
    finally:
        until = time.monotonic() + 30
        while call("umount", place, check=False).returncode and time.monotonic() < until:
            time.sleep(0.5)  # what was killed is not yet gone


def power_cut(folder: Path) -> None:
    """Cut the power of a disk under a run, and go on from what is on it."""
    whole = folder / "whole"
    call(sys.executable, MNIST, *SETTING, "--generations", 60, "--output", whole)
    for rows in (1, 12):
        image, copy = folder / f"disk-{rows}", folder / f"copy-{rows}"
        with open(image, "wb") as file:
            os.truncate(file.fileno(), IMAGE_BYTES)
        call("mkfs.ext4", "-q", image)
        with mounted(image, folder / f"running-{rows}") as place:
            run = launched("--generations", 60, "--output", place / "run")
            try:
                wait_for_rows(run, place / "run", rows)
                time.sleep(1.5)  # a record is on the disk within a second
                shutil.copyfile(image, copy)
            finally:
                end(run)
        with mounted(copy, folder / f"after-{rows}") as place:
            config = (place / "run" / "config.json").read_bytes()
            known = json.loads(config)["seed"] == 5 if config else False
            seen.append((f"after a cut in generation {rows} config.json is whole", known))
            records = (place / "run" / "checkpoint" / "generations").stat().st_size
            seen.append((f"  and the checkpoint has {records:,} bytes", records > 1000))
            (place / "run" / "config.json").write_bytes(b"")  # as if the disk had not kept what it was told to
            answer = call(sys.executable, MNIST, "--resume", place / "run", "--no-progress", check=False)
            seen.append((f"  it goes on without its config.json, status {answer.returncode}", answer.returncode == 0))
            for name in ("logbook.csv", "best.npz"):
                same = (place / "run" / name).read_bytes() == (whole / name).read_bytes()
                seen.append((f"  {name} has the bytes of the run that was not cut", same))


def main() -> int:
    """Do all, print what was seen, and return the exit status."""
    if os.geteuid() != 0:
        print("it needs root", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        another_user(Path(name))
        power_cut(Path(name))
    for what, right in seen:
        print(f"{'yes' if right else 'NO '}  {what}")
    failed = sum(not right for _, right in seen)
    print(f"{len(seen) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
