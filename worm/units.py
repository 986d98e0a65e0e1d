"""Units as worm trackers write them (WCON): products of numbers and named units, such as mm, 0.04*s or in/72."""

from __future__ import annotations

import re

from ..errors import InvalidRecording

_PREFIXES = {"c": 1e-2, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "k": 1e3, "M": 1e6, "G": 1e9, "": 1.0}
_LONG = {"centi": 1e-2, "milli": 1e-3, "micro": 1e-6, "nano": 1e-9, "kilo": 1e3, "mega": 1e6, "giga": 1e9, "": 1.0}
# SI value and powers of length and time; 1 and % have none. Capitals count: mm is not Mm.
_UNITS: dict[str, tuple[float, int, int]] = {
    "": (1.0, 0, 0), "1": (1.0, 0, 0), "%": (0.01, 0, 0), "in": (0.0254, 1, 0), "inch": (0.0254, 1, 0),
    "inches": (0.0254, 1, 0), "micron": (1e-6, 1, 0), "microns": (1e-6, 1, 0), "min": (60.0, 0, 1), "h": (3600.0, 0, 1),
    "d": (86400.0, 0, 1), **{f"{name}{s}": (value, 0, 1) for name, value in
    (("minute", 60.0), ("hour", 3600.0), ("day", 86400.0)) for s in ("", "s")},
    **{f"{prefix}m": (value, 1, 0) for prefix, value in _PREFIXES.items()},
    **{f"{prefix}{name}{s}": (value, 1, 0) for prefix, value in _LONG.items() for name in ("meter", "metre")
       for s in ("", "s")},
    **{f"{prefix}second{s}": (value, 0, 1) for prefix, value in _LONG.items() for s in ("", "s")},
}  # fmt: skip
# After lengths, so that min stays a minute; "ms" is a millisecond.
_UNITS |= {f"{prefix}s": (value, 0, 1) for prefix, value in _PREFIXES.items()}
_DIMENSIONS = {(1, 0): "a length", (0, 1): "a time", (0, 0): "a number"}
_EXAMPLES = {"a length": "mm", "a time": "s"}
_FACTOR = re.compile(r"([*/]?)\s*([^*/^\s]*)\s*(?:\^\s*(-?\d+))?\s*")
_OF_TRACKERS = {"pixel", "pixels", "px", "frame", "frames"}


def si_value(text: str, what: str, dimension: str) -> float:
    """Return the value of a unit in SI.

    Args:
        text: such as mm, in/72 or 0.04*s.
        what: whose unit it is, for messages.
        dimension: "a length" or "a time".

    Raises:
        InvalidRecording: it is no unit, or one of something else.
    """
    example = _EXAMPLES[dimension]
    if not isinstance(text, str):
        raise InvalidRecording(f"the unit of {what} is {text!r}; give text, such as {example!r}")
    value, length, time, at = 1.0, 0, 0, 0
    while at < len(text):
        found = _FACTOR.match(text, at)
        if found is None or not found[2] or bool(found[1]) is (at == 0):
            raise InvalidRecording(f"the unit of {what} is {text!r}; give {dimension}, such as {example!r}")
        at = found.end()
        factor, lengths, times = _named(found[2], text, what, dimension)
        power = int(found[3] or 1) * (-1 if found[1] == "/" else 1)
        value, length, time = value * factor**power, length + lengths * power, time + times * power
    if (given := _DIMENSIONS.get((length, time), "something else")) != dimension:
        raise InvalidRecording(f"the unit of {what} is {text!r}, {given}; give {dimension}, such as {example!r}")
    return value


def _named(name: str, text: str, what: str, dimension: str) -> tuple[float, int, int]:
    if name in _UNITS:
        return _UNITS[name]
    if re.fullmatch(r"\d+\.?\d*(e-?\d+)?|\.\d+", name):
        return float(name), 0, 0
    example = _EXAMPLES[dimension]
    if name in _OF_TRACKERS:
        advice = f"write how large one is, such as 0.04*{example} for 0.04 {example}"
        raise InvalidRecording(f"the unit of {what} is {text!r}, which says no size; {advice}")
    raise InvalidRecording(
        f"the unit of {what} is {text!r}, and {name!r} is none; give {dimension}, such as {example!r}"
    )
