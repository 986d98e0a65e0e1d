"""CircuitPPO: equal to SB3's PPO without memory, to RecurrentPPO with an LSTM, right with resets and chunks."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from nervecord.agents import CircuitPPO
from nervecord.agents.algorithms.sequence_buffer import SequenceBuffer
from nervecord.agents.sensing import plain_layout
from nervecord.circuits import CIRCUITS as REGISTERED
from nervecord.circuits import Circuit, make_circuit, register_circuit
from nervecord.circuits.contract import Neuron, Wiring
from nervecord.circuits.registry import circuit_names
from nervecord.envs.sb3_env import SwimmerVecEnv
from nervecord.errors import CircuitMismatch, ContractBroken, TrainingDiverged
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import CallbackList, CheckpointCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

N_ENVS, N_STEPS = 3, 24
SMALL = {"ctm": {"d_model": 16, "d_input": 8, "n_synch": 4}, "ltc": {"units": 12}, "cfc": {"units": 12}}


class Elman(Circuit):
    """What a user may write: the contract alone, two states of odd shapes, one of them learned at the start."""

    def __init__(self, senses, n_motors, *, leak: float = 0.5, keep_shape: bool = True, rng=None):
        super().__init__()
        self.senses, self.n_motors, self.leak, self.keep_shape = tuple(senses.items()), n_motors, leak, keep_shape
        self.neurons = tuple(Neuron(f"motor_{i}", "motor") for i in range(n_motors))
        draw = torch.Generator().manual_seed(1) if rng is None else rng
        self.inputs = torch.nn.Parameter(torch.randn(self.n_sensors, 6, generator=draw) * 0.3)
        self.recurrent = torch.nn.Parameter(torch.randn(6, 6, generator=draw) * 0.4)
        self.outputs = torch.nn.Parameter(torch.randn(6, n_motors, generator=draw) * 0.3)
        self.start = torch.nn.Parameter(torch.zeros(2, 3))

    def initial_state(self, batch_size):
        return {"grid": self.start.expand(batch_size, 2, 3), "age": self.start.new_zeros(batch_size)}

    def forward_with_activity(self, sensors, state):
        before = state["grid"].flatten(1)
        after = (1 - self.leak) * before + self.leak * torch.tanh(before @ self.recurrent + sensors @ self.inputs)
        motor = after @ self.outputs
        grid = after.unflatten(1, (2, 3)) if self.keep_shape else after
        return motor, {"grid": grid, "age": state["age"] + 1}, motor

    def wiring(self):
        return Wiring(self.neurons, ())


@pytest.fixture(scope="module", autouse=True)
def _elman():
    """For these tests alone: others go through all circuits that are registered."""
    register_circuit("elman-of-a-test", Elman, "a circuit that a user wrote")
    yield
    del REGISTERED["elman-of-a-test"]


def senses_of(names=("joint_pos", "to_target")) -> dict:
    return {"joint_pos": 3, "to_target": 2, **dict.fromkeys(names[2:], 1)}


NEED_MORE = ("navigator", "relay_navigator", "klinotaxis", "relay_klinotaxis", "escape", "dendrites")
CIRCUITS = [*(name for name in circuit_names() if name not in NEED_MORE), "elman-of-a-test"]
OTHERS = [name for name in CIRCUITS if name != "elman-of-a-test"]
RECURRENT = [name for name in OTHERS if make_circuit(name, {**senses_of(), "body_velocities": 15}, 3).is_recurrent]
RECURRENT += ["elman-of-a-test"]


def plain(env) -> dict:
    """The observation as one nameless vector: SB3's own networks scale no joint positions."""
    return {"layout": plain_layout(env.observation_space)}


def swimmers(episode_steps: int = 17) -> SwimmerVecEnv:
    """Episodes that end inside rollouts and inside sequences."""
    return SwimmerVecEnv(N_ENVS, "swim", body="swimmer4", episode_steps=episode_steps)


def model(circuit="mlp", env=None, n_steps=N_STEPS, **arguments) -> CircuitPPO:
    defaults = {"seed": 0, "n_steps": n_steps, "batch_size": N_ENVS * n_steps, "sequence_length": n_steps}
    policy = {"circuit": circuit, "circuit_options": SMALL.get(circuit, {}), **arguments.pop("policy_kwargs", {})}
    return CircuitPPO("CircuitPolicy", env or swimmers(), **{**defaults, **arguments}, policy_kwargs=policy)


def collect(learner) -> None:
    """Fill the learner's buffer once."""
    _, callback = learner._setup_learn(1000)
    torch.manual_seed(4)
    learner.collect_rollouts(learner.env, callback, learner.rollout_buffer, learner.n_steps)


def whole(learner):
    """All of the rollout as one minibatch, each sequence in its place."""
    return learner.rollout_buffer.sequences()


def evaluated(actor_critic, batch):
    """Values, log-probabilities and entropy of a minibatch by the weights as they are now."""
    motor, values, _ = actor_critic.run(batch.observations, batch.state, batch.episode_start)
    return values, actor_critic.log_prob(motor, batch.actions), actor_critic.entropy(motor)


def copy_mlp(ours: CircuitPPO, theirs: PPO) -> None:
    """Give our MLP actor and critic the weights of SB3's."""
    policy = theirs.policy
    sources = [*policy.mlp_extractor.policy_net[::2], policy.action_net]
    sources += [*policy.mlp_extractor.value_net[::2], policy.value_net]
    mine = [*ours.policy.circuit.layers, *ours.policy.actor_critic.value_head[::2]]
    for own, its in zip(mine, sources, strict=True):
        own.load_state_dict(its.state_dict())


@pytest.mark.parametrize("env_id", ["swim", "CartPole-v1"])
def test_a_stateless_mlp_trains_as_under_sb3(env_id):
    def make():
        return swimmers() if env_id == "swim" else make_vec_env(env_id, N_ENVS, seed=0)

    settings = {"n_steps": N_STEPS, "batch_size": 24, "n_epochs": 2, "seed": 3, "device": "cpu"}
    theirs = PPO("MlpPolicy", make(), policy_kwargs={"net_arch": {"pi": [64, 64], "vf": [64, 64]}}, **settings)
    ours = model(env=make(), policy_kwargs=plain(make()), **settings)
    copy_mlp(ours, theirs)
    for learner in (theirs, ours):
        collect(learner)
    if env_id == "swim":
        # The same noise, so the same rollouts, the values of cut episodes included.
        assert (theirs.rollout_buffer.episode_starts.sum(0) == 2).all()
        assert np.allclose(ours.rollout_buffer.returns, theirs.rollout_buffer.returns, atol=1e-5)
    else:
        # Discrete actions are drawn in another way: train on theirs.
        for name in ("observations", "actions", "returns", "advantages", "values", "log_probs", "episode_starts"):
            setattr(ours.rollout_buffer, name, getattr(theirs.rollout_buffer, name).copy())
        ours.rollout_buffer.observations = torch.from_numpy(ours.rollout_buffer.observations)
        ours.rollout_buffer.actions = torch.from_numpy(ours.rollout_buffer.actions[..., 0]).long()
        ours.rollout_buffer.episode_starts = ours.rollout_buffer.episode_starts > 0
    for learner in (theirs, ours):
        np.random.seed(5)  # noqa: NPY002  (SB3's buffer shuffles with it)
        learner.train()
    reference = model(env=make(), policy_kwargs=plain(make()), **settings)
    copy_mlp(reference, theirs)
    for (name, mine), its in zip(
        ours.policy.actor_critic.named_parameters(), reference.policy.actor_critic.parameters(), strict=True
    ):
        if name != "log_std":
            assert torch.allclose(mine, its, atol=1e-5), name
    if env_id == "swim":
        assert torch.allclose(ours.policy.actor_critic.log_std, theirs.policy.log_std, atol=1e-6)


def test_an_lstm_has_the_losses_and_gradients_of_recurrent_ppo(monkeypatch):
    """With a critic of its own: a shared one gets no gradient there, and does here."""
    sb3_contrib = pytest.importorskip("sb3_contrib", reason="the peer is not installed; pip install sb3-contrib")
    settings = {"n_steps": N_STEPS, "batch_size": N_ENVS * N_STEPS, "n_epochs": 1, "seed": 3, "device": "cpu",
                "max_grad_norm": 1e9, "ent_coef": 0.01}  # fmt: skip
    theirs = sb3_contrib.RecurrentPPO(
        "MlpLstmPolicy", swimmers(), **settings,
        policy_kwargs={"lstm_hidden_size": 8, "net_arch": {"pi": [], "vf": []}},
    )  # fmt: skip
    options = {"circuit_options": {"units": 8}, "critic": "separate", "critic_hidden": ()}
    ours = model("lstm", sequence_length=N_STEPS, policy_kwargs={**plain(swimmers()), **options}, **settings)
    pairs = [
        (ours.policy.circuit.cell, theirs.policy.lstm_actor),
        (ours.policy.circuit.readout, theirs.policy.action_net),
        (ours.policy.actor_critic.critic_circuit.cell, theirs.policy.lstm_critic),
        (ours.policy.actor_critic.value_head[0], theirs.policy.value_net),
    ]
    for own, its in pairs:
        own.load_state_dict(its.state_dict())
    for learner in (theirs, ours):
        collect(learner)
    assert (theirs.rollout_buffer.episode_starts.sum(0) == 2).all(), "episodes start inside the rollout"
    for name in ("actions", "log_probs", "values", "returns", "advantages"):
        assert np.allclose(getattr(ours.rollout_buffer, name), getattr(theirs.rollout_buffer, name), atol=1e-5), name
    # Its buffer cuts one environment's sequence at random; without the cut both see the same sequences.
    monkeypatch.setattr(np.random, "randint", lambda *_, **__: 0)
    for learner in (theirs, ours):
        learner.train()
    for name in ("policy_gradient_loss", "value_loss", "entropy_loss", "loss", "approx_kl"):
        values = [learner.logger.name_to_value[f"train/{name}"] for learner in (ours, theirs)]
        assert values[0] == pytest.approx(values[1], abs=1e-5), name
    for own, its in pairs:
        for (name, mine), other in zip(own.named_parameters(), its.parameters(), strict=True):
            assert torch.allclose(mine.grad, other.grad, atol=1e-5), name
            assert other.grad.any(), name
    assert torch.allclose(ours.policy.actor_critic.log_std.grad, theirs.policy.log_std.grad, atol=1e-5)


@pytest.mark.parametrize("critic", ["shared", "separate", "mlp"])
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_the_first_ratio_is_one_and_every_trained_parameter_has_a_gradient(circuit, critic):
    arguments = {"policy_kwargs": {"critic": critic}, "sequence_length": 6}
    alone = ("along", "compose", "cpg", "mlp", "ncap", "ncap_plus", "policy", "rbf", "recogniser", "relay",
             "elman-of-a-test")  # fmt: skip
    if critic != "mlp" and circuit in alone:
        with pytest.raises(CircuitMismatch, match="give critic 'mlp'"):
            model(circuit, **arguments)
        return
    learner = model(circuit, **arguments)
    collect(learner)
    terms = learner.learner.differentiate(whole(learner))
    assert abs(terms["approx_kl"]) < 1e-6
    sequences = whole(learner)
    _, log_prob, _ = evaluated(learner.policy.actor_critic, sequences)
    assert torch.allclose((log_prob - sequences.old_log_prob).exp(), torch.ones(()), atol=1e-5)
    idle = {"circuit.contra", "circuit.parts.ncap.contra"}  # silent in a constrained NCAP
    for name, parameter in learner.policy.actor_critic.named_parameters():
        if parameter.requires_grad and name not in idle:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def schulmans_loss(learner, batch):
    """Return the loss as the paper writes it, for autograd to differentiate."""
    options = learner.options
    values, log_prob, entropy = evaluated(learner.actor_critic, batch)
    advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
    ratio = (log_prob - batch.old_log_prob).exp()
    clipped = ratio.clamp(1 - options["clip_range"], 1 + options["clip_range"])
    policy_loss = -torch.min(advantages * ratio, advantages * clipped).mean()
    value_loss = (batch.returns - values).square().mean()
    return policy_loss - options["ent_coef"] * entropy + options["vf_coef"] * value_loss


@pytest.mark.parametrize("env_id", ["swim", "CartPole-v1"])
@pytest.mark.parametrize(
    ("circuit", "critic"), [("mlp", "mlp"), ("ncap_plus", "mlp"), ("gru", "shared"), ("lstm", "separate")]
)
def test_the_gradient_by_hand_is_that_of_the_loss(circuit, critic, env_id):
    if circuit == "ncap_plus" and env_id != "swim":
        return
    env = swimmers() if env_id == "swim" else make_vec_env(env_id, N_ENVS, seed=0)
    learner = model(circuit, env=env, ent_coef=0.3, vf_coef=0.7, policy_kwargs={"critic": critic})
    collect(learner)
    batch, actor_critic = whole(learner), learner.policy.actor_critic
    learned = [parameter for parameter in actor_critic.parameters() if parameter.requires_grad]
    # Another policy than the one that acted, and half of the ratios clipped; none is at the bound, where
    # torch's gradient depends on its version.
    with torch.no_grad():
        for parameter in learned:
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
        _, log_prob, _ = evaluated(actor_critic, batch)
    middle = float(((log_prob - batch.old_log_prob).exp() - 1).abs().median())
    learner.learner.options["clip_range"] = 1.0001 * middle
    terms = learner.learner.differentiate(batch)
    found = [parameter.grad.clone() for parameter in learned]
    loss = schulmans_loss(learner.learner, batch)
    expected = torch.autograd.grad(loss, learned, allow_unused=True)
    assert terms["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert terms["clip_fraction"] == pytest.approx(0.5, abs=0.02)
    largest = max(float(its.abs().max()) for its in expected if its is not None)
    for mine, its in zip(found, expected, strict=True):
        assert torch.allclose(mine, torch.zeros_like(mine) if its is None else its, rtol=0, atol=1e-5 * largest)


def test_advantages_and_returns_are_those_of_sb3_to_the_bit():
    rng, box = np.random.default_rng(0), spaces.Box(-1, 1, (2,))
    theirs = RolloutBuffer(40, box, box, gae_lambda=0.9, gamma=0.97, n_envs=5)
    ours = SequenceBuffer(40, box, box, gae_lambda=0.9, gamma=0.97, n_envs=5)
    values = torch.from_numpy(rng.standard_normal((41, 5)).astype(np.float32))
    for step in range(40):
        rewards, starts = rng.standard_normal(5).astype(np.float32), rng.random(5) < 0.1
        theirs.add(np.zeros((5, 2)), np.zeros((5, 2)), rewards, starts, values[step], torch.zeros(5))
        ours.add(torch.zeros(5, 2), torch.zeros(5, 2), rewards, starts, {})
    dones = rng.random(5) < 0.5
    theirs.compute_returns_and_advantage(values[-1], dones)
    ours.finish(values[:-1], torch.zeros(40, 5), values[-1], dones)
    assert np.array_equal(ours.advantages, theirs.advantages)
    assert np.array_equal(ours.returns, theirs.returns)


@pytest.mark.parametrize("circuit", RECURRENT)
def test_cutting_a_rollout_elsewhere_changes_no_value_and_no_probability(circuit):
    collected = []
    for length in (1, 4, 12, 24):
        learner = model(circuit, sequence_length=length)
        collect(learner)
        sequences = whole(learner)
        with torch.no_grad():
            values, log_prob, _ = evaluated(learner.policy.actor_critic, sequences)
        assert torch.allclose(values, sequences.returns - sequences.advantages, atol=1e-5)
        assert torch.allclose(log_prob, sequences.old_log_prob, atol=1e-4)
        collected.append(learner.rollout_buffer.log_probs)
    assert all(np.allclose(collected[0], other, atol=1e-5) for other in collected[1:])


@pytest.mark.parametrize("circuit", RECURRENT)
def test_permuting_environments_permutes_values_and_keeps_gradients(circuit):
    learner = model(circuit)
    collect(learner)
    sequences = whole(learner)
    order = torch.tensor([2, 0, 1])

    def gradients(batch):
        learner.learner.differentiate(batch)
        return {n: p.grad.clone() for n, p in learner.policy.actor_critic.named_parameters() if p.grad is not None}

    straight, permuted = gradients(sequences), gradients(sequences.pick(order))
    assert all(torch.allclose(straight[name], permuted[name], atol=1e-5) for name in straight)


@pytest.mark.parametrize("circuit", RECURRENT)
def test_an_environment_and_an_episode_leave_the_others_alone(circuit):
    learner = model(circuit)
    collect(learner)
    sequences = whole(learner)
    start = int(sequences.episode_start[1:, 0].nonzero()[0]) + 1

    def values(observations):
        with torch.no_grad():
            return learner.policy.actor_critic.run(observations, sequences.state, sequences.episode_start)[1]

    before = values(sequences.observations)
    changed = sequences.observations.clone()
    changed[: start - 1, 0] += 1.0
    after = values(changed)
    assert torch.equal(before[:, 1:], after[:, 1:])
    assert torch.allclose(before[start:, 0], after[start:, 0], atol=1e-6)
    assert not torch.allclose(before[: start - 1, 0], after[: start - 1, 0], atol=1e-6)


def test_the_learned_initial_state_is_trained_and_resets_use_it():
    learner = model("elman-of-a-test")
    before = learner.policy.circuit.start.detach().clone()
    learner.learn(3 * N_ENVS * N_STEPS)
    assert not torch.equal(before, learner.policy.circuit.start)
    # "age" counts the steps since the reset: the rollouts end 72 - 4 * 17 = 4 steps into an episode.
    assert learner.learner.rollout.state["age"].tolist() == [4.0] * N_ENVS


def test_a_cut_episode_is_worth_the_value_in_the_state_after_its_last_step():
    learner = model("elman-of-a-test", gamma=0.9, gae_lambda=1.0)
    policy, seen = learner.policy.actor_critic, []
    predict = policy.predict_values

    def spy(observation, state, episode_start):
        value = predict(observation, state, episode_start)
        seen.append((state["age"].clone(), episode_start.clone(), value))
        return value

    policy.predict_values = spy
    collect(learner)
    age, start, value = seen[0]
    assert age.tolist() == [17.0] * N_ENVS
    assert not start.any()
    # With lambda 1 the return is the discounted sum of rewards; the last step's ends in the value.
    returns, rewards = learner.rollout_buffer.returns[16], learner.rollout_buffer.rewards[16]
    assert np.allclose(returns, rewards, atol=1e-6)
    env = swimmers()
    env.seed(0)
    assert (rewards - 0.9 * value.numpy() >= -1e-6).all()
    assert (rewards - 0.9 * value.numpy() <= 1 + 1e-6).all()


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_a_saved_model_acts_alike_and_goes_on(circuit, tmp_path):
    env = VecNormalize(swimmers(), norm_reward=True)
    learner = model(circuit, env=env, n_epochs=1)
    callbacks = CallbackList([CheckpointCallback(N_STEPS, str(tmp_path)), EvalCallback(VecNormalize(swimmers()))])
    learner.learn(2 * N_ENVS * N_STEPS, callbacks)
    learner.save(tmp_path / "model")
    loaded = CircuitPPO.load(tmp_path / "model", env=VecNormalize(swimmers()))
    observation, states = env.reset(), [None, None]
    start = np.ones(N_ENVS, bool)
    for _ in range(3):
        (actions, states[0]), (again, states[1]) = (
            agent.predict(observation, state, start, deterministic=True)
            for agent, state in zip((learner, loaded), states, strict=True)
        )
        assert np.array_equal(actions, again)
        assert actions.shape == (N_ENVS, 3)
        observation, start = env.step(actions)[0], np.zeros(N_ENVS, bool)
    noisy = learner.predict(observation, states[0], start, deterministic=False)[0]
    assert not np.array_equal(noisy, learner.predict(observation, states[0], start, deterministic=True)[0])
    loaded.learn(N_ENVS * N_STEPS, reset_num_timesteps=False)
    assert loaded.num_timesteps == 3 * N_ENVS * N_STEPS


@pytest.mark.slow
def test_discrete_actions_on_any_gymnasium_environment():
    env = make_vec_env("CartPole-v1", 4, seed=0)
    learner = CircuitPPO(
        "CircuitPolicy", env, seed=0, n_steps=64, batch_size=128, sequence_length=16, learning_rate=2e-3,
        policy_kwargs={"circuit": "elman-of-a-test"},
    )  # fmt: skip
    before = evaluate_policy(learner, make_vec_env("CartPole-v1", 1, seed=9), 5)[0]
    learner.learn(12_000)
    after = evaluate_policy(learner, make_vec_env("CartPole-v1", 1, seed=9), 5)[0]
    assert after > before + 50


def test_actions_outside_minus_one_to_one_are_scaled_to_the_box():
    learner = model("elman-of-a-test", env=make_vec_env("Pendulum-v1", 2), n_steps=8, batch_size=16)
    motor = torch.tensor([[-2.0], [-0.5], [1.0]])
    assert learner.policy.agent.to_actions(motor).flatten().tolist() == [-2.0, -1.0, 2.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequence_length": 7}, "sequence_length 7 does not divide n_steps 24; give a divisor, such as 6"),
        ({"sequence_length": 8, "batch_size": 12}, "batch_size 12 is not a multiple of sequence_length 8; give 16"),
        (
            {"policy_kwargs": {"circuit_options": {"keep_shape": False}}},
            r"grid begins as \(5, 2, 3\) torch.float32 and comes back as \(5, 6\)",
        ),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(arguments, message):
    with pytest.raises((CircuitMismatch, ContractBroken), match=message) as caught:
        model("elman-of-a-test", **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["observations", "advantages", "weights"])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(where):
    learner = model("elman-of-a-test")
    collect(learner)
    sequences = whole(learner)
    if where == "weights":
        with torch.no_grad():
            learner.policy.circuit.outputs[0, 0] = torch.nan
    else:
        getattr(sequences, where)[3, 1] = torch.nan
    before = {name: value.clone() for name, value in learner.policy.state_dict().items()}
    named = {"observations": "log_prob", "advantages": "advantages", "weights": "log_prob"}[where]
    with pytest.raises(TrainingDiverged, match=rf"{named} is not; the weights are as before"):
        learner.train()
    for name, value in learner.policy.state_dict().items():
        assert torch.equal(value.nan_to_num(7.0), before[name].nan_to_num(7.0))


def test_an_infinite_gradient_stops_before_the_weights_change():
    learner = model("elman-of-a-test")
    collect(learner)
    handle = learner.policy.circuit.recurrent.register_hook(lambda gradient: gradient * torch.inf)
    before = learner.policy.circuit.outputs.detach().clone()
    with pytest.raises(TrainingDiverged, match=r"circuit\.recurrent is not"):
        learner.train()
    handle.remove()
    assert torch.equal(before, learner.policy.circuit.outputs)


def test_a_buffer_of_a_memoryless_circuit_learns_from_single_steps():
    learner = model("ncap", sequence_length=7)
    assert learner.rollout_buffer.sequence_length == 1
    collect(learner)
    assert whole(learner).observations.shape[:2] == (1, N_ENVS * N_STEPS)
    steps = whole(learner).state["step"].unflatten(0, (N_ENVS, N_STEPS))
    # The state is kept as it was before the reset, beside the flag that resets it.
    assert steps[0, :, 0].tolist() == [*range(18), *range(1, 7)]
