"""Populations of circuits: any circuit, in threads, with the same numbers as its members alone."""
# ruff: noqa: ARG002 - circuits of others have the contract's arguments, needed or not

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from nervecord.agents.algorithms.population import Population
from nervecord.circuits import NCAP, Circuit, Neuron, Wiring, make_circuit
from nervecord.circuits.registry import CIRCUITS, circuit_names
from small_es import flat_weights, small_es

MEMBERS = 6
SENSES = {"joint_pos": 4, "to_target": 2, "odour": 1, "body_velocities": 15}


class Small(Circuit):
    """Two sensors, two motors; a subclass says what is between them."""

    def __init__(self):
        super().__init__()
        self.senses, self.n_motors = (("joint_pos", 2),), 2
        self.neurons = tuple(Neuron(f"joint_{i}", "motor") for i in range(2))
        self.gain = torch.nn.Parameter(torch.tensor(0.5))

    def initial_state(self, batch_size):
        return {}

    def wiring(self, state=None):
        return Wiring(self.neurons, ())


class Branching(Small):
    def forward_with_activity(self, sensors, state):
        motor = self.gain * sensors if sensors.sum() > 0 else -self.gain.expand_as(sensors)
        return motor, state, motor


class Twice(Small):
    """One tensor stands under two keys at first, and one value in all columns."""

    def initial_state(self, batch_size):
        zero = self.gain.new_zeros(1, 1).expand(batch_size, 2)
        return {"fast": zero, "slow": zero}

    def forward_with_activity(self, sensors, state):
        fast = 0.5 * state["fast"] + self.gain * sensors
        slow = 0.9 * state["slow"] + sensors
        motor = fast - slow
        return motor, {"slow": slow, "fast": fast}, motor


class Constant(Small):
    """Fills a tensor that it makes in every step."""

    def forward_with_activity(self, sensors, state):
        offset = torch.tensor([1.0, 2.0])
        offset += 1
        held = torch.zeros_like(sensors)
        held[:, 1:] = self.gain * sensors[:, 1:]
        motor = held + offset
        return motor, state, motor


class Drawing(Small):
    """Draws by itself, which the contract forbids."""

    def forward_with_activity(self, sensors, state):
        motor = self.gain * sensors + torch.randn_like(sensors)
        return motor, state, motor


def made(name: str) -> Circuit:
    more = {sense: size for sense, size in {"context": 6, "touch": 5}.items() if sense in CIRCUITS[name].needs}
    return make_circuit(name, {**SENSES, **more}, 4, rng=torch.Generator().manual_seed(0))


def together_and_alone(circuit: Circuit, steps: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the motors of a population, and of each member run alone, [steps, members, motors]."""
    flat = torch.nn.utils.parameters_to_vector(circuit.parameters()).detach()
    weights = flat + 0.3 * torch.randn(MEMBERS, len(flat), generator=torch.Generator().manual_seed(1))
    sensors = torch.rand(steps, MEMBERS, circuit.n_sensors, generator=torch.Generator().manual_seed(2)) * 2 - 1
    population = Population(circuit, MEMBERS)
    population.start(weights)
    together, alone = torch.stack([population.step(row) for row in sensors]), []
    for member in range(MEMBERS):
        torch.nn.utils.vector_to_parameters(weights[member], circuit.parameters())
        state, motors = circuit.initial_state(1), []
        for row in sensors:
            motor, state = circuit(row[member : member + 1], state)
            motors.append(motor[0])
        alone.append(torch.stack(motors))
    return together, torch.stack(alone, 1)


@torch.inference_mode()
@pytest.mark.parametrize("name", circuit_names())
def test_a_population_in_lockstep_equals_its_members_alone(name):
    together, alone = together_and_alone(made(name))
    assert torch.allclose(together, alone, atol=1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("kind", [Twice, Constant])
def test_what_a_circuit_shares_or_changes_in_a_step_stays_apart(kind):
    together, alone = together_and_alone(kind())
    assert torch.allclose(together, alone, atol=1e-6)


@torch.inference_mode()
def test_a_circuit_that_branches_on_values_runs_member_by_member_and_says_so_once(caplog):
    with caplog.at_level(logging.WARNING):
        together, alone = together_and_alone(Branching())
    assert torch.equal(together, alone)
    (said,) = caplog.messages
    assert said.startswith("nervecord: members of Branching run one by one, more slowly, because torch.vmap")
    assert "\n" not in said


@torch.inference_mode()
def test_a_circuit_that_cannot_step_at_all_says_why():
    class Broken(Small):
        def forward_with_activity(self, sensors, state):
            raise RuntimeError("no such synapse")

    population = Population(Broken(), 2)
    population.start(torch.ones(2, 1))
    with pytest.raises(RuntimeError, match="no such synapse"):
        population.step(torch.ones(2, 2))


@torch.inference_mode()
def test_a_circuit_that_draws_by_itself_draws_anew_in_each_member_and_step():
    population = Population(Drawing(), MEMBERS)
    population.start(torch.zeros(MEMBERS, 1))
    drawn = torch.stack([population.step(torch.zeros(MEMBERS, 2)) for _ in range(4)])
    assert len(drawn.unique()) == drawn.numel()


@torch.inference_mode()
def test_weights_of_a_new_generation_act():
    population = Population(NCAP(2), MEMBERS)
    moved = []
    for scale in (1.0, 0.0):
        population.start(scale * torch.ones(MEMBERS, 4))
        moved.append(float(population.step(torch.full((MEMBERS, 2), 0.5)).abs().sum()))
    assert moved[0] > 0
    assert moved[1] == 0


@torch.inference_mode()
def test_members_that_are_reset_start_anew_and_the_others_go_on():
    population = Population(Twice(), MEMBERS)
    population.start(torch.ones(MEMBERS, 1))
    first = population.step(torch.ones(MEMBERS, 2))
    population.step(torch.ones(MEMBERS, 2))
    population.reset(np.arange(MEMBERS) == 2)
    third = population.step(torch.ones(MEMBERS, 2))
    assert torch.equal(third[2], first[2])
    assert not torch.equal(third[1], first[1])


@torch.inference_mode()
@pytest.mark.parametrize("name", circuit_names())
def test_a_population_lives_on_its_circuits_device(name):
    circuit = made(name).to("meta")
    n_weights = sum(parameter.numel() for parameter in circuit.parameters())
    population = Population(circuit, MEMBERS)
    population.start(torch.zeros(MEMBERS, n_weights))
    for _ in range(2):
        assert population.step(torch.zeros(MEMBERS, circuit.n_sensors)).device.type == "meta"
    population.reset(np.ones(MEMBERS, bool))


def test_evolution_in_threads_ends_with_the_weights_that_it_has_alone():
    def trained(seed: int) -> np.ndarray:
        return flat_weights(small_es(seed).learn(480))

    alone = [trained(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(trained, range(8)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
