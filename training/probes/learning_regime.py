"""The learning regime: rich, where training changes what a circuit represents, or lazy, where it hardly does.

Liu et al. 2023 (https://arxiv.org/abs/2310.08513); Chizat, Oyallon and Bach 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor
from torch.func import functional_call, jacrev

from ...agents import replay
from ...circuits import Circuit, UnitCircuit
from ...drawing.figures import COLOURS, open_axes
from ...errors import CircuitMismatch, InvalidRecording
from ..learning.start import begun
from .contract import ProbeResult, Subject
from .tools.alignment import alignment, layout_kernel
from .tools.sequences import hidden_columns, sensor_sequences

_SEQUENCES, _STEPS = 24, 32
_SHUFFLES = 200
_RANKS = ("stable_l1", "stable_l2", "entropy")


def learning_regime(subject: Subject) -> ProbeResult:
    """Compare a run's circuit before and after training on 24 stretches of the recording, 32 steps each.

    The kernel is that of the motors at the last step, by the recurrent weights: those parameters that
    the weights between the units of a `UnitCircuit` are made of. Circuits without such take all their
    parameters. Representations are the interneurons at every step (all but the sensors where there are
    none). Ranks are of the weights between units, or means over the weight matrices; circuits without a
    matrix have no rank. A rich regime has small alignments and a large change of weights.

    Raises:
        InvalidRecording: there is only a recording, its episodes are shorter than 32 steps or not finite,
            or no neuron of the circuit varies in it.
        InvalidRun: a run that training started from is gone.
        CircuitMismatch: the circuit has no weights to train.
    """
    run = subject.run
    after = run.agent()
    before = begun(run.resolved)
    sensors = sensor_sequences(after, subject.recording, _SEQUENCES, _STEPS)
    names = recurrent_parameters(after.circuit)
    weights = [_flat(agent.circuit, names) for agent in (before, after)]
    everything = [_flat(agent.circuit, [name for name, _ in agent.circuit.named_parameters()])
                  for agent in (before, after)]  # fmt: skip
    kernels = [tangent_kernel(agent.circuit, sensors, names) for agent in (before, after)]
    rows = [_representation(agent.circuit, sensors) for agent in (before, after)]
    aligned = representation_alignment(*rows)
    null = shuffled_alignments(rows[0], rows[1], np.random.default_rng(0))
    numbers = {
        "weight_change": relative_change(*weights),
        "weight_change_all": relative_change(*everything),
        "kernel_alignment": kernel_alignment(*kernels),
        "representation_alignment": aligned,
        "shuffled_alignment": float(null.mean()),
        "shuffled_alignment_95": float(np.quantile(null, 0.95)),
        "constant_neurons": float((np.ptp(rows[1], axis=0) < 1e-9).sum()),
    }
    units = dict.fromkeys(numbers, "") | {"constant_neurons": "neurons"}
    matrices = [_matrices(agent.circuit, names) for agent in (before, after)]
    spectra = {}
    for when, found in zip(("initial", "final"), matrices, strict=True):
        if found:
            ranks = np.mean([effective_ranks(matrix) for matrix in found], 0)
            numbers |= {f"rank_{kind}_{when}": float(rank) for kind, rank in zip(_RANKS, ranks, strict=True)}
            units |= {f"rank_{kind}_{when}": "dimensions" for kind in _RANKS}
            spectra[f"singular_{when}"] = np.linalg.svd(max(found, key=np.size), compute_uv=False)
    arrays = {"kernel_initial": kernels[0], "kernel_final": kernels[1], "shuffled": null, **spectra}
    return ProbeResult(numbers, units, arrays, _figure(numbers, null, spectra), (_sentence(numbers),))


def recurrent_parameters(circuit: Circuit) -> list[str]:
    """Return the names of the parameters that carry the recurrent weights; all of them where none do.

    Raises:
        CircuitMismatch: the circuit has no parameters.
    """
    parameters = dict(circuit.named_parameters())
    if not parameters:
        raise CircuitMismatch(f"{type(circuit).__name__} has no weights that training changes")
    if isinstance(circuit, UnitCircuit):
        between = circuit.drawn_weights()[1]
        found = torch.autograd.grad(between.sum(), list(parameters.values()), allow_unused=True)
        names = [name for name, slope in zip(parameters, found, strict=True) if slope is not None and slope.dim() == 2]
        if names:
            return names
    return list(parameters)


def tangent_kernel(
    circuit: Circuit, sensors: Float[Tensor, "time batch sensors"], names: Sequence[str]
) -> Float[np.ndarray, "outputs outputs"]:
    """Return J J^T, J the Jacobian of the motors at the last step with respect to the named parameters.

    Rows are batch by motor, batch first; every sequence starts from the initial state.
    """
    unrolled = _LastMotors(circuit)
    chosen = {f"circuit.{name}": circuit.get_parameter(name).detach() for name in names}
    jacobian = jacrev(lambda some: functional_call(unrolled, some, (sensors,)).flatten())(chosen)
    rows = torch.cat([part.detach().reshape(len(part), -1) for part in jacobian.values()], 1).double()
    return (rows @ rows.T).numpy()


def kernel_alignment(one: Float[np.ndarray, "n n"], other: Float[np.ndarray, "n n"]) -> float:
    """Return the cosine between two kernels: 1 where one is a multiple of the other.

    Raises:
        InvalidRecording: a kernel is zero or not finite, so that no output depends on the weights.
    """
    norm = np.linalg.norm(one) * np.linalg.norm(other)
    if not norm > 0 or not np.isfinite(norm):
        raise InvalidRecording(
            f"the kernels' norms are {np.linalg.norm(one):.3g} and {np.linalg.norm(other):.3g}: "
            "the motors do not depend on the weights in this recording; record the agent while it moves"
        )
    return float((one * other).sum() / norm)


def representation_alignment(
    one: Float[np.ndarray, "samples units"], other: Float[np.ndarray, "samples units_too"]
) -> float:
    """Return the centred kernel alignment of two representations of the same samples.

    Raises:
        InvalidRecording: all units of one representation are constant.
    """
    if not (np.ptp(one, axis=0).any() and np.ptp(other, axis=0).any()):
        raise InvalidRecording("every neuron is constant over the recording's samples; record the agent while it moves")
    return alignment(one, other)


def shuffled_alignments(
    one: Float[np.ndarray, "samples units"], other: Float[np.ndarray, "samples units_too"], rng: np.random.Generator
) -> Float[np.ndarray, " shuffles"]:
    """Return the alignment after the samples of one representation were shuffled, 200 times: the null."""
    still, shuffled = layout_kernel(one), layout_kernel(other)
    orders = [rng.permutation(len(one)) for _ in range(_SHUFFLES)]
    return np.array([(still * shuffled[np.ix_(order, order)]).sum() for order in orders])


def relative_change(before: Float[np.ndarray, " weights"], after: Float[np.ndarray, " weights"]) -> float:
    """Return the norm of what changed over the norm of what was; infinite where that was zero."""
    norm = np.linalg.norm(before)
    return float(np.linalg.norm(after - before) / norm) if norm else np.inf


def effective_ranks(weight: Float[np.ndarray, "n m"]) -> tuple[float, float, float]:
    """Return the effective rank of a matrix by three definitions; r equal singular values give r by all.

    With singular values s, the largest s1: sum s / s1, sum s^2 / s1^2, and exp of the entropy of s / sum s.
    A matrix of zeros has rank 0. `with_rank` is the knob that sets the rank of initial weights.
    """
    singular = np.linalg.svd(weight, compute_uv=False)
    if not singular[0] > 0:
        return 0.0, 0.0, 0.0
    share = singular / singular.sum()
    share = share[share > 0]
    relative = singular / singular[0]
    return float(relative.sum()), float((relative**2).sum()), float(np.exp(-(share * np.log(share)).sum()))


class _LastMotors(torch.nn.Module):
    """Run a circuit over sequences by single steps, which `torch.vmap` can map over where `unroll` may not."""

    def __init__(self, circuit: Circuit) -> None:
        super().__init__()
        self.circuit = circuit

    def forward(self, sensors: Float[Tensor, "time batch sensors"]) -> Float[Tensor, "batch motors"]:
        state = self.circuit.initial_state(sensors.shape[1])
        for row in sensors:
            motor, state = self.circuit(row, state)
        return motor


@torch.no_grad()
def _representation(circuit: Circuit, sensors: Float[Tensor, "time batch sensors"]) -> Float[np.ndarray, "samples u"]:
    columns = hidden_columns(circuit)
    rows = [step.activity[:, columns] for step in replay(circuit, sensors)]
    return torch.cat(rows).double().numpy()


def _flat(circuit: Circuit, names: Sequence[str]) -> Float[np.ndarray, " weights"]:
    return torch.cat([circuit.get_parameter(name).detach().flatten() for name in names]).double().numpy()


def _matrices(circuit: Circuit, names: Sequence[str]) -> list[Float[np.ndarray, "n m"]]:
    if isinstance(circuit, UnitCircuit):
        return [circuit.drawn_weights()[1].detach().double().numpy()]
    found = [circuit.get_parameter(name).detach().double().numpy() for name in names]
    return [weight for weight in found if weight.ndim == 2 and min(weight.shape) > 1]


def _sentence(numbers: dict[str, float]) -> str:
    kernel, shown = numbers["kernel_alignment"], numbers["representation_alignment"]
    return (
        f"Training changed the weights by {100 * numbers['weight_change']:.0f} % of their norm and kept "
        f"{kernel:.2f} of the kernel's direction and {shown:.2f} of the representation's "
        f"(by chance {numbers['shuffled_alignment']:.2f}): 1 is lazy, small is rich."
    )


def _figure(numbers: dict[str, float], null: Float[np.ndarray, " shuffles"], spectra: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(7.2 if spectra else 4.0, 3.2), layout="constrained")
    axes, *more = figure.subplots(1, 2 if spectra else 1, squeeze=False)[0]
    heights = [numbers["kernel_alignment"], numbers["representation_alignment"]]
    axes.bar([0, 1], heights, width=0.6, color=[COLOURS[0], COLOURS[3]])
    axes.plot([0.7, 1.3], [null.mean()] * 2, color=COLOURS[4], linewidth=1.5, label="samples shuffled")
    for place, height in enumerate(heights):
        axes.annotate(f"{height:.2f}", (place, height), (0, 2), textcoords="offset points", ha="center", fontsize=9)
    axes.set_xticks([0, 1], ["kernel", "representation"])
    axes.set(ylabel="alignment, after with before training", ylim=(min(0.0, *heights), 1.12), xlim=(-0.6, 1.6))
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    open_axes(axes)
    for right in more:
        for name, colour in (("initial", COLOURS[1]), ("final", COLOURS[0])):
            singular = spectra[f"singular_{name}"]
            right.plot(np.arange(1, len(singular) + 1), singular, color=colour, label=f"{name} weights",
                       marker="." if len(singular) < 20 else "")  # fmt: skip
        right.set(xlabel="number of the singular value", ylabel="singular value", ylim=(0, None))
        right.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
        open_axes(right)
    return figure
