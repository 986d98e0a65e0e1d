"""Models of Stable-Baselines3 with their neurons in view: every unit between observation and action."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn

from ...agents import CircuitPolicy
from ...circuits import Neuron, Synapse, Wiring, neuron_row
from ...envs import EnvBatch
from .saved_models import SavedModel

# What a layer of neurons ends with; anything else (normalisation, dropout) is plumbing between layers.
_UNITS = (nn.Tanh, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.SiLU, nn.GELU, nn.Mish, nn.Sigmoid, nn.Softplus)


class Watched:
    """Act as a saved model does and show what its neurons do: a circuit's own, or else every unit.

    Args:
        saved: the model.
        envs: where it acts; they are reset.

    Attributes:
        wiring: the neurons and their synapses.
        firing: those of a circuit that fire.
    """

    def __init__(self, saved: SavedModel, envs: EnvBatch) -> None:
        self._saved = saved
        policy: Any = saved.model.policy
        shown, _ = saved.see(envs.reset(np.arange(envs.n_envs)), None, None)
        self._agent: Any
        self.wiring: Wiring
        self.firing: tuple[Neuron, ...] = ()
        if isinstance(policy, CircuitPolicy):
            self._agent, self.wiring = policy.agent, policy.circuit.wiring()
            self.firing = policy.agent.firing
        else:
            self._agent = units = _Units(saved.model, shown)
            self.wiring = units.wiring
        self.neurons: tuple[Neuron, ...] = self._agent.neurons

    def predict_with_activity(
        self, observation: Float[np.ndarray, "batch obs"], state: Any = None, episode_start: Any = None
    ) -> tuple[np.ndarray, Any, Float[Tensor, "batch neurons"]]:
        """Act without noise; return actions, the next state and every neuron's value, all in their own units."""
        stack, inner = (None, None) if state is None else state
        shown, stack = self._saved.see(observation, stack, episode_start)
        actions, inner, activity = self._agent.predict_with_activity(shown, inner, episode_start)
        return actions, (stack, inner), activity

    def spikes(
        self, observation: Float[np.ndarray, "batch obs"], state: Any = None, episode_start: Any = None
    ) -> Float[Tensor, "batch substeps firing"]:
        """Return the spikes, 0 or 1, that neurons fire while it acts so; see `Agent.spikes`."""
        stack, inner = (None, None) if state is None else state
        shown, _ = self._saved.see(observation, stack, episode_start)
        spikes: Tensor = self._agent.spikes(shown, inner, episode_start)
        return spikes


class _Units:
    """Act as a model of SB3's and show what its units do.

    Neurons are the observation's values (`observation_3`), the units of every layer that `predict` runs
    through, in that order (`hidden_0_17`), and the actions (`motor_0`): the actor, not the critic. A layer is
    a module of activation functions or a recurrent one.

    Args:
        model: a model whose observation is one flat vector.
        observation: one batch of what it is shown, [batch, obs], to look through the layers with.

    Attributes:
        model: the model.
        wiring: its neurons, with the synapses of the linear maps that lead from layer to layer.
    """

    def __init__(self, model: BaseAlgorithm, observation: Float[np.ndarray, "batch obs"]) -> None:
        self.model = model
        with _watching(model.policy) as calls:
            actions, _ = model.predict(observation, deterministic=True)
        self._ends_in_units = bool(calls) and _is_motor(calls, actions.shape[-1])
        self.wiring = self._draw(calls, observation.shape[-1], actions.shape[-1])

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """Every unit, in the order of the columns of the activity."""
        return self.wiring.neurons

    def predict_with_activity(
        self, observation: Float[np.ndarray, "batch obs"], state: Any = None, episode_start: Any = None
    ) -> tuple[np.ndarray, Any, Float[Tensor, "batch neurons"]]:
        """Act without noise; return actions, the next state and every neuron's value."""
        with _watching(self.model.policy) as calls:
            actions, state = self.model.predict(observation, state, episode_start, deterministic=True)
        layers = [values for module, values in calls if not isinstance(module, nn.Linear)]
        if self._ends_in_units:
            layers.pop()
        values = [torch.as_tensor(observation, dtype=torch.float32), *layers, torch.as_tensor(actions)]
        return actions, state, torch.cat([each.reshape(len(observation), -1).float() for each in values], -1)

    def _draw(self, calls: list[tuple[nn.Module, Tensor]], n_sensors: int, n_motors: int) -> Wiring:
        neurons = [Neuron(f"observation_{i}", "sensor") for i in range(n_sensors)]
        synapses: list[Synapse] = []
        motors = neuron_row("motor", "motor", n_motors)
        before, maps, layer = neurons[:], [], 0
        last = calls[-1][0] if self._ends_in_units else None
        for module, values in calls:
            if isinstance(module, nn.Linear):
                maps.append(module)
                continue
            if module is last:
                continue
            after = [Neuron(f"hidden_{layer}_{i}", "inter") for i in range(values[0].numel())]
            synapses += _synapses(maps, before, after)
            neurons, before, maps, layer = [*neurons, *after], after, [], layer + 1
        synapses += _synapses(maps, before, motors)
        return Wiring((*neurons, *motors), tuple(synapses))


def _synapses(maps: list[nn.Linear], before: list[Neuron], after: list[Neuron]) -> list[Synapse]:
    """Return the synapses of the first linear map that fits: Gaussian actors have one for their spread too."""
    for layer in maps:
        if (layer.in_features, layer.out_features) == (len(before), len(after)):
            rows = layer.weight.tolist()
            return [
                Synapse(pre.name, post.name, weight)
                for post, row in zip(after, rows, strict=True)
                for pre, weight in zip(before, row, strict=True)
            ]
    return []


def _is_motor(calls: list[tuple[nn.Module, Tensor]], n_motors: int) -> bool:
    """Return whether the last layer of units is the action itself, as in DDPG and TD3."""
    module, values = calls[-1]
    return not isinstance(module, nn.Linear) and values[0].numel() == n_motors


@contextlib.contextmanager
def _watching(policy: nn.Module) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """Note what linear maps and layers of units return, in the order in which they run."""
    calls: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        values = output[0][-1] if isinstance(module, nn.RNNBase) else output
        calls.append((module, values.detach().cpu()))

    hooks = [
        module.register_forward_hook(note)
        for module in policy.modules()
        if isinstance(module, (nn.Linear, nn.RNNBase, *_UNITS))
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
