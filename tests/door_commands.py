"""Command lines: what each option may be, and what it may not. RUN, FILE, NEW and others are names of `Place`."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Values:
    """What an argument may be, and what it may not."""

    right: tuple[Any, ...]
    wrong: tuple[Any, ...]


def text(*right: str, wrong: tuple[str, ...]) -> Values:
    return Values(right, wrong)


_NO_NUMBER = ("x", "", "nan", "inf", "-inf", "1e400", "9" * 400)
COUNTS = text("1", "2", wrong=("0", "-1", "1.5", *_NO_NUMBER))
SEEDS = text("0", "7", str(2**32 - 1), wrong=("-1", "1.5", str(2**32), *_NO_NUMBER))
OF_RUN = text("RUN", wrong=("nope", "agent:nope", "FILE", "FOLDER", "/dev/null", "", "a\udcffb", "DAMAGED"))
OF_LAYERS = text("LAYERS", wrong=("RUN", *OF_RUN.wrong))  # a run whose circuit has hidden layers
BODIES = text("swimmer4", "swimmer6-eel", wrong=("swimer6", "swimmer2", "swimmer1000", "", "FILE.xml", "nope.xml"))
NEURONS = text("B_d_2", "B_d_2:1:5", wrong=("", "B_d_99", "B_d_2:5:1", "B_d_2:a:b", "B_d_2=1", "B_d_2:1", "=", ":"))
PINS = text(
    "osc_v=1", "osc_v=-0.5:1:5", wrong=("osc_v", "osc_v=", "osc_v=inf", "osc_v=nan", "osc_v=1e300", "=1", "x=1")
)
TASKED = text(
    "desired_speed=0.2",
    "reward=com",
    wrong=(
        "desired_speed",
        "desired_speed=inf",
        "desired_speed=Infinity",
        "desired_speed=-1",
        "reward=paperr",
        "n_envs=3",
        "body=3",
        "envs=1",
        "desired_speed=[1]",
        'desired_speed={"a":1}',
        f"desired_speed={'9' * 400}",
        "senses=3",
        "self=1",
        "=3",
        "episode_steps=3",
    ),
)
CIRCUITED = text(
    "period=50",
    "proprioception=true",
    wrong=(
        "period=0",
        "period=x",
        "period=1.5",
        "period",
        f"period={'9' * 400}",
        "units=3",
        "rng=1",
        "n_joints=3",
        "period=null",
        "observe_time=true",
    ),
)
LEARNED = text(
    "n_envs=8",
    "sigma=0.2",
    wrong=(
        "n_envs=0",
        "n_envs=7.5",
        "n_envs=1000000000000",
        "sigma=0",
        "sigma=nan",
        "sigma=-1",
        "sigma=1e300",
        "nope=1",
        "n_envs=true",
        "learning_rate=x",
        "gamma=0.9",
    ),
)
RANGES = text(
    "link_mass=0.8:1.2",
    "gear=0.5:2:log",
    wrong=(
        "link_mass=2:1",
        "link_mass=0:1",
        "link_mass=nan:1",
        "link_mass=1:inf",
        "link_mass=a:b",
        "link_mass",
        "nope=1:2",
        "gear=0:1:log",
        "link_mass=1:2:lin",
        "link_length=1e-300:1e-300",
        "link_mass=-1:1",
    ),
)
FILMS = text("NEW.gif", wrong=("NEW.txt", "FILE", "NEW", "FILE/x.gif", ""))
WORDS = {"silence": NEURONS, "clamp": PINS, "drive": PINS}
TRUST = {"trust": Values((None,), ())}
WORKERS = Values(("1",), ("0", "-1", "x", "1.5"))
SPREAD = {"workers": WORKERS, "engine": text("local", wrong=("nope",)), "address": Values((), ("127.0.0.1:1", ""))}
EPISODE = text("20", "10", wrong=("0", "-1", "2.5", *_NO_NUMBER))
LOOK = {
    "out": FILMS,
    "seconds": text("0.1", wrong=("0", "-1", "nan", "inf", "1e300", "x")),
    "view": text("2d", wrong=("4d", "", "2D ")),
    "neurons": Values((None,), ()),
    "size": Values(
        (["320", "240"], ["120", "120"]),
        ("320", ["0", "0"], ["-1", "240"], ["x", "y"], ["9999", "9999"], ["1.5", "240"]),
    ),
    "fps": text("10", "33.3", wrong=("0", "-1", "nan", "inf", "1000", "x")),
    "speed": text("2", "0.5", wrong=("0", "-1", "nan", "inf", "1e300", "x")),
    "camera": text("follow", "fixed", wrong=("nope", "", "Fixed")),
    "zoom": text("0.5", "2", wrong=("0", "-1", "nan", "inf", "1e300", "x")),
}
# About a model that SB3 saved, or about an agent that was never trained; of a run they would have no effect.
OF_ZIPS = {
    "algorithm": text("ppo", wrong=("nope", "")),
    "normalize": Values((), ("nope.pkl", "FILE", "FOLDER")),
    "frames": text("1", wrong=("0", "-1", "x", "3")),
    "reward": text("com", wrong=("fast", "")),
    "observe-time": Values((), (None,)),
}
ARENAS = text("open", "agar", '{"name":"open"}', wrong=("{bad", "nope", '{"medium":3}', '{"name":3}', '{"nope":1}'))
OF_UNTRAINED = {
    "arena": ARENAS,
    "circuit": text("ncap", "mlp", wrong=("ncapp", "", "nope.py:Mine", "FILE.py:")),
    "circuit-options": text(wrong=("nope=1", "period", "=")),
    "seed": SEEDS,
}
OF_BOTH = {
    "task": text("swim", wrong=("swin", "parity", "")),
    "task-options": TASKED,
    "episode-steps": EPISODE,
}


def refused(*options: dict[str, Values]) -> dict[str, Values]:
    """Return options, every value of which is wrong beside a run."""
    return {name: Values((), (*values.right, *values.wrong)) for part in options for name, values in part.items()}


OF_NO_RUN = refused(OF_ZIPS, OF_UNTRAINED, OF_BOTH)
UNTRAINED = {"": Values((), ("RUN", "nope")), "body": BODIES, **OF_UNTRAINED, **OF_BOTH, **TRUST}
ZIP = {
    "": text("MODEL.zip", wrong=("nope.zip", "FILE.zip")),
    "body": Values(("swimmer6",), BODIES.wrong),
    **OF_ZIPS,
    **OF_BOTH,
}
_SCENTED = ("shuffled=true", "form=cone", "spread=1", "odour_noise=0.03")
_WRONG_SCENTED = ("spread=0", "spread=nan", "form=round", "odour_noise=-1", "shuffled=2", "nope=1", "far", "=1")
_LATTICE = '{"name":"landscape","lattice":{"shape":"hexagonal","gap":0.3}}'
_BORDER = '{"name":"landscape","medium":{"across":20},"zones":[{"x":1.5}]}'
_WRONG_POSTS = (
    '{"name":"landscape","posts":[{"x":0,"y":-0.05}]}',
    '{"name":"landscape","posts":[{"radius":0}]}',
    '{"name":"landscape","lattice":{"gap":-1}}',
    '{"name":"landscape","lattice":{"shape":"cubic"}}',
    '{"name":"landscape","walls":[{"length":0}]}',
)
# The worlds of the worm: options of each task, and arenas that it takes, beside those that every task refuses.
WORLDS: dict[str, dict[str, Values]] = {
    "chemotaxis": {
        "task-options": text(*_SCENTED, "distances=[1,2]", wrong=(*_WRONG_SCENTED, "distances=[]", "distances=[-1]")),
        "arena": text("open", "water", wrong=("nope", *_WRONG_POSTS)),
    },
    "forage": {
        "task-options": text(*_SCENTED, "far=1.5", "radius=0.2", wrong=(*_WRONG_SCENTED, "far=0.5", "radius=0.6")),
        "arena": text("open", "water", wrong=("nope", *_WRONG_POSTS)),
    },
    "lattice": {
        "task-options": text('senses=["joint_pos","touch"]', wrong=("nope=1", "gap=0.2", 'senses=["nope"]')),
        "arena": text(_LATTICE, "open", wrong=("agar", '{"name":"landscape"}', *_WRONG_POSTS)),
    },
    "twomedia": {
        "task-options": text("settled=1", "aim=3.1", wrong=("settled=-1", "aim=4", "aim=nan", "nope=1", "settled")),
        "arena": text(_BORDER, "open", wrong=("agar", '{"name":"landscape","zones":[{"x":1.5}]}', *_WRONG_POSTS)),
    },
    "escape": {
        "task-options": text(
            "where=front",
            "strength=0",
            "earliest=1",
            wrong=("where=side", "strength=2", "latest=1", "nope=1", "strength"),
        ),
        "arena": text("water", "open", wrong=("nope", *_WRONG_POSTS)),
    },
}
NOISE = {"noise": text("0.3", wrong=("0", "-1", "nan", "inf", *_NO_NUMBER)), "noise-unit": Values((), ("mine", ""))}
# Option of a command to its values; "" is the command's own words, None an option without a value, a list several. What
# follows the name of a command tells apart several of its uses.
# Of a file of midlines in WCON, which says its own units.
_MIDLINES = {
    "": text("WORM.wcon", wrong=("nope", "nope.wcon", "FILE", "FILE.nc", "FOLDER", "RUN", "", "BAD.toml")),
    "spline": Values((None,), ()),
    "fix-swaps": Values((None,), ()),
    "flip-y": Values((None,), ()),
    "unit": Values((), ("mm", "pixels", "")),
    "time-unit": Values((), ("s", "frames", "")),
    "degrees": Values((), (None,)),
}
_TABLES = {"": text("TABLE.csv.gz", wrong=("nope", "nope.csv.gz", "FILE", "FOLDER", "RUN", "", "BAD.toml", "FILE.nc"))}
COMMANDS: dict[str, dict[str, Values]] = {
    "train": {
        "body": BODIES,
        "steps": text("160", "0.2k", wrong=("0", "-5", "1.5", "1e1000000000", *_NO_NUMBER)),
        "episode-steps": EPISODE,
        "seed": SEEDS,
        "circuit": text("ncap", wrong=("ncapp", "", "mlp,", "elm elm")),
        "algorithm": text("es", wrong=("ess", "")),
        "task": text("swim", wrong=("swin", "parity", "")),
        "physics": text("mujoco", wrong=("lane", "")),
        "device": text("cpu", wrong=("meta", "gpu", "cuda:99", "")),
        "arena": ARENAS,
        "task-options": TASKED,
        "circuit-options": CIRCUITED,
        "algorithm-options": LEARNED,
        "randomize": RANGES,
        "deficit": text(
            "joint_pos:0:10",
            "joint_pos[1]:0:10",
            "joint_pos[1,2]:0:",
            wrong=(
                "joint_pos",
                "joint_pos:10:0",
                "nope:0:10",
                "joint_pos[99]:0:10",
                "joint_pos[1,1]:0:10",
                "joint_pos[1,]:0:10",
                "joint_pos:a:b",
                "joint_pos:-1:5",
            ),
        ),
        "checkpoint-every": text("100000", wrong=("0", "-1", *_NO_NUMBER)),
        "evaluate-every": text("100000", wrong=("0", "-1", *_NO_NUMBER)),
        "start": text("RUN", "agent:ncap", wrong=("nope", "agent:nope", "FILE", "DAMAGED")),
        "protect": Values((), ("nope", "RUN")),
        "train-only": Values((), ("nope", "hidden_0_1", "")),
        **SPREAD,
        "reward": text("com", wrong=("fast",)),
        "config": Values((), ("nope.toml", "FILE", "FOLDER", "BAD.toml", "TYPES.toml", "BYTES.toml")),
        "control-dt": text("0.03", "0.06", wrong=("0", "-1", "nan", "inf", "1e-300", "0.0301", "x")),
        "bodies": Values(
            ("swimmer4", ["swimmer6", "swimmer6-eel"], ["swimmer4", "swimmer6"]),
            (*BODIES.wrong, ["swimmer6", "swimmer6"]),
        ),
        "out": Values(("NEW",), ("FILE", "FOLDER", "FILE/x", "RUN")),
        **TRUST,
        "stepz": Values((), ("3",)),
    },
    "evaluate": {"": OF_RUN, "episodes": COUNTS, "body": BODIES, **WORDS, **TRUST, **OF_NO_RUN},
    "evaluate an untrained agent": {**UNTRAINED, "episodes": COUNTS},
    "evaluate a zip file": {**ZIP, "episodes": COUNTS, **refused(WORDS)},
    **{
        f"evaluate an untrained agent in {task}": {
            "body": BODIES,
            "seed": SEEDS,
            "episodes": COUNTS,
            "episode-steps": EPISODE,
            **world,
        }
        for task, world in WORLDS.items()
    },
    "record": {
        "": OF_RUN,
        "episodes": COUNTS,
        "body": BODIES,
        "out": text("NEW.nc", "NEW.nwb", wrong=("NEW.txt", "FILE", "")),
        "as-imaging": Values((), (["x"],)),
        "history": Values((), (["x"],)),
        **NOISE,
        **WORDS,
        **TRUST,
        **OF_NO_RUN,
    },
    "record a history": {"": OF_RUN, "episodes": refused({"": COUNTS})[""], **refused(WORDS)},
    "record an untrained agent": {**UNTRAINED, "episodes": COUNTS},
    "record a zip file": {**ZIP, "episodes": COUNTS},
    "probe": {
        "": text("RUN", wrong=(*OF_RUN.wrong, "FILE.nc", "nope.nc")),
        "episodes": COUNTS,
        "probes": text("gait", "diagram", wrong=("gate", "")),
        **NOISE,
        **WORDS,
        **TRUST,
        **refused(OF_UNTRAINED, OF_BOTH),
    },
    "probe an untrained agent": {
        **{name: UNTRAINED[name] for name in UNTRAINED if name != "body"},
        "probes": text("gait", wrong=("gate", "")),
    },
    "transfer": {
        "": OF_RUN,
        "episodes": COUNTS,
        "bodies": BODIES,
        "finetune": text("0", wrong=("-1", "1.5", *_NO_NUMBER)),
        **TRUST,
        **refused(OF_ZIPS, OF_BOTH, {"body": BODIES}),
    },
    "transfer a zip file": {**ZIP, "episodes": COUNTS, "finetune": Values((), ("160", "-1"))},
    "render": {"": OF_RUN, **LOOK, "body": BODIES, **WORDS, **TRUST, **OF_NO_RUN},
    "render an untrained agent": {**UNTRAINED, **LOOK},
    "render a zip file": {**ZIP, **LOOK},
    "results": {"": OF_RUN, "out": text("NEW.csv", "NEW.sqlite", wrong=("NEW.txt", "FILE", "")), **TRUST},
    "report": {
        "": OF_RUN,
        "out": text("NEW.html", wrong=("FILE", "FOLDER")),
        **TRUST,
        **refused(OF_ZIPS, OF_BOTH, {"body": BODIES}),
    },
    "report a zip file": {**ZIP, "out": text("NEW.html", wrong=("FILE", "FOLDER"))},
    "gallery": {"": OF_RUN, "out": text("NEW.html", wrong=("FILE", "FOLDER")), **TRUST},
    "compare": {
        "": OF_RUN,
        "episodes": COUNTS,
        "out": text("NEW", wrong=("FILE", "FOLDER")),
        "labels": Values((), (["mine"], [""], ["=mine"])),  # a right one names a group
        **TRUST,
    },
    "bricks": {
        "": OF_LAYERS,
        "number": text("2", "4", wrong=("0", "1", "-1", "99", "1.5", *_NO_NUMBER)),
        "bodies": BODIES,
        "episodes": COUNTS,
        "seed": SEEDS,
        "weights": Values((), (["1", "0"],)),
        "body": Values((), BODIES.right),
        "steps": Values((), ("160",)),
        "out": Values((), ("NEW",)),
        **TRUST,
    },
    "bricks merged": {
        "": OF_LAYERS,
        "merge": OF_LAYERS,
        "weights": Values((["0.5", "0.5"], ["0", "1"]), ("1", ["nan", "1"], ["inf", "1"], ["x", "y"])),
        "episodes": COUNTS,
        "number": Values((), ("2",)),
        "out": text("NEW", wrong=("FILE", "FOLDER")),
    },
    "bricks grown": {
        "": OF_LAYERS,
        "grow": text("1", "8", wrong=("0", "-1", "1.5", *_NO_NUMBER)),
        "body": BODIES,
        "seed": SEEDS,
        "out": text("NEW", wrong=("FILE", "FOLDER")),
    },
    "bricks updated": {
        "": OF_LAYERS,
        "update": Values((), ("nope", "hidden_0-weights-9", "")),
        "steps": Values((), ("0", "-1", "1.5", *_NO_NUMBER)),
        "out": Values((), ("FILE", "FOLDER")),
    },
    "route": {  # right ones need runs on two bodies; tests/training/test_routing.py has them
        "": Values((), OF_RUN.wrong),
        "out": Values((), ("FILE", "FOLDER")),
        "by": Values((), ("smell", "", "1")),
        "episodes": Values((), ("0", "1", "-1", "1.5", *_NO_NUMBER)),
        "seed": Values((), SEEDS.wrong),
        **TRUST,
    },
    "export": {
        "": OF_RUN,
        "out": text("NEW", wrong=("FILE", "FOLDER")),
        "film": Values((), (["maybe"],)),
        "no-film": Values((None,), ()),
        "push": Values((), ("", "nope", "a/b/c", "a b/c")),
        "private": Values((), (None,)),
        "endpoint": Values((), ("http://127.0.0.1:1",)),
        "onnx": Values((None,), ()),
        "torch": Values((None,), ()),
        "web": Values((None,), ()),
        **TRUST,
    },
    "import": {
        "": Values(("EXPORT",), ("RUN", "nope", "FILE", "FOLDER", "DAMAGED", "")),
        "out": Values(("NEW",), ("FILE", "FOLDER", "RUN", "FILE/x")),
        **TRUST,
    },
    "resume": {"": OF_RUN, "device": text("cpu", wrong=("gpu", "")), **SPREAD, **TRUST},
    "play": {
        "": OF_RUN,
        "port": Values(("0",), ("x", "-1", "65536")),
        "body": Values(("swimmer4",), BODIES.wrong),
        **TRUST,
        **refused(OF_UNTRAINED, OF_BOTH),
    },
    "play an untrained agent": {**UNTRAINED},
    "sweep": {
        "": Values(("PLAN.toml",), ("nope", "FILE", "FOLDER", "BAD.toml", "TYPES.toml", "BYTES.toml", "")),
        "out": Values(("NEW",), ("FILE", "FILE/x")),
        **SPREAD,
        **TRUST,
    },
    "curriculum": {
        "circuit": text("ctrnn", wrong=("ncap", "nope")),
        "updates": COUNTS,
        "seed": SEEDS,
        "kind": text("sliding", wrong=("slide",)),
        "task": text("parity", wrong=("swim",)),
        "options": text(
            "max_n=3", wrong=("momentum=0", "max_n=1", "nope=1", "learning_rate=nan", "seed=1", "batch_size=x")
        ),
        "circuit-options": Values((), ("units=0", "units=x", "units=1.5", "nope=1", "units", f"units={'9' * 400}")),
        "out": Values(("NEW",), ("FILE", "FOLDER", "RUN")),
        **TRUST,
    },
    "list": {
        "": text(
            "bodies",
            "tasks",
            "circuits",
            "probes",
            "arenas",
            "senses",
            "algorithms",
            "environments",
            "agents",
            wrong=("nope", "", "body", "options", "neurons", ["bodies", "x"], ["options", "nope"], ["neurons", "FILE"]),
        ),
        **TRUST,
    },
    "list options": {"": text("ppo", "ncap", "swim", "along", wrong=("nope", "", "swimmer6"))},
    "list neurons": {"": text("RUN", "agent:cpg", wrong=OF_RUN.wrong), **TRUST},
    "worm": {"": text("connectome", wrong=("nope", "compare"))},
    "worm posture": {
        **_MIDLINES,
        "links": text("2", "7", wrong=("1", "0", "-1", *_NO_NUMBER)),
        "worm": text("w", wrong=("nope", "")),
        "out": text("NEW.csv", "NEW.wcon", wrong=("NEW.txt", "NEW", "FILE", "FILE/x.csv", "")),
    },
    "worm replay": {
        **_MIDLINES,
        "worm": text("w", wrong=("nope", "")),
        "body": BODIES,
        "arena": text("water", "agar", wrong=("nope", "{", '{"name":"landscape","posts":[{"x":0.5}]}', "")),
        "drive": text("motors", "prescribed", wrong=("nope", "")),
        "gear": Values((), ("0", "-1", *_NO_NUMBER)),
        "out": text("NEW.nc", wrong=("NEW.txt", "NEW", "FILE", "FILE/x.nc", "")),
        "film": FILMS,
    },
    "worm eigenworms": {
        **_MIDLINES,
        "basis": text("data", wrong=("nope", "", "FILE", "FOLDER")),
        "modes": text("2", "5", wrong=("1", "0", "-1", "1000", *_NO_NUMBER)),
        "out": text("NEW", wrong=("FILE", "FILE/x", "FOLDER")),
    },
    "reproduce": {
        "": text("ncap", wrong=("nope", "")),
        "scale": Values(("smoke",), ("tiny", "")),
        "out": Values(("NEW",), ("FILE", "FILE/x")),
        **SPREAD,
    },
    "nas": {"": Values((), ("nope", ""))},
    "nas query": {
        **_TABLES,
        "architecture": text(
            "size=8|gate=True", "gate=False|size=16", wrong=("size=8", "size=9|gate=True", "", "=", "|")
        ),
        "body": text("one", wrong=("swimmer6", "")),
        "step": text("100", "0.2k", wrong=("150", "0", "-1", *_NO_NUMBER)),
        "seed": text("0", "3", wrong=("4", "-1", "1.5", *_NO_NUMBER)),
    },
    "nas search": {
        **_TABLES,
        "searchers": Values(("random", ["rea", "reinforce"]), ("nope", "")),
        "searches": COUNTS,
        "trainings": COUNTS,
        "seed": text("0", "7", wrong=("-1", "1.5", *_NO_NUMBER)),
        "out": Values(("NEW",), ("FILE", "FOLDER", "FILE/x")),
    },
    "nas make": {
        "": text("prior", wrong=("nope", "", "TABLE.csv.gz")),
        "seeds": text("1", wrong=("0", "-1", "x")),
        "bodies": text("swimmer6", wrong=("swimmer3", "swimer6", "")),
        "architectures": Values((), ("sharing=True", "nope=1", "")),
        "out": Values(("NEW",), ("FILE", "FILE/x")),
        **SPREAD,
    },
    "nope": {"": Values((), ("RUN",))},
}
COMMANDS["ablate"] = {
    **COMMANDS["train"],
    "seeds": Values(("1",), ("0", "-1", "x")),
    "episodes": Values(("1",), ("0", "x")),
    "circuit": Values((), ("mlp", "nope")),
    "out": Values(("NEW",), ("FILE", "FILE/x")),
    "start": Values((), ("nope", "FILE", "DAMAGED")),
}
COMMANDS["damage"] = {**COMMANDS["ablate"], "joints": Values((), ("5", "-1", "x")), "circuit": Values((), ("nope",))}
# Options of one command of which each is right alone.
CLASHES = (("neurons", "view"), ("body", "bodies"))
# Right ones would train for hours, or serve for ever.
ALWAYS_WRONG = (
    "bricks updated", "ablate", "damage", "sweep", "reproduce", "nas make", "play", "play an untrained agent",
    "import_run",
)  # fmt: skip
# What a command needs beside what is drawn: without it, it would take minutes, or have nowhere to write.
NEEDS = {
    "train": ["--steps", "160", "--episode-steps", "10", "--algorithm-options", "n_envs=8", "--out", "NEW"],
    "evaluate": ["--episodes", "1"],
    "evaluate an untrained agent": ["--untrained", "--episodes", "1", "--episode-steps", "20"],
    "evaluate a zip file": ["--trust", "--episodes", "1", "--episode-steps", "20"],
    **{
        f"evaluate an untrained agent in {task}": [
            "--untrained",
            "--task",
            task,
            "--episodes",
            "1",
            "--episode-steps",
            "20",
        ]
        for task in WORLDS
    },
    "record": ["--episodes", "1", "--out", "NEW.nc"],
    "record a history": ["--history", "--out", "NEW.nc"],
    "record an untrained agent": ["--untrained", "--episodes", "1", "--episode-steps", "20", "--out", "NEW.nc"],
    "record a zip file": ["--trust", "--episodes", "1", "--episode-steps", "20", "--out", "NEW.nc"],
    "probe": ["--episodes", "2"],
    "probe an untrained agent": ["--untrained", "--episodes", "1", "--episode-steps", "20"],
    "transfer": ["--episodes", "1", "--bodies", "swimmer4"],
    "transfer a zip file": ["--trust", "--episodes", "1", "--episode-steps", "20", "--bodies", "swimmer6-eel"],
    "render": ["--out", "NEW.gif", "--seconds", "0.1"],
    "render an untrained agent": ["--untrained", "--episode-steps", "20", "--out", "NEW.gif", "--seconds", "0.1"],
    "render a zip file": ["--trust", "--episode-steps", "20", "--out", "NEW.gif", "--seconds", "0.1"],
    "report": ["--out", "NEW.html"],
    "report a zip file": ["--trust", "--episode-steps", "20", "--out", "NEW.html"],
    "bricks": ["--episodes", "1", "--number", "2"],
    "bricks merged": ["--merge", "LAYERS", "--episodes", "1", "--out", "NEW"],
    "bricks grown": ["--grow", "2", "--out", "NEW"],
    "bricks updated": ["--update", "hidden_0-weights-0", "--out", "NEW"],
    "compare": ["--episodes", "1", "--out", "NEW"],
    "gallery": ["--out", "NEW.html"],
    "route": ["--episodes", "2", "--out", "NEW"],
    "export": ["--out", "NEW", "--no-film"],
    "curriculum": [
        "--updates",
        "1",
        "--options",
        "max_n=3",
        "evaluate_every=1",
        "batch_size=2",
        "evaluation_sequences=2",
        "--circuit-options",
        "units=4",
        "--out",
        "NEW",
    ],
    "ablate": ["--steps", "160", "--episode-steps", "10", "--seeds", "1", "--episodes", "1", "--out", "NEW"],
    "damage": ["--steps", "160", "--episode-steps", "10", "--seeds", "1", "--episodes", "1", "--out", "NEW"],
    "reproduce": ["--scale", "smoke", "--out", "NEW"],
    "nas search": ["--searches", "2", "--trainings", "3", "--out", "NEW"],
    "nas make": ["--out", "NEW"],
    "play an untrained agent": ["--untrained", "--episode-steps", "20"],
    "import": ["--out", "NEW"],
    "sweep": ["--out", "NEW"],
}
