"""The tags of an XML text, with where they stand in it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

# Quotes hold any sign but themselves; possessive, so that hostile text cannot make it go back and forth.
_TAG = re.compile(r"<((?:[^<>\"']|\"[^\"]*+\"|'[^']*+')*+)>")
_DECLARATION = re.compile(r"<(!\w*)")
_SKIPPED = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"))
_NAME = re.compile(r"\s*(?P<close>/?)\s*(?P<name>[^\s/>]*)")
_ATTRIBUTE = re.compile(r"\s*(?P<key>[^\s=\"'/<>]+)\s*=\s*(?P<value>\"[^\"]*\"|'[^']*')")


class Tag:
    """One start or end tag, and where it stands in the text."""

    def __init__(self, match: re.Match[str]) -> None:
        self.start, self.end, self._body = match.start(), match.end(), match[1]
        name = _NAME.match(self._body)
        assert name is not None
        self.is_end = bool(name["close"])
        self.is_alone = self._body.rstrip().endswith("/")
        # MuJoCo reads the names of elements in any case.
        self.name = name["name"].lower()
        self._from = name.end()

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes with entities resolved."""
        found = _ATTRIBUTE.finditer(self._body, self._from)
        return {each["key"]: html.unescape(each["value"][1:-1]) for each in found}

    def without(self, keys: set[str], added: str = "") -> str:
        """Return the tag without some attributes, and with others."""
        kept = _ATTRIBUTE.sub(lambda each: "" if each["key"] in keys else each[0], self._body[self._from :])
        return f"<{self._body[: self._from]}{added}{kept}>"


def tags(text: str) -> Iterator[Tag]:
    """Yield the tags up to where the text stops to be XML; of a text that does, MuJoCo follows no tag."""
    at = text.find("<")
    while at >= 0:
        if skipped := next((each for each in _SKIPPED if text.startswith(each[0], at)), None):
            close = text.find(skipped[1], at + len(skipped[0]))
            if close < 0:
                return
            end = close + len(skipped[1])
        elif match := _DECLARATION.match(text, at) or _TAG.match(text, at):
            yield Tag(match)
            end = match.end()
        else:
            return
        at = text.find("<", end)


def files_of(attributes: dict[str, str]) -> list[str]:
    """Return the files that an element names."""
    return [value for key, value in attributes.items() if key.startswith("file") and value]
