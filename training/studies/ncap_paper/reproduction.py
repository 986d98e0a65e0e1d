"""The NCAP paper as one command: curves, ablations, transfer and gait, with statistics over seeds.

Bhattasali, Zador and Engel 2022 (https://arxiv.org/abs/2201.05242), the Swimmer experiments.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ....envs import VARIANTS
from ....errors import InvalidOption, InvalidRun, OutputExists, UnknownName
from ....files import read_json, write_json
from ....options import FLAG, PATH, Instance, checked
from ...learning.engine import Engine, check_engine
from ...runs.config import RunConfig
from ...runs.trial_files import TrialFiles
from ..ablations import ablation_trials
from ..trials import Trial, run_trials
from . import claims as reproduction

BODY = "swimmer6"
AGENTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "NCAP": ("ncap", {}),
    "MLP(256, 256)": ("mlp", {"hidden": (256, 256)}),
    "MLP(64, 64)": ("mlp", {"hidden": (64, 64)}),
    "MLP(8, 8)": ("mlp", {"hidden": (8, 8)}),
}
# Agents tested on other bodies, and the algorithm that trains and fine-tunes each: the paper's pair used ES; PPO
# trains an MLP best.
_MOVED = (("NCAP", "es"), ("MLP(64, 64)", "ppo"))
_SIZES = tuple(f"swimmer{n}" for n in (3, 4, 8, 10, 12, 15, 20, 24))
_VARIANTS = tuple(f"{BODY}-{variant}" for variant in VARIANTS)


@dataclasses.dataclass(frozen=True)
class Scale:
    """The size of a reproduction.

    Attributes:
        budgets: seeds, environment steps and steps between evaluations of each algorithm.
        com_agents, com_algorithms: agents and algorithms also trained on the speed of the centre of mass.
        ablation_seeds, ablation_steps: seeds and environment steps of each point of the lattice.
        bodies: bodies on which trained agents are tested without further training.
        finetuned: bodies on which they are then fine-tuned, for `finetune_steps`, with `finetune_seeds` seeds.
        episodes: episodes of each evaluation.
    """

    budgets: Mapping[str, tuple[int, int, int]]
    com_agents: tuple[str, ...]
    com_algorithms: tuple[str, ...]
    ablation_seeds: int
    ablation_steps: int
    bodies: tuple[str, ...]
    finetuned: tuple[str, ...]
    finetune_seeds: int
    finetune_steps: int
    episodes: int


SCALES = {
    "smoke": Scale(
        {"es": (2, 32_000, 16_000), "ppo": (2, 8_192, 4_096), "ddpg": (2, 6_000, 3_000)},
        ("NCAP",), ("es",), 2, 32_000, ("swimmer4", "swimmer8", "swimmer6-eel"), ("swimmer4", "swimmer6-eel"),
        1, 8_192, 4,
    ),
    "small": Scale(
        {"es": (5, 320_000, 32_000), "ppo": (5, 204_800, 12_288), "ddpg": (3, 40_000, 4_000)},
        ("NCAP", "MLP(64, 64)"), ("es", "ppo"), 5, 128_000, _SIZES + _VARIANTS, _SIZES + _VARIANTS,
        3, 64_000, 10,
    ),
    "paper": Scale(
        {"es": (10, 5_000_000, 100_000), "ppo": (10, 5_000_000, 50_000), "ddpg": (10, 5_000_000, 50_000)},
        tuple(AGENTS), ("es", "ppo", "ddpg"), 10, 1_000_000, _SIZES + _VARIANTS, _SIZES + _VARIANTS,
        10, 500_000, 20,
    ),
}  # fmt: skip


@checked(InvalidOption, out=PATH, scale=Instance(str, "smoke, small or paper"), progress=FLAG)
def reproduce(
    out: str | Path,
    scale: str = "small",
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Reproduce the paper's experiments in the folder `out`, or continue there, and write a report.

    Every run is a folder in `out`/runs, every score in a file of `out`/trials and a row of
    `out`/results.sqlite; report.md has the
    tables and figures, claim by claim.

    Returns:
        One row per claim of the paper: claim, verdict (holds, partly, not), numbers (in words; returns have no unit).

    Raises:
        UnknownName: no such scale.
        InvalidOption: workers below 1, no such engine, or an address without Ray.
        InvalidRun: `out` has a reproduction at another scale.
        OutputExists: `out` has something else in it.
    """
    if scale not in SCALES:
        raise UnknownName("scale", scale, SCALES)
    check_engine(workers, engine, address)
    out, plan = Path(out), SCALES[scale]
    _open(out, scale)
    files = TrialFiles(out)
    options: dict[str, Any] = {
        "episodes": plan.episodes, "workers": workers, "engine": engine, "address": address, "progress": progress,
    }  # fmt: skip
    run_trials(_first_trials(plan), out / "runs", files, **options)
    run_trials(_finetuning(plan, (out / "runs").resolve()), out / "runs", files, **options)
    return reproduction.write_report(out, files.table(), f"nervecord reproduce ncap --scale {scale}")


def _open(out: Path, scale: str) -> None:
    plan = out / "reproduction.json"
    if plan.exists():
        held = read_json(plan, f"{out} is damaged").get("scale")
        if held != scale:
            raise InvalidRun(f"{out} has a reproduction at scale {held!r}; give another --out, or --scale {held}")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputExists(f"{out} exists and is not a reproduction; give another --out")
    else:
        write_json(plan, {"of": "ncap", "scale": scale})


def _first_trials(plan: Scale) -> dict[str, Trial]:
    """Return every trial that does not depend on another."""
    trials: dict[str, Trial] = {}
    for reward in ("paper", "com"):
        for algorithm, (seeds, _, _) in plan.budgets.items():
            for agent in AGENTS:
                if reward == "com" and (agent not in plan.com_agents or algorithm not in plan.com_algorithms):
                    continue
                for seed in range(seeds):
                    trials[_name("curves", reward, algorithm, agent, seed)] = Trial(
                        "curves", agent, _config(plan, agent, algorithm, reward, seed), untrained=True,
                        bodies=plan.bodies if algorithm != "ddpg" and reward == "paper" else (), gait=True,
                    )  # fmt: skip
    base = RunConfig(body=BODY, steps=plan.ablation_steps)
    return trials | ablation_trials(base, plan.ablation_seeds)


def _finetuning(plan: Scale, runs: Path) -> dict[str, Trial]:
    """Return the trials that fine-tune trained agents on other bodies."""
    trials = {}
    for agent, algorithm in _MOVED:
        for body in plan.finetuned:
            for seed in range(min(plan.finetune_seeds, plan.budgets[algorithm][0])):
                start = runs / _name("curves", "paper", algorithm, agent, seed)
                config = dataclasses.replace(
                    _config(plan, agent, algorithm, "paper", seed),
                    body=body, start=str(start), steps=plan.finetune_steps, evaluate_every=None,
                )  # fmt: skip
                trials[_name("finetune", algorithm, agent, body, seed)] = Trial("finetune", agent, config)
    return trials


def _config(plan: Scale, agent: str, algorithm: str, reward: str, seed: int) -> RunConfig:
    circuit, options = AGENTS[agent]
    _, steps, every = plan.budgets[algorithm]
    return RunConfig(
        circuit, algorithm, body=BODY, seed=seed, steps=steps, task_options={"reward": reward}, circuit_options=options,
        checkpoint_every=max(50_000, steps // 10), evaluate_every=every,
    )  # fmt: skip


def _name(*parts: object) -> str:
    """Return a folder's name: "MLP(64, 64)" becomes mlp-64-64."""
    return "/".join("-".join(re.findall(r"[a-z0-9]+", str(part).lower())) for part in parts)
