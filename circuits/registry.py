"""The circuits by name."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..errors import CircuitMismatch, UnknownName
from ..options import OfType, wrong_value
from ..registry import Registry
from .along import Along
from .connectome.circuit import Connectome
from .contract import Circuit, Facts, Memory, takes_pins
from .cpg import CPG
from .ctm.circuit import CTM
from .ctrnn import CTRNN
from .elm import ELM
from .gated.gru import GRU
from .gated.lstm import LSTM
from .mlp import MLP
from .ncap.navigator import Navigator
from .ncap.ncap import NCAP
from .ncap.plus import NCAPPlus
from .ncp.cfc import CfC
from .ncp.ltc import LTC
from .relay import Relay

# Keywords that a builder is told, if it has them, and that nobody chooses.
_TOLD = ("rng", "dt", "dt_ref")


@dataclasses.dataclass(frozen=True)
class _Entry:
    build: Callable[..., Circuit]
    doc: str
    needs: tuple[str, ...]
    options: Mapping[str, inspect.Parameter]
    told: frozenset[str]
    facts: Callable[[Mapping[str, Any]], Facts | None]


def _entry(build: Callable[..., Circuit], doc: str, needs: tuple[str, ...]) -> _Entry:
    keywords = {
        name: parameter
        for name, parameter in inspect.signature(build, eval_str=True).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    options = {name: parameter for name, parameter in keywords.items() if name not in _TOLD}
    facts = getattr(build, "facts", lambda _: None)
    return _Entry(build, doc, needs, options, frozenset(keywords).intersection(_TOLD), facts)


def _adopted(build: Callable[..., Circuit] | _Entry, name: str) -> _Entry:
    """Wrap another package's circuit; its optional attribute `needs` lists the senses that it requires."""
    if isinstance(build, _Entry):
        return build
    doc = (inspect.getdoc(build) or name).splitlines()[0]
    return _entry(build, doc, tuple(getattr(build, "needs", ())))


# Every circuit by name, with those of other packages.
CIRCUITS: Registry[_Entry] = Registry("nervecord.circuits", adopt=_adopted)


def register_circuit(name: str, build: Callable[..., Circuit], doc: str, needs: tuple[str, ...] = ()) -> None:
    """Register a circuit under a name, for all commands and agents.

    Args:
        name: what it is called.
        build: called as `build(senses, n_motors, rng=..., **options)`, where `senses` maps the name of
            each sense in the observation to its size; its keyword-only arguments are the circuit's
            options, checked against their annotations. `dt` and `dt_ref` among them are no options: a builder
            that has them is told the control step. Its `facts`, if it has any, are as in `Circuit.facts`.
        doc: one line for listings.
        needs: senses without which it cannot work.
    """
    CIRCUITS[name] = _entry(build, doc, needs)


def make_circuit(
    name: str,
    senses: Mapping[str, int],
    n_motors: int,
    options: Mapping[str, Any] | None = None,
    rng: torch.Generator | None = None,
    dt: float | None = None,
    dt_ref: float | None = None,
) -> Circuit:
    """Build a registered circuit for a body's senses and motors.

    Args:
        name: of the circuit.
        senses: size of each sense that the environment's observation offers.
        n_motors: how many motors it drives.
        options: the circuit's own.
        rng: where random initial weights come from.
        dt: seconds of a control step.
        dt_ref: seconds of the control step that it was or will be trained on, which constants stored in control
            steps belong to. Circuits that have such rescale them; where both are equal, or one is None, nothing
            changes.

    Raises:
        UnknownName: no such circuit.
        CircuitMismatch: a sense it needs is missing, or an option does not exist, is of the wrong type
            or out of range, or dt or dt_ref are not above 0.
    """
    entry, options = _checked(name, senses, options)
    told = {"dt": dt, "dt_ref": dt_ref}
    told = {keyword: value for keyword, value in told.items() if value is not None and keyword in entry.told}
    circuit = entry.build(senses, n_motors, rng=rng, **told, **options)
    if getattr(circuit, "can_be_pinned", False) and not takes_pins(circuit):
        warnings.warn(
            f"{type(circuit).__name__} says can_be_pinned, but takes no pins, which are now an argument of a step: "
            "it runs, and its neurons cannot be silenced, clamped or driven (docs/migration.md)",
            DeprecationWarning,
            stacklevel=2,
        )
    return circuit


def _checked(name: str, senses: Mapping[str, int], options: Mapping[str, Any] | None) -> tuple[_Entry, dict[str, Any]]:
    """Return what is registered under a name, and the options given, of which each exists and is of its type."""
    if name not in CIRCUITS:
        raise unknown_circuit(name)
    entry = CIRCUITS[name]
    for sense in entry.needs:
        if sense not in senses:
            raise CircuitMismatch(
                f"circuit {name!r} senses {sense!r}, and the observation holds only {', '.join(senses)}; "
                "choose a task that offers it, or another circuit"
            )
    options = dict(options or {})
    for option, value in options.items():
        if option not in entry.options:
            raise CircuitMismatch(str(UnknownName(f"option of {name}", option, entry.options)))
        known, what = entry.options[option], f"option {option!r} of {name}"
        if wrong := wrong_value({what: value}, {what: OfType(known.annotation)}):
            raise CircuitMismatch(
                f"{wrong} (by default {known.default!r}); options: {', '.join(sorted(entry.options))}"
            )
    return entry, options


def circuit_facts(
    name: str, senses: Mapping[str, int], n_motors: int, options: Mapping[str, Any] | None = None
) -> Facts:
    """Return what the circuit of that name and these options is, told nothing about time.

    It is not built, unless its class does not say: then it is, once, to be asked.

    Args:
        name: of the circuit.
        senses: size of each sense that the environment's observation offers.
        n_motors: how many motors it drives.
        options: the circuit's own.

    Raises:
        UnknownName: no such circuit.
        CircuitMismatch: a sense it needs is missing, or an option does not exist or is of the wrong type. Whether
            options are in range shows when it is built.
    """
    entry, given = _checked(name, senses, options)
    defaults = {option: parameter.default for option, parameter in entry.options.items()}
    if (declared := entry.facts({**defaults, **given})) is not None:
        return declared
    told = {sense: size for sense, size in senses.items() if sense != "time" or sense in entry.needs}
    return facts_of(make_circuit(name, told, n_motors, options, torch.Generator().manual_seed(0)))


def facts_of(circuit: Circuit) -> Facts:
    """Return what a built circuit is, as it shows itself."""
    memory: Memory = "recurrent" if circuit.is_recurrent else "clock" if circuit.initial_state(1) else "none"
    return Facts(circuit.is_bounded, memory, dict(circuit.senses).get("noise", 0), circuit.is_scaled)


def unknown_circuit(name: str) -> UnknownName:
    """Return what to raise where no circuit has that name."""
    own = "of your own: --circuit FILE.py:CLASS (in Python circuit_from_file), or an entry point of nervecord.circuits"
    return UnknownName("circuit", name, CIRCUITS, own)


def circuit_names() -> dict[str, str]:
    """Return every circuit's name and one-line description."""
    return CIRCUITS.docs(lambda entry: entry.doc)


def _along_body(kind: Callable[..., Circuit]) -> Callable[..., Circuit]:
    """Build a circuit of equal segments along the body; one with a clock reads the time where it is observed."""
    signature = inspect.signature(kind, eval_str=True)
    has_clock = "observe_time" in signature.parameters

    def build(senses: Mapping[str, int], n_motors: int, **options: Any) -> Circuit:
        if senses["joint_pos"] != n_motors:
            raise CircuitMismatch(f"{senses['joint_pos']} joints are sensed and {n_motors} are moved; give as many")
        clock: dict[str, Any] = {"observe_time": "time" in senses} if has_clock else {}
        return kind(n_motors, **clock, **options)

    shown = [item for item in signature.parameters.values() if item.name != "observe_time"]
    build.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    build.facts = kind.facts  # type: ignore[attr-defined]
    return build


register_circuit("ncap", _along_body(NCAP), "C. elegans swimming circuit, 4 shared weights", ("joint_pos",))
register_circuit(
    "along",
    _along_body(Along),
    "convolutions along the body: weights shared over joints, without a clock or a worm",
    needs=("joint_pos", "body_velocities"),
)
register_circuit("cpg", _along_body(CPG), "a chain of phase oscillators, 4 shared weights", ("joint_pos",))
register_circuit(
    "relay",
    _along_body(Relay),
    "the worm's wiring without a clock: two-state units switched by stretch, 10 shared weights",
    ("joint_pos",),
)
register_circuit(
    "ncap_plus",
    _along_body(NCAPPlus),
    "ncap with graded neurons and more reflexes, 11 shared weights",
    ("joint_pos", "body_velocities"),
)
register_circuit("connectome", Connectome, "rate neurons wired by a connectome, muscles on the joints", ("joint_pos",))
register_circuit(
    "navigator",
    _along_body(Navigator),
    "ncap steered towards a target, 6 shared weights",
    ("joint_pos", "to_target"),
)
register_circuit("mlp", MLP, "multilayer perceptron, hidden=(64, 64)")
register_circuit("ctm", CTM, "Continuous Thought Machine, ticks=1, d_model=128")
register_circuit("ctrnn", CTRNN, "leaky units with a learned time constant each, units=64")
register_circuit("elm", ELM, "Expressive Leaky Memory neuron, units=32")
register_circuit("ltc", LTC, "liquid time-constant network in NCP wiring, units=32")
register_circuit("cfc", CfC, "closed-form continuous-time network in NCP wiring, units=32")
register_circuit("gru", GRU, "gated recurrent units, units=64")
register_circuit("lstm", LSTM, "long short-term memory, units=64")
