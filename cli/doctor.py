"""Diagnose an installation: what is installed, what does not work, and how to fix it."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from typing import Any

import torch

from ..version import __version__
from ..videos.view3d import draws, probe_renderer, remedy

_PACKAGES = (
    "torch",
    "mujoco",
    "dm-control",
    "gymnasium",
    "stable-baselines3",
    "numpy",
    "scipy",
    "pandas",
    "av",
)


def doctor() -> dict[str, Any]:
    """Return versions, threads, renderers and encoders, and a list of problems with their remedies."""
    versions: dict[str, str | None] = {"nervecord": __version__}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    problems = [
        f"{name} is not installed: pip install {name}"
        for name, found in versions.items()
        if not found and (name != "dm-control" or sys.version_info < (3, 13))
    ]
    mujoco = versions["mujoco"] or ""
    if mujoco.split(".")[0].isdigit() and int(mujoco.split(".")[0]) >= 4:
        problems.append("mujoco 4 breaks dm-control 1.0.50 (flex_vertedge): pip install 'mujoco>=3.17,<4'")
    renderer = probe_renderer()
    if renderer is None:
        problems.append(f"--view 3d has no OpenGL (the default 2-D view needs none); {remedy()}")
    wanted = os.environ.get("MUJOCO_GL")
    if wanted and wanted not in ("disable", "disabled", renderer) and not draws(wanted):
        problems.append(f"MUJOCO_GL={wanted} is set but does not work on this machine: unset MUJOCO_GL")
    encoders = ["gif", "webp"]
    if versions["av"]:
        import av

        if "libx264" in av.codecs_available:
            encoders.insert(0, "mp4")
    return {
        "python": sys.version.split()[0],
        "packages": versions,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "renderer_3d": renderer,
        "encoders": encoders,
        "problems": problems,
    }
