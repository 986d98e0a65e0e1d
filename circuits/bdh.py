"""The Dragon Hatchling: sparse positive units with Hebbian fast weights.

Kosowski et al. 2025 (https://arxiv.org/abs/2509.26507), following the authors' code, with a control step per token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .contract import Neuron, Pins, State, Wiring
from .neurons import neuron_row, sensor_neurons
from .recurrent import RecurrentCircuit, motor_readout, synapses
from .weights import check_size


class BDH(RecurrentCircuit):
    """Layers of units x and y, with fast weights S that store which were active together in this episode.

    With v = LN(W sensors + b), where LN is layer normalisation without weights, each level and head computes

        x = relu(v E);  a = S' x (recall);  S <- decay R(S + x v');  y = relu(LN(a) F)
        v <- LN(v + LN((x * y) D))

    E, F and D are shared by all levels. R rotates each pair of rows of S by its own angle per step, so with a decay of
    1 the fast weights are linear attention with rotary position embeddings. At the first step S is 0, so y is 0 and
    the policy is linear. Motors are linear in the last v.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        width: size of v.
        units: number of units x (and of y) per head; even.
        heads: number of heads per level.
        levels: number of levels, computed one after another in a control step.
        theta: base of the rotation frequencies: the slowest pair of rows turns once in about 2 pi `theta` steps, the
            fastest in 2 pi steps.
        decay: factor of S per control step; at 1, recall grows over the episode and later changes have little effect.
        rng: random generator for the initial weights.

    Attributes:
        encoder, encoder_v: E and F, [heads, width, units].
        decoder: D, [heads x units, width].
        frequencies: rotations per control step of each row of S, [units].
    """

    memory = "recurrent"
    frequencies: Float[Tensor, " units"]

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        width: int = 32,
        units: int = 64,
        heads: int = 1,
        levels: int = 2,
        theta: float = 64.0,
        decay: float = 0.95,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in {"width": width, "units": units, "heads": heads, "levels": levels}.items():
            if value < 1:
                raise CircuitMismatch(f"{name} is {value}; give 1 or more")
        if units % 2:
            raise CircuitMismatch(f"units is {units}; give an even number, for their rows turn in pairs")
        if not 0 < decay <= 1:
            raise CircuitMismatch(f"decay is {decay}; give a factor above 0 and up to 1")
        if not theta > 1:
            raise CircuitMismatch(f"theta is {theta}; give a number above 1, such as 64")
        check_size("units", levels * heads * units * width)
        self.senses, self.n_motors, self.n_features = tuple(senses.items()), n_motors, width
        self.heads, self.units, self.levels, self.decay = heads, units, levels, decay
        self.input = nn.Linear(self.n_sensors, width)
        nn.init.normal_(self.input.weight, std=self.n_sensors**-0.5, generator=rng)
        nn.init.zeros_(self.input.bias)
        self.encoder = nn.Parameter(torch.randn(heads, width, units, generator=rng) / math.sqrt(width))
        self.encoder_v = nn.Parameter(torch.randn(heads, width, units, generator=rng) / math.sqrt(width))
        self.decoder = nn.Parameter(torch.randn(heads * units, width, generator=rng) / math.sqrt(heads * units))
        pair = torch.arange(units, dtype=torch.float64) // 2 * 2
        self.register_buffer("frequencies", (theta ** (-pair / units) / (2 * math.pi)).float(), persistent=False)
        self.readout = motor_readout(width, n_motors, rng)
        rows = [
            Neuron(f"{kind}_{level}_{head}_{i}", "inter")
            for level in range(levels) for kind in ("x", "y") for head in range(heads) for i in range(units)
        ]  # fmt: skip
        self.neurons = (*sensor_neurons(self.senses), *rows, *neuron_row("motor", "motor", n_motors))

    def initial_state(self, batch_size: int) -> State:
        """Return S at zero, [batch, levels, heads, units, width]."""
        return {"S": self.encoder.new_zeros(batch_size, self.levels, self.heads, self.units, self.n_features)}

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch width"], State]:
        """Run one control step; the features are the last level's v."""
        features, state, _ = self._step(sensors, state)
        return features, state

    def pinned_step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins
    ) -> tuple[Float[Tensor, "batch width"], State]:
        """Run one control step with interventions on sensors and units."""
        features, state, _ = self._step(sensors, state, pins)
        return features, state

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step; the activity is sensors, x and y of each level (0 or more), and motors."""
        features, state, rows = self._step(sensors, state, pins)
        motor = self.read_out(features, pins)
        return motor, state, torch.cat((self.pinned(sensors, "sensors", pins), *rows, motor), -1)

    def wiring(self, state: State | None = None) -> Wiring:
        """Return the synapses between units; layer norms, which change only their scale, are left out.

        Because levels are residual, sensors project to the x of every level and to the motors, and y to all later
        levels and to the motors. Synapses from x to y (the group `fast`) are the fast weights S of `state`; without a
        state there are none.
        """
        names = [neuron.name for neuron in self.neurons]
        sensors, motors = names[self.groups["sensors"]], names[self.groups["motors"]]

        def row(kind: str, level: int) -> list[str]:
            return [f"{kind}_{level}_{head}_{i}" for head in range(self.heads) for i in range(self.units)]

        into, outward = self.encoder.permute(0, 2, 1).reshape(-1, self.n_features), self.readout.get_parameter("weight")
        found = [*synapses(sensors, motors, outward @ self.input.weight, "readout")]
        for level in range(self.levels):
            found += synapses(sensors, row("x", level), into @ self.input.weight, "input")
            found += synapses(row("y", level), motors, outward @ self.decoder.T, "readout")
            for later in range(level + 1, self.levels):
                found += synapses(row("y", level), row("x", later), into @ self.decoder.T, "decoder")
        if state is not None:
            fast = torch.einsum("lhnd,hdm->lhmn", state["S"][0], self.encoder_v)
            for level in range(self.levels):
                for head in range(self.heads):
                    some = slice(head * self.units, (head + 1) * self.units)
                    found += synapses(row("x", level)[some], row("y", level)[some], fast[level, head], "fast")
        return Wiring(self.neurons, tuple(found))

    def _step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch width"], State, list[Float[Tensor, "batch some"]]]:
        v = _norm(self.input(self.pinned(sensors, "sensors", pins)))
        held, rows = [], []
        for level in range(self.levels):
            x = torch.relu(torch.einsum("bd,hdn->bhn", v, self.encoder))
            x = self._pinned_row(x, level, 0, pins)
            before = state["S"][:, level]
            recalled = torch.einsum("bhnd,bhn->bhd", before, x)
            held.append(self.decay * self._turned(before + x[..., None] * v[:, None, None, :]))
            y = torch.relu(torch.einsum("bhd,hdn->bhn", _norm(recalled), self.encoder_v))
            y = self._pinned_row(y, level, 1, pins)
            v = _norm(v + _norm((x * y).flatten(1) @ self.decoder))
            rows += [x.flatten(1), y.flatten(1)]
        return v, {"S": torch.stack(held, 1)}, rows

    def _pinned_row(
        self, values: Float[Tensor, "batch heads units"], level: int, which: int, pins: Pins | None
    ) -> Float[Tensor, "batch heads units"]:
        if pins is None:
            return values
        size = self.heads * self.units
        first = self.n_sensors + (2 * level + which) * size
        scale, shift = (each[..., first : first + size] for each in (pins.scale, pins.shift))
        return (values.flatten(1) * scale + shift).unflatten(1, (self.heads, self.units))

    def _turned(self, held: Float[Tensor, "batch heads units width"]) -> Float[Tensor, "batch heads units width"]:
        """Turn each pair of rows by its angle of one control step, backwards."""
        even, odd = held[..., 0::2, :], held[..., 1::2, :]
        angle = 2 * math.pi * self.frequencies[0::2, None]
        cos, sin = torch.cos(angle), torch.sin(angle)
        return torch.stack((even * cos + odd * sin, odd * cos - even * sin), -2).flatten(-3, -2)


def _norm(v: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
    return nn.functional.layer_norm(v, v.shape[-1:])
