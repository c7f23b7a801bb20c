"""Bad input gets status 2 and one line that names the option, makes no folder and loses nothing."""

import gzip
import shutil

import numpy as np
import pytest
from bad_input import CASES, SEEN_LATE
from conftest import MNIST, XOR, made_digits
from idx_files import STEMS, idx_bytes


@pytest.fixture
def folders(tmp_path, digits_file, finished_run):
    """A folder with every kind of bad data, a run that is there, and a file where a folder should be."""
    arrays = made_digits()
    idx = tmp_path / "idx"
    for name, change in {
        "magic": {0: lambda b: b"\0\0\x09" + b[3:]},
        "truncated": {0: lambda b: b[:1000]},
        "mislabelled": {1: lambda b: b[:-1] + b"\x63"},
        "counts": {1: lambda b: idx_bytes(arrays.y_train[:-1])},
        "missing": {3: None},
    }.items():
        folder = idx / name
        folder.mkdir(parents=True)
        for i, (stem, array) in enumerate(zip(STEMS, arrays, strict=True)):
            content = idx_bytes(array)
            if i in change and change[i] is None:
                continue
            (folder / f"{stem}.gz").write_bytes(gzip.compress(change[i](content) if i in change else content))
    (tmp_path / "good.npz").write_bytes(digits_file.read_bytes())
    (tmp_path / "torn.npz").write_bytes(digits_file.read_bytes()[:5000])
    np.savez(tmp_path / "floats.npz", **(arrays._asdict() | {"x_train": np.zeros((400, 28, 28))}))
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "objects.npz", **(arrays._asdict() | {"y_test": np.array([{}] * 100, dtype=object)}))
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "status.json").write_text("kept")
    (tmp_path / "file").write_text("kept")
    return tmp_path


def contents(folder):
    """Everything in a folder but what Keras keeps of its own settings."""
    paths = [path for path in folder.rglob("*") if "keras" not in path.relative_to(folder).parts]
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in paths}


def test_there_are_enough():
    assert len(CASES) >= 120
    assert len({(str(command), named, *map(str, options)) for command, _, options, named in CASES}) > 100


@pytest.mark.parametrize(
    ("command", "damage", "options", "named"),
    CASES,
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_status_2(light, folders, command, damage, options, named):
    if damage is not None:
        damage(folders / "run")
    before = contents(folders)
    given = {"--data", "--dataset", "--resume"} & set(options)
    options = [*options, *(["--data", "good.npz"] if command == MNIST and not given else [])]
    called = ["-m", command] if command not in (MNIST, XOR) else [command]
    answer = light(*called, *options)
    said = answer.stderr.splitlines()
    assert answer.returncode == 2, said
    assert answer.stdout == ""
    assert len(said) == 1, said
    name = command.name if command in (MNIST, XOR) else f"{command.partition('.')[2]}.py"
    assert said[0].startswith(f"{name}: error: ")
    assert named in said[0]
    if (options, named) not in SEEN_LATE:
        assert not answer.heavy
    assert contents(folders) == before


@pytest.mark.parametrize(
    "options", [["--population", "1"], ["--data", "idx/magic"], ["--output", "there"]], ids=" ".join
)
def test_under_scoop_that_line_is_all_that_we_print(run, folders, options):
    before = contents(folders)
    answer = run("-m", "scoop", "-n", 2, MNIST, "--model", "mlp", *options)
    ours = [line for line in answer.stderr.splitlines() if "launcher" not in line and "Launching" not in line]
    assert len(ours) == 1, ours
    assert ours[0].startswith("mnist.py: error: argument ")
    assert options[0] in ours[0]
    assert answer.stdout == ""
    assert contents(folders) == before
