"""Radial basis functions placed on the first experience: a baseline for networks of weighted sums.

Chen et al. 2023, NeuRBF (https://arxiv.org/abs/2309.15426), without its parts for images.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .contract import Neuron, Pins, State, Wiring, named_groups
from .layered import LayeredCircuit
from .neurons import neuron_row, sensor_neurons
from .recurrent import motor_readout, synapses
from .weights import check_size

Kernel = Literal["ivq", "ivmq", "gauss", "hat"]

_TINY = 1e-8
_NARROW = 0.01  # of a sensor's variance, below which no kernel's goes


class RBF(LayeredCircuit):
    """A radial basis function network of the sensors, with a linear path in parallel.

    With m = sum_j exp(log_shapes_kj) (x_j - centres_kj)^2, kernel k is 1 / (1 + m) ("ivq"), (1 + m)^-1/2 ("ivmq") or
    exp(-m / 2) ("gauss"), or a product of triangular functions ("hat"), see `kernels`. Kernels are normalised to a sum
    of 1, and

        motors = weights kernels + direct x + bias

    Kernels start with a weight of 0. After the first rollout or generation, `restructure` once sets their centres to
    the k-means clusters of its sensor values, and their shapes from the clusters' variances. All parameters are
    trained.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        units: number of kernels.
        kernel: type of kernel, one of the above.
        rng: random generator for initial weights and for k-means.

    Attributes:
        centres: [units, sensors], in the sensors' units.
        log_shapes: [units, sensors], logarithms of inverse squared widths, or of inverse widths for hats.
        weights: [motors, units].
        direct: the linear path to the motors.
        is_placed: whether kernels have been placed on experience, a buffer.
        seed: seed of k-means, a buffer.
    """

    is_placed: Bool[Tensor, ""]
    seed: Int[Tensor, ""]

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 64,
        kernel: Kernel = "ivq",
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if units < 1:
            raise CircuitMismatch(f"units is {units}; give 1 or more")
        if kernel not in get_args(Kernel):
            raise CircuitMismatch(f"kernel is {kernel!r}; give {' or '.join(map(repr, get_args(Kernel)))}")
        self.senses, self.n_motors, self.kernel = tuple(senses.items()), n_motors, kernel
        if not self.n_sensors:
            raise CircuitMismatch("nothing is sensed, and kernels need a place; choose a task with senses")
        check_size("units", units * (2 * self.n_sensors + n_motors))
        self.centres = nn.Parameter(torch.randn(units, self.n_sensors, generator=rng))
        # In many dimensions all distances are alike: m is about 2 at first, whatever the number of sensors.
        self.log_shapes = nn.Parameter(torch.full((units, self.n_sensors), -math.log(self.n_sensors)))
        self.weights = nn.Parameter(torch.zeros(n_motors, units))
        self.direct = motor_readout(self.n_sensors, n_motors, rng)
        self.register_buffer("is_placed", torch.tensor(False))
        self.register_buffer("seed", torch.randint(2**31, (), generator=rng))
        self.neurons, self.groups = named_groups(
            {
                "sensors": sensor_neurons(self.senses),
                "rbf": [Neuron(f"rbf_{i}", "inter") for i in range(units)],
                "motors": neuron_row("motor", "motor", n_motors),
            }
        )

    @property
    def restructures_every(self) -> int:  # type: ignore[override]
        """1 until the kernels are placed, then 0 (never)."""
        return 0 if self.is_placed else 1

    def layer_values(
        self, sensors: Float[Tensor, "batch sensors"], pins: Pins | None
    ) -> list[Float[Tensor, "batch units"]]:
        """Return sensors, kernels and motors."""
        x = self.pinned(sensors, "sensors", pins)
        raw = kernels(x, self.centres, self.log_shapes.exp(), self.kernel)
        values = self.pinned(raw / (raw.sum(-1, keepdim=True) + _TINY), "rbf", pins)
        motor = self.direct(x) + nn.functional.linear(values, self.weights)
        return [x, values, self.pinned(motor, "motors", pins)]

    @torch.no_grad()
    def restructure(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        activity: Float[Tensor, "time batch neurons"],  # noqa: ARG002
    ) -> Mapping[str, Bool[Tensor, "*shape"]]:
        """Place the kernels on experience, with a weight of 0, unless they are placed already.

        Raises:
            CircuitMismatch: there are fewer distinct observations than kernels.
        """
        if self.is_placed:
            return {}
        centres, shapes = clusters(sensors.flatten(0, 1).cpu().double().numpy(), len(self.centres), int(self.seed))
        self.centres.copy_(torch.as_tensor(centres))
        self.log_shapes.copy_(torch.as_tensor(np.sqrt(shapes) if self.kernel == "hat" else shapes).log())
        self.weights.zero_()
        self.is_placed.fill_(True)
        moved = {"centres": self.centres, "log_shapes": self.log_shapes, "weights": self.weights}
        return {name: torch.ones_like(value, dtype=torch.bool) for name, value in moved.items()}

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return each kernel's inverse width along each sensor, and the weights to the motors."""
        names = {group: [neuron.name for neuron in self.neurons[some]] for group, some in self.groups.items()}
        sensors, units, motors = names.values()
        found = [
            *synapses(sensors, units, self.log_shapes.exp(), "log_shapes"),
            *synapses(units, motors, self.weights, "weights"),
            *synapses(sensors, motors, self.direct.weight, "direct.weight"),
        ]
        return Wiring(self.neurons, tuple(found))


def kernels(
    x: Float[Tensor, "batch d"],
    centres: Float[Tensor, "units d"],
    shapes: Float[Tensor, "units d"] | Float[Tensor, "units d d"],
    kernel: Kernel,
) -> Float[Tensor, "batch units"]:
    """Return kernels of the distance m = (x - c)^T A (x - c); "hat" is prod_j max(0, 1 - |x_j - c_j| A_j).

    Args:
        x: points.
        centres: c, in the points' unit.
        shapes: A, in the inverse of its square, a symmetric matrix or its diagonal; of hats, in the inverse of it.
        kernel: which.
    """
    apart = x[:, None] - centres
    if kernel == "hat":
        return (1 - apart.abs() * shapes).clamp(min=0).prod(-1)
    scaled = apart * shapes if shapes.dim() == 2 else torch.einsum("bud,ude->bue", apart, shapes)
    m = (scaled * apart).sum(-1)
    if kernel == "gauss":
        return torch.exp(-m / 2)
    return 1 / (1 + m) if kernel == "ivq" else torch.rsqrt(1 + m)


def clusters(
    points: Float[np.ndarray, "many d"], count: int, seed: int
) -> tuple[Float[np.ndarray, "count d"], Float[np.ndarray, "count d"]]:
    """Return the centres of clusters of points, by k-means, and shapes: 1/2 over each coordinate's variance in them.

    The variance of a cluster of n points counts n times, that of all clusters once, so that a single point has one.

    Args:
        points: in any unit.
        count: number of clusters.
        seed: of the choice of first centres.

    Raises:
        CircuitMismatch: there are fewer different points than clusters.
    """
    if (many := len(np.unique(points, axis=0))) < count:
        raise CircuitMismatch(f"{many} different moments of experience cannot place {count} kernels; give fewer units")
    with warnings.catch_warnings():
        # A cluster that loses all its points keeps its centre.
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        centres, labels = kmeans2(points, count, iter=10, minit="++", seed=np.random.default_rng(seed))
    sizes = np.bincount(labels, minlength=count)[:, None]
    squares = np.zeros_like(centres)
    np.add.at(squares, labels, (points - centres[labels]) ** 2)
    variance = (squares + squares.sum(0) / len(points)) / (sizes + 1)
    total = points.var(0)
    # A sensor that never moved tells nothing of how far it may.
    variance = np.where(total > 0, np.maximum(variance, _NARROW * total), 1.0)
    return centres, 0.5 / variance
