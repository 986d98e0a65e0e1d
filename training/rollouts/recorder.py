"""Record rollouts: run an agent in lockstep and keep everything it saw, did and felt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from stable_baselines3.common.base_class import BaseAlgorithm

from ...agents import CircuitPolicy
from ...circuits import State
from ...envs import Body
from ...envs.sb3_env import SwimmerVecEnv
from ...progress import progress_bar
from ..runs.run import Run
from .evaluation import EVALUATION_SEED, make_model_env
from .interventions import Intervention, intervene
from .recording import Recording
from .watched import WatchedModel


def record(
    run: Run | str | Path,
    episodes: int = 8,
    body: str | Body | None = None,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
) -> Recording:
    """Record a run's agent on its own body, or on another, with neurons silenced, clamped or driven."""
    run = run if isinstance(run, Run) else Run(run)
    env = run.config.make_env(episodes, body, randomize={})
    try:
        return record_agent(run.policy(body), env, interventions=interventions, progress=progress)
    finally:
        env.close()


def record_model(
    model: BaseAlgorithm, body: str | Body, task: str, reward: str, episodes: int, progress: bool = False
) -> Recording:
    """Record a model of SB3's on a body and a task, with every unit of its actor.

    Raises:
        CircuitMismatch: it observes or acts in other spaces.
        InvalidRun: no episodes.
    """
    env = make_model_env(model, body, task, reward, episodes)
    try:
        policy = model.policy
        agent = policy if isinstance(policy, CircuitPolicy) else WatchedModel(model, np.asarray(env.reset()))
        return record_agent(agent, env, progress=progress)
    finally:
        env.close()


def record_agent(
    agent: CircuitPolicy | WatchedModel,
    env: SwimmerVecEnv,
    seed: int = EVALUATION_SEED,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
) -> Recording:
    """Record one episode of every environment; episode i starts from seed + i.

    Raises:
        UnknownName, CircuitMismatch: interventions that the agent's circuit does not allow.
    """
    torch.set_num_threads(1)
    batch, physics, steps = env.batch, env.batch.physics, env.batch.episode_steps
    batch.seed([seed + index for index in range(batch.n_envs)])
    observation = batch.reset(np.arange(batch.n_envs))
    state: State | None = None
    lengths = np.full(batch.n_envs, steps)
    running = np.arange(batch.n_envs)
    kept: dict[str, Float[np.ndarray, "time envs *rest"]] = {}

    def keep(step: int, **row: Any) -> None:
        for name, value in row.items():
            if name not in kept:
                # Time first: a step's rows lie side by side. What follows an episode's end stays 0.
                kept[name] = np.zeros((steps, *np.shape(value)), np.float32)
            kept[name][step, running] = np.asarray(value)[running]

    for step in progress_bar(range(steps), desc="record", unit="step", disable=not progress):
        if not len(running):
            break
        if interventions:
            intervene(agent, interventions, step)
        keep(
            step,
            observations=observation,
            **{name: physics.read(name) for name in ("joint_pos", "joint_vel", "link_pos", "link_angle", "com_pos")},
            target_pos=batch.task.target_pos,
        )
        actions, state, activity = agent.predict_with_activity(observation, state)
        stepped = batch.step(actions, None if len(running) == batch.n_envs else running)
        observation = stepped.observation
        assert activity is not None
        keep(
            step,
            actions=actions,
            activity=activity.numpy(),
            rewards=stepped.reward,
            torque=physics.read("motor_torque"),
        )
        ended = (stepped.terminated | stepped.truncated)[running]
        lengths[running[ended]] = step + 1
        running = running[~ended]
    longest = int(lengths.max())
    arrays: dict[str, Any] = {name: values[:longest].swapaxes(0, 1) for name, values in kept.items()}
    return Recording(
        **arrays,
        lengths=lengths,
        neurons=tuple(neuron.name for neuron in agent.neurons),
        dt=env.batch.dt,
        meta={
            **env.batch.facts(),
            "neurons": [{"role": n.role, "position": n.position, "side": n.side} for n in agent.neurons],
            "interventions": [dataclasses.asdict(each) for each in interventions],
        },
    )
