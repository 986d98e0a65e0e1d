"""The gait from water to agar, of circuits without training, beside the animal's: tables of docs/results/world.md.

python -m nervecord.benchmarks.results.worm_gait runs/gait --page docs/results/world.md
python -m nervecord.benchmarks.results.worm_gait runs/fast [--links 13 24] [--agents relay NCAP] [--control-dt 0.01]

What is measured is kept in FOLDER/gait.csv, and not measured again; FOLDER/gait.svg draws it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro
from jaxtyping import Float
from matplotlib.figure import Figure

from ...agents import Agent, AgentSpec
from ...drawing.figures import COLOURS, figure_svg, open_axes
from ...envs import Arena, Drag, EnvBatch, gel, make_body, newtonian
from ...files import write_csv, write_text
from ...training.studies.markdown import markdown_table
from ...worm.behaviour import DIGITISED
from .command import check_known, start
from .tables import fill_page

AGENTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "relay": ("relay", {"init": "worm", "limit": 12.0, "velocity": True}),
    "relay, by difference": ("relay", {"init": "worm", "limit": 12.0}),
    "NCAP": ("ncap", {}),
    "NCAP+": ("ncap_plus", {}),
    "cpg": ("cpg", {}),
}
STARTS = 5
_DRAWN = ("relay", "NCAP", "NCAP+", "cpg")
_MEASURED = {
    "frequency": "f, Hz", "wavelength": "wavelength, L", "amplitude": "amplitude x L", "speed": "speed, L/s",
}  # fmt: skip
_TICKS = (0.2, 0.5, 1.0, 2.0)  # Hz
_COLUMNS = {"frequency": 1, "wavelength": 2, "amplitude": 3}  # of `DIGITISED`
_SENSES = ("joint_pos", "joint_vel", "body_velocities")
# The rule of both verdicts, fixed before these runs.
_RISE = 1.05  # from one viscosity to the next, at most
_FALL = {"wavelength": 1.8, "frequency": 4.0}  # from the lowest to the highest, at least
_CLOSE = {"wavelength": 0.15, "frequency": 0.35}  # rms of the logarithm of ours over the animal's, at most


@dataclasses.dataclass(frozen=True)
class Gaits:
    """What some starts came to in one medium, a value each.

    Attributes:
        frequency: Hz.
        wavelength: body lengths; negative where the wave runs from tail to head.
        amplitude: of the curvature, times the body's length.
        speed: of the centre of mass along the line from tail to head, body lengths/s.
    """

    frequency: Float[np.ndarray, " starts"]
    wavelength: Float[np.ndarray, " starts"]
    amplitude: Float[np.ndarray, " starts"]
    speed: Float[np.ndarray, " starts"]


def wave_of(curvature: Float[np.ndarray, "time joints"], dt: float) -> tuple[float, float, float]:
    """Return the frequency of the largest peak of all joints' spectrum, Hz, the wavelength and the amplitude there.

    The wavelength, in body lengths, is from the slope of the phase over the middle 80 % of the joints, weighted by
    their amplitudes. The amplitude is the joints' mean, in the unit of the curvature.
    """
    joints, window = curvature.shape[1], np.hanning(len(curvature))[:, None]
    seen, seconds = (curvature - curvature.mean(0)) * window, np.arange(len(curvature)) * dt
    frequencies = np.fft.rfftfreq(8 * len(seen), dt)
    power = (np.abs(np.fft.rfft(seen, 8 * len(seen), axis=0)) ** 2).sum(1)
    power[frequencies < 2 / seconds[-1]] = 0  # a drift
    frequency = float(frequencies[power.argmax()])
    wave = np.exp(-2j * np.pi * frequency * seconds) @ seen * 2 / window.sum()
    edge = int(0.1 * joints)
    place, middle = np.arange(1, joints + 1) / (joints + 1), slice(edge, joints - edge)
    slope = np.polyfit(place[middle], np.unwrap(np.angle(wave))[middle], 1, w=np.abs(wave)[middle])[0]
    return frequency, float(-2 * np.pi / slope), float(np.abs(wave).mean())


def gaits_in(medium: Drag, n_links: int, agent: str, seconds: float, control_dt: float | None = None) -> Gaits:
    """Run an untrained agent on the worm from random starts, and measure it after the first 40 %."""
    body = make_body(f"worm{n_links}")
    if control_dt:
        body = dataclasses.replace(body, control_dt=control_dt)  # type: ignore[type-var]
    circuit, options = AGENTS[agent]
    steps = round(seconds / body.control_dt)
    envs = EnvBatch("swim", STARTS, body, Arena(medium), "lanes", 1, senses=_SENSES, episode_steps=steps)
    actor = Agent(AgentSpec(circuit, envs.layout, body.n_joints, circuit_options=options))
    envs.seed(list(range(STARTS)))
    observation = envs.reset(np.arange(STARTS))
    state, begins = None, np.ones(STARTS, bool)
    bends, places, ways = [], [], []
    for _ in range(steps):
        action, state = actor.predict(observation, state, begins, deterministic=True)
        observation, begins = envs.step(action).observation, np.zeros(STARTS, bool)
        links = envs.physics.read("link_pos")
        bends.append(n_links * envs.physics.read("joint_pos"))
        places.append(envs.physics.read("com_pos").copy())
        way = links[:, 0] - links[:, -1]
        ways.append(way / np.linalg.norm(way, axis=1, keepdims=True))
    first = int(0.4 * steps)
    curvature = np.swapaxes(np.array(bends[first:]), 0, 1)
    frequency, wavelength, amplitude = np.array([wave_of(bend, body.control_dt) for bend in curvature]).T
    moved = np.diff(np.array(places), axis=0)[first:] * np.array(ways)[first + 1 :]
    length = body.link_sizes[0].sum()
    return Gaits(frequency, wavelength, amplitude, moved.sum(-1).mean(0) / (body.control_dt * length))


def curve(n_links: int, agent: str, ratio: float = 1.5, control_dt: float | None = None) -> list[Gaits]:
    """Return the gaits at the animal's eight viscosities; speeds are less those at a drag ratio of 1.

    MuJoCo's steps add a drift to the speed at every ratio alike; at 1 there is nothing else.
    """
    found = []
    for viscosity in DIGITISED[:, 0]:
        across = newtonian(viscosity).across
        seconds = max(20.0, 7 / DIGITISED[DIGITISED[:, 0] == viscosity, 1][0])
        ours, still = (gaits_in(Drag(across, each), n_links, agent, seconds, control_dt) for each in (ratio, 1.0))
        found.append(dataclasses.replace(ours, speed=ours.speed - still.speed))
    return found


def verdict(gaits: list[Gaits]) -> str:
    """Return `adapts`, `as the animal` or `neither`, by the rule above, which must hold at every start."""
    frequency = np.array([each.frequency for each in gaits])
    wavelength = np.array([each.wavelength for each in gaits])
    speed = np.array([each.speed for each in gaits])
    values = {"wavelength": wavelength, "frequency": frequency}
    if (wavelength <= 0).any() or (speed <= 0).any():
        return "neither"
    for name, each in values.items():
        if (each[1:] > _RISE * each[:-1]).any() or (each[0] < _FALL[name] * each[-1]).any():
            return "neither"
    return "as the animal" if all((errors(gaits)[name] <= most).all() for name, most in _CLOSE.items()) else "adapts"


def errors(gaits: list[Gaits]) -> dict[str, Float[np.ndarray, " starts"]]:
    """Return the rms over viscosities of the logarithm of ours over the animal's, for each start; no unit."""
    return {
        name: np.sqrt((np.log(np.abs([getattr(each, name) for each in gaits]) / DIGITISED[:, [column]]) ** 2).mean(0))
        for name, column in (("frequency", 1), ("wavelength", 2))
    }


def rows_of(gaits: list[Gaits], agent: str, n_links: int) -> pd.DataFrame:
    """Return a row for each viscosity, Pa s: means over starts, and what the rule says, in the units of `Gaits`."""
    off, judged = errors(gaits), verdict(gaits)
    return pd.DataFrame([
        {
            "agent": agent, "links": n_links, "viscosity": viscosity,
            **{name: float(np.mean(getattr(each, name))) for name in _MEASURED},
            **{f"{name}_{end.__name__}": float(end(values)) for name, values in off.items() for end in (min, max)},
            "verdict": judged,
        }
        for viscosity, each in zip(DIGITISED[:, 0], gaits, strict=True)
    ])  # fmt: skip


def table(found: pd.DataFrame) -> str:
    """Return the table of the page, in Markdown."""
    header = ["agent", "links", "what", *(f"{viscosity:g} Pa s" for viscosity in DIGITISED[:, 0]), "rms ln", "verdict"]
    rows: list[list[str]] = [
        ["animal", "", _MEASURED[name], *(f"{value:.2f}" for value in DIGITISED[:, column]), "", ""]
        for name, column in _COLUMNS.items()
    ]
    for (agent, n_links), each in found.groupby(["agent", "links"], sort=False):
        for name, title in _MEASURED.items():
            if each[name].isna().all():
                continue
            digits = 3 if name == "speed" else 2
            first = each.iloc[0]
            spread = f"{first[f'{name}_min']:.3f} to {first[f'{name}_max']:.3f}" if name in _CLOSE else ""
            told = str(first["verdict"]) if name == "frequency" else ""
            rows.append(
                [str(agent), str(n_links), title, *(f"{value:.{digits}f}" for value in each[name]), spread, told]
            )
    return markdown_table(header, *rows)


def figure(found: pd.DataFrame, links: tuple[int, ...] = (13, 24)) -> Figure:
    """Draw frequency, Hz, wavelength, body lengths, and amplitude over viscosity, Pa s, beside the animal's."""
    figure = Figure(figsize=(10.0, 3.2 * len(links)), layout="constrained")
    axes = figure.subplots(len(links), len(_COLUMNS), sharex=True, squeeze=False)
    for row, n_links in enumerate(links):
        for axis, (name, column) in zip(axes[row], _COLUMNS.items(), strict=True):
            axis.plot(DIGITISED[:, 0], DIGITISED[:, column], "o-", color="black", linewidth=2.5, label="the animal")
            for colour, agent in zip(COLOURS, _DRAWN, strict=False):
                each = found[(found["agent"] == agent) & (found["links"] == n_links)]
                # A wave that runs from tail to head has no place here.
                axis.plot(each["viscosity"], each[name].where(each[name] > 0), ".-", color=colour, label=agent)
            axis.set(xscale="log", yscale="log" if name == "frequency" else "linear", ylabel=_MEASURED[name])
            axis.set_title(f"{n_links} links", fontsize=10)
            if name == "frequency":
                axis.set_yticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
                axis.minorticks_off()
            axis.grid(alpha=0.25)
            open_axes(axis)
    for axis in axes[-1]:
        axis.set_xlabel("viscosity, Pa s")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    return figure


def main(
    out: tyro.conf.Positional[Path],
    links: tuple[int, ...] = (13, 16, 20, 24),
    agents: tuple[str, ...] = tuple(AGENTS),
    control_dt: float | None = None,
    page: Path | None = None,
) -> None:
    """Measure what is not in the folder yet, print the tables and draw the figure.

    Args:
        out: folder of gait.csv and gait.svg; another for each `control_dt`.
        links: numbers of links of the worm.
        agents: labels of `AGENTS`.
        control_dt: seconds of a control step; the worm's own by default.
        page: in which to put the table too, such as docs/results/world.md, and the figure in a folder beside it.
    """
    check_known("agent of this study", agents, AGENTS)
    path = out / "gait.csv"
    found = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["agent", "links"])
    for agent, n_links in itertools.product(agents, links):
        if not ((found["agent"] == agent) & (found["links"] == n_links)).any():
            rows = rows_of(curve(n_links, agent, control_dt=control_dt), agent, n_links)
            found = pd.concat([found, rows]) if len(found) else rows
            write_csv(path, found)
    print(table(found))
    write_text(out / "gait.svg", figure_svg(figure(found)))
    if page:
        fill_page(page, {"gait": table(found)})
        write_text(page.with_suffix("") / "gait.svg", figure_svg(figure(found)))
        write_csv(page.with_suffix("") / "gait.csv", found)
    for name, medium in (("agar, K 40", gel(1.0)), ("agar, K 10", dataclasses.replace(gel(1.0), ratio=10.0))):
        on = gaits_in(medium, 13, "relay", 40.0)
        print(f"{name}: f {on.frequency.mean():.3f} Hz, wavelength {on.wavelength.mean():.3f} L, "
              f"amplitude {on.amplitude.mean():.1f}, speed {on.speed.mean():.3f} L/s")  # fmt: skip


if __name__ == "__main__":
    start(main)
