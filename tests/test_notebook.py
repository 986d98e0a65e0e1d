"""The notebook runs from top to bottom, without OpenGL, and is kept without outputs."""

from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "notebooks" / "teach.ipynb"


@pytest.fixture
def notebook():
    nbformat = pytest.importorskip("nbformat", reason='pip install "nervecord[notebook]"')
    return nbformat.read(PATH, as_version=4)


def test_outputs_are_not_kept(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 5
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.slow
def test_the_notebook_runs(notebook, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason='pip install "nervecord[notebook]"')
    pytest.importorskip("ipykernel", reason='pip install "nervecord[notebook]"')
    monkeypatch.setenv("MUJOCO_GL", "disable")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    nbclient.NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(pictures) == 4
    assert any("image/webp" in output.get("data", {}) for output in shown)
