"""The card of an agent: what it is, what it reaches, how it is used and what it was trained on."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jinja2

from ..circuits.code_files import code_of
from ..envs.tasks.registry import task_class
from ..training.learning.training import summary
from ..training.runs.held_files import told_config
from ..training.runs.result import Result
from ..training.runs.run import Run
from ..version import __version__
from .policies import Policy


def card(run: Run, evaluation: Result, template: str = "card.md.j2", **more: Any) -> str:
    """Return the card of a run's agent, as Markdown.

    Args:
        run: whose agent it is.
        evaluation: of its last weights on its own body.
        template: a file beside this one.
        more: what the template takes beside: whether there is a `film`, a policy as `onnx` and as
            `torch_program`, and a page as `web`.
    """
    config, policy = run.config, Policy(run.agent())
    found = {name: dataclasses.asdict(interval) for name, interval in evaluation.intervals.items()}
    loader = jinja2.PackageLoader(__package__, ".")
    return jinja2.Environment(loader=loader, keep_trailing_newline=True).get_template(template).render(
        config=config, body=config.trained_on, facts=summary(run), found=found,
        n_observed=policy.agent.layout.size,
        state=dict(zip(policy.state_names, (list(each.shape) for each in policy.initial_state), strict=True)),
        senses=policy.agent.layout.sizes, code=code_of(config.circuit),
        model=policy.agent.circuit.origin, units=task_class(config.task).metric_units, version=__version__,
        settings=json.dumps(told_config(config.to_json()), indent=1), **more,
    )  # fmt: skip
