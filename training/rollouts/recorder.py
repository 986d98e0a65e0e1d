"""Record rollouts: observations, actions, body and every neuron's activity, over whole episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from ...agents import Agent, Rollout
from ...agents.lost import naming_lost
from ...circuits.held import weights_held
from ...envs import Body, EnvBatch
from ...errors import InvalidOption
from ...options import COUNT, FLAG, OneOf, checked
from ...progress import progress_bar
from ...threads import one_thread
from ...version import __version__
from ..runs.run import A_RUN, Run
from .evaluation import EVALUATION_SEED, seeds_of
from .interventions import INTERVENTIONS, Intervention, NoiseUnit, circuit_of, for_each_neuron, pinning
from .recording import SECONDS, Recording, steps_in
from .saved_models import SavedModel
from .watched import Watched

_READ = ("joint_pos", "joint_vel", "link_pos", "link_angle", "com_pos")


@checked(
    InvalidOption,
    run=A_RUN,
    episodes=COUNT,
    interventions=INTERVENTIONS,
    progress=FLAG,
    physics=OneOf((None, "mujoco")),
    seconds=SECONDS,
)
def record(
    run: Run | str | Path,
    episodes: int = 8,
    body: str | Body | None = None,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
    physics: str | None = None,
    seconds: float | None = None,
) -> Recording:
    """Record episodes of a run's agent on its own or another body, with interventions if there are any.

    Args:
        run: the run or its folder.
        episodes: number of episodes.
        body: another body than the run's own.
        interventions: interventions on neurons.
        progress: show a progress bar.
        physics: "mujoco", which compiles nothing and so starts a single episode at once; None takes the run's own.
        seconds: seconds of each episode to record, from its start; None records all of it.

    Raises:
        InvalidOption: there is no such run or physics, it has no checkpoint yet, or `episodes` is below 1.
        UnknownName: there is no such body or neuron.
    """
    run = run if isinstance(run, Run) else Run(run)
    resolved = run.resolved if physics is None else run.resolved.stepped_by(physics)
    envs = resolved.on(body).make_envs(episodes, randomize={})
    try:
        origin = {
            "circuit": run.config.circuit, "run": run.path.resolve().name, "seed": run.config.seed,
            "step": run.progress[0],
        }  # fmt: skip
        return record_agent(
            run.agent(body), envs, interventions=interventions, progress=progress, origin=origin, seconds=seconds
        )
    finally:
        envs.close()


def disturbances(
    run: Run | str | Path, noise: float, unit: NoiseUnit = "own", episodes: int = 8, body: str | Body | None = None
) -> tuple[Intervention, ...]:
    """Return noise interventions on every neuron of a run's circuit, for `record`, `evaluate` and others.

    Args:
        run: the run.
        noise: standard deviation of the noise.
        unit: unit of `noise`: "own", each neuron's standard deviation without noise, for which episodes are recorded;
            or "absolute", each neuron's unit.
        episodes: number of episodes of that recording.
        body: body of that recording; None is the run's own.

    Raises:
        InvalidOption: there is no such run, it has no checkpoint yet, `episodes` is below 1, or `noise` is below 0.
    """
    run = run if isinstance(run, Run) else Run(run)
    if unit == "absolute":
        return tuple(Intervention(neuron.name, "noise", noise) for neuron in run.agent(body).circuit.neurons)
    quiet = record(run, episodes, body).until_first_end()
    spread = np.asarray(quiet.activity, float).std((0, 1))
    return tuple(Intervention(name, "noise", noise * each) for name, each in zip(quiet.neurons, spread, strict=True))


def record_model(saved: SavedModel, episodes: int, progress: bool = False) -> Recording:
    """Record episodes of a model saved by SB3, with the activity of every unit of its actor.

    Raises:
        CircuitMismatch: the model has other observation or action spaces.
        InvalidOption: `episodes` is below 1.
        InvalidTask: the task has no such reward.
    """
    envs = saved.make_envs(episodes)
    try:
        origin = {"circuit": type(saved.model).__name__}
        return record_agent(Watched(saved, envs), envs, progress=progress, origin=origin)
    finally:
        envs.close()


def record_agent(
    agent: Agent | Watched,
    envs: EnvBatch,
    seed: int | Sequence[int] = EVALUATION_SEED,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
    origin: Mapping[str, Any] | None = None,
    seconds: float | None = None,
) -> Recording:
    """Record one episode in every environment; episode i has the seed `seed` + i, or its own from a sequence.

    Args:
        agent: the agent.
        envs: environments, one per episode, with the agent's body.
        seed: seed of the first episode, or of each.
        interventions: interventions on neurons.
        progress: show a progress bar.
        origin: origin of the agent, as far as known: circuit, run, seed and step.
        seconds: seconds of each episode to record, from its start; None records all of it.

    Raises:
        UnknownName, CircuitMismatch: the agent's circuit does not allow these interventions.
        InvalidAction: a motor command is not finite; names the circuit and the neuron.
    """

    done = for_each_neuron(interventions, circuit_of(agent)) if interventions else []
    pins_at = pinning(agent, interventions, envs.n_envs, envs.episode_steps)

    def act(observation: np.ndarray, state: Any, episode_start: np.ndarray) -> tuple[np.ndarray, Any, Any]:
        pins = pins_at(rollout.elapsed)
        pinned: dict[str, Any] = {} if pins is None else {"pins": pins}
        felt: dict[str, Any] = {}
        if agent.firing:
            felt["spikes"] = agent.spikes(observation, state, episode_start, **pinned)
        action, state, felt["activity"] = agent.predict_with_activity(observation, state, episode_start, **pinned)
        return action, state, {name: value.cpu().numpy() for name, value in felt.items()}

    def standing() -> dict[str, np.ndarray]:
        has_any = len(physics.obstacles) > 0
        return {"obstacle_pose": physics.obstacle_poses(), "touch": physics.touch()} if has_any else {}

    rollout, physics = Rollout(envs, act), envs.physics
    steps = steps_in(seconds, envs.dt, envs.episode_steps)
    kept: dict[str, Shaped[np.ndarray, "time envs *rest"]] = {}

    def keep(step: int, ids: np.ndarray, **row: Any) -> None:
        for name, value in row.items():
            if name not in kept:
                # Time first: a step's rows lie side by side. What follows an episode's end stays 0.
                kept[name] = np.zeros((steps, *np.shape(value)), np.uint8 if name == "spikes" else np.float32)
            kept[name][step, ids] = np.asarray(value)[ids]

    with (
        one_thread(),
        weights_held(agent),
        naming_lost(agent, rollout),
        progress_bar(total=steps, desc="record", unit="step", disable=not progress) as bar,
    ):
        rollout.start(seeds_of(seed, envs.n_envs))
        while rollout.is_running and rollout.elapsed < steps:
            step, ids = rollout.elapsed, rollout.running
            keep(
                step,
                ids,
                observations=rollout.observation,
                **{name: physics.read(name) for name in _READ},
                target_pos=envs.task.target_pos,
                **standing(),
                sources=envs.sources,
            )
            stepped = rollout.step()
            keep(
                step,
                ids,
                actions=rollout.actions,
                **rollout.extra,
                rewards=stepped.reward,
                torque=physics.read("motor_torque"),
            )
            bar.update()
    longest = int(rollout.lengths.max())
    arrays: dict[str, Any] = {name: values[:longest].swapaxes(0, 1) for name, values in kept.items()}
    return Recording(
        **arrays,
        lengths=rollout.lengths,
        neurons=tuple(neuron.name for neuron in agent.neurons),
        firing=tuple(neuron.name for neuron in agent.firing),
        dt=envs.dt,
        meta={
            **envs.facts(),
            **(origin or {}),
            "version": __version__,
            "neurons": [
                {"role": n.role, "position": n.position, "side": n.side, "cell_class": n.cell_class}
                for n in agent.neurons
            ],
            "interventions": [dataclasses.asdict(each) for each in done],
        },
    )
