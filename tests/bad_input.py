"""Bad input of every command, what is done to a run before, and what the line that refuses it names."""

import json
import os
import shutil

from conftest import MNIST, XOR


def unlink(name):
    return lambda run: (run / name).unlink()


def without_records(damage):
    def change(run):
        damage(run)
        shutil.rmtree(run / "checkpoint")

    return change


def setting(**changed):
    def change(run):
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(config | changed))

    return change


def data(**changed):
    def change(run):
        config = json.loads((run / "config.json").read_text())
        config["data"] |= changed
        (run / "config.json").write_text(json.dumps(config))

    return change


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
    (["--population", "-3"], "--population"),
    (["--population", "0"], "--population"),
    (["--population", "1"], "--population"),
    (["--population", "many"], "--population"),
    (["--population", "2.5"], "--population"),
    (["--population", ""], "--population"),
    (["--generations", "-1"], "--generations"),
    (["--generations", "1e3"], "--generations"),
    (["--population", "8", "--parents", "9"], "--parents: must be at most the population of 8, got 9"),
    (["--parents", "0"], "--parents: must be an integer of at least 1, or a share above 0 and up to 1, got '0'"),
    (["--parents", "1.5"], "--parents"),
    (["--mates", "1"], "--mates: must be an integer from 2 to 256, got '1'"),
    (["--preset", "es", "--mates", "3"], "unrecognized arguments: --mates 3"),
    (["--preset", "es", "--crossover", "mask"], "unrecognized arguments: --crossover mask"),
    (["--preset", "es", "--pressure", "1.7"], "unrecognized arguments: --pressure"),
    (["--preset", "es", "--boost", "1"], "unrecognized arguments: --boost"),
    (["--preset", "es", "--spread", "0.5"], "unrecognized arguments: --spread"),
    (["--preset", "article", "--step", "2"], "unrecognized arguments: --step 2"),
    (["--crossover", "units", "--mates", "4"], "--mates: must be 2 if crossover is units, got 4"),
    (["--crossover", "biased", "--mates", "4"], "--mates: must be 2 if crossover is biased, got 4"),
    (["--pressure", "2.1"], "--pressure: must be a number from 1 to 2"),
    (["--boost", "0"], "--boost: must be a number from 0.001 to 1e+09, got '0'"),
    (["--preset", "article", "--spread", "0.5"], "--spread: below 1 is for founders of init='scaled', got 0.5"),
    (["--init", __file__, "--spread", "0.5"], "--spread: is for founders that are drawn, not for those of --init"),
    (["--preset", "es", "--schedule", "self-adaptive"], "--schedule: must not be self-adaptive"),
    (["--preset", "es", "--sigma", "0", "--final-sigma", "0.5"], "--final-sigma: must be above 0 if sigma is, got 0.5"),
    (["--schedule", "one-fifth", "--final-sigma", "9"], "--final-sigma: must be at most sigma, 0.128, got 9.0"),
    (["--schedule", "linear", "--final-sigma", "0"], "--final-sigma: must be above 0 if sigma is, got 0.0"),
    (
        ["--final-sigma", "0.01"],
        "--final-sigma: needs a schedule that is linear, geometric, one-fifth or self-",
    ),
    (["--init", "nothing.npz"], "--init: nothing.npz: no such file"),
    (["--keras", "nothing.keras"], "--model: not with --keras, which names the model"),
    (["--batch-size", "1", "--centred", "yes"], "--batch-size: must be at least 2 with --centred yes, got 1"),
    (["--centred", "no", "--projected", "yes"], "--projected: needs centred layers"),
    (["--workers", "2"], "--map: workers needs the map processes or dask or ray, got serial"),
    (["--scheduler", "tcp://127.0.0.1:1"], "--map: address needs the map dask or ray, got serial"),
    (["--step", "2"], "unrecognized arguments: --step 2"),
    (["--scale", "fan_out"], "--scale: must be none, fan_in, widest or fixed, got 'fan_out'"),
    (["--crossover", "two-point"], "average or none, got 'two-point'"),
    (["--crossover", "cxMask"], "got 'cxMask': did you mean \"mask\"?"),
    (["--preset", "GA"], "got 'GA': did you mean \"ga\"?"),
    (["--populaton=9"], 'unrecognized arguments: --populaton=9: did you mean "--population"?'),
    (["--preset", "es", "--step", "0"], "--step: must be a number from 1e-06 to 999999, got '0'"),
    (["--preset", "es", "--step", "inf"], "--step: must be a number from 1e-06"),
    (["--schedule", "cosine"], "--schedule"),
    (["--schedule", "error", "--final-sigma", "0.1"], "--final-sigma: needs a schedule that is linear"),
    (["--final-sigma", "-1"], "--final-sigma"),
    (["--final-sigma", "1e39"], "--final-sigma"),
    (["--sigma", "1e39"], "--sigma"),
    (["--preset", "es", "--final-sigma", "0"], "--final-sigma: must be above 0"),
    (["--mates", "257"], "--mates"),
    (["--mates", "two"], "--mates"),
    (["--parents", "nan"], "--parents"),
    (["--batch-size", "0"], "--batch-size"),
    (["--batch-size", "321"], "--batch-size"),
    (["--seed", "-1"], "--seed"),
    (["--seed", str(2**63)], "--seed"),
    (["--model", "resnet"], "--model"),
    (["--fitness", "accuracy"], "--fitness"),
    (["--preset", "best"], "--preset: must be ga, es or article, got 'best'"),
    (["--dataset", "cifar"], "--dataset"),
    (["--dataset", "mnist", "--data", "good.npz", "--batch-size", "1000000"], "--batch-size"),
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
    (["--data", "objects.npz"], "--data"),
    (["--preset", "es", "--population", "20", "--parents", "11"], "--parents: must be at most half of the population"),
]
"""Options of ``mnist.py``, and what its line names."""

RESUME_CASES = [
    (lambda run: shutil.rmtree(run), RESUME, "run is not a folder"),
    (without_records(unlink("config.json")), RESUME, "no config.json"),
    (without_records(lambda run: os.truncate(run / "config.json", 40)), RESUME, "config.json: cannot be read"),
    (without_records(write("config.json", b"\xff\xfe")), RESUME, "config.json: cannot be read"),
    (write("config.json", b"[]"), RESUME, "config.json: cannot be read (is not an object)"),
    (write("config.json", b"{}"), RESUME, "config.json: cannot be read (has no versions)"),
    (setting(population=-3), RESUME, "config.json: population must be an integer of at least 2, got -3"),
    (setting(population=2.5), RESUME, "config.json: population must be an integer of at least 2, got 2.5"),
    (setting(sigma=float("nan")), RESUME, "config.json: sigma must be a number from 0 to"),
    (setting(model="../.."), RESUME, "config.json: model must be mnist_deep, lenet5 or mlp"),
    (setting(boost=0), RESUME, "config.json: boost must be a number from 0.001"),
    (setting(generations="many"), ["--resume", "run"], "config.json"),
    (setting(seed=None), RESUME, "config.json: seed must be an integer from 0 to"),
    (data(sha256="0"), RESUME, "the data differ from the run's: --force"),
    (data(path="/etc/passwd"), RESUME, "--data"),
    (data(path="nothing.npz"), RESUME, "--data"),
    (write(RECORDS, b"x" * 99), RESUME, "has no checkpoint of this version"),
    (write(RECORDS, b"deap_nn checkpoint 6\n"), RESUME, "has no checkpoint of this version"),
    (flip(RECORDS, 200), RESUME, "is damaged at byte"),
    (lambda run: None, [*RESUME, "--population", "30"], "--population"),
    (
        lambda run: None,
        ["--resume", "run", "--generations", "1"],
        "at least the run's 8; --max-seconds and --target end it",
    ),
    (lambda run: None, ["--resume", "run"], "is finished; --generations above 8 continues it"),
    (lambda run: None, ["--resume", "file"], "file is not a folder"),
]
"""What is done to a run, options that resume it, and what the line names."""

REPLAY_CASES = [
    (lambda run: None, ["run"], "--generation"),
    (lambda run: None, ["run", "--generation", "9", "--output", "out.npz"], "has the generations 0 to 8"),
    (lambda run: None, ["run", "--generation", "-1", "--output", "out.npz"], "--generation"),
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
    (setting(seed="1"), REPLAY, "config.json: "),
    (setting(batch_size=-4), REPLAY, "config.json: "),
    (setting(sigma=[1]), REPLAY, "config.json: "),
]

LAUNCH_CASES = [
    ([], "required: SCRIPT"),
    (["nothing.py"], "nothing.py is no file"),
    (["."], ". is no file"),
    (["-n", "0", MNIST], "argument -n"),
    (["-n", "two", MNIST], "argument -n"),
]

OTHER_CASES = [
    (XOR, ["--seed", "x"], "--seed"),
    (XOR, ["--population", "1"], "--population"),
    (XOR, ["--generations", "0"], "--generations"),
    (XOR, ["--output", "there"], "--output"),
    ("deap_nn.report", ["nothing"], "DIR"),
    ("deap_nn.report", ["good.npz"], "DIR"),
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
