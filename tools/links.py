"""Check the links of the README, the pages and the other Markdown of the project.

    python tools/links.py              links within the project: files and headings
    python tools/links.py --external   those to other sites too, which needs a network

It prints one line for each link that leads nowhere, and exits with 1 if there is one. Sites that answer by refusing
programs (401, 403, 429) are counted as there.
"""

from __future__ import annotations

import argparse
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\]\(([^()\s]+(?:\([^()\s]*\))?)\)")
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_HEADING = re.compile(r"^#+ +(.*?) *(?:\{ *#([\w-]+) *\})?$", re.MULTILINE)
_REFUSED = (401, 403, 405, 429)
_SECONDS = 20.0


def pages(root: Path = ROOT) -> list[Path]:
    """Return the Markdown of the project."""
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]


def links(page: Path) -> list[str]:
    """Return where the links of a page lead, without those in code."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return _LINK.findall(_CODE.sub("", text))


def anchors(page: Path) -> set[str]:
    """Return the names by which a page's headings can be linked to, as Python-Markdown and GitHub make them."""
    found: set[str] = set()
    for title, given in _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        slug = re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", plain).strip())
        found.add(given or (slug if slug not in found else f"{slug}_1"))
    return found


def broken(root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each link within the project to a file or a heading that is not there."""
    for page in pages(root):
        for target in links(page):
            if "://" in target or target.startswith("mailto:"):
                continue
            path, _, anchor = target.partition("#")
            file, where = (page.parent / path).resolve() if path else page, page.relative_to(root)
            if not file.exists():
                yield f"{where}: no file {target}"
            # Names of Python's reference are headings only when the pages are built, and checked then.
            elif anchor and not anchor.startswith("nervecord.") and anchor not in anchors(file):
                yield f"{where}: no heading {target}"


def unreachable(addresses: Sequence[str], seconds: float = _SECONDS) -> Iterator[str]:
    """Yield a line for each address that does not answer, or answers that it has no such page."""
    for address in addresses:
        request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0 (link check)"})
        try:
            with urllib.request.urlopen(request, timeout=seconds):
                pass
        except urllib.error.HTTPError as error:
            if error.code not in _REFUSED:
                yield f"{address}: {error.code} {error.reason}"
        except (OSError, ValueError) as error:
            yield f"{address}: {error}"


def external(root: Path = ROOT) -> list[str]:
    """Return the addresses that pages link to, each once, without those of one's own machine."""
    found = {target for page in pages(root) for target in links(page) if target.startswith(("http://", "https://"))}
    return sorted(address for address in found if "//localhost" not in address and "//127." not in address)


def main() -> int:
    """Check what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--external", action="store_true", help="check addresses of other sites too")
    wrong = list(broken())
    if parser.parse_args().external:
        wrong += unreachable(external())
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
