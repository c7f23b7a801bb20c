"""Options: the fields of a dataclass, checked alike in Python and on the command line."""

import dataclasses
from typing import Annotated

import numpy as np
import pytest

from deap_nn.core.arguments import add_options, check_fields, flag, one_of, options_of, real, text, whole, yes_or_no
from deap_nn.core.errors import InputError
from deap_nn.process.cli import Parser


@dataclasses.dataclass(frozen=True)
class Settings:
    members: Annotated[int, whole("members", 2, 9, group="run")] = 4
    rounds: Annotated[int | None, whole("rounds [as many as members]", 0)] = None
    rate: Annotated[float, real("rate", 0, 1)] = 0.5
    kind: Annotated[str, one_of("kind", "narrow", "wide")] = "wide"
    is_kept: Annotated[bool | None, yes_or_no("keep it")] = None
    weights: Annotated[str | None, text("file [none]", "FILE", option="--init")] = None
    quiet: Annotated[bool, flag("print nothing", group="output")] = False
    unseen: int = 3

    def __post_init__(self) -> None:
        check_fields(self)


def parsed(*arguments, **words):
    parser = Parser("")
    add_options(parser, Settings, dataclasses.asdict(Settings()), **words)
    return vars(parser.parse_args(arguments))


REFUSED = [
    ("members", 1, "an integer from 2 to 9"),
    ("members", 10, "an integer from 2 to 9"),
    ("members", 2.5, "an integer from 2 to 9"),
    ("rounds", -1, "an integer of at least 0"),
    ("rate", -0.1, "a number from 0 to 1"),
    ("rate", 1.1, "a number from 0 to 1"),
    ("rate", float("nan"), "a number from 0 to 1"),
    ("kind", "wild", "narrow or wide"),
    ("is_kept", "maybe", "yes or no"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), REFUSED)
def test_a_value_is_refused_alike_in_python_and_on_the_command_line(name, value, allowed):
    with pytest.raises(ValueError, match=f"^{name} must be {allowed}, got {value!r}"):
        Settings(**{name: value})
    option = options_of(Settings)[name].option
    with pytest.raises(InputError, match=f"^argument {option}: must be {allowed}, got '{value}'"):
        parsed(f"{option}={value}")


@pytest.mark.parametrize("name", ["members", "rate"])
def test_a_truth_value_and_none_are_no_numbers(name):
    for value in (True, None):
        with pytest.raises(ValueError, match=f"^{name} must be "):
            Settings(**{name: value})


def test_the_nearest_name_is_suggested():
    with pytest.raises(ValueError, match=r"^kind must be narrow or wide, got 'narow': did you mean \"narrow\"\?$"):
        Settings(kind="narow")
    with pytest.raises(InputError, match=r"got 'narow': did you mean \"narrow\"\?$"):
        parsed("--kind=narow")


def test_numbers_of_numpy_are_numbers():
    assert Settings(members=np.int64(2), rate=np.float32(0)).rate == 0  # the least of both


def test_what_is_given_is_in_the_namespace_and_nothing_else():
    assert parsed() == {}
    arguments = "--members=9 --rounds 0 --rate=1 --kind narrow --is-kept=no --init one.npz --quiet"
    given = parsed(*arguments.split())
    assert given == {
        "members": 9,
        "rounds": 0,
        "rate": 1.0,
        "kind": "narrow",
        "is_kept": False,
        "weights": "one.npz",
        "quiet": True,
    }
    assert Settings(**given).weights == "one.npz"
    assert Settings().rounds is None


def test_some_options_alone():
    assert parsed("--members=3", only=("members",)) == {"members": 3}
    with pytest.raises(InputError, match="unrecognized arguments: --rate=1"):
        parsed("--rate=1", only=("members",))


def test_an_option_has_its_help_and_its_default():
    parser = Parser("")
    add_options(parser, Settings, dataclasses.asdict(Settings()))
    said = {action.dest: (action.help, action.metavar) for action in parser._actions}
    assert said["members"] == ("members [4]", "N")
    assert said["rounds"] == ("rounds [as many as members]", "N")
    assert said["kind"] == ("kind [wide]", "{narrow,wide}")
    assert said["is_kept"] == ("keep it", "{yes,no}")
    assert said["quiet"][0] == "print nothing"
    assert "unseen" not in said
    groups = {group.title: [action.dest for action in group._group_actions] for group in parser._action_groups}
    assert (groups["run"], groups["output"]) == (["members"], ["quiet"])
    add_options(parser := Parser(""), Settings, {"is_kept": True, "rounds": 4}, only=("is_kept", "rounds"))
    assert [action.help for action in parser._actions[-2:]] == ["rounds [as many as members]", "keep it [yes]"]
