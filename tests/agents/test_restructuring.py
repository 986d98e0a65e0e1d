"""Learners whose circuits change their structure between rollouts, or have weights that learn at their own rates."""

import dataclasses

import numpy as np
import pytest
import torch
from nervecord import RunConfig, evaluate, resume, train
from nervecord.agents import Agent, AgentSpec
from nervecord.agents.algorithms.es import AntitheticSearch
from nervecord.agents.algorithms.population_learner import PopulationLearner, PopulationMethod
from nervecord.agents.algorithms.registry import algorithm_named
from nervecord.agents.algorithms.search_space import SearchSpace
from nervecord.circuits import Circuit, Composed, Neuron, Wire, Wiring, make_circuit
from nervecord.envs import EnvBatch
from nervecord.envs.deficits import Deficit, Deficits
from nervecord.errors import CircuitMismatch

SPARSE = {
    "mlp": {"hidden": [12, 12], "ensembles": "body", "rewire_every": 2},
    "ctrnn": {"units": 12, "ensembles": "body", "rewire_every": 2, "grow": "random"},
}
SMALL = {
    "ppo": {"n_envs": 4, "n_steps": 32, "batch_size": 64, "sequence_length": 16, "n_epochs": 2},
    "es": {"n_envs": 4},
    "cmaes": {"n_envs": 4},
}


def config(circuit: str, algorithm: str, steps: int = 768, **circuit_options) -> RunConfig:
    return RunConfig(circuit, algorithm, "swimmer4", steps=steps, episode_steps=48,
                     algorithm_options=SMALL[algorithm],
                     circuit_options={**SPARSE[circuit], **circuit_options})  # fmt: skip


def learner_of(circuit: str, algorithm: str, **circuit_options):
    """Return a learner in environments, and its agent."""
    envs = EnvBatch("swim", 4, body="swimmer4", episode_steps=48)
    options = {**SPARSE[circuit], **circuit_options}
    agent = Agent(AgentSpec(circuit, envs.layout, 3, options, seed=0))
    kind = algorithm_named(algorithm)
    facts = type(agent.circuit).facts(options)
    return kind.start(agent, envs, kind.resolve(algorithm, facts, SMALL[algorithm]), 0), agent


@pytest.mark.parametrize("algorithm", ["ppo", "es", "cmaes"])
@pytest.mark.parametrize("circuit", SPARSE)
def test_a_run_that_rewires_is_resumed_bit_for_bit(tmp_path, circuit, algorithm):
    options = {"p_inter": 0.05} if algorithm == "cmaes" else {}
    asked = config(circuit, algorithm, **options)
    whole = train(asked, tmp_path / "whole", progress=False)
    stopped = train(asked, tmp_path / "stopped", progress=False, callback=lambda moment: moment.step >= 500)
    assert not stopped.done
    late, weights = resume(stopped.path, progress=False).load_checkpoint().weights, whole.load_checkpoint().weights
    for name, value in weights.items():
        assert torch.equal(value, late[name]), name
    rounds = 768 // (128 if algorithm == "ppo" else 4 * 48)
    assert weights["rewirings"] == rounds // 2
    before = whole.agent(trained=False).circuit
    masks = [name for name in weights if "mask" in name]
    assert any(not torch.equal(weights[name], before.state_dict()[name]) for name in masks)
    circuit = whole.agent().circuit
    for name, mask in circuit.active().items():
        assert not circuit.get_parameter(name)[~mask].any(), name
        assert circuit.get_parameter(name)[mask].any(), name
    assert np.isfinite(evaluate(whole, episodes=1).mean_return.mean)


def test_workers_that_do_not_know_the_masks_evaluate_the_same_members(tmp_path):
    asked = RunConfig("mlp", "es", "swimmer4", steps=1536, episode_steps=48, circuit_options=SPARSE["mlp"],
                      algorithm_options={"n_envs": 4, "population": 8})  # fmt: skip
    here = train(asked, tmp_path / "here", progress=False).load_checkpoint().weights
    there = train(asked, tmp_path / "there", progress=False, workers=2).load_checkpoint().weights
    assert here["rewirings"] == 2
    for name, value in here.items():
        assert torch.equal(value, there[name]), name


@pytest.mark.parametrize("circuit", SPARSE)
def test_the_first_ratio_after_a_rewiring_is_one(circuit):
    learner, agent = learner_of(circuit, "ppo", rewire_every=1)
    learner.advance()
    assert agent.circuit.rewirings == 1
    learner.collect()
    part = learner.buffer.sequences()
    motor, _, _ = learner.actor_critic.unroll(part.observations, part.state, part.episode_start)
    ratio = (learner.actor_critic.log_prob(motor, part.actions) - part.old_log_prob).exp()
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=1e-4)


def test_a_synapse_that_grows_has_no_moments():
    learner, agent = learner_of("mlp", "ppo", rewire_every=1)
    before = {name: mask.clone() for name, mask in agent.circuit.active().items()}
    learner.advance()
    for name, mask in agent.circuit.active().items():
        slots = learner.optimizer.state[agent.circuit.get_parameter(name)]
        grown, kept = mask & ~before[name], mask & before[name]
        assert grown.any()
        for moment in (slots["exp_avg"], slots["exp_avg_sq"]):
            assert not moment[~kept].any()
            assert moment[kept].any()


def row(circuit: Circuit, values: dict) -> torch.Tensor:
    """Return a value of each weight in one row, True of parameters that have none."""
    named = circuit.named_parameters()
    return torch.cat([values.get(name, torch.ones_like(each, dtype=torch.bool)).flatten() for name, each in named])


@pytest.mark.parametrize("algorithm", ["es", "cmaes"])
def test_a_search_is_of_the_synapses_that_there_are(algorithm):
    learner, agent = learner_of("mlp", algorithm, rewire_every=1, p_inter=0.05)
    for _ in range(3):
        before = row(agent.circuit, agent.circuit.active())
        assert len(learner.state["mean"]) == before.sum()
        learner.advance()
        after = row(agent.circuit, agent.circuit.active())
        is_new = ~before[after]
        assert 0 < is_new.sum() < 0.2 * len(is_new)
        weights = torch.nn.utils.parameters_to_vector(agent.circuit.parameters())
        assert torch.equal(learner.state["mean"], weights[after])
        assert not learner.state["mean"][is_new].any()
        if algorithm == "es":
            moments = learner.state["exp_avg"]
            assert not moments[is_new].any()
            assert moments[~is_new].all()
        else:
            covariance = learner.state["covariance"]
            torch.linalg.cholesky(covariance)
            assert torch.equal(covariance[is_new][:, is_new], torch.eye(int(is_new.sum()), dtype=torch.float64))
            assert not covariance[is_new][:, ~is_new].any()
            assert not torch.equal(covariance[~is_new][:, ~is_new], torch.eye(int((~is_new).sum())).double())


def shown_to_restructure(learner, agent) -> torch.Tensor:
    """Advance once; return the sensor values, [time, env, sensor], that the circuit restructured itself by."""
    shown, restructure = [], agent.circuit.restructure
    agent.circuit.restructure = lambda *found: shown.append(found[0]) or restructure(*found)
    learner.advance()
    return shown[0]


def test_a_circuit_restructures_itself_without_the_senses_that_are_missing():
    learner, agent = learner_of("mlp", "es", rewire_every=1)
    learner.deficits = Deficits(agent.layout, [Deficit("joint_pos", 0, 1_000_000)])
    shown = shown_to_restructure(learner, agent)
    angles = agent.layout["joint_pos"]
    assert not shown[..., angles].any()
    assert shown[..., angles.stop :].any()
    assert agent.missing is None


class Uneven(EnvBatch):
    """Environments of which the first ends its episode 20 control steps before the others."""

    def reset(self, ids):
        shown = super().reset(ids)
        self.elapsed[0] = 20
        return shown


def test_a_circuit_restructures_itself_by_no_episode_that_is_over():
    learner, agent = learner_of("mlp", "es", rewire_every=1)
    learner.envs = Uneven("swim", 4, body="swimmer4", episode_steps=48)
    assert len(shown_to_restructure(learner, agent)) == 28


class TwoRates(Circuit):
    """Two motors, each a weight, of which the second learns at a tenth of the first's rate."""

    rates = {"slow": 0.1}  # noqa: RUF012
    memory = "none"

    def __init__(self):
        super().__init__()
        self.senses, self.n_motors = (("joint_pos", 2),), 2
        self.neurons = tuple(Neuron(f"joint_{i}", "motor") for i in range(2))
        self.fast, self.slow = (torch.nn.Parameter(torch.tensor(0.5)) for _ in range(2))

    def initial_state(self, batch_size):  # noqa: ARG002
        return {}

    def forward_with_activity(self, sensors, state, pins=None):  # noqa: ARG002
        motor = torch.stack((self.fast, self.slow)) * sensors
        return motor, state, motor

    def wiring(self, state=None):  # noqa: ARG002
        return Wiring(self.neurons, ())


def test_a_search_perturbs_and_moves_slow_weights_less():
    circuit = TwoRates()
    space = SearchSpace(circuit)
    assert space.searched().tolist() == [0.5, 5.0]
    steps = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert torch.equal(space.whole(space.searched() + steps), torch.tensor([[0.5, 0.5], [1.5, 0.6]]))


class Unfollowing(AntitheticSearch):
    carried = PopulationMethod.carried


def test_a_search_that_cannot_follow_refuses_at_the_start():
    _, agent = learner_of("mlp", "es")
    with pytest.raises(CircuitMismatch, match="'mlp' changes its structure, which Unfollowing cannot follow; use es"):
        PopulationLearner(agent, Unfollowing({"population": 4, "sigma": 0.1, "learning_rate": 0.1}), 0)


@pytest.mark.parametrize("algorithm", ["sac", "td3"])
def test_off_policy_algorithms_take_masks_that_stay_and_no_others(tmp_path, algorithm):
    small = {"n_envs": 4, "learning_starts": 16, "batch_size": 8, "buffer_size": 200}

    def asked(**options):
        return RunConfig("mlp", algorithm, "swimmer4", steps=64, episode_steps=48, algorithm_options=small,
                         circuit_options={**SPARSE["mlp"], **options})  # fmt: skip

    with pytest.raises(CircuitMismatch, match="MLP changes its structure between rollouts, and off-policy"):
        train(asked(), tmp_path / "rewires", progress=False)
    run = train(asked(rewire_every=0), tmp_path / "stays", progress=False)
    circuit, before = run.agent().circuit, run.agent(trained=False).circuit
    for name, mask in circuit.active().items():
        assert torch.equal(mask, before.active()[name])
        assert not circuit.get_parameter(name)[~mask].any()
        assert not torch.equal(circuit.get_parameter(name), before.get_parameter(name))


def test_an_mlp_with_ensembles_is_not_resampled_along_another_body(tmp_path):
    run = train(config("mlp", "es", steps=192), tmp_path / "run", progress=False)
    with pytest.raises(CircuitMismatch, match="with ensembles or quadratic neurons"):
        evaluate(run, body="swimmer6", episodes=1)


def test_what_holds_weights_where_they_are_refuses_circuits_that_move_them(tmp_path):
    first = train(config("mlp", "ppo", steps=128), tmp_path / "first", progress=False)
    asked = dataclasses.replace(first.config, start=str(first.path))
    with pytest.raises(CircuitMismatch, match="changes its structure or lacks synapses, and its updates cannot be"):
        train(dataclasses.replace(asked, protect=(str(first.path),)), tmp_path / "protected", progress=False)
    with pytest.raises(CircuitMismatch, match="which belong to no units; train one without"):
        train(dataclasses.replace(asked, train_only=("hidden_0_ensemble_0_0",)), tmp_path / "some", progress=False)


def test_a_part_of_a_composed_circuit_keeps_its_masks_and_rates():
    part = make_circuit("mlp", {"joint_pos": 5}, 5, {"hidden": [8], "ensembles": "index", "rewire_every": 0})
    wires = [Wire("in.joint_pos", "net.joint_pos"), Wire("net", "out")]
    whole = Composed({"net": part}, wires, {"joint_pos": 5}, 5)
    assert torch.equal(whole.active()["parts.net.layers.0.weight"], part.active()["layers.0.weight"])
    slow = make_circuit("mlp", {"joint_pos": 5}, 5, {"hidden": [8], "neuron": "quadratic"})
    whole = Composed({"net": slow}, wires, {"joint_pos": 5}, 5)
    assert whole.rates["parts.net.layers.0.gate_weight"] == 0.01
    with pytest.raises(CircuitMismatch, match="part net changes its weights"):
        Composed({"net": make_circuit("mlp", {"joint_pos": 5}, 5, {"hidden": [8], "ensembles": "index"})}, wires,
                 {"joint_pos": 5}, 5)  # fmt: skip
