"""Sequences of sensors from a recording, for probes that run a circuit again."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ....agents import Agent
from ....circuits import Circuit
from ....errors import InvalidRecording
from ...rollouts.recording import Recording


def sensor_sequences(
    agent: Agent, recording: Recording, sequences: int, steps: int, from_start: bool = False
) -> Float[Tensor, "steps sequences sensors"]:
    """Return the sensors of the agent's circuit in sequences spread evenly over the recording.

    Args:
        agent: the agent that scales and normalises the observations.
        recording: the recorded observations.
        sequences: number of sequences; fewer if `from_start` and the recording has fewer episodes.
        steps: length of each sequence, in control steps.
        from_start: take the start of each episode instead.

    Raises:
        InvalidRecording: the episodes are shorter than `steps`, or observations are not finite.
    """
    longest = recording.n_steps - steps
    if longest < 0:
        raise InvalidRecording(
            f"this probe needs episodes of {steps} steps and the recording's have {recording.n_steps}; "
            "record longer episodes"
        )
    if from_start:
        sequences = min(sequences, recording.n_episodes)
    episodes = np.linspace(0, recording.n_episodes - 1, sequences).round().astype(int)
    # Golden-ratio strides spread the sequences of an episode over its length, whatever their number.
    firsts = np.zeros(sequences, int) if from_start else (np.arange(sequences) * 0.618 % 1 * longest).astype(int)
    pieces = []
    for episode, first in zip(episodes, firsts, strict=True):
        piece = np.asarray(recording.observations[episode, first : first + steps], float)
        if not np.isfinite(piece).all():
            row, column = np.argwhere(~np.isfinite(piece))[0]
            raise InvalidRecording(f"observation {column} is not finite in episode {episode}, step {first + row}")
        pieces.append(piece)
    with torch.no_grad():
        return agent.sense(np.stack(pieces, 1))


def hidden_columns(circuit: Circuit) -> list[int]:
    """Return the columns of activity of the circuit's own units: interneurons, or all but the sensors."""
    inter = [index for index, neuron in enumerate(circuit.neurons) if neuron.role == "inter"]
    return inter or [index for index, neuron in enumerate(circuit.neurons) if neuron.role != "sensor"]
