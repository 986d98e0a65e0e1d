"""Keep at each step the bricks that a score chooses, and none of the others: how few an agent needs at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from ....agents import Agent
from ....circuits import Circuit, Pins
from ....circuits.unit_axes import axes_of, heard_by, incoming_rows
from ....envs import EnvBatch
from ...rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from .partition import Labels, centres, unit_rows

ROUTED = 100  # units, below which a learned router has nothing to save
_STEPS, _BATCH, _RATE = 500, 256, 0.01

# From what a layer hears, and the values of its units, a score for each brick.
Scores = Callable[[Float[Tensor, "batch inputs"], Float[Tensor, "batch units"]], Float[Tensor, "batch bricks"]]


def oracle(values: Float[Tensor, "batch units"], labels: Labels) -> Float[Tensor, "batch bricks"]:
    """Return the sum of the sizes of each brick's units, in their unit: of a ReLU, of their positive parts.

    It needs the values themselves, so that choosing by it saves nothing: it bounds what a score can reach.
    """
    member = torch.as_tensor(labels[:, None] == np.arange(labels.max() + 1))
    return values.abs() @ member.to(values)


def similarity(
    heard: Float[Tensor, "batch inputs"], centre: Float[Tensor, "bricks inputs"]
) -> Float[Tensor, "batch bricks"]:
    """Return minus the distance of what a layer hears, at length 1, to the centre of each brick's rows, no unit."""
    return -torch.linalg.vector_norm(nn.functional.normalize(heard, dim=-1)[:, None] - centre, dim=-1)


class Router(nn.Module):
    """A network of one hidden layer that learns the oracle's scores from what a layer hears: R2 tanh(R1 x).

    It starts at R1 = the bricks' centres and R2 = the identity.

    Args:
        centre: of the rows of each brick.

    Source: Zhang et al. 2022, MoEfication (https://arxiv.org/abs/2110.01786).
    """

    def __init__(self, centre: Float[Tensor, "bricks inputs"]) -> None:
        super().__init__()
        self.first = nn.Parameter(centre.clone())
        self.second = nn.Parameter(torch.eye(len(centre), dtype=centre.dtype))

    def forward(self, heard: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch bricks"]:
        """Return a score for each brick, no unit."""
        return torch.tanh(nn.functional.normalize(heard, dim=-1) @ self.first.T) @ self.second.T

    def learn(
        self, heard: Float[Tensor, "samples inputs"], wanted: Float[Tensor, "samples bricks"], seed: int = 0
    ) -> float:
        """Learn the oracle's scores, divided by the largest of their step; return the mean loss of the last batches.

        By 500 steps of Adam on the binary cross-entropy, in batches of 256 samples.
        """
        target = wanted / wanted.amax(1, keepdim=True).clamp(min=1e-12)
        optimizer, rng = torch.optim.Adam(self.parameters(), _RATE), torch.Generator().manual_seed(seed)
        losses = []
        for _ in range(_STEPS):
            some = torch.randint(len(heard), (_BATCH,), generator=rng)
            loss = nn.functional.binary_cross_entropy_with_logits(self(heard[some]), target[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses[-_STEPS // 10 :]))


def centres_of(circuit: Circuit, layer: str, labels: Labels) -> Float[Tensor, "bricks inputs"]:
    """Return the centre of each brick's incoming rows at length 1, no unit; see `heard_in` for the columns."""
    rows = incoming_rows(circuit, layer)
    return torch.as_tensor(centres(unit_rows(rows.double().numpy()), labels)).to(rows)


def heard_in(
    circuit: Circuit,
    layer: str,
    activity: Float[Tensor, "batch neurons"],
    before: Float[Tensor, "batch neurons"],
) -> Float[Tensor, "batch inputs"]:
    """Return what a layer hears in a step, each input in its own unit and once for each gate, as its rows have it.

    Args:
        circuit: whose layer it is.
        layer: a group of its neurons.
        activity: in that step.
        before: in the step before, of which a recurrent layer hears its own values.
    """
    inputs = torch.cat(
        [
            (before if group == layer else activity)[:, circuit.groups[group]]
            for group in heard_by(axes_of(circuit), layer)
        ],
        1,
    )
    return inputs.repeat(1, incoming_rows(circuit, layer).shape[1] // inputs.shape[1])


def kept(scores: Float[Tensor, "batch bricks"], q: Int[Tensor, " batch"]) -> Bool[Tensor, "batch bricks"]:
    """Return which bricks are among the q best of their row."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    places = torch.empty_like(order).scatter_(1, order, torch.arange(scores.shape[1]).expand_as(order))
    return places < q[:, None]


def returns_by_q(
    agent: Agent, envs: EnvBatch, layer: str, labels: Labels, scores: Scores, progress: bool = False
) -> Float[np.ndarray, "bricks episodes"]:
    """Return the returns of an agent that keeps the q best bricks at each step, no unit, for q from 1 to all.

    Everything runs at once, on the same episodes.

    Args:
        agent: who acts.
        envs: one environment for each brick, times the episodes.
        layer, labels, scores: as `Retrieving` takes them.
        progress: show a bar.
    """
    n = int(labels.max()) + 1
    episodes = envs.n_envs // n
    acting = Retrieving(agent, layer, labels, scores, np.tile(np.arange(1, n + 1), episodes))
    seeds = np.repeat(EVALUATION_SEED + np.arange(episodes), n).tolist()
    return evaluate_agent(acting, envs, seeds, progress=progress).returns.reshape(episodes, n).T


class Retrieving:
    """An agent that keeps at each step the q best bricks of a layer, and holds the units of the others at 0.

    Whoever evaluates it takes it as an agent, of whole episodes that begin together. Units in no brick are always kept.

    Args:
        agent: who acts.
        layer: the layer that the bricks are of.
        labels: the brick of each of its units, -1 in none.
        scores: of each brick.
        q: how many bricks each environment keeps.
    """

    def __init__(self, agent: Agent, layer: str, labels: Labels, scores: Scores, q: Int[np.ndarray, " envs"]) -> None:
        self.agent, self.layer, self.scores = agent, layer, scores
        self.q, self.labels = torch.as_tensor(q), torch.as_tensor(labels)
        self._before: Tensor | None = None

    @torch.inference_mode()
    def predict(
        self,
        observation: Float[np.ndarray, "batch obs"],
        state: Any = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
        deterministic: bool = True,  # noqa: ARG002
    ) -> tuple[Shaped[np.ndarray, "batch action"], Any]:
        """Return actions and the next state; observations and actions are in the environment's units."""
        agent, circuit = self.agent, self.agent.circuit
        _, _, activity = agent.run(observation, state, episode_start, record=True)
        assert activity is not None
        if state is None:
            self._before = torch.zeros_like(activity)
            if "h" in (start := circuit.initial_state(len(activity))):
                self._before[:, circuit.groups[self.layer]] = start["h"]
        assert self._before is not None
        heard = heard_in(circuit, self.layer, activity, self._before)
        some = circuit.groups[self.layer]
        keep = kept(self.scores(heard, activity[:, some]), self.q)
        scale = torch.ones_like(activity)
        # A last column of True is where label -1 points.
        scale[:, some] = nn.functional.pad(keep, (0, 1), value=True)[:, self.labels].to(scale)
        motor, state, self._before = agent.run(
            observation, state, episode_start, record=True, pins=Pins(scale, torch.zeros_like(scale))
        )
        return agent.to_actions(motor).numpy().astype(agent.action_space.dtype, copy=False), state
