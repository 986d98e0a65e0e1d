"""Links of the README and the pages lead somewhere; those to other sites are checked by tools/links.py --external."""

import functools
import http.server
import importlib.util
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("links", ROOT / "tools" / "links.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_every_link_within_the_project_leads_to_a_file_and_a_heading(tool):
    assert sum(len(tool.links(page)) for page in tool.pages()) > 200
    assert list(tool.broken()) == []


def test_links_to_missing_files_and_headings_are_found(tool, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(
        "# One\n\n[there](docs/a.md#two-words-and-code) ![none](b.png) [no](docs/a.md#three) [own](#one)\n"
        "`[x](in-code.md)`\n"
        "```\n[x](in-a-fence.md)\n```\n[![a badge](https://a.example/b.svg)](https://a.example)\n",
        encoding="utf-8",
    )
    (tmp_path / "docs" / "a.md").write_text("# A\n\n## Two words, and `code`\n\n[up](../README.md)\n", encoding="utf-8")
    assert list(tool.broken(tmp_path)) == ["README.md: no file b.png", "README.md: no heading docs/a.md#three"]
    assert tool.external(tmp_path) == ["https://a.example", "https://a.example/b.svg"]


def test_an_address_that_has_no_such_page_or_no_server_is_found(tool, tmp_path):
    (tmp_path / "here.html").write_text("here", encoding="utf-8")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{server.server_port}"
    found = list(tool.unreachable([f"{site}/here.html", f"{site}/gone.html"]))
    server.shutdown()
    server.server_close()
    assert [line.split(": ")[0] for line in found] == [f"{site}/gone.html"]
    assert len(list(tool.unreachable([f"{site}/here.html"]))) == 1
