"""Circuits wired into a circuit: what is joined, in which order, with which delay, and what is refused."""

import json

import pytest
import torch
from nervecord import RunConfig, train
from nervecord.circuits import Circuit, Composed, Steering, Wire, Wiring, freeze, make_circuit
from nervecord.circuits.contract import Pins
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch, InvalidRun, UnknownName
from nervecord.training.runs.run import Run

N = 5
SENSES = {"joint_pos": N, "to_target": 2}


class Leaky(Circuit):
    """One linear unit that goes a tenth of the way to its input, and gives `gain` times what it is."""

    senses, n_motors, neurons, memory = (("input", 1),), 1, (), "recurrent"

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def initial_state(self, batch_size):
        return {"y": torch.zeros(batch_size, 1, dtype=torch.float64)}

    def forward_with_activity(self, sensors, state, pins=None):  # noqa: ARG002
        y = state["y"] + 0.1 * (sensors - state["y"])
        return self.gain * y, {"y": y}, sensors.new_zeros(len(sensors), 0)

    def wiring(self, state=None):  # noqa: ARG002
        return Wiring((), ())


STEERED = (
    Wire("in.to_target", "hand.to_target"), Wire("in.joint_pos", "ncap.joint_pos"),
    *(Wire(f"hand:{i}:{i + 1}", f"ncap.{name}", gain=1.0) for i, name in enumerate(("right", "left", "speed"))),
    Wire("ncap", "out"),
)  # fmt: skip


LOOP = (
    Wire("in.joint_pos", "a.joint_pos"), Wire("b:1:3", "a.back", 2, 0.5), Wire("a", "b.from_a", gain=1.0),
    Wire("in.joint_pos", "b.joint_pos"),
)  # fmt: skip


def ncap(**options) -> Circuit:
    return make_circuit("ncap", {"joint_pos": N}, N, options)


def gru(n_motors: int = N, seed: int = 0, **sizes: int) -> Circuit:
    return make_circuit("gru", sizes or {"joint_pos": N}, n_motors, {"units": 4}, torch.Generator().manual_seed(seed))


def pair() -> dict[str, Circuit]:
    return {"a": gru(3, 1, joint_pos=N, back=2), "b": gru(N, 2, from_a=3, joint_pos=N)}


def looped() -> Composed:
    """Two GRUs, the second of which is heard by the first two steps later."""
    return Composed(pair(), [*LOOP, Wire("b", "out")], {"joint_pos": N}, N)


def run_through(circuit: Circuit, sensors: torch.Tensor, starts: torch.Tensor | None = None) -> torch.Tensor:
    state, found = circuit.initial_state(sensors.shape[1]), []
    for step, row in enumerate(sensors):
        state = state if starts is None else circuit.reset_state(state, starts[step])
        motor, state = circuit(row, state)
        found.append(motor)
    return torch.stack(found)


@pytest.mark.parametrize("controller", ["bearing", "hand", "learned"])
def test_a_steering_part_and_ncap_are_the_navigator(controller):
    navigator = make_circuit("navigator", SENSES, N, {"controller": controller})
    with torch.no_grad():
        for weight in navigator.parameters():
            weight.add_(torch.randn(weight.shape) / 4)
    whole = Composed({"hand": Steering(controller=controller), "ncap": ncap(controls=True)}, STEERED, SENSES, N)
    own = navigator.state_dict()
    whole.load_state_dict({
        name: own[name.removeprefix("parts.hand.").removeprefix("parts.")] for name in whole.state_dict()
    })  # fmt: skip
    assert len(own) == len(whole.state_dict())
    sensors = torch.randn(200, 3, N + 2)
    assert torch.equal(run_through(whole, sensors), run_through(navigator, sensors))
    starts = torch.rand(200, 3) < 0.05
    one, other = (each.unroll(sensors, each.initial_state(3), starts) for each in (whole, navigator))
    assert torch.equal(one[0], other[0])
    assert (whole.senses, whole.memory, whole.is_bounded) == (tuple(SENSES.items()), navigator.memory, True)
    assert {neuron.name for neuron in navigator.neurons} <= {
        neuron.name.removeprefix("ncap/") for neuron in whole.neurons
    }


def test_nested_is_flat():
    beside = (Wire("in.joint_pos", "ncap.joint_pos"), Wire("ncap", "out", gain=0.5))
    flat = Composed({**pair(), "ncap": ncap()}, [*LOOP, Wire("b", "out", gain=0.5), *beside], {"joint_pos": N}, N)
    nested = Composed(
        {"brain": looped(), "ncap": ncap()},
        [Wire("in.joint_pos", "brain.joint_pos"), Wire("brain", "out", gain=0.5), *beside],
        {"joint_pos": N},
        N,
    )
    sensors = torch.randn(30, 4, N)
    assert torch.equal(run_through(nested, sensors), run_through(flat, sensors))
    assert "brain/a/unit_0" in {neuron.name for neuron in nested.neurons}


@pytest.mark.parametrize("circuit", [looped(), Composed({"ncap": ncap(), "gru": gru()}, [
    Wire("in.joint_pos", "ncap.joint_pos"), Wire("in.joint_pos", "gru.joint_pos"), Wire("ncap:0:2", "out:0:2"),
    Wire("gru:2:5", "out:2:5")], {"joint_pos": N}, N)], ids=["delayed", "at once"])  # fmt: skip
def test_an_unroll_is_the_steps(circuit):
    sensors, starts = torch.randn(20, 3, N), torch.rand(20, 3) < 0.1
    unrolled, state = circuit.unroll(sensors, circuit.initial_state(3), starts)
    torch.testing.assert_close(unrolled, run_through(circuit, sensors, starts))
    assert state.keys() == circuit.initial_state(3).keys()


def test_a_delayed_wire_onto_its_own_input_has_the_gain_that_is_known():
    for weight, back in ((0.5, 0.8), (-2.0, 0.3), (1.5, -0.4)):
        wires = (Wire("in.input", "unit.input"), Wire("unit", "unit.input", 1, back), Wire("unit", "out"))
        circuit = Composed({"unit": Leaky(weight)}, wires, {"input": 1}, 1)
        found = run_through(circuit, torch.ones(3000, 1, 1, dtype=torch.float64))[-1]
        assert found.item() == pytest.approx(weight / (1 - back * weight), rel=1e-9)


def test_a_wire_is_late_by_its_delay_and_starts_at_zero():
    circuit = Composed({"hand": Steering(controller="hand"), "ncap": ncap(controls=True)}, [
        *STEERED[:-1], Wire("hand", "out:0:3", 3, 1.0), Wire("ncap:3:5", "out:3:5")], SENSES, N)  # fmt: skip
    sensors = torch.randn(10, 2, N + 2)
    expected = torch.stack([Steering(controller="hand")(row[:, N:], {})[0] for row in sensors])
    found = run_through(circuit, sensors)[..., :3]
    assert torch.equal(found[3:], expected[:-3])
    assert (found[:3] == 0).all()
    late = Composed({"ncap": ncap()}, [
        Wire("in.joint_pos", "ncap.joint_pos"), Wire("ncap", "out", 2, 1.0)], {"joint_pos": N}, N)  # fmt: skip
    delays = {each.delay for each in late.wiring().synapses if each.group == "wire ncap -> out"}
    assert delays == {2}


def test_neurons_of_parts_are_pinned_and_joined_in_the_graph():
    whole = Composed({"hand": Steering(controller="hand"), "ncap": ncap(controls=True)}, STEERED, SENSES, N)
    names = [neuron.name for neuron in whole.neurons]
    pins = Pins(torch.ones(len(names)), torch.zeros(len(names)))
    pins.scale[[names.index(name) for name in ("ncap/osc_d", "ncap/osc_v", "out/motor_4")]] = 0
    motor, _, activity = whole.forward_with_activity(torch.ones(1, N + 2), whole.initial_state(1), pins)
    assert motor[0, 4] == 0
    assert activity.shape == (1, len(names))
    assert activity[0, names.index("ncap/osc_v")] == 0
    wired = {(each.pre, each.post): each.weight for each in whole.wiring().synapses}
    assert wired["in/joint_pos_2", "ncap/q_v_2"] == -1
    assert wired["ncap/muscle_v_3", "out/motor_3"] == -1
    assert ("ncap/osc_d", "ncap/B_d_0") in wired


@torch.no_grad()
def test_parts_fire_together_as_each_alone_at_the_end_of_their_own_substeps():
    """The second part hears the first: its spikes are those on the first's motors in the same control step."""
    rngs = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    parts = {
        "slow": make_circuit("spiking", {"joint_pos": N}, N, {"units": 6, "substeps": 2}, rngs[0]),
        "fast": make_circuit("lif", {"heard": N}, N, {"units": 7, "substeps": 3}, rngs[1]),
        "rates": make_circuit("spiking", {"joint_pos": N}, N, {"units": 4, "substeps": 0}, rngs[0]),
    }
    wires = (
        Wire("in.joint_pos", "slow.joint_pos"), Wire("in.joint_pos", "rates.joint_pos"),
        Wire("slow", "fast.heard", gain=9.0), Wire("fast", "out"), Wire("rates", "out"),
    )  # fmt: skip
    whole = Composed(parts, wires, {"joint_pos": N}, N)
    assert [each.name for each in whole.firing] == [
        *(f"slow/unit_{i}" for i in range(6)), *(f"fast/unit_{i}" for i in range(7))
    ]  # fmt: skip
    state = whole.initial_state(3)
    alone = {name: part.initial_state(3) for name, part in parts.items()}
    for step in range(20):
        sensors = 2 * torch.randn(3, N, generator=torch.Generator().manual_seed(step))
        spikes = whole.spikes(sensors, state)
        assert spikes.shape == (3, 6, 13)
        heard = {"slow": sensors, "fast": 9.0 * parts["slow"](sensors, alone["slow"])[0]}
        assert torch.equal(spikes[:, 2::3, :6], parts["slow"].spikes(sensors, alone["slow"]))
        assert torch.equal(spikes[:, 1::2, 6:], parts["fast"].spikes(heard["fast"], alone["fast"]))
        assert spikes[..., :6].sum() == spikes[:, 2::3, :6].sum()
        assert spikes[..., 6:].sum() == spikes[:, 1::2, 6:].sum()
        alone |= {name: parts[name](heard[name], alone[name])[1] for name in heard}
        state = whole(sensors, state)[1]
    pins = Pins(torch.ones(len(whole.neurons)), torch.zeros(len(whole.neurons)))
    pins.scale[whole.groups["in"]] = 0
    silent = parts["slow"].spikes(torch.zeros(3, N), alone["slow"])
    assert torch.equal(whole.spikes(sensors, state, pins)[:, 2::3, :6], silent)
    with pytest.raises(CircuitMismatch, match="no neurons that fire"):
        looped().spikes(torch.zeros(1, N), {})
    assert not looped().firing


def test_what_is_frozen_is_no_weight():
    whole = Composed({"ncap": freeze(ncap()), "gru": gru()}, [
        Wire("in.joint_pos", "ncap.joint_pos"), Wire("in.joint_pos", "gru.joint_pos"), Wire("ncap", "out"),
        Wire("gru", "out", gain=0.1)], {"joint_pos": N}, N)  # fmt: skip
    assert {name.split(".")[1] for name, _ in whole.named_parameters()} == {"gru"}
    assert "parts.ncap.osc" in whole.state_dict()
    assert not whole.is_bounded


@pytest.mark.parametrize(
    ("wires", "said"),
    [
        ([Wire("in.joint_pos", "b.joint_pos"), Wire("b", "a.back", gain=1.0)], r"wires without delay form a cycle: "),
        ([Wire("in.joint_po", "a.joint_pos")], "no sense 'joint_po'; there are joint_pos"),
        ([Wire("c", "out")], "wire c -> out: no source 'c'; there are in.joint_pos, a, b"),
        ([Wire("a", "b.from", gain=1.0)], "no target 'b.from'; there are out, a.joint_pos, a.back, b.from_a"),
        ([Wire("a", "out")], "wire a -> out joins 3 values to 5; name as many of them"),
        ([Wire("a:1:4", "out:0:3")], "1:4 are no values of 3; give some of 0:3"),
        ([Wire("a..b", "out")], "'a..b' is no end of a wire; a source is in.SENSE or PART"),
        ([Wire("a", "b.from_a")], "joins motor commands to from_a, whose units differ; write a gain"),
        ([Wire("a", "b.from_a", -1, 1.0)], "has a delay of -1; give 0 or more control steps"),
        ([], "no wire reaches "),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_wire(wires, said):
    parts = {"a": gru(3, joint_pos=N, back=5), "b": gru(N, from_a=3, joint_pos=N)}
    held = [Wire("a", "b.from_a", gain=1.0), *wires] if "cycle" in said else wires
    with pytest.raises(CircuitMismatch, match=said) as caught:
        Composed(parts, held, {"joint_pos": N}, N)
    assert "\n" not in str(caught.value)


def test_no_part_is_called_as_an_end_of_the_whole():
    with pytest.raises(CircuitMismatch, match="a part is named 'in'"):
        Composed({"in": ncap()}, [], {"joint_pos": N}, N)


PLAN = """
[parts.worm]
circuit = "ncap"
frozen = true
start = "worm"

[parts.nudge]
circuit = "mlp"
options = { hidden = [4] }

[[wires]]
source = "in.joint_pos"
target = "worm.joint_pos"

[[wires]]
source = "in.joint_pos"
target = "nudge.joint_pos"

[[wires]]
source = "worm"
target = "out"

[[wires]]
source = "nudge"
target = "out"
gain = 0.1
"""
SHORT = {"steps": 1600, "episode_steps": 50, "algorithm_options": {"n_envs": 8, "population": 16}}


def test_a_plan_is_trained_from_the_weights_of_a_run_and_is_held_by_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    worm = train(RunConfig(**SHORT), "worm", progress=False).load_checkpoint().weights
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    main(["train", "--circuit", "plan.toml", "--steps", "1600", "--episode-steps", "50", "--algorithm-options",
          "n_envs=8", "population=16", "--out", "whole", "--json"])  # fmt: skip
    assert json.loads(capsys.readouterr().out)["config"]["circuit_options"] == {
        "plan": "plan.toml: worm (ncap), nudge (mlp), 4 wires"
    }
    (tmp_path / "plan.toml").unlink()
    held = Run("whole").load_checkpoint().weights
    assert all(torch.equal(value, held[f"parts.worm.{name}"]) for name, value in worm.items())
    assert Run("whole").agent().n_weights == 49


PLANNED = '"circuit_options": {"plan": "a.toml"}'


def test_a_stored_plan_names_no_file(tmp_path):
    run = train(RunConfig("compose", **SHORT), tmp_path / "run", progress=False)
    text = (run.path / "config.json").read_text(encoding="utf-8")
    (run.path / "config.json").write_text(
        text.replace('"circuit_options": {}', '"circuit_options": {"plan": "a.toml"}', 1), encoding="utf-8"
    )
    with pytest.raises(InvalidRun, match=r"names the file 'a\.toml' as its plan"):
        Run(run.path)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (("circuit = \"ncap\"", "circit = \"ncap\""), UnknownName, "unknown key of part worm 'circit'"),
        (("circuit = \"ncap\"", "circuit = \"nap\""), UnknownName, "unknown circuit 'nap'"),
        (("circuit = \"ncap\"", "circuit = \"mine.py:Mine\""), UnknownName, "unknown circuit 'mine.py:Mine'"),
        (("frozen = true", "frozen = 1"), CircuitMismatch, "part worm: frozen is 1; give true or false"),
        (("[4]", "[0]"), CircuitMismatch, "part nudge: "),
        (("gain = 0.1", "gain = 0.1\ndelay = 0.5"), CircuitMismatch, "a wire: delay is 0.5; give a whole number"),
        (("[[wires]]", "[wires"), CircuitMismatch, "plan .*plan.toml is no TOML"),
        (("source = \"worm\"\n", ""), CircuitMismatch, "a wire has no source"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_plan_is_one_line(change, error, said, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN.replace(*change, 1), encoding="utf-8")
    with pytest.raises(error, match=said) as caught:
        make_circuit("compose", {"joint_pos": N}, N, {"plan": str(tmp_path / "plan.toml")})
    assert "\n" not in str(caught.value)


def test_a_plan_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(CircuitMismatch, match=r"plan .*none\.toml cannot be read: No such file"):
        make_circuit("compose", {"joint_pos": N}, N, {"plan": str(tmp_path / "none.toml")})
    with pytest.raises(UnknownName, match=r"unknown plan 'correctd'; did you mean 'corrected'"):
        make_circuit("compose", {"joint_pos": N}, N, {"plan": "correctd"})


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_part_that_senses_nothing_is_constant_or_one_line():
    def plan(circuit):
        return {"parts": {"alone": {"circuit": circuit}}, "wires": [{"source": "alone", "target": "out"}]}

    circuit = make_circuit("compose", {"joint_pos": N}, N, {"plan": plan("mlp")})
    motor, _ = circuit(torch.zeros(2, circuit.n_sensors), circuit.initial_state(2))
    motors, _ = circuit.unroll(torch.zeros(3, 2, circuit.n_sensors), {}, torch.zeros(3, 2, dtype=torch.bool))
    assert motor.shape == (2, N)
    assert motors.shape == (3, 2, N)
    with pytest.raises(CircuitMismatch, match=r"part alone: .*no wire leads to it, so it senses nothing"):
        make_circuit("compose", {"joint_pos": N}, N, {"plan": plan("ctrnn")})


def test_a_speed_is_drawn_where_it_keeps_ncap_from_stopping():
    ncap = make_circuit("ncap", {"joint_pos": N}, N, {"controls": True})
    circuit = Composed({"hand": Steering(controller="hand"), "ncap": ncap}, STEERED, SENSES, N)
    weights = {(each.pre, each.post): each.weight for each in circuit.wiring().synapses}
    assert weights["hand/motor_2", "ncap/stop"] == -1
    assert weights["hand/motor_0", "ncap/right"] == 1
    assert weights["hand/to_target_1", "hand/motor_2"] == 1
