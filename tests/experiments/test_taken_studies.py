"""Studies that are taken to the pages of results: what is kept of them, added and refused, and what is missing."""

import contextlib
import gzip
import runpy
import sys

import pytest
from small_run import RESULTS, RUNS

HEAD = "study,setting,seed,validation_error,test_error"


TEXT = "before\n<!-- study: tiny -->\nold\n<!-- end of study -->\nafter\n"


@pytest.fixture
def study(tmp_path):
    """A folder as a sweep leaves it: two settings with five seeds each, of which `b` is better throughout."""
    folder, results, runs = tmp_path / "runs" / "tiny", [HEAD], [RUNS]
    folder.mkdir(parents=True)
    for i in range(5):
        for setting, error in (("a", 0.5 + i / 100), ("b", 0.1 + i / 100)):
            results.append(f"tiny,{setting},{i + 1},{error},{error + 0.01}")
            runs += [
                f"tiny,{setting},{i + 1},{gen},{20 * gen},0.123456,,{error},{'' if gen else error}" for gen in range(2)
            ]
    (folder / "results.csv").write_text("\n".join(results) + "\n")
    (folder / "runs.csv").write_text("\n".join(runs) + "\n")
    (tmp_path / "page.md").write_text(TEXT)
    return folder


def test_a_study_is_taken_and_its_table_and_figure_made(here, light, study, tmp_path):
    answer = light(RESULTS, "--take", study, "--page", tmp_path / "page.md")
    assert (answer.returncode, answer.stdout) == (0, f"tiny: taken from {study}\n"), answer.stderr
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("before\n<!-- study: tiny -->\n| setting | seeds |")
    assert text.endswith("<!-- end of study -->\nafter\n")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(("| a", "| b"))]
    assert rows[0][:4] == ["b", "5", "0.1200 (0.1100 to 0.1300)", "0.1300 (0.1200 to 0.1400)"]
    assert rows[1] == ["a", "5", "0.5200 (0.5100 to 0.5300)", "0.5300 (0.5200 to 0.5400)", f"{2 / 252:.2g}"]
    kept = tmp_path / "page"
    assert {path.name for path in kept.iterdir()} == {"tiny.runs.csv.gz", "tiny.results.csv", "tiny.png"}
    whole = (study / "runs.csv").read_bytes()
    assert gzip.decompress((kept / "tiny.runs.csv.gz").read_bytes()) == whole.replace(b"0.123456", b"0.1235")
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    assert here(RESULTS, "--page", tmp_path / "page.md").returncode == 0
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert (tmp_path / "page.md").read_text() == text


def test_the_pages_of_the_folder_are_written_too(here, study, tmp_path):
    other = tmp_path / "page" / "question.md"
    other.parent.mkdir()
    other.write_text(TEXT)
    (tmp_path / "page.md").write_text("no table\n")
    assert here(RESULTS, "--take", study, "--page", tmp_path / "page.md").returncode == 0
    assert other.read_text().startswith("before\n<!-- study: tiny -->\n| setting | seeds |")
    assert (tmp_path / "page.md").read_text() == "no table\n"
    assert {path.name for path in other.parent.iterdir() if path != other} == {
        *("tiny.runs.csv.gz", "tiny.results.csv", "tiny.png")
    }


@pytest.mark.parametrize("name", ["small_study", "Small.2"])
def test_a_study_may_be_named_as_a_file_and_has_a_place(here, study, tmp_path, name):
    for file in ("runs.csv", "results.csv"):
        (study / file).write_text((study / file).read_text().replace("tiny,", f"{name},"))
    answer = here(RESULTS, "--take", study, "--page", tmp_path / "page.md")
    assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
    assert f"page.md nor a page in {tmp_path}/page has a place for {name}: <!-- study: {name} -->" in answer.stderr
    assert {path.name for path in (tmp_path / "page").iterdir()} == {f"{name}.runs.csv.gz", f"{name}.results.csv"}
    assert (tmp_path / "page.md").read_text() == TEXT
    (tmp_path / "page.md").write_text(TEXT.replace("tiny", name))
    assert here(RESULTS, "--take", study, "--page", tmp_path / "page.md").returncode == 0
    assert "| setting | seeds |" in (tmp_path / "page.md").read_text()
    assert (tmp_path / "page" / f"{name}.png").exists()


def test_of_late_generations_only_those_with_candidates_are_kept(here, study, tmp_path):
    late = [
        "tiny,a,1,300,6000,1,2,,",
        "tiny,a,1,301,6020,1,2,,",
        "tiny,a,1,325,6500,1,2,0.4,",
        "tiny,a,1,326,6520,1,2,,0.4",
    ]
    (study / "runs.csv").write_text((study / "runs.csv").read_text() + "\n".join(late) + "\n")
    assert here(RESULTS, "--take", study, "--page", tmp_path / "page.md").returncode == 0
    kept = gzip.decompress((tmp_path / "page" / "tiny.runs.csv.gz").read_bytes()).decode().splitlines()
    assert [line for line in kept if line in late] == [late[0], *late[2:]]
    assert here(RESULTS, "--take", study, "--whole", 0, "--page", tmp_path / "page.md").returncode == 0
    kept = gzip.decompress((tmp_path / "page" / "tiny.runs.csv.gz").read_bytes()).decode().splitlines()
    assert [line for line in kept if line in late] == late[2:]


def test_runs_from_elsewhere_are_added_and_take_the_place_of_the_same(here, study, tmp_path):
    arguments = RESULTS, "--take", study, "--page", tmp_path / "page.md"
    assert here(*arguments).returncode == 0
    first = (tmp_path / "page" / "tiny.results.csv").read_text().splitlines()
    (study / "results.csv").write_text(f"{HEAD}\ntiny,b,5,0.9,0.9\ntiny,c,1,0.3,0.3\n")
    (study / "runs.csv").write_text(f"{RUNS}\ntiny,b,5,0,0,,,0.9,\ntiny,c,1,0,0,2,1e20,0.3,\n")
    assert here(*arguments).returncode == 0
    found = (tmp_path / "page" / "tiny.results.csv").read_text().splitlines()
    assert found == [HEAD, *sorted(first[1:-1]), "tiny,b,5,0.9,0.9", "tiny,c,1,0.3,0.3"]
    runs = gzip.decompress((tmp_path / "page" / "tiny.runs.csv.gz").read_bytes()).decode().splitlines()
    assert [line for line in runs if line.startswith(("tiny,b,5", "tiny,c"))] == [
        "tiny,b,5,0,0,,,0.9,",
        "tiny,c,1,0,0,2,1e+20,0.3,",
    ]
    assert len(runs) == 1 + 18 + 2
    (study / "results.csv").write_text("study,setting,seed,validation_error,test_error,minutes\ntiny,a,2,0.7,0.6,3\n")
    (study / "runs.csv").write_text(f"{RUNS}\ntiny,a,2,0,0,,,0.7,\n")
    assert here(*arguments).returncode == 0
    head, *rows = (tmp_path / "page" / "tiny.results.csv").read_text().splitlines()
    assert head == f"{HEAD},minutes"
    assert rows[:3] == [f"{first[1]},", "tiny,a,2,0.7,0.6,3", f"{first[5]},"]
    (tmp_path / "page" / "tiny.runs.csv.gz").unlink()
    answer = here(*arguments)
    assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
    assert "lacks a file of tiny" in answer.stderr


@pytest.mark.parametrize(
    ("setting", "seed", "options", "refused"),
    [
        ("a", 9, "f00", True),
        ("a", 9, "abc", False),
        ("a", 9, "", False),
        ("b", 9, "f00", False),
        ("c", 9, "f00", False),
    ],
)
def test_runs_of_other_options_are_not_added_to_those_of_a_setting(tmp_path, setting, seed, options, refused):
    check_alike = runpy.run_path(str(RESULTS))["check_alike"]
    kept = [{"setting": "a", "seed": "1", "options": "abc"}, {"setting": "b", "seed": "1"}]
    now = [{"setting": setting, "seed": str(seed), "options": options}]
    with pytest.raises(ValueError, match="a has other options or data") if refused else contextlib.nullcontext():
        check_alike(kept, now, tmp_path)
    check_alike(kept, [{"setting": "a", "seed": "1", "options": "f00"}], tmp_path)  # all are replaced
    with pytest.raises(ValueError, match="a has other options or data"):
        check_alike(
            [*kept, {"setting": "a", "seed": "2"}], [*now, {**now[0], "setting": "a", "options": "f00"}], tmp_path
        )
    with pytest.raises(ValueError, match="x has other options or data than other runs in it"):
        check_alike([], [{"setting": "x", "seed": str(i), "options": f"f{i}"} for i in range(2)], tmp_path)


@pytest.mark.parametrize(
    ("spoil", "arguments", "said"),
    [
        (lambda folder: (folder / "runs.csv").unlink(), ["--take"], "--take: .* has no tables of a study"),
        (lambda folder: (folder / "results.csv").write_text(HEAD), ["--take"], "--take: no run is finished"),
        (lambda folder: (folder / "results.csv").write_text(""), ["--take"], "--take: no run is finished"),
        (lambda folder: None, [], "a page has a place for tiny, but there is no"),
        (lambda folder: (folder.parents[1] / "page.md").unlink(), ["--take"], "--page: .*No such file"),
    ],
)
def test_what_is_missing_is_named(study, tmp_path, monkeypatch, capsys, spoil, arguments, said):
    spoil(study)
    page = tmp_path / "page.md"
    monkeypatch.setattr(sys, "argv", ["results.py", *[*arguments, *[str(study)] * len(arguments)], "--page", str(page)])
    main = runpy.run_path(str(RESULTS))["main"]
    with pytest.raises(ValueError, match=said):
        main()
    assert not page.exists() or page.read_text() == TEXT
    assert not page.with_suffix("").exists()
