"""Fit a rate network to the propagation atlas, with nested controls, and score it on held-out stimulations."""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize
from torch import Tensor, nn

from ..circuits.connectome import Connectome, Graph
from ..errors import CircuitMismatch
from ..intervals import Interval
from ..progress import progress_bar
from ..threads import one_thread
from .atlas import Atlas
from .folds import columns
from .predictions import wiring_of
from .scoring import DRAWS, auroc, aurocs, average_precision
from .swims import Swim

Gains = Literal["none", "global", "class"]
DECAYS = (0.3, 3.0, 30.0)
_STEPS = 80  # of L-BFGS
_SETTLING = 60  # steps to a circuit's steady state
_NEAR = 0.02  # added to distances before their logarithm, in the atlas's unit


@dataclasses.dataclass(frozen=True)
class Model:
    """The parameters of a fit.

    Attributes:
        gains: parameters of the wiring: "none", no wiring; "global", a gain of chemical synapses, a gain of gap
            junctions, an exponent of counts and a sign; "class", also input and output gains and a sign for each class
            of cells.
        rates: whether to fit an offset for each responding cell, its overall response rate.
        distance: whether to use the logarithm of the distance between cell bodies as a predictor.
    """

    gains: Gains = "global"
    rates: bool = False
    distance: bool = False


@dataclasses.dataclass(frozen=True)
class Fit:
    """The performance of a model on held-out stimulated neurons.

    Attributes:
        odds: log odds of a response, [responding, stimulated], each column predicted by a fit without its fold; NaN
            where nothing was measured.
        folds: AUROC of each fold.
        auroc: mean AUROC of the folds, with a 95 % interval over stimulated neurons within folds.
        precision: mean average precision of the folds.
        draws: mean AUROC in every bootstrap draw; draws are the same for all models.
        decays: weight of the penalty chosen for each fold.
    """

    odds: Float[np.ndarray, "300 300"] = dataclasses.field(repr=False)
    folds: tuple[float, ...]
    auroc: Interval
    precision: float
    draws: Float[np.ndarray, " draws"] = dataclasses.field(repr=False)
    decays: tuple[float, ...] = ()

    def less(self, *others: Fit) -> Interval:
        """Return the AUROC minus the mean AUROC of others, with its 95 % bootstrap interval."""
        mean = float(np.mean([each.auroc.mean for each in others]))
        low, high = np.nanpercentile(self.draws - np.mean([each.draws for each in others], axis=0), [2.5, 97.5])
        return Interval(self.auroc.mean - mean, float(low), float(high), self.auroc.n)


class Response(nn.Module):
    """Log odds of a response of every cell to the stimulation of another: c0 + c1 log(|response| + floor).

    Args:
        atlas: whose cells they are, and how far apart.
        model: what may be used; offsets of cells and the logarithm of distance are added to the log odds.
    """

    def __init__(self, atlas: Atlas, model: Model) -> None:
        super().__init__()
        self.log_distance = torch.from_numpy(np.log(np.nan_to_num(atlas.distance()) + _NEAR))
        self.readout = nn.Parameter(torch.tensor([-1.5, 0.5, -6.0], dtype=torch.double))
        self.rates = nn.Parameter(torch.zeros(len(atlas.names) if model.rates else 0, dtype=torch.double))
        self.near = nn.Parameter(torch.zeros(int(model.distance), dtype=torch.double))

    def response(self, driven: Int[Tensor, " driven"]) -> Float[Tensor, "n driven"] | None:  # noqa: ARG002
        """Return what each cell does over what the driven one does; None without any wiring."""
        return None

    def forward(self, driven: Int[Tensor, " driven"]) -> Float[Tensor, "n driven"]:
        """Return the log odds of a response of every cell to some of them, in the atlas's order."""
        offset, slope, floor = self.readout
        odds = offset.expand(len(self.log_distance), len(driven))
        response = self.response(driven)
        if response is not None:
            odds = odds + slope * torch.log(response.abs() + torch.exp(floor))
        if self.rates.numel():
            odds = odds + self.rates[:, None]
        return odds + self.near * self.log_distance[:, driven] if self.near.numel() else odds

    def penalty(self) -> Float[Tensor, ""]:
        """Return the sum of squares of what there is one of for each class or cell."""
        return (self.rates**2).sum()


class RateNetwork(Response):
    """The steady state of a leaky rate network under a unit current into one cell.

        x_i = (sum_j s_ij g_ij x_j + h_ij x_j + current_i) / (1 + sum_j g_ij + h_ij)

    Gains are conductances, so that none can make it unstable. A chemical synapse has g = count^p times a gain, and s is
    a tanh of a number of the presynaptic class; a gap junction has h = count^p times a gain.

    Args:
        atlas, model: as `Response` takes them.
        graph: the wiring.
    """

    def __init__(self, atlas: Atlas, model: Model, graph: Graph) -> None:
        super().__init__(atlas, model)
        names = [cell.name for cell in graph.cells]
        chemical, gap = (np.nan_to_num(atlas.place(names, each)) for each in wiring_of(graph)[:2])
        counts = torch.from_numpy(np.stack([chemical, gap]))
        # The logarithm of no contact would have no gradient.
        self.there, self.log_counts = (counts > 0).double(), torch.log(torch.where(counts > 0, counts, 1.0))
        # Classes as the atlas's names have them, without number, side and quadrant.
        classes = [re.sub(r"[DV]?[LR]$|\d+$", "", name) for name in atlas.names]
        kinds = np.unique(classes, return_inverse=True)[1]
        self.kinds, many = torch.from_numpy(kinds), int(kinds.max()) + 1 if model.gains == "class" else 0
        # Logarithms of the gains of chemical synapses and of gap junctions; sign; logarithm of the exponent.
        self.common = nn.Parameter(torch.tensor([-5.0, -4.0, 1.5, 0.0], dtype=torch.double))
        self.of_class = nn.Parameter(torch.zeros(4, many, dtype=torch.double))

    def response(self, driven: Int[Tensor, " driven"]) -> Float[Tensor, "n driven"]:
        """Return what each cell does when some are driven in turn, over what the driven one does."""
        chemical, gap, sign, exponent = self.common
        gives, takes, joins, own = (
            self.of_class[:, self.kinds] if self.of_class.numel() else self.common.new_zeros(4, 1)
        )
        counts = torch.exp(exponent) * self.log_counts
        g = self.there[0] * torch.exp(counts[0] + chemical + takes[:, None] + gives)
        h = self.there[1] * torch.exp(counts[1] + gap + joins[:, None] + joins)
        heard = (g * torch.tanh(sign + own) + h) / (1 + (g + h).sum(1, keepdim=True))
        unit = torch.eye(len(heard), dtype=heard.dtype)
        x = torch.linalg.solve(unit - heard, unit[:, driven])
        return x / x[driven, torch.arange(len(driven))]

    def penalty(self) -> Float[Tensor, ""]:
        """Return the sum of squares of gains of classes and offsets of cells."""
        return super().penalty() + (self.of_class**2).sum()


class CircuitResponse(Response):
    """A connectome circuit's response to a small current, at its steady state under a background current.

    With rates r = tanh(max(W r + b, 0)) there and J their derivatives by what is heard, it is (I - J W)^-1 J. The
    circuit's gains are learned, penalised by their change relative to where they start.

    Args:
        atlas, model: as `Response` takes them.
        circuit: copied, with its gains as they are.
        background: current into all cells.

    Raises:
        CircuitMismatch: the circuit's gains are fixed.
    """

    start: Float[Tensor, " gains"]

    def __init__(self, atlas: Atlas, model: Model, circuit: Connectome, background: float) -> None:
        super().__init__(atlas, model)
        if "gain" not in dict(circuit.named_parameters()):
            raise CircuitMismatch("the circuit's gains are fixed; give one with gains=class or gains=free")
        self.circuit, self.background = copy.deepcopy(circuit).double(), background
        for name, each in self.circuit.named_parameters():
            each.requires_grad_(name == "gain")
        self.register_buffer("start", self._gains().detach().clone())
        cells = {atlas.find(cell.name): at for at, cell in enumerate(circuit.graph.cells)}
        # A neuron that the graph does not have answers nobody: the row after the last is zero.
        self.rows = torch.tensor([cells.get(row, len(circuit.graph.cells)) for row in range(len(atlas.names))])

    def response(self, driven: Int[Tensor, " driven"]) -> Float[Tensor, "n driven"]:
        """Return what each cell does when some are driven in turn, over what the driven one does."""
        chemical, electrical = self.circuit.weights()
        heard = chemical + electrical - torch.diag(electrical.sum(1))
        rates = heard.new_zeros(len(heard))
        for _ in range(_SETTLING):
            rates = torch.lerp(rates, torch.tanh(torch.relu(heard @ rates + self.background)), 1 - math.exp(-1))
        x = heard @ rates + self.background
        slope = (x > 0) * (1 - torch.tanh(x) ** 2)
        at, unit = self.rows[driven], torch.eye(len(heard) + 1, dtype=heard.dtype)
        found = torch.linalg.solve(unit[:-1, :-1] - slope[:, None] * heard, unit[:-1, at] * slope[:, None])
        found = torch.cat([found, found.new_zeros(1, len(driven))])
        own = found[at, torch.arange(len(driven))]
        return found[self.rows] / torch.where(own == 0, 1.0, own)

    def penalty(self) -> Float[Tensor, ""]:
        """Return the sum of squares of relative changes of gains, and of offsets of cells."""
        start = torch.where(self.start == 0, 1.0, self.start)
        return super().penalty() + (((self._gains() - self.start) / start) ** 2).sum()

    def _gains(self) -> Float[Tensor, " gains"]:
        """Return the gains as they act; those that are clamped as they are, so that the penalty reaches them there."""
        return self.circuit.gains if self.circuit.nonnegative == "softplus" else self.circuit.gain


def fit(
    atlas: Atlas,
    source: Graph | Connectome,
    model: Model,
    background: float = 0.1,
    decays: Sequence[float] = DECAYS,
    progress: bool = False,
    swim: Swim | None = None,
    swimming: float = 0.0,
) -> Fit:
    """Fit a model with 5-fold cross-validation over stimulated neurons.

    For each fold, the weight of the penalty is chosen on the next fold, by a fit to the other three.

    Args:
        atlas: the atlas.
        source: wiring of a `RateNetwork`, or a circuit whose gains are fitted; shuffled ones are controls.
        model: parameters of the fit; `gains` is ignored for a circuit.
        background: current into all cells of a circuit.
        decays: candidate weights of the penalty.
        progress: show a progress bar.
        swim: swimming that a circuit should also produce; see `fit_circuit`.
        swimming: weight of that, from 0 to 1.

    Raises:
        CircuitMismatch: fewer than 20 of the neurons were measured.
    """
    odds, chosen, folds = np.full(atlas.q.shape, np.nan), [], columns(atlas)
    with one_thread():
        for index, held in enumerate(progress_bar(folds, desc="folds", disable=not progress)):
            inner = folds[(index + 1) % len(folds)]
            rest = [each for fold in folds if fold is not held and fold is not inner for each in fold]
            network, found = _network(atlas, source, model, background), []
            for decay in sorted(decays, reverse=True) if len(decays) > 1 else ():
                _train(network, atlas, rest, decay, swim, swimming)  # from where a larger penalty led
                found.append((_auroc(atlas, network, inner), decay, copy.deepcopy(network.state_dict())))
                if not network.penalty().item():
                    break  # there is nothing to penalise
            decay = decays[0]
            if found:
                _, decay, weights = max(found, key=lambda each: each[0])
                network.load_state_dict(weights)
            _train(network, atlas, rest + inner, decay, swim, swimming)
            odds[:, held] = _odds(network, held)
            chosen.append(decay)
    return scored(atlas, np.where(atlas.measured, odds, np.nan), tuple(chosen))


def fit_circuit(
    atlas: Atlas,
    circuit: Connectome,
    model: Model,
    decay: float,
    background: float = 0.1,
    swim: Swim | None = None,
    swimming: float = 0.0,
) -> Connectome:
    """Return a copy of a circuit with gains fitted to all stimulations and, optionally, to a teacher's swimming.

    The loss is (1 - swimming) A / A0 + swimming M, with the cross-entropy A of the atlas, its value A0 for a constant
    prediction of the response rate, and the imitation error M, which is 1 for motors at rest.

    Args:
        atlas: the atlas.
        circuit: circuit with initial gains.
        model: further parameters of the fit.
        decay: weight of the penalty, such as the one that `fit` chose most often.
        background: current into all cells.
        swim: swimming of a teacher.
        swimming: weight of the imitation error, from 0 to 1.

    Raises:
        CircuitMismatch: fewer than 20 of the neurons were measured, or the teacher has another body.
    """
    atlas.place([cell.name for cell in circuit.graph.cells], np.zeros((len(circuit.graph.cells),) * 2))
    network = CircuitResponse(atlas, model, circuit, background)
    with one_thread():
        _train(network, atlas, atlas.stimulated.tolist(), decay, swim, swimming)
    fitted = copy.deepcopy(circuit)
    with torch.no_grad():
        fitted.gain.copy_(network.circuit.gain)
    return fitted


def scored(atlas: Atlas, odds: Float[np.ndarray, "300 300"], decays: tuple[float, ...] = ()) -> Fit:
    """Score predictions of held-out stimulated neurons fold by fold; pooling folds would mix their offsets.

    Args:
        atlas: what was measured.
        odds: larger where a response is likelier.
        decays: what was chosen for each fold.
    """
    aucs, precisions, sampled = [], [], []
    rng = np.random.default_rng(0)
    for fold in columns(atlas):
        kept = atlas.measured[:, fold]
        truth, given, group = atlas.significant[:, fold][kept], odds[:, fold][kept], np.nonzero(kept)[1]
        aucs.append(auroc(truth, given))
        precisions.append(average_precision(truth, given))
        draws = np.array([np.bincount(rng.choice(len(fold), len(fold)), minlength=len(fold)) for _ in range(DRAWS)])
        sampled.append(aurocs(truth, given, group, draws.astype(float)))
    draws = np.mean(sampled, axis=0)
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    interval = Interval(float(np.mean(aucs)), float(low), float(high), len(atlas.stimulated))
    return Fit(odds, tuple(aucs), interval, float(np.mean(precisions)), draws, decays)


def _network(atlas: Atlas, source: Graph | Connectome, model: Model, background: float) -> Response:
    if model.gains == "none":
        return Response(atlas, model)
    if isinstance(source, Graph):
        return RateNetwork(atlas, model, source)
    atlas.place([cell.name for cell in source.graph.cells], np.zeros((len(source.graph.cells),) * 2))
    return CircuitResponse(atlas, model, source, background)


def _train(
    network: Response,
    atlas: Atlas,
    driven: Sequence[int],
    decay: float,
    swim: Swim | None = None,
    swimming: float = 0.0,
) -> None:
    """Minimise the cross-entropy of the pairs of some stimulated neurons, by L-BFGS; the network changes."""
    kept = torch.from_numpy(atlas.measured[:, driven])
    truth = torch.from_numpy(atlas.significant[:, driven].astype(float))[kept]
    parameters = [each for each in network.parameters() if each.numel() and each.requires_grad]
    at = torch.tensor(driven)
    known = nn.functional.binary_cross_entropy(truth.mean().expand(len(truth)), truth)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        nn.utils.vector_to_parameters(torch.from_numpy(flat), parameters)
        network.zero_grad()
        value = nn.functional.binary_cross_entropy_with_logits(network(at)[kept], truth)
        if swim is not None and swimming:
            assert isinstance(network, CircuitResponse)
            value = (1 - swimming) * value + swimming * known * swim.error(network.circuit)
        value = value + decay * network.penalty() / len(truth)
        value.backward()
        grads = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        return value.item(), torch.cat([grad.flatten() for grad in grads]).numpy()

    start = nn.utils.parameters_to_vector(parameters).detach().numpy()
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    nn.utils.vector_to_parameters(torch.from_numpy(found.x), parameters)


def _odds(network: Response, driven: Sequence[int]) -> Float[np.ndarray, "n driven"]:
    with torch.no_grad():
        return np.asarray(network(torch.tensor(driven)).numpy())


def _auroc(atlas: Atlas, network: Response, driven: Sequence[int]) -> float:
    kept: Bool[np.ndarray, "300 driven"] = atlas.measured[:, driven]
    return auroc(atlas.significant[:, driven][kept], _odds(network, driven)[kept])
