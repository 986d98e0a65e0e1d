"""What an algorithm is: one file and one line; a learner that advances, stops, goes on, is watched and rewired."""

import dataclasses
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from climbing import HillClimbing
from nervecord.agents import ALGORITHMS, ES, Agent
from nervecord.agents.algorithms import Algorithm, Learner
from nervecord.agents.algorithms.algorithm import COUNT, POSITIVE
from nervecord.agents.algorithms.registry import algorithm_named
from nervecord.agents.algorithms.sb3_learner import Draws
from nervecord.envs import EnvBatch
from nervecord.envs.sb3_env import SwimmerVecEnv
from nervecord.errors import CircuitMismatch, InvalidOption, InvalidRun, UnknownName
from nervecord.options import option
from nervecord.training.learning.training import Moment, resume, train
from nervecord.training.rollouts.evaluation import evaluate
from nervecord.training.runs import checkpoints
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.resolution import resolve
from nervecord.training.runs.run import Run
from nervecord.training.studies.transfers import transfer

SMALL = {
    "es": {"n_envs": 4},
    "cmaes": {"n_envs": 4},
    "ppo": {"n_envs": 4, "n_steps": 16, "batch_size": 32},
    "ddpg": {"n_envs": 4, "learning_starts": 40, "batch_size": 8, "buffer_size": 200},
}


def small(algorithm: str, **fields) -> RunConfig:
    options = {**SMALL.get(algorithm, SMALL["ddpg"]), **fields.pop("algorithm_options", {})}
    return RunConfig("ncap", algorithm, "swimmer4", **{"steps": 240, "episode_steps": 30, **fields},
                     algorithm_options=options)  # fmt: skip


@pytest.fixture
def climb():
    ALGORITHMS["climb"] = HillClimbing()
    yield "climb"
    del ALGORITHMS["climb"]


def test_a_new_algorithm_trains_resumes_evaluates_and_spreads_over_workers_unasked(climb, tmp_path):
    config = RunConfig("ncap", climb, "swimmer4", steps=480, episode_steps=30, checkpoint_every=120,
                       algorithm_options={"spread": 0.2})  # fmt: skip
    whole = train(config, tmp_path / "whole", progress=False)
    with pytest.raises(InterruptedError):
        train(config, tmp_path / "stopped", progress=False, callback=interrupt_at(240))
    resumed = resume(tmp_path / "stopped", progress=False)
    assert same(whole, resumed)
    assert evaluate(resumed, episodes=2).n == 2
    assert whole.metrics()["metric"].eq("train/best").sum() == 4
    with pytest.raises(UnknownName, match="option of climb 'spred'; did you mean 'spread'"):
        dataclasses.replace(config, algorithm_options={"spred": 1})
    with pytest.raises(InvalidOption, match="spread is 0; give a number above 0"):
        dataclasses.replace(config, algorithm_options={"spread": 0})


def test_what_is_no_algorithm_is_refused_where_it_is_asked_for():
    from nervecord.agents.algorithms.algorithm import make_algorithm

    assert isinstance(make_algorithm(HillClimbing, "x"), Algorithm)
    with pytest.raises(TypeError, match="x is a str, not an Algorithm"):
        make_algorithm("nothing", "x")


def interrupt_at(step):
    def callback(moment: Moment) -> None:
        if moment.step >= step:
            raise InterruptedError

    return callback


def same(one: Run, other: Run) -> bool:
    a, b = (run.load_checkpoint() for run in (one, other))
    return a.step == b.step and all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)


def test_algorithms_are_listed_without_torch():
    code = (
        "import sys; from nervecord.cli.main import main; main(['list', 'algorithms']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert {line.split()[0] for line in done.stdout.splitlines()[:-1]} >= set(SMALL)


@pytest.mark.parametrize("algorithm", SMALL)
def test_a_finished_run_is_trained_longer_as_if_it_had_not_been_finished(algorithm, tmp_path):
    """With optimiser, statistics, replay buffer and all: the same weights as a run that was long from the start."""
    long = train(small(algorithm, steps=480), tmp_path / "long", progress=False)
    train(small(algorithm), tmp_path / "run", progress=False)
    assert Run(tmp_path / "run").progress[1]
    longer = train(small(algorithm, steps=480), tmp_path / "run", progress=False)
    assert longer.config.steps == 480
    assert same(long, longer)
    facts = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert [each["steps"] for each in facts["history"]] == [240]
    with pytest.raises(InvalidRun, match="steps: 480 there, 240 asked"):
        train(small(algorithm), tmp_path / "run", progress=False)


def test_a_callback_sees_evaluations_and_stops_training_with_a_checkpoint(tmp_path):
    seen = []

    def callback(moment: Moment) -> bool:
        seen.append((moment.step, moment.metrics.get("eval/return")))
        return moment.step >= 360

    run = train(small("es", steps=10_000, evaluate_every=120), tmp_path / "run", progress=False, callback=callback)
    assert [step for step, _ in seen] == [120, 240, 360]
    assert all(value is not None for _, value in seen)
    assert run.progress == (360, False)
    assert train(small("es", steps=10_000, evaluate_every=120), tmp_path / "run", progress=False,
                 callback=lambda moment: moment.step >= 480).progress == (480, False)  # fmt: skip


def test_what_a_run_was_is_no_longer_what_defaults_are_now(tmp_path, monkeypatch):
    run = train(small("es"), tmp_path / "run", progress=False)
    changed = dataclasses.make_dataclass(
        "Options", [("n_envs", int, option(8, COUNT)), ("population", object, option(None, COUNT)),
                    ("sigma", float, option(9.0, POSITIVE)), ("learning_rate", float, option(9.0, POSITIVE))],
    )  # fmt: skip
    monkeypatch.setattr(type(ALGORITHMS["es"]), "Options", changed)
    again = Run(run.path).resolved
    assert (again.options["sigma"], again.options["learning_rate"]) == (0.1, 0.1)
    assert resolve(run.config).options["sigma"] == 9.0
    assert again.config.physics == "lanes"
    assert again.agent == run.resolved.agent


def counted(monkeypatch) -> list[int]:
    made, build = [], EnvBatch.__init__

    def counting(self, task, n_envs, **arguments):
        made.append(n_envs)
        build(self, task, n_envs, **arguments)

    monkeypatch.setattr(EnvBatch, "__init__", counting)
    return made


@pytest.mark.parametrize("algorithm", SMALL)
def test_nothing_is_built_twice(algorithm, tmp_path, monkeypatch):
    made = counted(monkeypatch)
    run = train(small(algorithm, evaluate_every=120), tmp_path / "run", progress=False)
    assert made == [4, 5]
    made.clear()
    read, loaded = [], checkpoints.load_file
    monkeypatch.setattr(checkpoints, "load_file", lambda path: read.append(path.name) or loaded(path))
    evaluate(run.path, episodes=2)
    assert made == [2]
    assert read == ["weights.safetensors"]
    made.clear()
    transfer(run.path, ("swimmer3", "swimmer5"), episodes=2)
    assert made == [2, 2, 2]
    made.clear()
    train(small(algorithm, start=str(run.path)), tmp_path / "tuned", progress=False)
    assert made == [4]


@pytest.mark.parametrize("algorithm", ["es", "ppo"])
def test_threads_of_one_process_train_as_each_alone_would(algorithm, tmp_path):
    """Case 11: 5 of 8 died, and PPO drew from one global generator."""
    configs = [small(algorithm, seed=seed) for seed in range(3)]
    alone = [train(config, tmp_path / f"a{config.seed}", progress=False) for config in configs]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda c: train(c, tmp_path / f"t{c.seed}", progress=False), configs))
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))


def test_torchs_threads_are_the_callers_again(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run = train(small("es"), tmp_path / "run", progress=False)
        evaluate(run, episodes=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("algorithm", ["es", "cmaes", "ppo"])
def test_a_learner_computes_on_its_device_alone(algorithm):
    """torch's meta device computes shapes and refuses to mix: whatever is made elsewhere shows."""
    resolved = resolve(small(algorithm))
    agent = Agent(resolved.agent).to("meta")
    learner_tensors = [*agent.buffers(), *agent.parameters(), *agent.circuit.initial_state(2).values()]
    assert {tensor.device.type for tensor in learner_tensors} == {"meta"}
    motor, state, _ = agent.run(np.zeros((2, agent.layout.size)))
    assert motor.device.type == "meta"
    assert {value.device.type for value in state.values()} == {"meta"}


def test_a_checkpoint_goes_on_where_draws_are_made_otherwise():
    """The state of a generator is a device's own; everything else moves."""
    resolved = resolve(small("ppo"))
    learners = []
    for _ in range(2):
        envs, agent = resolved.make_envs(4), Agent(resolved.agent)
        learners.append(algorithm_named("ppo").start(agent, envs, resolved.options, 0))
    learners[0].advance()
    state = learners[0].state_dict()
    learners[1].agent.load(learners[0].agent.circuit.state_dict(), None)
    learners[1].load_state_dict({**state, "generator": torch.zeros(16, dtype=torch.uint8)})
    assert learners[1].steps == learners[0].steps == 64
    assert np.array_equal(learners[1].rollout.observation, learners[0].rollout.observation)
    assert "train/loss" in learners[1].advance()


class DeviceGenerator:
    """A device's generator, as torch.cuda shows it: its state is how often it was drawn from."""

    def __init__(self, _=None):
        self.state = torch.zeros(16, dtype=torch.uint8)

    def get_rng_state(self, _=None):
        return self.state.clone()

    get_state = get_rng_state

    def set_rng_state(self, state, _=None):
        self.state = state.clone()

    def manual_seed(self, seed):
        self.state = torch.full((16,), seed, dtype=torch.uint8)
        return self

    def draw(self):
        self.state = self.state + 1


def test_draws_on_a_device_are_the_learners_own_and_go_on_with_it(monkeypatch):
    """On a GPU, SAC and TD3 moved the process's generator, and a run in two parts was another than in one."""
    outside = DeviceGenerator()
    for name in ("get_rng_state", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, getattr(outside, name))
    monkeypatch.setattr(torch, "Generator", DeviceGenerator)
    first, second = Draws(torch.device("cuda")), Draws(torch.device("cuda"))
    for _ in range(3):
        with first:
            outside.draw()
    assert outside.state[0] == 0
    state = first.state_dict()
    assert state["device_rng"].tolist() == [3] * 16
    second.load_state_dict(state, 7)
    assert second.state_dict()["device_rng"].tolist() == [3] * 16
    # From a CPU, whose checkpoints hold no such state, and from a kind of device with another.
    for there in ({"device_rng": None}, {"device_rng": torch.zeros(44, dtype=torch.uint8)}):
        second.load_state_dict({**state, **there}, 7)
        assert second.state_dict()["device_rng"].tolist() == [7] * 16
    assert outside.state[0] == 0


def test_a_device_that_is_not_here_is_one_line_before_anything_is_written(tmp_path):
    with pytest.raises(InvalidOption, match="device 'nowhere' cannot be used here"):
        train(small("es", device="nowhere"), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"sigma": 0}, "sigma is 0"), ({"sigma": np.nan}, "sigma is nan"), ({"episode_limit": 0}, "episode_limit is 0"),
     ({"learning_rate": -1}, "learning_rate is -1")],
)  # fmt: skip
def test_wrong_options_of_sb3s_es_are_one_line(options, words):
    with pytest.raises(CircuitMismatch, match=words):
        ES("CircuitPolicy", SwimmerVecEnv(4, body="swimmer3"), **options)


def test_forward_predict_and_the_policy_of_sb3_act_alike():
    """Defect 8: forward forgot squash and statistics."""
    resolved = resolve(RunConfig("mlp", "ppo", "swimmer4"))
    agent = Agent(dataclasses.replace(resolved.agent, squash=True))
    agent.normalizer.update(np.random.default_rng(0).normal(3, 2, (50, agent.layout.size)))
    seen = np.random.default_rng(1).normal(3, 2, (6, agent.layout.size))
    assert np.array_equal(agent(seen)[0].detach().numpy(), agent.predict(seen)[0])
    model = ES("CircuitPolicy", SwimmerVecEnv(4, body="swimmer4"), seed=0,
               policy_kwargs={"circuit": "mlp", "squash": True})  # fmt: skip
    assert np.array_equal(model.policy(torch.as_tensor(seen)).detach().numpy(), model.predict(seen)[0])


@pytest.mark.parametrize("typo", [{"critc": "mlp"}, {"action_sdt": 0.1}])
def test_policies_refuse_what_they_do_not_know(typo):
    """Defect 9."""
    from nervecord.agents import CircuitPPO

    with pytest.raises(TypeError, match="unexpected keyword"):
        CircuitPPO("CircuitPolicy", SwimmerVecEnv(2, body="swimmer3"), policy_kwargs=typo)


def test_what_does_not_fit_an_agent_is_one_line():
    agent = Agent(resolve(RunConfig("lstm", "ppo", "swimmer4")).agent)
    seen = np.zeros((3, agent.layout.size))
    with pytest.raises(CircuitMismatch, match=r"of shape \(3, 4\), and the agent needs \(batch, 15\)"):
        agent.predict(np.zeros((3, 4)))
    with pytest.raises(CircuitMismatch, match="episode_start has 1 values and the observation 3 rows"):
        agent.predict(seen, episode_start=np.ones(1, bool))
    other = Agent(resolve(RunConfig("gru", "ppo", "swimmer4")).agent).predict(seen)[1]
    with pytest.raises(CircuitMismatch, match=r"the state holds .*, and LSTM keeps"):
        agent.predict(seen, other)


def test_a_longer_training_that_is_refused_changes_nothing(tmp_path):
    run = train(small("es"), tmp_path / "run", progress=False)
    before = (run.path / "config.json").read_bytes()
    with pytest.raises(InvalidOption, match="has 1 round of 4"):
        train(small("es", steps=4800), run.path, progress=False, workers=99)
    assert (run.path / "config.json").read_bytes() == before
    assert train(small("es"), run.path, progress=False).done


def test_a_longer_training_may_compute_elsewhere(tmp_path):
    run = train(small("es"), tmp_path / "run", progress=False)
    longer = train(small("es", steps=run.config.steps + 1, device="cpu"), run.path, progress=False)
    assert longer.resolved.config.steps == longer.config.steps == run.config.steps + 1


def test_a_run_that_is_to_be_trained_longer_is_not_finished(tmp_path, caplog):
    run = train(small("es"), tmp_path / "run", progress=False)
    run.train_longer(dataclasses.replace(run.config, steps=10 * run.config.steps))
    evaluate(run.path, episodes=1)
    assert any("is not finished" in line for line in caplog.messages)


def test_who_is_called_back_in_a_deficit_sees_the_whole_agent(tmp_path):
    seen = []
    config = small("ppo", deficits=("joint_pos:0:1000000",))
    train(config, tmp_path / "run", progress=False, callback=lambda moment: seen.append(moment.agent.missing))
    assert seen == [None] * len(seen) != []


class Walk(Learner):
    """Do nothing but count steps."""

    def __init__(self, agent, envs):
        super().__init__()
        self.agent, self.steps_at_once = agent, envs.n_envs

    def advance(self):
        self.steps += self.steps_at_once
        return {}

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


class Walking(Algorithm):
    """Start as the guide says, with four arguments."""

    @dataclasses.dataclass(frozen=True)
    class Options:
        n_envs: int = option(2, COUNT)

    def start(self, agent, envs, options, seed):  # noqa: ARG002
        return Walk(agent, envs)


def test_an_algorithm_of_another_kind_starts_as_the_guide_says(tmp_path, monkeypatch):
    monkeypatch.setitem(ALGORITHMS._held, "walk", None)
    ALGORITHMS["walk"] = Walking  # a class, as an entry point may name
    assert train(RunConfig(algorithm="walk", steps=10), tmp_path / "run", progress=False).done

    class Nowhere(Walking):
        Options = dataclasses.make_dataclass("Options", [("speed", float, option(1.0, POSITIVE))])

    with pytest.raises(TypeError, match="the options of nowhere have no n_envs"):
        ALGORITHMS["nowhere"] = Nowhere


def test_learners_of_sb3_have_draws_of_their_own(tmp_path):
    alone = train(small("td3"), tmp_path / "alone", progress=False)
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    noisy = train(small("td3"), tmp_path / "noisy", progress=False, callback=lambda _: bool(torch.randn(1) > 9))
    assert same(alone, noisy)
    torch.manual_seed(5)
    there = torch.randn(1)
    torch.manual_seed(5)
    train(small("td3"), tmp_path / "again", progress=False)
    assert torch.randn(1) == there
    assert before == np.random.get_state()[1].tolist()  # noqa: NPY002


@pytest.mark.slow
def test_learners_of_sb3_in_threads_end_as_each_does_alone(tmp_path):
    configs = {seed: small("sac", seed=seed) for seed in (0, 1)}
    alone = {seed: train(config, tmp_path / f"alone{seed}", progress=False) for seed, config in configs.items()}
    with ThreadPoolExecutor(2) as pool:
        runs = {seed: pool.submit(train, config, tmp_path / f"run{seed}", False) for seed, config in configs.items()}
        assert all(same(alone[seed], run.result()) for seed, run in runs.items())
