"""Runs that leave this machine: exports and their cards, and policies that need no nervecord."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .hub import export, import_run, push
    from .policies import Policy, check_policy, export_onnx, export_torch, onnx_step, torch_step

__all__ = [
    "Policy",
    "check_policy",
    "export",
    "export_onnx",
    "export_torch",
    "import_run",
    "onnx_step",
    "push",
    "torch_step",
]
__getattr__ = lazy_exports(__name__, __file__)
