"""How much memory this machine has."""

from __future__ import annotations

import os


def machine_memory() -> float:
    """Return the machine's memory, bytes; infinity where the system does not report it."""
    if not hasattr(os, "sysconf"):
        return float("inf")
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
