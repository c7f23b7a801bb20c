"""A real notebook, executed by a real kernel."""

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

CELLS = [
    """
from deap_nn import evolve, make_toolbox, read_run
from deap_nn.callbacks.run_directory import RunDirectory
toolbox = make_toolbox("mlp", DATA, seed=1)
population = toolbox.population(n=6)
""",
    """
with RunDirectory(FOLDER) as directory:
    directory.write_config({"seed": 1})
    _ = evolve(population, toolbox, 3, seed=1, callbacks=[directory], verbose=True)
    directory.close("finished")
""",
    "population",
    "read_run(FOLDER)",
    "evolve(toolbox.population(n=4), toolbox, 1, seed=1);",
]

WITH_PROCESSES = """
import keras, numpy as np
from deap_nn import KerasProblem, evolve, make_toolbox, open_map

class Net(keras.Model):
    def __init__(self, units=3):
        super().__init__()
        self.units, self.inside = units, keras.layers.Dense(units)

    def call(self, x):
        return self.inside(x)

    def get_config(self):
        return {"units": self.units}

def misread(outputs, targets):
    return float((outputs.argmax(1) != targets).mean())

x = np.random.default_rng(1).standard_normal((60, 4)).astype("float32")
model = Net(2)
model(x)
toolbox = make_toolbox(KerasProblem(model, x, (x[:, 0] > 0).astype(int), loss=misread), seed=1, batch_size=20)
serial = evolve(toolbox.population(n=6), toolbox, 2, seed=1)[1]
with open_map("processes", workers=2) as map_:
    toolbox.register("map", map_)
    there = evolve(toolbox.population(n=6), toolbox, 2, seed=1)[1]
assert there == serial
len(there)
"""


def test_the_notebook_of_the_documentation_runs(tmp_path):
    notebook = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    done = NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    kinds = {kind for cell in done.cells for output in cell.get("outputs", ()) for kind in output.get("data", ())}
    assert {"text/html", "image/png"} <= kinds  # the toolbox and the frame as tables, the curves as a picture


def test_processes_take_what_a_notebook_defines(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WITH_PROCESSES)])
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    assert notebook.cells[0].outputs[-1].data["text/plain"] == "3"
    assert "Warning" not in str(notebook.cells)


@pytest.mark.parametrize("widgets", [True, False], ids=["with ipywidgets", "without"])
def test_a_notebook_shows_what_it_should(digits_file, tmp_path, widgets):
    begin = f"from pathlib import Path\nDATA, FOLDER = {str(digits_file)!r}, {str(tmp_path / 'run')!r}"
    if not widgets:
        begin += "\nimport sys\nsys.modules['ipywidgets'] = None"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (begin, *CELLS)])
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    *_, evolved, population, run, quiet = (cell.outputs for cell in notebook.cells)
    if widgets:
        [bar] = [output for output in evolved if output.output_type == "display_data"]
        assert "application/vnd.jupyter.widget-view+json" in bar.data
        assert r"gen\u20073/3" in str(notebook.metadata.widgets)  # tqdm writes figure spaces
    else:
        assert "gen 3/3" in "".join(output.text for output in evolved if output.output_type == "stream")
    assert "Warning" not in str(notebook.cells)
    assert "6 members, 6 scored" in html_of(population)
    assert "finished" in html_of(run)
    assert not [output for output in quiet if output.output_type != "execute_result"]


def html_of(outputs):
    """The HTML that the last output of a cell shows."""
    return outputs[-1].data["text/html"]
