"""NCAP against the authors' own outputs, and its symmetries."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord.circuits import NCAP, load_weights, make_circuit
from nervecord.errors import CircuitMismatch

# All 24 cases of the shared golden vectors; each case's parameters packed in one array, to stay below 200 KB.
GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "ncap.npz")
CASES = sorted({key.split("/")[0] for key in GOLDEN.files})


def golden_circuit(case: str) -> NCAP:
    """The circuit of a golden case, its published parameters put where ours are."""
    joints, turn, period, sharing, signs, controls = (int(value) for value in GOLDEN[f"{case}/options"])
    circuit = NCAP(
        joints,
        period=period,
        sharing=bool(sharing),
        sign_constraints=bool(signs),
        controls=bool(controls),
        n_turn_joints=turn,
        observe_time=True,
    ).double()
    published = dict(zip(str(GOLDEN[f"{case}/param_names"]).split(), GOLDEN[f"{case}/params"].tolist(), strict=True))
    used = set()

    def take(name: str) -> float:
        used.add(name)
        return published[name]

    with torch.no_grad():
        for kind, weight in circuit.named_parameters():
            prefix = "muscle" if kind in ("ipsi", "contra") else "bneuron"
            if sharing:
                weight.fill_(take(f"{prefix}_{kind}"))
                continue
            for s, side in enumerate("dv"):
                for i in range(weight.shape[1]):
                    pre = "dv"[1 - s] if kind == "contra" else side
                    joint = i + 1 if kind == "prop" else i
                    name = f"muscle_{side}_{pre}_{i}" if prefix == "muscle" else f"bneuron_{side}_{kind}_{joint}"
                    weight[s, i] = take(name)
    assert used == set(published)
    return circuit


@pytest.mark.parametrize("case", CASES)
def test_ncap_gives_the_published_torques(case):
    circuit = golden_circuit(case)
    names = ["joint_pos", "timesteps", *(["right", "left", "speed"] if circuit.controls else [])]
    sensors = torch.as_tensor(np.concatenate([GOLDEN[f"{case}/{name}"] for name in names], -1))
    expected = GOLDEN[f"{case}/torque"]
    for row, torque in zip(sensors, expected, strict=True):
        assert np.abs(circuit(row, {})[0].detach().numpy() - torque).max() < 1e-9
    start = torch.zeros(sensors.shape[:2], dtype=torch.bool)
    assert np.abs(circuit.unroll(sensors, {}, start)[0].detach().numpy() - expected).max() < 1e-9


def test_all_24_golden_cases_are_there():
    assert len(CASES) == 24


def test_mirroring_body_and_clock_negates_the_torques():
    circuit = NCAP(5)
    joint_pos = torch.empty(64, 5).uniform_(-1.5, 1.5)
    dorsal_half, ventral_half = {"step": torch.full((64, 1), 7.0)}, {"step": torch.full((64, 1), 37.0)}
    assert torch.equal(circuit(joint_pos, dorsal_half)[0], -circuit(-joint_pos, ventral_half)[0])


def test_at_its_constants_the_wave_passes_from_joint_to_joint():
    circuit = NCAP(6)
    joint_pos = torch.empty(32, 6).uniform_(-1, 1)
    torque = circuit(joint_pos, circuit.initial_state(32))[0]
    assert torch.equal(torque[:, 0], torch.ones(32))
    assert torch.allclose(torque[:, 1:], joint_pos[:, :-1])


@pytest.mark.parametrize(
    ("options", "weights"), [({}, 4), ({"controls": True}, 6), ({"sharing": False}, 2 * 4 + 2 + 20)]
)
def test_number_of_weights_is_the_papers(options, weights):
    assert sum(parameter.numel() for parameter in NCAP(5, **options).parameters()) == weights


@pytest.mark.parametrize("dropped", ["proprioception", "oscillator"])
def test_a_dropped_input_has_no_effect_and_no_weight(dropped):
    circuit = NCAP(5, **{dropped: False})
    assert len(list(circuit.parameters())) == 3
    joint_pos, state = torch.rand(8, 5), circuit.initial_state(8)
    torque = circuit(joint_pos, state)[0]
    if dropped == "proprioception":
        assert torch.equal(torque[:, 1:], torch.zeros(8, 4))
    else:
        assert torch.equal(torque[:, 0], torch.zeros(8))


def test_time_that_came_in_single_precision_seconds_keeps_its_step():
    dt, steps = 0.03, np.arange(5000)
    seconds = (steps * dt).astype(np.float32)
    sensors = torch.zeros(len(steps), 6)
    sensors[:, 5] = torch.as_tensor(seconds) * np.float32(1 / dt)
    circuit = NCAP(5, observe_time=True)
    expected = np.where(steps % 60 < 30, 1.0, -1.0)
    assert np.array_equal(circuit(sensors, {})[0][:, 0].detach().numpy(), expected)


def test_unconstrained_weights_are_drawn_from_the_generator_given():
    one, two, other = (
        make_circuit(
            "ncap",
            {"joint_pos": 5},
            5,
            {"sign_constraints": False, "sharing": False, "init": "uniform"},
            torch.Generator().manual_seed(seed),
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(one.prop, two.prop)
    assert not torch.equal(one.prop, other.prop)
    assert one.prop.min() < 0 < one.prop.max()


def test_shared_weights_fit_every_number_of_joints():
    trained, other = NCAP(5, init="uniform", rng=torch.Generator().manual_seed(0)), NCAP(11)
    load_weights(other, trained.state_dict())
    joint_pos = torch.rand(4, 11) * 2 - 1
    expected = trained(joint_pos[:, :5], trained.initial_state(4))[0]
    assert torch.allclose(other(joint_pos, other.initial_state(4))[0][:, :5], expected)


def test_unshared_weights_on_another_body_say_which_sizes_differ():
    with pytest.raises(CircuitMismatch, match=r"prop \(2, 4\) there, \(2, 10\) here.*shares its weights"):
        load_weights(NCAP(11, sharing=False), NCAP(5, sharing=False).state_dict())


def test_sensors_of_another_body_are_refused():
    with pytest.raises(CircuitMismatch, match="6 joints senses 6 values and got 5"):
        NCAP(6)(torch.zeros(2, 5), {"step": torch.zeros(2, 1)})


def test_wiring_carries_the_weights_that_act_and_shares_groups():
    circuit = NCAP(5)
    with torch.no_grad():
        circuit.prop.fill_(-2.0)  # of the wrong sign, so it acts as 0
    synapses = {(synapse.pre, synapse.post): synapse for synapse in circuit.wiring().synapses}
    assert len(synapses) == 2 * 4 + 2 + 4 * 5
    assert (synapses["q_d_0", "B_d_1"].weight, synapses["q_d_0", "B_d_1"].group) == (0.0, "prop")
    assert synapses["B_v_3", "muscle_d_3"].weight == -1.0
    assert {synapse.group for synapse in synapses.values()} == {"prop", "osc", "ipsi", "contra"}


@pytest.mark.parametrize(
    ("kind", "wrong"), [("osc", -0.7), ("prop", -0.7), ("turn", -0.7), ("speed", 0.7), ("ipsi", -0.7), ("contra", 0.7)]
)
def test_a_weight_of_the_wrong_sign_does_nothing(kind, wrong):
    joint_pos = torch.rand(32, 5, generator=torch.Generator().manual_seed(0)) * 2 - 1
    # Turning at half the speed, in both halves of the period: every weight has an effect.
    sensors = torch.cat((joint_pos, torch.tensor([[0.8, 0.0, 0.5]]).expand(32, 3)), 1)
    torques = []
    for weight in (wrong, 0.0, -wrong):
        circuit = NCAP(5, controls=True)
        with torch.no_grad():
            getattr(circuit, kind).fill_(weight)
        torques.append(circuit(sensors, {"step": 2 * torch.arange(32.0)[:, None]})[0])
    assert torch.equal(torques[0], torques[1])
    assert not torch.equal(torques[1], torques[2])


def test_contra_is_silent_until_both_sides_are_excited():
    """A joint bends one way and the clock is on one side, so without turning contra has nothing to inhibit."""
    joint_pos, state = torch.rand(64, 5) * 3 - 1.5, {"step": torch.arange(64.0)[:, None]}
    one, two = NCAP(5), NCAP(5)
    with torch.no_grad():
        two.contra.fill_(-0.3)
    assert torch.equal(one(joint_pos, state)[0], two(joint_pos, state)[0])
    one, two = NCAP(5, controls=True), NCAP(5, controls=True)
    with torch.no_grad():
        two.contra.fill_(-0.3)
    turning = torch.cat((joint_pos, torch.tensor([[0.5, 0.0, 1.0]]).expand(64, 3)), 1)
    assert not torch.equal(one(turning, state)[0], two(turning, state)[0])


@pytest.mark.parametrize("name", ["ncap", "ncap_plus"])
def test_a_clock_is_as_precise_as_the_weights(name):
    senses = {"joint_pos": 5, "body_velocities": 18}
    circuit = make_circuit(name, senses, 5).double()
    state, sensors = circuit.initial_state(1), torch.zeros(1, circuit.n_sensors).double()
    _, after, values = circuit.forward_with_activity(sensors, state)
    assert {each.dtype for each in (*state.values(), *after.values(), values)} == {torch.float64}
    if name == "ncap_plus":
        clock = math.tanh(math.e * math.sin(math.pi / 60))
        assert float(values[0, circuit.groups["osc_d"]].detach()) == pytest.approx(clock, rel=1e-12)
