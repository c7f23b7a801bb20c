"""Bad input gets status 2 and one line that names the option, makes no folder and loses nothing."""

import gzip

import numpy as np
import pytest
from conftest import MNIST, XOR, made_digits
from test_datasets import STEMS, idx_bytes


@pytest.fixture
def folders(tmp_path, digits_file):
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
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "status.json").write_text("kept")
    (tmp_path / "file").write_text("kept")
    return tmp_path


CASES = [
    (["--population", "-3"], "--population"),
    (["--population", "0"], "--population"),
    (["--population", "1"], "--population"),
    (["--population", "many"], "--population"),
    (["--population", "2.5"], "--population"),
    (["--population", ""], "--population"),
    (["--generations", "-1"], "--generations"),
    (["--generations", "1e3"], "--generations"),
    (["--population", "8", "--parents", "9"], "--parents"),
    (["--parents", "1"], "--parents"),
    (["--parents", "nan"], "--parents"),
    (["--batch-size", "0"], "--batch-size"),
    (["--batch-size", "321"], "--batch-size"),
    (["--seed", "-1"], "--seed"),
    (["--seed", str(2**63)], "--seed"),
    (["--model", "resnet"], "--model"),
    (["--fitness", "accuracy"], "--fitness"),
    (["--preset", "best"], "--preset"),
    (["--dataset", "cifar"], "--dataset"),
    (["--dataset", "mnist", "--data", "good.npz", "--batch-size", "1000000"], "--batch-size"),
    (["--validation-size", "0"], "--validation-size"),
    (["--sigma", "-0.1"], "--sigma"),
    (["--sigma", "nan"], "--sigma"),
    (["--target", "1.5"], "--target"),
    (["--target", "inf"], "--target"),
    (["--patience", "0"], "--patience"),
    (["--max-seconds", "-1"], "--max-seconds"),
    (["--threads", "0"], "--threads"),
    (["--resume", "there"], "--resume"),
    (["--generation", "3"], "--generation"),
    (["extra"], "extra"),
    (["--population"], "--population"),
    (["--data", "nothing"], "--data"),
    (["--data", "torn.npz"], "--data"),
    (["--data", "floats.npz"], "--data"),
    (["--data", "idx"], "--data"),
    (["--data", "array.npy"], "--data"),
    (["--cache", "file"], "--cache"),
    (["--cache-size", "-1"], "--cache-size"),
    (["--cache-size", "0"], "--cache-size"),
    (["--model", "mnist_deep", "--cache-size", "49"], "--cache-size"),
    (["--group-size", "0"], "--group-size"),
    (["--breeding", "wild"], "--breeding"),
    (["--precision", "float16"], "--precision"),
    (["--device", "tpu"], "--device"),
    (["--data", "idx/magic"], "--data"),
    (["--data", "idx/truncated"], "--data"),
    (["--data", "idx/mislabelled"], "--data"),
    (["--data", "idx/counts"], "--data"),
    (["--data", "idx/missing"], "--data"),
    (["--output", "there"], "--output"),
    (["--output", "file"], "--output"),
    (["--output", "file/run"], "--output"),
    (["--output", "/proc/run"], "--output"),
]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("options", "named"), CASES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_is_one_line_and_status_2(run, folders, options, named):
    before = contents(folders)
    data = [] if "--data" in options or "--dataset" in options else ["--data", "good.npz"]
    answer = run("-X", "importtime", MNIST, "--model", "mlp", *data, *options)
    imported = [line for line in answer.stderr.splitlines() if line.startswith("import time:")]
    said = [line for line in answer.stderr.splitlines() if not line.startswith("import time:")]
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert len(said) == 1, said
    assert said[0].startswith("mnist.py: error: ")
    assert named in said[0]
    assert imported
    assert not any(line.split("|")[-1].strip() == "tensorflow" for line in imported)
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


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--seed", "x"], "--seed"),
        (["--population", "1"], "--population"),
        (["--generations", "0"], "--generations"),
        (["--output", "there"], "--output"),
    ],
)
def test_xor_refuses_in_one_line(run, folders, options, named):
    before = contents(folders)
    answer = run(XOR, *options)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert named in answer.stderr
    assert contents(folders) == before


@pytest.mark.parametrize("arguments", [["nothing"], ["good.npz"], []])
def test_the_report_refuses_in_one_line(run, folders, arguments):
    answer = run("-m", "deap_nn.report", *arguments)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "DIR" in answer.stderr
