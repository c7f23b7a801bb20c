"""Bad input gets status 2 and one line that names the option, makes no folder and loses nothing."""

import json
import os
import shutil

import pytest
from conftest import MNIST, XOR


def unlink(name):
    return lambda run: (run / name).unlink()


def without_records(damage):
    def change(run):
        damage(run)
        shutil.rmtree(run / "checkpoint")

    return change


def setting(data=(), **changed):
    def change(run):
        config = json.loads((run / "config.json").read_text())
        config["data"] |= data
        (run / "config.json").write_text(json.dumps(config | changed))

    return change


def data(**changed):
    return setting(changed)


def write(name, content):
    return lambda run: (run / name).write_bytes(content)


def flip(name, place):
    def change(run):
        content = bytearray((run / name).read_bytes())
        content[place] ^= 0x21
        (run / name).write_bytes(content)

    return change


RECORDS = "checkpoint/generations"
RESUME = ["--resume", "run", "--generations", "9"]
REPLAY = ["run", "--generation", "4", "--output", "out.npz"]

MNIST_CASES = [
    (["--population", "1"], "--population"),
    (["--population", "2.5"], "--population"),
    (["--population", "8", "--parents", "9"], "--parents: must be at most the population of 8, got 9"),
    (["--mates", "1"], "--mates: must be an integer from 2 to 256, got '1'"),
    (["--preset", "es", "--mates", "3"], "unrecognized arguments: --mates 3"),
    (["--preset", "article", "--step", "2"], "unrecognized arguments: --step 2"),
    (["--crossover", "units", "--mates", "4"], "--mates: must be 2 if crossover is units, got 4"),
    (["--preset", "article", "--spread", "0.5"], "--spread: below 1 is for founders of init='scaled', got 0.5"),
    (["--schedule", "one-fifth", "--final-sigma", "9"], "--final-sigma: must be at most sigma, 0.128, got 9.0"),
    (
        ["--final-sigma", "0.01"],
        "--final-sigma: needs a schedule that is linear, geometric, one-fifth or self-",
    ),
    (["--init", "nothing.npz"], "--init: nothing.npz: no such file"),
    (["--keras", "nothing.keras"], "--model: not with --keras, which names the model"),
    (["--batch-size", "1", "--centred", "yes"], "--batch-size: must be at least 2 with --centred yes, got 1"),
    (["--workers", "2"], "--map: workers needs the map processes or dask or ray, got serial"),
    (["--crossover", "cxMask"], "got 'cxMask': did you mean \"mask\"?"),
    (["--populaton=9"], 'unrecognized arguments: --populaton=9: did you mean "--population"?'),
    (["--batch-size", "321"], "--batch-size"),
    (["--seed", str(2**63)], "--seed"),
    (["--preset", "best"], "--preset: must be ga, es or article, got 'best'"),
    (["--dataset", "mnist", "--data", "good.npz", "--batch-size", "1000000"], "--batch-size"),
    (["--sigma", "nan"], "--sigma"),
    (["--target", "1.5"], "--target"),
    (["--patience", "0"], "--patience"),
    (["--max-seconds", "-1"], "--max-seconds"),
    (["--resume", "there"], "--resume"),
    (["--generation", "3"], "--generation"),
    (["--data", "nothing"], "--data"),
    (["--data", "torn.npz"], "--data"),
    (["--data", "idx"], "--data"),
    (["--output", "there"], "--output"),
    (["--output", "file"], "--output"),
    (["--output", "file/run"], "--output"),
    (["--preset", "es", "--population", "20", "--parents", "11"], "--parents: must be at most half of the population"),
]
"""Options of ``mnist.py``, and what its line names."""

RESUME_CASES = [
    (lambda run: shutil.rmtree(run), RESUME, "run is not a folder"),
    (without_records(unlink("config.json")), RESUME, "no config.json"),
    (without_records(lambda run: os.truncate(run / "config.json", 40)), RESUME, "config.json: cannot be read"),
    (write("config.json", b"{}"), RESUME, "config.json: cannot be read (has no versions)"),
    (setting(sigma=float("nan")), RESUME, "config.json: sigma must be a number from 0 to"),
    (setting(model="../.."), RESUME, "config.json: model must be mnist_deep, lenet5 or mlp"),
    (setting(generations="many"), ["--resume", "run"], "config.json"),
    (data(sha256="0"), RESUME, "the data differ from the run's: --force"),
    (data(path="/etc/passwd"), RESUME, "--data"),
    (write(RECORDS, b"deap_nn checkpoint 6\n"), RESUME, "has no checkpoint of this version"),
    (flip(RECORDS, 200), RESUME, "is damaged at byte"),
    (
        lambda run: None,
        ["--resume", "run", "--generations", "1"],
        "at least the run's 8; --max-seconds and --target end it",
    ),
    (lambda run: None, ["--resume", "run"], "is finished; --generations above 8 continues it"),
]
"""What is done to a run, options that resume it, and what the line names."""

REPLAY_CASES = [
    (lambda run: None, ["run"], "--generation"),
    (lambda run: None, ["run", "--generation", "9", "--output", "out.npz"], "has the generations 0 to 8"),
    (lambda run: None, [*REPLAY, "--member", "20"], "has the members 0 to 19"),
    (lambda run: None, [*REPLAY, "--member", "2", "--mean"], "--mean: not with --member"),
    (lambda run: None, ["run", "--generation", "0", "--output", "out.npz", "--mean"], "--mean: generation 0"),
    (lambda run: None, ["run", "--generation", "1", "--output", "x.txt"], "must end in .npz or .keras"),
    (lambda run: None, ["run", "--generation", "1", "--output", "no/x.npz"], "no is no folder"),
    (lambda run: None, ["run", "--generation", "1", "--output", "good.npz"], "good.npz exists already"),
    (lambda run: None, [*REPLAY, "--data", "torn.npz"], "--data"),
    (lambda run: None, ["there", *REPLAY[1:]], "there has no config.json"),
    (lambda run: shutil.rmtree(run / "checkpoint"), REPLAY, "argument DIR: "),
    (flip(RECORDS, 200), REPLAY, "is damaged at byte 21, in generation 0"),
    (data(sha256="0"), REPLAY, "the content differs from the run's data"),
    (setting(model="../../x"), REPLAY, "config.json: "),
    (setting(sigma=[1]), REPLAY, "config.json: "),
]

LAUNCH_CASES = [
    ([], "required: SCRIPT"),
    (["nothing.py"], "nothing.py is no file"),
    (["-n", "0", MNIST], "argument -n"),
]

OTHER_CASES = [
    (XOR, ["--seed", "x"], "--seed"),
    (XOR, ["--output", "there"], "--output"),
    ("deap_nn.report", [], "DIR"),
]

SEEN_LATE = [case[1:] for case in REPLAY_CASES if case[2] == "config.json: "]
"""A setting that the toolbox refuses is seen once TensorFlow is there."""

CASES = [
    *((MNIST, None, ["--model", "mlp", *options], named) for options, named in MNIST_CASES),
    *((MNIST, damage, options, named) for damage, options, named in RESUME_CASES),
    *(("deap_nn.replay", damage, options, named) for damage, options, named in REPLAY_CASES),
    *(("deap_nn.launch", None, options, named) for options, named in LAUNCH_CASES),
    *((command, None, options, named) for command, options, named in OTHER_CASES),
]
"""Each a command, what is done to a run before, the arguments and what the line names."""


@pytest.fixture
def folders(tmp_path, digits_file, finished_run):
    """A folder with good and bad data, a run that is there, and a file where a folder should be."""
    (tmp_path / "idx").mkdir()
    (tmp_path / "good.npz").write_bytes(digits_file.read_bytes())
    (tmp_path / "torn.npz").write_bytes(digits_file.read_bytes()[:5000])
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "status.json").write_text("kept")
    (tmp_path / "file").write_text("kept")
    return tmp_path


def contents(folder):
    """Everything in a folder but what Keras keeps of its own settings."""
    paths = [path for path in folder.rglob("*") if "keras" not in path.relative_to(folder).parts]
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in paths}


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


def test_under_scoop_that_line_is_all_that_we_print(run, folders):
    before = contents(folders)
    answer = run("-m", "scoop", "-n", 2, MNIST, "--model", "mlp", "--data", "torn.npz")
    ours = [line for line in answer.stderr.splitlines() if "launcher" not in line and "Launching" not in line]
    assert len(ours) == 1, ours
    assert ours[0].startswith("mnist.py: error: argument --data: ")
    assert answer.stdout == ""
    assert contents(folders) == before
