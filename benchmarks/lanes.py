"""Physics alone: mj_step and lanes on one core, in one run, under the same random commands.

Processor time, because cores are shared; everything that is compared is measured in turns, and medians are taken.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from ..envs.bodies import make_body
from ..envs.physics.lanes import Lanes

_LINKS, _ENVS = (3, 6, 15, 40, 100), (32, 256, 1024)
_SECONDS = 0.1  # of one measurement, roughly
_COMMANDS = 20


def lanes_speed(
    repeats: int = 5, links: tuple[int, ...] = _LINKS, n_envs: tuple[int, ...] = (1, *_ENVS)
) -> list[dict[str, Any]]:
    """Measure control steps a second and core of swimmers, `repeats` times in turns; return medians.

    Returns:
        Rows with name, links, steps_per_second with its low and high, `times` that of mj_step, and nanoseconds of a
        link and physics step.
    """
    rows: list[dict[str, Any]] = []
    for n_links in links:
        cases = {"mj_step": _mj_step(n_links)} | {f"lanes, {n}": _lanes(n_links, n) for n in n_envs}
        found: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(repeats):
            for name, measure in cases.items():
                found[name].append(measure())
        body = make_body(f"swimmer{n_links}")
        n_substeps = round(body.control_dt / body.compile().opt.timestep)
        limit = statistics.median(found["mj_step"])
        for name, rates in found.items():
            rate = statistics.median(rates)
            rows.append(
                {
                    "name": name,
                    "links": n_links,
                    "steps_per_second": round(rate),
                    "low": round(min(rates)),
                    "high": round(max(rates)),
                    "times": round(rate / limit, 1),
                    "nanoseconds": round(1e9 / (rate * n_substeps * n_links), 2),
                }
            )
    return rows


def as_text(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table for people."""
    lines = [f"{'links':>5} {'':14}{'steps/s, core':>14}{'times':>8}{'ns/link/step':>14}   lowest to highest"]
    lines += [
        f"{row['links']:>5} {row['name']:14}{row['steps_per_second']:>14,}{row['times']:>8,.1f}"
        f"{row['nanoseconds']:>14,.2f}   {row['low']:,} to {row['high']:,}"
        for row in rows
    ]
    return "\n".join(lines)


def _rate(step: Callable[[int], Any], n_envs: int) -> float:
    """Return control steps a second of processor time; `step` takes the number of the call."""
    calls, taken = 0, 0.0
    while taken < _SECONDS:
        begin = time.process_time()
        for call in range(calls, calls + 5):
            step(call)
        calls, taken = calls + 5, taken + time.process_time() - begin
    return n_envs * calls / taken


def _mj_step(n_links: int) -> Callable[[], float]:
    body = make_body(f"swimmer{n_links}")
    model = body.compile()
    data, n_substeps = mujoco.MjData(model), round(body.control_dt / model.opt.timestep)
    commands = np.random.default_rng(0).uniform(-1, 1, (_COMMANDS, model.nu))

    def step(call: int) -> None:
        data.ctrl[:] = commands[call % _COMMANDS]
        mujoco.mj_step(model, data, n_substeps)

    return lambda: _rate(step, 1)


def _lanes(n_links: int, n_envs: int) -> Callable[[], float]:
    body = make_body(f"swimmer{n_links}")
    model, rng = body.compile(), np.random.default_rng(0)
    lanes, n_substeps = Lanes(model, n_envs), round(body.control_dt / model.opt.timestep)
    qpos = np.zeros((n_envs, 3 + lanes.n_joints))
    qpos[:, 2:] = rng.uniform(-0.3, 0.3, (n_envs, 1 + lanes.n_joints))
    lanes.reset(np.arange(n_envs), qpos)
    commands = rng.uniform(-1, 1, (_COMMANDS, n_envs, lanes.n_joints))
    return lambda: _rate(lambda call: lanes.step(commands[call % _COMMANDS], n_substeps), n_envs)
