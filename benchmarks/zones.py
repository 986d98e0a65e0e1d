"""What an arena costs: steps a second with zones over those without, measured in pairs, because cores are shared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..envs import Arena, EnvBatch, Landscape, Zone, gel
from .rows import rate_row

_SECONDS = 0.5  # of one measurement, roughly
_PAIRS = 5  # in each of the repeats
_LEAST = 0.85  # of the rate without zones
_BODY = "swimmer6"
_ENVS = {"lanes": 256, "mujoco": 32}
# Media of about one drag: the same motion, at the cost of looking them up.
_ONE = (Zone(x=-0.2, medium=gel(1e-9)),)
_ZONES = {
    "one zone": _ONE,
    "three zones": (*_ONE, Zone("disc", gel(2e-9), y=0.5, size=0.3, edge=0.12), Zone("ramp", gel(3e-9), x=0.3)),
}


def zones_speed(repeats: int = 3) -> list[dict[str, Any]]:
    """Measure whole environment steps in one medium and with zones, in turns, on both kinds of physics.

    Returns:
        For each physics and arena, a row with the rate, and for each arena with zones the median of `ratio`, that to
        the rate without, measured right before, with its low and high; and what is `asked` of it.
    """
    rows: list[dict[str, Any]] = []
    for physics, n_envs in _ENVS.items():
        bare = _rate(physics, n_envs, Arena(gel(0.0)))
        for name, zones in _ZONES.items():
            zoned = _rate(physics, n_envs, Landscape(gel(0.0), zones))
            pairs = [(bare(), zoned()) for _ in range(repeats * _PAIRS)]
            ratios = [with_zones / without for without, with_zones in pairs]
            rows += [
                rate_row(f"{physics}, {n_envs} environments, {what}", [pair[at] for pair in pairs])
                for at, what in enumerate(("one medium", name))
            ]
            rows.append({
                "name": f"{physics}, {name} / one medium", "ratio": round(statistics.median(ratios), 3),
                "low": round(min(ratios), 3), "high": round(max(ratios), 3), "asked": _LEAST,
            })  # fmt: skip
    return rows


def as_text(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table for people."""
    lines = [f"{'':50}{'steps/s':>12}   lowest to highest"]
    for row in rows:
        if "ratio" in row:
            spread = f"{row['low']:.2f} to {row['high']:.2f}, asked for {row['asked']}"
            lines.append(f"{row['name']:50}{row['ratio']:>12.2f}   {spread}")
        else:
            lines.append(f"{row['name']:50}{row['steps_per_second']:>12,}   {row['low']:,} to {row['high']:,}")
    return "\n".join(lines)


def _rate(physics: str, n_envs: int, arena: Arena) -> Callable[[], float]:
    """Return what measures steps a second of processor time, on one thread."""
    envs = EnvBatch("swim", n_envs, _BODY, arena, physics=physics, n_threads=1, episode_steps=10**9)
    envs.seed(list(range(n_envs)))
    envs.reset(np.arange(n_envs))
    wave = np.sin(0.4 * np.arange(50)[:, None] - 0.8 * np.arange(envs.body.n_joints))
    actions = wave[:, None] * np.linspace(0.2, 1.0, n_envs)[None, :, None]

    def measure() -> float:
        calls, taken = 0, 0.0
        while taken < _SECONDS / _PAIRS:
            begin = time.process_time()
            for step in range(5):
                envs.step(actions[(calls + step) % len(actions)])
            calls, taken = calls + 5, taken + time.process_time() - begin
        return n_envs * calls / taken

    return measure
