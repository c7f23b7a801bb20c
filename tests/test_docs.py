"""The documentation is built without a warning, names all there is, and its code runs as it stands."""

import json
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT, quiet, well

import deap_nn
from deap_nn.algorithms.algorithm import ALGORITHMS
from deap_nn.operators.selection import operator_of

DOCS = ROOT / "docs"
PAGES = [DOCS / "tutorial.md", *sorted((DOCS / "howto").glob("*.md"))]
BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.S)


def tables_of(text):
    """The tables of a page, each a list of rows, each a list of cells."""
    tables = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            tables[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif tables[-1]:
            tables.append([])
    return [table[:1] + table[2:] for table in tables if table]


def script_of(text):
    """The blocks of a page as one script: what is for the shell is run by it, once."""
    parts = []
    for language, block in BLOCK.findall(text):
        if language == "python":
            parts.append(block)
        elif not block.startswith("pip install"):
            parts.append(f"if __name__ == '__main__':\n    pages.shell({block!r})\n")
    return "import pages\n" + "".join(parts)


def test_it_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", DOCS, tmp_path / "html"]
    quiet(subprocess.run(command, capture_output=True, text=True, check=False))
    reference = "".join(page.read_text() for page in (tmp_path / "html" / "reference").glob("*.html"))
    for name in deap_nn.__all__:
        assert re.search(rf'id="deap_nn\.{name}"', reference), name
    assert "<math" in reference  # formulas, which no script from a network renders
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=.https?:", reference)
    for page in PAGES:
        assert (tmp_path / "html" / page.relative_to(DOCS).with_suffix(".html")).exists()


def test_a_run_s_network_is_read_by_keras(finished_run, capsys):
    ((_, block),) = [found for found in BLOCK.findall((DOCS / "experiment.md").read_text()) if "best.keras" in found[1]]
    exec(block.replace("runs/first", str(finished_run)), {})
    assert 0.0 <= float(capsys.readouterr().out) <= 1.0


def test_what_a_contributor_is_sent_to_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`(\w+)`\s\(`([\w/]+\.py)`\)", text)
    assert {("CROSSOVERS", "operators/by_name.py"), ("MapName", "maps/__init__.py")} <= set(named)
    for name, module in named:
        assert name in text
        assert re.search(rf"^(class )?{name}\b", (ROOT / "deap_nn" / module).read_text(), re.M), (name, module)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_the_code_of_a_page_imports_keras_without_its_notices(page):
    """``from deap_nn import keras`` hides them; ``import keras`` shows TensorFlow's eight lines in each process."""
    assert not re.findall(r"^(?:import|from) (?:keras|tensorflow)\b.*", script_of(page.read_text()), re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(warm, tmp_path, monkeypatch, page):
    script = script_of(page.read_text())
    assert "from deap_nn" in script
    (tmp_path / "page.py").write_text(script)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}")
    well(warm("page.py", warnings=["UserWarning"]))


def test_the_cells_of_the_notebook_run(warm, tmp_path):
    notebook = json.loads((DOCS / "tutorial.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    (tmp_path / "cells.py").write_text("\n\n".join(cells))
    answer = well(warm("cells.py"))
    assert "validation error: ga" in answer.stdout


def test_the_table_of_presets_is_what_make_toolbox_wires(digits):
    *_, operators, loops = tables_of((DOCS / "howto" / "deap-loops.md").read_text())
    assert operators[0] == ["algorithm", "registered as", "operator", "argument", "value", "source"]
    toolboxes, fitness = {}, {"cross_entropy": "cross-entropy", "error": "error rate"}
    for preset, registered, operator, arguments, value, _ in operators[1:]:
        if preset:
            name = preset.strip("`")
            toolboxes[name] = toolbox = deap_nn.make_toolbox("mlp", digits, ALGORITHMS[name](), seed=1)
        if registered:
            alias, *more = re.findall(r"`(\w+)`", registered)
            assert all(hasattr(toolbox, one) for one in (alias, *more)), (name, registered)
            if alias == "evaluate":
                assert operator == fitness[toolbox.problem.fitness]
            elif alias != "generate":
                assert operator.startswith(f"`{operator_of(getattr(toolbox, alias)).__name__}`")
        root = f"usual_step: the root of {deap_nn.usual_step(1, 1, 1, projected=True) ** 2:g} x"
        known = vars(toolbox.algorithm) | getattr(toolbox, alias).keywords
        known |= {"scale": toolbox.algorithm.scale, "batch_size": toolbox.problem.batch_size, "step": root}
        values = [known[argument] for argument in re.findall(r"`(\w+)`", arguments)]
        texts = [f"{value:g}" if type(value) is float else re.sub(", fitness=.*", ")", str(value)) for value in values]
        assert re.match(rf"{re.escape(', '.join(texts))}(?![\w.])", value.replace("`", "")), (name, arguments)
    assert list(toolboxes) == list(ALGORITHMS)
    assert loops[0] == ["", *(f"`{name}`" for name in ALGORITHMS)]
    needed = {"`evolve`": "evaluate", "`eaGenerateUpdate`": "generate"}
    for loop, *cells in loops[1:]:
        for name, cell in zip(ALGORITHMS, cells, strict=True):
            runs = hasattr(toolboxes[name], needed.get(loop, "mate"))
            assert re.match("yes$" if runs else "no\\b", cell), (loop, name)
