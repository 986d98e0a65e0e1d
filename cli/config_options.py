"""Command-line options for every field of `RunConfig`, with defaults from a TOML file if one is given."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..errors import InvalidOption
from .parsing import Steps

if TYPE_CHECKING:
    from ..training.runs.config import RunConfig

# What each kind of field is on a command line, by its annotation.
_KINDS: dict[str, Any] = {
    "str": str,
    "str | None": str | None,
    "int": Steps,
    "int | None": Steps | None,
    "float | None": float | None,
    "str | Body": str,
    "str | Arena | Mapping[str, Any] | None": str | None,
}
_HOW = {
    "task_options": "NAME=VALUE, such as desired_speed=0.2 (swim) or delay_steps=40 (cueturn).",
    "circuit_options": "NAME=VALUE, such as period=50 or hidden=[8,8].",
    "algorithm_options": "NAME=VALUE, such as n_envs=64 sigma=0.2.",
    "randomize": "NAME=LOW:HIGH or NAME=LOW:HIGH:log, such as link_mass=0.8:1.2.",
    "deficits": "SENSE:START:STOP or SENSE[INDEX,...]:START:STOP, such as joint_pos:100000:200000; "
    "without STOP it lasts to the end of training: joint_pos[1,3]:0:.",
    "body": "See `nervecord list bodies`.",
    "arena": "See `nervecord list arenas`.",
    "task": "See `nervecord list tasks`.",
    "circuit": "See `nervecord list circuits`; or FILE.py:CLASS for your own.",
    "algorithm": "See `nervecord list algorithms`.",
}
# Options with another name on the command line.
_SPELLED = {"deficits": "deficit"}


def with_config_options(command: type[Any], arguments: Sequence[str]) -> type[Any]:
    """Return a command class with an option for every field of `RunConfig`.

    Defaults come from the file given by `--config`, otherwise from `RunConfig`.

    Raises:
        InvalidOption: the file cannot be read.
        UnknownName: the file has a field that `RunConfig` does not have.
    """
    from ..training.runs.config import RunConfig, read_config

    path = _file_named(arguments)
    held = {} if path is None else read_config(path)
    words = _words(RunConfig)
    fields: list[Any] = []
    for field in dataclasses.fields(RunConfig):
        default = held.get(field.name, _default(field))
        kind = _KINDS.get(str(field.type), tuple[str, ...])
        about = " ".join(part for part in (words[field.name], _HOW.get(field.name, "")) if part)
        hint = tyro.conf.arg(name=_SPELLED.get(field.name), help=about)
        fields.append((field.name, Annotated[kind, hint], dataclasses.field(default=_shown(field.name, default))))
    own = {"__doc__": command.__doc__, "held_config": held}
    return dataclasses.make_dataclass(command.__name__, fields, bases=(command,), namespace=own, frozen=True)


def config_of(command: Any) -> Any:
    """Return the `RunConfig` of a command's options and its TOML file.

    Raises:
        InvalidOption: an option cannot be read.
    """
    from ..training.runs.config import RunConfig

    values = dict(command.held_config)
    for field in dataclasses.fields(RunConfig):
        given = getattr(command, field.name)
        if given != _shown(field.name, values.get(field.name, _default(field))):
            read = _read(field.name, given)
            before = values.get(field.name)
            values[field.name] = {**before, **read} if isinstance(before, Mapping) else read
    is_in_file = command.circuit == command.held_config.get("circuit")
    if command.circuit.lower().endswith(".toml"):
        plan = {"plan": command.circuit}
        values |= {"circuit": "compose", "circuit_options": {**values.get("circuit_options", {}), **plan}}
        return RunConfig(**values)
    values["circuit"] = circuit_named(command.circuit, command.config if is_in_file and not command.trust else None)
    return RunConfig(**values)


def circuit_named(text: str, untrusted: Path | None = None) -> str:
    """Return the name of a circuit, after running its code if it is FILE.py:CLASS.

    Args:
        text: name of a circuit, or FILE.py:CLASS.
        untrusted: the options file that `text` comes from, if the user did not give --trust; None otherwise.

    Raises:
        InvalidOption: an untrusted options file names code.
        CircuitMismatch: the code cannot be run, or has no such circuit.
    """
    from ..circuits.code_files import circuit_from_file, names_file

    if not names_file(text):
        return text
    if untrusted is not None:
        raise InvalidOption(f"{untrusted} names circuit {text}, which is code; if you know who made it, give --trust")
    return circuit_from_file(text)


def typed(config: RunConfig) -> str:
    """Return a config's task options, episode steps, arena and control step as they are typed, but no defaults."""
    held, default = config.to_json(), type(config)().to_json()
    words: list[str] = []
    for name in ("task_options", "episode_steps", "arena", "control_dt"):
        if held[name] != default[name]:
            shown = _shown(name, held[name])
            words += [f"--{name.replace('_', '-')}", *(shown if isinstance(shown, tuple) else [str(shown)])]
    return shlex.join(words)


def pairs(texts: Sequence[str]) -> dict[str, Any]:
    """Parse options of the form name=value; values that are valid JSON are decoded, others stay text.

    Raises:
        InvalidOption: an option has no value, or two.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidOption(f"option {text!r} has no value; give name=value")
        if name in found:
            raise InvalidOption(f"option {name!r} is given two values; give it one")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _file_named(arguments: Sequence[str]) -> Path | None:
    found = []
    for index, argument in enumerate(arguments):
        if argument == "--config" and index + 1 < len(arguments):
            found.append(arguments[index + 1])
        if argument.startswith("--config="):
            found.append(argument.partition("=")[2])
    if len(found) > 1:
        raise InvalidOption(f"--config is given {len(found)} times ({', '.join(found)}); give one file")
    return Path(found[0]) if found else None


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _shown(name: str, value: Any) -> Any:
    """Return a field's value as it is typed on a command line."""
    if name == "randomize":
        return tuple(f"{key}={':'.join(str(bound) for bound in bounds)}" for key, bounds in value.items())
    if name == "arena":
        return json.dumps(value) if isinstance(value, Mapping) else value
    if isinstance(value, Mapping):
        return tuple(f"{key}={item if isinstance(item, str) else json.dumps(item)}" for key, item in value.items())
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else value


def _read(name: str, given: Any) -> Any:
    """Return the value of a field that was typed on a command line."""
    if name == "randomize":
        return {key: _range(key, str(text)) for key, text in pairs(given).items()}
    if name == "arena":
        return arena_given(given)
    return pairs(given) if name.endswith("_options") else given


def arena_given(text: str | None) -> Any:
    """Parse an arena given as a name or as a JSON object.

    Raises:
        InvalidOption: the text starts with { and is not valid JSON.
    """
    if not text or not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        example = '{"name": "open", "medium": {"density": 1000}}'
        raise InvalidOption(f"arena {text!r} is not JSON ({error}); give a name, or JSON such as {example}") from error


def _range(name: str, text: str) -> tuple[Any, ...]:
    *bounds, last = text.split(":")
    kind = [last] if last == "log" else []
    try:
        low, high = (float(part) for part in (bounds if kind else [*bounds, last]))
    except ValueError as error:
        raise InvalidOption(
            f"randomize {name}={text}; give low:high, such as {name}=0.8:1.2, or low:high:log"
        ) from error
    return low, high, *kind


def _words(kind: type[Any]) -> dict[str, str]:
    """Return what a class's docstring says of each attribute."""
    section = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: _line(text) for name, text in entries}


def _line(text: str) -> str:
    line = " ".join(text.split()).replace("`", "")
    return line[:1].upper() + line[1:]
