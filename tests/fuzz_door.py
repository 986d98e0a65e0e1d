"""Draw command lines and Python calls from declared right and wrong values: a script for before a release.

python tests/fuzz_door.py --count 1000 --seed 0
python tests/fuzz_door.py --seconds 3600 --seed 7

Right ones run. Wrong ones are refused in one line: a command exits 2 and leaves no folder, a call raises a
NervecordError. Whatever does otherwise is printed as it can be typed, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import io
import itertools
import json
import logging
import math
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from door_calls import CALLS, TINY
from door_commands import ALWAYS_WRONG, CLASHES, COMMANDS, NEEDS
from nas_tables import drawn_table
from nervecord.cli.main import main as command_line
from nervecord.envs import SwimmerVecEnv
from nervecord.envs.tasks.track import travelling_wave
from nervecord.errors import NervecordError
from nervecord.sharing.hub import export
from nervecord.training.learning.training import train
from nervecord.worm import Posture, write_wcon
from stable_baselines3 import PPO


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A command line or a call, and which of its values is wrong, if one is."""

    name: str
    given: Any
    wrong: str | None

    def __str__(self) -> str:
        if isinstance(self.given, list):
            return f"nervecord {' '.join(json.dumps(word)[:80] for word in self.given)}"
        return f"{self.name}({', '.join(f'{name}={str(value)[:60]!s}' for name, value in self.given.items())})"


class Place:
    """A folder with a run and with things that are none; each drawn command has new names in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()
        self.run = train(TINY, folder / "run", progress=False).path
        train(dataclasses.replace(TINY, seed=1), folder / "two", progress=False)
        layered = dataclasses.replace(TINY, circuit="mlp", circuit_options={"hidden": [8]})
        train(layered, folder / "layers", progress=False)
        (folder / "file").write_text("mine", encoding="utf-8")
        (folder / "folder").mkdir()
        (folder / "folder" / "mine").write_text("mine", encoding="utf-8")
        (folder / "damaged").mkdir()
        (folder / "damaged" / "config.json").write_text("[]", encoding="utf-8")
        (folder / "file.xml").write_text("<mujoco><worldbody/></mujoco>", encoding="utf-8")
        (folder / "file.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
        (folder / "bad.toml").write_text("[base\n", encoding="utf-8")
        (folder / "types.toml").write_text("[base]\nsteps = 1979-05-27\n[vary]\nseed = 3\n", encoding="utf-8")
        (folder / "bytes.toml").write_bytes(b"\xff\xfe\x00")
        (folder / "plan.toml").write_text("[base]\nsteps = 160\n[vary]\nseed = [0]\n", encoding="utf-8")
        export(folder / "run", folder / "export", film=False)
        wave = travelling_wave(8, 1.5, 0.05)
        many = len(wave.time)
        posture = Posture(wave.time, wave.joint_pos, np.zeros(many), np.full(many, 1e-3), np.zeros((many, 2)))
        write_wcon(folder / "worm.wcon", [posture.track("w")])
        drawn_table().write(folder / "table.csv.gz")
        (folder / "file.zip").write_bytes(b"PK\x03\x04" + bytes(100))
        env = SwimmerVecEnv(1, episode_steps=20)
        PPO("MlpPolicy", env, n_steps=20, device="cpu").save(folder / "model.zip")
        env.close()

    def named(self, value: Any) -> Any:
        """Return a value with this place's files where it names one."""
        if isinstance(value, list):
            return [self.named(each) for each in value]
        if not isinstance(value, str):
            return value
        stem, dot, suffix = value.partition(".")
        head, slash, rest = stem.partition("/")
        if head == "NEW":
            return str(self.folder / f"new-{next(self._numbers)}{dot}{suffix}")
        if head in ("RUN", "FILE", "FOLDER", "DAMAGED", "TWO", "LAYERS", "MODEL", "EXPORT", "PLAN", "BAD", "TYPES",
                    "BYTES", "WORM", "TABLE"):  # fmt: skip
            return str(self.folder / f"{head.lower()}{slash}{rest}{dot}{suffix}")
        return value

    def new(self) -> set[str]:
        """Return the names of what commands have made."""
        return {path.name for path in self.folder.glob("new-*")}


def draw(rng: random.Random, place: Place) -> Drawn:
    """Draw a command line or a call; half of them are wrong in one value."""
    if is_line := rng.random() < 0.5:
        name = rng.choice(list(COMMANDS))
        values, given = COMMANDS[name], {}
    else:
        name = rng.choice(list(CALLS))
        values, given = CALLS[name].arguments, dict(CALLS[name].needs)
    wrong = None
    # Without its first word, a command would do nothing; that of an untrained agent has none.
    if is_line and "" in values and not values[""].right and "--untrained" not in NEEDS.get(name, ()):
        wrong = ""
    elif name in ALWAYS_WRONG or rng.random() < 0.5 or not any(each.right for each in values.values()):
        wrong = rng.choice([each for each in values if values[each].wrong])
    chosen = {each for each in values if values[each].right and rng.random() < 0.3}
    if is_line and "" in values and values[""].right:
        chosen.add("")  # the words without which there is nothing to do
    chosen -= {one for one, other in CLASHES if is_line and other in chosen | {wrong}}
    for each in sorted(chosen - {wrong}):
        given[each] = rng.choice(values[each].right)
    if wrong is not None:
        given[wrong] = rng.choice(values[wrong].wrong)
    given = {each: place.named(value) for each, value in given.items()}
    if not is_line:
        return Drawn(name, given, wrong)
    return Drawn(name, [*_words(name, given, place), *["--json"] * (rng.random() < 0.2)], wrong)


def _words(name: str, given: dict[str, Any], place: Place) -> list[str]:
    """Return the words of a command line; what is given stands in place of what the command needs."""
    needs: dict[str, list[str]] = {}
    for word in NEEDS.get(name, ()):
        if word.startswith("--"):
            needs[word[2:]] = []
        else:
            needs[list(needs)[-1]].append(place.named(word))
    options = {**needs, **{key: _several(value) for key, value in given.items() if key}}
    if name in ("train", "ablate") and "algorithm-options" in given and "n_envs" not in given["algorithm-options"]:
        options["algorithm-options"] = ["n_envs=8", *options["algorithm-options"]]
    if name == "curriculum" and "options" in given:
        options["options"] = [*needs["options"][1:], given["options"]]
    command, first = name.split()[:1], _several(given.get(""))
    if name.startswith(("list ", "worm ", "nas ")):
        command = name.split()
    if name == "compare":
        first.append(place.named("TWO"))
    return [*command, *first, *(word for key, values in options.items() for word in (f"--{key}", *values))]


def _several(value: Any) -> list[str]:
    """Return the words of a value: one, several, or none."""
    return [] if value is None else value if isinstance(value, list) else [value]


def tried(drawn: Drawn, place: Place) -> str:
    """Run what was drawn; return what is wrong with how it went, "" if nothing is."""
    before = place.new()
    out, err = io.StringIO(), io.StringIO()
    status: Any = 0
    said = ""
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            if isinstance(drawn.given, list):
                command_line(drawn.given)
            else:
                CALLS[drawn.name].function(**drawn.given)
    except SystemExit as stop:
        status = stop.code or 0
        said = err.getvalue().splitlines()[-1] if err.getvalue() else ""
        if "--json" in drawn.given and status:
            said = json.loads(out.getvalue())["error"]["message"]
    except (NervecordError, OSError) as error:
        status, said = 2, str(error)
        if isinstance(error, OSError) and not error.filename:
            return f"an OSError without a name: {error!r}"
    except BaseException:
        return f"a traceback:\n{traceback.format_exc()}"
    if drawn.wrong is None:
        return f"right, and refused ({status}): {said}" if status else ""
    if status != 2:
        last = (err.getvalue() or out.getvalue())[-300:]
        return f"wrong in {drawn.wrong or 'its first word'}, and accepted (status {status}): {last}"
    if "\n" in said or not said or len(said) > 900:
        return f"refused in other than one line: {said!r}"
    if isinstance(drawn.given, list) and (made := place.new() - before):
        return f"refused, and left {', '.join(sorted(made))}"
    return ""


def fuzz(place: Place, rng: random.Random, until: Callable[[int], bool]) -> Iterator[tuple[Drawn, str]]:
    """Draw and try until enough were; yield each with what is wrong with it."""
    there = Path.cwd()
    os.chdir(place.folder)
    try:
        for number in itertools.count():
            if until(number):
                return
            drawn = draw(rng, place)
            yield drawn, tried(drawn, place)
    finally:
        os.chdir(there)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    began, counts = time.monotonic(), collections.Counter[str]()
    count = asked.count if asked.seconds == math.inf else math.inf

    def enough(number: int) -> bool:
        return number >= count or time.monotonic() - began > asked.seconds

    with tempfile.TemporaryDirectory() as folder:
        for drawn, problem in fuzz(Place(Path(folder)), random.Random(asked.seed), enough):
            counts["right" if drawn.wrong is None else "wrong"] += 1
            if problem:
                counts["problems"] += 1
                print(f"{drawn}\n  {problem}", flush=True)
    print(f"{counts['right']} right and {counts['wrong']} wrong ones, {counts['problems']} problems")
    return 1 if counts["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
