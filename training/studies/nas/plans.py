"""The plans of the tables: `prior`, the parts of NCAP; `cells`, networks of several sizes, by two algorithms."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from ....envs import VARIANTS, Body, Swimmer, make_body
from ....errors import InvalidOption, UnknownName
from ...runs.config import RunConfig
from .spaces import SearchSpace

VALID_EPISODES, TEST_EPISODES, UNSEEN_EPISODES = 5, 20, 10


@dataclasses.dataclass(frozen=True)
class TablePlan:
    """How the architectures of a search space are trained and scored.

    Attributes:
        space: the search space.
        config: function that returns the run's config for an architecture's values; body, seed and steps are filled in.
        bodies: bodies; each architecture is trained on each of them separately.
        steps: environment steps at which a run is validated; training ends at the last.
        unseen: variants of the body on which trained weights are tested without training.
    """

    space: SearchSpace
    config: Callable[[Mapping[str, Any]], RunConfig]
    bodies: tuple[str, ...]
    steps: tuple[int, ...]
    unseen: tuple[str, ...] = ("heavy", "long")

    def __post_init__(self) -> None:
        if not self.steps or list(self.steps) != sorted(set(self.steps)) or self.steps[0] < 1:
            raise InvalidOption(
                f"steps is {self.steps}; give environment steps in rising order, such as (32000, 64000)"
            )

    def config_of(self, architecture: str, body: str, seed: int = 0) -> RunConfig:
        """Return the config of a run.

        Raises:
            InvalidOption: the config uses options that tables do not support.
        """
        asked = self.config(self.space.values(architecture))
        given = [name for name in ("bodies", "start", "deficits") if getattr(asked, name)]
        if given or asked.device != "cpu":
            raise InvalidOption(
                f"the configs of {self.space.name} give {(given or ['device'])[0]}; a table has runs from nothing, on "
                "one body each, on the CPU: leave it out"
            )
        return dataclasses.replace(asked, body=body, seed=seed, steps=self.steps[-1])

    def unseen_of(self, body: str) -> tuple[Body, ...]:
        """Return the variants of a body on which its runs are tested.

        Raises:
            InvalidOption: the body is not a swimmer, so it has no variants.
            UnknownName: there is no such variant.
        """
        if not self.unseen:
            return ()
        own = make_body(body)
        if not isinstance(own, Swimmer):
            raise InvalidOption(f"{body} is not a swimmer, so it has no variants; give unseen=()")
        if unknown := [variant for variant in self.unseen if variant not in VARIANTS]:
            raise UnknownName("variant", unknown[0], VARIANTS)
        return tuple(
            dataclasses.replace(own, name=f"{own.name}-{variant}", **VARIANTS[variant][1](own))
            for variant in self.unseen
        )


def _prior(values: Mapping[str, Any]) -> RunConfig:
    options = {"sign_constraints" if name == "signs" else name: value for name, value in values.items()}
    return RunConfig("ncap", "es", circuit_options=options, episode_steps=250)


def _cell(algorithm: str, values: Mapping[str, Any]) -> RunConfig:
    cell, units = values["cell"], values["units"]
    sizes = {
        "mlp": {"hidden": (units, units)},
        "ctm": {"d_model": units, "d_input": units, "n_synch": units // 2},
    }.get(cell, {"units": units})
    return RunConfig(cell, algorithm, circuit_options=sizes, episode_steps=250)


_CELLS = {"cell": ("mlp", "gru", "lstm", "ctrnn", "elm", "ltc", "cfc", "ctm"), "units": (8, 16, 32, 64)}
PLANS: Mapping[str, TablePlan] = {
    plan.space.name: plan
    for plan in (
        TablePlan(
            SearchSpace(
                "prior",
                {
                    "sharing": (True, False),
                    "signs": (True, False),
                    "init": ("constant", "uniform"),
                    "proprioception": (True, False),
                    "oscillator": (True, False),
                    "period": (40, 60, 90),
                },
                {"period": ("oscillator", True)},
            ),
            _prior,
            ("swimmer4", "swimmer6", "swimmer8", "swimmer12", "swimmer6-thick", "swimmer6-weak"),
            (32_000, 64_000, 128_000, 256_000),
        ),
        # ltc and cfc of 8 units can drive no more than 5 joints.
        TablePlan(
            SearchSpace("cells", _CELLS), functools.partial(_cell, "es"),
            ("swimmer4", "swimmer6"), (32_000, 64_000, 128_000, 256_000),
        ),
        TablePlan(
            SearchSpace("cells-ppo", _CELLS), functools.partial(_cell, "ppo"),
            ("swimmer6",), (20_480, 40_960, 81_920),
        ),
    )
}  # fmt: skip
