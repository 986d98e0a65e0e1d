"""The figures of a reproduction of the NCAP paper."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from ....agents.algorithms.registry import ALGORITHMS
from ....drawing.figures import COLOURS, open_axes
from ....intervals import bootstrap_iqm, performance_profile
from ...rollouts.recording import Recording

_BLUE, _GREY, _, _GREEN, _RED, _PURPLE = COLOURS
# A colour for each kind of circuit, and a line for each of its members.
_STYLES = {
    "NCAP": (_BLUE, "-"),
    "NCAP+": (_BLUE, "--"),
    "relay": (_GREEN, "-"),
    "cpg": (_PURPLE, "-"),
    "cpg with stretch": (_PURPLE, "--"),
    "along": (_RED, "-"),
    "along, each joint alone": (_RED, "--"),
    "MLP(8, 8)": (_GREY, ":"),
    "MLP(64, 64)": (_GREY, "-"),
    "MLP(256, 256)": (_GREY, "--"),
}
_TITLES = {"es": "ES", "cmaes": "CMA-ES", "ppo": "PPO", "ddpg": "DDPG"}


def curve_panels(scores: pd.DataFrame, reward: str) -> Figure:
    """Draw the agents' return, without exploration noise, over environment steps, a panel per algorithm."""
    rows = scores[
        (scores["study"] == "curves") & (scores["reward"] == reward)
        & (scores["stage"] == "training") & (scores["metric"] == "return")
    ]  # fmt: skip
    algorithms = sorted(set(rows["algorithm"]), key=list(ALGORITHMS).index)
    figure = Figure(figsize=(3.6 * max(len(algorithms), 2), 3.8), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(algorithms), sharey=True))
    for axes, algorithm in zip(panels, algorithms, strict=True):
        of_algorithm = rows[rows["algorithm"] == algorithm]
        for agent in _STYLES:
            of_agent = of_algorithm[of_algorithm["agent"] == agent]
            if of_agent.empty:
                continue
            table = of_agent.pivot_table(index="step", columns="seed", values="value").interpolate()
            _band(axes, table.index.to_numpy(), table.to_numpy(), agent)
        # The first evaluations tell most; the untrained agents stand at 0.
        least, most = of_algorithm["step"][of_algorithm["step"] > 0].min(), of_algorithm["step"].max()
        axes.set_xscale("symlog", linthresh=least, linscale=0.4)
        axes.set_xticks([0, least, most] if most < 100 * least else [0, *_decades(least, most)], minor=False)
        axes.xaxis.set_major_formatter(EngFormatter(places=0, sep=""))
        axes.minorticks_off()
        axes.set(title=_TITLES.get(algorithm, algorithm), xlabel="environment steps", xlim=(0, most))
        axes.grid(alpha=0.25)
        open_axes(axes)
    panels[0].set_ylabel(f"return, {reward} reward (IQM, 95 %)")
    _legend(figure, panels)
    return figure


def profile_panels(scores: pd.DataFrame) -> Figure:
    """Draw the share of seeds whose trained return is above each threshold, a panel per algorithm."""
    rows = scores[
        (scores["study"] == "curves") & (scores["reward"] == "paper") & (scores["stage"] == "trained")
        & (scores["metric"] == "return") & (scores["body"] == scores["trained_on"])
    ]  # fmt: skip
    algorithms = sorted(set(rows["algorithm"]), key=list(ALGORITHMS).index)
    figure = Figure(figsize=(3.6 * max(len(algorithms), 2), 3.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(algorithms), sharey=True))
    thresholds = np.linspace(0, 1000, 201)
    for axes, algorithm in zip(panels, algorithms, strict=True):
        for agent, (colour, line) in _STYLES.items():
            of_agent = rows[(rows["algorithm"] == algorithm) & (rows["agent"] == agent)]
            if of_agent.empty:
                continue
            share, low, high = performance_profile(of_agent.groupby("seed")["value"].mean(), thresholds)
            axes.plot(thresholds, share, line, color=colour, linewidth=2, label=agent)
            axes.fill_between(thresholds, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set(title=_TITLES.get(algorithm, algorithm), xlabel="return", ylim=(-0.02, 1.02))
        axes.grid(alpha=0.25)
        open_axes(axes)
    panels[0].set_ylabel("share of seeds above it")
    _legend(figure, panels)
    return figure


def transfer_lines(scores: pd.DataFrame) -> Figure:
    """Draw the return on bodies of other sizes (lines) and on variants (points), before and after fine-tuning."""
    tested = scores[(scores["metric"] == "return") & scores["episode"].notna() & (scores["reward"] == "paper")]
    moved = tested[tested["study"] == "finetune"]
    groups = {}
    pairs = set(zip(moved["agent"], moved["algorithm"], strict=True))
    for agent, algorithm in sorted(pairs, key=lambda pair: list(_STYLES).index(pair[0])):
        same = (tested["agent"] == agent) & (tested["algorithm"] == algorithm)
        own = tested["body"] == tested["trained_on"]
        as_it_is = (tested["study"] == "curves") & (tested["stage"] == "trained")
        groups[agent, algorithm, ""] = tested[same & as_it_is]
        groups[agent, algorithm, ", fine-tuned"] = tested[same & ((tested["study"] == "finetune") | (as_it_is & own))]
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = sorted({body for rows in groups.values() for body in rows["body"] if "-" in body})
    for index, ((agent, algorithm, tuned), rows) in enumerate(groups.items()):
        colour, style = _STYLES[agent][0], "--" if tuned else "-"
        found = {body: bootstrap_iqm(of_body.groupby("seed")["value"].mean()) for body, of_body in rows.groupby("body")}
        sizes = sorted((int(body.removeprefix("swimmer")), each) for body, each in found.items() if "-" not in body)
        links = [size for size, _ in sizes]
        left.plot(links, [each.mean for _, each in sizes], style, color=colour, linewidth=2, marker="o", markersize=3.5,
                  label=f"{agent}, {algorithm}{tuned}")  # fmt: skip
        left.fill_between(links, [each.low for _, each in sizes], [each.high for _, each in sizes], color=colour,
                          alpha=0.12, linewidth=0)  # fmt: skip
        places = np.arange(len(names)) + 0.14 * (index - (len(groups) - 1) / 2)
        means = np.array([found[name].mean if name in found else np.nan for name in names])
        spread = np.array([[found[name].low, found[name].high] if name in found else [np.nan] * 2 for name in names])
        whiskers = np.abs(spread.T - means)
        right.errorbar(places, means, np.nan_to_num(whiskers), fmt="o" if style == "-" else "D", markersize=4.5,
                       color=colour, mfc=colour if style == "-" else "white", linewidth=1)  # fmt: skip
    left.set(xlabel="links (trained on 6)", ylabel="return (IQM over seeds, 95 %)", ylim=(0, 1020))
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.grid(alpha=0.25)
    right.set_xticks(range(len(names)), [name.split("-", 1)[1] for name in names], rotation=30)
    right.grid(alpha=0.25, axis="y")
    for axes in (left, right):
        open_axes(axes)
    _legend(figure, [left])
    return figure


def wave_panels(recording: Recording, seconds: float = 6.0) -> Figure:
    """Draw joints, B-neurons and muscles of NCAP side by side in time, head at the top."""
    steps = slice(recording.n_steps // 2, recording.n_steps // 2 + int(seconds / recording.dt))
    joints = recording.joint_pos.shape[-1]
    limit = np.asarray(recording.meta["joint_limit"])
    values = dict(zip(recording.neurons, recording.activity[0, steps].T, strict=True))
    rows = {
        "joint angle / limit": recording.joint_pos[0, steps] / limit,
        "B-neurons, dorsal - ventral": _dorsal_minus_ventral(values, "B", joints),
        "muscles, dorsal - ventral": _dorsal_minus_ventral(values, "muscle", joints),
    }
    figure = Figure(figsize=(8.0, 4.6), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    for axes, (title, wave) in zip(panels, rows.items(), strict=True):
        image = axes.imshow(
            wave.T, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1, extent=(0, seconds, joints - 0.5, -0.5),
            interpolation="nearest",
        )  # fmt: skip
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_ylabel("segment")
        axes.yaxis.get_major_locator().set_params(integer=True)
    panels[-1].set_xlabel("time (s)")
    figure.colorbar(image, ax=panels, label="dorsal (red), ventral (blue)", shrink=0.6)
    return figure


def _dorsal_minus_ventral(values: dict[str, np.ndarray], kind: str, joints: int) -> np.ndarray:
    return np.stack([values[f"{kind}_d_{joint}"] - values[f"{kind}_v_{joint}"] for joint in range(joints)], 1)


def _decades(least: float, most: float) -> list[float]:
    return [10.0**power for power in range(math.ceil(math.log10(least)), math.floor(math.log10(most)) + 1)]


def _band(axes: Axes, steps: np.ndarray, values: np.ndarray, agent: str) -> None:
    colour, line = _STYLES[agent]
    found = [bootstrap_iqm(row[np.isfinite(row)]) for row in values]
    axes.plot(steps, [each.mean for each in found], line, color=colour, linewidth=2, label=agent)
    axes.fill_between(steps, [each.low for each in found], [each.high for each in found], color=colour, alpha=0.15,
                      linewidth=0)  # fmt: skip


def _legend(figure: Figure, panels: list[Axes] | np.ndarray) -> None:
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), frameon=False, ncols=4, loc="outside upper left")
