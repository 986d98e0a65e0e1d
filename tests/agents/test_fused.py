"""Episodes in compiled code are those that torch's circuits come to, step by step."""

import logging
import math

import numpy as np
import pytest
import torch
from nervecord.agents import Agent, AgentSpec, fused
from nervecord.agents.algorithms.members import Members, Round
from nervecord.agents.fused import Fused, reason_not_fused
from nervecord.circuits import MLP, NCAP, LaneStep
from nervecord.circuits.lane_step import lane_step_of
from nervecord.envs import EnvBatch
from nervecord.envs.deficits import Deficit, Deficits
from nervecord.envs.physics.lanes import reason_not_compiled
from nervecord.errors import CircuitMismatch, MissingDependency
from nervecord.training.rollouts import evaluate_agent

if reason := reason_not_compiled():
    pytest.skip(reason, allow_module_level=True)

import numba
from nervecord import lane_functions
from nervecord.envs.physics.lanes import compiled_step
from nervecord.vectors import as_rows

WIDTH = 8
SENSED = ["joint_pos", "context", "body_velocities", "time"]


@numba.njit
def of_rows(which, array, out):
    x, y = as_rows(array, WIDTH), as_rows(out, WIDTH)
    for i in range(array.shape[0]):
        if which == 0:
            y[i] = lane_functions.exp(x[i])
        elif which == 1:
            y[i] = lane_functions.tanh(x[i])
        else:
            y[i] = lane_functions.sincos(x[i])[0]


@pytest.mark.parametrize(("which", "truth", "most"), [(0, np.exp, 2), (1, np.tanh, 4), (2, np.sin, 2)])
def test_functions_of_lanes_are_exact_to_units_in_the_last_place(which, truth, most):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, WIDTH)) * np.exp(rng.uniform(-20, 2.5, (4000, WIDTH)))
    found = np.empty_like(x)
    of_rows(which, x, found)
    true = truth(x.astype(np.longdouble))
    assert np.max(np.abs(found - true) / np.spacing(np.abs(true).astype(float))) <= most


def test_functions_of_lanes_end_where_doubles_do():
    x = np.tile([[-1e9, 1e9, -800.0, 800.0, 0.0, -0.0, 1e-300, 30.0]], (1, 1))
    grown, bent = np.empty_like(x), np.empty_like(x)
    of_rows(0, x, grown)
    of_rows(1, x, bent)
    assert np.isfinite(grown).all()
    assert grown[0, 0] < 1e-300
    assert grown[0, 1] > 1e300
    assert (bent == [[-1, 1, -1, 1, 0, 0, 1e-300, 1]]).all()


def agent_in(circuit, n_envs, body="swimmer6", steps=120, spec=(), **options):
    envs = EnvBatch("swim", n_envs, body=body, physics="lanes", episode_steps=steps, **options)
    return Agent(AgentSpec(circuit, envs.layout, envs.body.n_joints, seed=0, **dict(spec)), envs.action_space), envs


def members_of(agent, n, spread=0.1):
    flat = torch.nn.utils.parameters_to_vector(agent.circuit.parameters()).detach()
    return flat + spread * torch.randn(n, len(flat), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("body", ["swimmer6", "swimmer3", "swimmer12", "swimmer6-thick"])
@pytest.mark.parametrize("circuit", ["ncap", "ncap_plus", "mlp", "compose"])
@pytest.mark.parametrize("options", [{}, {"senses": SENSED, "randomize": {"link_mass": (0.5, 2.0)}}])
def test_a_generation_in_compiled_code_is_the_one_that_is_stepped(circuit, body, options):
    agent, envs = agent_in(circuit, 20, body, **options)
    part = Round(members_of(agent, 20), np.arange(20) + 5)
    whole, stepped = Members(agent, envs, fused=True).evaluate(part), Members(agent, envs, fused=False).evaluate(part)
    # Torch's circuits and observations are in single precision, and small differences grow.
    assert np.abs(whole.returns - stepped.returns).max() < 1e-3
    assert (np.argsort(whole.returns) == np.argsort(stepped.returns)).all()
    assert whole.lengths.tolist() == stepped.lengths.tolist() == [120] * 20
    assert whole.metrics.keys() == stepped.metrics.keys()
    assert np.abs(whole.metrics["net_speed"] - stepped.metrics["net_speed"]).max() < 1e-5
    assert not whole.metrics["diverged"].any()


def test_the_environments_stand_where_the_episodes_ended():
    agent, envs = agent_in("ncap", 5)
    Fused(agent, envs).run(list(range(5)))
    whole, elapsed = envs.observation(), envs.elapsed.copy()
    evaluate_stepped(agent, envs, range(5))
    assert np.abs(envs.observation() - whole).max() < 1e-3
    assert (elapsed == envs.elapsed).all()


def evaluate_stepped(agent, envs, seeds):
    weights = members_of(agent, envs.n_envs, spread=0.0)
    return Members(agent, envs, fused=False).evaluate(Round(weights, np.array(list(seeds))))


@pytest.mark.parametrize("spec", [{"normalize": True}, {"squash": True}])
def test_what_an_agent_adds_to_its_circuit_is_there_too(spec):
    returns = []
    for given in ({}, spec):
        agent, envs = agent_in("mlp", 6, steps=30, spec=given)
        if agent.normalizer is not None:
            agent.normalizer.update(np.random.default_rng(0).normal(0.3, 0.5, (50, envs.layout.size)))
        torch.nn.utils.vector_to_parameters(members_of(agent, 1, spread=0.2)[0], agent.circuit.parameters())
        returns.append(evaluate_agent(agent, envs, seed=3).returns)
        assert np.abs(returns[-1] - evaluate_stepped(agent, envs, range(3, 9)).returns).max() < 1e-3
    assert np.abs(returns[0] - returns[1]).max() > 0.1


def test_episodes_that_diverge_end_where_they_do_step_by_step():
    agent, envs = agent_in("ncap", 20, randomize={"gear": (1.0, 1e9, "log")})
    whole = Members(agent, envs, fused=True).evaluate(Round(members_of(agent, 20), np.arange(20)))
    stepped = Members(agent, envs, fused=False).evaluate(Round(members_of(agent, 20), np.arange(20)))
    lost = stepped.metrics["diverged"] > 0
    assert 0 < lost.sum() < 20
    assert (lost == whole.metrics["diverged"]).all()
    assert (np.abs(whole.lengths - stepped.lengths) <= 1).all()
    assert (whole.lengths[lost] < 120).all()
    assert np.abs(whole.returns - stepped.returns).max() < 1.0
    assert np.isfinite(whole.metrics["net_speed"]).all()


def test_bits_are_the_same_in_any_company_place_and_number_of_threads(monkeypatch):
    agent, envs = agent_in("ncap_plus", 37)
    weights = members_of(agent, 37)
    returns, _, metrics = Fused(agent, envs).run(list(range(37)), weights)
    for n_threads, at_once in ((1, 7_000_000), (2, 7_000_000), (2, 50_000)):
        monkeypatch.setattr("nervecord.agents.fused._AT_ONCE", at_once)
        order = np.random.default_rng(0).permutation(37)
        other = EnvBatch("swim", 37, physics="lanes", episode_steps=120, n_threads=n_threads)
        there, _, more = Fused(agent, other).run(order.tolist(), weights[order])
        assert (there == returns[order]).all()
        assert (more["net_speed"] == metrics["net_speed"][order]).all()
    broken = weights.clone()
    broken[1::2] = math.nan
    there, lengths, _ = Fused(agent, envs).run(list(range(37)), broken)
    assert (there[::2] == returns[::2]).all()
    assert (lengths == 120).all()
    assert np.isfinite(there).all()
    alone, _, _ = Fused(*agent_in("ncap_plus", 1)).run([4], weights[4:5])
    assert alone[0] == returns[4]


def test_an_agent_is_evaluated_so_unless_something_is_done_to_it(monkeypatch):
    agent, envs = agent_in("ncap", 4)
    whole = evaluate_agent(agent, envs)
    monkeypatch.setattr("nervecord.training.rollouts.evaluation.Fused", None)
    from nervecord.training.rollouts.interventions import Intervention

    nothing = Intervention("muscle_d_0", "drive", 0.0)
    stepped = evaluate_agent(agent, envs, interventions=[nothing])
    assert np.abs(whole.returns - stepped.returns).max() < 1e-3


def test_what_cannot_run_as_a_whole_runs_step_by_step_and_says_so_once(caplog, monkeypatch):
    monkeypatch.setattr(fused, "_said", set())  # by tests before
    agent, envs = agent_in("gru", 3)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert Members(agent, envs).evaluate(Round(members_of(agent, 3), np.arange(3))).lengths.sum() == 360
    assert [line for line in caplog.messages if "GRU has no lane_step" in line] == [
        "episodes run step by step, not as a whole in compiled code: GRU has no lane_step of its own"
    ]
    with pytest.raises(CircuitMismatch, match="as a whole: GRU has no lane_step"):
        Members(agent, envs, fused=True)
    for options, why in (
        ({"noise": 2}, "computes more in a step"),
        ({"reward": "com"}, "computes more in a step"),
    ):
        assert why in reason_not_fused(*agent_in("ncap", 3, **options))
    mujoco = EnvBatch("swim", 3)
    assert reason_not_fused(Agent(AgentSpec("ncap", mujoco.layout, 5)), mujoco) == "the physics is not lanes"


@pytest.mark.parametrize("circuit", ["ncap", "mlp"])
@pytest.mark.parametrize("deficit", ["joint_pos:0:1000000", "joint_pos[0,2]:0:", "joint_pos[0,2]:90:"])
def test_a_deficit_of_whole_rounds_is_compiled_and_one_that_begins_within_is_seen(circuit, deficit, monkeypatch):
    agent, envs = agent_in(circuit, 3)
    step_by_step, whole = Members(agent, envs, fused=False), Members(agent, envs)
    part = Round(members_of(agent, 3), np.arange(3), step=100 if ":90:" in deficit else 0)
    intact = whole.evaluate(part).returns
    begun = Round(part.weights, part.seeds, step=0)
    for members in (step_by_step, whole):
        members.deficits = Deficits(envs.layout, [Deficit.parse(deficit)])
    seen, runs = step_by_step.evaluate(part), []
    run = Fused.run
    monkeypatch.setattr(Fused, "run", lambda self, *given, **more: runs.append(1) or run(self, *given, **more))
    found = whole.evaluate(part)
    assert len(runs) == 1
    np.testing.assert_allclose(found.returns, seen.returns, rtol=1e-3, atol=1e-3)
    assert (abs(found.returns - intact) > 1e-3).all()
    if ":90:" in deficit:
        late = whole.evaluate(begun)
        assert len(runs) == 1, "it begins within the round"
        np.testing.assert_allclose(late.returns, step_by_step.evaluate(begun).returns)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (LaneStep(len, 3, 1), "the lane_step of NCAP takes 3 weights and the circuit has 4"),
        (LaneStep(len, 4, 2), "the lane_step of NCAP takes 2 numbers of state and the circuit has 1"),
    ],
)
def test_a_step_that_does_not_fit_its_circuit_is_refused(step, message, monkeypatch):
    agent, envs = agent_in("ncap", 3)
    monkeypatch.setattr(NCAP, "lane_step", lambda _: step)
    with pytest.raises(CircuitMismatch, match=message):
        Fused(agent, envs)


SENSES = {"joint_pos": 5, "body_velocities": 18}


class Louder(MLP):
    """Steps as no MLP does."""

    def forward(self, sensors, state, pins=None):
        motor, state = super().forward(sensors, state, pins)
        return 2.0 * motor, state


class Wider(MLP):
    """Is built otherwise, and steps as any MLP."""

    def __init__(self, senses, n_motors, rng=None):
        super().__init__(senses, n_motors, hidden=(128,), rng=rng)


def test_a_subclass_with_a_step_of_its_own_is_not_run_as_the_class_that_it_is_of():
    sensors, state, start = torch.randn(3, 2, 23), {}, torch.zeros(3, 2, dtype=torch.bool)
    louder, wider = Louder(SENSES, 5), Wider(SENSES, 5)
    assert lane_step_of(louder) is None
    assert lane_step_of(wider).n_weights == sum(weight.numel() for weight in wider.parameters())
    stepped = torch.stack([louder(row, state)[0] for row in sensors])
    assert torch.allclose(louder.unroll(sensors, state, start)[0], stepped)


def unknown_name(numbers, weights, sensors, memory, motors, room):  # noqa: ARG001
    motors[0] = no_such_function(sensors[0])  # noqa: F821


def test_a_step_that_numba_cannot_compile_is_refused_in_one_line():
    with pytest.raises(
        MissingDependency, match=r"cannot compile test_fused\.unknown_name for lanes: NameError"
    ) as refused:
        compiled_step(unknown_name, WIDTH)
    assert "\n" not in str(refused.value)
