"""The commands under SCOOP as they stand: what they say first, and that the workers do score."""

import os
import signal
import subprocess
import sys
import time

from conftest import MNIST, ROOT, alone, interrupt, not_for_ever, status_of
from small_run import in_turn

from deap_nn.runs.files import read_config


@in_turn
def test_the_one_command_names_the_three_operators_in_its_first_line(tmp_path):
    """``python -m scoop experiments/mnist.py`` as it stands; it is ended as soon as it has said so."""
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    with open(tmp_path / "stderr", "w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "scoop", "experiments/mnist.py"],
            cwd=tmp_path,
            env=os.environ | alone(tmp_path),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            with not_for_ever():
                first = next(line for line in process.stdout if not line.startswith("Launching"))
                second = next(process.stdout)
                while not list(tmp_path.glob("runs/*/config.json")):
                    time.sleep(0.05)
        finally:
            interrupt(process, signal.SIGINT)
        errors.seek(0)
        assert "Traceback" not in errors.read()
    assert first == (
        "genetic algorithm (ga): four parents crossed by a random mask (cxScanning), Gaussian mutation whose sigma is "
        "0.128 times the error of the best, from its cross-entropy (mutGaussianAdaptive), selection by rank of the "
        "best 50 and the opposites of the worst 50 with pressure 1.5, the best boosted by 2 (selRankBoosted), parents "
        "moved along the inputs of dense layers, founders related by a spread of 0.5, scored with centred layers on "
        "stratified mini-batches\n"
    )
    (folder,) = (tmp_path / "runs").iterdir()
    assert second.endswith(f"; run: {folder.relative_to(tmp_path)}\n")
    assert status_of(folder)["state"] == "interrupted"
    config = read_config(folder, "--output")
    assert (config["model"], config["population"], config["generations"]) == ("mnist_deep", 200, 150)


@in_turn
def test_workers_do_score_the_cnn_and_change_no_byte(run, here, tmp_path):
    """The CNN, by one process, against three processes that note who scored."""
    options = ["--population", 8, "--generations", 2, "--no-progress"]
    assert here(MNIST, *options, "--output", tmp_path / "plain").returncode == 0
    script = tmp_path / "noting.py"
    script.write_text(
        "import os, pathlib, runpy, sys\n"
        "from deap_nn.maps import scoop as parallel; from deap_nn.problems import scorer as evaluation\n"
        "parallel.prepare_worker()\n"
        "score = evaluation.Scorer.fitness\n"
        "def noting(*arguments):\n"
        "    pathlib.Path(f'scored-{os.getpid()}').touch()\n"
        "    return score(*arguments)\n"
        "evaluation.Scorer.fitness = noting\n"
        f"sys.path.insert(0, {str(MNIST.parent)!r})\n"
        f"if __name__ == '__main__': runpy.run_path({str(MNIST)!r}, run_name='__main__')\n"
    )
    run("-m", "scoop", "-n", 3, script, *options, "--output", tmp_path / "recipes")
    for name in ("logbook.csv", "best.npz"):
        assert (tmp_path / "recipes" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    assert len(list(tmp_path.glob("scored-*"))) >= 2


@in_turn
def test_large_tasks_arrive_whole_while_scoop_reports(run):
    answer = run("-m", "scoop", "-n", 3, ROOT / "tests" / "maps" / "scoop_large_tasks.py", 10, timeout=120)
    assert answer.stdout == "all arrived 3\n", answer.stderr
