"""Speed of lanes against mj_step, and of environments on lanes against those on MuJoCo and of other libraries.

Cases that are compared are measured in turns in one run, under the same kind of random commands; results are medians.
Physics alone is timed in processor time, because cores are shared, and whole steps in wall time, as a user sees it.
Read the ratios: cores differ and are shared, so absolute rates do not carry over.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import mujoco
import numpy as np
from matplotlib.figure import Figure

from ..drawing.figures import COLOURS, open_axes
from ..envs import EnvBatch
from ..envs.bodies import make_body
from ..envs.physics.lanes import Lanes
from .rows import rate_row, ratio_rows
from .speed import absent_peers, dm_control_rate, envpool_rate, gymnasium_rate, single_rate, vector_rate

_LINKS, _ENVS = (3, 6, 15, 40, 100), (32, 256, 1024)
_SECONDS = 0.1  # of one measurement, roughly
_COMMANDS = 20
_PEERS = {"EnvPool": "envpool", "dm_control": "dm_control", "Swimmer-v5": "imageio"}
# Numerator, denominator, and how many times as fast the first should be.
_ASKED = (
    ("vector environment on lanes, 256", "vector environment on MuJoCo, 256", 30),
    ("vector environment on lanes, 256", "EnvPool, 256", 30),
    ("vector environment on lanes, 1024", "vector environment on MuJoCo, 1024", 50),
    ("vector environment on lanes, 1024", "EnvPool, 1024", 50),
    ("single environment on lanes", "dm_control", 4),
    ("single environment on lanes, 3 links", "gymnasium Swimmer-v5, 3 links", 3),
)
_RESETS = 256
_FIRST_USE = """
import time
import numba
from nervecord.envs.physics.lanes.compiling import compiled
for name, width in (("advance", 2), ("advance", 16), ("weigh", 16)):
    begin = time.perf_counter()
    compiled(name, width)
    print(time.perf_counter() - begin)
"""


def lanes_speed(
    repeats: int = 5, links: tuple[int, ...] = _LINKS, n_envs: tuple[int, ...] = (1, *_ENVS)
) -> list[dict[str, Any]]:
    """Measure control steps per second and core for swimmers, `repeats` times in turns; return medians.

    Returns:
        Rows with name, links, steps_per_second with its low and high, the ratio `times` to mj_step, and nanoseconds per
        link and physics step; then the rows of `steps_speed`.
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
            nanoseconds = round(1e9 / (rate * n_substeps * n_links), 2)
            rows.append(rate_row(name, rates, links=n_links, times=round(rate / limit, 1), nanoseconds=nanoseconds))
    return rows + _growth(rows) + steps_speed(repeats)


def _growth(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the ratio of the time per link in the longest body to that in the body of 6 links."""
    at = {row["links"]: row["nanoseconds"] for row in rows if row["name"] == f"lanes, {_ENVS[-1]}"}
    if not {6, 100} <= at.keys():
        return []
    return [_asked("nanoseconds a link and physics step, 100 links / 6 links", at[100] / at[6], "times", 1.7)]


def steps_speed(repeats: int = 5) -> list[dict[str, Any]]:
    """Measure whole environment steps on lanes, on MuJoCo and of other libraries, and compare with the targets.

    Returns:
        Rows with name and steps_per_second, its low and high; then rows with name, value, unit and target (`asked`).
        A library that is not installed has a row with the reason.
    """
    cases: dict[str, Callable[[], float]] = {
        f"vector environment on {title}, {n}": partial(vector_rate, n, physics=physics)
        for n in (256, 1024)
        for title, physics in (("lanes", "lanes"), ("MuJoCo", "mujoco"))
    }
    cases |= {f"EnvPool, {n}": partial(envpool_rate, n) for n in (256, 1024)}
    cases |= {
        "single environment on lanes": partial(single_rate, physics="lanes"),
        "dm_control": dm_control_rate,
        "single environment on lanes, 3 links": partial(single_rate, "gymnasium-swimmer", "lanes"),
        "gymnasium Swimmer-v5, 3 links": gymnasium_rate,
    }
    absent = absent_peers(cases, _PEERS)
    cases = {name: measure for name, measure in cases.items() if name not in absent}
    found: dict[str, list[float]] = {name: [] for name in cases}
    resets: list[float] = []
    for _ in range(repeats):
        for name, measure in cases.items():
            found[name].append(measure())
        resets.append(_reset_milliseconds())
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    rows = [rate_row(name, rates) for name, rates in found.items()] + ratio_rows(medians, _ASKED, 1)
    rows.append(_asked(f"{_RESETS} randomised resets", statistics.median(resets), "ms", 15))
    rows += [_asked(name, seconds, "s", most) for name, seconds, most in _first_uses()]
    return rows + [{"name": name, "absent": reason} for name, reason in absent.items()]


def as_text(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table for people."""
    lines = [f"{'links':>5} {'':14}{'steps/s, core':>14}{'times':>8}{'ns/link/step':>14}   lowest to highest"]
    for row in rows:
        if "links" in row:
            lines.append(
                f"{row['links']:>5} {row['name']:14}{row['steps_per_second']:>14,}{row['times']:>8,.1f}"
                f"{row['nanoseconds']:>14,.2f}   {row['low']:,} to {row['high']:,}"
            )
        elif "steps_per_second" in row:
            lines.append(f"{row['name']:71}{row['steps_per_second']:>12,}   {row['low']:,} to {row['high']:,}")
        elif "absent" in row:
            lines.append(f"{row['name']:71}not measured: {row['absent']}")
        else:
            lines.append(f"{row['name']:71}{row['value']:>12,.1f} {row['unit']}, asked for {row['asked']}")
    return "\n".join(lines)


def figure(rows: list[dict[str, Any]]) -> Figure:
    """Draw control steps a second and core over the number of links, from the rows of `lanes_speed`."""
    found = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = found.subplots()
    speeds = [row for row in rows if "links" in row]
    shown = list(dict.fromkeys(row["name"] for row in speeds))
    names = dict.fromkeys([*shown[:2], shown[-1]])  # mj_step, one environment, and the largest batch
    for colour, name in zip(COLOURS, names, strict=False):
        points = [(row["links"], row["steps_per_second"]) for row in speeds if row["name"] == name]
        axes.plot(*zip(*points, strict=True), marker="o", color=colour)
        label = name if name == "mj_step" else f"{name} environment{'' if name.endswith(' 1') else 's'}"
        axes.annotate(label, points[-1], (6, 0), textcoords="offset points", va="center", color=colour)
    links = sorted({row["links"] for row in speeds})
    axes.set(xscale="log", yscale="log", xlabel="links", ylabel="control steps a second and core")
    axes.set_xticks(links, [str(n) for n in links])
    axes.minorticks_off()
    axes.margins(x=0.05)
    axes.grid(alpha=0.25)
    open_axes(axes)
    return found


def _asked(name: str, value: float, unit: str, asked: float) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2), "unit": unit, "asked": asked}


def _reset_milliseconds() -> float:
    factors = dict.fromkeys(("link_mass", "link_length", "gear"), (0.8, 1.2))
    env = EnvBatch("swim", _RESETS, physics="lanes", randomize=factors)
    env.seed(range(_RESETS))
    everyone, times = np.arange(_RESETS), []
    for _ in range(5):
        begin = time.perf_counter()
        env.reset(everyone)
        times.append(time.perf_counter() - begin)
    env.close()
    return 1e3 * statistics.median(times)


def _first_uses() -> list[tuple[str, float, float]]:
    """Return seconds to first use with an empty cache of compiled code and with a full one, without numba's import."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"NUMBA_CACHE_DIR": folder}
        runs = [
            subprocess.run([sys.executable, "-c", _FIRST_USE], env=env, capture_output=True, text=True, check=True)
            for _ in range(2)
        ]
    first, later = ([float(line) for line in run.stdout.split()] for run in runs)
    return [
        ("first use: a single body's step", first[0], 5),
        ("first use: everything", sum(first), 15),
        ("later use: everything", sum(later), 0.5),
    ]


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
