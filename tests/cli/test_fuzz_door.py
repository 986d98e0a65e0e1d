"""Some of what `fuzz_door.py` draws, from one seed, and that it notices what it is for."""

import dataclasses
import logging
import random

import door_calls
import door_commands
import nervecord
import pytest
from fuzz_door import Drawn, Place, fuzz, tried
from nervecord.cli import main as cli
from nervecord.cli.command import Configured
from nervecord.training.runs.config import RunConfig


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    logging.disable(logging.CRITICAL)
    yield Place(tmp_path_factory.mktemp("door"))
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore")
def test_wrong_values_are_refused_in_one_line_and_right_ones_run(place):
    found = list(fuzz(place, random.Random(0), lambda number: number >= 25))
    assert {drawn.wrong is None for drawn, _ in found} == {True, False}
    assert [f"{drawn}: {problem}" for drawn, problem in found if problem] == []


def test_every_command_is_drawn_or_costs_minutes():
    known = {name for group in cli.COMMANDS.values() for name in group}
    assert known - set(door_commands.COMMANDS) == {"demo", "bench", "doctor"}


def test_every_option_of_a_command_is_drawn():
    for name, kind in [(name, kind) for group in cli.COMMANDS.values() for name, kind in group.items()]:
        if name not in door_commands.COMMANDS or name in ("worm", "nas"):
            continue
        fields = {*dataclasses.fields(kind), *(dataclasses.fields(RunConfig) if issubclass(kind, Configured) else ())}
        uses = [use for use in door_commands.COMMANDS if use.split()[0] == name]
        drawn = {option for use in uses for option in door_commands.COMMANDS[use]}
        asked = {word[2:] for use in uses for word in door_commands.NEEDS.get(use, ()) if word.startswith("--")}
        positional = {"path", "runs", "plan", "paper", "kind", "of"}
        options = {field.name.replace("_", "-") for field in fields} - positional - {"json"}
        assert options - drawn - asked - {"deficits"} == set(), name  # which is typed --deficit


def test_every_function_of_the_package_is_drawn():
    assert set(nervecord.__all__) - set(door_calls.CALLS) == set()


def test_what_is_accepted_though_wrong_and_refused_though_right_is_a_problem(place):
    assert "accepted" in tried(Drawn("list", ["list", "bodies"], "kind"), place)
    assert "refused" in tried(Drawn("list", ["list", "nope"], None), place)
    assert "traceback" in tried(Drawn("make_body", {"nope": 1}, None), place)
