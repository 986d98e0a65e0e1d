"""What the XML of a body may hold: nothing that opens a file, and no more than MuJoCo compiles in seconds."""

from __future__ import annotations

import math

from ...errors import InvalidBody
from .xml_tags import files_of, tags

MAX_BYTES = 64 * 2**20
MAX_ELEMENTS = 4000  # copies counted; MuJoCo takes seconds to compile as many, and minutes for tens of thousands
MAX_VALUES = 2**24  # pixels of textures and heights of fields, all together
MAX_WORD = 1000  # signs of a name or a setting
# What holds numbers, and may be long.
_LISTS = {"vertex", "normal", "texcoord", "face", "facetexcoord", "elevation", "data", "user", "gridlayout"}
# The greatest numbers in attributes by which a short text asks for much.
_MOST = {"actdim": 100, "nsample": 10_000, "params": 300}
_REFUSED = {
    "flexcomp": "deformable",
    "flex": "deformable",
    "composite": "made of parts that MuJoCo multiplies",
    "model": "another model in a file",
    "extension": "an engine plug-in",
    "plugin": "an engine plug-in",
}


def check_closed(name: str, text: str) -> None:
    """Refuse what would open a file, or take for ever, before MuJoCo sees it.

    Raises:
        InvalidBody: the text includes files or other models, or asks for more than a body needs.
    """
    if not text.strip():
        raise InvalidBody(f"{name}: the XML is empty; give a planar body")
    if len(text) > MAX_BYTES:
        raise InvalidBody(f"{name}: the XML has {len(text)} characters; at most {MAX_BYTES} are allowed")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidBody(f"{name}: the XML is not text; give MuJoCo XML")
    elements, values, copies = 0, 0.0, [1]
    for tag in tags(text):
        if tag.is_end:
            if tag.name == "replicate" and len(copies) > 1:
                copies.pop()
            continue
        attributes = tag.attributes
        _check_tag(name, tag.name, attributes)
        elements += copies[-1]
        values += copies[-1] * _values(tag.name, attributes)
        if tag.name == "replicate" and not tag.is_alone:
            copies.append(copies[-1] * max(1, int(min(_number(attributes, "count"), MAX_ELEMENTS + 1))))
        if elements > MAX_ELEMENTS:
            raise InvalidBody(
                f"{name}: the XML has more than {MAX_ELEMENTS} elements, copies of <replicate> counted; give fewer"
            )
        if values > MAX_VALUES:
            raise InvalidBody(
                f"{name}: <{tag.name}> brings pixels and heights to more than {MAX_VALUES}; give smaller ones"
            )


def _check_tag(name: str, tag: str, attributes: dict[str, str]) -> None:
    """Refuse an element that opens a file, is none of a body, or holds what is no number or a number too large."""
    if tag.startswith("!"):
        raise InvalidBody(f"{name}: the XML has a <{tag}>; leave it out")
    for key, value in attributes.items():
        if key not in _LISTS and len(value) > MAX_WORD:
            raise InvalidBody(f"{name}: {key} of a <{tag}> has {len(value)} characters; at most {MAX_WORD} are allowed")
        if "nan" in value.lower() and _is_nan(value):
            raise InvalidBody(f'{name}: <{tag} {key}="{value}"> is not a number; give finite numbers')
        if key in _MOST and _greatest(value) > _MOST[key]:
            raise InvalidBody(f'{name}: <{tag} {key}="{value}"> is too large; {_MOST[key]} is the most')
    if tag == "include" or (tag in ("mesh", "hfield", "skin", "texture") and files_of(attributes)):
        file = (files_of(attributes) or ["a file"])[0]
        hint = "read the body with from_file, which writes files into the XML"
        if tag in ("hfield", "skin"):
            hint = f"a <{tag}> from a file cannot be a part of a body; leave it out"
        raise InvalidBody(f"{name}: <{tag}> names the file {file!r}; {hint}")
    if tag in _REFUSED:
        raise InvalidBody(f"{name}: <{tag}> is {_REFUSED[tag]}; give rigid bodies with hinges")


def _values(tag: str, attributes: dict[str, str]) -> float:
    """Return how many pixels or heights an element makes."""
    if tag == "texture":
        width = _number(attributes, "width")
        # Those that are not flat have six sides, whatever their height.
        sides = 1.0 if attributes.get("type") == "2d" else 6 * width
        return width * max(sides, _number(attributes, "height"))
    return _number(attributes, "nrow") * _number(attributes, "ncol") if tag == "hfield" else 0.0


def _number(attributes: dict[str, str], key: str) -> float:
    """Return a number as MuJoCo reads it, 0 where there is none: it then stops there itself."""
    return max(0.0, _greatest(attributes.get(key, "0")))


def _greatest(value: str) -> float:
    try:
        return max((float(word) for word in value.split()), default=0.0)
    except ValueError:
        return 0.0


def _is_nan(value: str) -> bool:
    try:
        return any(math.isnan(float(word)) for word in value.split())
    except ValueError:
        return False
