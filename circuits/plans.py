"""Plans of composed circuits: parts and wires as data, in a TOML file or in a run's config."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import CircuitMismatch, UnknownName
from ..options import COUNT, FLAG, TEXT_OR_NONE, Instance, Number, wrong_value
from .compose import Composed
from .freezing import freeze
from .registry import make_circuit, unknown_circuit
from .wires import IN, Wire, part_and_range

SUFFIX = ".toml"
_TABLES = {
    "parts": Instance(Mapping, "a table of parts by name"),
    "wires": Instance((list, tuple), "a list of tables with source and target"),
    "file": Instance(str, "the name of the file that it was read from"),
}
_PART = {
    "circuit": Instance(str, "the name of a circuit, such as ncap"),
    "options": Instance(Mapping, "a table of the circuit's options"),
    "motors": COUNT,
    "frozen": FLAG,
    "start": TEXT_OR_NONE,
}
_END = Instance(str, "the end of a wire, such as in.joint_pos, brain or ncap.joint_pos")
_GAIN = Number(-float("inf"), also=(None,), none="leave it out")
_WIRE = {"source": _END, "target": _END, "delay": Number(0, is_whole=True), "gain": _GAIN, "gate": TEXT_OR_NONE}
# Plans that have a name: NCAP and a learned correction of a tenth of the motors' range.
PLANS: Mapping[str, Mapping[str, Any]] = {
    "corrected": {
        "parts": {
            "ncap": {"circuit": "ncap"},
            "correction": {"circuit": "mlp", "options": {"hidden": [16]}},
        },
        "wires": [
            {"source": "in.joint_pos", "target": "ncap.joint_pos"},
            {"source": "in.joint_pos", "target": "correction.joint_pos"},
            {"source": "ncap", "target": "out"},
            {"source": "correction", "target": "out", "gain": 0.1},
        ],
    }
}


def read_plan(source: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a plan by its name, from a TOML file, or as it is given, with every key checked.

    Raises:
        UnknownName: there is no such plan, or it has keys that no plan has.
        CircuitMismatch: the file cannot be read, or a value is not allowed.
    """
    if isinstance(source, str):
        if source in PLANS:
            return PLANS[source]
        if Path(source).suffix.lower() != SUFFIX:
            raise UnknownName("plan", source, (*PLANS, f"FILE{SUFFIX}"))
        source = _read(Path(source))
    plan = dict(source)
    _check("a plan", plan, _TABLES, ("parts", "wires"))
    for name, part in plan["parts"].items():
        _check(f"part {name}", part, _PART, ("circuit",))
    for wire in plan["wires"]:
        _check("a wire", wire, _WIRE, ("source", "target"))
    return plan


def plan_in_words(plan: Mapping[str, Any]) -> str:
    """Return what a plan is, for tables: its file and its parts."""
    parts = ", ".join(f"{name} ({part['circuit']})" for name, part in plan["parts"].items())
    return f"{plan.get('file', 'a plan')}: {parts}, {len(plan['wires'])} wires"


def composed(
    senses: Mapping[str, int],
    n_motors: int,
    *,
    plan: str | Mapping[str, Any] = "corrected",
    dt: float | None = None,
    dt_ref: float | None = None,
    rng: torch.Generator | None = None,
) -> Composed:
    """Build the circuit of a plan for a body's senses and motors.

    A part senses what is wired to it, and has as many motors as the body, or as the plan says. Parts with
    `frozen = true` are not trained; `start` names a run from whose weights a training begins.

    Args:
        senses: size of each sense that the observation offers.
        n_motors: the number of motor commands.
        plan: the name of a plan, a TOML file, or its content.
        dt, dt_ref: seconds of a control step, and of that which constants in control steps belong to.
        rng: where random initial weights come from.

    Raises:
        UnknownName, CircuitMismatch: see `read_plan` and `Composed`.
    """
    plan = read_plan(plan)
    tables: Mapping[str, Mapping[str, Any]] = plan["parts"]
    wires = [Wire(**wire) for wire in plan["wires"]]
    motors = {name: part.get("motors", n_motors) for name, part in tables.items()}
    parts = {}
    for name, part in tables.items():
        heard = _heard(name, wires, senses, motors)
        try:
            made = make_circuit(part["circuit"], heard, motors[name], part.get("options"), rng, dt, dt_ref)
        except CircuitMismatch as error:
            alone = "" if heard else "; no wire leads to it, so it senses nothing"
            raise CircuitMismatch(f"part {name}: {error}{alone}") from error
        parts[name] = freeze(made) if part.get("frozen") else made
    return Composed(parts, wires, senses, n_motors)


def _heard(name: str, wires: Sequence[Wire], senses: Mapping[str, int], motors: Mapping[str, int]) -> dict[str, int]:
    """Return the size of each sense of a part that wires lead to."""
    found: dict[str, int] = {}
    for wire in wires:
        target, into = part_and_range(wire.target)
        part, _, sense = target.partition(".")
        if part != name or not sense:
            continue
        source, some = part_and_range(wire.source)
        sizes = senses if source.startswith(f"{IN}.") else motors
        size = some[1] - some[0] if some else sizes.get(source.removeprefix(f"{IN}."), 0)
        found[sense] = max(found.get(sense, 0), into[1] if into else size)
    # What does not exist is refused where wires are joined, which names the wire.
    return {sense: size for sense, size in found.items() if size > 0}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return {**tomllib.loads(path.read_text(encoding="utf-8")), "file": path.name}
    except OSError as error:
        raise CircuitMismatch(f"plan {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CircuitMismatch(f"plan {path} is no TOML: {error}") from error


def _check(what: str, table: Any, allowed: Mapping[str, Any], needed: Sequence[str]) -> None:
    if not isinstance(table, Mapping):
        raise CircuitMismatch(f"{what} is {table!r}; give a table of {', '.join(needed)}")
    for key in table:
        if key not in allowed:
            raise UnknownName(f"key of {what}", str(key), allowed)
    for key in needed:
        if key not in table:
            raise CircuitMismatch(f"{what} has no {key}; give it {', '.join(needed)}")
    if wrong := wrong_value(table, allowed):
        raise CircuitMismatch(f"{what}: {wrong}")
    if "circuit" in table and ":" in table["circuit"]:
        raise unknown_circuit(table["circuit"])
