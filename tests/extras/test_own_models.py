"""The script that compares small models with steps by cases and without."""

from conftest import ROOT, quiet


def test_it_says_the_loss_of_each_model_and_algorithm(here):
    answer = quiet(here(ROOT / "experiments" / "own_models.py", "--seeds", 1, "--generations", 1))
    lines = answer.stdout.splitlines()
    assert len(lines) == 5 * 4
    assert all(0 < float(line.split(": ")[1].split()[0]) < 10 for line in lines)
    for first, by_cases in zip(lines[::2], lines[1::2], strict=True):
        assert "by cases" in by_cases
        assert first.split(": ")[1] != by_cases.split(": ")[1]
