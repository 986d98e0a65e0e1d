"""The circuits by name; each is imported on first use, so listing them does not import torch."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..errors import CircuitMismatch, NervecordError, UnknownName
from ..options import COUNT, Instance, Number, OfType, checked, wrong_value
from ..registry import Line, Registry

if TYPE_CHECKING:
    import torch

    from .contract import Circuit, Facts

_HERE = __name__.rpartition(".")[0]
# Keywords that a builder is told, if it has them, and that nobody chooses.
_TOLD = ("rng", "dt", "dt_ref")
# Classes of users whose wiring was checked in this process: of a thousand units, drawing it takes seconds.
_DRAWN: WeakSet[type] = WeakSet()


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
CIRCUITS: Registry[_Entry] = Registry(
    "nervecord.circuits",
    adopt=_adopted,
    lines={
        "ncap": Line(f"{_HERE}.builders:ncap", "C. elegans swimming circuit, 4 shared weights"),
        "along": Line(
            f"{_HERE}.builders:along",
            "convolutions along the body, with weights shared over joints: a control without clock or biology",
        ),
        "cpg": Line(f"{_HERE}.builders:cpg", "a chain of phase oscillators, 4 shared weights"),
        "relay": Line(
            f"{_HERE}.builders:relay",
            "the worm's wiring without a clock: two-state units switched by stretch, 10 shared weights",
        ),
        "escape": Line(
            f"{_HERE}.builders:escape", "relay with a touch reflex that reverses its wave, 14 shared weights"
        ),
        "ncap_plus": Line(
            f"{_HERE}.builders:ncap_plus", "ncap with graded neurons and more reflexes, 11 shared weights"
        ),
        "connectome": Line(
            f"{_HERE}.connectome.circuit:Connectome", "rate neurons wired by a connectome, muscles on the joints"
        ),
        "compose": Line(f"{_HERE}.plans:composed", "several circuits wired into one by a plan, FILE.toml"),
        "policy": Line(f"{_HERE}.routing.policy:Policy", "a whole agent as a part: normalised senses, bounded motors"),
        "recogniser": Line(
            f"{_HERE}.routing.recogniser:Recogniser",
            "fixed spiking liquid with a classifier of cases, such as bodies, units=200",
        ),
        "navigator": Line(f"{_HERE}.builders:navigator", "ncap steered towards a target, 6 shared weights"),
        "relay_navigator": Line(
            f"{_HERE}.builders:relay_navigator", "relay steered towards a target, 13 shared weights"
        ),
        "klinotaxis": Line(
            f"{_HERE}.builders:klinotaxis", "ncap steered by an odour's change in time, 14 shared weights"
        ),
        "relay_klinotaxis": Line(
            f"{_HERE}.builders:relay_klinotaxis", "relay steered by an odour's change in time, 18 shared weights"
        ),
        "mlp": Line(f"{_HERE}.mlp:MLP", "multilayer perceptron, hidden=(64, 64)"),
        "rbf": Line(f"{_HERE}.rbf:RBF", "radial basis functions placed on the first experience, units=64"),
        "dendrites": Line(
            f"{_HERE}.dendrites:Dendrites", "units gated by a context through dendrites, hidden=(64, 64)"
        ),
        "bdh": Line(
            f"{_HERE}.bdh:BDH", "Dragon Hatchling: sparse positive units with fast weights, units=64, levels=2"
        ),
        "ctm": Line(f"{_HERE}.ctm.circuit:CTM", "Continuous Thought Machine, ticks=1, d_model=128"),
        "ctrnn": Line(f"{_HERE}.ctrnn:CTRNN", "leaky units with a learned time constant each, units=64"),
        "spiking": Line(
            f"{_HERE}.spiking.spiking:Spiking", "integrate-and-fire units, trained as rates, units=64, substeps=4"
        ),
        "lif": Line(f"{_HERE}.spiking.lif:LIF", "leaky integrate-and-fire units, substep by substep, units=64"),
        "ca3": Line(f"{_HERE}.ca3.circuit:CA3", "one-shot associative memory, cues=16, content=32"),
        "nalsm": Line(
            f"{_HERE}.liquid.nalsm:NALSM", "spiking liquid state machine stabilised by an astrocyte, units=125"
        ),
        "elm": Line(f"{_HERE}.elm:ELM", "Expressive Leaky Memory neuron, units=32"),
        "ltc": Line(f"{_HERE}.ncp.ltc:LTC", "liquid time-constant network in NCP wiring, units=32"),
        "cfc": Line(f"{_HERE}.ncp.cfc:CfC", "closed-form continuous-time network in NCP wiring, units=32"),
        "gru": Line(f"{_HERE}.gated.gru:GRU", "gated recurrent units, units=64"),
        "lstm": Line(f"{_HERE}.gated.lstm:LSTM", "long short-term memory, units=64"),
    },
)


def register_circuit(name: str, build: Callable[..., Circuit], doc: str, needs: tuple[str, ...] = ()) -> None:
    """Register a circuit under a name, for all commands and agents.

    Args:
        name: name of the circuit.
        build: class or function, called as `build(senses, n_motors, rng=..., **options)`, where `senses` maps the name
            of each sense in the observation to its size. Its keyword-only arguments are the circuit's options, whose
            values are checked against their annotations; but `dt` and `dt_ref` are not options, and are set to the
            control step. It may have a method `facts`, as `Circuit.facts`.
        doc: one line for listings.
        needs: names of the senses that the circuit requires.
    """
    CIRCUITS[name] = _entry(build, doc, needs)


_STEP = Number(0, above=True, also=(None,), none="leave it out")


@checked(
    CircuitMismatch,
    name=Instance(str, "the name of a circuit, such as ncap"),
    senses=Instance(Mapping, "sizes by name, such as {'joint_pos': 5}"),
    n_motors=COUNT,
    options=Instance((Mapping, NoneType), "values by name, such as {'period': 50}"),
    dt=_STEP,
    dt_ref=_STEP,
)
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
        name: name of the circuit.
        senses: size of each sense in the environment's observation.
        n_motors: number of motors.
        options: options of the circuit.
        rng: random generator for the initial weights.
        dt: seconds of a control step.
        dt_ref: seconds of the control step that the circuit is trained on, the unit of constants that are stored in
            control steps. Such constants are rescaled by dt / dt_ref, unless one of the two is None.

    Raises:
        UnknownName: there is no such circuit.
        CircuitMismatch: a required sense is missing; an option does not exist, has the wrong type or is out of
            range; its code raises an error; or dt or dt_ref is not above 0.
        ContractBroken: it is a circuit of the user's own, and its first steps break the contract.
    """
    from .contract import takes_pins
    from .first_steps import check_first_steps, check_wiring
    from .held import are_weights_to_come

    entry, options = _checked(name, senses, options)
    told = {"dt": dt, "dt_ref": dt_ref}
    told = {keyword: value for keyword, value in told.items() if value is not None and keyword in entry.told}
    with _running(name):
        circuit = entry.build(senses, n_motors, rng=rng, **told, **options)
    # The package's own are held to their contract by its tests, and weights to come may be anything yet.
    if not type(circuit).__module__.startswith(f"{_HERE}.") and not are_weights_to_come():
        subject = f"circuit {shown_name(name)}"
        check_first_steps(circuit, subject, n_motors)
        if type(circuit) not in _DRAWN:
            check_wiring(circuit, subject)
            _DRAWN.add(type(circuit))
    if getattr(circuit, "can_be_pinned", False) and not takes_pins(circuit):
        warnings.warn(
            f"{type(circuit).__name__} says can_be_pinned, but takes no pins, which are now an argument of a step: "
            "it runs, and its neurons cannot be silenced, clamped or driven (docs/migration.md)",
            DeprecationWarning,
            stacklevel=2,
        )
    return circuit


@contextlib.contextmanager
def _running(name: str) -> Iterator[None]:
    """Turn any exception of a circuit's builder into one line.

    Raises:
        CircuitMismatch: there was one.
    """
    from ..laws import raised

    try:
        yield
    except NervecordError:
        raise
    except Exception as error:
        raise CircuitMismatch(f"circuit {shown_name(name)} cannot be built: {raised(error)}") from error


def shown_name(name: str) -> str:
    """Return a circuit's name for readers: without the checksum of its code, FILE.py:CLASS@CHECKSUM."""
    return name.partition("@")[0]


def _checked(name: str, senses: Mapping[str, int], options: Mapping[str, Any] | None) -> tuple[_Entry, dict[str, Any]]:
    """Return what is registered under a name, and the options given, of which each exists and is of its type."""
    if name not in CIRCUITS:
        raise unknown_circuit(name)
    entry = CIRCUITS[name]
    if wrong := wrong_value(senses, dict.fromkeys(senses, COUNT)):
        raise CircuitMismatch(f"senses: {wrong}")
    for sense in entry.needs:
        if sense not in senses:
            wider = json.dumps([*senses, sense])
            raise CircuitMismatch(
                f"circuit {name!r} senses {sense!r}, and the observation holds only {', '.join(senses)}; give the "
                f"task option senses={wider}, choose a task that observes it, or another circuit"
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
        UnknownName: there is no such circuit.
        CircuitMismatch: a sense it needs is missing, or an option does not exist or is of the wrong type. Whether
            options are in range shows when it is built.
    """
    import torch

    entry, given = _checked(name, senses, options)
    if (declared := declared_facts(name, given)) is not None:
        return declared
    told = {sense: size for sense, size in senses.items() if sense != "time" or sense in entry.needs}
    return facts_of(make_circuit(name, told, n_motors, options, torch.Generator().manual_seed(0)))


def declared_facts(name: str, options: Mapping[str, Any]) -> Facts | None:
    """Return what the class of a registered circuit says that it is with these options; None where it does not say."""
    entry = CIRCUITS[name]
    defaults = {option: parameter.default for option, parameter in entry.options.items()}
    with _running(name):
        return entry.facts({**defaults, **options})


def facts_of(circuit: Circuit) -> Facts:
    """Return what a built circuit is, as it shows itself."""
    from .contract import Facts, Memory

    memory: Memory = "recurrent" if circuit.is_recurrent else "clock" if circuit.initial_state(1) else "none"
    return Facts(circuit.is_bounded, memory, dict(circuit.senses).get("noise", 0), circuit.is_scaled)


def unknown_circuit(name: str) -> UnknownName:
    """Return what to raise where no circuit has that name."""
    own = "of your own: --circuit FILE.py:CLASS (in Python circuit_from_file), or an entry point of nervecord.circuits"
    return UnknownName("circuit", name, CIRCUITS, own)


def circuit_names() -> dict[str, str]:
    """Return every circuit's name and one-line description."""
    return CIRCUITS.docs(lambda entry: entry.doc)
