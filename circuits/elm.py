"""The Expressive Leaky Memory neuron: slow memory units behind leaky branches of synapses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from ..options import up_to
from .contract import State, step_length
from .recurrent import UnitCircuit, hold
from .weights import check_size


class ELM(UnitCircuit):
    """A neuron with branches b, memory units m and an MLP that writes them, version 2.

    b' = k_b b + sum of relu(w_s) x over the branch's synapses; dm = 1.7159 tanh(2/3 MLP([b', k_m m]));
    m' = k_m m + (1 - k_lambda) dm; with k_b = exp(-1 / tau_b), k_m = exp(-1 / tau_m) and
    k_lambda = exp(-lambda / tau_m). Synaptic weights are never negative, so x contains every sensor and its negative.
    The state is `branch` and `memory`; the features are the memory units.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        units: memory units.
        branches: number of branches; the synapses, two for every sensor, are divided among them in order.
        layers: hidden layers of the MLP, 2 x units wide, ReLU.
        tau: range of the memory's time constants, in control steps, spaced evenly in their logarithm.
        learn_tau: learn them, within the range.
        dt: seconds of a control step.
        dt_ref: seconds of the control step for which time constants are given. At another dt, with r = dt / dt_ref, k
            becomes k^r, and the inputs of branches and memory units are multiplied by (1 - k^r) / (1 - k): under
            the same input they converge to the same value, in the same number of seconds.
        rng: random generator for the initial weights.

    Source: Spieler et al., ICLR 2024 (https://arxiv.org/abs/2306.16922), eq. 1-3 and version 2 of the code.
    """

    memory = "recurrent"
    pooled: Float[Tensor, "synapses branches"]
    tau_b: Float[Tensor, " branches"]
    raw_tau_m: Float[Tensor, " units"]

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 32,
        branches: int = 8,
        layers: int = 1,
        tau: tuple[float, float] = (1.0, 1000.0),
        learn_tau: bool = True,
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self._build(senses, n_motors, units, rng)
        self.step_length = step_length(dt, dt_ref)
        n_synapses = 2 * self.n_sensors
        if not 1 <= branches <= n_synapses:
            raise CircuitMismatch(f"branches is {branches} for {n_synapses} synapses; give {up_to(n_synapses)}")
        if layers < 1:
            raise CircuitMismatch(f"layers is {layers}; give 1 or more")
        check_size("units and layers", 2 * units * (branches + 2 * units * layers))
        low, high = tau
        if not 0 < low < high:
            raise CircuitMismatch(f"tau is {low} to {high} steps; give a rising range above 0, such as [1, 1000]")
        self._low, self._high = low, high
        self.weight_s = nn.Parameter(torch.full((n_synapses,), 0.5))
        self.register_buffer("tau_b", torch.full((branches,), 5.0))
        # Time constants at the range's ends would be where the sigmoid is flat, and never change.
        places = torch.linspace(0, 1, units + 2)[1:-1] if units > 1 else torch.tensor([0.5])
        spaced = torch.exp(math.log(low) + places * (math.log(high) - math.log(low)))
        hold(self, "raw_tau_m", torch.logit((spaced - low) / (high - low)), learned=learn_tau)
        sizes = [branches + units, *[2 * units] * layers, units]
        self.mlp = nn.Sequential()
        for inputs, outputs in itertools.pairwise(sizes):
            layer = nn.Linear(inputs, outputs)
            for weight in layer.parameters():
                nn.init.uniform_(weight, -(inputs**-0.5), inputs**-0.5, generator=rng)
            self.mlp.extend([layer, nn.ReLU()])
        del self.mlp[-1]
        self.start_branch = nn.Parameter(torch.zeros(branches))
        self.start_memory = nn.Parameter(torch.zeros(units))
        branch_of = torch.arange(n_synapses) * branches // n_synapses
        self.register_buffer("pooled", nn.functional.one_hot(branch_of, branches).float(), persistent=False)

    @property
    def tau(self) -> Float[Tensor, " units"]:
        """The memory's time constants, in control steps."""
        return self._low + (self._high - self._low) * torch.sigmoid(self.raw_tau_m)

    def initial_state(self, batch_size: int) -> State:
        """Return the state at the start of an episode."""
        return {
            "branch": self.start_branch.expand(batch_size, -1),
            "memory": self.start_memory.expand(batch_size, -1),
        }

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step."""
        return self.step_synapses(torch.cat((sensors, -sensors), -1), state)

    def step_synapses(
        self, inputs: Float[Tensor, "batch synapses"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step on each synapse's input: a sensor or its negative, in the sensor's unit."""
        tau = self.tau
        keep_branch, keep = self._kept(self.tau_b), self._kept(tau)
        # The published lambda of 5, divided by the time constant: slow units take small steps.
        write = 1 - torch.exp(-5 / tau)
        taken = (inputs * self.weight_s.relu()) @ self.pooled
        if self.step_length != 1:
            taken, write = self._gain(self.tau_b) * taken, self._gain(tau) * write
        branch = keep_branch * state["branch"] + taken
        kept = keep * state["memory"]
        change = 1.7159 * torch.tanh(2 / 3 * self.mlp(torch.cat((branch, kept), -1)))
        memory = kept + write * change
        return memory, {"branch": branch, "memory": memory}

    def _kept(self, tau: Float[Tensor, " values"]) -> Float[Tensor, " values"]:
        """Return the fraction of a value that remains after a control step."""
        return torch.exp(-self.step_length / tau)

    def _gain(self, tau: Float[Tensor, " values"]) -> Float[Tensor, " values"]:
        """Return the factor on the input of a control step; 1 for a step of dt_ref."""
        return (1 - self._kept(tau)) / (1 - torch.exp(-1 / tau))

    def drawn_weights(self) -> tuple[Float[Tensor, "units sensors"], Float[Tensor, "units units"]]:
        """Return the MLP's Jacobian at the initial state: by sensors (both synapses of each) and by memory units."""

        def change(inputs: Tensor, memory: Tensor) -> Tensor:
            written: Tensor = self.mlp(torch.cat((inputs @ self.pooled, self._kept(self.tau) * memory), -1))
            return written

        n_synapses, units = len(self.weight_s), self.n_features
        at_rest = (self.weight_s.new_zeros(n_synapses), self.weight_s.new_zeros(units))
        synapses, memory = torch.autograd.functional.jacobian(change, at_rest)
        signed = synapses * self.weight_s.relu()
        return signed[:, : self.n_sensors] - signed[:, self.n_sensors :], memory
