"""Body code: whether a circuit's neurons tell which body they move."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from ...drawing.figures import open_axes
from ...envs import body_names, make_body
from ...errors import InvalidRecording
from ...intervals import bootstrap_mean
from ..rollouts.recorder import record
from ..rollouts.recording import Recording
from .contract import ProbeResult, Subject, settled
from .tools.ridge_classifier import ridge_readout
from .tools.unseen import told_unseen
from .tools.votes import assigned, best_threshold, recognised, remove_hyperactive

_EPISODES = 4
_WINDOW = 60  # control steps
_FEWEST = 4  # bodies, so that a code is fitted to two and tried on two others


def body_code(subject: Subject) -> ProbeResult:
    """Record the agent on every body of as many joints, and tell the body from its neurons' mean values in 60 steps.

    Ridge regression is trained on three episodes of each body and tested on the fourth, each in turn. Sensors are left
    out, which differ among bodies by themselves. Where neurons fire, each also votes for the body in which it fires
    most, with and without neurons that answer to nearly all windows.

    `unseen` is the share of windows of two bodies that are told by a code which was fitted to the other bodies: what
    neurons do is compared with how the joints of both move; see `PairedLiquids`. Chance is 0.5. It needs four bodies.

    Raises:
        InvalidRecording: there is only a recording, its bodies are those of others, or episodes are too short.
    """
    run = subject.run
    own = make_body(run.config.body)
    names = [name for name in body_names() if make_body(name).n_joints == own.n_joints]
    if len(names) < 2:
        raise InvalidRecording(f"no other body has {own.n_joints} joints, so there is nothing to tell apart")
    found = [record(run, _EPISODES, name) for name in names]
    values, labels, episodes = windows(found)
    guesses = np.full(len(labels), -1)
    for episode in range(_EPISODES):
        tested = episodes == episode
        guesses[tested] = told_by_ridge(values[~tested], labels[~tested], values[tested])
    right = guesses == labels
    shares = [right[episodes == episode].mean() for episode in range(_EPISODES)]
    interval, chance = bootstrap_mean(shares), 1 / len(names)
    numbers = {"told": interval.mean, "told_low": interval.low, "told_high": interval.high, "chance": chance}
    if found[0].firing:
        numbers |= _by_votes(found)
    unheard: list[str] = []
    if len(names) >= _FEWEST:
        unseen = bootstrap_mean(_unseen(found))
        numbers |= {"unseen": unseen.mean, "unseen_low": unseen.low, "unseen_high": unseen.high}
        unheard = [
            f"Of two bodies that a code never heard, it tells {100 * unseen.mean:.0f} % of windows, 50 % by chance."
        ]
    confusion = np.zeros((len(names), len(names)))
    np.add.at(confusion, (labels, guesses), 1)
    confusion /= confusion.sum(1, keepdims=True)
    hardest = int(np.diag(confusion).argmin())
    words = (
        f"{100 * interval.mean:.0f} % of windows tell their body, {100 * chance:.0f} % by chance; "
        f"{names[hardest]} is told least often, in {100 * confusion[hardest, hardest]:.0f} %.",
        *unheard,
    )
    arrays = {"body": np.array(names), "confusion": confusion}
    return ProbeResult(numbers, dict.fromkeys(numbers, "of windows"), arrays, _figure(names, confusion), words)


def windows(
    recordings: list[Recording], fired: bool = False
) -> tuple[Float[np.ndarray, "windows neurons"], Int[np.ndarray, " windows"], Int[np.ndarray, " windows"]]:
    """Return neurons' mean values in windows of 60 steps, or numbers of spikes, and each window's body and episode.

    Raises:
        InvalidRecording: an episode is shorter than a window after it has settled.
    """
    values, labels, episodes = [], [], []
    for body, recording in enumerate(recordings):
        series = np.asarray(recording.spikes).sum(2, dtype=float) if fired else _neurons(recording)
        for episode, steps in _parts(recording):
            part = series[episode, steps]
            values.append(part.sum(0) if fired else part.mean(0))
            labels.append(body)
            episodes.append(episode)
    if not {(body, episode) for body in range(len(recordings)) for episode in range(_EPISODES)} <= set(
        zip(labels, episodes, strict=True)
    ):
        raise InvalidRecording(f"an episode has no {_WINDOW} steps after its first fifth; give longer episodes")
    return np.array(values), np.array(labels), np.array(episodes)


def _unseen(recordings: list[Recording]) -> list[float]:
    """Return shares of windows told of every two bodies, by what neurons do and how joints move, without training."""
    episodes = [torch.tensor([episode for episode, _ in _parts(recording)]) for recording in recordings]

    def cut(recording: Recording, series: Float[np.ndarray, "episodes time values"]) -> Tensor:
        return torch.as_tensor(np.stack([series[part] for part in _parts(recording)], 1), dtype=torch.float32)

    neurons = [cut(recording, _neurons(recording)) for recording in recordings]
    joints = [cut(each, np.concatenate((each.joint_pos, each.joint_vel), -1)) for each in recordings]
    return told_unseen(neurons, joints, episodes, recordings[0].dt)


def told_by_ridge(
    values: Float[np.ndarray, "windows neurons"],
    labels: Int[np.ndarray, " windows"],
    others: Float[np.ndarray, "others neurons"],
) -> Int[np.ndarray, " others"]:
    """Return the class that ridge regression on values and their labels finds most like each of the other values."""
    weights, biases = ridge_readout(values, labels, labels.max() + 1)
    return np.asarray((others @ weights.T + biases).argmax(1))


def _neurons(recording: Recording) -> Float[np.ndarray, "episodes time neurons"]:
    """Return the values of neurons that are not sensors."""
    return np.asarray(recording.activity, float)[..., [cell.role != "sensor" for cell in recording.cells]]


def _parts(recording: Recording) -> Iterator[tuple[int, slice]]:
    """Yield each window's episode and control steps."""
    for episode, length in enumerate(recording.lengths):
        for start in range(settled(recording), int(length) - _WINDOW + 1, _WINDOW):
            yield episode, slice(start, start + _WINDOW)


def _by_votes(recordings: list[Recording]) -> dict[str, float]:
    """Return the share of the last episode's windows told by votes, with and without neurons that answer to all."""
    counts, labels, episodes = windows(recordings, fired=True)
    trained, held_out, tested = episodes < _EPISODES - 2, episodes == _EPISODES - 2, episodes == _EPISODES - 1
    classes = assigned(counts[trained], labels[trained])
    most = int(held_out.sum())
    tried = sorted({max(1, round(share * most)) for share in (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)})
    threshold = best_threshold(counts[held_out], labels[held_out], classes, tried)
    kept = remove_hyperactive(counts[held_out], threshold)
    asked = counts[tested], labels[tested], classes
    return {"votes": recognised(*asked), "votes_without_hyperactive": recognised(*asked, kept)}


def _figure(names: list[str], confusion: Float[np.ndarray, "bodies guesses"]) -> Figure:
    figure = Figure(figsize=(6.0, 5.0), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(confusion, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set(xlabel="told", ylabel="body")
    figure.colorbar(shown, label="share of windows")
    open_axes(axes)
    return figure
