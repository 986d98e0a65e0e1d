"""The project's address is set in one place, and everything that depends on it follows."""

import importlib.util
import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HERE = "https://github.com/somebody/nervecord"


@pytest.fixture
def address():
    spec = importlib.util.spec_from_file_location("address", ROOT / "tools" / "address.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path):
    """Return a copy of the files that depend on the address."""
    for name in ("pyproject.toml", "README.md", "CITATION.cff", "mkdocs.yml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "notebooks").mkdir()
    install = {"cell_type": "code", "metadata": {"tags": ["install"]}, "source": ["%pip install elsewhere"]}
    (tmp_path / "notebooks" / "a.ipynb").write_text(json.dumps({"cells": [install]}), encoding="utf-8")
    return tmp_path


def write(address, folder, value):
    path = folder / "pyproject.toml"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(
        "".join(f'address = "{value}"\n' if line.startswith("address = ") else line for line in lines), encoding="utf-8"
    )
    for file, text in address.files(folder):
        file.write_text(text, encoding="utf-8")


def test_files_are_as_the_address_says(address):
    assert [str(path) for path, text in address.files() if path.read_text(encoding="utf-8") != text] == [], (
        "run tools/address.py"
    )


def test_one_address_makes_urls_badges_citation_and_install_cell(address, copy):
    before = {path: path.read_text(encoding="utf-8") for path, _ in address.files(copy) if path.suffix != ".ipynb"}
    write(address, copy, HERE)
    urls = tomllib.loads((copy / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert urls["Source"] == HERE
    assert urls["Issues"] == f"{HERE}/issues"
    readme = (copy / "README.md").read_text(encoding="utf-8")
    assert readme.startswith(f"# nervecord\n\n[![tests]({HERE}/actions")
    assert "colab.research.google.com/github/somebody/nervecord/blob/main/notebooks/teach.ipynb" in readme
    assert f'repository-code: "{HERE}"\n' in (copy / "CITATION.cff").read_text(encoding="utf-8")
    assert f"repo_url: {HERE}\n" in (copy / "mkdocs.yml").read_text(encoding="utf-8")
    cell = json.loads((copy / "notebooks" / "a.ipynb").read_text(encoding="utf-8"))["cells"][0]
    assert cell["source"][-1] == f'    %pip install -q "nervecord @ git+{HERE}"'
    write(address, copy, "https://git.example.org/lab/worms")
    assert "colab" not in (copy / "README.md").read_text(encoding="utf-8").split("Neural-circuit")[0]
    write(address, copy, "")
    assert {path: path.read_text(encoding="utf-8") for path in before} == before
    assert "%pip install -q ..  #" in (copy / "notebooks" / "a.ipynb").read_text(encoding="utf-8")


def test_a_package_shows_the_readme_with_whole_addresses(address):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = address.for_a_package(readme, HERE)
    assert f"]({HERE}/raw/main/docs/worm.webp)" in shown
    assert f"[Contributing]({HERE}/blob/main/CONTRIBUTING.md#set-up)" in shown
    links = re.findall(r"(?<!`)\]\(([^)]*)\)", shown)
    assert len(links) > 30
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert shown.replace(f"{HERE}/raw/main/", "").replace(f"{HERE}/blob/main/", "") == readme
    with pytest.raises(ValueError, match="address is not set; set it in pyproject"):
        address.for_a_package(readme, "")


def test_an_address_of_another_form_is_one_line(address, copy):
    with pytest.raises(ValueError, match="give https://HOST/OWNER/NAME"):
        write(address, copy, f"{HERE}/")
