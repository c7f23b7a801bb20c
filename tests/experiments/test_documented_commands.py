"""What the documentation tells people to type: its options are those of the commands."""

import re

import pytest
from conftest import ROOT, run_here
from deap import creator

from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.core.arguments import options_of as options_of_type
from deap_nn.process import cli

pytestmark = pytest.mark.xdist_group("help")  # one process asks all commands

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^```([^\n]*)\n(.*?)^```|`([^`]+)`", re.S | re.M)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
ROW = re.compile(r"(<!-- (?:study|reached): .*?<!-- end)|^\|.*?$", re.S | re.M)
"""A table that a study's file makes, or a row of another one."""

COMMAND = re.compile(
    r"(?:experiments|benchmarks)/(\w+)\.py"
    r"|deap_nn\.(launch|replay|report)\b|deap-nn (launch|replay|report)\b"
)

OF_OTHERS = {"--cpus-per-task", "--head", "--nodes", "--nthreads", "--ntasks-per-node", "--nworkers", "--tunnel"}
OF_OTHERS |= {"--address", "--host", "--logdir", "--port", "--signal", "--time"}
"""Options of Dask, Ray, SLURM and TensorBoard."""

SCRIPTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.py") if "__main__" in path.read_text())
BENCHMARKS = [path.stem for path in (ROOT / "benchmarks").glob("*.py") if "run(__file__" in path.read_text()]
MODULES = ["launch", "replay", "report"]


GROUPED = ["mnist", "sweep", "baselines", *MODULES]
"""The commands whose ``--help`` has groups."""


@pytest.fixture(scope="module")
def help_of(tmp_path_factory):
    """The ``--help`` of each command on 80 columns."""
    found, classes = {}, dict(vars(creator))
    commands = {name: [ROOT / "experiments" / f"{name}.py"] for name in SCRIPTS}
    commands |= {name: [ROOT / "benchmarks" / f"{name}.py"] for name in BENCHMARKS}
    commands |= {name: ["-m", f"deap_nn.{name}"] for name in MODULES}
    assert len(commands) == len(SCRIPTS) + len(BENCHMARKS) + len(MODULES)  # no name twice
    for name, command in commands.items():
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("COLUMNS", "80")
            answer = run_here(*command, "--help", cwd=tmp_path_factory.mktemp("empty"))
        assert answer.returncode == 0
        found[name] = answer.stdout
    for name in vars(creator).keys() - classes.keys():  # of the scripts, which others may import anew
        delattr(creator, name)
    vars(creator).update(classes)
    return found


@pytest.fixture(scope="module")
def options_of(help_of):
    """The options of each command, without those of its examples; of `mnist` those of each algorithm."""
    found = {name: set(OPTION.findall(text.partition("\nexamples:")[0])) for name, text in help_of.items()}
    found["mnist"] |= {f"--{name.replace('_', '-')}" for kind in ALGORITHMS.values() for name in options_of_type(kind)}
    return found


@pytest.mark.parametrize("name", GROUPED)
def test_help_has_each_option_in_a_group_with_its_default(help_of, name):
    text = help_of[name].partition("\nexamples:")[0]
    _, *parts = re.split(r"^([a-z]+):\n", text, flags=re.M)
    groups = dict(zip(parts[::2], parts[1::2], strict=True))
    assert re.findall(r"^  (-\S+)", groups.pop("options"), re.M) == ["-h,"]
    assert list(groups) == [group for group in cli.GROUPS if group in groups]
    entries = [entry for group in groups.values() for entry in re.split(r"^  (?=-)", group, flags=re.M)[1:]]
    assert len(entries) == len(set(re.findall(r"(?<=^  )-\S+", text, re.M))) - 1
    for entry in entries:
        assert re.search(r"(\[.+\]|\(required\))$", entry.strip()), entry
        assert len(re.findall(r"\S  +\S|\n", entry.strip())) == 1, entry  # its help is one line


@pytest.mark.parametrize("name", GROUPED)
def test_the_examples_of_help_are_commands_with_options_that_exist(help_of, options_of, name):
    examples = help_of[name].partition("\nexamples:\n")[2].splitlines()
    assert any(name in example for example in examples)
    for example in examples:
        assert len(example) <= 80
        for command, options in named_commands(example):
            assert options <= options_of[command], example
        for path in re.findall(r"experiments/\S+", example):
            assert (ROOT / path).is_file()


def codes(page):
    """The pieces of code of a page, a line each; without tables that a commit repeats, since they name its options."""
    text = page.read_text()
    if "made at commit" in text:
        text = ROW.sub(lambda found: found[1] or "", text)
    for language, block, span in CODE.findall(text):
        if language in ("", "sh"):
            yield from (block or span.replace("\n", " ")).splitlines()


def named_commands(line):
    """The commands that a line names, each with the options that follow it."""
    found = list(COMMAND.finditer(line))
    for command, following in zip(found, [*found[1:], None][: len(found)], strict=True):
        part = line[command.end() : following.start() if following else None]
        yield next(filter(None, command.groups())), set(OPTION.findall(part.split(" #")[0]))


def test_the_options_that_are_named_exist(options_of):
    known, named, seen = set.union(*options_of.values()), 0, set()
    for page in PAGES:
        for line in codes(page):
            options = set(OPTION.findall(line))
            named += len(options)
            assert options <= known | OF_OTHERS, (page, line)
            for name, given in named_commands(line):
                seen |= {name} if given else set()
                assert given <= options_of.get(name, set()), (page, line)
    assert named > 100
    assert seen >= {"mnist", "sweep", "results", "scale", "replay"}
