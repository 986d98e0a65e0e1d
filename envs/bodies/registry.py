"""The bodies by name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium

from ...errors import InvalidBody, UnknownName
from ...options import told
from ...registry import Registry
from ..arenas.media import medium_of
from .body import Body
from .swimmers import VARIANTS, Swimmer, swimmer
from .worm import Worm, worm
from .xml_body import XmlBody

_LISTED_SIZES = (3, 4, 6, 8, 10, 12, 15, 20, 24)
_MORE = (
    "N is any number from 3 to 100 in swimmerN, swimmerN-VARIANT and wormN; of your own: a MuJoCo XML file, or an "
    "entry point of nervecord.bodies (docs/guides/body.md)"
)


def _gymnasium_swimmer() -> Body:
    # Importing gymnasium.envs.mujoco needs its rendering extras; the XML alone does not.
    xml = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "swimmer.xml"
    return XmlBody.from_text("gymnasium-swimmer", xml.read_text(encoding="utf-8"), control_dt=0.04)


_registered: Registry[Callable[[], Body]] = Registry("nervecord.bodies", {"gymnasium-swimmer": _gymnasium_swimmer})


def register_body(name: str, make: Callable[[], Body]) -> None:
    """Register a body under `name`, for all commands and environments."""
    _registered[name] = make


def body_names() -> Iterator[str]:
    """Return the names of bodies for listings; in `swimmerN`, its variants and `wormN`, N is any number from 3 to
    100."""
    yield from (f"swimmer{n}" for n in _LISTED_SIZES)
    yield from (f"swimmer6-{variant}" for variant in VARIANTS)
    yield from ("worm", "worm24")
    yield from _registered


def make_body(body: str | Path | Body) -> Body:
    """Return a body from its name (`swimmerN`, `swimmerN-VARIANT`, `worm`, `wormN`, a registered one) or an XML file.

    A `Path`, and a string that is an existing file or ends in .xml, is read as MuJoCo XML; see `XmlBody`.

    Raises:
        UnknownName: there is no such body.
        InvalidBody: the number of links is out of range, the XML is not a planar body of motorised hinges, or `body`
            is neither a name nor a body.
    """
    if isinstance(body, Body):
        return body
    if isinstance(body, Path):
        return XmlBody.from_file(body)
    if not isinstance(body, str):
        raise InvalidBody(f"body is {told(body)}; give a name, such as swimmer6, a Body, or a path to MuJoCo XML")
    if body in _registered:
        return _registered[body]()
    if match := re.fullmatch(r"worm(\d*)", body):
        return worm(int(match[1])) if match[1] else worm()
    if match := re.fullmatch(r"swimmer(\d+)(?:-(\w+))?", body):
        base, variant = swimmer(int(match[1])), match[2]
        if variant is None:
            return base
        if variant in VARIANTS:
            return dataclasses.replace(base, name=body, **VARIANTS[variant][1](base))
    if body.endswith(".xml") or Path(body).is_file():
        return XmlBody.from_file(body)
    raise UnknownName("body", body, body_names(), _MORE)


def body_from_json(values: Mapping[str, Any]) -> Body:
    """Return the body that `to_json` described, or that a run of format 2 has.

    Raises:
        InvalidBody: a field is out of range or belongs to another kind of body.
    """
    if not isinstance(values, Mapping):
        raise InvalidBody(f"a body is {type(values).__name__} where it is stored; it is a table of its fields")
    fields = dict(values)
    kind = fields.pop("kind", None)
    if kind is None:
        # Before format 3, one class served all bodies, and the fluid was a field of the body.
        if fields.get("xml") is not None:
            kind, fields = "xml", {name: fields[name] for name in ("name", "xml", "control_dt")}
        else:
            fields.pop("xml", None)
            medium = {name: fields.pop(name) for name in ("density", "viscosity")}
            kind, fields = "swimmer", {**fields, "habitat": medium}
    if isinstance(fields.get("habitat"), Mapping):
        fields["habitat"] = medium_of(fields["habitat"])
    try:
        return {"swimmer": Swimmer, "worm": Worm, "xml": XmlBody}[kind](**fields)
    except (TypeError, KeyError) as error:
        raise InvalidBody(f"a body of kind {kind!r} cannot be read: {error}") from error
