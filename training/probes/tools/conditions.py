"""Conditions of a rollout: the phase of the gait, in bins, and what neurons do in each."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy import signal

from ....errors import InvalidRecording
from ...rollouts.recording import Recording
from ..contract import living, settled
from ..gait import undulation_frequency


def gait_phase(recording: Recording) -> Float[np.ndarray, "E T"]:
    """Return the phase of the undulation, rad in [0, 2 pi), over each episode after its first fifth.

    It is the phase of the first complex principal mode of the joints; 0 is where the first joint is bent
    furthest to its dorsal side.

    Raises:
        InvalidRecording: the body does not undulate.
    """
    first = settled(recording)
    joints = np.asarray(recording.joint_pos[:, first:], float)
    if joints.shape[1] < 64:
        raise InvalidRecording(
            f"the gait's phase needs 64 steps after the first fifth, the recording has {joints.shape[1]}; "
            "record longer episodes"
        )
    phases = []
    for episode in joints:
        undulation_frequency(episode, recording.dt)  # or say that there is none
        analytic = signal.hilbert(episode - episode.mean(0), axis=0)
        mode = np.linalg.svd(analytic, full_matrices=False)[2][0]
        along = analytic @ mode.conj()
        # Turned so that the first joint is at its dorsal peak where the phase is 0.
        phases.append(np.angle(along * mode[0]) % (2 * np.pi))
    return np.array(phases)


def phase_means(
    recording: Recording, bins: int
) -> tuple[Float[np.ndarray, "E bins n"], Int[np.ndarray, "E T"], tuple[str, ...], int]:
    """Return every living neuron's mean in each bin of the gait's phase, the bin of each step, names and the rest.

    Steps are those after each episode's first fifth; the last value counts the neurons that never change there.

    Raises:
        InvalidRecording: no undulation, or a phase that an episode never passes through.
    """
    activity, names, constant = living(recording, 80, settled(recording))
    bin_of = (gait_phase(recording) / (2 * np.pi) * bins).astype(int).clip(0, bins - 1)
    activity = activity[:, -bin_of.shape[1] :]
    means = np.empty((len(activity), bins, activity.shape[2]))
    for episode, (values, where) in enumerate(zip(activity, bin_of, strict=True)):
        counts = np.bincount(where, minlength=bins)
        if (counts == 0).any():
            raise InvalidRecording(
                f"episode {episode} never passes through phase bin {int(np.argmin(counts))} of {bins}; "
                "record longer episodes"
            )
        sums = np.zeros((bins, values.shape[1]))
        np.add.at(sums, where, values)
        means[episode] = sums / counts[:, None]
    return means, bin_of, names, constant
