"""What each part of `relay` is for, and cuts along the body with and without stretch: tables of docs/results/world.md.

python -m nervecord.benchmarks.results.relay_parts --page docs/results/world.md [--cuts]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ...circuits import NCAP, Circuit, Relay
from ...envs import Arena, Drag, EnvBatch, make_body, newtonian
from ...worm.behaviour import DIGITISED
from .command import start
from .tables import PrintedTable, fill_page
from .worm_gait import STARTS, Gaits, errors, verdict, wave_of

_N_LINKS = 13
_WORM: dict[str, Any] = {"init": "worm", "limit": 12.0, "velocity": True}
# One thing changed at a time.
PARTS: Mapping[str, Mapping[str, float]] = {
    "all of it": {},
    "no stretch from before (w 0)": {"w": 0.0},
    "the threshold alike along the body (g_theta 0)": {"g_theta": 0.0},
    "no looking ahead (beta 0)": {"log_beta": -40.0},
    "a unit without delay (tau_n 2 ms)": {"log_tau_n": float(np.log(0.002))},
    "stretch of one joint (rho 0.03)": {"log_rho": float(np.log(0.03))},
    "muscles alike along the body (g_m 0)": {"g_m": 0.0},
}
PLACES = (0.25, 0.5, 0.75)  # of cuts, of the joints from the head


class CutRelay(Relay):
    """A relay in which nothing passes a place: the first unit behind it becomes a head.

    Args:
        n_joints: number of joints.
        cut: the first joint behind the cut; 0 cuts nothing.
        is_numb: the joints behind the cut feel no stretch.
    """

    def __init__(self, n_joints: int, cut: int, is_numb: bool) -> None:
        super().__init__(n_joints, **_WORM)
        self.cut, self.is_numb = cut, is_numb

    def constants(self) -> Any:
        """Return what a step needs of the weights, with those across the cut taken out and the others filling up."""
        found = super().constants()
        if not self.cut:
            return found
        same = (torch.arange(self.n_motors) >= self.cut)[:, None] == (torch.arange(self.n_motors) >= self.cut)
        positive, negative = (found.stretch * sign for sign in (1, -1))
        parts = [torch.where(same, part.clamp(min=0.0), 0.0) for part in (positive, negative)]
        goals = [part.clamp(min=0.0).sum(1, keepdim=True) for part in (positive, negative)]
        own, front = (
            part * goal / part.sum(1, keepdim=True).clamp(min=1e-12) for part, goal in zip(parts, goals, strict=True)
        )
        stretch = own - front
        # A head hears nobody before it.
        stretch[self.cut] /= stretch[self.cut].sum()
        if self.is_numb:
            stretch[self.cut :] = 0.0
        return found._replace(stretch=stretch)


def bends_of(
    circuit: Circuit, medium: Drag, seconds: float, silenced: tuple[int, ...] = (), ratio: float | None = None
) -> tuple[Float[np.ndarray, "starts time joints"], Float[np.ndarray, " starts"]]:
    """Run a circuit on the worm from random starts.

    Args:
        circuit: whose senses are joint_pos, and perhaps joint_vel.
        medium: around the worm.
        seconds: of which the first 40 % are left out.
        silenced: joints whose angles are sensed as 0.
        ratio: of the drag, if not the medium's.

    Returns:
        Curvatures in 1 / body length, and speeds along the line from tail to head, body lengths/s.
    """
    body = make_body(f"worm{_N_LINKS}")
    medium = medium if ratio is None else Drag(medium.across, ratio)
    steps = round(seconds / body.control_dt)
    envs = EnvBatch("swim", STARTS, body, Arena(medium), "lanes", 1, senses=("joint_pos", "joint_vel"),
                    episode_steps=steps)  # fmt: skip
    envs.seed(list(range(STARTS)))
    sensed, scale = envs.reset(np.arange(STARTS)), np.tile(envs.layout.joint_limit, 2)
    state, bends, places, ways = circuit.initial_state(STARTS), [], [], []
    for _ in range(steps):
        senses = torch.tensor(sensed / scale, dtype=torch.float32)[:, : circuit.n_sensors]
        senses[:, list(silenced)] = 0.0
        with torch.no_grad():
            action, state = circuit(senses, state)
        sensed = envs.step(action.numpy()).observation
        links = envs.physics.read("link_pos")
        bends.append(_N_LINKS * envs.physics.read("joint_pos"))
        places.append(envs.physics.read("com_pos").copy())
        way = links[:, 0] - links[:, -1]
        ways.append(way / np.linalg.norm(way, axis=1, keepdims=True))
    envs.close()
    first = int(0.4 * steps)
    moved = np.diff(np.array(places), axis=0)[first:] * np.array(ways)[first + 1 :]
    speed = moved.sum(-1).mean(0) / (body.control_dt * body.link_sizes[0].sum())
    return np.swapaxes(np.array(bends[first:]), 0, 1), speed


def _parts() -> PrintedTable:
    table = PrintedTable(
        "relay with", "what", *(f"{viscosity:g} Pa s" for viscosity in DIGITISED[:, 0]), "rms ln", "verdict"
    )  # fmt: skip
    for label, weights in PARTS.items():
        circuit, gaits = Relay(_N_LINKS - 1, **_WORM), []
        with torch.no_grad():
            for name, value in weights.items():
                circuit.get_parameter(name).fill_(value)
        for viscosity, frequency in DIGITISED[:, :2]:
            bends, speed = bends_of(circuit, newtonian(viscosity), max(20.0, 7 / frequency))
            frequencies, wavelengths, amplitudes = np.array([wave_of(bend, 0.03) for bend in bends]).T
            gaits.append(Gaits(frequencies, wavelengths, amplitudes, speed))
        off = errors(gaits)
        for name, title in (("frequency", "f, Hz"), ("wavelength", "wavelength, L")):
            values = [getattr(each, name).mean() for each in gaits]
            is_first = name == "frequency"
            table.add(label if is_first else "", title, *(f"{value:.2f}" for value in values),
                      f"{off[name].mean():.2f}", verdict(gaits) if is_first else "")  # fmt: skip
    return table


def _cuts() -> PrintedTable:
    table = PrintedTable(
        "circuit", "cut at", "behind it", "Pa s", "front: f, Hz", "swing x L", "rear: f, Hz", "swing x L",
        "speed over uncut",
    )  # fmt: skip
    n_joints = _N_LINKS - 1
    # Whether the rear feels stretch, and how it comes not to.
    kinds: Mapping[str, Callable[[int, bool], Circuit]] = {
        "relay": lambda cut, numb: CutRelay(n_joints, cut, numb),
        "NCAP": lambda cut, numb: NCAP(n_joints),  # noqa: ARG005
    }
    for kind, make in kinds.items():
        for viscosity in (0.001, 9.0):
            medium, seconds = newtonian(viscosity), 20.0
            intact, still = (bends_of(make(0, False), medium, seconds, ratio=ratio)[1] for ratio in (None, 1.0))
            for place in PLACES:
                cut = round(place * n_joints)
                for is_numb in (False, True):
                    # NCAP's joints hear the angle of the one before alone; numb ones hear none.
                    silenced = () if kind == "relay" else tuple(range(cut - 1, n_joints if is_numb else cut))
                    bends, speed = bends_of(make(cut, is_numb), medium, seconds, silenced)
                    speed = speed - bends_of(make(cut, is_numb), medium, seconds, silenced, ratio=1.0)[1]
                    cells = [kind, f"{100 * place:.0f} %", "numb" if is_numb else "feels stretch", f"{viscosity:g}"]
                    for half in (bends[:, :, :cut], bends[:, :, cut:]):
                        swing = float(half.std(1).mean()) * np.sqrt(2)
                        f = np.mean([_frequency(each) for each in half])
                        cells += [f"{f:.2f}" if swing > 0.2 else "-", f"{swing:.2f}"]
                    table.add(*cells, f"{speed.mean() / (intact - still).mean():.2f}")
    return table


def _frequency(bend: Float[np.ndarray, "time joints"]) -> float:
    """Return the frequency of the largest peak of the spectrum of all joints, Hz."""
    seen = (bend - bend.mean(0)) * np.hanning(len(bend))[:, None]
    power = (np.abs(np.fft.rfft(seen, 8 * len(seen), axis=0)) ** 2).sum(1)
    frequencies = np.fft.rfftfreq(8 * len(seen), 0.03)
    power[frequencies < 2 / (0.03 * len(bend))] = 0  # a drift
    return float(frequencies[power.argmax()])


def main(cuts: bool = False, page: Path | None = None) -> None:
    """Print the table of the circuit's parts, line by line.

    Args:
        cuts: print that of cuts instead.
        page: in which to put the table too, such as docs/results/world.md.
    """
    table = _cuts() if cuts else _parts()
    if page:
        fill_page(page, {"relay-cuts" if cuts else "relay-parts": table.text})


if __name__ == "__main__":
    start(main)
