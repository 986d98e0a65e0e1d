"""What cannot be trained is said before anything is written or built."""

from __future__ import annotations

import logging

import torch

from ...envs.deficits import Deficits
from ...errors import InvalidRun
from ..runs.config import RunConfig
from ..runs.resolution import Resolved, resolve
from .start import inherit

_log = logging.getLogger(__name__)


def check(config: RunConfig) -> Resolved:
    """Resolve a config and raise what its training would break on, as far as can be seen without building anything.

    Raises:
        NervecordError: what would go wrong, of the kind that training would raise.
    """
    resolved = resolve(config)
    if config.steps <= (first := resolved.options.get("learning_starts", 0)):
        _log.warning(
            f"nervecord: steps is {config.steps} and {config.algorithm} learns nothing in its first {first} "
            f"(learning_starts); give more steps, or --algorithm-options learning_starts={config.steps // 10}"
        )
    Deficits(resolved.agent.layout, config.deficits)
    device_named(config.device)
    return inherit(resolved)


def device_named(name: str) -> torch.device:
    """Return the device of that name.

    Raises:
        InvalidRun: this machine's torch has none such.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidRun(
            f"device {name!r} cannot be used here: {reason}; give cpu, or see torch's device names"
        ) from error
    return device
