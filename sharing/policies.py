"""Export agents for use without nervecord: the whole policy as one graph, for ONNX runtimes and plain torch."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ..agents import Agent, Rollout
from ..envs import EnvBatch
from ..errors import CircuitMismatch
from ..extras import require
from ..files import write_whole
from ..threads import one_thread
from ..training.rollouts.evaluation import EVALUATION_SEED

# By how much an action may differ from the agent's, in units of the motor's range.
_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
_SPIKE = 0.5  # by how much, at least, a spike changes a membrane potential, whose threshold is 1
_MOST_LOST = 1e-4  # of control steps of neurons in which an exported policy may fire otherwise
_INPUTS = ("observation", "episode_start")

# What ONNX's runtime has in single precision alone, in parts that it has in double too.
_IN_PARTS = {
    torch.ops.aten.leaky_relu.default: lambda x, slope=0.01: torch.where(x > 0, x, slope * x),
}

# Takes and returns arrays [batch, ...], in the order of `Policy`.
Step = Callable[..., Sequence[Any]]


class Policy(nn.Module):
    """An agent as one pure function: observation, episode start and state in, action and next state out.

    It includes normalisation, scaling, state reset and squashing. Where an episode starts, the given state is ignored,
    so it may be zeros.

    Args:
        agent: the agent, which is copied.
        dtype: type of observations, state and actions: torch.float32 or torch.float64.

    Attributes:
        state_names: names of the state's tensors, in order; empty for circuits without state.
    """

    def __init__(self, agent: Agent, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.agent = copy.deepcopy(agent).cpu().to(dtype).eval().requires_grad_(False)
        initial = self.agent.circuit.initial_state(1)
        self.state_names = tuple(initial)
        for name, value in initial.items():
            self.register_buffer(f"initial_{name}", value.to(dtype) if value.is_floating_point() else value)
        self.dtype = dtype

    @property
    def initial_state(self) -> tuple[Shaped[Tensor, "1 ..."], ...]:
        """The initial state of one environment."""
        return tuple(getattr(self, f"initial_{name}") for name in self.state_names)

    def forward(
        self,
        observation: Float[Tensor, "batch obs"],
        episode_start: Bool[Tensor, " batch"],
        *state: Shaped[Tensor, "batch ..."],
    ) -> tuple[Shaped[Tensor, "batch ..."], ...]:
        """Return actions and the next state; observations and actions are in the environment's units."""
        agent = self.agent
        shown = observation if agent.normalizer is None else agent.normalizer(observation).to(self.dtype)
        begun = {
            name: torch.where(episode_start.reshape(-1, *[1] * (value.dim() - 1)), start, value)
            for name, start, value in zip(self.state_names, self.initial_state, state, strict=True)
        }
        motor, after = agent.circuit(agent.sensing(shown), begun)
        return agent.to_actions(motor), *(after[name] for name in self.state_names)


def export_torch(agent: Agent, path: str | Path, dtype: torch.dtype = torch.float32) -> Path:
    """Write an agent's policy as a program that `torch.export.load` loads without nervecord.

    Raises:
        CircuitMismatch: torch cannot export this circuit.
    """
    program = _program(Policy(agent, dtype))
    write_whole(Path(path), lambda partial: _save_program(program, partial))
    return Path(path)


def export_onnx(agent: Agent, path: str | Path, dtype: torch.dtype = torch.float32) -> Path:
    """Write an agent's policy as an ONNX model.

    Inputs are observation, episode_start and state_NAME for each tensor of the state; outputs are action and
    next_state_NAME. The batch size is dynamic.

    Raises:
        MissingDependency: onnx, onnxscript or onnxruntime is not installed.
        CircuitMismatch: ONNX or its runtime does not support an operation of this circuit.
    """
    require("onnx", "onnx", "onnxscript", "onnxruntime")
    policy = Policy(agent, dtype)
    names = [f"state_{name}" for name in policy.state_names]
    program = _program(policy)
    try:
        with _quiet():
            program = program.run_decompositions(_IN_PARTS)
            made = torch.onnx.export(
                program, input_names=[*_INPUTS, *names], output_names=["action", *(f"next_{name}" for name in names)],
                dynamo=True, verbose=False,
                custom_translation_table={torch.ops.aten.scalar_tensor.default: _number},
            )  # fmt: skip
        assert made is not None
        write_whole(Path(path), lambda partial: made.save(str(partial), external_data=False))
    except OSError:
        raise
    except Exception as error:  # of any kind: what an exporter cannot do shows in its depths
        raise CircuitMismatch(f"circuit {agent.spec.circuit!r} cannot be exported to ONNX: {_line(error)}") from error
    return Path(path)


def onnx_step(path: str | Path) -> Step:
    """Return a function that runs one control step of an ONNX model on NumPy arrays; see `Policy.forward`.

    Raises:
        MissingDependency: onnxruntime is not installed.
        CircuitMismatch: the runtime lacks an operator.
    """
    runtime: Any = require("onnxruntime", "onnx")
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors are of no public class
        raise CircuitMismatch(f"{path} cannot be run by onnxruntime: {_line(error)}") from error
    names = [each.name for each in session.get_inputs()]
    return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def torch_step(path: str | Path) -> Step:
    """Return a function that runs one control step of a program of `export_torch` on NumPy arrays."""
    module = torch.export.load(str(path)).module()
    return lambda *arrays: [value.numpy() for value in module(*map(torch.as_tensor, arrays))]


def check_policy(step: Step, agent: Agent, envs: EnvBatch, dtype: torch.dtype = torch.float32) -> float:
    """Run an episode in every environment, and compare an exported policy's actions with the agent's at each step.

    Both keep their own state, so that differences accumulate as in use. In spiking circuits, rounding near the
    threshold can add or remove a spike: such spikes are counted, and the episode continues from the agent's state.

    Args:
        step: function returned by `onnx_step` or `torch_step`.
        agent: the agent.
        envs: environments, one per episode.
        dtype: type of the exported policy.

    Returns:
        The largest difference of actions, in units of the motor's range.

    Raises:
        CircuitMismatch: the difference is above 1e-5 in single precision or 1e-9 in double precision, or spikes differ
            in more than one of 10,000 control steps of a neuron.
    """
    policy, off, fires, lost = Policy(agent, dtype), 0.0, bool(agent.firing), 0
    kind = np.dtype(str(dtype).removeprefix("torch."))
    states = {"mine": [np.zeros((envs.n_envs, *each.shape[1:]), each.numpy().dtype) for each in policy.initial_state]}
    states["theirs"] = states["mine"]

    def act(observation: np.ndarray, state: Any, episode_start: np.ndarray) -> tuple[np.ndarray, Any, None]:
        nonlocal off, lost
        seen, starts = np.asarray(observation, kind), np.asarray(episode_start, bool)
        mine = [value.numpy() for value in policy(*map(torch.as_tensor, (seen, starts, *states["mine"])))]
        theirs = step(seen, starts, *states["theirs"])
        states["mine"], states["theirs"] = mine[1:], [np.array(value) for value in theirs[1:]]
        apart = np.abs(mine[0].astype(float) - theirs[0])
        if fires:
            lost += _follow(states["theirs"], mine[1:], apart)
        off = max(off, float(apart.max()))
        return mine[0], state, None

    with one_thread(), torch.inference_mode():
        rollout = Rollout(envs, act)
        rollout.start([EVALUATION_SEED + index for index in range(envs.n_envs)])
        while rollout.is_running:
            rollout.step()
    total = len(agent.firing) * int(rollout.lengths.sum())
    if lost > _MOST_LOST * total:
        raise CircuitMismatch(
            f"the exported policy of circuit {agent.spec.circuit!r} fires differently from the agent in {lost:,} of "
            f"{total:,} control steps of neurons"
        )
    if not off <= _TOLERANCE[dtype]:
        raise CircuitMismatch(
            f"the exported policy of circuit {agent.spec.circuit!r} differs from the agent by {off:.2g} of a motor's "
            f"range, which is more than {_TOLERANCE[dtype]:g}"
        )
    return off


def _follow(theirs: list[np.ndarray], mine: list[np.ndarray], apart: Float[np.ndarray, "batch motors"]) -> int:
    """Count spikes that one state has and the other has not; set rows with any to `mine`, and their `apart` to 0."""
    others = [np.abs(given - value).reshape(len(value), -1) > _SPIKE for given, value in zip(theirs, mine, strict=True)]
    rows = np.any([other.any(1) for other in others], axis=0)
    for given, value in zip(theirs, mine, strict=True):
        given[rows] = value[rows]
    apart[rows] = 0
    return int(sum(other.sum() for other in others))


def _program(policy: Policy) -> torch.export.ExportedProgram:
    """Return the policy's graph, for batches of any size."""
    # Of two: a batch of one would be taken for a constant.
    arguments = (
        torch.zeros(2, policy.agent.layout.size, dtype=policy.dtype), torch.ones(2, dtype=torch.bool),
        *(value.expand(2, *value.shape[1:]).clone() for value in policy.initial_state),
    )  # fmt: skip
    batch = {0: torch.export.Dim("batch")}
    state = [tuple(batch for _ in policy.state_names)] if policy.state_names else []
    try:
        with torch.no_grad():
            return torch.export.export(policy, arguments, dynamic_shapes=(batch, batch, *state))
    except Exception as error:  # of any kind: what cannot be traced shows in torch's depths
        name = policy.agent.spec.circuit
        raise CircuitMismatch(f"circuit {name!r} cannot be exported by torch: {_line(error)}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the exporter says of libraries that it could use, such as torchvision."""
    exporter = logging.getLogger("torch.onnx")
    before, exporter.level = exporter.level, logging.ERROR
    try:
        yield
    finally:
        exporter.level = before


def _number(
    value: float,
    dtype: int = 1,
    layout: str = "",  # noqa: ARG001
    device: str = "",  # noqa: ARG001
    pin_memory: bool = False,  # noqa: ARG001
) -> Any:
    """Return a number of a circuit's code in ONNX with all of its digits; the exporter's own way rounds it to single.

    The arguments are those of `torch.ops.aten.scalar_tensor`.
    """
    ir, opset = require("onnx_ir", "onnx"), require("onnxscript", "onnx").opset18
    return opset.Constant(value=ir.tensor(np.array(value, ir.DataType(dtype).numpy())))


def _save_program(program: torch.export.ExportedProgram, path: Path) -> None:
    # torch looks at a file's name, which ends in .partial here.
    with path.open("wb") as file:
        torch.export.save(program, file)


def _line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
