"""Runs whose weights no training left: merged, grown, routed or fitted, in a folder that everything takes as a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Shaped
from torch import Tensor

from ...agents import Agent
from ...envs import Body, make_body
from ...errors import OutputExists
from .config import RunConfig
from .resolution import Resolved
from .run import Run


def write_made(
    out: str | Path,
    resolved: Resolved,
    weights: Mapping[str, Shaped[Tensor, "*shape"]],
    stats: Mapping[str, Any] | None,
    step: int,
    made: Mapping[str, Any],
) -> Run:
    """Write weights as a finished run, which is evaluated, probed and filmed as any is, and trained on by `start`.

    Args:
        out: its folder, which must not exist.
        resolved: what the run comes to.
        weights: the circuit's, in their own units.
        stats: of the observations; None where they are not normalised.
        step: the environment steps by which it was trained before.
        made: how, as JSON types; config.json holds it.

    Raises:
        OutputExists: something stands there.
    """
    check_new(out)
    # Of a run that was stopped early, no more is to come here.
    config = dataclasses.replace(resolved.config, start=None, protect=(), train_only=(), steps=max(step, 1))
    resolved = Resolved(config, resolved.agent)
    Agent(resolved.agent).load(weights, stats)  # what does not fit is said before anything is written
    return write_finished(out, config, resolved, weights, stats, step, made=made)


def write_finished(
    out: str | Path,
    config: RunConfig,
    resolved: Resolved,
    weights: Mapping[str, Shaped[Tensor, "*shape"]],
    stats: Mapping[str, Any] | None,
    step: int,
    **facts: Any,
) -> Run:
    """Write a run with one checkpoint, after which nothing is left to train; see `write_made`.

    Args:
        config: what was asked for; `resolved` is what it comes to.
        out, resolved, weights, stats, step: as in `write_made`.
        facts: what config.json holds beside, as JSON types.
    """
    run = Run.create(out, config, lambda: {"resolved": resolved.to_json(config), **facts})
    run.save_checkpoint(step, weights, {}, {"done": True, "observation_stats": stats})
    return run


def check_new(out: str | Path) -> None:
    """Refuse a folder that exists.

    Raises:
        OutputExists: it does.
    """
    if Path(out).exists():
        raise OutputExists(f"{out} exists; give another --out")


def alone_on(run: Run, body: str | Body | None) -> Resolved:
    """Return what a run comes to on one body: another than its own, or, where that is None, the first of its own."""
    config = run.resolved.config
    own = config.bodies[0] if config.bodies else config.body
    return run.resolved.on(make_body(own if body is None else body))
