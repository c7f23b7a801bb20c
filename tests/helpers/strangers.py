"""What tests of a run's folder from anybody share: commands on it, and what they say."""

from conftest import MNIST, run_here

from deap_nn import replay


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def resume(folder, digits_file, *options, generations=9):
    return run_here(
        MNIST,
        "--resume",
        folder,
        "--generations",
        generations,
        "--data",
        digits_file,
        "--no-progress",
        *options,
        cwd=folder.parent,
    )


def only_line(answer, status=2):
    assert answer.returncode == status, answer.stderr
    lines = answer.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def replayed(folder, digits_file):
    options = ["--generation", 1, "--output", folder.parent / "out.npz", "--data", digits_file]
    return run_here(replay.__file__, folder, *options, cwd=folder.parent)
