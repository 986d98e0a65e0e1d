"""What a reproduction of the NCAP paper runs: its arms, its scales, and the trials that they come to."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....envs import VARIANTS
from ...runs.config import RunConfig
from ..ablations import ablation_trials
from ..trials import Trial

BODY = "swimmer6"
OURS = "NCAP"
MLP = "MLP(64, 64)"
# The paper's circuit and its MLPs, and circuits that have some of NCAP's ingredients and not the others.
ARMS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    OURS: ("ncap", {}),
    "NCAP+": ("ncap_plus", {}),
    "relay": ("relay", {}),
    "cpg": ("cpg", {}),
    "cpg with stretch": ("cpg", {"feedback": True}),
    "along": ("along", {}),
    "along, each joint alone": ("along", {"layers": 0}),
    "MLP(8, 8)": ("mlp", {"hidden": (8, 8)}),
    MLP: ("mlp", {"hidden": (64, 64)}),
    "MLP(256, 256)": ("mlp", {"hidden": (256, 256)}),
}
# The agents that claims on other bodies compare, and the algorithm that trains and fine-tunes each: the paper's own
# for NCAP, and the one that trains the others best.
MOVED: Mapping[str, str] = {OURS: "es", "along": "ppo", MLP: "ppo"}
# Bodies that one agent is trained on together, and bodies that it never saw.
MANY = ("swimmer4", BODY, "swimmer8", f"{BODY}-thick", f"{BODY}-heavy")
NEVER = ("swimmer10", "swimmer15", f"{BODY}-long", f"{BODY}-weak")
_SIZES = tuple(f"swimmer{n}" for n in (3, 4, 8, 10, 12, 15, 20, 24))
_VARIANTS = tuple(f"{BODY}-{variant}" for variant in VARIANTS)
_SMALL = tuple(arm for arm in ARMS if arm != "MLP(256, 256)")
_OF_WEIGHTS = tuple(arm for arm in _SMALL if arm != MLP)  # CMA-ES has a matrix of all pairs of weights


@dataclasses.dataclass(frozen=True)
class Budget:
    """What an algorithm trains, and for how long.

    Attributes:
        seeds: of each arm.
        steps: environment steps.
        every: environment steps between evaluations.
        arms: labels of `ARMS`.
        fewer: environment steps of arms that the algorithm steps too slowly for the whole number.
    """

    seeds: int
    steps: int
    every: int
    arms: tuple[str, ...]
    fewer: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Scale:
    """The size of a reproduction.

    Attributes:
        paper: budget of each algorithm on the paper's reward.
        com: the same on the speed of the centre of mass.
        many: the same on the paper's reward and the bodies of `MANY` together.
        ablation: seeds and steps of each point of the lattice, by ES.
        bodies: bodies on which trained agents are tested without further training.
        finetuned: bodies on which agents are then fine-tuned.
        finetuning: seeds and steps of fine-tuning, of the agents in `MOVED`.
        episodes: of each evaluation.
    """

    paper: Mapping[str, Budget]
    com: Mapping[str, Budget]
    many: Mapping[str, Budget]
    ablation: tuple[int, int]
    bodies: tuple[str, ...]
    finetuned: tuple[str, ...]
    finetuning: tuple[int, int]
    episodes: int


SCALES = {
    "smoke": Scale(
        {
            "es": Budget(2, 32_000, 16_000, _SMALL),
            "cmaes": Budget(2, 32_000, 16_000, _OF_WEIGHTS),
            "ppo": Budget(2, 8_192, 4_096, (OURS, "along", "along, each joint alone", MLP)),
            "ddpg": Budget(2, 6_000, 3_000, (OURS, MLP)),
        },
        {"es": Budget(2, 32_000, 16_000, (OURS, MLP))},
        {"es": Budget(2, 32_000, 16_000, (OURS, "along"))},
        (2, 32_000), ("swimmer4", "swimmer8", f"{BODY}-eel"), ("swimmer4", f"{BODY}-eel"), (1, 8_192), 4,
    ),
    "small": Scale(
        {
            "es": Budget(5, 1_000_000, 50_000, _SMALL),
            "cmaes": Budget(5, 1_000_000, 50_000, _OF_WEIGHTS),
            "ppo": Budget(
                5, 204_800, 12_288, (OURS, "NCAP+", "relay", "along", "along, each joint alone", "MLP(8, 8)", MLP)
            ),
            "ddpg": Budget(3, 40_000, 4_000, (OURS, MLP)),
        },
        {"es": Budget(5, 1_000_000, 50_000, (OURS, MLP)), "ppo": Budget(5, 204_800, 12_288, (OURS, "along", MLP))},
        {"es": Budget(5, 1_000_000, 100_000, (OURS, "NCAP+", "relay", "cpg", "along"))},
        (5, 1_000_000), _SIZES + _VARIANTS, _SIZES + _VARIANTS, (3, 64_000), 10,
    ),
    # Steps are what some five hours of one core allow. Seeds are not cut.
    "paper": Scale(
        {
            "es": Budget(30, 2_000_000, 50_000, tuple(ARMS), {"MLP(256, 256)": 1_000_000}),
            "cmaes": Budget(30, 2_000_000, 50_000, (OURS, "NCAP+", "relay", "cpg", "cpg with stretch", "along")),
            "ppo": Budget(
                10, 1_000_000, 25_000,
                (OURS, "NCAP+", "relay", "cpg", "along", "along, each joint alone", "MLP(8, 8)", MLP),
                {"relay": 200_000, "cpg": 100_000},
            ),
            "ddpg": Budget(10, 30_000, 3_000, (OURS, MLP)),
        },
        {
            "es": Budget(10, 1_000_000, 50_000, (OURS, "along", MLP)),
            "ppo": Budget(10, 500_000, 25_000, (OURS, "along", MLP)),
        },
        {
            "es": Budget(10, 2_000_000, 200_000, (OURS, "NCAP+", "relay", "cpg", "along")),
            "ppo": Budget(10, 2_000_000, 200_000, ("along",)),
        },
        (10, 1_000_000),
        (*_SIZES, f"{BODY}-thick", f"{BODY}-heavy", f"{BODY}-long", f"{BODY}-weak"),
        ("swimmer4", "swimmer8", "swimmer12", f"{BODY}-thick", f"{BODY}-weak"),
        (10, 100_000), 10,
    ),
}  # fmt: skip


def first_trials(plan: Scale) -> dict[str, Trial]:
    """Return every trial that does not depend on another."""
    trials: dict[str, Trial] = {}
    for reward, budgets in (("paper", plan.paper), ("com", plan.com)):
        for algorithm, budget in budgets.items():
            for arm in budget.arms:
                for seed in range(budget.seeds):
                    trials[_name("curves", reward, algorithm, arm, seed)] = Trial(
                        "curves", arm, _config(budget, arm, algorithm, reward, seed), untrained=True,
                        bodies=plan.bodies if reward == "paper" else (), gait=True,
                    )  # fmt: skip
    for algorithm, budget in plan.many.items():
        for arm in budget.arms:
            for seed in range(budget.seeds):
                config = dataclasses.replace(_config(budget, arm, algorithm, "paper", seed), body=MANY[0], bodies=MANY)
                trials[_name("many", algorithm, arm, seed)] = Trial("many", arm, config, bodies=(*MANY, *NEVER))
    seeds, steps = plan.ablation
    base = RunConfig(body=BODY, steps=steps, checkpoint_every=steps, evaluate_every=steps // 50)
    ablations = ablation_trials(base, seeds)
    return trials | {name: dataclasses.replace(trial, bodies=plan.bodies) for name, trial in ablations.items()}


def finetuning_trials(plan: Scale, runs: Path) -> dict[str, Trial]:
    """Return the trials that fine-tune trained agents, whose runs are in the folder `runs`, on other bodies."""
    trials = {}
    seeds, steps = plan.finetuning
    for arm, algorithm in MOVED.items():
        budget = plan.paper[algorithm]
        for body in plan.finetuned:
            for seed in range(min(seeds, budget.seeds)):
                start = runs / _name("curves", "paper", algorithm, arm, seed)
                config = dataclasses.replace(
                    _config(budget, arm, algorithm, "paper", seed),
                    body=body, start=str(start), steps=steps, evaluate_every=None,
                )  # fmt: skip
                trials[_name("finetune", algorithm, arm, body, seed)] = Trial("finetune", arm, config)
    return trials


def _config(budget: Budget, arm: str, algorithm: str, reward: str, seed: int) -> RunConfig:
    circuit, options = ARMS[arm]
    steps = budget.fewer.get(arm, budget.steps)
    return RunConfig(
        circuit, algorithm, body=BODY, seed=seed, steps=steps, task_options={"reward": reward}, circuit_options=options,
        checkpoint_every=max(50_000, steps // 10), evaluate_every=min(budget.every, steps // 10),
    )  # fmt: skip


def _name(*parts: object) -> str:
    """Return a folder's name: "MLP(64, 64)" becomes mlp-64-64, and NCAP+ ncap-plus."""
    plain = (str(part).lower().replace("+", " plus") for part in parts)
    return "/".join("-".join(re.findall(r"[a-z0-9]+", part)) for part in plain)
