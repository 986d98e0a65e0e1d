"""Bodies by name."""

from .swimmer import VARIANTS, Body, body_names, make_body, register_body, swimmer

__all__ = ["VARIANTS", "Body", "body_names", "make_body", "register_body", "swimmer"]
