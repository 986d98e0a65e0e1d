"""Check a config before anything is built or written."""

from __future__ import annotations

import contextlib
import itertools
import logging

import torch

from ...agents import Agent
from ...agents.algorithms.registry import algorithm_named
from ...agents.places import check_weights
from ...circuits import CIRCUITS
from ...envs import make_body
from ...envs.deficits import Deficits
from ...envs.randomization import checked_ranges
from ...envs.tasks.registry import task_class
from ...errors import CircuitMismatch, InvalidOption, NervecordError
from ...memory import machine_memory
from ...options import checked, told
from ..runs.config import A_CONFIG, RunConfig
from ..runs.resolution import Resolved, resolve
from .start import inherit

# What an environment takes at least: its random generator and state, and MuJoCo's data (177 kB, whatever the body).
_BYTES_PER_ENV = {"lanes": 2_000, "mujoco": 170_000}
_log = logging.getLogger(__name__)


@checked(InvalidOption, config=A_CONFIG)
def check(config: RunConfig) -> Resolved:
    """Resolve a config, and raise every error of its training that can be found without building anything.

    Raises:
        NervecordError: the config cannot be trained; the same error that training would raise.
    """
    resolved = inherit(config)
    checked_ranges(config.randomize)
    if config.steps <= (first := resolved.options.get("learning_starts", 0)):
        _log.warning(
            f"nervecord: steps is {config.steps} and {config.algorithm} learns nothing in its first {first} "
            f"(learning_starts); give more steps, or --algorithm-options learning_starts={config.steps // 10}"
        )
    for each in resolved.each:
        Deficits(each.agent.layout, config.deficits)
    check_bodies(resolved)
    for late in (deficit for deficit in config.deficits if deficit.start >= config.steps):
        _log.warning(f"nervecord: deficit {late} begins after the last of {config.steps} steps; nothing is missing yet")
    device_named(config.device)
    check_memory(resolved)
    return resolved


def check_bodies(resolved: Resolved) -> None:
    """Refuse bodies on which a circuit has other weights, and two of one name, which logs could not tell apart.

    Raises:
        CircuitMismatch: the first of them; names circuits that fit bodies of any size.
        InvalidOption: two bodies of one name.
    """
    names = [make_body(each.config.body).name for each in resolved.each]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InvalidOption(f"bodies name {twice[0]} {names.count(twice[0])} times; give each body a name of its own")
    if reason := check_weights([each.agent for each in resolved.each], names):
        raise CircuitMismatch(f"{reason}; choose bodies of one number of links, or {', '.join(_sharing())}")


def _sharing() -> list[str]:
    """Return the circuits whose weights are the same for any number of links."""
    found = []
    for name in CIRCUITS.working():
        with contextlib.suppress(NervecordError):
            specs = [resolve(RunConfig(name, body=body)).agent for body in ("swimmer3", "swimmer4")]
            if check_weights(specs, ["swimmer3", "swimmer4"]) is None:
                found.append(name)
    return found


def say_blind(agent: Agent, config: RunConfig) -> None:
    """Say once that an agent does not sense what its task is about, and so can only learn what needs no looking."""
    essential, sensed = task_class(config.task).essential, [name for name, _ in agent.circuit.senses]
    # A circuit that takes the whole observation as one has it all.
    if essential and not {*essential, "observation"}.intersection(sensed):
        _log.warning(
            "nervecord: circuit %s senses %s, and not %s, which %s is about; it learns blind: take one that senses "
            "it, such as mlp or ctrnn",
            config.circuit,
            ", ".join(sensed) or "nothing",
            " or ".join(essential),
            config.task,
        )


def check_memory(resolved: Resolved) -> None:
    """Refuse numbers of environments, transitions or units that this machine's memory can never hold.

    Raises:
        InvalidOption: the option that takes most of it.
    """
    options, spec = resolved.options, resolved.agent
    seen, n_envs = spec.layout.size + spec.n_motors, options["n_envs"]
    # A population has environments on every body; others divide them.
    n_places = len(resolved.each) if algorithm_named(resolved.config.algorithm).has_population else 1
    critic = itertools.pairwise((seen, *options.get("critic_hidden", ()), 1))
    needed = {
        "n_envs": n_envs * n_places * (_BYTES_PER_ENV[resolved.config.physics] + 4 * seen),
        "n_steps": 4 * n_envs * options.get("n_steps", 0) * seen,
        "buffer_size": 4 * options.get("buffer_size", 0) * (seen + spec.layout.size),
        "batch_size": 4 * options.get("batch_size", 0) * seen,
        # Weights, gradients and the two means of Adam.
        "critic_hidden": 4 * 4 * sum(one * other for one, other in critic),
    }
    most, here = max(needed, key=needed.__getitem__), machine_memory()
    if needed[most] > here:
        raise InvalidOption(
            f"{most} is {told(options[most])}, which takes {needed[most] / 1e9:,.0f} GB at least, and this machine has "
            f"{here / 1e9:,.0f}; give less"
        )


def device_named(name: str) -> torch.device:
    """Return the device of that name.

    Raises:
        InvalidOption: this machine's torch has none such.
    """
    try:
        device = torch.device(name)
        # To a number: the device "meta" makes tensors, and computes nothing.
        float(torch.zeros(1, device=device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidOption(
            f"device {name!r} cannot be used here: {reason}; give cpu, or see torch's device names"
        ) from error
    return device
