"""Figures in a page: drawn again from what an SVG shows, so that nothing that a file of a stranger says runs there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from markupsafe import Markup

from ..drawing.palette import LETTERS, REST
from ..errors import InvalidRun

_PIXELS = 4 / 3  # of a page, to a point of a figure
# By which a page finds its own colours for what a figure draws in black, grey and white.
_COLOUR = re.compile(r"\s*#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})\s*")
_INK = 0.16  # the lightness of a page's ink on white
_TEXT_INK = 0.75  # at least, that letters can be read
_MOST_SIGNS, _MOST_DEPTH = 2**24, 40
_SHAPES = ("path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "image", "use")
_ELEMENTS = ("svg", "g", "defs", "clipPath", "title", *_SHAPES)
_PAINT = (
    "fill", "fill-opacity", "fill-rule", "stroke", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap",
    "stroke-linejoin", "stroke-miterlimit", "stroke-opacity", "stroke-width", "opacity", "clip-path", "image-rendering",
    "font", "font-family", "font-size", "font-stretch", "font-style", "font-variant", "font-weight", "text-anchor",
)  # fmt: skip
_PLACE = (
    "d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "ry", "dx", "dy", "width", "height", "points",
    "transform", "viewBox", "preserveAspectRatio",
)  # fmt: skip
_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=\s]*")
_KNOWN = frozenset((*_PLACE, *_PAINT))
# No sign that begins an escape, a string of an address or a rule: what is left are numbers, colours and names.
_VALUE = re.compile(
    r"(?:[^\\<>@{}()\"]|url\(#[\w.:-]+\)|(?:rgba?|translate|rotate|scale|matrix|skew[XY])\([^()\\:]*\))*"
)
_REFERENCE = re.compile(r"url\(#([\w.:-]+)\)")


def embedded_svg(svg: str, prefix: str, label: str) -> Markup:
    """Return a figure to stand among others in a page: named for who cannot see it, its neurons found by `data-neuron`.

    It is as large as it was drawn, so that letters of all figures have one size: on a narrow page it shrinks by a
    quarter and then scrolls. Its black, grey and white are the page's, light or dark.

    Only shapes, text and pictures that lie in the figure itself are taken over, with their places and their paint.
    matplotlib gives the same ids to the parts of every figure: those that are referred to are kept, behind the prefix.

    Args:
        svg: what `figure_svg` returned, now or for whoever made the file.
        prefix: of ids; another for each figure of a page.
        label: what it shows, in words.

    Raises:
        InvalidRun: it is no SVG that can be shown.
    """
    root = _parsed(svg, label)
    name, children = root.tag.rpartition("}")[2], list(root)
    size = re.fullmatch(r"\s*[-\d.e+]+\s+[-\d.e+]+\s+(\d+(?:\.\d*)?)\s+[\d.]+\s*", root.get("viewBox", ""))
    if name != "svg" or size is None:
        raise InvalidRun(f"the figure of {label} is not an SVG with a viewBox; remove it, and measure again")
    targets = {item.get("id", ""): item for item in root.iter() if item.get("id")}
    wanted = {name for item in root.iter() for name in _referred(item)}
    drawn = ElementTree.Element("svg", {"viewBox": root.get("viewBox", "")})
    waiting = [(drawn, child) for child in reversed(children)]
    while waiting:
        parent, item = waiting.pop()
        name = item.tag.rpartition("}")[2] if isinstance(item.tag, str) else ""
        if name not in _ELEMENTS or (name == "use" and _is_nested(item, targets)):
            continue
        made = ElementTree.SubElement(parent, name, dict(_attributes(item, prefix, wanted)))
        made.text = item.text if name in ("text", "tspan", "title") else None
        made.tail = item.tail if name == "tspan" else None
        waiting += [(made, child) for child in reversed(list(item))]
    # Where its neurons can be reached, it is not one image.
    drawn.set("role", "group" if any("data-neuron" in item.attrib for item in drawn.iter()) else "img")
    drawn.set("aria-label", label)
    width = _PIXELS * float(size[1])
    drawn.set("style", f"min-width: {0.75 * width:.0f}px; max-width: {width:.0f}px")
    return Markup(ElementTree.tostring(drawn, encoding="unicode"))


def _parsed(svg: str, label: str) -> ElementTree.Element:
    wrong = "it has declarations" if re.search(r"<!(?!--|\[CDATA\[)", svg) else ""
    wrong = "it is too long" if len(svg) > _MOST_SIGNS else wrong
    if not wrong:
        try:
            root = ElementTree.fromstring(svg)
            if _depth(root) <= _MOST_DEPTH:
                return root
            wrong = "its parts lie too deep in one another"
        except (ElementTree.ParseError, ValueError) as error:
            wrong = str(error)
    raise InvalidRun(f"the figure of {label} cannot be read as SVG ({wrong}); remove it, and measure again")


def _depth(root: ElementTree.Element) -> int:
    depth, level = 0, [root]
    while level:
        depth, level = depth + 1, [child for item in level for child in item]
    return depth


def _referred(item: ElementTree.Element) -> Iterator[str]:
    """Yield the ids that an element refers to."""
    for key, value in item.attrib.items():
        if key.rpartition("}")[2] == "href":
            yield value.removeprefix("#")
        yield from _REFERENCE.findall(value)


def _is_nested(use: ElementTree.Element, targets: dict[str, ElementTree.Element]) -> bool:
    """Return whether a <use> shows others: a few of those in one another draw for ever."""
    shown = [targets[name] for name in _referred(use) if name in targets]
    return any(item.tag.rpartition("}")[2] == "use" for each in shown for item in each.iter())


def _attributes(item: ElementTree.Element, prefix: str, wanted: set[str]) -> Iterator[tuple[str, str]]:
    for key, value in item.attrib.items():
        name = key.rpartition("}")[2]
        if name == "id" and value.startswith("neuron "):
            yield "data-neuron", value.removeprefix("neuron ")
        elif name == "id" and value in wanted:
            yield "id", f"{prefix}-{value}"
        elif name == "href":
            if value.startswith("#"):
                yield "href", f"#{prefix}-{value[1:]}"
            elif item.tag.endswith("image") and _PICTURE.fullmatch(value):
                yield "href", value
        elif name == "style":
            pairs = ((key.strip(), text) for key, _, text in (pair.partition(":") for pair in value.split(";")))
            kept = [
                f"{key}:{_painted(item, key, text)}" for key, text in pairs if key in _PAINT and _VALUE.fullmatch(text)
            ]
            yield "style", _prefixed(";".join(kept), prefix)
        elif name in _KNOWN and _VALUE.fullmatch(value):
            yield name, _prefixed(value, prefix)


def _painted(item: ElementTree.Element, key: str, value: str) -> str:
    """Return a mixture of the page's ink and paper for a neutral colour."""
    colour = _COLOUR.fullmatch(value)
    # What neurons are filled and named with is the same in the light and in the dark.
    if key not in ("fill", "stroke") or colour is None or value.strip() in (LETTERS, REST):
        return value
    channels = [int(channel, 16) for channel in colour.groups()]
    if max(channels) - min(channels) > 24:
        return value
    name = item.tag.rpartition("}")[2]
    if (name, key, min(channels)) == ("path", "fill", 255):
        # Behind a figure is the page, with the shadow that says that there is more.
        return "none"
    ink = min((1 - sum(channels) / 765) / (1 - _INK), 1)
    return f"color-mix(in srgb, var(--ink) {max(ink, _TEXT_INK if name == 'text' else 0):.0%}, var(--page))"


def _prefixed(value: str, prefix: str) -> str:
    return _REFERENCE.sub(lambda found: f"url(#{prefix}-{found[1]})", value)
