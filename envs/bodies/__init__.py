"""Bodies by name."""

from .body import Body, Parts
from .registry import body_from_json, body_names, make_body, register_body
from .swimmers import VARIANTS, Swimmer, swimmer
from .xml_body import XmlBody

__all__ = [
    "VARIANTS",
    "Body",
    "Parts",
    "Swimmer",
    "XmlBody",
    "body_from_json",
    "body_names",
    "make_body",
    "register_body",
    "swimmer",
]
