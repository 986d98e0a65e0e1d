"""The Continuous Thought Machine in the variant its authors train by reinforcement learning."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..contract import Neuron, Pins, State, Synapse, Wiring
from ..neurons import neuron_row, sensor_neurons
from ..recurrent import RecurrentCircuit
from ..weights import check_size, load_weights
from .layers import NeuronModels, Synapses, Synchronisation, gated_blocks, linear
from .published import from_published


class CTM(RecurrentCircuit):
    """Neurons that each remember their own input, read out through how they synchronise.

    Each control step encodes the sensors, then runs `ticks` internal steps. In each tick, the synapses compute every
    neuron's pre-activation from the encoded sensors and all neurons' last values, and every neuron's own model
    computes its value from the last `memory_length` pre-activations. The features are the synchronisation of each pair
    of the last `n_synch` neurons. The state contains the histories `pre` and `post`, both
    [batch, d_model, memory_length], with learned initial values. Ticks are computation steps without a duration, so
    the circuit takes no `dt`, and makes the same number of ticks in control steps of any length.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        ticks: internal steps per control step.
        d_model: number of neurons.
        d_input: size of the encoded sensors.
        n_synch: number of neurons whose pairwise synchronisation is read, which gives n_synch (n_synch + 1) / 2
            features.
        synapse_depth: 1, or the number of layer widths, from `d_model` down to 16, of a U-Net.
        memory_length: ticks of history, 2 or more.
        deep: whether neuron-level models have a hidden layer; otherwise they are linear.
        hidden: number of hidden units of each neuron-level model.
        decay: "softplus" for training; "clamp" for published checkpoints, where the decay rate starts at 0 and has no
            gradient below it.
        normalize: whether the synchronisation passes through a LayerNorm. It is only 1e-3 to 4e-3 large initially,
            too small to train on without it. Published checkpoints have none.
        heads: sizes of hidden ReLU layers between features and motors; the authors use (64, 64).
        rng: random generator for the initial weights.

    Source: Darlow et al. 2025, section 3 and appendix on reinforcement learning.
    """

    memory = "recurrent"

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        ticks: int = 1,
        d_model: int = 128,
        d_input: int = 64,
        n_synch: int = 16,
        synapse_depth: int = 1,
        memory_length: int = 10,
        deep: bool = True,
        hidden: int = 2,
        decay: Literal["softplus", "clamp"] = "softplus",
        normalize: bool = True,
        heads: Sequence[int] = (),
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes = {
            "ticks": ticks,
            "d_model": d_model,
            "d_input": d_input,
            "n_synch": n_synch,
            "synapse_depth": synapse_depth,
            "hidden": hidden,
        }
        for option, size in sizes.items():
            if size < 1:
                raise CircuitMismatch(f"{option} is {size}; give 1 or more")
        # A history of one tick would be replaced before it is read, so that nothing of its start is learned.
        if memory_length < 2:
            raise CircuitMismatch(f"memory_length is {memory_length}; give 2 or more")
        if n_synch > d_model:
            raise CircuitMismatch(f"n_synch is {n_synch} of {d_model} neurons; give {d_model} or fewer")
        if normalize and n_synch == 1:
            raise CircuitMismatch("n_synch is 1, one feature, which normalize makes 0; give n_synch=2 or more")
        if synapse_depth > 1 and d_model < 16:
            raise CircuitMismatch(f"a U-Net narrows to 16 units and d_model is {d_model}; give synapse_depth=1")
        if decay not in ("softplus", "clamp"):
            raise CircuitMismatch(f"decay is {decay!r}; give 'softplus' to train or 'clamp' for published weights")
        if any(not isinstance(units, int) or units < 1 for units in heads):
            raise CircuitMismatch(f"heads is {tuple(heads)}; give numbers of units, such as (64, 64)")
        widest = max(d_model, d_input, *heads)
        check_size("the sizes", widest * (widest * synapse_depth + memory_length * (2 * hidden + 2)))
        self.senses, self.n_motors = tuple(senses.items()), n_motors
        self.n_features = n_synch * (n_synch + 1) // 2
        self._ticks, self._n_synch, self._decay = ticks, n_synch, decay
        self._d_input, self._memory_length = d_input, memory_length
        self.encoder = gated_blocks((self.n_sensors, d_input, d_input), rng)
        self.synapses = Synapses(d_input, d_model, synapse_depth, rng)
        self.neuron_models = NeuronModels(d_model, memory_length, hidden if deep else None, rng)
        self.synchronisation = Synchronisation(n_synch, memory_length, decay)
        # The synchronisation's variance is about 1e-6 at first: torch's 1e-5 in the divisor would drown it.
        self.norm = nn.LayerNorm(self.n_features, eps=1e-10) if normalize else nn.Identity()
        bound = 1 / math.sqrt(d_model + memory_length)
        self.start_pre, self.start_post = (
            nn.Parameter(torch.empty(d_model, memory_length).uniform_(-bound, bound, generator=rng)) for _ in range(2)
        )
        self.readout = _readout((self.n_features, *heads, n_motors), rng)
        self.neurons = (
            *sensor_neurons(self.senses),
            *(Neuron(f"neuron_{i}", "inter") for i in range(d_model)),
            *neuron_row("motor", "motor", n_motors),
        )

    def initial_state(self, batch_size: int) -> State:
        """Return the learned histories at the start of an episode."""
        return {
            "pre": self.start_pre.expand(batch_size, -1, -1),
            "post": self.start_post.expand(batch_size, -1, -1),
        }

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step (`ticks` internal steps) and return the synchronisation as features."""
        drive = self.synapses.from_features(self.encoder(sensors))
        layers = self.neuron_models.layers()
        pre, post = state["pre"], state["post"]
        for _ in range(self._ticks):
            now = self.synapses(drive, post[..., -1])
            pre = torch.cat((pre[..., 1:], now[..., None]), -1)
            value = self.pinned(self.neuron_models(pre.permute(1, 2, 0), layers).t(), "units", pins)
            post = torch.cat((post[..., 1:], value[..., None]), -1)
        features = self.norm(self.synchronisation(post[:, -self._n_synch :]))
        return features, {"pre": pre, "post": post}

    def unroll_features(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch features"], State]:
        """Run a sequence up to the features; see `Circuit.unroll`.

        Only synapses and neuron-level models depend on the previous step. Encoder and synchronisation, which do not
        feed back, run over the whole sequence at once.
        """
        n_steps, ticks = len(sensors), self._ticks
        drive = self.synapses.from_features(self.encoder(sensors)).unbind()
        layers = self.neuron_models.layers()
        # First of all, so that NaN in the state of an episode that ended reaches no sum over time.
        state = self.reset_state(state, episode_start[0])
        pre, post = (list(state[key].permute(2, 1, 0).contiguous()) for key in ("pre", "post"))
        any_start = [False, *episode_start[1:].any(1).tolist()]
        # Values older than this have left the history at the end of the sequence.
        kept_from = n_steps - math.ceil(self._memory_length / ticks)
        watched, last = [], post[-1]
        for step in range(n_steps):
            if any_start[step]:
                starting = episode_start[step].nonzero()[:, 0]
                pre = _restarted(pre, starting, self.start_pre)
                last = _restarted([last], starting, self.start_post[:, -1:])[0]
                post = _restarted(post, starting, self.start_post) if step >= kept_from else post
            for _ in range(ticks):
                pre = [*pre[1:], self.synapses(drive[step], last.t()).t().contiguous()]
                last = self.neuron_models(torch.stack(pre, 1), layers)
                post = [*post[1:], last] if step >= kept_from else post
                watched.append(last[-self._n_synch :])
        features = self.synchronisation.unroll(
            state["post"][:, -self._n_synch :],
            self.start_post[-self._n_synch :],
            torch.stack(watched).unflatten(0, (n_steps, ticks)),
            episode_start,
        )
        end = {key: torch.stack(history).permute(2, 1, 0) for key, history in (("pre", pre), ("post", post))}
        return self.norm(features), end

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step; the activity is sensors, every neuron's value after the last tick, and motors."""
        features, state = self.features_at(sensors, state, pins)
        motor = self.read_out(features, pins)
        return motor, state, torch.cat((self.pinned(sensors, "sensors", pins), state["post"][..., -1], motor), -1)

    def pinned_step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step with interventions on sensors, and on neurons at every tick."""
        return self.step_features(self.pinned(sensors, "sensors", pins), state, pins)

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return the circuit linearised at the initial state with all sensors 0.

        Synapses are gated and normalised, so there are no fixed weights between neurons. The weights are derivatives
        at this point: of each neuron's pre-activation by sensors and by other neurons' last values, and of each
        motor by the values of the neurons it reads through the synchronisation.
        """
        sensors = self.start_post.new_zeros(1, self.n_sensors)
        start = {key: value.detach() for key, value in self.initial_state(1).items()}

        def pre(sensors: Tensor, last: Tensor) -> Tensor:
            now: Tensor = self.synapses(self.synapses.from_features(self.encoder(sensors)), last)
            return now[0]

        def motor(last: Tensor) -> Tensor:
            post = torch.cat((start["post"][..., :-1], last[..., None]), -1)
            commands: Tensor = self.readout(self.norm(self.synchronisation(post[:, -self._n_synch :])))
            return commands[0]

        last = start["post"][..., -1]
        of_sensors, of_neurons = torch.func.jacrev(pre, (0, 1))(sensors, last)
        names = {group: [neuron.name for neuron in self.neurons[some]] for group, some in self.groups.items()}
        watched = names["units"][-self._n_synch :]
        drawn = (
            (names["sensors"], names["units"], of_sensors[:, 0]),
            (names["units"], names["units"], of_neurons[:, 0]),
            (watched, names["motors"], torch.func.jacrev(motor)(last)[:, 0, -self._n_synch :]),
        )
        synapses = [
            Synapse(before, after, weight)
            for befores, afters, matrix in drawn
            for after, row in zip(afters, matrix.tolist(), strict=True)
            for before, weight in zip(befores, row, strict=True)
        ]
        return Wiring(self.neurons, tuple(synapses))

    def load_published(self, weights: Mapping[str, Float[Tensor, "*shape"]]) -> None:
        """Load the weights of a published checkpoint, by their published names.

        The readout is not changed, because the authors store theirs separately, as `actor` and `critic`.

        Raises:
            CircuitMismatch: the circuit has parts that published ones lack, or names or sizes differ; nothing is
                loaded.
        """
        if self._decay != "clamp" or not isinstance(self.norm, nn.Identity):
            raise CircuitMismatch("published weights fit decay='clamp' and normalize=False; build the circuit so")
        own = {name: value for name, value in self.state_dict().items() if name.startswith("readout.")}
        load_weights(self, {**own, **from_published(weights, self._d_input)})


def _restarted(
    history: list[Tensor], starting: Int[Tensor, " starts"], start: Float[Tensor, "neurons memory"]
) -> list[Tensor]:
    """Replace the columns of some environments; few start at once, and `where` took 4 times as long."""
    new = start[..., None].expand(-1, -1, len(starting))
    return list(torch.stack(history, 1).index_copy(2, starting, new).unbind(1))


def _readout(sizes: tuple[int, ...], rng: torch.Generator | None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        is_last = len(layers) == 2 * (len(sizes) - 2)
        layer = linear(inputs, outputs, rng)
        nn.init.orthogonal_(layer.weight, 0.01 if is_last else math.sqrt(2), generator=rng)
        nn.init.zeros_(layer.bias)
        layers += [layer] if is_last else [layer, nn.ReLU()]
    return nn.Sequential(*layers)
