"""Recurrent circuits that emit like a hidden Markov model, driven by noise alone: subjects for `find_kicks`."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from nervecord.circuits import GRU, Circuit
from nervecord.errors import InvalidRun
from torch import Tensor

_NOISE = 4  # independent noise inputs
_SETTLE, _STEPS, _BATCH = 20, 40, 96
_LAGS = (1, 2, 3, 5, 8, 13, 20)


def train_hmm_rnn(
    transition: Float[np.ndarray, "states states"],
    emission: Float[np.ndarray, "states symbols"],
    units: int = 32,
    updates: int = 250,
    seed: int = 0,
) -> GRU:
    """Train gated units that hear white noise to emit symbols as often, and in such an order, as an HMM does.

    The motors are the logits of the symbols. What is matched is how often each symbol is followed by each
    other one after 1, 2, 3, 5, 8, 13 and 20 steps; of the HMM these shares have a closed form, and of the
    circuit they are means of products of its probabilities, so that nothing need be sampled to learn.

    Args:
        transition: probability of each state (column) after each (row).
        emission: probability of each symbol in each state.
        units, updates, seed: of the circuit, of Adam, and of all randomness.

    Raises:
        InvalidRun: rows that are no probabilities, or shapes that do not fit.
    """
    _check(transition, emission)
    rng = torch.Generator().manual_seed(seed)
    circuit = GRU({"noise": _NOISE}, emission.shape[1], units=units, rng=rng)
    torch.nn.init.orthogonal_(circuit.readout.get_parameter("weight"), 1.0, generator=rng)
    wanted = torch.tensor(np.stack([joint_shares(transition, emission, lag) for lag in _LAGS]), dtype=torch.float32)
    optimizer = torch.optim.Adam(circuit.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-2, total_steps=updates)
    for _ in range(updates):
        chance = emission_probabilities(circuit, _STEPS, _BATCH, rng)
        found = torch.stack([
            torch.einsum("tbi,tbj->ij", chance[:-lag], chance[lag:]) / chance[lag:, :, 0].numel() for lag in _LAGS
        ])  # fmt: skip
        loss = ((found - wanted) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(circuit.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return circuit


def emission_probabilities(
    circuit: Circuit, steps: int, batch: int, rng: torch.Generator
) -> Float[Tensor, "steps batch symbols"]:
    """Return the circuit's probabilities of symbols under fresh noise, after 20 steps in which it settles."""
    noise = torch.randn(_SETTLE + steps, batch, circuit.n_sensors, generator=rng)
    logits, _ = circuit.unroll(noise, circuit.initial_state(batch), torch.zeros(noise.shape[:2], dtype=torch.bool))
    return logits[_SETTLE:].softmax(-1)


@torch.no_grad()
def sample_symbols(circuit: Circuit, steps: int, batch: int, rng: torch.Generator) -> Int[np.ndarray, "batch steps"]:
    """Return symbols drawn from the circuit's probabilities under fresh noise."""
    chance = emission_probabilities(circuit, steps, batch, rng)
    return torch.multinomial(chance.flatten(0, 1), 1, generator=rng).reshape(steps, batch).T.numpy()


def joint_shares(
    transition: Float[np.ndarray, "states states"], emission: Float[np.ndarray, "states symbols"], lag: int
) -> Float[np.ndarray, "symbols symbols"]:
    """Return how often a stationary HMM emits symbol i and, `lag` steps later, j: B' diag(pi) A^lag B."""
    values, vectors = np.linalg.eig(transition.T)
    stationary = vectors[:, np.argmin(np.abs(values - 1))].real
    stationary = stationary / stationary.sum()
    return emission.T @ (stationary[:, None] * np.linalg.matrix_power(transition, lag)) @ emission


def _check(transition: Float[np.ndarray, "states states"], emission: Float[np.ndarray, "states symbols"]) -> None:
    if transition.ndim != 2 or len(set(transition.shape)) != 1 or emission.shape[:1] != transition.shape[:1]:
        raise InvalidRun(
            f"an HMM's transitions are [states, states] and its emissions [states, symbols]; these are "
            f"{transition.shape} and {emission.shape}"
        )
    for name, rows in (("transition", transition), ("emission", emission)):
        if (rows < 0).any() or not np.allclose(rows.sum(1), 1):
            raise InvalidRun(f"a row of the {name} matrix sums to {rows.sum(1).tolist()}; probabilities sum to 1")
