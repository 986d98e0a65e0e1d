"""Spiking units against SpikingJelly's, their closed form, and their twin in rates."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord import RunConfig, record, train
from nervecord.agents import Agent
from nervecord.agents.algorithms.population import Population
from nervecord.circuits import Pins, Spiking, load_weights, make_circuit
from nervecord.circuits.held import weights_held
from nervecord.circuits.spiking.spiking import fire, spikes_of
from nervecord.circuits.spiking.surrogate import spike
from nervecord.errors import CircuitMismatch
from torch.utils._python_dispatch import TorchDispatchMode

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN, PRETRAIN = np.load(FOLDER / "lif.npz"), np.load(FOLDER / "pretrain.npz")
SENSES = {"x": 9}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spiking(substeps: int = 4, **options) -> Spiking:
    return Spiking(SENSES, 3, substeps=substeps, rng=rng(), **{"units": 20, **options})


def sensors(steps: int, batch: int = 6) -> torch.Tensor:
    return 2 * torch.randn(steps, batch, 9, generator=rng(1))


def run(circuit: Spiking, inputs: torch.Tensor) -> torch.Tensor:
    starts = torch.zeros(inputs.shape[:2], dtype=torch.bool)
    return circuit.unroll_features(inputs, circuit.initial_state(inputs.shape[1]), starts)[0]


@pytest.mark.parametrize("name", ["held0", "held1"])
def test_spikes_are_those_of_spikingjellys_units_under_a_current_that_is_held(name):
    substeps, start = GOLDEN[f"{name}/options"].tolist()
    current = torch.as_tensor(GOLDEN[f"{name}/input"]).clamp(0, 1)
    membrane = torch.full_like(current[0], start)
    for step, rate in enumerate(current):
        raster = spikes_of(rate, membrane, int(substeps))
        count, membrane = fire(rate, membrane, int(substeps))
        assert np.array_equal(raster.transpose(0, 1), GOLDEN[f"{name}/raster"][step])
        assert np.array_equal(count, GOLDEN[f"{name}/count"][step])
        assert np.allclose(membrane, GOLDEN[f"{name}/voltage"][step], atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ["sharp0", "sharp1", "sharp2"])
def test_rates_that_lin_et_al_sharpen_epoch_by_epoch_are_rates_of_scaled_weights(name):
    """Before epoch e, lo = min(e / 200, 0.49) and hi = 1 - e / 200; their gradient is a box at every epoch."""
    epoch, drive = float(PRETRAIN[f"{name}/epoch"]), torch.as_tensor(PRETRAIN[f"{name}/drive"][0])
    low, high = min(epoch / 200, 0.49), 1 - epoch / 200
    n = drive.shape[-1]
    circuits = [Spiking({"x": n}, 1, units=n, substeps=k, rng=rng()).double() for k in (0, 1)]
    with torch.no_grad():
        for circuit in circuits:
            circuit.weight_in.copy_(torch.eye(n) / (high - low))
            circuit.weight_rec.zero_()
            circuit.bias.fill_(-low / (high - low))
            circuit.log_tau.fill_(-50.0)  # acts as 1 ms: the trace is what was sent last
        rates, spikes = (circuit.step_features(drive, circuit.initial_state(len(drive)))[0] for circuit in circuits)
    assert np.allclose(rates, PRETRAIN[f"{name}/rate"][0], atol=1e-9, rtol=0)
    outside = (drive < low) | (drive > high)
    assert outside.any()
    assert torch.allclose(rates[outside], spikes[outside], atol=1e-9)
    felt = drive.clone().requires_grad_()
    spike(felt - 0.5, "box", 1.0).sum().backward()
    assert np.allclose(felt.grad, PRETRAIN[f"{name}/grad"][0], atol=1e-9)


@pytest.mark.parametrize("substeps", [1, 3, 4, 7, 32])
def test_spikes_under_a_constant_rate_have_a_closed_form(substeps):
    rate, start = torch.rand(2, 1, 41, dtype=torch.float64, generator=rng())
    membrane = start
    total = torch.zeros_like(rate)
    for step in range(1, 60):
        raster = spikes_of(rate, membrane, substeps)
        count, membrane = fire(rate, membrane, substeps)
        total = total + count
        assert torch.equal(raster.sum(1), count)
        assert torch.equal(total, (start + step * substeps * rate).floor())
        assert (total / (step * substeps) - rate).abs().max() <= 1 / (step * substeps)


@pytest.mark.parametrize("substeps", [1, 4, 32])
def test_no_membrane_and_no_rate_makes_more_spikes_than_substeps(substeps):
    almost = float(np.nextafter(np.float32(1), np.float32(0)))
    rate, membrane = torch.tensor([[1.0, almost, 1.0, 0.0]]), torch.tensor([[almost, almost, 0.0, almost]])
    for _ in range(50):
        raster = spikes_of(rate, membrane, substeps)
        count, membrane = fire(rate, membrane, substeps)
        assert torch.equal(raster.sum(1), count)
        assert ((raster == 0) | (raster == 1)).all()
        assert 0 <= count.min() <= count.max() <= substeps
        assert 0 <= membrane.min() <= membrane.max() <= 1


@torch.no_grad()
def test_traces_of_spikes_come_as_near_to_those_of_rates_as_there_are_substeps():
    rates, inputs = run(spiking(0), sensors(200)), sensors(200)
    errors = {k: (run(spiking(k), inputs) - rates).abs() for k in (1, 2, 4, 8, 16, 32, 10_000)}
    assert all(0 <= rates.min() <= rates.max() <= 1 for rates in [rates])
    for k, error in errors.items():
        assert error.max() <= 1.5 / k
        assert error.square().mean().sqrt() <= 0.1 / k
    # Twice as many substeps leave half the error.
    sizes = [float(errors[k].square().mean().sqrt()) for k in (1, 2, 4, 8, 16, 32)]
    assert all(1.5 < one / two < 2.7 for one, two in itertools.pairwise(sizes))


@torch.no_grad()
def test_a_sequence_is_its_steps_and_its_chunks_bit_for_bit():
    circuit, inputs = spiking(), sensors(24, 16)
    starts = torch.rand(24, 16, generator=rng(3)) < 0.1
    motors, state = circuit.unroll(inputs, circuit.initial_state(16), starts)
    stepping, some = circuit.initial_state(16), circuit.initial_state(16)
    chunks = []
    for part, begins in zip(inputs.split(7), starts.split(7), strict=True):
        found, some = circuit.unroll(part, some, begins)
        chunks.append(found)
    for step, row in enumerate(inputs):
        motor, stepping = circuit(row, circuit.reset_state(stepping, starts[step]))
        assert torch.equal(motor, motors[step])
    assert torch.equal(torch.cat(chunks), motors)
    assert all(torch.equal(state[key], stepping[key]) and torch.equal(state[key], some[key]) for key in state)


class Counted(TorchDispatchMode):
    """Count the operations that torch runs."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def test_a_step_in_spikes_is_six_operations_more_than_in_rates_at_any_number_of_substeps():
    """At this size a step takes as long as it has operations, about a microsecond each."""
    counts = {}
    for substeps in (0, 1, 4, 32):
        circuit, state = spiking(substeps), spiking(substeps).initial_state(6)
        with weights_held(circuit):
            circuit(sensors(1)[0], state)
            with Counted() as counted:
                circuit(sensors(1)[0], state)
        counts[substeps] = counted.count
    assert counts[1] == counts[4] == counts[32] <= counts[0] + 6


def test_spikes_are_sent_forward_and_the_gradient_of_rates_comes_back():
    """One control step: what is sent is a count of spikes, and the gradient that of the rate inside its clip."""
    circuit, twin = spiking(4), spiking(0)
    inputs = sensors(1)[0]
    for each in (circuit, twin):
        each(inputs, each.initial_state(6))[0].square().sum().backward()
    state = circuit.initial_state(6)
    trace = circuit.step_features(inputs, state)[0]
    counts = trace / (1 - torch.exp(-1 / circuit.tau)) * 4
    assert torch.allclose(counts, counts.round(), atol=1e-4)
    assert torch.equal(counts.round(), circuit.spikes(inputs, state).sum(1))
    rate = torch.nn.functional.linear(inputs, circuit.weight_in, circuit.bias)
    inside = ((rate > 0) & (rate < 1)).float()
    kept = torch.exp(-1 / circuit.tau)
    motor = circuit.readout(trace)
    felt = (2 * motor @ circuit.readout.weight) * (1 - kept) * inside
    assert torch.allclose(circuit.bias.grad, felt.sum(0), atol=1e-7)
    assert torch.allclose(circuit.weight_in.grad, felt.T @ inputs, atol=1e-6)
    assert not twin.bias.grad.equal(circuit.bias.grad)


def test_every_parameter_learns_over_a_sequence():
    circuit = spiking(4)
    run(circuit, sensors(12)).square().sum().backward()
    for name in ("weight_in", "weight_rec", "bias", "log_tau"):
        gradient = circuit.get_parameter(name).grad
        assert gradient.isfinite().all()
        assert gradient.flatten().count_nonzero() > 0.7 * gradient.numel(), name


@torch.no_grad()
def test_permuting_units_permutes_everything():
    one, other, order = spiking(), spiking(), torch.randperm(20, generator=rng(4))
    other.weight_in.copy_(one.weight_in[order])
    other.weight_rec.copy_(one.weight_rec[order][:, order])
    other.bias.copy_(one.bias[order])
    other.log_tau.copy_(one.log_tau[order])
    inputs = sensors(40)
    one, other = one.double(), other.double()
    assert torch.allclose(run(one, inputs.double())[..., order], run(other, inputs.double()), atol=1e-12)


@torch.no_grad()
def test_members_of_a_population_fire_as_each_alone():
    members = [spiking(4) for _ in range(3)]
    for seed, member in enumerate(members):
        for parameter in member.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=rng(seed)), alpha=0.3)
    weights = torch.stack([torch.cat([each.flatten() for each in member.parameters()]) for member in members])
    population = Population(members[0], 3)
    population.start(weights)
    states = [member.initial_state(1) for member in members]
    for row in sensors(30, 3):
        motors = population.step(row)
        for index, member in enumerate(members):
            alone, states[index] = member(row[index : index + 1], states[index])
            assert torch.allclose(motors[index], alone[0], atol=1e-5)


@torch.no_grad()
def test_a_silenced_unit_is_neither_heard_nor_read_out_and_its_membrane_goes_on():
    circuit, inputs = spiking(), sensors(1)[0]
    n, unit = len(circuit.neurons), 9 + 5
    scale = torch.ones(n)
    scale[unit] = 0
    pins = Pins(scale, torch.zeros(n))
    _, free, usual = circuit.forward_with_activity(inputs, circuit.initial_state(6))
    motor, state, activity = circuit.forward_with_activity(inputs, circuit.initial_state(6), pins)
    assert not activity[:, unit].any()
    assert not state["s"][:, 5].any()
    assert torch.equal(state["v"], free["v"])
    without = torch.nn.functional.linear(free["s"], circuit.readout.weight * (torch.arange(20) != 5))
    assert torch.allclose(motor, without + circuit.readout.bias, atol=1e-6)
    assert torch.equal(circuit.spikes(inputs, circuit.initial_state(6), pins).sum(1), 4 * usual_sent(circuit, usual))


def usual_sent(circuit, activity):
    """The share of substeps with a spike of an episode's first step, from the traces."""
    return (activity[:, circuit.groups["units"]] / (1 - torch.exp(-1 / circuit.tau)) * 4).round() / 4


@torch.no_grad()
def test_time_constants_are_seconds_and_act_within_bounds():
    for dt in (0.01, 0.03, 0.04):
        circuit = make_circuit("spiking", SENSES, 3, {"units": 50, "substeps": 0}, rng(), dt=dt, dt_ref=0.03)
        assert 0.03 <= dt * circuit.tau.min() <= dt * circuit.tau.max() <= 0.3
        circuit.weight_rec.zero_()
        circuit.weight_in.zero_()
        circuit.bias.fill_(0.5)
        trace = run(circuit, torch.zeros(round(0.6 / dt), 1, 9))[-1, 0]
        assert torch.allclose(trace, 0.5 * (1 - torch.exp(-0.6 / dt / circuit.tau)), atol=1e-5)
    circuit.log_tau.fill_(50.0)
    assert torch.allclose(dt * circuit.tau, torch.tensor(10.0))
    circuit.log_tau.fill_(-50.0)
    assert torch.allclose(dt * circuit.tau, torch.tensor(0.001))


def test_weights_of_rates_are_those_of_spikes_at_any_number_of_substeps():
    rates = spiking(0)
    for substeps in (1, 4, 32):
        load_weights(spiking(substeps), rates.state_dict())
    assert rates.initial_state(2).keys() == spiking(4).initial_state(2).keys()
    assert (rates.spiking, spiking(1).spiking) == ("", "units")
    with pytest.raises(CircuitMismatch, match="no neurons that fire"):
        make_circuit("gru", SENSES, 3).spikes(torch.zeros(1, 9), {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"substeps": -1}, "substeps is -1; give 1 or more, or 0 for rates"),
        ({"tau": [0.3, 0.03]}, r"tau is 0.3 to 0.03 s; give a range within 0.001 to 10"),
        ({"tau": [0.0, 0.1]}, "give a range within"),
        ({"units": 0}, "units is 0; give 1 or more"),
    ],
)
def test_a_mistake_is_one_line(options, message):
    with pytest.raises(CircuitMismatch, match=message) as caught:
        make_circuit("spiking", SENSES, 3, options)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def rates(tmp_path_factory):
    config = RunConfig(
        "spiking", "ppo", "swimmer4", steps=256, episode_steps=64, circuit_options={"units": 12, "substeps": 0},
        algorithm_options={"n_steps": 32, "n_envs": 4, "sequence_length": 16},
    )  # fmt: skip
    return train(config, tmp_path_factory.mktemp("runs") / "rates", progress=False)


@torch.no_grad()
def test_a_run_of_rates_acts_alike_in_spikes_and_more_so_with_more_substeps(rates):
    twin = rates.agent()
    seen = torch.as_tensor(record(rates, 2).observations).transpose(0, 1)
    starts = torch.zeros(seen.shape[:2], dtype=torch.bool)

    def motors(substeps):
        options = {**twin.spec.circuit_options, "substeps": substeps}
        agent = Agent(dataclasses.replace(twin.spec, circuit_options=options))
        agent.load(twin.circuit.state_dict(), twin.observation_stats)
        found, _ = agent.circuit.unroll(agent.sense(seen.numpy()), agent.circuit.initial_state(2), starts)
        return found

    wanted = motors(0)
    errors = [float((motors(k) - wanted).square().mean().sqrt() / wanted.std()) for k in (1, 2, 4, 8, 16)]
    assert errors[2] < 0.2
    assert all(1.4 < one / two < 2.9 for one, two in itertools.pairwise(errors))


def test_training_goes_on_as_spikes_from_a_run_of_rates(rates, tmp_path):
    config = dataclasses.replace(rates.config, circuit_options={"units": 12, "substeps": 4}, start=rates.path)
    run = train(config, tmp_path / "converted", progress=False)
    assert run.agent().circuit.substeps == 4
    assert record(run, 1).spikes.shape[2:] == (4, 12)
    # Trained for as long again, its time constants are still near those that it started with.
    moved = (run.agent().circuit.log_tau - rates.agent().circuit.log_tau).abs().max()
    assert 0 < moved < 0.1
    for options, message in (
        ({"units": 9}, "trained on another size: weight_in"),
        ({"substeps": -1}, "give 1 or more"),
    ):
        with pytest.raises(CircuitMismatch, match=message):
            train(dataclasses.replace(config, circuit_options=options), tmp_path / "never", progress=False)
    other = dataclasses.replace(config, circuit="gru", circuit_options={})
    with pytest.raises(CircuitMismatch, match="needs the same circuit"):
        train(other, tmp_path / "never", progress=False)
