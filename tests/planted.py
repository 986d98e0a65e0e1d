"""Recordings of planted motions, whose answers are known."""

import dataclasses

import numpy as np
from nervecord.circuits import NCAP
from nervecord.training.rollouts.recording import Recording

DT = 0.03
WIRING = NCAP(5).wiring()


def planted(frequency=1.3, wavelength=0.65, n_links=12, steps=1000, standing=False, episodes=1) -> Recording:
    """A wave of joint angles along a body whose centre of mass moves at 0.1 m/s along x."""
    n_joints = n_links - 1
    time = np.arange(steps)[:, None] * DT
    place = np.arange(1, n_links) / n_links
    phase = 2 * np.pi * (frequency * time - place / wavelength)
    joints = (
        np.cos(2 * np.pi * frequency * time) * np.cos(2 * np.pi * place / wavelength) if standing else np.sin(phase)
    )
    com = np.stack([0.1 * time[:, 0], np.zeros(steps)], -1)
    links = com[:, None] + np.zeros((1, n_links, 2))
    links[:, -1, 1] += 0.05 * np.sin(phase[:, -1])

    def many(array: np.ndarray) -> np.ndarray:
        return np.repeat(array[None], episodes, 0)

    return Recording(
        observations=many(joints), actions=many(joints), rewards=many(np.zeros(steps)), joint_pos=many(joints),
        joint_vel=many(np.ones_like(joints)), torque=many(2e-3 * np.ones_like(joints)), link_pos=many(links),
        link_angle=many(np.zeros((steps, n_links))), com_pos=many(com), target_pos=many(np.zeros((steps, 0))),
        activity=many(joints), neurons=tuple(f"n{i}" for i in range(n_joints)), dt=DT,
        meta={"name": "planted", "link_length": [0.1] * n_links, "link_width": [0.02] * n_links,
              "joint_limit": [1.0] * n_joints, "mass": 0.12},
    )  # fmt: skip


def acting(*series: np.ndarray) -> Recording:
    """A planted swimmer whose neurons have these values, [episode, step] each."""
    activity = np.stack(series, 2)
    names = tuple(f"n{i}" for i in range(len(series)))
    return dataclasses.replace(
        planted(steps=activity.shape[1], episodes=activity.shape[0]), activity=activity, neurons=names
    )
