"""The thrust of a wave in a medium without inertia, against a balance of forces: a table of docs/results/world.md.

python -m nervecord.benchmarks.results.thrust --page docs/results/world.md
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float

from ...envs import Arena, Drag, Swimmer
from ...envs.physics.lanes import Lanes
from .command import start
from .tables import PrintedTable, fill_page

RATIOS = (1.0, 1.5, 2.0, 5.0, 10.0, 40.0)
_DRAG, _FREQUENCY, _STEP = 200.0, 0.5, 0.002  # N s/m^2, Hz, s


@dataclasses.dataclass(frozen=True)
class Wave:
    """A travelling wave of the joints: joint j, of n - 1, is at amplitude / n cos 2 pi (j / (n wavelength) - f t).

    Attributes:
        n_links: n.
        wavelength: in body lengths.
        amplitude: the curvature's, times the body's length.
    """

    n_links: int
    wavelength: float
    amplitude: float

    def angles(self, phase: float) -> tuple[Float[np.ndarray, " joints"], Float[np.ndarray, " joints"]]:
        """Return the joints' angles, rad, at a phase in cycles, and their derivatives by it."""
        turn = 2 * np.pi * (np.arange(1, self.n_links) / (self.n_links * self.wavelength) - phase)
        size = self.amplitude / self.n_links
        return size * np.cos(turn), size * 2 * np.pi * np.sin(turn)


WAVES = (Wave(12, 1.5, 3.0), Wave(12, 1.0, 5.0), Wave(12, 0.65, 8.0), Wave(6, 0.65, 8.0))


def balanced_speed(wave: Wave, ratio: float, steps: int = 200) -> float:
    """Return the speed of a chain without inertia over that of the wave along it; no unit.

    At each moment, the head's velocity is the one at which all forces on the chain, of length 1, and their moment add
    up to 0. Two Gauss points a link make a link's force exact. A cycle is integrated by the midpoint rule, after one
    cycle to settle the heading.
    """
    n = wave.n_links
    link, dt = 1 / n, 1 / steps
    points = link * (0.5 + np.array([-0.5, 0.5]) / np.sqrt(3))

    def velocity(phase: float, heading: float) -> tuple[np.ndarray, float]:
        angles, rates = wave.angles(phase)
        heading_of = heading + np.concatenate([[0.0], np.cumsum(angles)])
        spin = np.concatenate([[0.0], np.cumsum(rates)])[:, None]
        along = np.stack([np.cos(heading_of), np.sin(heading_of)], 1)
        across = np.stack([-along[:, 1], along[:, 0]], 1)
        front = np.concatenate([np.zeros((1, 2)), np.cumsum(link * along, 0)[:-1]])
        front_velocity = np.concatenate([np.zeros((1, 2)), np.cumsum(link * spin * across, 0)[:-1]])
        place = np.concatenate([front + point * along for point in points])
        own = np.concatenate([front_velocity + point * spin * across for point in points])
        tangents, normals = np.tile(along, (2, 1)), np.tile(across, (2, 1))

        def load(moving: np.ndarray) -> np.ndarray:
            force = -((moving * tangents).sum(1)[:, None] * tangents)
            force -= ratio * (moving * normals).sum(1)[:, None] * normals
            return np.array([*force.sum(0), (place[:, 0] * force[:, 1] - place[:, 1] * force[:, 0]).sum()])

        rigid = (
            np.tile([1.0, 0.0], (2 * n, 1)),
            np.tile([0.0, 1.0], (2 * n, 1)),
            np.stack([-place[:, 1], place[:, 0]], 1),
        )
        speeds = np.linalg.solve(np.stack([load(motion) for motion in rigid], 1), -load(own))
        motion = own.mean(0) + sum(speed * motion.mean(0) for speed, motion in zip(speeds, rigid, strict=True))
        return motion, float(speeds[2])

    heading, path = 0.0, np.zeros(2)
    for step in range(2 * steps):
        turn = velocity(step * dt, heading)[1]
        moved, turn = velocity((step + 0.5) * dt, heading + dt / 2 * turn)
        heading += dt * turn
        path = path + dt * moved if step >= steps else path
    return float(np.linalg.norm(path)) / wave.wavelength


def stepped_speed(wave: Wave, ratio: float, physics: str = "mujoco") -> float:
    """Return the same of a swimmer whose joints servos move; no unit.

    MuJoCo's steps shift the centre of mass a little towards the head, at every ratio alike. Subtract the speed at a
    ratio of 1, where there is no thrust.
    """
    model = _with_servos(wave, ratio)
    n, period = wave.n_links, round(1 / _FREQUENCY / _STEP)
    start = np.concatenate([np.zeros(3), wave.angles(0.0)[0]])
    advance, centre = {"mujoco": _mujoco, "lanes": _lanes}[physics](model, start)
    gain, damping = model.actuator_gainprm[0, 0], -model.actuator_biasprm[0, 2]
    before = centre()
    for step in range(2 * period):
        if step == period:
            before = centre()
        angles, rates = wave.angles(step / period)
        advance(angles + damping / gain * _FREQUENCY * rates)
    return float(np.linalg.norm(centre() - before)) / (wave.wavelength * n * 0.1)


_Physics = tuple[Callable[[np.ndarray], None], Callable[[], np.ndarray]]


def _with_servos(wave: Wave, ratio: float) -> mujoco.MjModel:
    """Compile a swimmer in drag, and turn its motors into servos stiff enough to hold the wave."""
    n = wave.n_links
    body = Swimmer(name="wave", n_links=n, joint_range=min(12 / n, 3.0), gear=1.0)
    model = body.compile(arena=Arena(Drag(_DRAG, ratio)))
    model.opt.timestep = _STEP
    model.jnt_limited[3:] = 0
    size = _DRAG * (n * body.link_length) ** 3
    motors = [model.actuator(name).id for name in body.parts.motors]
    model.actuator_ctrllimited[motors] = 0
    model.actuator_gainprm[motors, 0] = 200 * size
    model.actuator_biastype[motors] = mujoco.mjtBias.mjBIAS_AFFINE
    model.actuator_biasprm[motors, 1], model.actuator_biasprm[motors, 2] = -200 * size, -4 * size
    return model


def _mujoco(model: mujoco.MjModel, start: np.ndarray) -> _Physics:
    data = mujoco.MjData(model)
    data.qpos[:] = start
    mujoco.mj_forward(model, data)

    def advance(command: np.ndarray) -> None:
        data.ctrl[: len(command)] = command
        mujoco.mj_step(model, data)

    return advance, lambda: data.subtree_com[1, :2].copy()


def _lanes(model: mujoco.MjModel, start: np.ndarray) -> _Physics:
    lanes = Lanes(model, 1, 1)
    lanes.reset(np.zeros(1, int), start[None])
    return lambda command: lanes.step(command[None], 1), lambda: lanes.com[0].copy()


def main(page: Path | None = None) -> None:
    """Print the table, line by line.

    Args:
        page: in which to put the table too, such as docs/results/world.md.
    """
    table = PrintedTable("links", "wavelength", "amplitude", "K", "balance of forces", "MuJoCo", "lanes")
    for wave in WAVES:
        still = {physics: stepped_speed(wave, 1.0, physics) for physics in ("mujoco", "lanes")}
        for ratio in RATIOS[1:]:
            exact = balanced_speed(wave, ratio)
            off = [f"{stepped_speed(wave, ratio, physics) - still[physics] - exact:+.4f}" for physics in still]
            table.add(wave.n_links, f"{wave.wavelength}", f"{wave.amplitude}", f"{ratio:g}", f"{exact:.4f}", *off)
    if page:
        fill_page(page, {"thrust": table.text})


if __name__ == "__main__":
    start(main)
