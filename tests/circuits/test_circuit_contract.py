"""What circuits say of themselves, how they are told the control step, and how old ones go on running."""
# ruff: noqa: ARG001, ARG002 - circuits of others have the contract's arguments, needed or not

import warnings

import numpy as np
import pytest
import torch
from circuit_cases import CASES, JOINTS, SENSES
from nervecord.circuits import (
    CTRNN,
    ELM,
    NCAP,
    Circuit,
    Connectome,
    Facts,
    Neuron,
    Pins,
    Synapse,
    Wiring,
    check_pins,
    make_circuit,
    register_circuit,
)
from nervecord.circuits.contract import wiring_at
from nervecord.circuits.registry import CIRCUITS, circuit_facts
from nervecord.envs import make_body
from nervecord.errors import CircuitMismatch

SWIMMER6, GYMNASIUM = (make_body(name).control_dt for name in ("swimmer6", "gymnasium-swimmer"))


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def parameters_of(name: str) -> set[str]:
    return set(CIRCUITS[name].told)


@pytest.fixture
def mine():
    """Register circuits that the next test does not see."""
    before = dict(CIRCUITS.working())
    yield register_circuit
    for name in set(CIRCUITS.working()) - set(before):
        del CIRCUITS[name]


class Old(Circuit):
    """A circuit as they were written when pins were an attribute."""

    can_be_pinned = True

    def __init__(self, senses, n_motors, *, rng=None):
        super().__init__()
        self.senses, self.n_motors = (("joint_pos", n_motors),), n_motors
        self.neurons = tuple(Neuron(f"joint_{i}", "motor") for i in range(n_motors))
        self.gain = torch.nn.Parameter(torch.tensor(0.5))

    def initial_state(self, batch_size):
        return {}

    def forward_with_activity(self, sensors, state):
        motor = self.pinned(self.gain * sensors, 0)
        assert self.pins is None
        return motor, state, motor

    def wiring(self):
        return Wiring(self.neurons, ())


# Wirings


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_a_wiring_is_drawn_in_any_precision_and_where_the_weights_are(name, options):
    circuit = make_circuit(name, SENSES, JOINTS, options, rng())
    with torch.device("meta"):
        drawn = wiring_at(circuit.double(), None)
    assert drawn.neurons == circuit.neurons


# Facts


# A composed circuit is asked of its parts, which are built for that.
@pytest.mark.parametrize("name", dict.fromkeys(name for name, _ in CASES if name != "compose"))
def test_facts_of_our_circuits_build_nothing(name, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "__init__", None)
    assert circuit_facts(name, SENSES, JOINTS).memory in ("none", "clock", "recurrent")


def test_facts_raise_what_is_wrong_with_the_options():
    with pytest.raises(CircuitMismatch, match="did you mean 'period'"):
        circuit_facts("ncap", SENSES, JOINTS, {"perod": 3})
    with pytest.raises(CircuitMismatch, match="True; give int"):
        circuit_facts("ncap", SENSES, JOINTS, {"period": True})


def test_an_ncap_without_its_oscillator_has_no_clock_and_asks_for_no_time():
    circuit = make_circuit("ncap", {**SENSES, "time": 1}, JOINTS, {"oscillator": False})
    assert circuit.senses == (("joint_pos", JOINTS),)
    assert circuit.initial_state(2) == {}
    activity = circuit.forward_with_activity(torch.ones(2, JOINTS), {})[2]
    assert not activity[:, circuit.groups["osc_d"]].any()


@pytest.mark.filterwarnings("ignore:Asked says can_be_pinned")
def test_a_circuit_that_declares_nothing_is_built_to_be_asked_and_told_nothing_of_time(mine):
    class Asked(Old):
        is_bounded = True
        built_for: list[str] = []  # noqa: RUF012

        def __init__(self, senses, n_motors, *, rng=None):
            super().__init__(senses, n_motors)
            self.built_for += senses
            self.senses = (*self.senses, ("noise", 3))

        def forward_with_activity(self, sensors, state):
            return super().forward_with_activity(sensors[:, : self.n_motors].clamp(-1, 1), state)

    mine("asked", Asked, "x")
    found = circuit_facts("asked", {"joint_pos": 3, "time": 1}, 3)
    assert found == Facts(is_bounded=True, memory="none", noise=3)
    assert Asked.built_for == ["joint_pos"]


def test_what_a_function_declares_is_asked_instead_of_building(mine):
    def build(senses, n_motors, *, noise: int = 2, rng=None):
        raise AssertionError

    build.facts = lambda options: Facts(is_bounded=False, memory="recurrent", noise=options["noise"])
    mine("declared", build, "x")
    assert circuit_facts("declared", {}, 3).noise == 2
    assert circuit_facts("declared", {}, 3, {"noise": 5}) == Facts(is_bounded=False, memory="recurrent", noise=5)


# The control step


def period_of(circuit: Circuit, dt: float, observe_time: bool) -> float:
    """Return the median time in seconds between rises of the dorsal side's oscillator, or of the first motor."""
    state, values = circuit.initial_state(1), []
    for step in range(round(8.0 / dt)):  # three periods and more
        sensors = torch.zeros(1, circuit.n_sensors)
        if observe_time:
            sensors[:, JOINTS] = torch.tensor(step * dt, dtype=torch.float64).float() * (1.0 / dt)
        _, state, activity = circuit.forward_with_activity(sensors, state)
        values.append(float(activity[0, circuit.groups.get("osc_d", circuit.groups.get("motors"))][0]))
    values = np.array(values) - np.mean(values)
    rises = np.flatnonzero((values[1:] > 0) & (values[:-1] <= 0))
    return float(np.median(np.diff(rises)) * dt)


@torch.no_grad()
@pytest.mark.parametrize("observe_time", [False, True])
@pytest.mark.parametrize("name", ["ncap", "ncap_plus", "navigator", "connectome", "cpg"])
def test_an_oscillator_keeps_its_period_in_seconds_on_a_body_of_another_control_step(name, observe_time):
    """1.8 s, 60 steps of 0.03 s on swimmer6, where it was trained; 45 steps of 0.04 s on gymnasium's swimmer."""
    assert (SWIMMER6, GYMNASIUM) == (0.03, 0.04)
    senses = {**SENSES, "time": 1} if observe_time else SENSES
    observe_time = observe_time and name not in ("connectome", "cpg")
    for dt in (SWIMMER6, GYMNASIUM, 0.01):
        circuit = make_circuit(name, senses, JOINTS, {}, rng(), dt=dt, dt_ref=SWIMMER6)
        assert period_of(circuit, dt, observe_time) == pytest.approx(1.8, abs=0.01)
    untold = make_circuit(name, senses, JOINTS, {}, rng())
    assert period_of(untold, GYMNASIUM, observe_time) == pytest.approx(2.4, abs=0.01)


@torch.no_grad()
def test_the_square_wave_is_never_undecided():
    """At 0.04 s, half a period of 30 steps of 0.03 s ends in the middle of a step."""
    circuit = NCAP(3, dt=0.04, dt_ref=0.03)
    state, seen = circuit.initial_state(1), set()
    for _ in range(200):
        _, state, activity = circuit.forward_with_activity(torch.zeros(1, 3), state)
        seen.add(float(activity[0, circuit.groups["osc_d"]] - activity[0, circuit.groups["osc_v"]]))
    assert seen == {-1.0, 1.0}


@torch.no_grad()
@pytest.mark.parametrize("time_constants", ["softplus", "clamp", "fixed"])
def test_a_leaky_unit_gets_as_far_in_one_long_step_as_in_two(time_constants):
    options = {"units": 5, "form": "drive", "time_constants": time_constants, "tau": (1.0, 9.0)}
    short, long = (CTRNN({"x": 2}, 1, **options, rng=rng(), dt=dt, dt_ref=0.02) for dt in (0.02, 0.04))
    for circuit in (short, long):
        circuit.weight_rec.zero_()
    sensors, state = torch.ones(1, 2), {"h": torch.full((1, 5), 0.4)}
    _, once = short(sensors, state)
    _, twice = short(sensors, once)
    assert torch.allclose(long(sensors, state)[1]["h"], twice["h"], atol=1e-5)


@torch.no_grad()
def test_a_memory_unit_and_a_branch_get_as_far_in_one_long_step_as_in_two():
    short, long = (ELM({"x": 2}, 1, units=4, branches=2, rng=rng(), dt=dt, dt_ref=0.02) for dt in (0.02, 0.04))
    for circuit in (short, long):
        circuit.mlp[-1].weight.zero_()  # what is written to the memory is then the same in every step
    sensors, state = torch.ones(1, 2), {"branch": torch.ones(1, 2), "memory": torch.ones(1, 4)}
    _, once = short(sensors, state)
    _, twice = short(sensors, once)
    after = long(sensors, state)[1]
    assert all(torch.allclose(after[key], twice[key], atol=1e-5) for key in after)


@torch.no_grad()
def test_a_cell_of_a_connectome_gets_as_far_in_one_long_step_as_in_two():
    short, long = (Connectome({"joint_pos": 5}, 5, rng=rng(), dt=dt, dt_ref=0.03) for dt in (0.03, 0.06))
    for circuit in (short, long):
        circuit.gain.zero_()
        circuit.osc.zero_()
    sensors, state = torch.full((1, 5), 0.5), short.initial_state(1)
    _, once = short(sensors, state)
    _, twice = short(sensors, once)
    assert twice["r"].max() > 0.2
    assert torch.allclose(long(sensors, state)[1]["r"], twice["r"], atol=1e-6)


def test_a_time_constant_at_its_limit_has_a_finite_gradient_in_a_shorter_step():
    circuit = CTRNN({"x": 2}, 1, units=3, time_constants="clamp", tau=(1.0, 1.0), rng=rng(), dt=0.01, dt_ref=0.04)
    circuit(torch.ones(1, 2), circuit.initial_state(1))[0].sum().backward()
    assert circuit.raw_tau.grad.isfinite().all()


@pytest.mark.parametrize("name", ["gru", "lstm", "ctm", "mlp"])
def test_circuits_without_time_constants_are_told_no_control_step(name):
    assert parameters_of(name) == {"rng"}
    make_circuit(name, SENSES, JOINTS, {}, rng(), dt=0.04, dt_ref=0.03)


def test_the_control_step_is_no_option_and_is_above_0():
    with pytest.raises(CircuitMismatch, match="unknown option of ncap 'dt'"):
        make_circuit("ncap", SENSES, JOINTS, {"dt": 0.03})
    with pytest.raises(CircuitMismatch, match="dt_ref is 0; give a number above 0"):
        make_circuit("ncap", SENSES, JOINTS, dt=0.03, dt_ref=0)


# Groups, pins, wiring


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda case: str(case))
def test_groups_name_the_neurons_that_they_are_of(name, options):
    circuit = make_circuit(name, SENSES, JOINTS, options, rng())
    covered = {index for some in circuit.groups.values() for index in range(len(circuit.neurons))[some]}
    assert covered == set(range(len(circuit.neurons)))
    for name, some in circuit.groups.items():
        members = circuit.neurons[some]
        assert members
        part, slash, group = name.rpartition("/")  # of a circuit that is composed of others
        assert all(neuron.name.startswith(part + slash) for neuron in members), name
        if group in ("sensors", "motors"):
            assert {neuron.role for neuron in members} == {group.removesuffix("s")}
        elif group not in ("units", "controls"):
            stem = part + slash + group.removesuffix("_neurons")
            assert all(neuron.name.startswith(stem) for neuron in members), name


def test_an_old_circuit_runs_unpinned_and_is_refused_in_one_line_when_it_is_to_be_pinned(mine):
    mine("old", Old, "x", ("joint_pos",))
    with pytest.warns(DeprecationWarning, match="Old says can_be_pinned, but takes no pins"):
        circuit = make_circuit("old", {"joint_pos": 3}, 3)
    motor, _ = circuit(torch.ones(2, 3), {})
    assert motor.unique().tolist() == [0.5]
    assert wiring_at(circuit, {}).neurons == circuit.neurons
    with pytest.raises(
        CircuitMismatch, match=r"Old do not support interventions; write `forward_with_activity\(self, sensors"
    ):
        check_pins(circuit)
    with pytest.raises(CircuitMismatch, match=r"give circuit\(sensors, state, pins\)"):
        circuit.pins = Pins(torch.ones(3), torch.zeros(3))


def test_a_circuit_that_takes_pins_is_built_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_pins(make_circuit("gru", SENSES, JOINTS))


def test_pins_leave_nothing_behind():
    circuit = NCAP(3)
    n = len(circuit.neurons)
    sensors, state = torch.full((2, 3), 0.5), circuit.initial_state(2)
    free = circuit(sensors, state)[0]
    assert not circuit(sensors, state, Pins(torch.zeros(n), torch.zeros(n)))[0].any()
    assert torch.equal(circuit(sensors, state)[0], free)


def test_wiring_shows_weights_that_change_with_the_state():
    class Plastic(Old):
        def wiring(self, state=None):
            weight = 1.0 if state is None else float(state["weight"][0])
            return Wiring(self.neurons, (Synapse("joint_0", "joint_1", weight),))

    circuit = Plastic({}, 2)
    assert wiring_at(circuit, None).synapses[0].weight == 1.0
    assert wiring_at(circuit, {"weight": torch.tensor([0.25])}).synapses[0].weight == 0.25
