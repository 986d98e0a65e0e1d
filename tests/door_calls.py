"""Python calls: what each argument may be, and what it may not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from door_commands import Values
from nervecord.agents import CMAES, ES, Agent, AgentSpec
from nervecord.circuits import make_circuit
from nervecord.envs import EnvBatch, Fluid, Swimmer, SwimmerVecEnv, SwimmerVectorEnv, make_body
from nervecord.envs.deficits import Deficit
from nervecord.pages.reports import gallery, report
from nervecord.sharing.hub import export
from nervecord.training.learning.curricula import CurriculumConfig
from nervecord.training.learning.training import train
from nervecord.training.probes.probing import probe
from nervecord.training.rollouts.evaluation import evaluate
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from nervecord.training.studies.comparisons import compare
from nervecord.training.studies.sweeps import Sweep
from nervecord.training.studies.transfers import transfer
from nervecord.videos.films import render

NAN, INF = math.nan, math.inf
HUGE = 10**400
TINY = RunConfig(steps=160, episode_steps=20, algorithm_options={"n_envs": 8})
_NONE_OF = (None, 3, 1.5, "", [], {}, object(), b"x", NAN, True, np.zeros(3))


def but(*these: Any) -> tuple[Any, ...]:
    """Return values of every type but these types."""
    return tuple(
        value for value in _NONE_OF if not isinstance(value, these) or (isinstance(value, bool) and bool not in these)
    )


COUNT = Values((1, 2, np.int64(2)), (0, -1, 1.5, "2", None, NAN, INF, 10**30, HUGE, True, [1], np.zeros(2)))
PATHS = Values(("RUN",), (*but(str), "nope", "agent:nope", "FILE", "FOLDER", "DAMAGED"))
BODY = Values((None, "swimmer4", Swimmer(n_links=5)), (3, 1.5, [], {}, b"x", "nope", "swimmer2", NAN, True))
PINNED = Values(((), (Intervention("B_d_2"),)), (None, 3, "B_d_2", ["B_d_2"], [None], (Intervention("nope"),)))
NUMBER = (0, -1, "1", None, NAN, INF, 1e300, HUGE, True, [1.0])
FLAGS = Values((False,), (None, 2, "yes", [], 1.0))


@dataclasses.dataclass(frozen=True)
class Call:
    """A public call, with what it needs and the values of its arguments."""

    function: Callable[..., Any]
    arguments: Mapping[str, Values]
    needs: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _batch(**given: Any) -> None:
    batch = EnvBatch(**{"task": "swim", "n_envs": 2, **given})
    batch.reset(np.arange(batch.n_envs))
    batch.close()


def _agent(circuit: str) -> tuple[Agent, np.ndarray]:
    batch = EnvBatch("swim", 2, observe_time=True)
    agent = Agent(AgentSpec(circuit, batch.layout, batch.body.n_joints, {"units": 4} if circuit != "ncap" else {}, 0))
    observation = batch.reset(np.arange(2))
    batch.close()
    return agent, observation


def _predict(circuit: str, **given: Any) -> None:
    agent, observation = _agent(circuit)
    agent.predict(**{"observation": observation, **given})


def _search(kind: type[ES | CMAES], **options: Any) -> None:
    env = SwimmerVecEnv(4, episode_steps=5)
    try:
        kind("CircuitPolicy", env, policy_kwargs={"circuit": "ncap"}, seed=0, **options)
    finally:
        env.close()


_STATES = {"ctrnn": {"x": torch.zeros(2, 4)}, "gru": {"hidden": torch.zeros(2, 4), "cell": torch.zeros(2, 4)}}
_SEARCHED = {"sigma": Values((0.2,), NUMBER), "episode_limit": Values((None, 5), (0, -1, 1.5, "5", NAN))}
CALLS = {
    "RunConfig": Call(
        RunConfig,
        {
            "circuit": Values(("ncap", "mlp"), (*but(str), "nope")),
            "algorithm": Values(("es",), (*but(str), "nope")),
            "body": Values(("swimmer4", Swimmer()), (None, *BODY.wrong)),
            "task": Values(("swim",), (*but(str), "nope", "parity")),
            "seed": Values((0, np.int64(3)), (-1, 1.5, "1", None, NAN, 2**32, HUGE, True)),
            "steps": COUNT,
            "episode_steps": Values((None, 3), (0, 1.5, "3", NAN, HUGE, True)),
            "checkpoint_every": COUNT,
            "task_options": Values(
                ({}, {"reward": "com"}), (None, 3, "x", [1], {"nope": 1}, {"desired_speed": NAN}, {3: 1})
            ),
            "circuit_options": Values(({},), (None, 3, "x", [1], {"period": HUGE}, {1: 1}, {"a": object()})),
            "algorithm_options": Values(
                ({}, {"n_envs": 4}), (None, 3, "x", {"nope": 1}, {"sigma": NAN}, {"n_envs": "4"})
            ),
            "randomize": Values(({}, {"gear": (0.5, 2)}), (None, 3, {"gear": 3}, {"gear": (2, 1)}, {"gear": (NAN, 1)})),
            "deficits": Values(
                ((), ("joint_pos:0:9",), (Deficit("joint_pos", 0, 9),)), (None, 3, "x", [3], ["joint_pos"])
            ),
            "bodies": Values(((), ("swimmer4", "swimmer4-eel")), (None, 3, "swimmer4", [3], ["nope"])),
            "arena": Values((None, "open"), (3, "nope", [], {"name": 3}, {"medium": {"density": NAN}})),
            "physics": Values(("mujoco", "auto"), (*but(str), "nope")),
            "device": Values(("cpu",), but(str)),
            "start": Values((None,), (3, [], NAN)),
            "protect": Values(((),), (None, 3, "x", [3])),
        },
    ),
    "Swimmer": Call(
        Swimmer,
        {
            "n_links": Values((3, np.int64(8)), (2, 101, 3.5, "6", None, NAN, HUGE, True)),
            "link_length": Values((0.1,), NUMBER[:5]),
            "link_mass": Values((0.02,), NUMBER[:5]),
            "gear": Values((0, 1e-3), (-1, "1", None, NAN, INF)),
            "joint_range": Values((None, 1.0), (0, -1, 4, "1", NAN)),
            "taper": Values((0.5,), (1, -0.1, "x", None, NAN)),
            "lesioned": Values(((), [1]), (None, 3, "1", [9], [-1], [1.5])),
            "control_dt": Values((0.03,), NUMBER[:5]),
            "habitat": Values((Fluid(),), (None, 3, "water")),
            "name": Values(("a",), (None, 3)),
        },
    ),
    "Fluid": Call(
        Fluid,
        {"density": Values((1000,), (-1, "x", None, NAN, INF)), "viscosity": Values((0.1,), (-1, "x", None, NAN))},
    ),
    "make_body": Call(make_body, {"body": Values(("swimmer4",), (None, *BODY.wrong))}, {"body": "swimmer4"}),
    "EnvBatch": Call(
        _batch,
        {
            "task": Values(("swim", "cueturn"), (*but(str), "nope")),
            "n_envs": COUNT,
            "body": Values(("swimmer4",), (None, *BODY.wrong)),
            "arena": Values((None, "open"), (3, 1.5, [], b"x", "nope")),
            "physics": Values(("mujoco",), (*but(str), "nope")),
            "n_threads": Values((0, 1), (-1, 1.5, "1", None, NAN, True)),
            "observe_time": FLAGS,
            "randomize": Values(
                (None, {"gear": (0.5, 2)}),
                (
                    3,
                    "x",
                    [1],
                    {"gear": 3},
                    {"gear": (2, 1)},
                    {"gear": "ab"},
                    {"x": (1, 2)},
                    {"gear": (None, 1)},
                    {"gear": (0.5, NAN)},
                ),
            ),
            "senses": Values((None, ["joint_pos"]), (3, "joint_pos", [3], ["nope"])),
            "noise": Values((0, 2), (-1, 1.5, "1", NAN, True)),
            "episode_steps": Values((None, 3), (0, -1, 1.5, "3", NAN, True)),
        },
    ),
    "SwimmerVectorEnv": Call(
        lambda **given: SwimmerVectorEnv(**given).close(),
        {
            "num_envs": COUNT,
            "autoreset_mode": Values(("SameStep",), (None, 3, "nope")),
            "body": BODY,
            "max_episode_steps": Values((None, 3), (0, 1.5, "3")),
        }
        | {"body": Values(("swimmer4",), (None, *BODY.wrong))},
    ),
    "make_circuit": Call(
        make_circuit,
        {
            "name": Values(("ncap", "mlp"), (*but(str), "nope")),
            "n_motors": Values((5,), (0, -1, 1.5, "5", None, True)),
            "options": Values((None, {}), (3, "x", [1], {"nope": 1}, {3: 1})),
            "senses": Values(({"joint_pos": 5},), (None, 3, "x", {}, {"joint_pos": "5"}, {"joint_pos": 0})),
            "dt": Values((None, 0.03), (0, -1, "x", NAN)),
            "dt_ref": Values((None, 0.03), (0, -1, "x", NAN)),
        },
        {"name": "ncap", "senses": {"joint_pos": 5}, "n_motors": 5},
    ),
    "Intervention": Call(
        Intervention,
        {
            "neuron": Values(("B_d_2",), but(str)),
            "kind": Values(("clamp",), (None, 3, "nope", [])),
            "value": Values((1.0,), NUMBER[2:]),
            "start": Values((0,), (-1, 1.5, "1", None, NAN)),
            "stop": Values((None, 5), (0, -1, 1.5, "1", NAN)),
        },
        {"neuron": "B_d_2"},
    ),
    "Deficit": Call(
        Deficit,
        {
            "start": Values((0,), (-1, 1.5, "1", None, NAN)),
            "stop": Values((9,), (0, -1, 1.5, "1", None, NAN)),
            "index": Values((None, 1), (-1, 1.5, "1", NAN)),
            "sense": Values(("joint_pos",), but(str)),
        },
        {"sense": "joint_pos", "start": 0, "stop": 9},
    ),
    "CurriculumConfig": Call(
        CurriculumConfig,
        {
            "circuit": Values(("gru",), (*but(str), "nope")),
            "task": Values(("parity",), (*but(str), "swim")),
            "kind": Values(("sliding",), (*but(str), "nope")),
            "updates": COUNT,
            "max_n": Values((4,), (1, 2.5, "3", None, NAN)),
            "momentum": Values((0.5,), (0, 2, "x", NAN)),
            "learning_rate": Values((0.1,), NUMBER[:6]),
            "threshold": Values((0.9,), (2, "x", NAN)),
            "circuit_options": Values(({},), (None, 3, "x")),
            "seed": Values((1,), (-1, 1.5, "1", 2**32)),
        },
    ),
    "Sweep": Call(
        lambda **given: Sweep(**{"base": {}, "vary": {}, **given}).configs(),
        {
            "base": Values(({}, {"seed": 1}), (None, 3, "x", [1], {"nope": 1}, {"steps": "x"}, {3: 1})),
            "vary": Values(
                ({}, {"steps": [1, 2]}), (None, 3, "x", {"steps": 3}, {"steps": []}, {"nope": [1]}, {"steps": ["x"]})
            ),
        },
    ),
    "train": Call(
        train,
        {
            "config": Values((), (None, 3, "x", {})),
            "out": Values((), (None, 3, [], b"x", "FILE")),
            "progress": FLAGS,
            "workers": Values((None,), (0, -1, 1.5, "2", NAN, True)),
            "engine": Values(("local",), (None, 3, "nope")),
            "address": Values((None,), (3, "127.0.0.1:1", [])),
            "callback": Values((None, lambda _: None), (3, "x")),
        },
        {"config": TINY, "out": "NEW", "progress": False},
    ),
    "evaluate": Call(
        evaluate,
        {"run": PATHS, "episodes": COUNT, "body": BODY, "interventions": PINNED, "progress": FLAGS},
        {"run": "RUN", "episodes": 1},
    ),
    "record": Call(
        record,
        {"run": PATHS, "episodes": COUNT, "body": BODY, "interventions": PINNED, "progress": FLAGS},
        {"run": "RUN", "episodes": 1},
    ),
    "probe": Call(
        probe,
        {
            "subject": PATHS,
            "probes": Values((("diagram",),), (None, 3, "gait", ["nope"], [3])),
            "episodes": COUNT,
            "interventions": PINNED,
            "progress": FLAGS,
        },
        {"subject": "RUN", "episodes": 2, "probes": ("gait",)},
    ),
    "transfer": Call(
        transfer,
        {
            "run": PATHS,
            "bodies": Values(((), ("swimmer4",)), (None, 3, "swimmer4", [3], ["nope"])),
            "episodes": COUNT,
            "finetune": Values((0,), (-1, 1.5, "1", None, NAN)),
            "progress": FLAGS,
        },
        {"run": "RUN", "episodes": 1, "bodies": ()},
    ),
    "render": Call(
        render,
        {
            "run": PATHS,
            "out": Values(("NEW.gif",), (None, 3, [], "NEW.txt", "FILE")),
            "body": BODY,
            "view": Values(("2d",), (None, 3, "4d")),
            "seconds": Values((0.1,), (0, -1, "1", NAN, INF, True)),
            "interventions": PINNED,
            "overwrite": FLAGS,
            "progress": FLAGS,
        },
        {"run": "RUN", "out": "NEW.gif", "seconds": 0.1},
    ),
    "compare": Call(
        compare,
        {
            "runs": Values((["RUN", "TWO"],), (None, 3, "RUN", [], [3], ["nope"])),
            "episodes": COUNT,
            "out": Values(("NEW",), (None, 3, "FILE")),
        },
        {"runs": ["RUN", "TWO"], "out": "NEW", "episodes": 1},
    ),
    "report": Call(
        lambda run, out: report(run, out=out),
        {"run": PATHS, "out": Values(("NEW.html",), (3, [], "FILE", "FOLDER"))},
        {"run": "RUN", "out": "NEW.html"},
    ),
    "gallery": Call(
        lambda run, out: gallery(run, out=out),
        {"run": PATHS, "out": Values(("NEW.html",), (None, 3, [], "FILE", "FOLDER"))},
        {"run": "RUN", "out": "NEW.html"},
    ),
    "export": Call(
        export,
        {"run": PATHS, "out": Values(("NEW",), (None, 3, [], "FILE", "FOLDER"))},
        {"run": "RUN", "out": "NEW", "film": False},
    ),
    "NCAP.predict": Call(
        lambda **given: _predict("ncap", **given),
        {
            "observation": Values(
                (), (None, "x", np.zeros((2, 3)), np.zeros(2), np.zeros((2, 3, 4)), [["a"]], np.full((2, 2), None))
            ),
            "state": Values((None,), (3, "x", {"nope": torch.zeros(2, 1)})),
            "episode_start": Values((None, np.zeros(2, bool)), (np.zeros(1, bool), np.zeros(3, bool), "x", 3)),
        },
    ),
    "GRU.predict": Call(
        lambda **given: _predict("gru", **given),
        {
            "state": Values(
                (None,), (3, "x", [], *_STATES.values(), {"hidden": torch.zeros(3, 4)}, {"hidden": torch.zeros(2, 5)})
            ),
            "episode_start": Values((None, np.zeros(2, bool)), (np.zeros(1, bool), np.zeros(3, bool), "x", 3)),
        },
    ),
    "ES": Call(lambda **given: _search(ES, **given), _SEARCHED),
    "CMAES": Call(lambda **given: _search(CMAES, **given), _SEARCHED),
}
