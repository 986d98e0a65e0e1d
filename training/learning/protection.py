"""Continual learning by gradient projection: weight updates are projected off the input subspaces of earlier tasks.

Orthogonal projection, after Xiao et al. 2024 (https://arxiv.org/abs/2402.11984): each update of a layer's weights is
projected away from the principal subspace of the layer's inputs in earlier tasks, so that the layer's response to those
inputs does not change. They find the subspace by a Hebbian rule; here it is computed as eigenvectors.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ...agents import Agent, replay
from ...agents.algorithms.algorithm import Learner
from ...circuits import Circuit
from ...errors import CircuitMismatch
from ..rollouts.recorder import record
from ..runs.config import RunConfig
from ..runs.run import Run

_EPISODES = 4
_SHARE = 0.99  # of the inputs' power, which the subspace holds
_ROWS = 4096  # of inputs; more tell the subspace no better
_EVERY = 5  # control steps, between inputs that are kept: neighbours are nearly the same
# Where each linear map has its inputs; its matrix comes next.
_MAPS = {F.linear: 0, torch.matmul: 0, Tensor.matmul: 0, Tensor.__matmul__: 0, torch.mm: 0, torch.addmm: 1}
# What masks and sign constraints do to a matrix before it is used.
_ELEMENTWISE = (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, Tensor.clamp, torch.relu, Tensor.abs)


def protect(learner: Learner, config: RunConfig) -> tuple[str, ...]:
    """Project the learner's updates off the input subspaces of the runs in `config.protect`.

    An update D of a weight matrix W becomes D (1 - P), where P projects on the principal subspaces of W's inputs in
    those runs. A bias is treated as a weight with the constant input 1. The statistics that normalise observations are
    frozen, because the inputs of earlier tasks would otherwise change.

    Returns:
        Names of the circuit's weights that are not part of a linear map, such as time constants; their updates are not
        projected.

    Raises:
        InvalidRun: an earlier run does not exist or has no checkpoint yet.
        CircuitMismatch: an earlier run has another circuit or other normalisation, the circuit has no linear map with
            its own weights, or the algorithm has no updates that can be projected.
    """
    if not learner.takes_projections:
        raise CircuitMismatch(f"updates of {config.algorithm} cannot be projected; choose es or ppo")
    circuit, normalizer = learner.agent.circuit, learner.agent.normalizer
    if circuit.active() or circuit.restructures_every:
        raise CircuitMismatch(
            f"circuit {config.circuit!r} changes its structure or lacks synapses, and its updates cannot be projected"
        )
    shapes = {name: parameter.shape for name, parameter in circuit.named_parameters()}
    rows: dict[LinearMap, list[np.ndarray]] = {}
    for path in config.protect:
        run = Run(path)
        agent = run.agent()
        if {name: value.shape for name, value in agent.circuit.named_parameters()} != shapes:
            raise CircuitMismatch(f"{path} holds another circuit than the one to train; its inputs mean nothing here")
        if not _same(agent.observation_stats, learner.agent.observation_stats):
            raise CircuitMismatch(
                f"{path} saw its observations normalised by other statistics than {config.start}; protect the run that "
                "training starts from, and those that it protected in its turn"
            )
        observations = np.asarray(record(run, _EPISODES).until_first_end().observations)
        for linear_map, inputs in linear_inputs(agent, observations).items():
            rows.setdefault(linear_map, []).append(principal_subspace(inputs))
    if not rows:
        raise CircuitMismatch(f"circuit {config.circuit!r} has no linear map of its own weights to protect")
    projections = {
        of: torch.as_tensor(_projection(found), dtype=torch.float32, device=learner.agent.device)
        for of, found in rows.items()
    }
    _project_steps(learner, projections)
    if normalizer is not None:
        normalizer.frozen = True
    covered = {name for of in rows for name in (of.weight, of.bias)}
    return tuple(name for name in shapes if name not in covered)


def principal_subspace(inputs: Float[np.ndarray, "samples n"], share: float = _SHARE) -> Float[np.ndarray, "k n"]:
    """Return as few orthonormal rows as hold a share of the inputs' power: their principal directions.

    That is where the Hebbian rule with lateral inhibition (Oja 1982) converges.
    """
    powers, directions = np.linalg.eigh(inputs.astype(float).T @ inputs / len(inputs))
    powers, directions = np.maximum(powers[::-1], 0.0), directions.T[::-1]
    # Before each direction: the power that those before it leave over.
    left = powers.sum() - np.cumsum(powers) + powers
    return directions[left > (1 - share) * powers.sum()]


@dataclasses.dataclass(frozen=True)
class LinearMap:
    """A weight matrix of a circuit, and how it acts.

    Attributes:
        weight: name of the matrix.
        axis: of the matrix, which meets the inputs.
        bias: name of the bias that is added to the same outputs, if any.
    """

    weight: str
    axis: int
    bias: str | None = None

    def rows(self, circuit: Circuit) -> Float[Tensor, "outputs inputs"]:
        """Return a copy of what the inputs are multiplied by, an output a row and in the circuit's units.

        A bias is the last column.
        """
        weight = circuit.get_parameter(self.weight).detach()
        weight = weight if self.axis else weight.T
        if self.bias is None:
            return weight.clone()
        return torch.cat((weight, circuit.get_parameter(self.bias).detach()[:, None]), 1)

    def set_rows(self, circuit: Circuit, rows: Float[Tensor, "outputs inputs"]) -> None:
        """Put back what `rows` returned, changed but in the same units."""
        weight = circuit.get_parameter(self.weight)
        n = weight.shape[self.axis]
        weight.copy_(rows[:, :n] if self.axis else rows[:, :n].T)
        if self.bias is not None:
            circuit.get_parameter(self.bias).copy_(rows[:, n])


@torch.inference_mode()
def linear_inputs(
    agent: Agent, observations: Float[np.ndarray, "E T O"]
) -> dict[LinearMap, Float[np.ndarray, "samples n"]]:
    """Return what each weight matrix of an agent's circuit is multiplied by; a bias has a last column of ones.

    The agent senses the observations, episode by episode; matrices are found where they go into a linear map.
    Observations are in the environment's units, and what a matrix has for inputs is in the circuit's units.
    """
    circuit = agent.circuit
    sensors = agent.sense(observations)
    listening, steps = _Listening(circuit), replay(circuit, sensors.transpose(0, 1))
    for step in range(sensors.shape[1]):
        with listening if step % _EVERY == 0 else contextlib.nullcontext():
            next(steps)
    rng = np.random.default_rng(0)
    found = {}
    for linear_map, heard in listening.heard.items():
        inputs = torch.cat(heard).numpy()
        inputs = inputs[rng.permutation(len(inputs))[:_ROWS]]
        found[linear_map] = inputs if linear_map.bias is None else np.c_[inputs, np.ones(len(inputs), inputs.dtype)]
    return found


class _Listening(TorchFunctionMode):
    """Note the inputs of every linear map by one of a circuit's weight matrices, as it is or masked."""

    def __init__(self, circuit: Circuit) -> None:
        super().__init__()
        matrices = {name: parameter for name, parameter in circuit.named_parameters() if parameter.ndim == 2}
        self._matrices: dict[int, tuple[str, Tensor]] = {
            parameter.data_ptr(): (name, parameter) for name, parameter in matrices.items()
        }
        self._biases = {
            parameter.data_ptr(): name for name, parameter in circuit.named_parameters() if parameter.ndim == 1
        }
        self.heard: dict[LinearMap, list[Tensor]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _MAPS:
            inputs, matrix = args[_MAPS[func] : _MAPS[func] + 2]
            name, known = self._matrices.get(matrix.data_ptr(), ("", None))
            # A part of a matrix may begin at its address, and has other inputs.
            if known is not None and matrix.numel() == known.numel():
                # A linear layer multiplies by the transpose; a matrix may have come as a transposed view.
                axis = (1 if func is F.linear else 0) ^ (matrix.stride() != known.stride())
                added = args[2] if func is F.linear and len(args) > 2 else (kwargs or {}).get("bias")
                bias = None if added is None else self._biases.get(added.data_ptr())
                heard = self.heard.setdefault(LinearMap(name, axis, bias), [])
                heard.append(inputs.reshape(-1, inputs.shape[-1]))
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


def _project_steps(learner: Learner, projections: dict[LinearMap, Float[Tensor, "n n"]]) -> None:
    circuit = learner.agent.circuit
    before: dict[LinearMap, Tensor] = {}

    def keep() -> None:
        before.update({linear_map: linear_map.rows(circuit) for linear_map in projections})

    @torch.no_grad()
    def project() -> None:
        for linear_map, projection in projections.items():
            after = linear_map.rows(circuit)
            linear_map.set_rows(circuit, after - (after - before[linear_map]) @ projection)

    learner.before_update.append(keep)
    learner.after_update.append(project)


def _same(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Say whether two agents see the same observations alike."""
    if one is None or other is None:
        return one is other
    return all(np.allclose(one[name], other[name]) for name in ("mean", "var"))
