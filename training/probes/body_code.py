"""Body code: whether a circuit's neurons tell which body they move, and by which gait it moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from ...drawing.figures import open_axes
from ...envs import body_names, make_body
from ...errors import InvalidRecording
from ...intervals import Interval, bootstrap_mean
from ..rollouts.recorder import record
from ..rollouts.recording import Recording
from .contract import ProbeResult, Subject, settled
from .tools.gaits import GAITS, WINDOW, Moved, moved
from .tools.ridge_classifier import ridge_readout
from .tools.unseen import told_unseen
from .tools.votes import assigned, best_threshold, recognised, remove_hyperactive

_EPISODES = 4
_FEWEST = 4  # bodies, so that a code is fitted to two and tried on two others


def body_code(subject: Subject) -> ProbeResult:
    """Record the agent on every body of as many joints, and tell the body from its neurons' mean values in 60 steps.

    Ridge regression is trained on three episodes of each body and tested on the fourth, each in turn. Sensors are left
    out, which differ among bodies by themselves. Where neurons fire, each also votes for the body in which it fires
    most, with and without neurons that answer to nearly all windows.

    `unseen` is the share of windows of two bodies that are told by a code which was fitted to the other bodies: what
    neurons do is compared with how the joints of both move; see `PairedLiquids`. Chance is 0.5. It needs four bodies.

    For the gait, each body is moved from outside, forward, backward and in turns to the left and to the right, while
    the agent hears its senses. `gait` is the share of windows whose gait is told, by a readout that was trained on
    waves of other periods; `gait_unseen`, by one that was trained on other bodies. The control `gait_by_senses` is
    told as `gait` is, from means and standard deviations of the observed values in place of neurons.

    Raises:
        InvalidRecording: there is only a recording, no other body has as many joints, or episodes are too short.
    """
    run = subject.run
    own = make_body(run.config.body)
    names = [name for name in body_names() if make_body(name).n_joints == own.n_joints]
    if len(names) < 2:
        raise InvalidRecording(f"no other body has {own.n_joints} joints, so there is nothing to tell apart")
    found = [record(run, _EPISODES, name) for name in names]
    gaits = gait_code([moved(run, name) for name in names])
    values, labels, episodes = windows(found)
    guesses = _told_left_out(values, labels, episodes)
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
    confusion = _confused(labels, guesses, len(names))
    hardest = int(np.diag(confusion).argmin())
    words = (
        f"{100 * interval.mean:.0f} % of windows tell their body, {100 * chance:.0f} % by chance; "
        f"{names[hardest]} is told least often, in {100 * confusion[hardest, hardest]:.0f} %.",
        *unheard,
        f"Moved by four gaits, {100 * gaits.numbers['gait']:.0f} % of windows tell the gait at periods that were left "
        f"out, {100 * gaits.numbers['gait_unseen']:.0f} % on bodies that were left out, 25 % by chance; from the "
        f"senses alone, {100 * gaits.numbers['gait_by_senses']:.0f} % at such periods.",
    )
    numbers |= gaits.numbers
    arrays = {
        "body": np.array(names), "confusion": confusion, "gait": np.array(list(GAITS)),
        "gait_confusion": gaits.confusion,
    }  # fmt: skip
    figure = _figure(names, confusion, gaits.confusion)
    return ProbeResult(numbers, dict.fromkeys(numbers, "of windows"), arrays, figure, words)


class GaitCode(NamedTuple):
    """What tells the gait.

    Attributes:
        numbers: shares of windows by name, with intervals and chance.
        confusion: share of each gait's windows that are told as each gait, at periods that were left out.
    """

    numbers: dict[str, float]
    confusion: Float[np.ndarray, "gaits guesses"]


def gait_code(bodies: Sequence[Moved]) -> GaitCode:
    """Tell the gait from neurons, at periods and on bodies that the readout was not trained on, and from senses.

    Intervals are over the periods and over the bodies that are left out.

    Args:
        bodies: of two bodies or more, what came of each.
    """
    senses, neurons, gaits, periods = (np.concatenate(values) for values in zip(*bodies, strict=True))
    body = np.repeat(np.arange(len(bodies)), [len(each.gaits) for each in bodies])
    by_period, by_body, by_senses = (
        _told_left_out(values, gaits, groups)
        for values, groups in ((neurons, periods), (neurons, body), (senses, periods))
    )

    def shares(guesses: Int[np.ndarray, " windows"], groups: Int[np.ndarray, " windows"]) -> Interval:
        right = guesses == gaits
        return bootstrap_mean([right[groups == group].mean() for group in np.unique(groups)])

    gait, unseen = shares(by_period, periods), shares(by_body, body)
    numbers = {
        "gait": gait.mean, "gait_low": gait.low, "gait_high": gait.high, "gait_chance": 1 / len(GAITS),
        "gait_unseen": unseen.mean, "gait_unseen_low": unseen.low, "gait_unseen_high": unseen.high,
        "gait_by_senses": shares(by_senses, periods).mean,
    }  # fmt: skip
    return GaitCode(numbers, _confused(gaits, by_period, len(GAITS)))


def _told_left_out(
    values: Float[np.ndarray, "windows values"],
    labels: Int[np.ndarray, " windows"],
    groups: Int[np.ndarray, " windows"],
) -> Int[np.ndarray, " windows"]:
    """Return the class told of each window by a readout that was trained on all other groups of windows."""
    guesses = np.full(len(labels), -1)
    for group in np.unique(groups):
        tested = groups == group
        guesses[tested] = told_by_ridge(values[~tested], labels[~tested], values[tested])
    return guesses


def _confused(
    labels: Int[np.ndarray, " windows"], guesses: Int[np.ndarray, " windows"], classes: int
) -> Float[np.ndarray, "classes guesses"]:
    """Return which share of each class's windows is told as each class."""
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (labels, guesses), 1)
    return np.asarray(confusion / confusion.sum(1, keepdims=True))


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
        raise InvalidRecording(f"an episode has no {WINDOW} steps after its first fifth; give longer episodes")
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
        for start in range(settled(recording), int(length) - WINDOW + 1, WINDOW):
            yield episode, slice(start, start + WINDOW)


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


def _figure(
    names: list[str], confusion: Float[np.ndarray, "bodies guesses"], gaits: Float[np.ndarray, "gaits guesses"]
) -> Figure:
    figure = Figure(figsize=(9.6, 5.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.6, 1])
    for axes, known, shares, what in ((left, names, confusion, "body"), (right, list(GAITS), gaits, "gait")):
        shown = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        axes.set_xticks(range(len(known)), known, rotation=90, fontsize=7)
        axes.set_yticks(range(len(known)), known, fontsize=7)
        axes.set(xlabel="told", ylabel=what)
        open_axes(axes)
    figure.colorbar(shown, ax=[left, right], label="share of windows")
    return figure
