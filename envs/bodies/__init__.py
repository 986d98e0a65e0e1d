"""Bodies by name."""

from .swimmers import VARIANTS, Body, body_names, make_body, register_body, swimmer

__all__ = ["VARIANTS", "Body", "body_names", "make_body", "register_body", "swimmer"]
