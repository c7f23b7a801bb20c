"""The command ``deap-nn``."""

from deap_nn import __version__
from deap_nn.__main__ import COMMANDS


def test_one_command_does_all(here, tmp_path):
    def command(*arguments):
        return here("-m", "deap_nn", *arguments)

    usage = command("--help")
    assert usage.returncode == 0
    assert command("--version").stdout.strip() == __version__
    for name in COMMANDS:
        assert f"\n  {name} " in usage.stdout
        line = command(name, "--help")
        assert line.returncode == 0
        assert line.stdout.startswith(f"usage: deap-nn {name} ")
    for arguments in ((), ("nonsense",), ("report", tmp_path / "none")):
        answer = command(*arguments)
        assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
