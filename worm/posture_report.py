"""What recorded postures are like, in numbers and as a table of joint angles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from .posture import Posture, Track


def posture_facts(track: Track, posture: Posture, spline: bool = False) -> dict[str, Any]:
    """Return what one worm's posture is like, by name: s, m and rad.

    Args:
        track: what was seen.
        posture: the same as a chain.
        spline: the chain is of a spline, which needs fewer points.
    """
    seen, time = np.isfinite(posture.heading), posture.time
    n_links = posture.joint_pos.shape[1] + 1
    largest, limit = float(np.nanmax(np.abs(posture.joint_pos))), 2 * np.pi / n_links
    points = int(np.median([len(each) for each, there in zip(track.points, seen, strict=True) if there]))
    known = time[seen]
    facts: dict[str, Any] = {
        "times": len(time), "without posture": int((~seen).sum()),
        "duration, s": float(time[-1] - time[0]), "longest gap, s": float(np.diff(known).max(initial=0.0)),
        "head unknown": int((~track.known).sum()), "suspected swaps": track.suspects.tolist(),
        "points": points, "length, m": float(np.nanmean(posture.length)),
        "largest joint angle, rad": largest,
    }  # fmt: skip
    notes = coarse(track, posture, spline)
    if largest > limit:
        notes.append(f"beyond the joints of our bodies, which bend {limit:.3g} rad with {n_links} links")
    return {**facts, **({"note": notes} if notes else {})}


def coarse(track: Track, posture: Posture, spline: bool = False) -> list[str]:
    """Return a note where a track has too few points for a chain, and nothing elsewhere.

    Args:
        track: what was seen.
        posture: the same as a chain.
        spline: the chain is of a spline, which needs fewer points.
    """
    counts = [len(each) for each, there in zip(track.points, np.isfinite(posture.heading), strict=True) if there]
    points, n_links = int(np.median(counts)), posture.joint_pos.shape[1] + 1
    if spline or points >= 2 * n_links + 1 or points == n_links + 1:
        return []
    return [f"{n_links} links need {2 * n_links + 1} points or more, and there are {points}; --spline helps"]


def posture_table(postures: Mapping[str, Posture]) -> pd.DataFrame:
    """Return every worm at every time, by name: joint angles and heading (rad), the length and the head's place (m)."""
    tables = []
    for name, each in postures.items():
        columns = {"worm": name, "time": each.time}
        columns |= {f"angle_{i}": angle for i, angle in enumerate(each.joint_pos.T)}
        columns |= {
            "heading": each.heading,
            "length": each.length,
            "head_x": each.head[:, 0],
            "head_y": each.head[:, 1],
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)
