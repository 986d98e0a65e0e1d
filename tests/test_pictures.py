"""The pictures of the guides are made by tools/pictures.py, and each is shown with the command that made it."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PICTURES = sorted((ROOT / "docs" / "pictures").iterdir())
MOST = {".webp": 40_000, ".svg": 120_000}  # bytes


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "tools" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def shown() -> dict[str, str]:
    """Return the caption of each picture that a guide shows, by its file's name."""
    guides = (ROOT / "docs" / "guides").glob("*.md")
    found = [re.findall(r"!\[([^\n]*)\]\(\.\./pictures/([\w.-]+)\)", page.read_text("utf-8")) for page in guides]
    return {name: caption for page in found for caption, name in page}


def test_every_picture_is_made_by_the_tool_and_shown_by_a_guide(tool):
    assert sorted(tool.PICTURES) == sorted(path.stem for path in PICTURES)
    assert sorted(shown()) == [path.name for path in PICTURES]


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_caption_says_what_is_seen_and_then_the_command_that_the_tool_gives(path, tool):
    seen, _, command = shown()[path.name].rpartition(": nervecord ")
    assert len(seen.split()) >= 5
    assert [word for word in command.split() if word not in inspect.getsource(tool.PICTURES[path.stem])] == []


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_a_small_file(path):
    assert path.stat().st_size < MOST[path.suffix]


def test_a_still_and_a_figure_made_anew_take_the_place_of_the_old(tool, tmp_path, monkeypatch):
    stored = tool.FOLDER
    monkeypatch.setattr(tool, "FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    still, figure = (tool.write(name, tool.PICTURES[name]()) for name in ("lesion", "gait"))
    assert Image.open(still).size == Image.open(stored / still.name).size
    sizes = [re.search('viewBox="([^"]+)"', path.read_text("utf-8")) for path in (figure, stored / figure.name)]
    assert sizes[0] is not None
    assert sizes[1] is not None
    assert sizes[0][1] == sizes[1][1]
