"""Learning on without forgetting: updates that keep off what earlier tasks have for inputs.

Hebbian orthogonal projection, after Xiao et al. 2024 (https://arxiv.org/abs/2402.11984): the principal subspace
of a layer's inputs in earlier tasks is found by a Hebbian rule with anti-Hebbian lateral inhibition, and each
update of the layer's weights is projected away from it, so that what the layer made of those inputs stays.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..agents import CMAES, CircuitPolicy
from ..circuits import Circuit
from ..errors import CircuitMismatch
from .config import RunConfig
from .rollout import record
from .run import Run

_EPISODES = 4
_SHARE = 0.99  # of the inputs' power, which the subspace holds
_ROUNDS = 300
_ROWS = 4096  # of inputs; more tell the subspace no better
_EVERY = 5  # control steps, between inputs that are kept: neighbours are nearly the same
# Where each linear map has its inputs; its matrix comes next.
_MAPS = {F.linear: 0, torch.matmul: 0, Tensor.matmul: 0, Tensor.__matmul__: 0, torch.mm: 0, torch.addmm: 1}
# What masks and sign constraints do to a matrix before it is used.
_ELEMENTWISE = (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, Tensor.clamp, torch.relu, Tensor.abs)


def protect(model: BaseAlgorithm, config: RunConfig) -> None:
    """Let the learner's steps leave alone what the runs `config.protect` have for inputs of each linear map.

    Each step of the optimiser moves a weight W by D; it is made D (1 - P), where P projects on the principal
    subspaces of W's inputs in those runs.

    Raises:
        InvalidRun: there is no such run, or nothing trained in it yet.
        CircuitMismatch: its circuit is another, or has no linear map of its own weights, or the algorithm takes
            no steps that could be projected.
    """
    learning: Any = model.policy
    if isinstance(model, CMAES) or not hasattr(learning, "optimizer"):
        raise CircuitMismatch(f"{config.algorithm} takes no steps that could be projected; choose es or ppo")
    circuit: Circuit = learning.circuit
    shapes = {name: parameter.shape for name, parameter in circuit.named_parameters()}
    rows: dict[str, list[np.ndarray]] = {}
    axes: dict[str, int] = {}
    for path in config.protect:
        run = Run(path)
        agent = run.policy()
        if {name: value.shape for name, value in agent.circuit.named_parameters()} != shapes:
            raise CircuitMismatch(f"{path} holds another circuit than the one to train; its inputs mean nothing here")
        observations = np.asarray(record(run, _EPISODES).observations)
        for name, (inputs, axis) in linear_inputs(agent, observations).items():
            rows.setdefault(name, []).append(principal_subspace(inputs))
            axes[name] = axis
    if not rows:
        raise CircuitMismatch(f"circuit {config.circuit!r} has no linear map of its own weights to protect")
    projections = {name: torch.from_numpy(_projection(found)).float() for name, found in rows.items()}
    _project_steps(learning.optimizer, circuit, projections, axes)


def principal_subspace(inputs: Float[np.ndarray, "samples n"], share: float = _SHARE) -> Float[np.ndarray, "k n"]:
    """Return orthonormal rows that hold a share of the inputs' power, found by the Hebbian rule.

    One neuron after another learns by y = h x, h += rate mean(y (x - y h)) (Oja 1982), on inputs from which
    the neurons before it have taken their part.
    """
    power = inputs.astype(float).T @ inputs / len(inputs)
    whole = np.trace(power)
    rng = np.random.default_rng(0)
    rows: list[np.ndarray] = []
    while len(rows) < len(power) and whole > 0 and np.trace(power) > (1 - share) * whole:
        neuron = rng.standard_normal(len(power))
        neuron /= np.linalg.norm(neuron)
        rate = 0.9 / np.trace(power)
        for _ in range(_ROUNDS):
            neuron += rate * (power @ neuron - (neuron @ power @ neuron) * neuron)
        for row in rows:
            neuron -= (neuron @ row) * row
        neuron /= np.linalg.norm(neuron)
        rows.append(neuron)
        rest = np.eye(len(power)) - np.outer(neuron, neuron)
        power = rest @ power @ rest
    return np.array(rows).reshape(-1, inputs.shape[1])


@torch.inference_mode()
def linear_inputs(
    agent: CircuitPolicy, observations: Float[np.ndarray, "E T O"]
) -> dict[str, tuple[Float[np.ndarray, "samples n"], int]]:
    """Return what each weight matrix of an agent's circuit is multiplied by, and the axis of the matrix it meets.

    The agent senses the observations, episode by episode; matrices are found where they go into a linear map.
    """
    circuit = agent.circuit
    sensors = agent.sense(observations)
    state = circuit.initial_state(len(sensors))
    listening = _Listening(circuit)
    for step in range(sensors.shape[1]):
        with listening if step % _EVERY == 0 else contextlib.nullcontext():
            _, state = circuit(sensors[:, step], state)
    rng = np.random.default_rng(0)
    found = {}
    for name, (heard, axis) in listening.heard.items():
        inputs = torch.cat(heard).numpy()
        found[name] = inputs[rng.permutation(len(inputs))[:_ROWS]], axis
    return found


class _Listening(TorchFunctionMode):
    """Note the inputs of every linear map by one of a circuit's weight matrices, as it is or masked."""

    def __init__(self, circuit: Circuit) -> None:
        super().__init__()
        matrices = {name: parameter for name, parameter in circuit.named_parameters() if parameter.ndim == 2}
        self._matrices: dict[int, tuple[str, Tensor]] = {
            parameter.data_ptr(): (name, parameter) for name, parameter in matrices.items()
        }
        self.heard: dict[str, tuple[list[Tensor], int]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _MAPS:
            inputs, matrix = args[_MAPS[func] : _MAPS[func] + 2]
            if matrix.data_ptr() in self._matrices:
                name, known = self._matrices[matrix.data_ptr()]
                # A linear layer multiplies by the transpose; a matrix may have come as a transposed view.
                axis = (1 if func is F.linear else 0) ^ (matrix.stride() != known.stride())
                self.heard.setdefault(name, ([], axis))[0].append(inputs.reshape(-1, inputs.shape[-1]))
        result = func(*args, **(kwargs or {}))
        if func in _ELEMENTWISE and isinstance(args[0], Tensor) and args[0].data_ptr() in self._matrices:
            name, known = self._matrices[args[0].data_ptr()]
            if result.shape == known.shape:
                # Held, so that no other tensor gets its address.
                self._matrices[result.data_ptr()] = name, result
        return result


def _projection(rows: list[Float[np.ndarray, "k n"]]) -> Float[np.ndarray, "n n"]:
    """Return the projection on the span of all rows."""
    _, values, directions = np.linalg.svd(np.concatenate(rows), full_matrices=False)
    kept = directions[values > 1e-6]
    return kept.T @ kept


def _project_steps(
    optimizer: torch.optim.Optimizer, circuit: Circuit, projections: dict[str, Tensor], axes: dict[str, int]
) -> None:
    weights = {name: circuit.get_parameter(name) for name in projections}
    before: dict[str, Tensor] = {}

    def keep(*_: Any) -> None:
        before.update({name: weight.detach().clone() for name, weight in weights.items()})

    @torch.no_grad()
    def project(*_: Any) -> None:
        for name, weight in weights.items():
            step = weight - before[name]
            along = projections[name] @ step if axes[name] == 0 else step @ projections[name]
            weight.sub_(along)

    optimizer.register_step_pre_hook(keep)
    optimizer.register_step_post_hook(project)
