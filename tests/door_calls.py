"""Python calls: what each argument may be, and what it may not."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from door_commands import Values
from nervecord.agents import CMAES, ES, Agent, AgentSpec
from nervecord.circuits import make_circuit
from nervecord.envs import EnvBatch, Fluid, Swimmer, SwimmerEnv, SwimmerVecEnv, SwimmerVectorEnv, make_body
from nervecord.envs.deficits import Deficit
from nervecord.envs.tasks.bits import BitsVectorEnv
from nervecord.pages.play_server import play
from nervecord.pages.reports import gallery, report
from nervecord.sharing.hub import export, import_run
from nervecord.training.learning.checks import check
from nervecord.training.learning.curricula import CurriculumConfig, curriculum
from nervecord.training.learning.initial import untrained
from nervecord.training.learning.training import resume, train
from nervecord.training.probes.probing import probe
from nervecord.training.rollouts.evaluation import evaluate
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run, load_agent
from nervecord.training.studies.ablations import ablate
from nervecord.training.studies.bricks import Brick, find_bricks, grow, merge, update_brick
from nervecord.training.studies.comparisons import compare
from nervecord.training.studies.damages import damage
from nervecord.training.studies.ncap_paper.reproduction import reproduce
from nervecord.training.studies.sweeps import Sweep, sweep
from nervecord.training.studies.transfers import transfer
from nervecord.videos.films import render
from nervecord.videos.render import render_recording

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
LAYERED = Values(("LAYERS",), ("RUN", *PATHS.wrong))
BODY = Values((None, "swimmer4", Swimmer(n_links=5)), (3, 1.5, [], {}, b"x", "nope", "swimmer2", NAN, True))
PINNED = Values(((), (Intervention("B_d_2"),)), (None, 3, "B_d_2", ["B_d_2"], [None], (Intervention("nope"),)))
NUMBER = (0, -1, "1", None, NAN, INF, 1e300, HUGE, True, [1.0])


def _without_right(values: Mapping[str, Values]) -> dict[str, Values]:
    return {name: Values((), each.wrong) for name, each in values.items()}


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


def _step(action: Any, **made: Any) -> None:
    env = SwimmerEnv(**{"body": "swimmer4", **made})
    env.reset(seed=0)
    env.step(action)
    env.close()


def _vector_step(actions: Any, bits: bool = False, **reset: Any) -> None:
    env = BitsVectorEnv(2) if bits else SwimmerVectorEnv(2, body="swimmer3")
    env.reset(**reset)
    env.step(actions)
    env.close()


def _untrained(config: Any) -> None:
    with untrained(config) as run:
        run.agent()


def _film(**given: Any) -> None:
    recording = record(given.pop("run"), 1)
    render_recording(recording, **given)


_CURRICULUM = CurriculumConfig(
    "gru", updates=1, max_n=3, evaluate_every=1, batch_size=2, evaluation_sequences=2, circuit_options={"units": 4}
)
_SECONDS = Values((0.1,), (0, -1, "1", NAN, INF, True))
_LOOK = {
    "size": Values((None, (320, 240)), (3, "x", (320,), (0, 0), (10**6, 10**6), (320.5, 240), (None, 240))),
    "fps": Values((None, 10), (0, -1, "x", NAN, INF, 1e6, True)),
    "speed": Values((1.0, 2), (0, -1, "x", None, NAN, INF)),
    "camera": Values(("follow", "fixed"), (None, 3, "nope", [])),
    "zoom": Values((1.0, 0.5), (0, -1, "x", None, NAN, INF)),
    "view": Values(("2d",), (None, 3, "4d", [])),
}
_PLACE = {
    "workers": Values((None,), (0, -1, 1.5, "2", NAN, True)),
    "engine": Values(("local",), (None, 3, "nope", [])),
    "address": Values((None,), (3, "127.0.0.1:1", [])),
}
_RESET = {
    "seed": Values(
        (None, 0, [1, 2], np.int64(3), 2**100), (-1, 1.5, "1", "ab", [1], [1, -1], [1, None, 2], [1, "a"], NAN, True)
    ),
    "options": Values(
        (None, {}, {"reset_mask": np.ones(2, bool)}),
        (
            3,
            "x",
            {"reset_mask": None},
            {"reset_mask": [True, True]},
            {"reset_mask": np.ones(3, bool)},
            {"reset_mask": np.zeros(2, bool)},
            {"reset_mask": np.ones(2)},
        ),
    ),
}
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
            "train_only": Values(((),), (None, 3, "x", [3], ["hidden_0_1"])),
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
            "task": Values(("swim", "cueturn", "forage", "lattice", "twomedia", "escape"), (*but(str), "nope")),
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
            "stop": Values((9, None), (0, -1, 1.5, "1", NAN)),
            "index": Values((None, 1, (1, 3)), (-1, 1.5, "1", NAN, (), (1, 1), (1, -1))),
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
            **_PLACE,
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
        {
            "run": PATHS,
            "episodes": COUNT,
            "body": BODY,
            "interventions": PINNED,
            "progress": FLAGS,
            "physics": Values((None, "mujoco"), ("lanes", "auto", 3)),
            "seconds": _SECONDS,
        },
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
    "find_bricks": Call(
        find_bricks,
        {
            "run": LAYERED,
            "number": Values((2, np.int64(4)), (0, 1, -1, 99, 1.5, "2", None, NAN, True)),
            "bodies": Values(((), ("swimmer4",)), (None, 3, "swimmer4", [3], ["nope"])),
            "episodes": COUNT,
            "seed": Values((0, np.int64(3)), (-1, 1.5, "1", None, NAN, HUGE)),
            "progress": FLAGS,
        },
        {"run": "LAYERS", "episodes": 1, "number": 2},
    ),
    "merge": Call(
        merge,
        {
            "one": LAYERED,
            "other": LAYERED,
            "out": Values(("NEW",), (None, 3, [], "FILE", "FOLDER")),
            "weights": Values(((0.5, 0.5), [0, 1]), (None, 3, "x", (1,), (NAN, 1), ("a", "b"), (1, 1, 1))),
            "episodes": COUNT,
            "progress": FLAGS,
        },
        {"one": "LAYERS", "other": "LAYERS", "out": "NEW", "episodes": 1},
    ),
    "grow": Call(
        grow,
        {
            "run": LAYERED,
            "units": COUNT,
            "out": Values(("NEW",), (None, 3, [], "FILE", "FOLDER")),
            "body": BODY,
            "seed": Values((0, np.int64(3)), (-1, 1.5, "1", None, NAN, HUGE)),
        },
        {"run": "LAYERS", "units": 2, "out": "NEW"},
    ),
    "update_brick": Call(
        update_brick,
        {
            "run": LAYERED,
            "brick": Values((), (None, 3, "hidden_0-weights-0", Brick("x", "x", ("x",), "weights", 0))),
            "out": Values(("NEW",), (None, 3, [], "FILE", "FOLDER")),
            "steps": Values((160, np.int64(160)), COUNT.wrong),
            "progress": FLAGS,
        },
        {
            "run": "LAYERS",
            "brick": Brick("x", "hidden_0", ("hidden_0_1", "hidden_0_2"), "weights", 0),
            "out": "NEW",
            "steps": 160,
        },
    ),
    "render": Call(
        render,
        {
            "run": PATHS,
            "out": Values(("NEW.gif",), (None, 3, [], "NEW.txt", "FILE")),
            "body": BODY,
            **_LOOK,
            "seconds": _SECONDS,
            "interventions": PINNED,
            "overwrite": FLAGS,
            "progress": FLAGS,
        },
        {"run": "RUN", "out": "NEW.gif", "seconds": 0.1},
    ),
    "render_recording": Call(
        _film,
        {
            "path": Values(("NEW.gif",), (None, 3, [], "NEW.txt", "FILE")),
            "episode": Values((0,), (-1, 1, 1.5, "0", None, NAN, True)),
            "seconds": _SECONDS,
            "wiring": Values((None,), (3, "x")),
            **_LOOK,
        },
        {"run": "RUN", "path": "NEW.gif", "seconds": 0.1},
    ),
    "resume": Call(
        resume,
        {"path": PATHS, "progress": FLAGS, "device": Values((None, "cpu"), (3, "gpu", [])), **_PLACE},
        {"path": "RUN", "progress": False},
    ),
    "check": Call(check, {"config": Values((TINY,), (None, 3, "x", {}, CurriculumConfig("gru")))}, {"config": TINY}),
    "untrained": Call(_untrained, {"config": Values((TINY,), (None, 3, "x", {}))}, {"config": TINY}),
    "curriculum": Call(
        curriculum,
        {"config": Values((), (None, 3, "x", {}, TINY)), "out": Values((), (None, 3, [], "FILE")), "progress": FLAGS},
        {"config": _CURRICULUM, "out": "NEW", "progress": False},
    ),
    "Run": Call(Run, {"path": PATHS}, {"path": "RUN"}),
    "load_agent": Call(load_agent, {"run": PATHS, "body": BODY}, {"run": "RUN"}),
    "import_run": Call(
        import_run,
        {
            "folder": Values((), (*but(str), "nope", "FILE", "FOLDER", "DAMAGED", "RUN")),
            "out": Values((), (None, 3, [], "FILE")),
            "trust": Values((), (None, 2, "yes")),
        },
        {"folder": "RUN", "out": "NEW"},
    ),
    # Right ones of these train for hours, or serve for ever.
    "sweep": Call(
        sweep,
        {"plan": Values((), (None, 3, [], "nope", "FILE", "BAD.toml", "TYPES.toml")), **_without_right(_PLACE)},
        {"plan": Sweep({}, {"seed": [0]}), "out": "NEW"},
    ),
    "ablate": Call(
        ablate,
        {
            "config": Values((), (None, 3, "x", {}, RunConfig("mlp"))),
            "seeds": Values((), (0, -1, 1.5, "2", None, NAN)),
            "episodes": Values((), (0, -1, 1.5, "2", None, NAN)),
            "out": Values((), (None, 3, [], "FILE")),
            **_without_right(_PLACE),
        },
        {"config": TINY, "out": "NEW", "seeds": 1, "episodes": 1},
    ),
    "damage": Call(
        damage,
        {
            "config": Values((), (None, 3, "x", {}, RunConfig(deficits=(Deficit("joint_pos", 0),)))),
            "joints": Values((), (1, None, "1", [-1], [1.5], [5])),
            "seeds": Values((), (0, -1, 1.5, "2", None, NAN)),
            "episodes": Values((), (0, -1, 1.5, "2", None, NAN)),
            "out": Values((), (None, 3, [], "FILE")),
            **_without_right(_PLACE),
        },
        {"config": TINY, "out": "NEW", "seeds": 1, "episodes": 1},
    ),
    "reproduce": Call(
        reproduce,
        {
            "scale": Values((), (None, 3, "tiny", [])),
            "out": Values((), (None, 3, [], "FILE")),
            **_without_right(_PLACE),
        },
        {"out": "NEW", "scale": "smoke"},
    ),
    "play": Call(
        play,
        {
            "run": Values((), PATHS.wrong),
            "body": Values((), BODY.wrong),
            "port": Values((), (-1, 65536, 1.5, "0", None, True)),
        },
        {"run": "RUN"},
    ),
    "SwimmerEnv.step": Call(
        _step,
        {
            "action": Values(
                (np.zeros(3), [0.1, 0, 0]),
                (None, 3, "x", np.zeros(2), np.zeros((1, 3)), np.full(3, NAN), ["a"] * 3, {}, np.full(3, None)),
            ),
            "task": Values(("swim", "navigate"), (*but(str), "nope")),
            "render_mode": Values((None, "rgb_array"), (3, "human", [])),
            "width": Values((480,), (0, -1, 1.5, "9", None, 10**9)),
            "height": Values((360,), (0, -1, 1.5, "9", None, 10**9)),
            "episode_steps": Values((None, 3), (0, -1, 1.5, "3", NAN, True)),
            "observe_time": FLAGS,
            "nope": Values((), (3,)),
        },
        {"action": np.zeros(3)},
    ),
    "SwimmerVectorEnv.step": Call(
        _vector_step,
        {
            "actions": Values((np.zeros((2, 2)), [[0, 0.1], [1, 0]]), (None, 3, "x", np.zeros(2), [[0], [0, 1]], b"x")),
            **_RESET,
        },
        {"actions": np.zeros((2, 2))},
    ),
    "BitsVectorEnv.step": Call(
        functools.partial(_vector_step, bits=True),
        {
            "actions": Values(([0, 1], np.ones(2, int)), (None, 3, "x", [0], [0, 2], [0, None], np.zeros((2, 1)))),
            **_RESET,
        },
        {"actions": [0, 1]},
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
