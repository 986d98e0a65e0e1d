"""A network that attends over neurons to predict each one's next change, and the behaviour that goes with it.

After Neuroformer (Antoniades et al. 2024, https://arxiv.org/abs/2311.00136), for activity in place of spikes: a token
for each neuron, of its recent values and its identity; each neuron asks all others, and never itself.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ....threads import one_thread

WINDOW = 2  # control steps that a token knows
_WIDTH, _MIXED, _HEADS = 32, 64, 4
_BATCH, _RATE = 64, 1e-3
_SAMPLES = 512  # windows over which attention and derivatives are averaged


@dataclasses.dataclass(frozen=True)
class Predicted:
    """A trained predictor's outputs on windows.

    Attributes:
        change: of every neuron to the next control step, in standard deviations of the neuron.
        behaviour: in the next control step, each value in its own standard deviations.
        attention: mean over heads, of each neuron (rows) to each other.
    """

    change: Float[Tensor, "windows neurons"]
    behaviour: Float[Tensor, "windows values"]
    attention: Float[Tensor, "windows neurons neurons"]


class Predictor(nn.Module):
    """One layer of attention from every neuron to all others, and two small heads.

    Args:
        n_neurons: tokens.
        n_behaviour: values of the behaviour.
    """

    def __init__(self, n_neurons: int, n_behaviour: int) -> None:
        super().__init__()
        self.identity = nn.Parameter(0.5 * torch.randn(n_neurons, _WIDTH))
        self.past = nn.Linear(WINDOW, _WIDTH)
        self.query, self.key, self.value = (nn.Linear(_WIDTH, _WIDTH, bias=False) for _ in range(3))
        # Of what a neuron heard, its own past and who it is: without the last, a mean over neurons would say little.
        self.mixed = nn.Sequential(nn.Linear(2 * _WIDTH + WINDOW, _MIXED), nn.Tanh())
        self.change = nn.Linear(_MIXED, 1)
        self.behaviour = nn.Sequential(nn.Linear(_MIXED, _MIXED), nn.Tanh(), nn.Linear(_MIXED, n_behaviour))
        self.register_buffer("itself", torch.eye(n_neurons, dtype=torch.bool))

    def forward(self, window: Float[Tensor, "windows neurons steps"]) -> Predicted:
        """Predict from windows of standardised activity, the oldest step first."""
        n = len(self.identity)
        tokens = self.past(window) + self.identity
        # What is asked depends on who asks and on its own past; what is answered on the others alone.
        query, key, value = (
            layer(tokens).unflatten(-1, (_HEADS, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(_WIDTH / _HEADS)
        attention = scores.masked_fill(self.itself, -math.inf).softmax(-1)
        heard = (attention @ value).transpose(1, 2).flatten(2)
        identity = self.identity.expand(len(window), n, _WIDTH)
        mixed = self.mixed(torch.cat((heard, window, identity), -1))
        return Predicted(self.change(mixed)[..., 0], self.behaviour(mixed.mean(1)), attention.mean(1))


def windows_of(values: Float[np.ndarray, "E T n"]) -> Float[Tensor, "windows n steps"]:
    """Return every window that has a next step, of all episodes in a row."""
    parts = np.lib.stride_tricks.sliding_window_view(values[:, :-1], WINDOW, axis=1)
    return torch.as_tensor(np.ascontiguousarray(parts.reshape(-1, *parts.shape[2:])), dtype=torch.float32)


def train_predictor(
    activity: Float[np.ndarray, "E T n"], behaviour: Float[np.ndarray, "E T values"], updates: int, seed: int = 0
) -> Predictor:
    """Train a predictor on standardised episodes: AdamW with a cosine schedule, on the squared error of both outputs.

    Args:
        activity: of every neuron, in its standard deviations.
        behaviour: what is predicted beside it, likewise.
        updates: of 64 windows each.
        seed: of the initial weights and of the windows that are drawn.
    """
    window = windows_of(activity)
    change = torch.as_tensor(np.diff(activity, axis=1)[:, WINDOW - 1 :], dtype=torch.float32).flatten(0, 1)
    goal = torch.as_tensor(behaviour[:, WINDOW:], dtype=torch.float32).flatten(0, 1)
    # Changes are small beside the values themselves; in their own units, each counts as much.
    spread = change.std(0).clamp(min=1e-6)
    with torch.random.fork_rng(), one_thread():
        torch.manual_seed(seed)
        model = Predictor(activity.shape[2], behaviour.shape[2])
        optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
        for _ in range(updates):
            drawn = torch.randint(len(window), (_BATCH,))
            found = model(window[drawn])
            loss = (((found.change - change[drawn]) / spread) ** 2).mean()
            loss = loss + ((found.behaviour - goal[drawn]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def predicted(
    model: Predictor, values: Float[np.ndarray, "E T n"]
) -> tuple[Float[np.ndarray, "windows n"], Float[np.ndarray, "windows values"], Float[np.ndarray, "n n"]]:
    """Return what a predictor says of every window of episodes: change, behaviour, and its mean attention."""
    parts = [model(part) for part in windows_of(values).split(1024)]
    change, behaviour = (
        np.asarray(torch.cat([getattr(part, name) for part in parts])) for name in ("change", "behaviour")
    )
    attention = torch.stack([part.attention.sum(0) for part in parts]).sum(0) / len(change)
    return change, behaviour, np.asarray(attention, float)


def influence(model: Predictor, values: Float[np.ndarray, "E T n"]) -> Float[np.ndarray, "neurons neurons"]:
    """Return the mean size of the derivative of each neuron's next value (rows) by each neuron's present one."""
    window = windows_of(values)
    window = window[torch.linspace(0, len(window) - 1, min(_SAMPLES, len(window))).long()]

    def next_values(present: Tensor, past: Tensor) -> Tensor:
        whole = torch.cat((past, present[:, None]), -1)[None]
        return present + model(whole).change[0]

    with one_thread():
        jacobian = torch.func.vmap(torch.func.jacrev(next_values))(window[..., -1], window[..., :-1])
    return np.asarray(jacobian.abs().mean(0).detach(), float)


@torch.no_grad()
def free_run(
    model: Predictor, start: Float[np.ndarray, "episodes steps n"], steps: int
) -> Float[np.ndarray, "episodes free n"]:
    """Let a predictor go on by itself from the first `WINDOW` steps of episodes, on its own predictions."""
    window = torch.as_tensor(np.moveaxis(start[:, :WINDOW], 1, 2), dtype=torch.float32)
    found = []
    for _ in range(steps):
        after = window[..., -1] + model(window).change
        window = torch.cat((window[..., 1:], after[..., None]), -1)
        found.append(after)
    return np.stack(found, 1)
