"""Gaits that move a body from outside, and what an agent's senses and neurons do meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from ....agents import Rollout
from ....circuits.held import weights_held
from ....errors import InvalidRecording
from ....threads import one_thread
from ...rollouts.evaluation import EVALUATION_SEED, seeds_of
from ...runs.run import Run

# By name: which way the wave runs, 1 from head to tail, and to which side all motors bend the body meanwhile.
GAITS: Mapping[str, tuple[int, int]] = {"forward": (1, 0), "backward": (-1, 0), "left": (1, -1), "right": (1, 1)}
PERIODS = np.geomspace(0.6, 2.4, 4)  # s, of each gait
_AMPLITUDE, _BEND = 0.6, 0.4  # of a motor, whose commands are then within its range
_BENDS = 2.0  # of all motors together, at most: more would curl a body of many joints up
WINDOW = 60  # control steps
_BEFORE, _WINDOWS = 60, 2  # control steps before the first window, and windows of an episode


class Moved(NamedTuple):
    """What an agent's senses and neurons do in windows of 60 steps in which its body is moved.

    Attributes:
        senses: mean and standard deviation of each observed value, in its own unit.
        neurons: mean value of each neuron that is no sensor, in its own unit.
        gaits, periods: of each window, by number in `GAITS` and `PERIODS`.
    """

    senses: Float[np.ndarray, "windows observed"]
    neurons: Float[np.ndarray, "windows neurons"]
    gaits: Int[np.ndarray, " windows"]
    periods: Int[np.ndarray, " windows"]


def gait_motors(n_motors: int, dt: float, steps: int) -> Float[np.ndarray, "steps episodes motors"]:
    """Return motor commands of each gait with each period, in units of the motor's range; gait by gait.

    A wave as long as the body runs along it, and for turns all motors pull to one side too.

    Args:
        n_motors: from head to tail.
        dt: seconds of a control step.
        steps: number of control steps.
    """
    ways, sides = (np.repeat(values, len(PERIODS)) for values in zip(*GAITS.values(), strict=True))
    turns = dt * np.arange(steps)[:, None, None] / np.tile(PERIODS, len(GAITS))[:, None]
    along = np.arange(n_motors) / (n_motors + 1)
    wave = _AMPLITUDE * np.sin(2 * np.pi * (turns - ways[:, None] * along))
    return np.asarray(wave + min(_BEND, _BENDS / n_motors) * sides[:, None])


@torch.inference_mode()
def moved(run: Run, body: str) -> Moved:
    """Move a body by every gait while a run's agent hears its senses; the agent's own commands are not carried out.

    Raises:
        InvalidRecording: an episode ends before its first window does.
    """
    agent, envs = run.agent(body), run.resolved.on(body).make_envs(len(GAITS) * len(PERIODS), randomize={})
    steps = min(_BEFORE + _WINDOWS * WINDOW, envs.episode_steps)
    motors = gait_motors(envs.body.n_joints, envs.dt, steps).astype(np.float32)

    def act(observation: np.ndarray, state: Any, episode_start: np.ndarray) -> tuple[np.ndarray, Any, np.ndarray]:
        _, state, activity = agent.predict_with_activity(observation, state, episode_start)
        assert activity is not None
        return motors[rollout.elapsed], state, activity.cpu().numpy()

    rollout, senses, activity = Rollout(envs, act), [], []
    try:
        with one_thread(), weights_held(agent):
            rollout.start(seeds_of(EVALUATION_SEED, envs.n_envs))
            while rollout.is_running and rollout.elapsed < steps:
                senses.append(rollout.observation.copy())
                rollout.step()
                activity.append(rollout.extra)
    finally:
        envs.close()
    shortest = int(rollout.lengths.min())
    starts = range(_BEFORE, shortest - WINDOW + 1, WINDOW)
    if not starts:
        raise InvalidRecording(
            f"an episode on {body} ends after {shortest} steps, and a gait is told from {_BEFORE + WINDOW}; "
            "give longer episodes"
        )
    felt = [np.array(senses, float)[start : start + WINDOW] for start in starts]
    inner = [neuron.role != "sensor" for neuron in agent.neurons]
    done = [np.array(activity, float)[start : start + WINDOW, :, inner].mean(0) for start in starts]
    gait, period = np.divmod(np.arange(envs.n_envs), len(PERIODS))
    return Moved(
        np.concatenate([np.concatenate((part.mean(0), part.std(0)), 1) for part in felt]),
        np.concatenate(done),
        np.tile(gait, len(starts)),
        np.tile(period, len(starts)),
    )
