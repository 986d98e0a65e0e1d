"""Bricks: partitions against the authors' code, and the known answer of each operation."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nervecord import RunConfig, evaluate, find_bricks, grow, load_agent, merge, train, update_brick
from nervecord.agents import Agent, AgentSpec
from nervecord.circuits import MLP, Pins, make_circuit
from nervecord.circuits.contract import Circuit
from nervecord.circuits.unit_axes import axes_of, incoming_rows, layers_of, reordered, touching, widened
from nervecord.envs import EnvBatch
from nervecord.errors import CircuitMismatch, InvalidOption, InvalidRun, OutputExists, UnknownName
from nervecord.pages import report
from nervecord.training.learning.selection import train_only as keep_to
from nervecord.training.rollouts.evaluation import evaluate_agent
from nervecord.training.runs.resolution import resolve
from nervecord.training.runs.run import Run
from nervecord.training.studies.bricks import (
    Retrieving,
    Router,
    at_random,
    by_activity,
    by_weights,
    combined,
    edited,
    functions,
    heard_as,
    load_bricks,
    match,
    oracle,
    predictivity,
    record_without,
    remaining_commands,
    remaining_returns,
    returns_while,
    similarity,
)
from nervecord.training.studies.bricks.causes import silencing
from nervecord.training.studies.bricks.findings import brick_named
from nervecord.training.studies.bricks.partition import centres, inertia, unit_rows
from nervecord.training.studies.bricks.retrieval import centres_of, heard_in, kept
from nervecord.training.studies.bricks.telling import SIGNIFICANT, extent, tail

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "bricks.npz")
SMALL = {"mlp": {"hidden": [12, 10]}, "ctrnn": {"units": 12}, "gru": {"units": 12}, "lstm": {"units": 12}}
SENSES = {"joint_pos": 5, "body_velocities": 6}


def of(case: int) -> dict[str, np.ndarray]:
    prefix = f"case{case}/"
    return {key.removeprefix(prefix): GOLDEN[key] for key in GOLDEN.files if key.startswith(prefix)}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def circuit_of(name: str, seed: int = 0, **options) -> Circuit:
    """Return a small circuit in double precision whose readout is not near zero."""
    circuit = make_circuit(name, SENSES, 4, SMALL[name] | options, rng(seed)).double()
    with torch.no_grad():
        for key, value in circuit.named_parameters():
            if "readout" in key or "layers.2" in key or "bias" in key or "start" in key:
                value.copy_(torch.randn(value.shape, generator=rng(seed + 1), dtype=torch.double) / 2)
    return circuit


def sensors_of(steps: int = 40, batch: int = 3) -> torch.Tensor:
    return torch.randn(steps, batch, sum(SENSES.values()), generator=rng(7), dtype=torch.double)


def motors_of(circuit: Circuit, sensors: torch.Tensor) -> torch.Tensor:
    state = circuit.initial_state(sensors.shape[1])
    with torch.no_grad():
        return circuit.unroll(sensors, state, torch.zeros(sensors.shape[:2], dtype=torch.bool))[0]


def with_weights(circuit: Circuit, weights: dict[str, torch.Tensor]) -> Circuit:
    circuit.load_state_dict(weights)
    return circuit


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(((one[:, None] == one) == (other[:, None] == other)).all())


# Partition.


@pytest.mark.parametrize("case", range(3))
def test_equal_k_means_is_as_good_as_the_authors(case):
    golden = of(case)
    bricks = int(golden["options"][2])
    labels = by_weights(golden["rows"], bricks)
    assert len(set(np.bincount(labels))) == 1
    assert inertia(unit_rows(golden["rows"]), labels) <= 1.02 * golden["inertia"]
    if case == 0:
        assert same_partition(labels, golden["planted"])
    # The objective is theirs: of their labels it is their number.
    assert inertia(unit_rows(golden["rows"]), golden["labels"]) == pytest.approx(float(golden["inertia"]), rel=1e-12)


@pytest.mark.parametrize(
    "cut", [lambda units, k: by_weights(np.random.default_rng(0).normal(size=(units, 5)), k), at_random]
)
@pytest.mark.parametrize(("units", "bricks"), [(10, 4), (11, 3), (8, 4)])
def test_bricks_differ_by_one_unit_at_most(cut, units, bricks):
    sizes = np.bincount(cut(units, bricks))
    assert len(sizes) == bricks
    assert sizes.sum() == units
    assert np.ptp(sizes) <= 1


def test_units_that_are_active_together_are_one_brick():
    draws = np.random.default_rng(0)
    causes = draws.normal(size=(500, 3))
    planted = np.repeat([0, 1, 2], [6, 5, 4])
    activity = causes[:, planted] * draws.choice([-1, 1], 15) + 0.2 * draws.normal(size=(500, 15))
    labels = by_activity(np.c_[activity, np.ones(500)])
    assert same_partition(labels[:-1], planted)
    assert labels[-1] == -1  # never changes, and so is active with nobody


# Function.


@pytest.mark.parametrize("case", range(3))
def test_the_hypergeometric_test_is_the_authors(case):
    golden = of(case)
    units, _, bricks = golden["options"][:3].astype(int)
    sizes, top = np.full(bricks, units // bricks), max(3, units // 8)
    for counts, (threshold, share, mean_extent) in zip(golden["counts"], golden["threshold_share_extent"], strict=True):
        rejected = tail(counts.astype(int), sizes, units, top) <= SIGNIFICANT
        assert (rejected == (counts > threshold)).all()
        assert rejected.mean() == pytest.approx(share)
        found = extent(counts, sizes, units, top)[rejected]
        assert (found.mean() if rejected.any() else 0) == pytest.approx(mean_extent)


def test_few_units_cannot_be_significant():
    assert tail(np.array([3]), np.array([8]), 24, 3)[0] == pytest.approx(0.0277, abs=1e-4)


def test_a_brick_is_for_what_its_units_tell():
    draws = np.random.default_rng(0)
    holds = draws.random((800, 2)) < 0.3
    activity = draws.normal(size=(800, 40))
    activity[:, :10] += 3 * holds[:, [0]]
    activity[:, 10:20] -= 3 * holds[:, [1]]  # tells by being low
    found = functions(predictivity(activity, holds), np.repeat(np.arange(4), 10))
    assert found.significant.tolist() == [[True, False, False, False], [False, True, False, False]]
    assert found.counts.max() == found.top == 5
    assert found.extent[0, 0] == 4
    assert found.null < 0.2


def test_predictivity_is_the_average_precision_of_another_library():
    metrics = pytest.importorskip("sklearn.metrics")
    draws = np.random.default_rng(1)
    activity, holds = draws.normal(size=(200, 3)), draws.random((200, 2)) < 0.4
    found = predictivity(activity, holds)
    for predicate, unit in np.ndindex(found.shape):
        both = [metrics.average_precision_score(each[:, predicate], activity[:, unit]) for each in (holds, ~holds)]
        assert found[predicate, unit] == pytest.approx(max(both), abs=1e-12)


# Cause.


def blocks() -> MLP:
    """Return a network of three blocks, each from one sensor to one motor."""
    circuit = MLP({"joint_pos": 3}, 3, hidden=[30], rng=rng())
    block = torch.arange(30)[torch.randperm(30, generator=rng(5))] // 10
    with torch.no_grad():
        first, last = (circuit.get_parameter(f"layers.{layer}.weight") for layer in (0, 1))
        first.copy_(torch.eye(3)[block] * torch.rand(30, 1, generator=rng(1)).add(0.5) + 0.05 * first)
        last.copy_(torch.eye(3)[:, block] * torch.rand(30, generator=rng(2)))
    circuit.block = block.numpy()
    return circuit


def test_three_blocks_are_found_and_each_drives_its_own_joint():
    circuit = blocks()
    labels = by_weights(incoming_rows(circuit, "hidden_0").double().numpy(), 3)
    assert same_partition(labels, circuit.block)
    remains = remaining_commands(circuit, torch.randn(50, 4, 3, generator=rng(3)), sets_of(circuit))
    assert np.allclose(remains, 1 - np.eye(3), atol=1e-6)


def sets_of(circuit: MLP) -> list[list[str]]:
    """Return the units of each block."""
    return [[f"hidden_0_{unit}" for unit in np.flatnonzero(circuit.block == block)] for block in range(3)]


def test_while_a_joint_is_pulled_all_is_earned_by_its_own_block():
    """In steps that all earn the same; of sensors that do not depend on what the motors do."""
    circuit = blocks()
    scale = silencing(circuit, [*sets_of(circuit), ()])
    sensors = torch.randn(60, 3, generator=rng(3))
    with torch.no_grad():
        motors = torch.stack(
            [circuit(row.expand(4, 3), {}, Pins(scale, torch.zeros_like(scale)))[0] for row in sensors]
        )
    holds = (motors > 0.1).permute(2, 1, 0).numpy()[:, :, None]
    assert np.array_equal(returns_while(np.ones((4, 1, 60)), holds), 1 - np.eye(3))


def test_what_is_earned_while_something_is_so_and_while_it_is_not_is_the_return():
    envs = EnvBatch("swim", 8, body="swimmer4", episode_steps=40, senses=["joint_pos"])
    agent = Agent(AgentSpec("mlp", envs.layout, 3, circuit_options={"hidden": [30]}))
    agent.circuit.load_state_dict(blocks().state_dict())
    sets = sets_of(blocks())
    try:
        recording = record_without(agent, envs, sets)
        returns = remaining_returns(agent, envs, sets)
    finally:
        envs.close()
    rewards, motors = (each.reshape(2, 4, 40, *each.shape[2:]).swapaxes(0, 1) for each in
                       (recording.rewards, recording.actions))  # fmt: skip
    assert np.allclose(rewards.sum(2), returns, rtol=1e-5)
    pulls = np.moveaxis(np.abs(motors), -1, 0) > 1e-3
    assert (np.diag(returns_while(rewards, pulls)) == 0).all(), "a motor without its block never pulls"
    bent = np.asarray(recording.joint_pos[:, :, 1] > 0).reshape(2, 4, 40).swapaxes(0, 1)
    both = np.stack([bent, ~bent])
    earned = (rewards[-1] * both[:, -1]).sum((1, 2))
    assert (earned > 0).all()
    assert np.allclose(returns_while(rewards, both) @ earned, rewards.sum((1, 2))[:-1], rtol=1e-5)
    assert np.isnan(returns_while(rewards, np.zeros_like(both))).all()


# Retrieve.


@pytest.mark.parametrize("case", range(3))
def test_scores_and_the_routers_start_are_the_authors(case):
    golden = of(case)
    hidden, labels = torch.as_tensor(golden["hidden"]), golden["labels"]
    centre = torch.as_tensor(centres(unit_rows(golden["rows"]), labels))
    assert np.allclose(centre, golden["centres"], atol=1e-12)
    values = torch.relu(torch.nn.functional.normalize(hidden) @ torch.as_tensor(golden["rows"]).T)
    assert np.allclose(oracle(values, labels), golden["oracle"], atol=1e-9)
    assert np.allclose(similarity(hidden, centre), golden["similarity"], atol=1e-9)
    assert np.allclose(Router(centre)(hidden).detach(), golden["router_first"], atol=1e-9)


def test_relu_bricks_that_are_silent_outside_their_condition_are_retrieved_without_a_loss():
    draws = np.random.default_rng(0)
    labels, condition = np.repeat(np.arange(4), 6), draws.integers(4, size=50)
    values = torch.as_tensor(np.maximum(draws.normal(size=(50, 24)) + 2, 0) * (labels == condition[:, None]))
    keep = kept(oracle(values, labels), torch.ones(50, dtype=torch.int))
    assert torch.equal(values * keep[:, labels], values)
    assert (keep.sum(1) == 1).all()


def test_a_router_learns_the_oracle():
    golden = of(2)
    rows, labels = torch.as_tensor(golden["rows"]), golden["labels"]
    heard = torch.randn(2000, rows.shape[1], generator=rng(), dtype=torch.double)
    wanted = oracle(torch.relu(heard @ rows.T), labels)
    router = Router(torch.as_tensor(golden["centres"]))
    best = wanted.argmax(1)
    before = (router(heard).argmax(1) == best).double().mean()
    router.learn(heard, wanted)
    assert (router(heard).argmax(1) == best).double().mean() > max(0.5, before)


@pytest.mark.parametrize("name", SMALL)
def test_all_bricks_kept_are_the_agent_itself(name):
    config = RunConfig(name, "ppo", circuit_options=SMALL[name], episode_steps=20)
    agent = Agent(resolve(config).agent)
    layer = layers_of(agent.circuit, axes_of(agent.circuit))[-1]
    labels = at_random(agent.circuit.groups[layer].stop - agent.circuit.groups[layer].start, 3)
    centre = centres_of(agent.circuit, layer, labels)

    def returns(q: int | None) -> np.ndarray:
        envs = EnvBatch("swim", 2, body="swimmer6", episode_steps=20)
        acts = agent
        if q is not None:
            acts = Retrieving(agent, layer, labels, lambda heard, _: similarity(heard, centre), np.full(2, q))
        try:
            return evaluate_agent(acts, envs).returns
        finally:
            envs.close()

    with torch.no_grad():
        for parameter in agent.circuit.parameters():
            parameter.mul_(5)
    assert np.allclose(returns(3), returns(None), rtol=1e-4)
    assert not np.allclose(returns(1), returns(None), rtol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_what_a_layer_hears_times_its_rows_is_its_input(name):
    circuit = circuit_of(name)
    layer = layers_of(circuit, axes_of(circuit))[-1]
    now, before = (torch.randn(4, len(circuit.neurons), generator=rng(seed), dtype=torch.double) for seed in (1, 2))
    product = heard_in(circuit, layer, now, before) @ incoming_rows(circuit, layer).T
    weights, some = circuit.state_dict(), circuit.groups
    gates = {"gru": 3, "lstm": 4}.get(name, 1)
    if name == "mlp":
        expected = now[:, some["hidden_0"]] @ weights["layers.1.weight"].T
    elif name == "ctrnn":
        expected = now[:, some["sensors"]] @ weights["weight_in"].T + before[:, some["units"]] @ weights["weight_rec"].T
    else:
        parts = (now[:, some["sensors"]] @ weights["cell.weight_ih_l0"].T
                 + before[:, some["units"]] @ weights["cell.weight_hh_l0"].T)  # fmt: skip
        expected = parts.unflatten(1, (gates, -1)).sum(1)
    assert torch.allclose(product, expected, atol=1e-12)


# Merge.


@pytest.mark.parametrize("name", SMALL)
def test_merging_a_circuit_with_its_permuted_copy_changes_nothing(name):
    circuit, sensors = circuit_of(name), sensors_of()
    axes, orders, signs = axes_of(circuit), {}, {}
    for layer in layers_of(circuit, axes):
        n = circuit.groups[layer].stop - circuit.groups[layer].start
        orders[layer] = torch.randperm(n, generator=rng(4))
        if axes.odd is not None:
            signs[layer] = torch.where(torch.rand(n, generator=rng(6)) < 0.5, -1.0, 1.0)
    own = circuit.state_dict()
    copied = reordered(circuit, orders, signs)
    copy = with_weights(circuit_of(name), copied)
    whole = motors_of(circuit, sensors)
    assert (motors_of(copy, sensors) - whole).abs().max() < 1e-12
    matched, alike = match(circuit, copy, sensors)
    assert min(alike.values()) == pytest.approx(1)
    assert all(torch.allclose(matched[key], own[key], atol=1e-12) for key in own)
    merged = with_weights(circuit_of(name), combined(own, [own, matched], (0.5, 0.5)))
    assert (motors_of(merged, sensors) - whole).abs().max() < 1e-12
    plain = with_weights(circuit_of(name), combined(own, [own, copied], (0.5, 0.5)))
    assert (motors_of(plain, sensors) - whole).square().mean().sqrt() > 0.05


def test_changes_from_one_start_add_up():
    start, one, other = ({"w": torch.tensor(values)} for values in ([1.0, 1.0], [3.0, 1.0], [1.0, 6.0]))
    assert combined(start, [one, other], (0.5, 2.0))["w"].tolist() == [2.0, 11.0]


def test_signs_are_turned_of_odd_functions_alone():
    circuit = circuit_of("ctrnn")
    with pytest.raises(CircuitMismatch, match="CTRNN have no odd activation function"):
        reordered(circuit, {}, {"units": -torch.ones(12)})


def normalised(seed: int) -> Agent:
    """Return an agent whose observations are normalised by statistics of its own."""
    agent = Agent(resolve(RunConfig("mlp", "ppo", seed=seed, circuit_options=SMALL["mlp"])).agent)
    agent.normalizer.mean.copy_(torch.randn(agent.layout.size, generator=rng(seed)) * 0.2)
    agent.normalizer.var.copy_(torch.rand(agent.layout.size, generator=rng(seed + 9)) + 0.2)
    with torch.no_grad():
        agent.circuit.get_parameter("layers.2.weight").mul_(50)
    return agent


def test_weights_are_rewritten_for_other_statistics():
    agent, other = normalised(0), normalised(1)
    observation = np.random.default_rng(0).normal(size=(20, agent.layout.size)) * 0.5
    expected, _ = agent.predict(observation)
    there = heard_as(agent, other)
    other.circuit.load_state_dict(there)
    assert np.abs(expected).mean() > 0.1
    assert np.allclose(other.predict(observation)[0], expected, atol=1e-5)
    plain = Agent(dataclasses.replace(agent.spec, normalize=False))
    plain.circuit.load_state_dict(heard_as(agent, plain))
    assert np.allclose(plain.predict(observation)[0], expected, atol=1e-5)


SHORT = RunConfig(
    "mlp", "ppo", steps=512, episode_steps=100, circuit_options={"hidden": [24, 24]},
    algorithm_options={"n_steps": 64, "n_envs": 8},
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Run, Run]:
    folder = tmp_path_factory.mktemp("bricks")
    return tuple(
        train(dataclasses.replace(SHORT, seed=seed, body=body), folder / body, progress=False)
        for seed, body in enumerate(("swimmer6", "swimmer6-eel"))
    )


def test_a_merged_run_lies_between_two_runs_and_is_a_run(runs, tmp_path):
    merged = merge(*runs, tmp_path / "both", episodes=2)
    assert not merged.has_one_start
    assert merged.run.done
    assert merged.returns.keys() == merged.unmatched.keys() == {"swimmer6", "swimmer6-eel"}
    for body, found in merged.returns.items():
        assert np.allclose(found[0], evaluate(runs[0], 2, body=body).returns, rtol=1e-3)
        assert np.allclose(found[-1], evaluate(runs[1], 2, body=body).returns, rtol=1e-3)
    assert np.array_equal(evaluate(merged.run, 2).returns, merged.returns["swimmer6"][2])
    again = train(dataclasses.replace(SHORT, start=str(merged.run.path)), tmp_path / "on", progress=False)
    assert again.done
    assert load_agent(merged.run.path).n_weights == load_agent(again.path).n_weights
    with pytest.raises(InvalidRun, match=r"--start .*both with another --out trains them"):
        train(dataclasses.replace(merged.run.config, steps=10_000), merged.run.path, progress=False)
    assert 'id="merge"' in report(merged.run).read_text(encoding="utf-8")


def test_runs_of_one_start_are_merged_as_they_are(runs, tmp_path):
    config = dataclasses.replace(SHORT, start=str(runs[0].path), seed=5)
    on = train(config, tmp_path / "on", progress=False)
    merged = merge(runs[0], on, tmp_path / "twice", weights=(0.0, 2.0), episodes=1)
    assert merged.has_one_start
    assert not merged.unmatched
    start, end, twice = (run.agent() for run in (runs[0], on, merged.run))
    there = heard_as(end, start)
    for name, value in start.circuit.state_dict().items():
        assert torch.allclose(twice.circuit.state_dict()[name], value + 2 * (there[name] - value), atol=1e-5)
    same_seed = merge(runs[0], train(dataclasses.replace(SHORT, steps=1024), tmp_path / "long", progress=False),
                      tmp_path / "seeds", episodes=1)  # fmt: skip
    assert same_seed.has_one_start


def test_what_cannot_be_merged_is_one_line(runs, tmp_path):
    one, out = runs[0], tmp_path / "out"
    gru = train(
        dataclasses.replace(SHORT, circuit="gru", circuit_options={"units": 8}), tmp_path / "gru", progress=False
    )
    wide = dataclasses.replace(SHORT, circuit_options={"hidden": [24]})
    wide = train(wide, tmp_path / "wide", progress=False)
    for other, line in ((gru, "circuit is mlp in .* and gru in"), (wide, r"hidden is \[24, 24\] in .* and \[24\] in")):
        with pytest.raises(CircuitMismatch, match=f"{line}.*merge runs of one circuit"):
            merge(one, other, out)
    with pytest.raises(InvalidOption, match=r"weights add up to 1.5, and these runs have no start in common"):
        merge(*runs, out, weights=(0.5, 1.0))
    with pytest.raises(InvalidOption, match="give two numbers"):
        merge(*runs, out, weights=(0.5, float("nan")))
    with pytest.raises(OutputExists):
        merge(*runs, one.path)
    assert not out.exists()


# Update.


def test_an_edit_is_exact_and_the_least_possible():
    draws = np.random.default_rng(0)
    keys = draws.normal(size=(400, 12)) @ draws.normal(size=(12, 12))
    weight, bias, key, target = draws.normal(size=(3, 12)), draws.normal(size=3), keys[7], draws.normal(size=3)
    found = edited(weight, bias, key, target, keys)
    assert np.allclose(found @ key + bias, target, atol=1e-10)

    def change(other: np.ndarray) -> float:
        return np.sqrt(np.square(keys @ (other - weight).T).sum(1).mean())

    error = target - bias - weight @ key
    least = np.linalg.norm(error) / np.sqrt(key @ np.linalg.solve(keys.T @ keys / len(keys), key))
    assert change(found) == pytest.approx(least, rel=1e-4)
    assert change(weight + np.outer(error, key) / (key @ key)) > 1.2 * least
    with pytest.raises(InvalidOption, match="all zeros"):
        edited(weight, bias, np.zeros(12), target, keys)


@pytest.mark.parametrize("algorithm", ["ppo", "es"])
@pytest.mark.parametrize("name", SMALL)
def test_training_a_part_moves_no_other_weight(name, algorithm, tmp_path):
    options = {"ppo": {"n_steps": 64, "n_envs": 4, **({} if name == "mlp" else {"sequence_length": 16})},
               "es": {"n_envs": 8}}  # fmt: skip
    config = RunConfig(
        name, algorithm, steps=480, episode_steps=60, circuit_options=SMALL[name], algorithm_options=options[algorithm]
    )
    first = train(config, tmp_path / "first", progress=False)
    before = first.agent()
    layer = layers_of(before.circuit, axes_of(before.circuit))[0]
    units = tuple(neuron.name for neuron in before.circuit.neurons[before.circuit.groups[layer]])[2:5]
    after = dataclasses.replace(config, start=str(first.path), train_only=units, seed=1)
    run = train(after, tmp_path / "part", progress=False)
    masks, now = touching(before.circuit, units), run.agent()
    moved = 0
    for key, value in before.circuit.state_dict().items():
        there = now.circuit.state_dict()[key]
        assert torch.equal(there[~masks[key]], value[~masks[key]])
        moved += int((there != value).sum())
    assert moved > 0.5 * sum(int(mask.sum()) for mask in masks.values())
    assert now.observation_stats == before.observation_stats


def test_adam_keeps_no_moments_of_what_is_not_trained(runs, tmp_path):
    run = train(dataclasses.replace(SHORT, start=str(runs[0].path), train_only=("hidden_1_3",)), tmp_path / "part",
                progress=False)  # fmt: skip
    training = run.load_checkpoint().training
    mask = touching(run.agent().circuit, ["hidden_1_3"])["layers.1.weight"]
    moments = [value for name, value in training.items() if name.endswith("exp_avg") and value.shape == mask.shape]
    assert any((each[~mask] == 0).all() and (each[mask] != 0).any() for each in moments)


def test_a_part_that_is_trained_resumes_to_the_same_weights(runs, tmp_path):
    config = dataclasses.replace(SHORT, start=str(runs[0].path), train_only=("hidden_0_1",), checkpoint_every=512)
    whole = train(dataclasses.replace(config, steps=1024), tmp_path / "whole", progress=False)
    train(config, tmp_path / "parts", progress=False)
    parts = train(dataclasses.replace(config, steps=1024), tmp_path / "parts", progress=False)
    for name, value in whole.agent().circuit.state_dict().items():
        assert torch.equal(parts.agent().circuit.state_dict()[name], value)


def test_what_cannot_be_trained_in_part_is_one_line(runs, tmp_path):
    start, out = str(runs[0].path), tmp_path / "out"
    with pytest.raises(InvalidOption, match="give start too"):
        dataclasses.replace(SHORT, train_only=("hidden_0_1",))
    with pytest.raises(CircuitMismatch, match="'motor_0' is not a hidden unit of MLP; give some, such as hidden_0_0"):
        train(dataclasses.replace(SHORT, start=start, train_only=("motor_0",)), out, progress=False)
    search = dataclasses.replace(
        SHORT, algorithm="cmaes", algorithm_options={}, circuit_options={"hidden": [8]}, steps=100
    )
    raw = train(dataclasses.replace(search, algorithm="es"), tmp_path / "es", progress=False)
    with pytest.raises(CircuitMismatch, match="updates of cmaes cannot be masked; choose es or ppo"):
        train(dataclasses.replace(search, start=str(raw.path), train_only=("hidden_0_1",)), out, progress=False)
    assert not out.exists()
    rewiring = SimpleNamespace(agent=runs[0].agent(), takes_projections=True, rewires=True)
    with pytest.raises(CircuitMismatch, match="rewires itself after updates, which moves other weights too"):
        keep_to(rewiring, dataclasses.replace(SHORT, start=start, train_only=("hidden_0_1",)))


# Grow.


@pytest.mark.parametrize("name", SMALL)
def test_more_units_change_nothing_before_they_are_trained(name):
    circuit, sensors = circuit_of(name), sensors_of()
    more = {"hidden": [17, 15]} if name == "mlp" else {"units": 17}
    wide = circuit_of(name, seed=3, **more)
    layers = layers_of(circuit, axes_of(circuit))
    wide.load_state_dict(widened(circuit, wide, layers))
    assert (motors_of(wide, sensors) - motors_of(circuit, sensors)).abs().max() < 1e-12
    new = [neuron.name for neuron in wide.neurons if neuron.name not in {n.name for n in circuit.neurons}]
    assert len(new) == 5 * len(layers)
    start = torch.zeros(sensors.shape[:2], dtype=torch.bool)
    wide.unroll(sensors, wide.initial_state(3), start)[0].square().sum().backward()
    last, n = layers[-1], circuit.groups[layers[-1]].stop - circuit.groups[layers[-1]].start
    for key, groups in axes_of(wide).axes.items():
        value = dict(wide.named_parameters())[key]
        if groups[0] == last and len(groups) > 1:
            by_gate = value.grad.reshape(-1, n + 5, value.shape[1])
            assert (by_gate[:, n:] == 0).all()  # nobody hears the new units yet
            assert (value.detach().reshape(by_gate.shape)[:, n:, : -5 if groups[1] == last else None] != 0).any()
        if groups[1:] == (last,) and groups[0] == "motors":
            assert (value[:, n:] == 0).all()
            assert (value.grad[:, n:] != 0).any()


def test_a_grown_run_acts_as_before_and_its_new_units_are_trained_alone(runs, tmp_path):
    grown, units = grow(runs[0], 8, tmp_path / "grown", body="swimmer8")
    assert len(units) == 16
    assert np.allclose(evaluate(grown, 2).returns, evaluate(runs[0], 2, body="swimmer8").returns, rtol=1e-4)
    config = dataclasses.replace(grown.config, start=str(grown.path), train_only=units, steps=512)
    trained = train(config, tmp_path / "trained", progress=False)
    old = grown.agent().circuit.state_dict()["layers.0.weight"]
    new = trained.agent().circuit.state_dict()["layers.0.weight"]
    assert torch.equal(new[:24], old[:24])
    assert not torch.equal(new[24:], old[24:])
    with pytest.raises(OutputExists):
        grow(runs[0], 8, tmp_path / "grown")


# The study.


def test_a_study_is_kept_with_the_run_and_shown_in_its_report(runs):
    run = runs[0]
    with pytest.raises(InvalidRun, match="is not cut into bricks yet; nervecord bricks"):
        load_bricks(run)
    study = find_bricks(run, number=2, bodies=["swimmer4"], episodes=2)
    assert load_bricks(run) == {brick.name: brick for brick in study.bricks}
    for method in ("weights", "activity", "random"):
        for layer in ("hidden_0", "hidden_1"):
            units = [
                unit for brick in study.bricks if (brick.layer, brick.method) == (layer, method) for unit in brick.units
            ]
            assert sorted(units) == sorted(f"{layer}_{unit}" for unit in range(24))
    assert {"return swimmer6", "control swimmer4", "command 4"} <= set(study.table)
    assert set(study.moments["brick"]) == {brick.name for brick in study.bricks}
    assert {"joint 2 is bending dorsally", "joint 4 is bending ventrally"} <= set(study.moments["so"])
    assert np.isfinite(study.moments["return"]).any()
    own = evaluate(run, 2).mean_return.mean
    whole = study.retrieval[study.retrieval["q"] == 2]
    assert np.allclose(whole["mean"], own, rtol=1e-4)
    page = report(run).read_text(encoding="utf-8")
    assert 'id="bricks"' in page
    assert study.words[0] in page
    with pytest.raises(UnknownName, match="unknown brick 'hidden_0-weight-0'; did you mean 'hidden_0-weights-0'"):
        brick_named(run, "hidden_0-weight-0")


@pytest.mark.parametrize(("name", "units"), [("ctrnn", 24), ("gru", 24), ("lstm", 100)])
def test_a_circuit_with_a_memory_has_bricks_too(name, units, tmp_path):
    config = RunConfig(name, "es", steps=480, episode_steps=60, circuit_options={"units": units},
                       algorithm_options={"n_envs": 8})  # fmt: skip
    run = train(config, tmp_path / "run", progress=False)
    study = find_bricks(run, number=2, episodes=2)
    assert {brick.layer for brick in study.bricks} == {"units"}
    assert ("learned" in set(study.retrieval["score"])) is (units >= 100)
    whole = study.retrieval[study.retrieval["q"] == 2]["mean"]
    assert np.allclose(whole, evaluate(run, 2).mean_return.mean, rtol=1e-3, atol=1e-3)


def test_one_brick_is_trained_alone(runs, tmp_path):
    study = find_bricks(runs[1], number=2, episodes=1)
    part = update_brick(runs[1], study.bricks[0], tmp_path / "part", 512)
    assert part.config.train_only == study.bricks[0].units
    assert part.done


def test_a_damaged_list_of_bricks_is_one_line(runs):
    run = Run(runs[1].path)
    find_bricks(run, number=3, episodes=1)
    for path in (run.path / "results").glob("*/bricks*.jsonl"):
        path.write_text('{"name": 3}\n', encoding="utf-8")
    with pytest.raises(InvalidRun, match="is damaged"):
        load_bricks(run)


def test_what_cannot_be_cut_is_one_line(runs):
    with pytest.raises(
        InvalidOption, match="13 bricks of the 24 units of hidden_0 would have one unit or none; give 2 to 12"
    ):
        find_bricks(runs[0], number=13)
    with pytest.raises(InvalidOption, match="leaves hidden_0 whole; give 2 or more"):
        find_bricks(runs[0], number=1)
    with pytest.raises(
        CircuitMismatch, match="NCAP does not consist of layers of similar units; choose one that does: mlp, ctrnn"
    ):
        find_bricks("agent:ncap")
    with pytest.raises(CircuitMismatch, match="MLP has no hidden units"):
        axes_of(make_circuit("mlp", SENSES, 4, {"hidden": []}))
    with pytest.raises(CircuitMismatch, match="CTRNN has raw_delay, which belong to no units"):
        axes_of(make_circuit("ctrnn", SENSES, 4, {"delays": 3}))
