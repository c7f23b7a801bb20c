"""The tables of the pages of results hold the figures of the CSV files."""

import gzip
import re
import runpy
import sys

import numpy as np
import pytest
from conftest import ROOT
from small_run import RESULTS, RUNS

PAGE = ROOT / "docs" / "results.md"
KEPT = ROOT / "docs" / "results"
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
    assert len(names) == len(set(names) & kept)
    for name in kept:
        assert (KEPT / f"{name}.png").exists()
    for name in kept - set(names):  # made with options that are gone
        (page,) = (page for page in PAGES if f"({name}.png)" in page.read_text())
        assert "made at commit 98872e2" in page.read_text()


def test_a_table_shows_the_options_of_settings_that_have_several_names():
    options_in = runpy.run_path(str(RESULTS))["tables"].__globals__["options_in"]
    found = {study: options_in(study) for study in ("baselines", "projected-ga", "openai-cnn-tuning")}
    assert found["baselines"]["default"] == "`--preset es --centred no --stratified no`"
    assert found["projected-ga"]["projected"] == "`--preset ga --projected yes --scale fan_in --sigma 0.1`"
    assert found["baselines"]["adam"] == "`--method adam --rate 0.0006`"  # that of the others is no option of it
    assert "--generations 300" in found["openai-cnn-tuning"]["plain-0_01-rate-0_005-long"]
    assert options_in("no-study") == {}


def test_results_are_in_a_table_with_their_costs(tmp_path):
    kept = tmp_path / "page"
    kept.mkdir()
    head = "study,setting,seed,validation_error,test_error,seconds,evaluations,digits"
    rows = [f"far,a,{seed},{seed / 10},{seed / 5},{seed * 60},1200,{64 * seed}" for seed in (1, 2, 4)]
    (kept / "far.results.csv").write_text("\n".join([head, *rows, "far,b,1,0.5,0.25,90,5,6"]) + "\n")
    (kept / "far.runs.csv.gz").write_bytes(gzip.compress(f"{RUNS}\n".encode()))
    text = "".join(f"<!-- {kind}: far -->\n<!-- end of {kind} -->\n" for kind in ("reached", "study"))
    tables = dict(runpy.run_path(str(RESULTS))["tables"](text, kept))
    assert list(tables) == [("reached", "far"), ("study", "far")]
    assert tables["study", "far"].startswith("| setting | seeds | validation error |")
    made = tables["reached", "far"].splitlines()
    assert made[0] == "| setting | seeds | test error | validation error | evaluations | digits | minutes |"
    assert made[2] == "| a | 1, 2, 4 | 0.4000 (0.2000 to 0.8000) | 0.2000 (0.1000 to 0.4000) | 1,200 | 128 | 2.0 |"
    assert made[3] == "| b | 1 | 0.2500 (0.2500 to 0.2500) | 0.5000 (0.5000 to 0.5000) | 5 | 6 | 1.5 |"


@pytest.fixture
def tables_of(tmp_path):
    """What a page has in place of tables, by kind, of the files of studies that hold these settings."""
    module = runpy.run_path(str(RESULTS))

    def made(kind, results, runs):
        rows = module["tables"].__globals__[kind.upper().replace("-", "_")]
        named = [(row.study, row.setting) for row in rows if row.study]
        for study in {study for study, _ in named}:
            settings = [setting for name, setting in named if name == study]
            lines = [line.replace("?", f"{study},{setting}") for setting in settings for line in results[1:]]
            (tmp_path / f"{study}.results.csv").write_text("\n".join([results[0], *lines]) + "\n")
            lines = [line.replace("?", f"{study},{setting}") for setting in settings for line in runs[1:]]
            text = "\n".join([runs[0], *lines]) + "\n"
            (tmp_path / f"{study}.runs.csv.gz").write_bytes(gzip.compress(text.encode()))
        table = dict(module["tables"](f"<!-- {kind}: all -->\n<!-- end of {kind} -->", tmp_path))[kind, "all"]
        return [line.strip("| ").split(" | ") for line in table.splitlines()], named

    return made


def test_targets_are_in_a_table_beside_the_results(tables_of):
    results = ["study,setting,seed,test_error,seconds,evaluations,digits"]
    results += [f"?,{seed},{seed / 10},{seed * 60},{seed}000,{64 * seed}" for seed in (1, 2, 4)]
    rows, named = tables_of("targets", results, [RUNS])
    assert rows[0][1:] == [
        *("the article, validation error", "must", "aim", "test error", "fitness in", "seeds"),
        *("evaluations", "digits", "minutes"),
    ]
    assert len(rows) == len(named) + 2
    assert rows[2][0] == "the CNN, 200 members, 300 generations, `--preset ga`"
    for row in rows[2:]:
        assert row[4:5] + row[6:] == ["0.200 (0.100 to 0.400)", "3", "2,000", "128", "2.0"]
    assert {row[5] for row in rows[2:]} == {"bf16", "float32"}
    assert dict(zip((setting for _, setting in named), (row[5] for row in rows[2:]), strict=True))["article"] == "bf16"
    assert all(float(row[2]) > float(row[3]) for row in rows[2:] if row[3])


def test_the_first_table_has_the_algorithms_beside_gradients_and_the_articles_figure(tables_of):
    results = ["study,setting,seed,test_error", *(f"?,{seed},{seed / 10}" for seed in (1, 2, 4))]
    rows, _ = tables_of("algorithms", results, [RUNS])
    assert rows[0] == ["algorithm", "members, generations", "test error", "fitness in", "the article, validation"]
    names = [row[0] for row in rows[2:]]
    firsts = (
        "`--preset ga`",
        "`--preset es`",
        "Adam",
        "SGD",
        "OpenAI",
        "`--preset article`",
    )
    assert all(name.startswith(first) for name, first in zip(names, firsts, strict=False))
    assert names[len(firsts)] == (article := "the article's own figure, its data split unknown")
    assert any("eaSimple" in name for name in names)
    figures = {row[0]: row[2:4] for row in rows[2:]}
    assert figures.pop(article) == ["-", ""]
    assert {shown for shown, _ in figures.values()} == {"0.200 (0.100 to 0.400)"}
    assert figures["Adam"][1] == figures["`--preset es`, the 784-64-10 network"][1] == "float32"
    assert figures["`--preset article`"][1] == figures["`--preset es`, Fashion-MNIST"][1] == "bf16"


def test_the_readmes_rows_are_of_the_first_table():
    (table,) = re.findall(r"<!-- algorithms: all -->\n(.*?)<!-- end of algorithms -->", PAGE.read_text(), re.S)
    head, line, *rows = table.splitlines()
    _, _, own = (ROOT / "README.md").read_text().partition(f"{head}\n{line}\n")
    chosen = own.partition("\n\n")[0].splitlines()
    assert [re.match(r"\| (`--preset \w+`|[\w ']+)", row)[1].strip() for row in chosen] == [
        "`--preset ga`",
        "`--preset es`",
        "Adam",
        "the article's own figure",
    ]
    assert set(chosen) <= set(rows)


@pytest.mark.parametrize("kind", ["reached", "study"])
def test_what_is_scored_in_bfloat16_is_marked_where_not_all_is_in_float32(tmp_path, kind):
    head = "study,setting,seed,validation_error,test_error,seconds,evaluations,digits"
    for study, settings in (("baselines", ("adam", "article")), ("loops-mlp", ("evolve", "easimple"))):
        rows = [f"{study},{setting},1,0.1,0.2,60,5,6" for setting in settings]
        (tmp_path / f"{study}.results.csv").write_text("\n".join([head, *rows]) + "\n")
        (tmp_path / f"{study}.runs.csv.gz").write_bytes(gzip.compress(f"{RUNS}\n".encode()))
    text = "".join(f"<!-- {kind}: {study} -->\n<!-- end of {kind} -->\n" for study in ("baselines", "loops-mlp"))
    made = dict(runpy.run_path(str(RESULTS))["tables"](text, tmp_path))
    rows = [line.strip("| ").split(" | ") for line in made[kind, "baselines"].splitlines()]
    assert rows[0][2] == "fitness in"
    told = {"reached": [": `--method adam --rate 0.0006`", ": `--preset article`"], "study": ["", ""]}[kind]
    assert [(row[0], row[2]) for row in rows[2:]] == [(f"adam{told[0]}", "float32"), (f"article{told[1]}", "bf16")]
    assert "fitness in" not in made[kind, "loops-mlp"]


def test_the_files_of_the_pages_are_small():
    sizes = [path.stat().st_size for path in KEPT.iterdir() if ".csv" in path.name]
    assert sum(sizes) < 2_000_000


def test_the_pages_name_no_study_that_is_not_there():
    for name in re.findall(r"studies/([a-z0-9-]+)\.toml", "".join(page.read_text() for page in PAGES)):
        assert (ROOT / "experiments" / "studies" / f"{name}.toml").exists()


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

    ties = table(rows(a=[1, 1, 2, 2, 2], b=[3, 3, 4, 4, 4])).splitlines()[-1]
    assert ties.split("|")[-2].strip() == "0.0079"  # two of the 252 orders
    same = table(rows(a=rng.random(9), b=rng.random(9))).splitlines()[-1]
    apart = table(rows(a=rng.random(9), b=rng.random(9) + 1)).splitlines()[-1]
    assert float(same.split("|")[-2]) > 0.05 > 0.001 > float(apart.split("|")[-2])
