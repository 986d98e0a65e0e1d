"""Parts of a router: policies that see and move as their agents do, and a recogniser that decides by windows."""

import math

import numpy as np
import pytest
import torch
from nervecord.agents import Agent, AgentSpec
from nervecord.circuits import Composed, Wire, make_circuit
from nervecord.circuits.liquid.fixed import FixedLiquid
from nervecord.circuits.routing.policy import Policy
from nervecord.circuits.routing.recogniser import Recogniser
from nervecord.envs.env_batch import EnvBatch
from nervecord.errors import CircuitMismatch
from nervecord.training.learning.start import load_policy
from nervecord.training.probes.tools.ridge_classifier import ridge_readout

N = 3


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def fit(recogniser: Recogniser, counts: torch.Tensor, cases: torch.Tensor) -> None:
    weights, biases = ridge_readout(counts.double().numpy(), cases.numpy(), recogniser.n_motors)
    recogniser.readout.weight.copy_(torch.as_tensor(weights))
    recogniser.readout.bias.copy_(torch.as_tensor(biases))


def deciding(scores: list[list[float]], half: int = 2) -> list[int]:
    """Return the choices of a recogniser whose inputs are its scores, while it hears a row each half window."""
    recogniser = Recogniser({"input": N}, N, units=0, window=0.03 * 2 * half)
    with torch.no_grad():
        recogniser.readout.weight.copy_(torch.eye(N))
    state, choices = recogniser.initial_state(1), []
    for row in scores:
        for _ in range(half):
            motor, state = recogniser(torch.tensor([row]), state)
            choices.append(int(motor.argmax()))
    return choices[half - 1 :: half]


def test_a_recogniser_takes_the_first_case_then_the_first_winner_then_who_wins_twice_in_a_row():
    first, second, third = (np.eye(N) * [3.0, 1.0, 1.1]).tolist()
    # A window is the last two rows. The third case wins from row 2 on, and is chosen at its second win; the first,
    # once it is heard, wins the two windows that have it.
    assert deciding([second, second, third, third, third, first, third]) == [0, 1, 1, 2, 2, 2, 0]
    assert deciding([second, second, second, third, second, second]) == [0, 1, 1, 1, 2, 2]


def test_a_choice_is_hard_and_has_the_gradient_of_a_softmax():
    recogniser = Recogniser({"input": N}, N, units=0, window=0.06)
    state, sensors = recogniser.initial_state(1), torch.randn(1, N, generator=rng())
    for _ in range(2):
        motor, state = recogniser(sensors, state)
    assert sorted(motor[0].tolist()) == [0.0, 0.0, 1.0]
    scores = recogniser.readout(sensors)
    wanted = torch.autograd.grad(scores.softmax(-1)[0, 0], recogniser.readout.weight)[0]
    found = torch.autograd.grad(motor[0, 0], recogniser.readout.weight)[0]
    torch.testing.assert_close(found, wanted)


def test_a_liquid_leaks_fires_at_one_and_starts_again_at_zero():
    liquid = FixedLiquid(1, 1, 0.03, rng())
    liquid.heard.copy_(torch.tensor([[0.4, 0.0]]))
    liquid.own.zero_()
    state, v = liquid.initial_state(1), []
    for _ in range(4):
        state = liquid(torch.ones(1, 1), state)
        v.append(float(state["v"]))
    assert v == pytest.approx([0.4, 0.76, 1.084, 0.4])  # 0.9 v + 0.4, until it has fired
    assert FixedLiquid(1, 1, 0.015, rng()).leak == pytest.approx(math.sqrt(0.9))


def test_what_it_hears_for_its_fit_is_what_its_decisions_are_made_on():
    recogniser = Recogniser({"input": 4}, 2, units=30, window=0.24, rng=rng())
    sensors = 3 * torch.randn(12, 1, 4, generator=rng(1))
    counts = recogniser.hear(sensors)
    assert counts.shape == (2, 1, 30)
    assert counts.any()
    fit(recogniser, counts[:, 0], torch.tensor([1, 0]))
    state, choices = recogniser.initial_state(1), []
    for row in sensors:
        motor, state = recogniser(row, state)
        choices.append(int(motor.argmax()))
    # The first window is of case 1, and the second, of case 0, has won but once.
    assert choices == [0] * 7 + [1] * 5
    assert int(state["winner"].argmax()) == 0


@torch.no_grad()
def test_a_fit_tells_cases_apart_that_it_was_not_fitted_to():
    centres = torch.randn(4, 20, generator=rng())

    def drawn(seed):
        cases = torch.arange(400) % 4
        return centres[cases] + 0.3 * torch.randn(400, 20, generator=rng(seed)), cases

    recogniser = Recogniser({"input": 20}, 4, units=0)
    fit(recogniser, *drawn(1))
    values, cases = drawn(2)
    assert (recogniser.readout(values).argmax(-1) == cases).all()


@pytest.mark.parametrize("bound", ["clip", "tanh"])
def test_a_policy_is_its_agent(bound):
    envs = EnvBatch("swim", 1, body="swimmer4")
    spec = AgentSpec("mlp", envs.layout, N, {"hidden": (8,)}, seed=0, normalize=True, squash=bound == "tanh")
    envs.close()
    agent, draw = Agent(spec), np.random.default_rng(0)
    with torch.no_grad():
        for parameter in agent.circuit.parameters():
            parameter.mul_(3)
    agent.normalizer.update(draw.normal(0.5, 2.0, (100, envs.layout.size)))
    policy = Policy(envs.layout.sizes, N, options={"hidden": (8,)}, bound=bound)
    load_policy(policy, agent)
    observation = draw.normal(0.0, 30.0, (50, envs.layout.size)).astype(np.float32)  # some beyond the clip
    sensors = agent.sensing(torch.as_tensor(observation))
    motor, _ = policy(sensors, policy.initial_state(50))
    actions, _ = agent.predict(observation)
    np.testing.assert_allclose(motor.detach(), actions, atol=2e-5)
    other = Policy(envs.layout.sizes, N, options={"hidden": (8,)}, bound={"clip": "tanh", "tanh": "clip"}[bound])
    with pytest.raises(CircuitMismatch, match=f"bound = '{bound}'"):
        load_policy(other, agent)


def test_a_policy_fires_as_its_circuit():
    policy = Policy({"joint_pos": N}, N, circuit="spiking", options={"units": 4}, rng=rng())
    assert [each.name for each in policy.firing] == [f"unit_{i}" for i in range(4)]
    sensors, state = torch.randn(2, N, generator=rng(1)), policy.initial_state(2)
    assert torch.equal(policy.spikes(sensors, state), policy.circuit.spikes(sensors, state))
    assert not Policy({"joint_pos": N}, N, circuit="gru", options={"units": 4}, rng=rng()).firing


def test_a_gate_multiplies_what_a_wire_transmits():
    senses = {"joint_pos": N, "level": 1}
    parts = {name: make_circuit("gru", {"joint_pos": N}, N, {"units": 4}, rng(seed)) for seed, name in enumerate("ab")}
    wires = [Wire("in.joint_pos", "a.joint_pos"), Wire("in.joint_pos", "b.joint_pos"),
             Wire("a", "out", gate="in.level"), Wire("b", "out", gate="a:1:2")]  # fmt: skip
    whole = Composed(parts, wires, senses, N)
    sensors = torch.randn(2, N + 1, generator=rng())
    motor, _ = whole(sensors, whole.initial_state(2))
    a, b = (part(sensors[:, :N], part.initial_state(2))[0] for part in parts.values())
    torch.testing.assert_close(motor, sensors[:, N:] * a + a[:, 1:2] * b)
    assert not whole.is_bounded


@pytest.mark.parametrize(
    ("wires", "said"),
    [
        ([Wire("a", "out", gate="b")], "a gate is one value and not 3; name one, as in b:0:1"),
        ([Wire("a", "out", gate="nothing:0:1")], "wire a -> out gated by nothing:0:1: no source 'nothing:0:1'"),
        ([Wire("a", "b.joint_pos", gain=1.0, gate="b:0:1"), Wire("b", "out")], "wires without delay form a cycle"),
    ],
)
def test_gates_that_cannot_be_are_refused(wires, said):
    parts = {name: make_circuit("gru", {"joint_pos": N}, N, {"units": 4}) for name in "ab"}
    with pytest.raises(CircuitMismatch, match=said):
        Composed(parts, [Wire("in.joint_pos", "a.joint_pos"), Wire("in.joint_pos", "b.joint_pos"), *wires],
                 {"joint_pos": N}, N)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("recogniser", {"units": -1}, "units is -1"),
        ("recogniser", {"window": 0.0}, "window is 0"),
        ("policy", {"circuit": "policy"}, "a policy is made of a policy"),
        ("policy", {"bound": "wall"}, "'clip' or 'tanh'"),
    ],
)
def test_options_out_of_range_are_refused(name, options, said):
    with pytest.raises(CircuitMismatch, match=said):
        make_circuit(name, {"joint_pos": N}, N, options)
