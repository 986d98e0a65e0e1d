"""Files on every system: the same lines and names, and patience where Windows keeps a file from being replaced."""

import ast
import os
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from nervecord import files
from nervecord.files import LONGEST_NAME, plain_name, replace, write_csv, write_text

ROOT = Path(__file__).parents[1]


def test_lines_end_as_they_are_given(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "linesep", "\r\n")
    for name, text in {"a": "one\ntwo\n", "b": "one\r\ntwo\r\n"}.items():
        write_text(tmp_path / name, text)
        assert (tmp_path / name).read_bytes() == text.encode()
    write_csv(tmp_path / "c", pd.DataFrame({"name": ["a", "\udcff"]}, dtype=object))
    assert (tmp_path / "c").read_bytes() == b"name\na\n\\udcff\n"


@pytest.fixture
def held(monkeypatch):
    """Windows, which refuses to replace a file as often as the list has entries."""
    left, move = [], os.replace

    def refuse(old, new):
        if left:
            left.pop()
            raise PermissionError(13, "Access is denied", str(old), 5, str(new))
        move(old, new)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(sys, "platform", "win32")
    return left


def test_what_another_program_has_open_for_a_moment_is_replaced_after_it(tmp_path, held):
    (tmp_path / "page.html").write_text("old", encoding="utf-8")
    held += [1, 1, 1]
    write_text(tmp_path / "page.html", "new")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "new"
    assert os.listdir(tmp_path) == ["page.html"]


def test_what_another_program_keeps_open_is_said_in_one_line_and_left(tmp_path, held, monkeypatch):
    monkeypatch.setattr(files, "_PATIENCE", 0.1)
    (tmp_path / "page.html").write_text("old", encoding="utf-8")
    held += [1] * 100
    with pytest.raises(PermissionError, match="close the program that has it open") as caught:
        write_text(tmp_path / "page.html", "new")
    assert caught.value.filename == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_elsewhere_what_may_not_be_replaced_is_said_at_once(tmp_path, held, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    (tmp_path / "old").mkdir()
    held += [1]
    with pytest.raises(PermissionError):
        replace(tmp_path / "old", tmp_path / "new")
    assert held == []


@pytest.mark.parametrize("text", ["x" * 300, "worm: 3 µm", "con/../etc", " ", "a" * 61])
def test_any_text_has_a_name_of_its_own_that_every_system_takes(text, tmp_path):
    name = plain_name(text)
    assert 0 < len(name) <= LONGEST_NAME
    assert name.isascii()
    (tmp_path / name).mkdir()
    assert name != plain_name(f"{text}.")


def opens_text(call: ast.Call) -> bool:
    """Whether a call reads or writes text, as far as its words tell; ruff (PLW1514) sees other calls of open."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    arguments = [*call.args, *(each.value for each in call.keywords)]
    if name == "open" and ast.unparse(call.func) != "av.open":
        return any(isinstance(each, ast.Constant) and each.value in ("r", "w", "a", "rt", "wt") for each in arguments)
    return (name, len(call.args)) in (("read_text", 0), ("write_text", 1))


def test_the_encoding_of_text_is_named_where_it_is_opened():
    """Without, it is UTF-8 on one system and not on the next."""
    rooms = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "build"))]
    texts = {path: path.read_text(encoding="utf-8") for room in rooms for path in room.rglob("*.py")}
    bare = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, text in texts.items()
        if re.search(r"\.(read_text|write_text|open)\(", text)  # the others need no parsing, which takes seconds
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and opens_text(node) and "encoding" not in {word.arg for word in node.keywords}
    ]
    assert bare == []


def test_a_name_that_every_system_takes_is_left():
    assert plain_name("swimmer6-from-3200") == "swimmer6-from-3200"
    assert plain_name("a" * 60) == "a" * 60
