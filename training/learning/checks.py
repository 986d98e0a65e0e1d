"""What cannot be trained is said before anything is written."""

from __future__ import annotations

import logging

from ...envs.deficits import DeficitVecEnv
from ..runs.config import RunConfig
from .learners import make_learner
from .protection import protect
from .start import start_from

_log = logging.getLogger(__name__)


def check(config: RunConfig) -> None:
    """Build the environment and the learner of a run once, and throw them away.

    Raises:
        NervecordError: what would go wrong, of the kind that training would raise.
    """
    if config.steps <= (first := config.options.get("learning_starts", 0)):
        _log.warning(
            f"nervecord: steps is {config.steps} and {config.algorithm} learns nothing in its first {first} "
            f"(learning_starts); give more steps, or --algorithm-options learning_starts={config.steps // 10}"
        )
    env = config.make_env(config.options["n_envs"])
    try:
        if config.deficits:
            DeficitVecEnv(env, env.layout, config.deficits)
        learner = make_learner(config, env)
        if config.start is not None:
            start_from(learner, config)
        if config.protect:
            protect(learner, config)
    finally:
        env.close()
