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
    (["--population", "8", "--parents", "9"], "--parents"),
    (["--parents", "1"], "--parents"),
    (["--preset", "mask", "--mates", "1"], "--mates"),
    (["--preset", "es", "--mates", "3"], "--mates: needs --preset ga or article: es has children of one centre"),
    (["--preset", "es", "--crossover", "mask"], "--crossover: mask needs --preset ga or article"),
    (["--crossover", "mean"], "--crossover: mean needs --preset es: ga and article cross parents"),
    (["--preset", "mask", "--crossover", "units", "--mates", "4"], "--mates: must be 2 if crossover is 'units'"),
    (["--preset", "es", "--pressure", "1.7"], "--pressure: needs --preset ga or article"),
    (["--preset", "es", "--boost", "3"], "--boost: needs --preset ga or article"),
    (["--preset", "es", "--boost", "1"], "--boost: needs --preset ga or article"),
    (["--tournsize", "3", "--boost", "2"], "--boost: not with --tournsize"),
    (["--tournsize", "3", "--parents", "200"], "--parents: not with --tournsize"),
    (["--preset", "mask", "--pressure", "2.1"], "--pressure: must be a number from 1 to 2"),
    (["--preset", "mask", "--boost", "0"], "--boost"),
    (["--preset", "mask", "--tournsize", "3", "--boost", "2"], "--boost: not with --tournsize"),
    (["--preset", "mask", "--tournsize", "3", "--parents", "4"], "--parents: not with --tournsize"),
    (["--preset", "es", "--tournsize", "3"], "--tournsize: needs --preset ga or article"),
    (["--preset", "mask", "--crossover", "biased", "--mates", "4"], "--mates: must be 2 if crossover is 'biased'"),
    (["--preset", "es", "--indpb", "0.5"], "--indpb: needs --preset ga or article"),
    (["--crossover", "split", "--indpb", "0.5"], "--indpb: needs two mates and the crossover mask or biased"),
    (["--preset", "mask", "--mates", "4", "--indpb", "0.5"], "--indpb: needs two mates"),
    (["--preset", "mask", "--indpb", "2"], "--indpb: must be a number from 0 to 1"),
    (["--preset", "mask", "--crossover", "none", "--indpb", "0.1"], "--indpb: must be 0 if crossover is 'none'"),
    (["--preset", "article", "--spread", "0.5"], "--spread: needs --preset ga without --init: other founders"),
    (["--init", __file__, "--spread", "0.5"], "--spread: needs --preset ga without --init: other founders"),
    (["--preset", "es", "--spread", "0.5"], "--spread: needs --preset ga or article"),
    (["--preset", "es", "--schedule", "self-adaptive"], "--schedule: self-adaptive needs --preset ga or article"),
    (["--preset", "es", "--sigma", "0", "--final-sigma", "0.5"], "--final-sigma: must be 0 if --sigma is 0"),
    (["--schedule", "one-fifth", "--final-sigma", "9"], "--final-sigma: must be at most --sigma 0.128"),
    (["--schedule", "one-fifth", "--schedule-generations", "9"], "--schedule-generations: needs --schedule linear"),
    (["--mutated-matrices", "none"], "--mutated-matrices: must be all or one, got 'none'"),
    (["--scale", "fan_out"], "--scale: must be none, fan_in, widest, fixed or own, got 'fan_out'"),
    (["--mutation-indpb", "1.5"], "--mutation-indpb: must be a number from 0 to 1"),
    (["--batch-generations", "0"], "--batch-generations: must be an integer at least 1"),
    (["--crossover", "two-point"], "average or none, got 'two-point'"),
    (["--crossover", "cxMask"], "got 'cxMask': did you mean \"mask\"?"),
    (["--preset", "GA"], "got 'GA': did you mean \"ga\"?"),
    (["--populaton=9"], 'unrecognized arguments: --populaton=9: did you mean "--population"?'),
    (["--preset", "mask", "--step", "2"], "--step: needs --preset es: ga and article cross parents and have no centre"),
    (["--step", "0"], "--step"),
    (["--step", "inf"], "--step"),
    (["--schedule", "cosine"], "--schedule"),
    (["--schedule", "error", "--final-sigma", "0.1"], "--final-sigma: needs --schedule"),
    (["--schedule", "constant", "--schedule-generations", "9"], "--schedule-generations: needs --schedule"),
    (["--final-sigma", "-1"], "--final-sigma"),
    (["--final-sigma", "1e39"], "--final-sigma"),
    (["--sigma", "1e39"], "--sigma"),
    (["--preset", "es", "--final-sigma", "0"], "--final-sigma: must be above 0"),
    (["--schedule-generations", "0"], "--schedule-generations"),
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
    (["--validation-size", "0"], "--validation-size"),
    (["--training-size", "-1"], "--training-size"),
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
    (["--data", "objects.npz"], "--data"),
    (["--data", "bomb"], "at most 2,147,483,648 are read"),
    (["--preset", "es", "--population", "20", "--parents", "11"], "--parents: must be at most half of the population"),
    *(
        ([option, value, "--breeding", "plain"], f"{option}: needs --breeding recipes")
        for option, value in [
            ("--keyframes", "off"),
            ("--keyframe-space", "9"),
            ("--cache", "."),
            ("--cache-size", "900"),
            ("--group-size", "9"),
        ]
    ),
    (["--keyframes", "-1"], "--keyframes"),
    (["--keyframes", "never"], "--keyframes"),
    (["--keyframe-space", "-1"], "--keyframe-space"),
    (["--keyframe-space", "2GiB"], "--keyframe-space"),
]
"""Options of ``mnist.py``, and what its line names."""

RESUME_CASES = [
    (lambda run: shutil.rmtree(run), RESUME, "run is not a folder"),
    (without_records(unlink("config.json")), RESUME, "no config.json"),
    (without_records(lambda run: os.truncate(run / "config.json", 40)), RESUME, "config.json cannot be read"),
    (without_records(write("config.json", b"\xff\xfe")), RESUME, "config.json cannot be read"),
    (write("config.json", b"[]"), RESUME, "not the config.json of a run"),
    (write("config.json", b'{"versions": 3}'), RESUME, "not the config.json of a run"),
    (setting(population=-3), RESUME, "config.json: argument --population"),
    (setting(breeding="plain"), RESUME, "a run with --breeding plain has no checkpoint"),
    (setting(population=2.5), RESUME, "config.json: argument --population"),
    (setting(sigma=float("nan")), RESUME, "config.json: argument --sigma"),
    (setting(model="../.."), RESUME, "config.json: argument --model"),
    (setting(sampling="mirrored"), RESUME, "config.json: argument --sampling: needs --preset es"),
    (setting(generations="many"), ["--resume", "run"], "config.json"),
    (setting(seed=None), RESUME, "config.json has no seed"),
    (data(sha256="0"), RESUME, "the data differ from the run's: --force"),
    (data(path="/etc/passwd"), RESUME, "--data"),
    (data(path="nothing.npz"), RESUME, "--data"),
    (write(RECORDS, b"x" * 99), RESUME, "is not a checkpoint of this version"),
    (write(RECORDS, b"deap_nn checkpoint 1\n"), RESUME, "is not a checkpoint of this version"),
    (flip(RECORDS, 200), RESUME, "is damaged at byte"),
    (lambda run: None, [*RESUME, "--population", "30"], "--population"),
    (lambda run: None, [*RESUME, "--keyframes", "x"], "--keyframes"),
    (lambda run: None, [*RESUME, "--cache", "nothing"], ": error: argument --cache: nothing is not a folder"),
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
    (flip(RECORDS, 200), REPLAY, "is damaged in generation"),
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
