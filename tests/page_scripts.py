"""What of a page would run."""

from html.parser import HTMLParser

_FOREIGN = ("iframe", "object", "embed", "base", "foreignobject", "link")


class _Scripts(HTMLParser):
    """Collect what of a page would run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._is_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        self._is_script = tag == "script" and held.get("type") != "application/json"
        wrong = [name for name, value in attrs if name.startswith("on") or "javascript:" in str(value)]
        if wrong or (tag in _FOREIGN and held.get("rel") != "icon"):
            self.found.append(f"<{tag} {' '.join(wrong)}>")

    def handle_data(self, data: str) -> None:
        if self._is_script:
            self.found.append(data)
        self._is_script = False


def scripts(page: str) -> list[str]:
    """Return every script of a page, and everything else in it that would run."""
    parser = _Scripts()
    parser.feed(page)
    return parser.found
