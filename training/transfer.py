"""Zero-shot transfer: one agent on bodies that it never saw, beside an untrained control."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..agents import CircuitPolicy
from ..envs import Body, make_body
from ..errors import CircuitMismatch
from .evaluate import Evaluation, evaluate_agent
from .folder import write_whole
from .run import Run

CONTROL = "untrained ncap"


def transfer(
    run: Run | str | Path,
    bodies: Sequence[str | Body] = ("swimmer4", "swimmer8", "swimmer12"),
    episodes: int = 20,
    progress: bool = False,
) -> pd.DataFrame:
    """Evaluate a run's agent zero-shot on its own and other bodies, with untrained NCAP as the control.

    Both are tested on the same episodes. A body that the circuit does not fit gets a row that says so.
    The table is kept in the run as transfer.csv.

    Returns:
        One row per body and agent: body, agent, mean, low, high (of the return, 95 % bootstrap interval
        over episodes), net_speed (m/s), n (episodes), note.

    Raises:
        UnknownName: no such body.
        CircuitMismatch: the circuit fits none of the bodies asked for.
    """
    run = run if isinstance(run, Run) else Run(run)
    others = [make_body(body) for body in bodies]
    assert isinstance(run.config.body, Body)
    chosen = [run.config.body, *(body for body in others if body != run.config.body)]
    rows, problems = [], []
    for body in chosen:
        try:
            rows.append(_row(body, "trained", _test(run, run.policy(body), body, episodes, progress)))
        except CircuitMismatch as error:
            problems.append(str(error))
            rows.append({"body": body.name, "agent": "trained", "n": 0, "note": str(error)})
        rows.append(_row(body, CONTROL, _test(run, _untrained(run, body), body, episodes, progress)))
    table = pd.DataFrame(rows, columns=["body", "agent", "mean", "low", "high", "net_speed", "n", "note"])
    if others and len(problems) == len(chosen) - 1 and problems:
        raise CircuitMismatch(problems[0])
    write_whole(run.path / "transfer.csv", lambda partial: table.to_csv(partial, index=False))
    return table


def _test(run: Run, agent: CircuitPolicy, body: Body, episodes: int, progress: bool) -> Evaluation:
    env = run.config.make_env(episodes, body, randomize={}, observe_time="time" in agent.layout)
    try:
        return evaluate_agent(agent, env, progress=progress)
    finally:
        env.close()


def _untrained(run: Run, body: Body) -> CircuitPolicy:
    env = run.config.make_env(1, body, randomize={}, observe_time=False)
    policy = CircuitPolicy(env.observation_space, env.action_space, circuit="ncap", layout=env.layout)
    env.close()
    return policy


def _row(body: Body, agent: str, result: Evaluation) -> dict[str, object]:
    interval = result.mean_return
    return {
        "body": body.name,
        "agent": agent,
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "net_speed": result.mean_net_speed.mean,
        "n": len(result.returns),
        "note": "",
    }
