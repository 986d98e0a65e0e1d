"""The notebooks run from top to bottom, without OpenGL, and are kept with what they show."""

import copy
import re
from pathlib import Path

import pytest
from browser import until

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = ("teach", "transfer", "lamprey", "recording")
# What the cell tagged `settings` says, so that a notebook takes seconds.
SMALL = {
    "transfer": "STEPS = 32_000\nEPISODES = 2",
    "lamprey": "STEPS = 16_000\nEPISODES = 2",
    "recording": "EPISODES = 2",
}
MACHINE = re.compile(r"/tmp/|/root/|/home/|/Users/|[A-Z]:\\\\|site-packages|\.venv")


@pytest.fixture(scope="module")
def notebooks():
    nbformat = pytest.importorskip("nbformat", reason='pip install "nervecord[notebook]"')
    return {name: nbformat.read(FOLDER / f"{name}.ipynb", as_version=4) for name in NAMES}


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook):
    return [output for cell in code_of(notebook) for output in cell.outputs]


def test_every_notebook_is_known_and_they_are_small_together():
    paths = list(FOLDER.glob("*.ipynb"))
    assert {path.stem for path in paths} == set(NAMES)
    assert sum(path.stat().st_size for path in paths) < 2e6


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_kept_as_one_run_leaves_them(name, notebooks):
    """`python tools/notebooks.py` writes them: in order, without errors, and with nothing of the machine."""
    notebook = notebooks[name]
    code = code_of(notebook)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = outputs_of(notebook)
    assert len(outputs) >= 5
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    for output in outputs:
        said = output.get("text", "") + "".join(map(str, output.get("data", {}).get("text/plain", "")))
        assert not MACHINE.search(said), said
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_installs(name, notebooks):
    first = code_of(notebooks[name])[0]
    assert first.metadata.tags == ["install"]
    assert first.outputs == [], "it was there"


def run(notebook, name, tmp_path, monkeypatch):
    """Run a notebook with small settings, in an empty folder."""
    nbclient = pytest.importorskip("nbclient", reason='pip install "nervecord[notebook]"')
    pytest.importorskip("ipykernel", reason='pip install "nervecord[notebook]"')
    monkeypatch.setenv("MUJOCO_GL", "disable")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    for cell in code_of(notebook):
        cell.outputs = []
        if "settings" in cell.metadata.get("tags", []):
            cell.source = SMALL[name]
    nbclient.NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(tmp_path)}}).execute()
    return outputs_of(notebook)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name if name == "teach" else pytest.param(name, marks=pytest.mark.release) for name in NAMES]
)
def test_a_notebook_runs_and_shows_what_is_kept(name, notebooks, tmp_path, monkeypatch):
    kept = [sorted(output.get("data", {})) for output in outputs_of(notebooks[name]) if "data" in output]
    shown = run(copy.deepcopy(notebooks[name]), name, tmp_path, monkeypatch)
    assert [sorted(output["data"]) for output in shown if "data" in output] == kept
    assert sum("image/png" in kinds for kinds in kept) >= 3


@pytest.mark.slow
def test_films_play_in_the_html_export(opened, notebooks, tmp_path):
    nbconvert = pytest.importorskip("nbconvert", reason='pip install "nervecord[notebook]"')
    # Without the libraries that an export fetches for formulas and widgets, of which a film has none.
    without = {f"{name}_url": "" for name in ("mathjax", "require_js", "mermaid_js", "jquery")}
    page_text, _ = nbconvert.HTMLExporter(**without).from_notebook_node(notebooks["teach"])
    (tmp_path / "teach.html").write_text(page_text, encoding="utf-8")
    with opened((tmp_path / "teach.html").as_uri()) as page:
        assert page.locator("video").count() == 1
        page.evaluate("document.querySelector('video').play()")
        until(page, "document.querySelector('video').currentTime > 0.3")
        assert page.evaluate("document.querySelector('video').videoWidth") > 100
        # Out of sight, a browser draws no frames of it.
        page.locator("iframe").scroll_into_view_if_needed()
        frame = page.frames[1]
        frame.wait_for_selector("#neurons button")
        until(frame, "swimmer.now.elapsed > 10")
