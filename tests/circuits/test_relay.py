"""The worm's wiring without a clock: its wiring, its oscillation, and how far it swims untrained."""

import math

import numpy as np
import pytest
import torch
from nervecord.agents import Agent
from nervecord.circuits import Relay, load_weights, make_circuit
from nervecord.errors import CircuitMismatch
from nervecord.training.rollouts.evaluation import evaluate_on
from nervecord.training.runs import RunConfig, resolve

REACH, REACH_BEFORE = 0.328, 0.0753  # of both starts


def relay(n_joints=6, **options):
    return Relay(n_joints, **options).double()


def set_weights(circuit, **weights):
    with torch.no_grad():
        for name, value in weights.items():
            circuit.get_parameter(name).fill_(value)


def drives(circuit):
    """Return the weights from each joint's stretch to each unit of its side, and those of one unit's neighbour."""
    names = {neuron.name: index for index, neuron in enumerate(circuit.neurons)}
    matrix = np.zeros((len(names), len(names)))
    for synapse in circuit.wiring().synapses:
        matrix[names[synapse.post], names[synapse.pre]] += synapse.weight
    return matrix, circuit.groups


@pytest.mark.parametrize(
    ("init", "theta", "slope", "w"), [("swimmer", 0.6 * math.pi, 0, 0.7), ("worm", 5.129, -0.735, 0.3105)]
)
@pytest.mark.parametrize("n_joints", [5, 11, 23])
def test_a_unit_is_stopped_by_stretch_from_behind_and_led_by_stretch_from_before(n_joints, init, theta, slope, w):
    i = np.arange(n_joints)
    gap = i[None] - i[:, None]
    own = np.where(gap >= 0, np.exp(-gap / (REACH * n_joints)), 0)
    front = np.where(gap < 0, np.exp((gap + 1) / (REACH_BEFORE * n_joints)), 0)
    expected = (1 - w) * own / own.sum(1)[:, None] - w * front / np.maximum(front.sum(1)[:, None], 1e-300)
    expected[0] = own[0] / own[0].sum()
    np.testing.assert_allclose(expected.sum(1), [1, *[1 - 2 * w] * (n_joints - 1)], atol=1e-12)
    threshold = theta * (1 + slope * i / (n_joints - 1))
    matrix, groups = drives(relay(n_joints, init=init))
    for side in "dv":
        weights = matrix[groups[f"B_{side}"], groups[f"q_{side}"]]
        np.testing.assert_allclose(weights, -2 * math.pi * expected / threshold[:, None], rtol=1e-6)


@torch.no_grad()
def test_the_side_is_on_that_its_synapses_excite_more():
    circuit, rng = relay(8), torch.Generator().manual_seed(0)
    set_weights(circuit, log_tau_n=-20.0)  # units feel at once what is stretched
    matrix, groups = drives(circuit)
    state = circuit.initial_state(64)
    state["on"] = torch.where(torch.rand(64, 8, generator=rng) < 0.5, 1.0, -1.0).double()
    q = torch.randn(64, 8, generator=rng, dtype=torch.float64)
    _, after, activity = circuit.forward_with_activity(q, state)
    before = activity.clone()
    before[:, groups["B_d"]], before[:, groups["B_v"]] = (state["on"] > 0).double(), (state["on"] < 0).double()
    drive = before.numpy() @ matrix.T
    dorsal = drive[:, groups["B_d"]] > drive[:, groups["B_v"]]
    np.testing.assert_array_equal(after["on"].numpy() > 0, dorsal)
    assert 0.2 < (after["on"] != state["on"]).double().mean() < 0.8


@torch.no_grad()
def test_a_joint_alone_oscillates_with_the_half_period_of_a_relay_on_a_relaxing_load():
    """tau_b ln((M + th) / (M - th)), where a muscle holds the curvature M and the body relaxes within tau_b."""
    dt, moment, tau_b = 2e-3, 12.55, 0.1821
    circuit = relay(1, init="worm", dt=dt)
    set_weights(circuit, log_tau_n=-20.0, log_tau_m=-20.0, log_beta=-40.0)
    state, kappa, flips = circuit.initial_state(1), torch.zeros(1, 1, dtype=torch.float64), []
    for step in range(500):
        was = state["on"]
        motor, state = circuit(kappa / (2 * math.pi), state)
        if state["on"] != was:
            flips.append(step * dt)
        kappa = moment * motor + (kappa - moment * motor) * math.exp(-dt / tau_b)
    expected = tau_b * math.log((moment + 5.129) / (moment - 5.129))
    assert np.mean(np.diff(flips[1:])) == pytest.approx(expected, abs=dt)


@torch.no_grad()
def test_mirrored_bends_and_switches_mirror_the_motors():
    circuit, q = relay(7), torch.randn(40, 3, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    state, starts = circuit.initial_state(3), torch.zeros(40, 3, dtype=torch.bool)
    mirrored = {key: value if key == "has_felt" else -value for key, value in state.items()}
    torch.testing.assert_close(circuit.unroll(-q, mirrored, starts)[0], -circuit.unroll(q, state, starts)[0])


@torch.no_grad()
def test_time_constants_are_seconds_and_the_limit_scales_the_sense():
    q = torch.full((1, 6), 0.02, dtype=torch.float64)
    after = []
    for dt, steps in ((0.03, 2), (0.01, 6)):
        circuit = relay(dt=dt)
        state = circuit.initial_state(1)
        for _ in range(steps):
            _, state = circuit(q, state)
        after.append(state)
    for key in ("on", "felt", "muscle"):
        torch.testing.assert_close(after[0][key], after[1][key])
    wide, narrow = relay(limit=12.0), relay()
    state = wide.initial_state(1)
    torch.testing.assert_close(wide(q, state)[1]["felt"], narrow(q * 6 / math.pi, state)[1]["felt"])


def test_ten_weights_fit_every_length():
    assert sum(parameter.numel() for parameter in relay(23).parameters()) == 10
    load_weights(Relay(12, init="worm"), Relay(23).state_dict())


def test_a_run_stores_which_start_it_had():
    assert resolve(RunConfig("relay")).agent.circuit_options["init"] == "swimmer"
    assert resolve(RunConfig("relay", circuit_options={"init": "worm"})).agent.circuit_options["init"] == "worm"


@pytest.mark.parametrize(
    ("body", "weights", "expected"),
    [("swimmer6", {}, 867), ("swimmer6", {"w": 0.3105, "g_theta": -0.735}, 896), ("swimmer12", {}, 966)],
)
def test_it_swims_untrained(body, weights, expected):
    """The figures of Python's own loop over MuJoCo, from other starts: those differ by a standard deviation of 8."""
    resolved = resolve(RunConfig("relay", body=body))
    agent = Agent(resolved.agent)
    set_weights(agent.circuit, **weights)
    returns = evaluate_on(resolved, agent, 16).returns
    assert np.mean(returns) == pytest.approx(expected, abs=8)


def test_wrong_options_are_one_line():
    for options, message in (
        ({"init": "eel"}, "'init' of relay is 'eel'; give 'swimmer' or 'worm'"),
        ({"limit": 0.0}, "limit is 0; give the curvature at the joint limit"),
    ):
        with pytest.raises(CircuitMismatch, match=message) as refused:
            make_circuit("relay", {"joint_pos": 5}, 5, options)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("velocity", [False, True])
def test_nan_that_an_episode_ended_with_does_not_reach_the_next(velocity):
    circuit = relay(velocity=velocity)
    sensors, starts = torch.zeros(4, 2, circuit.n_sensors).double(), torch.zeros(4, 2, dtype=torch.bool)
    expected, _ = circuit.unroll(sensors[2:], circuit.initial_state(2), starts[2:])
    sensors[1, 0], starts[2] = torch.nan, True
    found, state = circuit.unroll(sensors, circuit.initial_state(2), starts)
    torch.testing.assert_close(found[2:], expected)
    assert all(value.isfinite().all() for value in state.values())
