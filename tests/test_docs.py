"""The documentation is built without a warning, names all there is, and its code runs as it stands."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

import deap_nn

DOCS = ROOT / "docs"
PAGES = [DOCS / "tutorial.md", *sorted((DOCS / "howto").glob("*.md"))]
BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.S)


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
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
    reference = (tmp_path / "html" / "reference.html").read_text()
    for name in deap_nn.__all__:
        assert re.search(rf'id="deap_nn\.(algorithms\.toolbox\.presets\.)?{name}"', reference), name
    for page in PAGES:
        assert (tmp_path / "html" / page.relative_to(DOCS).with_suffix(".html")).exists()


def test_what_a_contributor_is_sent_to_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`(\w+)`\s\(`([\w/]+\.py)`\)", text)
    assert {("CROSSOVERS", "operators/by_name.py"), ("MapName", "maps/__init__.py")} <= set(named)
    for name, module in named:
        assert name in text
        assert re.search(rf"^(class )?{name}\b", (ROOT / "deap_nn" / module).read_text(), re.M), (name, module)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(warm, tmp_path, monkeypatch, page):
    script = script_of(page.read_text())
    assert "from deap_nn import" in script
    (tmp_path / "page.py").write_text(script)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}")
    answer = warm("page.py", warnings=["UserWarning"])
    assert answer.returncode == 0, answer.stderr
