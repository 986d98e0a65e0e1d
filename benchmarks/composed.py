"""What it costs to compose circuits: a step of the whole beside the steps of its parts alone, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch

from ..circuits import NCAP, Circuit, Composed, Steering, Wire

_JOINTS = 5
_BATCHES = (1, 32, 256)
_TURNS, _STEPS = 20, 50  # in each of the repeats, and of each circuit in a turn
_MOST = 30.0  # microseconds over the parts


def composed_speed(repeats: int = 3) -> list[dict[str, Any]]:
    """Measure a step of `navigator` made of its parts, and of these alone, on one thread.

    Returns:
        For each batch, a row with the microseconds of a step of the whole, of its parts together, and of the first over
        the others, the median of all turns with its low and high; their ratio; and what is `asked`.
    """
    torch.set_num_threads(1)
    rows = []
    parts_of: dict[str, Circuit] = {"steering": Steering(), "ncap": NCAP(_JOINTS, controls=True)}
    circuits = {"whole": _navigator(parts_of), **parts_of}
    for batch in _BATCHES:
        turns = [_turn(circuits, batch) for _ in range(repeats * _TURNS + 1)][1:]  # the first one warms up
        composed = statistics.median(turn["whole"] for turn in turns)
        parts = statistics.median(sum(turn.values()) - turn["whole"] for turn in turns)
        over = [2 * turn["whole"] - sum(turn.values()) for turn in turns]
        rows.append({
            "name": f"navigator of parts, batch {batch}", "composed": round(composed, 1), "parts": round(parts, 1),
            "over": round(statistics.median(over), 1), "low": round(min(over), 1), "high": round(max(over), 1),
            "ratio": round(composed / parts, 3), "asked": _MOST,
        })  # fmt: skip
    return rows


def as_text(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table for people."""
    titles = f"{'composed':>10}{'its parts':>11}{'over':>8}{'ratio':>8}   lowest to highest"
    lines = [f"{'microseconds of a step':32}{titles}"]
    for row in rows:
        spread = f"{row['low']} to {row['high']}, asked for {row['asked']:g}"
        numbers = f"{row['composed']:>10.1f}{row['parts']:>11.1f}{row['over']:>8.1f}{row['ratio']:>8.2f}"
        lines.append(f"{row['name']:32}{numbers}   {spread}")
    return "\n".join(lines)


def _navigator(parts: Mapping[str, Circuit]) -> Composed:
    """Return the composed circuit of docs/guides/compose.md that takes the steps of `Navigator`."""
    turns = ("right", "left", "speed")
    return Composed(
        parts,
        [
            Wire("in.joint_pos", "ncap.joint_pos"),
            Wire("in.to_target", "steering.to_target"),
            *(Wire(f"steering:{place}:{place + 1}", f"ncap.{name}", gain=1.0) for place, name in enumerate(turns)),
            Wire("ncap", "out"),
        ],
        senses={"joint_pos": _JOINTS, "to_target": 2},
        n_motors=_JOINTS,
    )


@torch.inference_mode()
def _turn(circuits: Mapping[str, Circuit], batch: int) -> dict[str, float]:
    """Return the median microseconds of some steps of each circuit, one circuit after the other in every step."""
    sensors = {name: torch.rand(batch, circuit.n_sensors) for name, circuit in circuits.items()}
    states = {name: circuit.initial_state(batch) for name, circuit in circuits.items()}
    times: dict[str, list[float]] = {name: [] for name in circuits}
    for _ in range(_STEPS):
        for name, circuit in circuits.items():
            begin = time.perf_counter()
            _, states[name] = circuit(sensors[name], states[name])
            times[name].append(time.perf_counter() - begin)
    return {name: 1e6 * statistics.median(taken) for name, taken in times.items()}
