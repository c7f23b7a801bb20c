"""The pages of results: their tables hold the figures of the CSV files, to which runs of studies are taken."""

import gzip
import re
import runpy
import sys

import numpy as np
import pytest
import sweep
from conftest import ROOT
from small_run import RESULTS
from strangers import only_line

PAGE = ROOT / "docs/results.md"
KEPT = ROOT / "docs/results"
PAGES = [PAGE, *sorted(KEPT.glob("*.md"))]
sys.path.append(str(RESULTS.parent))


def test_the_tables_of_the_pages_are_those_of_their_files():
    module, names = runpy.run_path(str(RESULTS)), []
    for page in PAGES:
        text = page.read_text()
        for (kind, name), made in module["tables"](text, KEPT):
            assert f"<!-- {kind}: {name} -->\n{made}<!-- end of {kind} -->" in text
            if name != "all":  # of all studies
                assert f"({name}.png)" in text
                assert f"studies/{name}.toml" in text
                names.append(name)
    kept = {path.name.removesuffix(".results.csv") for path in KEPT.glob("*.results.csv")}
    assert sorted(names) == sorted(kept)


def test_the_readmes_rows_are_of_the_first_table():
    (table,) = re.findall(r"<!-- algorithms: all -->\n(.*?)<!-- end of algorithms -->", PAGE.read_text(), re.S)
    head, line, *rows = table.splitlines()
    _, _, own = (ROOT / "README.md").read_text().partition(f"{head}\n{line}\n")
    chosen = own.partition("\n\n")[0].splitlines()
    names = " ".join(re.match(r"\| (`--preset \w+`|[\w ']+)", row)[1].strip() for row in chosen)
    assert names == "`--preset ga` `--preset es` `--preset ga` Adam the article's own figure"
    assert set(chosen) <= set(rows)


def test_the_files_of_the_pages_are_small_and_their_studies_are_there():
    assert sum(path.stat().st_size for path in KEPT.glob("*.csv*")) < 2_000_000
    assert len(PAGES) <= 12
    assert max(path.stat().st_size for path in PAGES[1:]) < 9000
    for name in re.findall(r"studies/([a-z0-9-]+)\.toml", "".join(page.read_text() for page in PAGES)):
        assert (ROOT / f"experiments/studies/{name}.toml").exists()


def test_chances_are_corrected_for_their_number():
    holm = runpy.run_path(str(RESULTS.with_name("tables.py")))["holm"]
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_rank_test_tells_what_differs_from_what_does_not():
    table = runpy.run_path(str(RESULTS.with_name("tables.py")))["table"]
    rng = np.random.default_rng(1)

    def rows(**settings):
        return [
            {"study": "s", "setting": name, "validation_error": str(error), "test_error": str(error)}
            for name, errors in settings.items()
            for error in errors
        ]

    apart, mixed = ([1, 1, 2, 2, 2], [3, 3, 4, 4, 4], "0.0079"), ([1, 1, 1, 2], [1, 2, 2, 2], "0.49")
    for a, b, chance in (apart, mixed):  # two of the 252 orders, and 34 of the 70
        assert table(rows(a=a, b=b)).splitlines()[-1].split("|")[-2].strip() == chance
    same = table(rows(a=rng.random(9), b=rng.random(9))).splitlines()[-1]
    apart = table(rows(a=rng.random(9), b=rng.random(9) + 1)).splitlines()[-1]
    assert float(same.split("|")[-2]) > 0.05 > 0.001 > float(apart.split("|")[-2])


def test_times_are_those_of_the_first_generation_as_low_as_a_level():
    until = runpy.run_path(str(RESULTS.with_name("tables.py")))["until"]
    run = {"setting": "a", "seed": "1", "seconds": 20, "generations": 10}
    runs = [run | {"gen": i, "evaluations": 9 * i, "val_error": (0.9, 0.1, 0.04, 0.06)[i]} for i in range(4)]
    assert until([run], runs).endswith("| a | 9 in 2 s | 18 in 4 s | - |\n")


HEAD = "study,setting,seed,validation_error,test_error"
RUNS = "study,setting,seed,gen,evaluations,min,avg,best,mean"
TEXT = "before\n<!-- study: tiny -->\nold\n<!-- end of study -->\nafter\n"


@pytest.fixture
def page(tmp_path):
    """A page with a place for the study `tiny`."""
    (tmp_path / "page.md").write_text(TEXT)
    return tmp_path / "page.md"


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
    return folder


@pytest.fixture
def take(here, study, page):
    """Take the study to the page; the lines of the runs that are kept are returned."""

    def call(*options):
        answer = here(RESULTS, "--take", study, "--page", page, *options)
        assert (answer.returncode, answer.stdout) == (0, f"tiny: taken from {study}\n"), answer.stderr
        return gzip.decompress((page.parent / "page" / "tiny.runs.csv.gz").read_bytes()).decode().splitlines()

    return call


def test_a_study_is_taken_and_its_table_and_figure_made(here, take, study, page):
    kept = page.parent / "page"
    kept.mkdir()
    (kept / "question.md").write_text(TEXT)
    assert take() == (study / "runs.csv").read_text().replace("0.123456", "0.1235").splitlines()
    text = page.read_text()
    assert text == (kept / "question.md").read_text()
    assert text.startswith("before\n<!-- study: tiny -->\n| setting | seeds |")
    assert text.endswith("<!-- end of study -->\nafter\n")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(("| a", "| b"))]
    assert rows[0][:4] == ["b", "5", "0.1200\xa0(0.1100\xa0to\xa00.1300)", "0.1300\xa0(0.1200\xa0to\xa00.1400)"]
    assert rows[1][4] == f"{2 / 252:.2g}"
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    assert before.keys() == {"tiny.runs.csv.gz", "tiny.results.csv", "tiny.png", "question.md"}
    assert here(RESULTS, "--page", page).returncode == 0
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert page.read_text() == text


def test_a_study_needs_a_place(here, study, page):
    name = "Small.2"
    for file in ("runs.csv", "results.csv"):
        (study / file).write_text((study / file).read_text().replace("tiny,", f"{name},"))
    arguments = RESULTS, "--take", study, "--page", page
    kept = page.parent / "page"
    said = f"page.md nor a page in {kept} has a place for {name}: <!-- study: {name} -->"
    assert said in only_line(here(*arguments))
    assert page.read_text() == TEXT
    page.write_text(TEXT.replace("tiny", name))
    assert here(*arguments).returncode == 0
    assert "| setting | seeds |" in page.read_text()
    ends = ".runs.csv.gz", ".results.csv", ".png"
    assert {path.name for path in kept.iterdir()} == {f"{name}{end}" for end in ends}


def test_of_late_generations_only_those_with_candidates_are_kept(take, study):
    late = ["tiny,a,1,300,6000,1,2,,", "tiny,a,1,301,6020,1,2,,"]
    late += ["tiny,a,1,325,6500,1,2,0.4,", "tiny,a,1,326,6520,1,2,,0.4"]
    (study / "runs.csv").write_text((study / "runs.csv").read_text() + "\n".join(late) + "\n")
    assert [line for line in take() if line in late] == [late[0], *late[2:]]
    assert [line for line in take("--whole", 0) if line in late] == late[2:]


def test_runs_from_elsewhere_are_added_and_take_the_place_of_the_same(here, take, study, page):
    take()
    results = page.parent / "page" / "tiny.results.csv"
    first = results.read_text().splitlines()
    (study / "results.csv").write_text(f"{HEAD},minutes\ntiny,b,5,0.9,0.9,3\ntiny,c,1,0.3,0.3,4\n")
    (study / "runs.csv").write_text(f"{RUNS}\ntiny,b,5,0,0,,,0.9,\ntiny,c,1,0,0,2,1e20,0.3,\n")
    runs = take()
    added = ["tiny,b,5,0.9,0.9,3", "tiny,c,1,0.3,0.3,4"]
    assert results.read_text().splitlines() == [f"{HEAD},minutes", *(f"{row}," for row in sorted(first[1:-1])), *added]
    found = [line for line in runs if line.startswith(("tiny,b,5", "tiny,c"))]
    assert found == ["tiny,b,5,0,0,,,0.9,", "tiny,c,1,0,0,2,1e+20,0.3,"]
    assert len(runs) == 1 + 18 + 2
    results.unlink()
    assert "lacks a file of tiny" in only_line(here(RESULTS, "--take", study, "--page", page))


def test_runs_of_other_options_are_not_added_to_those_of_a_setting(tmp_path):
    check_alike = runpy.run_path(str(RESULTS))["check_alike"]
    kept = [{"setting": "a", "seed": "1", "options": "abc"}, {"setting": "b", "seed": "1"}]

    def row(setting, options, seed="9", data=""):
        return {"setting": setting, "seed": seed, "options": options, "data": data}

    for now in (row("a", "abc"), row("a", ""), row("b", "f00"), row("c", "f00"), row("a", "f00", "1")):
        check_alike(kept, [now], tmp_path)
    others = [(kept, [row("a", other, data=data)]) for other, data in (("f00", ""), ("abc", "f00"))]
    for before, now in (*others, ([], [row("a", "f00"), row("a", "abc")])):
        with pytest.raises(ValueError, match="a has other options or data"):
            check_alike(before, now, tmp_path)


def test_runs_that_are_missing_or_of_other_settings_are_counted(tmp_path):
    file, study = tmp_path / "tiny.toml", tmp_path / "tiny.results.csv"
    file.write_text('seeds = [1, 2]\n[settings.a]\nmodel = "mlp"\n[settings.b]\nmates = 3\n')
    settings = {name: sweep.settings_of(options) for name, options in sweep.read_study(str(file)).settings.items()}
    settings["b"] |= {"boost": 9.0}
    rows = [f"{name},{seed},{sweep.digest_of(settings[name])}" for name, seed in (("a", 1), ("a", 2), ("b", 1))]
    study.write_text("\n".join(["setting,seed,options", *rows, ""]))
    said = runpy.run_path(str(RESULTS))["left"](sweep.read_study(str(file)), tmp_path)
    assert said == "tiny: of 4 runs 1 are missing, 1 have other settings"


@pytest.mark.parametrize(
    ("spoil", "arguments", "said"),
    [
        (lambda folder: (folder / "runs.csv").unlink(), ["--take"], "--take: .* has no tables of a study"),
        (lambda folder: (folder / "results.csv").write_text(HEAD), ["--take"], "--take: no run is finished"),
        (lambda folder: None, [], "a page has a place for tiny, but there is no"),
        (lambda folder: (folder.parents[1] / "page.md").unlink(), ["--take"], "--page: .*No such file"),
    ],
)
def test_what_is_missing_is_named(here, study, page, spoil, arguments, said):
    spoil(study)
    answer = here(RESULTS, *arguments, *[study] * len(arguments), "--page", page)
    assert answer.returncode == 2
    assert re.search(said, answer.stderr)
    assert not page.exists() or page.read_text() == TEXT
    assert not page.with_suffix("").exists()
