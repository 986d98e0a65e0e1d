"""Select a circuit's sensor values from an environment's observation, by name of the sense."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, Int
from stable_baselines3.common.vec_env import unwrap_vec_normalize
from torch import Tensor, nn

from ..circuits import Circuit
from ..envs.senses import Layout, Sense
from ..errors import CircuitMismatch

_log = logging.getLogger(__name__)


class Sensing(nn.Module):
    """Select and scale the columns of an observation that a circuit uses as sensors.

    Each value is divided by its sense's scale: joint positions (rad) by the joint limit, time (s) by the control step.

    Attributes:
        columns: index of each sensor's column in the observation.
        scale: factor of each sensor, the inverse of its sense's scale.

    Raises:
        CircuitMismatch: the observation lacks a sense of the circuit, or has it in another size.
    """

    columns: Int[Tensor, " sensors"]
    scale: Float[Tensor, " sensors"]

    def __init__(self, layout: Layout, circuit: Circuit) -> None:
        super().__init__()
        units = {sense.name: 1.0 / np.array(sense.scale or (1.0,)) for sense in layout.senses}
        columns, scale = [], []
        for name, size in circuit.senses:
            if name not in layout or layout.sizes[name] != size:
                raise CircuitMismatch(
                    f"the circuit senses {name!r} of size {size}; the observation holds "
                    f"{', '.join(f'{sense} of size {n}' for sense, n in layout.sizes.items())}"
                )
            part = layout[name]
            columns.append(np.arange(part.start, part.stop))
            scale.append(np.broadcast_to(units[name], size))
        picked = torch.as_tensor(np.concatenate(columns))
        # All columns in order need no gather, which is the common case of an MLP.
        self.takes_all = picked.equal(torch.arange(layout.size))
        self.register_buffer("columns", picked, persistent=False)
        self.register_buffer("scale", torch.as_tensor(np.concatenate(scale), dtype=torch.float32), persistent=False)

    def forward(self, observation: Float[Tensor, "*batch obs"]) -> Float[Tensor, "*batch sensors"]:
        """Return the sensors' values: joint positions in units of the joint limit, time in control steps."""
        picked = observation if self.takes_all else observation.index_select(-1, self.columns)
        return picked * self.scale


def layout_of(env: Any, observation_space: spaces.Space) -> Layout:
    """Return an SB3 environment's layout; one sense called `observation` where it names none.

    One whose observation a wrapper has made larger or smaller names none. That is said, and that VecNormalize changes
    units.
    """
    # A process that is asked for what it lacks dies, so it is asked whether it has it.
    if env is None or not env.unwrapped.has_attr("layout"):
        return plain_layout(observation_space)
    layout = env.unwrapped.get_attr("layout")[0]
    if not isinstance(layout, Layout):
        return plain_layout(observation_space)
    if observation_space.shape != (layout.size,):
        _log.warning(
            "nervecord: a wrapper makes observations of shape %s of %s; circuits sense it whole, as one sense "
            "`observation`, since its parts have no names",
            observation_space.shape,
            ", ".join(f"{name} ({size})" for name, size in layout.sizes.items()),
        )
        return plain_layout(observation_space)
    normalizer = unwrap_vec_normalize(env)
    if normalizer is not None and normalizer.norm_obs:
        _log.warning(
            "nervecord: VecNormalize changes the units of what circuits sense, such as joint positions in units of the "
            "joint limit; give it norm_obs=False where a circuit is to work as it was made"
        )
    return layout


def plain_layout(observation_space: spaces.Space) -> Layout:
    """Return the layout of a flat observation of which nothing is known.

    Raises:
        CircuitMismatch: the observation is no flat vector.
    """
    if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) != 1:
        raise CircuitMismatch(
            f"circuits sense a flat vector, and the observation is {observation_space}; "
            "flatten it with gymnasium.wrappers.FlattenObservation"
        )
    low, high = float(observation_space.low.min()), float(observation_space.high.max())
    return Layout((Sense("observation", observation_space.shape[0], low, high, ""),), (), 1.0)
