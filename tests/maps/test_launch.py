"""The launcher: it ends as the script does, and nothing outlives it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from conftest import MNIST

LAUNCH = ("-m", "deap_nn.launch", "-n", 3)
MAPPING = """
import sys, time
from scoop import futures
def square(x):
    time.sleep({pause})
    return x * x
if __name__ == "__main__":
    print(sum(futures.map(square, range(8))), sys.argv[1:], flush=True)
    {end}
"""


def script(folder, *, end="", pause=0):
    path = folder / "script.py"
    path.write_text(MAPPING.format(end=end, pause=pause))
    return path


def processes(marker):
    """The processes of a run, by something in their command lines."""
    found = psutil.process_iter(["cmdline"])
    mine = [one for one in found if any(str(marker) in argument for argument in one.info["cmdline"] or ())]
    return [one for one in mine if one.pid != os.getpid()]


def gone(marker, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not processes(marker):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", 0),
        ("sys.exit(7)", 7),
        ("sys.exit('a word')", 1),
        ("1 / 0", 1),
        ("raise KeyboardInterrupt", 130),
    ],
)
def test_the_scripts_exit_status_is_handed_on(run, tmp_path, end, status):
    answer = run(*LAUNCH, script(tmp_path, end=end), "a b", "--option")
    assert (answer.returncode, answer.stdout) == (status, "140 ['a b', '--option']\n")
    assert [line for line in answer.stderr.splitlines() if not line.startswith(("Traceback", " "))] == (
        ["a word"] if "word" in end else ["ZeroDivisionError: division by zero"] if "/" in end else []
    )
    assert gone(tmp_path, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends processes with the one that started them")
def test_a_launcher_that_is_killed_takes_everything_with_it(tmp_path, digits_file):
    """Signals that it can handle are sent by `test_ends_of_runs` and `test_checkpoint`."""
    output = tmp_path / "run"
    options = ["--data", digits_file, "--model", "mlp", "--generations", 100000, "--no-progress", "--output", output]
    command = [sys.executable, *LAUNCH, MNIST, *options]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen(list(map(str, command)), **quiet)
    while not (output / "logbook.csv").exists():
        assert process.poll() is None
        time.sleep(0.05)
    assert len(processes(output)) == 4
    process.kill()
    assert gone(output, 60)  # without a launcher it saves as long as it takes
    assert process.wait(timeout=5) == -signal.SIGKILL
    assert '"interrupted"' in (output / "status.json").read_text()


SAVING = """
import sys, time
from deap_nn.process import signals as parallel
from deap_nn.process.cli import run_command
def main():
    with parallel.interruptible():
        try:
            print("begun", flush=True)
            time.sleep(600)
        finally:
            time.sleep(600)
            print("saved", flush=True)
if __name__ == "__main__":
    run_command(main)
"""


def test_a_program_that_saves_too_long_ends_as_interrupted_and_says_so(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SAVING)
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([sys.executable, *map(str, LAUNCH), path], **piped)
    while "begun" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert "did not end in time after a signal" in output
    assert "saved\n" not in output.splitlines(keepends=True)


def test_a_worker_that_is_killed_is_named_and_the_run_continues(here, tmp_path, digits_file):
    outputs = [tmp_path / "whole", tmp_path / "run"]
    options = ["--data", digits_file, "--model", "mlp", "--generations", 30, "--no-progress"]
    assert here(MNIST, *options, "--output", outputs[0]).returncode == 0
    command = [sys.executable, *LAUNCH, MNIST, *options, "--output", outputs[1]]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    while not (outputs[1] / "logbook.csv").exists():
        assert process.poll() is None
        time.sleep(0.05)
    worker = max(one.pid for one in processes(outputs[1]) if "--origin" not in one.info["cmdline"])
    os.kill(worker, signal.SIGKILL)
    _, stderr = process.communicate(timeout=55)  # SCOOP takes a minute to miss it
    assert process.returncode == 0
    assert f"(process {worker}) was ended by signal 9: the others do its work" in stderr
    for name in ("logbook.csv", "best.npz"):
        assert (outputs[0] / name).read_bytes() == (outputs[1] / name).read_bytes()


UNIMPORTABLE = """
import os, pathlib, time
marks = pathlib.Path({marks!r})
if __name__ != '__main__':
    marks.joinpath(str(os.getpid())).touch()
    import nothing_of_that_name
while not list(marks.iterdir()) or any(os.path.lexists(f"/proc/{{path.name}}/fd/1") for path in marks.iterdir()):
    time.sleep(0.05)
print('done')
"""


def test_a_worker_that_cannot_import_the_script_says_so(run, tmp_path):
    path = tmp_path / "script.py"
    marks = tmp_path / "marks"
    marks.mkdir()
    path.write_text(UNIMPORTABLE.format(marks=str(marks)))
    answer = run(*LAUNCH, path)
    assert (answer.returncode, answer.stdout) == (0, "done\n")
    lines = [line for line in answer.stderr.splitlines() if "cannot import" in line]
    assert lines
    assert all(
        line.endswith(f"cannot import {path}: ModuleNotFoundError: No module named 'nothing_of_that_name'")
        for line in lines
    )
