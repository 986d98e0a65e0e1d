"""Export every registered circuit to ONNX and torch, in both precisions; compare each with its agent for an episode.

python tests/export_policies.py          # all, about five minutes
python tests/export_policies.py ctrnn    # some
"""

import sys
import tempfile
from pathlib import Path

import torch
from nervecord import RunConfig
from nervecord.agents import Agent
from nervecord.circuits import CIRCUITS
from nervecord.errors import CircuitMismatch, NervecordError
from nervecord.sharing import check_policy, export_onnx, export_torch, onnx_step, torch_step
from nervecord.training.runs import resolve


def agent_and_envs(circuit, n_envs=2, episode_steps=1000):
    """Return an untrained agent, whose observations are normalised where PPO would, and its environments."""
    tasks = {"to_target": "navigate", "odour": "chemotaxis", "touch": "escape"}
    task = next((tasks[need] for need in CIRCUITS[circuit].needs if need in tasks), "swim")
    told = {"senses": ["joint_pos", "body_velocities", "context"]} if "context" in CIRCUITS[circuit].needs else {}
    config = RunConfig(circuit, "ppo", task=task, task_options=told, episode_steps=episode_steps, physics="mujoco")
    resolved = resolve(config)
    agent, envs = Agent(resolved.agent), resolved.make_envs(n_envs)
    if agent.normalizer is not None:
        rng = torch.Generator().manual_seed(0)
        agent.normalizer.update(torch.randn(100, agent.layout.size, generator=rng).numpy())
    return agent, envs


def main(names):
    torch.set_num_threads(1)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names or CIRCUITS:
            agent, envs = agent_and_envs(name)
            for dtype in (torch.float32, torch.float64):
                for export, step in ((export_onnx, onnx_step), (export_torch, torch_step)):
                    path = Path(folder) / f"{name}-{dtype}{'.onnx' if export is export_onnx else '.pt2'}"
                    try:
                        told = f"off by {check_policy(step(export(agent, path, dtype)), agent, envs, dtype):.2g}"
                    except NervecordError as error:
                        told, failed = str(error), failed + (not isinstance(error, CircuitMismatch))
                    print(f"{name:12} {path.suffix:6} {dtype!s:14} {told}", flush=True)
            envs.close()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
